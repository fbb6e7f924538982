"""Fusion of several predictions of one point: the joint mode of elliptical densities, and its precision."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core import joint_mode
from steadfit.core.elliptical import LOCATIONS
from steadfit.core.penalty import Penalty
from steadfit.errors import ConvergenceWarning


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """What :func:`fuse_views` found.

    Attributes:
        mode: (..., D), in the unit of y.
        precision: (..., D, D), in 1/unit^2.
        weight: (V, ...), w_v = psi(r_v)/r_v at the mode, 0 where a view takes no part.
        n_iter: (...), int64, the steps taken.
        converged: (...), bool.
    """

    mode: Tensor
    precision: Tensor
    weight: Tensor
    n_iter: Tensor
    converged: Tensor


def fuse(
    nu: Tensor,
    root: Tensor,
    penalty: Penalty,
    *,
    location: str = "nu",
    weight: Tensor | None = None,
    resolution: float = 1e-6,
    max_iter: int = 1000,
    tol: float = 1e-12,
) -> tuple[Tensor, Tensor]:
    """The joint mode of several elliptical densities of one point, and its precision.

    mode = argmin_y sum_v rho(||A_v y - nu_v||),  precision = sum_v w_v A_v^2,  w_v = psi(r_v)/r_v at the mode

    A view that contradicts the others loses weight instead of dragging the average along; where views agree, or for
    :class:`~steadfit.penalties.Squared`, it is the precision-weighted mean.

    Args:
        nu: (V, ..., D), the views' locations: nu of the residual A y - nu, or the means mu of A (y - mu), in the unit
            of y.
        root: (V, ..., D, D), A_v, symmetric positive definite, in 1/unit of y. NaN anywhere in a view's nu or root
            means that the view is missing there: it takes no part.
        penalty: rho, which the densities share. A convex one has one minimum, or several of one value, whatever the
            views: Squared, Absolute, Huber, Charbonnier, Barron from alpha = 1 on, and what declares itself ``convex``.
        location: what ``nu`` holds, ``"nu"`` or ``"mu"``; "mu" is exact where coordinates are large relative to their
            precision.
        weight: (V, ...), >= 0, multiplies each view's rho; 2 counts the view twice, 0 leaves it out.
        resolution: the smallest residual, in standardised units, at which the infinite weight of
            :class:`~steadfit.penalties.Absolute` at 0 is taken for the precision: w <= 1/resolution. 1 bounds every
            view's share of the precision by A_v^2.
        max_iter: the largest number of steps; a case that needs more is reported by a
            :class:`~steadfit.errors.ConvergenceWarning`.
        tol: the iteration ends with a Newton step shorter than tol (1 + distance from the start), in units of the
            views' joint standard deviation.

    Returns:
        ``mode`` (..., D) in the unit of y and ``precision`` (..., D, D) in 1/unit^2, in nu's dtype, without gradients.

        - Several minima (Absolute, Huber: views on a line whose pulls cancel): the one with the least
          sum ||A_v y - nu_v||^2, which is the precision-weighted mean if that is a minimum. It does not depend on the
          order of the views. Pulls that cancel to 16 eps of the dtype cancel.
        - A penalty that is not convex: a local minimum, reached by descent from the precision-weighted mean.
        - No weight left at that mean (Tukey, all views too far from it): the mean, with precision 0.
        - One view: its own mode, and w(0) A^2.
        - No view: mode NaN, precision 0.
        - Roots that leave a direction open between them: some minimum, finite.

    Raises:
        TypeError: nu, root or weight is not a floating-point tensor.
        ValueError: shapes that do not fit, no view, an infinite value, a negative weight, an unknown location,
            resolution, max_iter or tol out of range.

    Numerics:
        Computed in float64. Positions are exact to about 1e-12 joint standard deviations times the largest residual,
        whatever the condition of the roots up to 1e12 (in the nu-location rounding of nu itself costs more).

    References:
        Mohlin et al., BMVC 2021, appendix E, eqs 129-131 (there 20 fixed steps of majorise-minimise, which are not
        enough).
        Vardi & Zhang, PNAS 2000 (the mode at a view's own mode).

    >>> from steadfit.penalties import Huber
    >>> mode, precision = fuse(torch.tensor([[0.0], [0.2], [9.0]]), torch.ones(3, 1, 1), Huber(1.0))
    >>> round(float(mode), 4), round(float(precision), 4)  # 2 y - .2 = 1, and 1 + 1 + 1/8.4
    (0.6, 2.119)
    """
    found = _fuse("fuse", nu, root, penalty, location, weight, resolution, max_iter, tol)
    return found.mode, found.precision


def fuse_views(
    nu: Tensor,
    root: Tensor,
    penalty: Penalty,
    *,
    location: str = "nu",
    weight: Tensor | None = None,
    resolution: float = 1e-6,
    max_iter: int = 1000,
    tol: float = 1e-12,
) -> Fusion:
    """:func:`fuse` with the weight of every view at the mode, the steps taken and whether they converged.

    >>> from steadfit.penalties import Huber
    >>> found = fuse_views(torch.tensor([[0.0], [0.0], [9.0]]), torch.ones(3, 1, 1), Huber(1.0))
    >>> float(found.mode), bool(found.converged)
    (0.5, True)
    """
    return _fuse("fuse_views", nu, root, penalty, location, weight, resolution, max_iter, tol)


@torch.no_grad()
def _fuse(
    who: str,
    nu: Tensor,
    root: Tensor,
    penalty: Penalty,
    location: str,
    weight: Tensor | None,
    resolution: float,
    max_iter: int,
    tol: float,
) -> Fusion:
    _check(who, nu, root, penalty, location, weight, resolution, max_iter, tol)
    batch, dim = nu.shape[1:-1], nu.shape[-1]
    spot = nu.double().flatten(1, -2).transpose(0, 1) if batch else nu.double().unsqueeze(0)  # (B, V, D)
    roots = root.double().reshape(len(root), len(spot), dim, dim).transpose(0, 1)  # (B, V, D, D)
    share = torch.ones_like(spot[..., 0]) if weight is None else weight.double().reshape(len(nu), len(spot)).T  # (B, V)
    seen = (share > 0) & ~(spot.isnan().any(dim=-1) | roots.isnan().flatten(2).any(dim=-1))
    spot, roots = spot.masked_fill(~seen[..., None], 0.0), roots.masked_fill(~seen[..., None, None], 0.0)
    share = share.masked_fill(~seen, 0.0)
    origin = torch.zeros_like(spot[:, :1])
    if location == "mu":  # relative to an origin amid the views, so that large coordinates do not cancel
        origin = spot.sum(dim=1, keepdim=True) / seen.sum(dim=1).clamp(min=1)[:, None, None]
        spot = joint_mode.product(roots, spot - origin)  # 0 where not seen, as the roots are
    problem, mean, factor = joint_mode.Problem.of(spot, roots, share, penalty)
    z, n_iter, converged = joint_mode.minimize(problem, penalty, max_iter, tol)
    z = joint_mode.settle(problem, penalty, z, max(16 * torch.finfo(nu.dtype).eps, 1e-13))
    _warn(who, converged, max_iter)
    mode = torch.linalg.solve_triangular(factor, (mean + z).unsqueeze(-1), upper=True).squeeze(-1) + origin.squeeze(1)
    weighted = problem.weight(joint_mode.length(problem.residual(z)), penalty, resolution)  # (B, V), 0 where not seen
    precision = (weighted[..., None, None] * (roots.mT @ roots)).sum(dim=1)
    return Fusion(
        mode=mode.masked_fill(~seen.any(dim=1, keepdim=True), math.nan).to(nu.dtype).reshape(*batch, dim),
        precision=precision.to(nu.dtype).reshape(*batch, dim, dim),
        weight=(weighted / torch.where(seen, share, 1.0)).T.to(nu.dtype).reshape(len(nu), *batch),
        n_iter=n_iter.reshape(batch),
        converged=converged.reshape(batch),
    )


def _warn(who: str, converged: Tensor, max_iter: int) -> None:
    if not bool(converged.all()):
        warnings.warn(
            f"{who}: {int((~converged).sum())} of {converged.numel()} cases not converged after {max_iter} steps. "
            "Raise max_iter or tol, or use a convex penalty (Huber, Charbonnier).",
            ConvergenceWarning,
            stacklevel=5,  # past the decorator, at the caller of the public function
        )


def _check(
    who: str,
    nu: Tensor,
    root: Tensor,
    penalty: Penalty,
    location: str,
    weight: Tensor | None,
    resolution: float,
    max_iter: int,
    tol: float,
) -> None:
    _checks.one_of(who, "location", location, LOCATIONS)
    if not isinstance(penalty, Penalty):
        raise TypeError(f"{who}: expected penalty to be a penalty, got {type(penalty).__name__}. Pass Huber(1.0), say.")
    _checks.floating(who, "nu", nu)
    _checks.floating(who, "root", root)
    if nu.dim() < 2 or nu.shape[0] == 0 or nu.shape[-1] == 0:
        raise ValueError(f"{who}: expected nu of shape (V, ..., D) with V, D >= 1, got {tuple(nu.shape)}.")
    if root.shape != (*nu.shape, nu.shape[-1]):
        raise ValueError(f"{who}: expected root of shape {(*nu.shape, nu.shape[-1])}, got {tuple(root.shape)}.")
    _checks.no_infinity(who, "nu", nu)
    _checks.no_infinity(who, "root", root)
    if weight is not None:
        _checks.floating(who, "weight", weight)
        if weight.shape != nu.shape[:-1]:
            raise ValueError(f"{who}: expected weight of shape {tuple(nu.shape[:-1])}, got {tuple(weight.shape)}.")
        _checks.no_infinity(who, "weight", weight)
        if bool((weight < 0).any()):
            raise ValueError(f"{who}: expected weight >= 0, got {float(weight[weight < 0][0])}.")
    _checks.positive(who, "resolution", resolution)
    if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 1:
        raise ValueError(f"{who}: expected max_iter to be an integer >= 1, got {max_iter!r}.")
    _checks.positive(who, "tol", tol)
