"""Zero-mean Gaussians of many groups at once, with missing coordinates and singular covariances.

Everywhere: value (G, N, D) with 0 where missing, observed (G, N, D) bool or None (nothing missing), covariance
(G, D, D). Lengths are in units in which the data have a range of 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadfit.core.factor import LOG_2PI, positive_part, regular_factor, standard_normal
from steadfit.core.marginal import log_marginal

LARGEST_FLOOR = 0.03
POWERS = (2.0, 1.5, 1.0, 0.75, 0.5)


def second_moment(value: Tensor, weight: Tensor, observed: Tensor | None, kind: str, unit: Tensor) -> Tensor:
    """sum w v v^T / sum w over the pairs that are observed, (G, D, D), see :func:`definite`; 0 where no weight is left.

    ``kind``: ``"full"``, ``"diagonal"``, or ``"isotropic"``, one variance for all coordinates, pooled in the units
    of the residuals (a value is a residual divided by ``unit`` (G, D)).
    """
    w = weight.unsqueeze(-1)
    if kind == "full":
        moment = (value * w).transpose(1, 2) @ value
        moment = 0.5 * (moment + moment.transpose(1, 2))
        seen = None if observed is None else observed.to(value.dtype)
        total = weight.sum(dim=1)[:, None, None] if seen is None else (seen * w).transpose(1, 2) @ seen
        moment = moment / _nonzero(total)
        if seen is None:
            return moment
        missing = 1 - total / _nonzero(weight.sum(dim=1))[:, None, None]  # share of samples without the pair
        return definite(moment, missing.amax(dim=(1, 2)).clamp(0.0, LARGEST_FLOOR))
    moment = (value * value * w).sum(dim=1)  # (G, D)
    total = (w.expand_as(value) if observed is None else w * observed).sum(dim=1)
    if kind == "isotropic":
        square = relative(unit) ** 2
        pooled = (moment * square).sum(dim=1, keepdim=True) / _nonzero(total.sum(dim=1, keepdim=True))
        return torch.diag_embed(pooled / square)
    return torch.diag_embed(moment / _nonzero(total))


def relative(unit: Tensor) -> Tensor:
    """The units of a group (G, D) over a power of two, the largest then in [1/2, 1), so that squares stay finite.

    Dividing by a power of two is exact. A unit below 2^-50 of the largest counts as that.
    """
    exponent = torch.frexp(unit.amax(dim=1, keepdim=True)).exponent
    return torch.ldexp(unit, -exponent).clamp(min=2.0**-50)


def _nonzero(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, 1.0)


def spread(value: Tensor, weight: Tensor, observed: Tensor | None) -> Tensor:
    """Weighted variance about the weighted mean of every coordinate, (G, D); 0 where no weight is left."""
    w = weight.unsqueeze(-1) if observed is None else weight.unsqueeze(-1) * observed
    total = _nonzero(w.sum(dim=1).expand_as(value[:, 0]))
    mean = (w * value).sum(dim=1) / total
    return (w * (value - mean.unsqueeze(1)) ** 2).sum(dim=1) / total


def log_density(value: Tensor, covariance: Tensor, observed: Tensor | None) -> Tensor:
    """log Normal(v; 0, Sigma) over the observed coordinates, (G, N); 0 where nothing is observed."""
    if observed is None:
        factor, deviation = regular_factor(covariance)
        return standard_normal(value / deviation.unsqueeze(1), factor, deviation.log().sum(dim=-1).unsqueeze(1))
    return log_marginal(value, covariance, observed)


def best_exponential_power(value: Tensor, covariance: Tensor, observed: Tensor | None, near: Tensor) -> Tensor:
    """The log-likelihood of a group's ``near`` values (G, N) under the best elliptical density c exp(-(d/s)^b), (G,).

    d² = v^T Sigma^-1 v, b one of 2 (the Gaussian), 1.5, 1 (the elliptical Laplace), 0.75, 0.5, s by maximum likelihood:
    s^b = b sum d^b / sum D. With missing coordinates d and D are those of what is observed.
    """
    at_zero = log_density(torch.zeros_like(value), covariance, observed)  # -log|Sigma|/2 - D/2 log(2 pi)
    square = 2 * (at_zero - log_density(value, covariance, observed)).clamp(min=0)
    dims = torch.full_like(square, value.shape[-1]) if observed is None else observed.sum(dim=-1).to(value.dtype)
    dims = dims * near
    square, base = torch.where(near, square, 0.0), torch.where(near, at_zero + dims / 2 * LOG_2PI, 0.0)
    total = dims.sum(dim=1)
    found = []
    for power in POWERS:
        moment = power * (square ** (power / 2)).sum(dim=1) / _nonzero(total)
        seen = dims.clamp(min=1)
        constant = math.log(power / 2) + torch.lgamma(seen / 2) - seen / 2 * math.log(math.pi)
        constant = torch.where(dims > 0, constant - torch.lgamma(seen / power), 0.0)
        scale = moment.clamp(min=torch.finfo(value.dtype).tiny).log() / power
        found.append((base + constant).sum(dim=1) - total * (scale + 1 / power))
    return torch.stack(found).amax(dim=0)


def definite(moment: Tensor, floor: Tensor) -> Tensor:
    """Moments of available pairs, which may contradict each other, made definite; the variances stay as they are.

    Eigenvalues of the correlation matrix are raised to ``floor`` (G,) and its diagonal is set back to 1. At a floor of
    0 EM runs into singular matrices, which fit few samples and declare the others outliers.
    """
    deviation = moment.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = _nonzero(deviation)
    correlation = positive_part(moment / (scale.unsqueeze(-1) * scale.unsqueeze(-2)), floor.unsqueeze(-1))
    ratio = deviation / _nonzero(correlation.diagonal(dim1=-2, dim2=-1).sqrt())
    return correlation * (ratio.unsqueeze(-1) * ratio.unsqueeze(-2))
