"""A loss from any penalty of the scaled residual."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.penalty import Penalty
from steadfit.core.predicted import full_precision
from steadfit.losses.reduction import REDUCTIONS, check_fits, check_weight, masked, reduce


class RobustLoss(nn.Module):
    """rho((target - prediction)/scale) of any penalty.

    What is not annotated or has weight 0 adds neither loss nor gradient, whatever the prediction or target is there.

    Args:
        penalty: a :class:`steadfit.penalties.Penalty`.
        scale: the residuals' scale in the target's unit: a number > 0, or a tensor that broadcasts against the
            target (one per output, say); a constant in backpropagation. The buffer ``scale`` has torch's default dtype,
            float32 unless set otherwise, whatever is given: a float64 buffer could not be moved to devices without
            float64 (``"mps"``).
        reduction: ``"mean"`` (sum of w l over sum of w), ``"sum"`` or ``"none"``.

    Call:
        prediction: of any shape.
        target: of the same shape; NaN means "not annotated".
        weight: >= 0, broadcasts to the target; None: 1.

    Returns:
        A scalar, or the target's shape for ``"none"``; without unit.

    Raises:
        TypeError: targets that are not floating-point tensors.
        ValueError: unequal shapes, a scale that is not positive or not finite in its dtype, negative weights, a scale
            or weight that does not broadcast to the target.

    Numerics:
        Finite values and gradients wherever rho is finite; the gradient with respect to the prediction is
        -psi(u)/scale. Half precision is computed in float32, the dtype of the loss. A target without any label gives 0.

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
        value = torch.as_tensor(scale).detach().to(torch.get_default_dtype(), copy=True)
        if not bool((torch.isfinite(value) & (value > 0)).all()):
            bad = value[~(torch.isfinite(value) & (value > 0))].flatten()[0].item()
            raise ValueError(f"RobustLoss: expected scale > 0 and finite, got {bad}. Put a floor under it.")
        self.penalty, self.reduction = penalty, reduction
        self.register_buffer("scale", value)

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        _checks.floating("RobustLoss", "target", target)
        _checks.same_shape("RobustLoss", "prediction", prediction, "target", target)
        check_fits("RobustLoss", "scale", self.scale, target.shape)
        present = ~target.isnan()
        if weight is not None:
            check_weight("RobustLoss", weight, target.shape)
            present = present & (weight != 0)
        residual = masked(full_precision(target) - full_precision(prediction), present)
        loss = self.penalty.rho(residual / self.scale.to(residual.dtype))
        return reduce(loss, weight, self.reduction, present)

    def extra_repr(self) -> str:
        return f"{self.penalty}, scale={self.scale.tolist()}, reduction={self.reduction!r}"
