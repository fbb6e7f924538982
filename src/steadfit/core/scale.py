"""The median absolute deviation: a scale that half of the data can't move."""

from __future__ import annotations

import torch
from torch import Tensor

from steadfit import _checks

MAD_TO_SIGMA = 1.4826
"""1/Phi^-1(3/4) to the digits that paper 1 uses: makes the MAD estimate sigma on Gaussian data."""


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

    Numerics: medians of an even count average the two middle values. No arithmetic but one subtraction and one
    product a value: exact to one rounding in every dtype.

    References: Belagiannis et al., ICCV 2015, eq. 5 (text).

    >>> float(mad(torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)))
    2.2239
    """
    _checks.floating("mad", "residual", residual)
    if residual.dim() == 0 or residual.shape[dim] == 0:
        raise ValueError(f"mad: expected at least one residual along dim {dim}, got shape {tuple(residual.shape)}.")
    deviation = (residual - nanmedian(residual, dim).unsqueeze(dim)).abs()
    return MAD_TO_SIGMA * nanmedian(deviation, dim)
