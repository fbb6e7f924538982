"""Targets in units of their own spread, measured so that wrong labels hardly change it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.factor import positive_part
from steadfit.core.linalg.small import multiply
from steadfit.core.linalg.spd import spd_sqrt
from steadfit.core.scale import mad, nanmedian


@dataclass(frozen=True)
class Standardizer:
    """Scaling of targets: (target - center) / scale, or scale^-1 (target - center) where the scale is a matrix.

    Args:
        center: (K, D) float64, in the target's units.
        scale: (K, D) float64 > 0, or (K, D, D) symmetric positive definite (whitening), in the target's units.

    >>> values = torch.tensor([0.0, 1.0, 2.0, 3.0, 1000.0]).view(5, 1, 1)
    >>> fitted = Standardizer.fit(values)
    >>> float(fitted.center), float(fitted.scale)
    (2.0, 1.4826)
    """

    center: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, target: Tensor) -> Standardizer:
        """Median and 1.4826 MAD of every coordinate, which wrong labels do not change much.

        Points (D > 1) share one scale, the root mean square over points and coordinates, which preserves angles and the
        ratio of errors in x and y. A MAD of zero (more than half of the labels equal) is replaced by the standard
        deviation, and that by 1 if it is zero too.

        Args:
            target: (n, K, D), NaN = not annotated.

        Raises:
            ValueError: a coordinate without any label; infinite labels.
        """
        _check(target)
        value = target.detach().double()
        scale = _spread(value)
        if target.shape[2] > 1:
            scale = scale.square().mean().sqrt().expand_as(scale).clone()
        return cls(center=nanmedian(value, 0), scale=scale)

    @classmethod
    def whiten(cls, target: Tensor) -> Standardizer:
        """Per point, zero median and a robust covariance of identity.

        The scale is the symmetric root of the covariance. Its diagonal is that of :meth:`fit` before points share one
        scale; its correlations are Gnanadesikan and Kettenring's, from MADs of sums and differences, so that wrong
        labels hardly change either. For Gaussian labels these are the mean and the covariance. Correlations are kept
        below .99, so that points on a line have an answer.

        Args:
            target: (n, K, D), NaN = not annotated.

        Raises:
            ValueError: a coordinate without any label; infinite labels.

        References:
            Mohlin et al., BMVC 2021, section 4.1.
        """
        _check(target)
        value = target.detach().double()
        center, spread = nanmedian(value, 0), _spread(value)
        correlation = _correlation((value - center) / spread)
        covariance = correlation * spread.unsqueeze(-1) * spread.unsqueeze(-2)
        return cls(center=center, scale=spd_sqrt(covariance))

    @classmethod
    def identity(cls, points: int, dims: int) -> Standardizer:
        """The standardizer that keeps targets in their own units."""
        shape = (points, dims)
        return cls(center=torch.zeros(shape, dtype=torch.float64), scale=torch.ones(shape, dtype=torch.float64))

    def apply(self, target: Tensor) -> Tensor:
        """Targets (..., K, D) in the user's units to standard ones; dtype and device stay the same.

        NaN stays NaN; where the scale is a matrix, a point with one missing coordinate is missing as a whole.
        """
        return standardize(target, self.center.to(target), self.scale.to(target))

    def invert(self, value: Tensor) -> Tensor:
        """Standard targets (..., K, D) back to the user's units."""
        return destandardize(value, self.center.to(value), self.scale.to(value))


def standardize(target: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """(target - center)/scale for scales (K, D), scale^-1 (target - center) for matrices (K, D, D).

    Args:
        target: (..., K, D).
        center: (K, D).
        scale: (K, D) or (K, D, D).
    """
    centred = target - center
    return centred / scale if scale.dim() == 2 else multiply(torch.linalg.inv(scale), centred)


def destandardize(value: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """The inverse of :func:`standardize`."""
    return (value * scale if scale.dim() == 2 else multiply(scale, value)) + center


def _spread(value: Tensor) -> Tensor:
    """1.4826 MAD (K, D), or what replaces it where it is 0."""
    count = (~value.isnan()).sum(dim=0)  # (K, D)
    variance = (value - value.nanmean(dim=0)).square().nansum(dim=0) / count
    deviation = torch.where(variance > 0, variance.sqrt(), 1.0)
    scale = mad(value, dim=0)
    return torch.where(scale > 0, scale, deviation)


def _correlation(value: Tensor) -> Tensor:
    """Robust correlations of standard values (n, K, D), as matrices (K, D, D) with eigenvalues of at least .01."""
    first, second = value.unsqueeze(-1), value.unsqueeze(-2)
    plus, minus = mad(first + second).square(), mad(first - second).square()  # (K, D, D)
    total = plus + minus
    share = torch.where(total > 0, (plus - minus) / torch.where(total > 0, total, 1.0), 0.0)
    eye = torch.eye(value.shape[-1], dtype=value.dtype, device=value.device)
    return positive_part(torch.where(eye.bool(), 1.0, share), 0.01)


def _check(target: Tensor) -> None:
    _checks.floating("Standardizer.fit", "target", target)
    if target.dim() != 3 or not target.shape[0]:
        raise ValueError(f"Standardizer.fit: expected target (n, K, D) with n > 0, got {tuple(target.shape)}.")
    _checks.no_infinity("Standardizer.fit", "target", target)
    empty = target.isnan().all(dim=0).nonzero()
    if len(empty):
        k, d = empty[0].tolist()
        raise ValueError(f"Standardizer.fit: expected a label in every coordinate, got none at target {k}, axis {d}.")
