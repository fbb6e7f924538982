"""Proper scores of predicted densities: negative log-likelihood, energy score, CRPS. The lower, the better."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from steadfit.core.elliptical import log_density
from steadfit.core.linalg.small import multiply, norm
from steadfit.core.penalties import Penalty
from steadfit.core.radial import log_sphere
from steadfit.metrics.elliptical import checked, log_determinant, mass_within, mean_radius, mean_stretch

__all__ = ["energy_score", "negative_log_likelihood"]


def negative_log_likelihood(mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty) -> Tensor:
    """The negative log-likelihood of every label, with the family's normaliser.

    -log p(y) = rho(||A (y - mu)||) + log c_d - log|A|

    With log c_d families can be compared. As A is in 1/unit the density is per unit^D, so that another unit shifts all
    scores alike, by D log(unit ratio). The score may be negative: a density can be above 1.

    Args:
        mean: ``(N, K, D)``, mu in the user's units.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)``; NaN marks a missing label.
        penalty: a proper penalty.

    Returns:
        ``(N, K)`` in nats per label, in the target's dtype; NaN where the label is missing.

    Raises:
        TypeError: as :func:`~steadfit.metrics.mahalanobis`.
        ValueError: as :func:`~steadfit.metrics.mahalanobis`; an improper penalty.

    Numerics:
        Computed in float64.

    References:
        Mohlin et al., BMVC 2021, eqs 2-3.

    >>> from steadfit.penalties import Squared
    >>> one = torch.eye(2, dtype=torch.float64).expand(1, 1, 2, 2)
    >>> zero = torch.zeros(1, 1, 2, dtype=torch.float64)
    >>> round(float(negative_log_likelihood(zero, one, zero, Squared())), 6)  # log(2 pi)
    1.837877
    """
    residual, wide = checked("negative_log_likelihood", mean, root, target)
    radius = norm(multiply(wide, residual))
    return -log_density(radius, log_determinant(wide), penalty, target.shape[-1]).to(target.dtype)


@torch.no_grad()
def energy_score(
    mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty, *, samples: int = 1024, seed: int = 0
) -> Tensor:
    """The energy score of every label; for D = 1 it is the continuous ranked probability score (CRPS).

    ES = E||Y - y|| - E||Y - Y'||/2, Y and Y' drawn from the prediction

    A far label counts linearly, whereas in the likelihood of a Gaussian it counts squared. The score of a prediction
    without spread is its Euclidean error.

    Args:
        mean: ``(N, K, D)``, mu in the user's units.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)``; NaN marks a missing label.
        penalty: a proper penalty.
        samples: draws for D > 1, a power of two >= 4.
        seed: seed of the draws, which all labels share, so that scores of two predictions differ by less noise.

    Returns:
        ``(N, K)`` in the user's units, > 0 except for the sampling error, in the target's dtype; NaN where missing.

    Raises:
        TypeError: as :func:`negative_log_likelihood`.
        ValueError: as :func:`negative_log_likelihood`; another number of samples.

    Numerics:
        D = 1 is exact for every penalty. For D > 1 the second term is exact (Y - Y' is elliptical too) and the first is
        the mean over ``samples``/2 scrambled Sobol points and their mirror images, with a bias over seeds below .001.
        At 1024 samples its standard error, as a share of the expected error, is about .001 for a label at D = 2, .003
        at D = 3, .004 at D = 5, and below .001 for the mean over many labels, at the default seed too.

    References:
        Gneiting & Raftery, JASA 2007, eq. 22.
        Baringhaus & Franz, J. Multivariate Analysis 2004.

    >>> from steadfit.penalties import Absolute
    >>> one, zero = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    >>> round(float(energy_score(zero, one, zero, Absolute())), 9)  # |z| + exp(-|z|) - 3/4
    0.25
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 4 or samples & (samples - 1):
        raise ValueError(f"energy_score: expected samples to be a power of two >= 4, got {samples!r}.")
    residual, wide = checked("energy_score", mean, root, target)
    dim = target.shape[-1]
    spread = 0.5 * _pair_distance(penalty, dim) * mean_stretch(wide)  # E||Y - Y'||/2
    keep = ~residual.isnan().any(-1)
    to_label = torch.full_like(spread, math.nan)
    if dim == 1:
        to_label[keep] = _to_label_1d(residual[keep], wide[keep], penalty)
    else:
        to_label[keep] = _to_label(residual[keep], wide[keep], _draws(penalty, dim, samples, seed).to(wide.device))
    return (to_label - spread).to(target.dtype)


def _to_label_1d(residual: Tensor, root: Tensor, penalty: Penalty) -> Tensor:
    """E|Y - y| = (z P(|Z| <= z) + E[|Z|; |Z| > z])/a; the second term is a mass in two dimensions: r exp(-rho)."""
    a = root[:, 0, 0]
    z = (a * residual[:, 0]).abs()
    near, inner = (mass_within(penalty, z, dim) for dim in (1, 2))
    return (z * near + mean_radius(penalty, 1) * (1 - inner)) / a


def _to_label(residual: Tensor, root: Tensor, draws: Tensor, block: int = 1 << 18) -> Tensor:
    """E||Y - y|| as the mean over the draws z (M, D) of ||A⁻¹ z - (y - mu)||, for residuals (L, D)."""
    inverse = torch.linalg.inv(root)  # (L, D, D), symmetric
    size = torch.maximum(inverse.abs().amax((-2, -1)), residual.abs().amax(-1))  # squares of ratios can't overflow
    parts = zip(*(x.split(max(1, block // len(draws))) for x in (inverse, residual, size)), strict=True)
    means = [
        (((b / s[:, None, None]) @ draws.T - (r / s[:, None])[..., None]).square_().sum(1).sqrt_().mean(-1) * s)
        for b, r, s in parts
    ]
    return torch.cat(means)


@lru_cache(maxsize=16)
def _draws(penalty: Penalty, dim: int, samples: int, seed: int) -> Tensor:
    """Draws from the standard member, (samples, D): radii by quantile times directions, and their mirror images.

    The radii are scaled to their exact mean, which heavy tails miss by a percent. In the plane an angle is the
    direction: Sobol points are evener in two dimensions than in three.
    """
    sobol: Any = torch.quasirandom.SobolEngine  # untyped
    size = 2 if dim == 2 else dim + 1
    u: Tensor = sobol(size, scramble=True, seed=seed).draw(samples // 2, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    if dim == 2:
        angle = math.pi * u[:, 1]  # the mirror images have the other half-turn
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
    else:
        normal = torch.special.ndtri(u[:, 1:])
        direction = normal / norm(normal).clamp(min=1e-300).unsqueeze(-1)
    radius = penalty.radius(u[:, :1], dim)
    z = radius * (mean_radius(penalty, dim) / radius.mean()) * direction
    return torch.cat([z, -z])


@cache
def _pair_distance(penalty: Penalty, dim: int, nodes: int = 400) -> float:
    """E||Z - Z'|| of two draws of the standard member.

    2 ∫ f(r) ∫_0^1 f(rv) r² F(v²) dv dr, where r F(v²) is the mean distance of a point at r from the sphere of radius
    rv. Exact to 1e-12 where rho is smooth, to 1e-6 for Huber's, with a knee.
    """
    x, w = np.polynomial.legendre.leggauss(nodes)
    v, w = (x + 1) / 2, w / 2
    far = float(penalty.radius(1 - 1e-15, dim)) + 5.0
    r = far * torch.from_numpy(v)
    inner = torch.from_numpy(w * _from_sphere(v * v, dim))
    pairs = _radial_density(r.unsqueeze(-1) * torch.from_numpy(v), penalty, dim) @ inner
    total = far * torch.from_numpy(w) * _radial_density(r, penalty, dim) * r * r * pairs
    return 2 * float(total.sum())


def _from_sphere(x: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """F(x) = 2F1(-1/2, (1-D)/2; D/2; x): the mean distance of a unit vector from the sphere of radius sqrt(x) <= 1.

    SciPy's is NaN near 1 from D = 136 on; by then the terms of the series fall as n^-(D+1).
    """
    if dim <= 64:
        return np.asarray(special.hyp2f1(-0.5, (1 - dim) / 2, dim / 2, x))
    term, total = np.ones_like(x), np.zeros_like(x)
    for n in range(64):
        total += term
        term = term * x * (n - 0.5) * (n + (1 - dim) / 2) / ((n + dim / 2) * (n + 1))
    return total


def _radial_density(r: Tensor, penalty: Penalty, dim: int) -> Tensor:
    """f(r) = r^(D-1) exp(-rho(r)) / I_(D-1)."""
    return torch.exp((dim - 1) * r.log() + log_sphere(dim) + log_density(r, torch.zeros_like(r), penalty, dim))
