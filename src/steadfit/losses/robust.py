"""Losses as ``nn.Module``: one weight rule, one reduction rule.

Call: ``loss(prediction, target, weight=None)``. Weights multiply losses, never residuals, so weight 2 equals the
element twice and weight 0 equals its absence, gradients included.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.penalties import Penalty

__all__ = ["RobustLoss"]

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


def _fits(name: str, value: Tensor, target: Tensor) -> None:
    """Only ``value`` may be broadcast, never the target."""
    ours, given = tuple(target.shape), tuple(value.shape)
    lined = zip(reversed(given), reversed(ours), strict=False)
    if len(given) > len(ours) or any(a not in (1, b) for a, b in lined):
        raise ValueError(
            f"RobustLoss: expected {name} to broadcast to {ours}, got {given}. One a sample is of shape (N, 1, ...)."
        )


class RobustLoss(nn.Module):
    """rho((target - prediction)/scale) of any penalty.

    Args:
        penalty: a :class:`steadfit.penalties.Penalty`.
        scale: the residuals' scale in the target's unit: a number > 0, or a tensor that broadcasts against the
            target (one per output, say); a constant in backpropagation.
        reduction: ``"mean"`` (sum of w l over sum of w), ``"sum"`` or ``"none"``.

    Call with prediction and target of one shape. ``weight`` broadcasts to it and is >= 0. NaN in the target means "not
    annotated": it adds neither loss nor gradient. Returns a scalar, or the target's shape for ``"none"``; no unit.

    Raises: TypeError for targets that are no floating-point tensors; ValueError for unequal shapes, a scale that is
    not positive, negative weights, a scale or weight that does not broadcast to the target.

    Numerics: finite values and gradients wherever rho is finite; the gradient with respect to the prediction is
    -psi(u)/scale. An all-missing target gives 0.

    >>> from steadfit.penalties import Tukey
    >>> RobustLoss(Tukey(c=3.0), scale=2.0)(torch.tensor([0.0]), torch.tensor([100.0]))
    tensor(1.5000)
    """

    scale: Tensor

    def __init__(self, penalty: Penalty, scale: float | Tensor = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        if not isinstance(penalty, Penalty):
            raise TypeError(f"RobustLoss: expected penalty to be a Penalty, got {type(penalty).__name__}.")
        _checks.one_of("RobustLoss", "reduction", reduction, REDUCTIONS)
        value = scale.detach().clone() if isinstance(scale, Tensor) else torch.tensor(float(scale), dtype=torch.float64)
        if not bool((torch.isfinite(value) & (value > 0)).all()):
            bad = value[~(torch.isfinite(value) & (value > 0))].flatten()[0].item()
            raise ValueError(f"RobustLoss: expected scale > 0 and finite, got {bad}. Put a floor under it.")
        self.penalty, self.reduction = penalty, reduction
        self.register_buffer("scale", value)

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        _checks.floating("RobustLoss", "target", target)
        _checks.same_shape("RobustLoss", "prediction", prediction, "target", target)
        _fits("scale", self.scale, target)
        present = ~target.isnan()
        if weight is not None:
            _fits("weight", weight, target)
            if not torch.compiler.is_compiling() and bool((weight < 0).any()):
                raise ValueError(f"RobustLoss: expected weights >= 0, got {float(weight.min())}.")
            present = present & (weight != 0)  # masked before rho: 0 times an infinite loss would be NaN
        residual = torch.where(present, target, prediction.detach()) - prediction
        loss = self.penalty.rho(residual / self.scale.to(residual.dtype))
        return reduce(loss, weight, self.reduction, present)

    def extra_repr(self) -> str:
        return f"{self.penalty}, scale={self.scale.tolist()}, reduction={self.reduction!r}"
