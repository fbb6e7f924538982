"""Widths, how far values reach, by a sort or by counting: units, boxes and the start of EM follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from steadfit.core.counting import Search, middle_ranks, order_key
from steadfit.core.scale import fence_ranks, fences, fences_from, innermost_rank
from steadfit.core.sums import Sums, largest


@dataclass(frozen=True)
class Widths:
    """Widths of values (N, G, D), NaN left out; all are NaN or infinite for a coordinate without a value."""

    count: Tensor  # (G, D) how many
    range: Tensor  # (G, D) max - min
    size: Tensor  # (G, D) max |v|
    low: Tensor  # (G, D) the fences of trimmed_range
    high: Tensor  # (G, D)
    trimmed: Tensor  # (G, D) max - min inside the fences
    middle: Tensor  # (2, G, D) the two middle ones of |v|; their mean is the median
    innermost: Tensor  # (G, D) |v| at innermost_rank

    @classmethod
    def of(cls, value: Tensor) -> Widths:
        """The widths, by sorting all values."""
        low, high = fences(value)
        sizes = _sizes_at(value)
        top, bottom = largest(value), largest(-value)
        inside = _within(value, low, high)
        trimmed = largest(inside) + largest(-inside)
        return cls(
            count=(~value.isnan()).sum(dim=0),
            range=top + bottom,
            size=torch.maximum(top, bottom),
            low=low,
            high=high,
            trimmed=_known(trimmed),
            middle=sizes[:2],
            innermost=sizes[2],
        )

    @classmethod
    def named(cls, state: Mapping[str, Tensor]) -> Widths:
        """The widths in the state of a finished :func:`update`."""
        return cls(**{field.name: state[f"width_{field.name}"] for field in fields(cls)})


@dataclass(frozen=True)
class Rows:
    """Some values in the form that :func:`statistics` counts."""

    value: Tensor  # (n, G, D)
    key: Tensor  # (n, G D) order_key of the values
    size_key: Tensor  # (n, G D) of their sizes

    @classmethod
    def of(cls, value: Tensor) -> Rows:
        flat = value.flatten(1)
        return cls(value, order_key(flat), order_key(flat.abs()))


def begin(groups: int, dims: int, device: torch.device | None = None) -> dict[str, Tensor]:
    """The state before anything is counted."""
    columns = groups * dims
    values, sizes = (Search.start(ranks, columns=columns, device=device) for ranks in (6, 3))
    return values.named("value_") | sizes.named("size_")


def statistics(rows: Rows, state: Mapping[str, Tensor]) -> Sums:
    """Sums over some values: counts for the order statistics, then the ends inside the fences."""
    if "width_low" in state:
        inside = _within(rows.value, state["width_low"], state["width_high"])
        return Sums(largest={"top": largest(inside), "bottom": largest(-inside)})
    counts = {
        "values": Search.of(state, "value_").counts(rows.key),
        "sizes": Search.of(state, "size_").counts(rows.size_key),
    }
    return Sums(counts, {"top": largest(rows.value), "bottom": largest(-rows.value)})


def update(sums: Sums, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state after a round, finished when it has ``width_trimmed``."""
    top, bottom = sums.largest["top"], sums.largest["bottom"]
    if "width_low" in state:
        return dict(state) | {"width_trimmed": _known(top + bottom)}
    values = Search.of(state, "value_").narrowed(sums.added["values"], fence_ranks)
    sizes = Search.of(state, "size_").narrowed(sums.added["sizes"], _size_ranks)
    if not values.done:
        return dict(state) | values.named("value_") | sizes.named("size_")
    low, high = fences_from(values.values())
    found = {"count": values.count, "low": low, "high": high, "innermost": sizes.values()[2]}
    widths = {f"width_{name}": each.view_as(top) for name, each in found.items()}
    widths |= {"width_range": top + bottom, "width_size": torch.maximum(top, bottom)}
    return dict(state) | widths | {"width_middle": sizes.values()[:2].view(2, *top.shape)}


def finished(state: Mapping[str, Tensor]) -> bool:
    """Whether :class:`Widths` can be made of the state."""
    return "width_trimmed" in state


def _size_ranks(count: Tensor) -> Tensor:
    return torch.cat([middle_ranks(count), innermost_rank(count).unsqueeze(0)])


def _sizes_at(value: Tensor) -> Tensor:
    """|v| at its two middle ranks and the innermost one, (3, G, D); NaN where there is none."""
    ordered, count = value.abs().sort(dim=0).values, (~value.isnan()).sum(dim=0)
    return ordered.gather(0, _size_ranks(count).clamp(min=0))


def _within(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The values from ``low`` to ``high``, NaN the others."""
    return torch.where((value >= low) & (value <= high), value, torch.nan)


def _known(width: Tensor) -> Tensor:
    """NaN where there is no value, -inf until then."""
    return torch.where(width == -torch.inf, torch.nan, width)
