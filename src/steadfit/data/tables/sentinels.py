"""Numbers that may stand for "missing", such as -200 or 9999: spikes of one value far from all others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from steadfit.errors import DataWarning

if TYPE_CHECKING:
    from steadfit.data.tables.annotations import Annotations

Floats = npt.NDArray[np.float64]

LEAST = 5
"""The least number of cells of a spike; it is also at least a hundredth of the column's numbers."""
SHOWN = 6
"""The number of columns that the warning lists."""
_SHARE, _FEW, _MANY = 0.01, 3, 6
_LOW = (-1, -9, -99, -200, -999, -9999, -99999, -32768)
_HIGH = (99, 999, 9999, 99999, 999999, 32767, 65535)
_ORIGINS = (0.0, -1.0)  # a point at the same spot in many images, outside or in the corner


@dataclass(frozen=True)
class Spike:
    """A value that may stand for "missing".

    Args:
        place: the column's number, or the point's.
        value: the value.
        count: the number of its cells.
        known: the number of all cells with numbers.
    """

    place: int
    value: float
    count: int
    known: int


def spikes(values: Floats) -> list[Spike]:
    """Columns whose smallest or largest number is a spike that stands apart.

    A spike has at least 5 cells and a hundredth of the column's numbers. It stands apart if the gap to the others is
    more than five times their spread; usual numbers for "missing" need a smaller gap: -1, -200, -999 and the like a
    twentieth of the spread in a column that has no other negative number, 99, 999, 9999 and the like half of it. Gap
    and spread are taken from the 1st and 99th percentile of the other numbers, so that a few wrong ones do not hide a
    spike. Columns of few different numbers, such as flags and classes, have none.

    Args:
        values: (N, C), NaN = missing.

    Returns:
        At most two spikes a column, in the order of the columns.

    >>> spikes(np.array([[-200.0]] * 6 + [[k / 10] for k in range(94)]))
    [Spike(place=0, value=-200.0, count=6, known=100)]
    """
    found = []
    for place in range(values.shape[1]):
        ordered = np.sort(values[:, place])
        ordered = ordered[: len(ordered) - int(np.isnan(ordered).sum())]
        low = _of_smallest(ordered, _LOW, 0.05, nonnegative=True)
        high = _of_smallest(-ordered[::-1], [-value for value in _HIGH], 0.5, nonnegative=False)
        found += [Spike(place, value, count, len(ordered)) for value, count in low]
        found += [Spike(place, -value, count, len(ordered)) for value, count in high]
    return found


def point_spikes(target: Floats) -> list[Spike]:
    """Points that are exactly at (0, 0), or at (-1, -1), in many rows.

    Args:
        target: (N, K, 2), NaN = missing.
    """
    found = []
    for place in range(target.shape[1]):
        known = int((~np.isnan(target[:, place]).any(axis=1)).sum())
        for value in _ORIGINS:
            count = int((target[:, place] == value).all(axis=1).sum())
            if count >= max(LEAST, _SHARE * known) and known - count >= LEAST:
                found.append(Spike(place, value, count, known))
    return found


def _of_smallest(
    ordered: Floats, words: Sequence[float], share: float, *, nonnegative: bool
) -> list[tuple[float, int]]:
    """The smallest of some ascending numbers with its count, if it is a spike."""
    if len(ordered) < 4 * LEAST:
        return []
    value = float(ordered[0])
    count = int(np.searchsorted(ordered, value, side="right"))
    rest = ordered[count:]
    if count < max(LEAST, _SHARE * len(ordered)) or len(rest) < LEAST:
        return []
    near, far = rest[int(0.01 * (len(rest) - 1))], rest[int(0.99 * (len(rest) - 1))]
    different = 1 + int((np.diff(rest) > 0).sum())
    if different < _FEW or far <= near:
        return []
    usual = value in words and different >= _MANY and (near >= 0 or not nonnegative)
    return [(value, count)] if near - value > (share if usual else 5.0) * (far - near) else []


def warn_spikes(annotations: Annotations) -> tuple[float, ...]:
    """Warn once about values of targets and features that may stand for "missing".

    Args:
        annotations: the checked table, before missing features are filled.

    Returns:
        The values that were told.

    Warns:
        DataWarning: some columns have such spikes; names column, value, number of rows, and the option.
    """
    schema, said = annotations.schema, []
    of_points = point_spikes(annotations.target) if schema.has_points else []
    for one in of_points:
        flags = (annotations.target[:, one.place] == one.value).all(axis=1)
        hidden = annotations.visible is not None and not annotations.visible[flags, one.place].any()
        at = f"point {schema.points[one.place]!r} is at ({one.value:g}, {one.value:g})"
        said.append(_told(at, one) + (", always with v = 0 (--visibility missing)" if hidden else ""))
    named = {f"{axis}{one.place}": one.value for one in of_points for axis in schema.axes}
    columns = [] if schema.classes else [(schema.columns, annotations.target.reshape(len(annotations), -1))]
    if annotations.features is not None:
        columns.append((schema.features, annotations.features))
    found = [(names[one.place], one) for names, values in columns for one in spikes(values)]
    rest = [(name, one) for name, one in found if named.get(name) != one.value]
    said += [_told(f"column {annotations.named(name)!r} is {one.value:.10g}", one) for name, one in rest]
    values = sorted({one.value for one in of_points} | {one.value for _, one in rest})
    if said:
        more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
        warnings.warn(
            f"{annotations.path}: one value far from all others may mean that there is none: "
            f"{'; '.join(said[:SHOWN])}{more}. They are used as numbers; "
            f"--missing {','.join(f'{value:.10g}' for value in values)} leaves them out.",
            DataWarning,
            stacklevel=4,
        )
    return tuple(values)


def _told(what: str, spike: Spike) -> str:
    return f"{what} in {spike.count:,} of {spike.known:,} rows"


def without_missing(value: Floats, missing: Sequence[float]) -> Floats:
    """Numbers (N,) or labels (N, K, D), NaN where they mean "missing"; a label only where all its D numbers do.

    Args:
        value: the numbers.
        missing: the numbers that mean "missing".

    >>> without_missing(np.array([[[-1.0, -1.0], [-1.0, 3.0]]]), [-1.0]).tolist()
    [[[nan, nan], [-1.0, 3.0]]]
    """
    gone = np.isin(value, missing)
    if value.ndim > 1:
        gone = np.broadcast_to(gone.all(axis=-1, keepdims=True), value.shape)
    return np.where(gone, np.nan, value) if missing else value
