"""Robust scales and widths (the MAD, the trimmed range, the innermost scale), and gross values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks

MAD_TO_SIGMA = 1.4826
"""1/Phi^-1(3/4) to the digits that paper 1 uses: makes the MAD estimate sigma on Gaussian data."""

REACH = ((0.95, 2.5), (0.8, 10.0), (0.5, 40.0))
"""The largest trimmed range, in widths of the central 95, 80 and 50 % of the values."""
LEAST_CUT = 2
"""So many values on either side never count for a width, if there are nine or more."""
INNERMOST = 0.2
FEW = 10
GROSS = 1000.0
GAP = 100.0
"""A value so many times as far from the median as the next one is gross as well: Student's t with 2 degrees of freedom
has such a gap in one of 10,000 samples, of any size."""
GAP_OF_REPEATED = 10.0
"""The same for a value that occurs more than once, as sentinels do and tails do not."""


def nanmedian(value: Tensor, dim: int = 0) -> Tensor:
    """The median along ``dim`` with NaN left out; an even count averages the two middle values.

    ``torch.median`` takes the lower of the two. A slice without a number gives NaN. The average is rounded once, and
    does not overflow.
    """
    ordered = value.sort(dim=dim).values  # NaN last
    count = (~value.isnan()).sum(dim=dim, keepdim=True)
    low = ordered.gather(dim, ((count - 1) // 2).clamp(min=0))
    high = ordered.gather(dim, (count // 2).clamp(max=max(value.shape[dim] - 1, 0)))
    return torch.where(count > 0, middle(low, high), torch.nan).squeeze(dim)


def middle(low: Tensor, high: Tensor) -> Tensor:
    """(low + high)/2, rounded once, without overflow."""
    total = low + high
    return torch.where(total.isfinite(), total / 2, low / 2 + high / 2)


def mad(residual: Tensor, dim: int = 0) -> Tensor:
    """The normalised median absolute deviation about the median.

    s = 1.4826 median|r - median(r)|

    Up to half of the residuals can be anything without s leaving the range of the others, which is why the paper
    scales residuals by it.

    Args:
        residual: any shape, floating point; NaN marks a missing label and is left out.
        dim: the dimension that is reduced.

    Returns:
        The scale in the residuals' unit, >= 0, with ``dim`` removed. 0 where at least half of the residuals are equal
        (the noise models put a floor under it); NaN where there is no residual at all.

    Raises:
        TypeError: residual is not a floating-point tensor.
        ValueError: ``dim`` is empty.

    Numerics:
        Medians of an even count average the two middle values. The only arithmetic is one subtraction and one product
        per value: exact to one rounding in every dtype.

    References:
        Belagiannis et al., ICCV 2015, eq. 5 (text).

    >>> float(mad(torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)))
    2.2239
    """
    _checks.floating("mad", "residual", residual)
    if residual.dim() == 0 or residual.shape[dim] == 0:
        raise ValueError(f"mad: expected at least one residual along dim {dim}, got shape {tuple(residual.shape)}.")
    deviation = (residual - nanmedian(residual, dim).unsqueeze(dim)).abs()
    return MAD_TO_SIGMA * nanmedian(deviation, dim)


def trimmed_range(value: Tensor) -> Tensor:
    """max - min along the first dimension, of the values that are not far outside of the bulk.

    A central interval [a, b] of width w reaches from a - (f - 1)/2 w to b + (f - 1)/2 w: 2.5 times the central 95 %,
    10 times the central 80 %, 40 times the central half. A value outside one of the three does not count.

    Without gross values it is the range, and a gross value leaves it as if that value weren't there: up to 2.5 % on
    either side (and two in any case), or a quarter if they are 20 times as far away as the rest.

    Args:
        value: (N, …), floating point; NaN marks a missing value and is left out.

    Returns:
        (…), >= 0, in the values' unit; 0 where all are equal, NaN where there is none. A central width of 0 (a spike of
        equal values) says nothing and cuts nothing.

    Numerics:
        Order statistics only, which several processes find by counting; only the fences and one difference are rounded.

    >>> trimmed_range(torch.tensor([-2.0, -1, -1, 0, 0, 0, 1, 1, 1e9]))
    tensor(3.)
    """
    low, high = fences(value)
    inside = (value >= low) & (value <= high)
    width = value.masked_fill(~inside, -torch.inf).amax(dim=0) - value.masked_fill(~inside, torch.inf).amin(dim=0)
    return width.masked_fill(value.isnan().all(dim=0), torch.nan)


def fences(value: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and highest value that count for :func:`trimmed_range`, (…) each; infinite where nothing is cut."""
    ordered, count = _ordered(value)
    return fences_from(torch.stack([_at(ordered, rank) for rank in fence_ranks(count)]))


def fence_ranks(count: Tensor) -> Tensor:
    """The ranks of the lower and upper ends of the central intervals of ``count`` values: (…) to (6, …)."""
    cuts = [
        (count * ((1 - share) / 2)).ceil().long().clamp(min=LEAST_CUT).minimum((count - 1).clamp(min=0) // 4)
        for share, _ in REACH
    ]
    return torch.stack([end for cut in cuts for end in (cut, count - 1 - cut)])


def fences_from(ends: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`fences` from the values at :func:`fence_ranks`, (6, …)."""
    lowest = torch.full_like(ends[0], -torch.inf)
    highest = -lowest
    for low, high, (_, factor) in zip(ends[::2], ends[1::2], REACH, strict=True):
        reach = 0.5 * (factor - 1) * (high - low)
        lowest = torch.where(reach > 0, torch.maximum(lowest, low - reach), lowest)
        highest = torch.where(reach > 0, torch.minimum(highest, high + reach), highest)
    return lowest, highest


def innermost_scale(residual: Tensor, errors: float = 0.0) -> Tensor:
    """Sigma of a Gaussian about 0 with the same innermost residuals, along the first dimension.

    s = |r|_(k)/Phi^-1((1 + p)/2),  p = (k - 1/2)/n,  k = n/5, but at least 10 where that is no more than half

    It is sigma for Gaussian residuals, and at most about sigma/pi where only a share pi > 1/5 of them is Gaussian: the
    others lie outside and cannot move it further.

    Args:
        residual: (N, …), floating point; NaN marks a missing label and is left out.
        errors: the number of standard errors that are added, s (1 + errors/sqrt(k)).

    Returns:
        (…), >= 0, in the residuals' unit; 0 where a fifth of the residuals is 0, NaN where there is none.
    """
    ordered, count = _ordered(residual.abs())
    return innermost_from(_at(ordered, innermost_rank(count)), count.squeeze(0), errors)


def innermost_rank(count: Tensor) -> Tensor:
    """The rank, from 0, of the innermost residual that :func:`innermost_scale` looks at, among ``count``."""
    return torch.maximum((INNERMOST * count).ceil().long(), ((count + 1) // 2).clamp(max=FEW)) - 1


def innermost_from(size: Tensor, count: Tensor, errors: float = 0.0) -> Tensor:
    """:func:`innermost_scale` from the size |r| at :func:`innermost_rank` and the number of residuals, both (…)."""
    rank = innermost_rank(count) + 1
    share = (rank - 0.5) / count.clamp(min=1)
    factor = (1 + errors / rank.clamp(min=1).sqrt()) / torch.special.ndtri((1 + share) / 2)
    scale: Tensor = size * factor.to(size.dtype)
    return scale


@dataclass(frozen=True)
class Gross:
    """Values that no ordinary error explains."""

    mask: Tensor  # of the values' shape
    count: int
    farthest: float  # distance of the farthest from the median, in units of the rest's, see :func:`gross`

    def __str__(self) -> str:
        """A sentence for a warning."""
        if not self.count:
            return "no label is gross"
        labels = "1 label is" if self.count == 1 else f"{self.count:,} labels are"
        far = f"{self.farthest:,.0f} times" if self.count == 1 else f"up to {self.farthest:,.0f} times"
        return f"{labels} {far} farther from the median than the rest"


def gross(value: Tensor) -> Gross:
    """Which values are farther from the median than errors or heavy tails put them, and how many.

    Such values are typing errors, sentinels such as -9999, or mixed-up units. Gross is what is over 1,000 times as far
    from the median as the 99th percentile of distances, and up to a tenth of the values if they lie beyond a gap: 100
    times as far as the next one, or 10 times where the nearest of them occurs more than once.

    Args:
        value: (N, …), floating point, along the first dimension; NaN marks a missing value and is not gross.

    Returns:
        The gross values; ``str`` of the result is a sentence. With fewer than 200 values the two farthest are left out
        of the percentile; where it is 0 (a spike of equal values) nothing is gross. Gaps are looked for among ten or
        more values, if less than half of them are equal.

    >>> found = gross(torch.cat([torch.linspace(-1, 1, 100), torch.tensor([99999.0])]))
    >>> found.count, str(found)
    (1, '1 label is 101,019 times farther from the median than the rest')
    """
    _checks.floating("gross", "value", value)
    distance = (value - nanmedian(value)).abs()
    ordered, count = _ordered(distance)
    edge = _edge(ordered, count)
    usual = _at(ordered, count - 1 - _outermost(0.01, count)).minimum(edge)
    ratio = torch.where(usual > 0, distance / usual, 0.0).nan_to_num(nan=0.0)
    mask = (ratio > GROSS) | (distance > edge)
    return Gross(mask, int(mask.sum()), float(ratio.max()) if ratio.numel() else 0.0)


def _edge(distance: Tensor, count: Tensor) -> Tensor:
    """The last of the ordered distances before the innermost gap in the outer tenth, (…); infinite without a gap."""
    inner, outer = distance[:-1], distance[1:]
    repeated = torch.cat([outer[1:] == outer[:-1], torch.zeros_like(outer[:1], dtype=torch.bool)])
    rank = torch.arange(len(inner), device=distance.device).view(-1, *[1] * (distance.dim() - 1))
    last = rank >= count - 1 - _outermost(0.1, count)
    spread = (count >= FEW) & (_at(distance, (count - 1).clamp(min=0) // 2) > 0)
    gap = last & spread & (outer > torch.where(repeated, GAP_OF_REPEATED, GAP) * inner)
    never = torch.full_like(distance[:1], torch.inf)
    return torch.cat([inner.masked_fill(~gap, torch.inf), never]).amin(dim=0)


def _outermost(share: float, count: Tensor) -> Tensor:
    """How many values a share of them is: rounded up, two at least and less than half at most."""
    return (share * count).ceil().long().clamp(min=LEAST_CUT).minimum((count - 1).clamp(min=0) // 2)


def _ordered(value: Tensor) -> tuple[Tensor, Tensor]:
    """The values in order along the first dimension, NaN last, and how many there are, (1, …)."""
    return value.sort(dim=0).values, (~value.isnan()).sum(dim=0, keepdim=True)


def _at(ordered: Tensor, rank: Tensor) -> Tensor:
    """The value of a rank (1, …), counted from 0; NaN where there is none."""
    return ordered.gather(0, rank.clamp(min=0)).squeeze(0)
