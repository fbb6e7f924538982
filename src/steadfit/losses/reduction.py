"""The weight rule and the reduction rule of all losses.

Weights multiply losses, never residuals, so weight 2 equals the element twice and weight 0 equals its absence,
gradients included: whatever the prediction or the target of an absent element is, even NaN or inf. So both are replaced
there before anything is computed (:func:`masked`); 0 times the gradient of an infinite loss would be NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steadfit import _checks

REDUCTIONS = ("none", "mean", "sum")


def reduce(loss: Tensor, weight: Tensor | None, reduction: str, present: Tensor | None = None) -> Tensor:
    """Weight and reduce elementwise losses.

    ``"mean"`` is sum(w l)/sum(w) over the elements that are present; without any (or with weights that sum to 0) it
    is 0, with zero gradients. ``"sum"`` is sum(w l), ``"none"`` w l with 0 for absent elements.

    Args:
        loss: elementwise, float32 or float64, since sums of some thousand elements overflow in half precision.
        weight: broadcasts to ``loss``; of any dtype, computed in the wider one of the loss's and its own; None: 1.
        reduction: one of :data:`REDUCTIONS`.
        present: bool, the elements that count; None: all.

    Returns:
        A scalar, or the shape of ``loss`` for ``"none"``.
    """
    if weight is None:
        w = torch.ones_like(loss)
    else:
        w = weight.to(torch.promote_types(weight.dtype, loss.dtype)).expand_as(loss)
    if present is not None:
        loss, w = torch.where(present, loss, 0.0), torch.where(present, w, 0.0)
    weighted = w * loss
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    total = w.sum()
    return weighted.sum() / torch.where(total > 0, total, 1.0)


def masked(value: Tensor, present: Tensor | None, fill: float = 0.0) -> Tensor:
    """``value``, and ``fill`` where not ``present``, a bool mask that broadcasts; None: all are."""
    return value if present is None else torch.where(present, value, fill)


def check_fits(who: str, name: str, value: Tensor, shape: torch.Size) -> None:
    """Check that ``value`` broadcasts to the losses, which are never broadcast themselves."""
    ours, given = tuple(shape), tuple(value.shape)
    lined = zip(reversed(given), reversed(ours), strict=False)
    if len(given) > len(ours) or any(a not in (1, b) for a, b in lined):
        raise ValueError(
            f"{who}: expected {name} to broadcast to {ours}, got {given}. One a sample is of shape (N, 1, ...)."
        )


def check_weight(who: str, weight: Tensor, shape: torch.Size) -> None:
    """Check that weights broadcast to the losses and are >= 0; values are not checked while compiling or vmapping."""
    check_fits(who, "weight", weight, shape)
    if not _checks.hidden() and bool((weight < 0).any()):
        raise ValueError(f"{who}: expected weights >= 0, got {float(weight[weight < 0].min())}.")
