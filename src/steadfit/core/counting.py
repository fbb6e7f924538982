"""Exact quantiles by counting: over any number of chunks and processes, without sorting or gathering the values.

The bit pattern of a floating-point number, read as an integer, has the order of the number. So an order statistic is
found digit by digit: count how many values begin with each digit, keep the digit in which the wanted rank falls, go on
with the next one. Counts add over chunks and processes, so the result is the same to the bit however the values are
spread. Eleven bits a digit make six rounds for float64.

>>> value = torch.tensor([[3.0], [1.0], [torch.nan], [8.0], [2.0]])
>>> search = Search.start([0.5], columns=1)
>>> while not search.done:
...     search = search.narrowed(search.counts(value[:2]) + search.counts(value[2:]))
>>> search.quantiles().tolist()
[[2.5]]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

DIGIT = 11
"""Bits a round."""
BINS = 1 << DIGIT
FIRST_SHIFT = 55
"""The lowest bit of the first digit; 55, 44, 33, 22, 11, 0."""
_BELOW_SIGN = 2**63 - 1


def order_key(value: Tensor) -> Tensor:
    """Integers (int64) in the order of the values; -0 and 0 have the same."""
    bits = (value.double() + 0.0).contiguous().view(torch.int64)
    return bits ^ ((bits >> 63) & _BELOW_SIGN)


def value_of(key: Tensor) -> Tensor:
    """The float64 numbers that have these keys."""
    return (key ^ ((key >> 63) & _BELOW_SIGN)).contiguous().view(torch.float64)


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where the order statistics next to L quantiles of C columns are known to lie; tensors only.

    A quantile at level p of n values is the linear interpolation at rank p (n - 1), as NumPy's default; at 1/2 this is
    the median, an even count averaging the two middle values.
    """

    level: Tensor  # (L,) in [0, 1]
    low: Tensor  # (2, L, C) smallest key that the values at the ranks below and above each quantile may have
    rank: Tensor  # (2, L, C) their ranks among the values that share the digits found so far
    count: Tensor  # (C,) values, known after the first round
    shift: Tensor  # () lowest bit of the next digit; negative when all are found

    @classmethod
    def start(cls, levels: Sequence[float], *, columns: int, device: torch.device | None = None) -> Search:
        """Nothing is known yet.

        Args:
            levels: the quantiles' levels in [0, 1].
            columns: C.
            device: where the values are.
        """
        shape = (2, len(levels), columns)
        return cls(
            level=torch.tensor(levels, dtype=torch.float64, device=device),
            low=torch.full(shape, torch.iinfo(torch.int64).min, dtype=torch.int64, device=device),
            rank=torch.zeros(shape, dtype=torch.int64, device=device),
            count=torch.zeros(columns, dtype=torch.int64, device=device),
            shift=torch.tensor(FIRST_SHIFT, device=device),
        )

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Search:
        """From the fields by name, as :func:`vars` gives them; others are ignored."""
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})

    @property
    def first(self) -> bool:
        """Whether nothing has been counted yet."""
        return int(self.shift) == FIRST_SHIFT

    @property
    def done(self) -> bool:
        """Whether every digit is found."""
        return int(self.shift) < 0

    def counts(self, value: Tensor) -> Tensor:
        """How many of some values have each next digit, to be added up over all of them.

        Args:
            value: (n, C) of any floating dtype; NaN is left out, n may be 0.

        Returns:
            (2, L, C, BINS), int64, of the values that share the digits found so far.
        """
        key, known = order_key(value), ~value.isnan()
        below, above = self.low
        found = [torch.stack([_digit_counts(key, known, low, int(self.shift)) for low in below])]
        if torch.equal(below, above):  # as long as no rank has left the other's digit
            return torch.stack(2 * found)
        found.append(torch.stack([_digit_counts(key, known, low, int(self.shift)) for low in above]))
        return torch.stack(found)

    def narrowed(self, counts: Tensor) -> Search:
        """The search after a round, from the counts of all values."""
        rank, count = self.rank, self.count
        if self.first:
            count = counts[0, 0].sum(dim=-1)
            at = self.level.unsqueeze(1) * (count - 1).clamp(min=0)  # (L, C)
            rank = torch.stack([at.floor(), at.ceil()]).long()
        up_to = counts.cumsum(dim=-1)
        digit = (up_to <= rank.unsqueeze(-1)).sum(dim=-1).clamp(max=BINS - 1)
        before = torch.where(digit > 0, up_to.gather(-1, (digit - 1).clamp(min=0).unsqueeze(-1)).squeeze(-1), 0)
        low = torch.where(count > 0, self.low + (digit << self.shift), self.low)
        return replace(self, low=low, rank=rank - before, count=count, shift=self.shift - DIGIT)

    def quantiles(self) -> Tensor:
        """The quantiles (L, C) in float64, exact to one rounding; NaN for a column without values."""
        low, high = value_of(self.low)
        at = self.level.unsqueeze(1) * (self.count - 1).clamp(min=0)
        part = at - at.floor()
        between = torch.where(part == 0.5, _middle(low, high), low * (1 - part) + high * part)
        return torch.where(self.count > 0, torch.where(low == high, low, between), torch.nan)


def _digit_counts(key: Tensor, known: Tensor, low: Tensor, shift: int) -> Tensor:
    """Counts (C, BINS) of the next digit of the keys (n, C) that share the digits of ``low`` (C,) so far."""
    digit = (key >> shift) - (low >> shift)
    inside = known & (digit >= 0) & (digit < BINS)
    column = BINS * torch.arange(len(low), device=key.device)
    return torch.bincount((column + digit)[inside], minlength=BINS * len(low)).view(-1, BINS)


def _middle(low: Tensor, high: Tensor) -> Tensor:
    """(low + high)/2, rounded once, without overflow."""
    total = low + high
    return torch.where(total.isfinite(), total / 2, low / 2 + high / 2)
