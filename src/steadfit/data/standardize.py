"""Targets in units of their own spread, measured so that wrong labels do not move it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.scale import mad, nanmedian


@dataclass(frozen=True)
class Standardizer:
    """standard = (target - center) / scale

    Args:
        center: (K, D) float64, in the target's units.
        scale: (K, D) float64 > 0, in the target's units.

    >>> values = torch.tensor([0.0, 1.0, 2.0, 3.0, 1000.0]).view(5, 1, 1)
    >>> fitted = Standardizer.fit(values)
    >>> float(fitted.center), float(fitted.scale)
    (2.0, 1.4826)
    """

    center: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, target: Tensor) -> Standardizer:
        """Median and 1.4826 MAD of every coordinate, which wrong labels do not move much.

        Points (D = 2) share one scale, the root mean square over points and coordinates: it leaves angles and the
        ratio of errors in x and y as they are. A MAD of zero (more than half of the labels equal) is replaced by
        the standard deviation, and that by 1 if it is zero too.

        Args:
            target: (n, K, D), NaN = not annotated.

        Raises:
            ValueError: a coordinate without any label; infinite labels.
        """
        _check(target)
        value = target.detach().double()
        scale = _spread(value)
        if target.shape[2] == 2:
            scale = scale.square().mean().sqrt().expand_as(scale).clone()
        return cls(center=nanmedian(value, 0), scale=scale)

    def apply(self, target: Tensor) -> Tensor:
        """Targets (..., K, D) in the user's units to standard ones; NaN stays NaN, dtype and device are kept."""
        return (target - self.center.to(target)) / self.scale.to(target)

    def invert(self, value: Tensor) -> Tensor:
        """Standard targets (..., K, D) back to the user's units."""
        return value * self.scale.to(value) + self.center.to(value)


def _spread(value: Tensor) -> Tensor:
    """1.4826 MAD (K, D), with its two fallbacks."""
    count = (~value.isnan()).sum(dim=0)  # (K, D)
    variance = (value - value.nanmean(dim=0)).square().nansum(dim=0) / count
    deviation = torch.where(variance > 0, variance.sqrt(), 1.0)
    scale = mad(value, dim=0)
    return torch.where(scale > 0, scale, deviation)


def _check(target: Tensor) -> None:
    _checks.floating("Standardizer.fit", "target", target)
    if target.dim() != 3 or not target.shape[0]:
        raise ValueError(f"Standardizer.fit: expected target (n, K, D) with n > 0, got {tuple(target.shape)}.")
    _checks.no_infinity("Standardizer.fit", "target", target)
    empty = target.isnan().all(dim=0).nonzero()
    if len(empty):
        k, d = empty[0].tolist()
        raise ValueError(f"Standardizer.fit: expected a label in every coordinate, got none at target {k}, axis {d}.")
