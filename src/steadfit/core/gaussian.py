"""Zero-mean Gaussians of many groups at once, with missing coordinates and singular covariances.

Everywhere: value (G, N, D) with 0 where missing, observed (G, N, D) bool or None (nothing missing), covariance
(G, D, D). Lengths are in units in which the data have a range of 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
SMALLEST_DEVIATION = 1e-8
LARGEST_FLOOR = 0.03


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
        pooled = (moment * unit**2).sum(dim=1, keepdim=True) / _nonzero(total.sum(dim=1, keepdim=True))
        return torch.diag_embed(pooled / unit**2)
    return torch.diag_embed(moment / _nonzero(total))


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
        return _standard(value / deviation.unsqueeze(1), factor, deviation.log().sum(dim=-1).unsqueeze(1))
    pattern, which = torch.unique(observed.flatten(0, 1), dim=0, return_inverse=True)  # (P, D), (G N)
    keep = pattern[:, None, :, None] & pattern[:, None, None, :]
    missing = torch.diag_embed((~pattern).to(value.dtype)).unsqueeze(1)
    marginal = torch.where(keep, covariance.unsqueeze(0), missing)  # (P, G, D, D): identity where missing
    factor, deviation = regular_factor(marginal)
    group = torch.arange(value.shape[0], device=value.device).repeat_interleave(value.shape[1])
    judged = torch.where(observed, value, 0.0)  # a coordinate may be annotated and yet left out of the judgement
    rows = judged.flatten(0, 1).unsqueeze(1) / deviation[which, group].unsqueeze(1)  # (G N, 1, D)
    constant = (LOG_2PI * (~pattern).sum(dim=-1) / 2).to(value.dtype)[which] - deviation.log().sum(-1)[which, group]
    log = _standard(rows, factor[which, group], torch.zeros_like(rows[:, :, 0])).squeeze(1) + constant
    return torch.where(observed.any(dim=-1), log.view(value.shape[:2]), 0.0)


def _standard(value: Tensor, factor: Tensor, log_scale: Tensor) -> Tensor:
    """log Normal(v; 0, L L^T) - log_scale for batches (B, N, D) and Cholesky factors (B, D, D)."""
    if value.shape[-1] == 1:
        z = value / factor
    elif value.shape[-2] == 1:
        z = torch.linalg.solve_triangular(factor, value.transpose(-2, -1), upper=False).transpose(-2, -1)
    else:
        identity = torch.eye(value.shape[-1], dtype=value.dtype, device=value.device).expand_as(factor)
        z = value @ torch.linalg.solve_triangular(factor, identity, upper=False).transpose(-2, -1)
    log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1).unsqueeze(-1)
    return -0.5 * ((z * z).sum(dim=-1) + value.shape[-1] * LOG_2PI) - log_det - log_scale


def regular_factor(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factor of the correlation matrix and the standard deviations, both floored.

    Standard deviations are at least 1e-8 (of a range of 1), so that squares of standardised values stay finite in
    float32. The correlation matrix gets a ridge of 64 eps, and of sqrt(eps) where that is not enough (rounding can
    leave a singular matrix indefinite).
    """
    eps = torch.finfo(covariance.dtype).eps
    deviation = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=SMALLEST_DEVIATION**2).sqrt()
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    scaled = covariance / (deviation.unsqueeze(-1) * deviation.unsqueeze(-2))
    correlation = torch.where(identity.bool(), 1.0, scaled)
    factor, failed = torch.linalg.cholesky_ex(correlation + 64 * eps * identity)
    if bool(failed.any()):
        safe = positive_part(correlation) + math.sqrt(eps) * identity
        factor = torch.where(failed.bool()[..., None, None], torch.linalg.cholesky_ex(safe)[0], factor)
    return factor, deviation


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


def positive_part(matrix: Tensor, floor: Tensor | float = 0.0) -> Tensor:
    """The nearest matrix in the Frobenius norm with eigenvalues of at least ``floor``."""
    if matrix.shape[-1] == 1:
        return torch.clamp(matrix, min=0.0)
    values, vectors = torch.linalg.eigh(matrix)
    lower = torch.as_tensor(floor, dtype=matrix.dtype, device=matrix.device)
    part: Tensor = (vectors * torch.maximum(values, lower).unsqueeze(-2)) @ vectors.transpose(-2, -1)
    return part
