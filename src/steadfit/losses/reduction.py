"""One weight rule and one reduction rule for all losses.

Weights multiply losses, never residuals, so weight 2 equals the element twice and weight 0 equals its absence,
gradients included.
"""

from __future__ import annotations

import torch
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")


def reduce(loss: Tensor, weight: Tensor | None, reduction: str, present: Tensor | None = None) -> Tensor:
    """Weight and reduce elementwise losses.

    ``"mean"`` is sum(w l)/sum(w) over the elements that are present; without any (or with weights that sum to 0) it
    is 0, with zero gradients. ``"sum"`` is sum(w l), ``"none"`` w l with 0 for absent elements.
    """
    w = torch.ones_like(loss) if weight is None else weight.expand_as(loss)
    if present is not None:
        loss, w = torch.where(present, loss, 0.0), torch.where(present, w, 0.0)
    weighted = w * loss
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    total = w.sum()
    return weighted.sum() / torch.where(total > 0, total, 1.0)


def check_fits(who: str, name: str, value: Tensor, shape: torch.Size) -> None:
    """Only ``value`` may be broadcast, never the losses."""
    ours, given = tuple(shape), tuple(value.shape)
    lined = zip(reversed(given), reversed(ours), strict=False)
    if len(given) > len(ours) or any(a not in (1, b) for a, b in lined):
        raise ValueError(
            f"{who}: expected {name} to broadcast to {ours}, got {given}. One a sample is of shape (N, 1, ...)."
        )


def check_weight(who: str, weight: Tensor, shape: torch.Size) -> None:
    """Weights broadcast to the losses and are >= 0; the value is not looked at while compiling."""
    check_fits(who, "weight", weight, shape)
    if not torch.compiler.is_compiling() and bool((weight < 0).any()):
        raise ValueError(f"{who}: expected weights >= 0, got {float(weight.min())}.")
