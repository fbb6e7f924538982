"""Sums of chunks of data, as tensors that combine over chunks and processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sums:
    """Tensors that combine over chunks and processes.

    Args:
        added: tensors by name that are added up, float64 or int64.
        largest: tensors by name of which the largest value counts, element by element; a minimum is the largest
            negative. A chunk without samples gives -inf, see :func:`largest`.
    """

    added: Mapping[str, Tensor] = field(default_factory=dict)
    largest: Mapping[str, Tensor] = field(default_factory=dict)

    def __add__(self, other: Sums) -> Sums:
        for mine, theirs in ((self.added, other.added), (self.largest, other.largest)):
            if mine.keys() != theirs.keys():
                raise ValueError(f"Sums: expected the same names, got {sorted(mine)} and {sorted(theirs)}.")
        return Sums(
            added={name: value + other.added[name] for name, value in self.added.items()},
            largest={name: torch.maximum(value, other.largest[name]) for name, value in self.largest.items()},
        )


def largest(value: Tensor) -> Tensor:
    """The largest value (…) over the samples of ``value`` (n, …), NaN left out; -inf where there is none."""
    known = torch.where(value.isnan(), -math.inf, value)
    return torch.cat([known, known.new_full((1, *value.shape[1:]), -math.inf)]).amax(dim=0)


def stacked(*parts: Sums) -> Sums:
    """Sums of the same names as one, along a new first axis."""
    one = parts[0]
    return Sums(
        added={name: torch.stack([part.added[name] for part in parts]) for name in one.added},
        largest={name: torch.stack([part.largest[name] for part in parts]) for name in one.largest},
    )


def unstacked(sums: Sums, count: int) -> list[Sums]:
    """The parts of :func:`stacked` sums."""
    return [
        Sums({n: v[i] for n, v in sums.added.items()}, {n: v[i] for n, v in sums.largest.items()}) for i in range(count)
    ]


def joined(*parts: Sums) -> Sums:
    """Sums of different names as one."""
    return Sums(
        added={name: value for part in parts for name, value in part.added.items()},
        largest={name: value for part in parts for name, value in part.largest.items()},
    )
