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
from steadfit.core.sums import Sums

LARGEST_FLOOR = 0.03
POWERS = (2.0, 1.5, 1.0, 0.75, 0.5)


def moment_sums(value: Tensor, weight: Tensor, observed: Tensor | None, kind: str) -> Sums:
    """The sums for :func:`second_moment`: weighted squares or products, weights, whether any value is missing.

    ``kind``: ``"full"``, ``"diagonal"``, or ``"isotropic"``, one variance for all coordinates.
    """
    w = weight.unsqueeze(-1)
    partial = torch.tensor(int(observed is not None), device=value.device)
    if kind == "full":
        moment = (value * w).transpose(1, 2) @ value
        moment = 0.5 * (moment + moment.transpose(1, 2))
        seen = None if observed is None else observed.to(value.dtype)
        total = (
            weight.sum(dim=1)[:, None, None].expand_as(moment) if seen is None else (seen * w).transpose(1, 2) @ seen
        )
    else:
        moment = (value * value * w).sum(dim=1)  # (G, D)
        total = (w.expand_as(value) if observed is None else w * observed).sum(dim=1)
    return Sums({"moment": moment, "weights": total, "weight": weight.sum(dim=1)}, {"partial": partial})


def second_moment(sums: Sums, kind: str, unit: Tensor) -> Tensor:
    """sum w v v^T / sum w over the pairs that are observed, (G, D, D), see :func:`definite`; 0 where no weight is left.

    Args:
        sums: those of :func:`moment_sums`, over all values.
        kind: as for :func:`moment_sums`; an isotropic variance is pooled in the units of the residuals.
        unit: (G, D), by which residuals were divided to give values.
    """
    moment, total = sums.added["moment"], sums.added["weights"]
    if kind == "full":
        moment = moment / _nonzero(total)
        if not int(sums.largest["partial"]):
            return moment
        missing = 1 - total / _nonzero(sums.added["weight"])[:, None, None]  # share of samples without the pair
        return definite(moment, missing.amax(dim=(1, 2)).clamp(0.0, LARGEST_FLOOR))
    if kind == "isotropic":
        square = relative(unit) ** 2
        pooled = (moment * square).sum(dim=1, keepdim=True) / _nonzero(total.sum(dim=1, keepdim=True))
        return torch.diag_embed(pooled / square)
    return torch.diag_embed(moment / _nonzero(total))


def relative(unit: Tensor) -> Tensor:
    """The units of a group (G, D) over a power of two, the largest then in [1/2, 1), so that squares stay finite.

    Dividing by a power of two is exact. A unit below 2^-50 of the largest is raised to that.
    """
    exponent = torch.frexp(unit.amax(dim=1, keepdim=True)).exponent
    return torch.ldexp(unit, -exponent).clamp(min=2.0**-50)


def _nonzero(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, 1.0)


def spread_sums(value: Tensor, weight: Tensor, observed: Tensor | None) -> Sums:
    """The sums for :func:`spread`."""
    w = (weight.unsqueeze(-1) if observed is None else weight.unsqueeze(-1) * observed).expand_as(value)
    return Sums({"out": w.sum(dim=1), "out_value": (w * value).sum(dim=1), "out_square": (w * value**2).sum(dim=1)})


def spread(sums: Sums) -> Tensor:
    """Weighted variance about the weighted mean of every coordinate, (G, D).

    0 where no weight is left, or where it is no more than rounding: a single outlier has no variance.
    """
    total = _nonzero(sums.added["out"])
    square = sums.added["out_square"] / total
    variance = square - (sums.added["out_value"] / total) ** 2
    return torch.where(variance > 64 * torch.finfo(square.dtype).eps * square, variance, 0.0)


def log_density(value: Tensor, covariance: Tensor, observed: Tensor | None) -> Tensor:
    """log Normal(v; 0, Sigma) over the observed coordinates, (G, N); 0 where nothing is observed."""
    if observed is None:
        factor, deviation = regular_factor(covariance)
        return standard_normal(value / deviation.unsqueeze(1), factor, deviation.log().sum(dim=-1).unsqueeze(1))
    return log_marginal(value, covariance, observed)


def tail_sums(value: Tensor, covariance: Tensor, observed: Tensor | None, near: Tensor) -> Sums:
    """The sums for :func:`best_exponential_power`, over the values that are ``near`` (G, N)."""
    at_zero = log_density(torch.zeros_like(value), covariance, observed)  # -log|Sigma|/2 - D/2 log(2 pi)
    square = 2 * (at_zero - log_density(value, covariance, observed)).clamp(min=0)
    dims = torch.full_like(square, value.shape[-1]) if observed is None else observed.sum(dim=-1).to(value.dtype)
    dims = dims * near
    square, base = torch.where(near, square, 0.0), torch.where(near, at_zero + dims / 2 * LOG_2PI, 0.0)
    seen = dims.clamp(min=1)
    moments, constants = [], []
    for power in POWERS:
        moments.append((square ** (power / 2)).sum(dim=1))
        constant = math.log(power / 2) + torch.lgamma(seen / 2) - seen / 2 * math.log(math.pi)
        constants.append((base + torch.where(dims > 0, constant - torch.lgamma(seen / power), 0.0)).sum(dim=1))
    return Sums({"dims": dims.sum(dim=1), "powers": torch.stack(moments), "constants": torch.stack(constants)})


def best_exponential_power(sums: Sums) -> Tensor:
    """The log-likelihood of a group's near values under the best elliptical density c exp(-(d/s)^b), (G,).

    d² = v^T Sigma^-1 v, b one of 2 (the Gaussian), 1.5, 1 (the elliptical Laplace), 0.75, 0.5, s by maximum likelihood:
    s^b = b sum d^b / sum D. With missing coordinates d and D are those of what is observed.
    """
    power = sums.added["powers"].new_tensor(POWERS).unsqueeze(1)
    total = sums.added["dims"]
    moment = power * sums.added["powers"] / _nonzero(total)
    scale = moment.clamp(min=torch.finfo(moment.dtype).tiny).log() / power
    return (sums.added["constants"] - total * (scale + 1 / power)).amax(dim=0)


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
