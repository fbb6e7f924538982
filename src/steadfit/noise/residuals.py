"""Residuals of labels: their masks, losses and trust, shared by the noise models.

Shapes: N samples, K points, D coordinates each; NaN where a label is missing or has no verdict.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.penalties import Penalty


def residual_of(location: Tensor, target: Tensor) -> Tensor:
    """target - location, NaN where the label is missing or the location is not finite.

    Args:
        location: (N, K, D), the predicted targets.
        target: (N, K, D), NaN where a coordinate is missing.

    Raises:
        ValueError: different shapes.
    """
    _checks.same_shape("residual_of", "location", location, "target", target)
    return torch.where(location.isfinite(), target - location, torch.nan)


def masked_sum(loss: Tensor, weight: Tensor | None, target: Tensor) -> Tensor:
    """Coordinate losses (N, K, D) to label losses (N, K): weighted, and 0 for what is not annotated.

    Args:
        loss: (N, K, D).
        weight: (N, K, D); None: 1.
        target: (N, K, D), NaN where a coordinate is missing.
    """
    weighted = loss if weight is None else weight * loss
    return torch.where(target.isnan(), 0.0, weighted).sum(dim=-1)


def penalized(
    penalty: Penalty,
    location: Tensor,
    target: Tensor,
    scale: Tensor | float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """rho((target - location)/scale), (N, K, D).

    What is missing or has weight 0 is masked before rho, so that no NaN of it reaches a gradient.

    Args:
        penalty: rho.
        location: (N, K, D), the predicted targets.
        target: (N, K, D), NaN where a coordinate is missing.
        scale: > 0, broadcasts to (N, K, D).
        weight: (N, K, D); None: 1.
    """
    absent = target.isnan() if weight is None else target.isnan() | (weight == 0)
    residual = torch.where(absent, 0.0, target - location)
    return penalty.rho(residual / scale)


def trust_of_labels(trust: Tensor, target: Tensor) -> Tensor:
    """The trust of labels, (N, K), from that of their coordinates: the least of those that are annotated.

    Args:
        trust: (N, K, D), the trust of each coordinate; NaN where there is no verdict.
        target: (N, K, D), NaN where a coordinate is missing.

    Returns:
        In [0, 1]: 0 without a verdict; NaN where the label is missing.
    """
    missing = target.isnan()
    each = trust.nan_to_num(nan=0.0).clamp(0.0, 1.0)
    worst = torch.where(missing, 1.0, each).amin(dim=-1)  # a missing coordinate does not lower the others
    return worst.masked_fill(missing.all(dim=-1), torch.nan)


def at_least_single(value: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return value if value.dtype in (torch.float32, torch.float64) else value.float()
