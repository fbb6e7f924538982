"""Exact order statistics by counting: over any number of chunks and processes, without sorting or gathering values.

The bit pattern of a floating-point number, read as an integer, has the order of the number. So the value of a rank is
found digit by digit: count how many values begin with each digit, keep the digit in which the rank falls, go on with
the next one. Counts add over chunks and processes, so the result is the same to the bit however the values are spread.
Eleven bits per digit make six rounds for float64.

>>> value = torch.tensor([[3.0], [1.0], [torch.nan], [8.0], [2.0]])
>>> search = Search.start(2, columns=1)
>>> while not search.done:
...     counts = [search.counts(order_key(some)) for some in (value[:2], value[2:])]
...     search = search.narrowed(sum(counts), middle_ranks)
>>> search.values().tolist()
[[2.0], [3.0]]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

DIGIT = 11
"""Bits a round."""
BINS = 1 << DIGIT
FIRST_SHIFT = 55
"""The lowest bit of the first digit; 55, 44, 33, 22, 11, 0."""
_BELOW_SIGN = 2**63 - 1
_INFINITY = 0x7FF << 52
"""The key of infinity; NaN has a larger one."""


def order_key(value: Tensor) -> Tensor:
    """Integers (int64) in the order of the values; -0 and 0 have the same, NaN is above all others."""
    bits = (value.double().nan_to_num(nan=torch.nan, posinf=torch.inf, neginf=-torch.inf) + 0.0).contiguous()
    key = bits.view(torch.int64)
    return key ^ ((key >> 63) & _BELOW_SIGN)


def value_of(key: Tensor) -> Tensor:
    """The float64 numbers that have these keys."""
    return (key ^ ((key >> 63) & _BELOW_SIGN)).contiguous().view(torch.float64)


def middle_ranks(count: Tensor) -> Tensor:
    """The ranks (2, C) of the two middle ones of ``count`` (C,) values; equal where the count is odd."""
    return torch.stack([(count - 1) // 2, count // 2])


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where the values of Q ranks in each of C columns are known to lie; tensors only."""

    low: Tensor  # (Q, C) int64, the smallest key that the value of each rank may have
    rank: Tensor  # (Q, C) int64, its rank, from 0, among the values that share the digits found so far
    count: Tensor  # (C,) int64, how many values there are; known after the first round
    shift: Tensor  # () int64, the lowest bit of the next digit; negative when all are found

    @classmethod
    def start(cls, ranks: int, *, columns: int, device: torch.device | None = None) -> Search:
        """The search before its first round.

        Args:
            ranks: Q, the number of ranks.
            columns: C, the number of columns.
            device: where the values are.
        """
        lowest = torch.iinfo(torch.int64).min
        return cls(
            low=torch.full((ranks, columns), lowest, dtype=torch.int64, device=device),
            rank=torch.zeros(ranks, columns, dtype=torch.int64, device=device),
            count=torch.zeros(columns, dtype=torch.int64, device=device),
            shift=torch.tensor(FIRST_SHIFT, device=device),
        )

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], prefix: str = "") -> Search:
        """The search with the fields that :meth:`named` gave; other names are ignored."""
        return cls(**{field.name: tensors[prefix + field.name] for field in fields(cls)})

    def named(self, prefix: str = "") -> dict[str, Tensor]:
        """The fields by name, for a state that is a dict of tensors."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def done(self) -> bool:
        """Whether every digit is found."""
        return int(self.shift) < 0

    def counts(self, key: Tensor) -> Tensor:
        """The number of values with each next digit, to be added up over chunks and processes.

        Args:
            key: :func:`order_key` of the values, (n, C); NaN is left out, n may be 0.

        Returns:
            (Q, C, BINS), int64, over the values that share the digits found so far.
        """
        shift = int(self.shift)
        begins = key >> min(shift + DIGIT, 63)
        found: list[Tensor] = []
        for rank, low in enumerate(self.low):
            same = next((found[other] for other in range(rank) if torch.equal(self.low[other], low)), None)
            if same is None:
                inside = ((begins == low >> min(shift + DIGIT, 63)) | (shift == FIRST_SHIFT)).nonzero(as_tuple=True)
                same = _digit_counts(key[inside], inside[1], low, shift)
            found.append(same)
        return torch.stack(found)

    def narrowed(self, counts: Tensor, ranks: Callable[[Tensor], Tensor]) -> Search:
        """The search after a round.

        Args:
            counts: the sum of :meth:`counts` over all values, (Q, C, BINS).
            ranks: the wanted ranks (Q, C), from 0, as a function of the number of values (C,); called in the first
                round.
        """
        rank, count = self.rank, self.count
        if int(self.shift) == FIRST_SHIFT:
            count = counts[0].sum(dim=-1)
            rank = torch.minimum(ranks(count), count - 1).clamp(min=0)
        up_to = counts.cumsum(dim=-1)
        digit = (up_to <= rank.unsqueeze(-1)).sum(dim=-1).clamp(max=BINS - 1)
        before = up_to.gather(-1, (digit - 1).clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return replace(
            self,
            low=torch.where(count > 0, self.low + (digit << self.shift), self.low),
            rank=torch.where(digit > 0, rank - before, rank),
            count=count,
            shift=self.shift - DIGIT,
        )

    def values(self) -> Tensor:
        """The values (Q, C) of the ranks in float64, exact; NaN for a column that has none."""
        return torch.where(self.count > 0, value_of(self.low), torch.nan)


def _digit_counts(key: Tensor, column: Tensor, low: Tensor, shift: int) -> Tensor:
    """Counts (C, BINS) of the next digit of keys (m,) of some columns that share the digits of ``low`` (C,) so far."""
    digit = (key >> shift) - (low >> shift)[column]
    cell = (BINS * column + digit)[key <= _INFINITY]
    return torch.bincount(cell, minlength=BINS * len(low)).view(-1, BINS)
