"""The negative log-likelihood of a predicted elliptical distribution as a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit.core import predicted
from steadfit.core.elliptical import LOCATIONS, log_density
from steadfit.core.linalg.small import norm
from steadfit.core.penalty import Penalty
from steadfit.losses.reduction import REDUCTIONS, check_fits, check_weight, masked, reduce


class EllipticalLoss(nn.Module):
    r"""-log p(y), p(y) = \|A\|/c_d exp(-rho(\|\|A y - nu\|\|)), of the distribution predicted for a point.

    Its gradient with respect to nu is psi of the residual's length, at most delta for Huber, 1 for Laplace and
    Charbonnier: a wrong label moves the network no more than a doubtful right one.

    A label that is not visible, not annotated or of weight 0 adds neither loss nor gradient, whatever is predicted
    there.

    Args:
        penalty: rho, a proper one: ``Squared`` (Gauss), ``Absolute`` (Laplace), ``Huber``, ``Charbonnier``.
        covariance: ``"full"``, ``"diagonal"`` (A diagonal) or ``"identity"`` (A = I).
        location: what the network's first D numbers are: ``"nu"`` (the mean is A^-1 nu) or ``"mu"`` (the mean; the
            residual is A (y - mu)).
        floor: theta of eq. 9, in 1/unit of the target: eigenvalues of A above it are those that the network puts out,
            below it they fall off exponentially. It is not a lower bound.
        reduction: ``"mean"`` (sum of w l over sum of w), ``"sum"`` or ``"none"``.

    Call:
        prediction: (..., P), P being D for ``"identity"``, 2 D for ``"diagonal"``, D + D (D + 1)/2 for ``"full"``: the
            location, then v of :func:`steadfit.spd_from_vector` (the diagonal's entries for ``"diagonal"``).
        target: (..., D); a NaN in any coordinate means "not annotated".
        weight: >= 0, broadcasts to (...); None: 1.
        visible: (...), bool, False for labels that are left out; None: all are visible.

    Returns:
        A scalar, or (...) for ``"none"``, in nats. The normaliser is always included, so that values of different
        families compare. A density can exceed 1, so a loss below 0 is not an error.

    Raises:
        TypeError: targets that are not floating-point tensors.
        ValueError: an improper penalty, a prediction whose last axis is not P, unequal leading shapes, negative
            weights.

    Numerics:
        Half-precision predictions, as autocast makes them, are computed in float32. Gradients are finite wherever the
        loss is; at a residual of zero that of Laplace is 0. For Huber ||dL/dnu|| <= delta and
        ||dL/dv|| <= sqrt(D)/theta + delta ||y||.

    References:
        Mohlin et al., BMVC 2021, eqs 3, 6-10 and supplementary C (the normaliser corrected).

    >>> from steadfit.penalties import Squared
    >>> round(float(EllipticalLoss(Squared())(torch.tensor([[0.0, 0.0, 1.0, 0.0, 1.0]]), torch.zeros(1, 2))), 4)
    1.8379
    """

    def __init__(
        self,
        penalty: Penalty,
        covariance: str = "full",
        location: str = "nu",
        floor: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if not isinstance(penalty, Penalty):
            raise TypeError(f"EllipticalLoss: expected penalty to be a Penalty, got {type(penalty).__name__}.")
        penalty.require_proper()
        _checks.one_of("EllipticalLoss", "covariance", covariance, predicted.COVARIANCES)
        _checks.one_of("EllipticalLoss", "location", location, LOCATIONS)
        _checks.one_of("EllipticalLoss", "reduction", reduction, REDUCTIONS)
        self.penalty, self.covariance, self.location = penalty, covariance, location
        self.floor, self.reduction = _checks.positive("EllipticalLoss", "floor", floor), reduction

    def forward(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None = None, *, visible: Tensor | None = None
    ) -> Tensor:
        _check_shapes(prediction, target, self.covariance)
        output = predicted.full_precision(prediction)
        present = ~target.isnan().any(dim=-1)
        if visible is not None:
            check_fits("EllipticalLoss", "visible", visible, present.shape)
            present = present & visible.bool()
        if weight is not None:
            check_weight("EllipticalLoss", weight, present.shape)
            present = present & (weight != 0)
        with torch.autocast(output.device.type, enabled=False):
            loss = negative_log_likelihood(
                output, target.to(output.dtype), present, self.penalty, self.covariance, self.location, self.floor
            )
            return reduce(loss, weight, self.reduction, present)

    def extra_repr(self) -> str:
        return f"{self.penalty}, covariance={self.covariance!r}, location={self.location!r}, floor={self.floor}"


def negative_log_likelihood(
    output: Tensor, target: Tensor, present: Tensor, penalty: Penalty, covariance: str, location: str, floor: float
) -> Tensor:
    """-log p(y) of every label, (...), for numbers (..., P) and targets (..., D), both 0 where not ``present``."""
    seen = present.unsqueeze(-1)
    residual, log_det = predicted.residual(masked(output, seen), masked(target, seen), covariance, location, floor)
    return -log_density(norm(residual), log_det, penalty, target.shape[-1])


def _check_shapes(prediction: Tensor, target: Tensor, covariance: str) -> None:
    _checks.floating("EllipticalLoss", "prediction", prediction)
    _checks.floating("EllipticalLoss", "target", target)
    if not target.dim() or not target.shape[-1]:
        raise ValueError(f"EllipticalLoss: expected target (..., D), D >= 1, got {tuple(target.shape)}.")
    wanted = predicted.n_parameters(target.shape[-1], covariance)
    if prediction.shape != (*target.shape[:-1], wanted):
        raise ValueError(
            f"EllipticalLoss: expected prediction {(*target.shape[:-1], wanted)} for target {tuple(target.shape)} and "
            f"covariance {covariance!r}, got {tuple(prediction.shape)}."
        )
