"""Cholesky factors of covariances that may be singular, and Gaussian densities with them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
SMALLEST_DEVIATION = 1e-8


def standard_normal(value: Tensor, factor: Tensor, log_scale: Tensor) -> Tensor:
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


def positive_part(matrix: Tensor, floor: Tensor | float = 0.0) -> Tensor:
    """The nearest matrix in the Frobenius norm with eigenvalues of at least ``floor``."""
    if matrix.shape[-1] == 1:
        return torch.clamp(matrix, min=0.0)
    values, vectors = _eigh(matrix)
    lower = torch.as_tensor(floor, dtype=matrix.dtype, device=matrix.device)
    part: Tensor = (vectors * torch.maximum(values, lower).unsqueeze(-2)) @ vectors.transpose(-2, -1)
    return part


def _eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors, also where LAPACK gives up.

    On some singular matrices (of rank 1 in float32, as one sample leaves them) its iteration does not converge. In
    float64, with the equal eigenvalues parted by 1e-12 of the largest element, it does.
    """
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except RuntimeError:  # torch's LinAlgError
        ramp = torch.linspace(1.0, 2.0, matrix.shape[-1], dtype=torch.float64, device=matrix.device)
        size = matrix.double().abs().amax(dim=(-2, -1)).unsqueeze(-1)
        parted = matrix.double() + torch.diag_embed(1e-12 * size * ramp)
        values, vectors = (found.to(matrix.dtype) for found in torch.linalg.eigh(parted))
    return values, vectors
