"""Labels under predicted elliptical densities: Mahalanobis radii, expected errors, and the checks they share.

A prediction is p(y) = |A|/c_d exp(-rho(||A (y - mu)||)): a mean mu ``(N, K, D)`` in the user's units, a root A
``(N, K, D, D)``, symmetric positive definite, in 1/unit, and a proper penalty rho. Targets are ``(N, K, D)``; a label
with a NaN coordinate takes no part in anything. Everything is computed in float64.

References:
    Mohlin et al., BMVC 2021, eq. 3 and section 4.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.linalg.small import multiply, norm
from steadfit.core.penalties import Penalty
from steadfit.core.radial import log_sphere

__all__ = ["expected_error", "mahalanobis"]


def mahalanobis(mean: Tensor, root: Tensor, target: Tensor) -> Tensor:
    """The Mahalanobis radius of every label under its predicted ellipse.

    r = ||A (y - mu)||

    Coverage, PIT, temperature and conformal radii need nothing else: for a calibrated prediction r is distributed as
    the norm of the family's standard member, whatever A is.

    Args:
        mean: ``(N, K, D)``, mu in the user's units, finite.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)`` in the user's units; NaN marks a missing label.

    Returns:
        ``(N, K)``, without unit, >= 0, in the target's dtype; NaN where a coordinate of the label is missing.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: shapes that do not fit, infinite targets, a mean or root that is not finite, a root that is not
            symmetric positive definite.

    Numerics:
        Computed in float64; no overflow of the squares.

    References:
        Mohlin et al., BMVC 2021, eq. 3, mu-parametrisation.

    >>> mean, target = torch.zeros(1, 1, 2), torch.tensor([[[3.0, 4.0]]])
    >>> mahalanobis(mean, 2 * torch.eye(2).expand(1, 1, 2, 2), target).tolist()
    [[10.0]]
    """
    residual, wide = checked("mahalanobis", mean, root, target)
    return norm(multiply(wide, residual)).to(target.dtype)


def expected_error(root: Tensor, penalty: Penalty) -> Tensor:
    """The expected error of a prediction: the mean Euclidean distance of its label from its mean.

    E||y - mu|| = E[R] · mean over directions e of ||A⁻¹ e||,  E[R] = I_D/I_(D-1),  I_n = ∫ r^n exp(-rho(r)) dr

    It is not sqrt(tr Sigma), the root of the mean square, which is larger (by 13 % for a round Gaussian in the plane):
    mean errors have to be compared with the mean.

    Args:
        root: ``(..., D, D)``, A in 1/unit, symmetric positive definite.
        penalty: a proper penalty.

    Returns:
        ``(...)`` in the user's units, > 0, in the root's dtype.

    Raises:
        TypeError: a tensor that is not floating.
        ValueError: an improper penalty, a root that is not finite or not symmetric positive definite.

    Numerics:
        Exact for D = 1; otherwise to about 1e-13 relative times the condition number of A.

    References:
        Mohlin et al., BMVC 2021, section 4.2, Fig. 3.

    >>> from steadfit.penalties import Squared
    >>> round(float(expected_error(torch.eye(2, dtype=torch.float64), Squared())), 6)  # sqrt(pi/2)
    1.253314
    """
    wide = checked_root("expected_error", root)
    return (mean_radius(penalty, wide.shape[-1]) * mean_stretch(wide)).to(root.dtype)


def mean_radius(penalty: Penalty, dim: int) -> float:
    """E[R] of the standard member in R^dim: I_dim/I_(dim-1)."""
    log_moment = [penalty.log_normalizer(d) - log_sphere(d) for d in (dim, dim + 1)]  # log I_(d-1)
    return math.exp(log_moment[1] - log_moment[0])


def mass_within(penalty: Penalty, radius: Tensor, dim: int, block: int = 1 << 13) -> Tensor:
    """``penalty.mass`` in blocks: Charbonnier's takes hundreds of numbers for each."""
    masses = [penalty.mass(part, dim) for part in torch.split(radius.flatten(), block)]
    return torch.cat(masses).reshape(radius.shape)


def mean_stretch(root: Tensor) -> Tensor:
    """The mean of ||A⁻¹ e|| over unit vectors e, (..., D, D) to (...): an elliptic integral for D = 2.

    E||A⁻¹ z|| / E||z|| for z standard normal, where E sqrt(Q) = ∫ (1 - E exp(-tQ)) t^(-3/2) dt / (2 sqrt(pi)) and
    E exp(-tQ) = prod_i (1 + 2 t l_i)^(-1/2), l_i the squared half-axes; in units of the longest. With
    t = exp(8 sinh u) the integrand falls off doubly exponentially, and the trapezoid rule is exact to rounding.
    """
    dim = root.shape[-1]
    if dim == 1:
        return root[..., 0, 0].reciprocal()
    eigenvalue = torch.linalg.eigvalsh(root)
    tiny = torch.finfo(root.dtype).eps * eigenvalue[..., -1:]  # an eigenvalue below it is rounding
    eigenvalue = torch.maximum(eigenvalue, tiny)
    longest = eigenvalue[..., :1].reciprocal()
    square = (eigenvalue[..., :1] / eigenvalue) ** 2  # (..., D), in (0, 1]
    u = np.linspace(-2.75, 2.75, 81 if dim <= 8 else 161)  # 2e-8 with 81 at D = 1000
    log_t, step = 8 * np.sinh(u), 8 * np.cosh(u) * (u[1] - u[0])
    total = torch.zeros_like(square[..., 0])
    for t, w in zip(np.exp(log_t), step * np.exp(-log_t / 2), strict=True):
        total -= float(w) * torch.expm1(-0.5 * torch.log1p(2 * float(t) * square).sum(-1))
    mean_norm = math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))  # E||z||
    return longest.squeeze(-1) * total / (2 * math.sqrt(math.pi) * mean_norm)


def checked(who: str, mean: Tensor, root: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """target - mean, (N, K, D), NaN where any coordinate is missing, and the root; both float64, after the checks."""
    _checks.floating(who, "mean", mean)
    _checks.same_shape(who, "mean", mean, "target", _checks.floating(who, "target", target))
    if target.ndim != 3:
        raise ValueError(f"{who}: expected mean of shape (N, K, D), got {tuple(mean.shape)}. Reshape to (N, K, D).")
    _checks.no_infinity(who, "target", target)
    _finite(who, "mean", mean)
    wide = checked_root(who, root)
    if root.shape != (*mean.shape, mean.shape[-1]):
        raise ValueError(
            f"{who}: expected root of shape {(*mean.shape, mean.shape[-1])}, got {tuple(root.shape)}. "
            "Give one matrix A for each point."
        )
    missing = target.isnan().any(-1, keepdim=True)
    return (target.detach().double() - mean.detach().double()).masked_fill(missing, math.nan), wide


def checked_root(who: str, root: Tensor) -> Tensor:
    """The root in float64, if it is a stack of symmetric positive definite matrices."""
    _checks.floating(who, "root", root)
    if root.ndim < 2 or root.shape[-1] != root.shape[-2] or root.shape[-1] < 1:
        raise ValueError(f"{who}: expected root of shape (..., D, D), got {tuple(root.shape)}.")
    _finite(who, "root", root)
    wide = root.detach().double()
    _refuse(who, "symmetric", (wide - wide.mT).abs().amax((-2, -1)) > 1e-4 * wide.abs().amax((-2, -1)))
    _refuse(who, "positive definite", torch.linalg.cholesky_ex(wide).info > 0)
    return wide


def log_determinant(root: Tensor) -> Tensor:
    """log|A| of checked roots, (..., D, D) to (...)."""
    diagonal: Tensor = torch.linalg.cholesky_ex(root).L.diagonal(dim1=-2, dim2=-1)
    return 2 * diagonal.log().sum(-1)


def checked_weight(who: str, weight: Tensor | None, keep: Tensor) -> Tensor:
    """Weights in float64: 1 if none are given, and 0 where there is no label (where they may be NaN)."""
    if weight is None:
        return keep.double()
    _checks.same_shape(who, "weight", _checks.floating(who, "weight", weight), "labels", keep)
    bad = ~((weight >= 0) & (weight <= 1)) & keep
    if bool(bad.any()):
        where = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{who}: expected weights in [0, 1], got {int(bad.sum())} others, the first {float(weight[where])} at "
            f"{where}. Give the probability that a label is right."
        )
    return torch.where(keep, weight.detach().double(), 0.0)


@dataclass(frozen=True)
class Labels:
    """Checked predictions and labels in float64. A label that is missing has radius 0, residual 0 and weight 0."""

    residual: Tensor  # (N, K, D) y - mu
    root: Tensor  # (N, K, D, D)
    radius: Tensor  # (N, K)
    weight: Tensor  # (N, K)

    @property
    def dim(self) -> int:
        return self.residual.shape[-1]


def labels(who: str, mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty, weight: Tensor | None) -> Labels:
    """The checked labels from which every measure of calibration starts."""
    residual, wide = checked(who, mean, root, target)
    penalty.require_proper()
    keep = ~residual.isnan().any(-1)
    residual = residual.nan_to_num(nan=0.0)
    radius = norm(multiply(wide, residual))
    return Labels(residual, wide, radius, checked_weight(who, weight, keep))


def average(value: Tensor, weight: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """sum(w v)/sum(w) over the labels with weight; NaN without any."""
    kept = torch.where(weight > 0, value, 0.0)
    return (weight * kept).sum(dim) / weight.sum(dim)


def _finite(who: str, name: str, value: Tensor) -> None:
    bad = ~value.isfinite()
    if bool(bad.any()):
        where = tuple(bad.nonzero()[0].tolist())
        raise ValueError(f"{who}: expected finite {name}, got {int(bad.sum())} values that are not, first at {where}.")


def _refuse(who: str, rule: str, bad: Tensor) -> None:
    if bool(bad.any()):
        where = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{who}: expected root to be {rule}, got {int(bad.sum())} matrices that are not, the first at {where}. "
            "The root is A with covariance proportional to A⁻², not a Cholesky factor."
        )
