"""The numbers of a network for one point, read as an elliptical density (paper 3, eqs 4, 7-10).

Per point the network puts out the location, D numbers, and then what makes the root A: nothing (``"identity"``), D
eigenvalues (``"diagonal"``), or the D (D + 1)/2 entries of a symmetric matrix (``"full"``), each passed through g
(eq. 9). The location is nu (the mean is A^-1 nu) or mu (the mean itself).
"""

from __future__ import annotations

import torch
from torch import Tensor

from steadfit.core.linalg.small import multiply
from steadfit.core.linalg.spd import inverse_from_vector, spd_from_vector, vector_from_spd

COVARIANCES = ("identity", "diagonal", "full")


def n_parameters(dim: int, covariance: str) -> int:
    """The number of outputs that describe one point of D = ``dim`` coordinates."""
    return dim + {"identity": 0, "diagonal": dim, "full": dim * (dim + 1) // 2}[covariance]


def start(dim: int, covariance: str, floor: float) -> Tensor:
    """The numbers of A = I and nu = mu = 0, (n_parameters,)."""
    location = torch.zeros(dim)
    if covariance == "identity":
        return location
    diagonal = covariance == "diagonal"
    entries = vector_from_spd(torch.ones(dim, 1, 1) if diagonal else torch.eye(dim), floor)
    return torch.cat([location, entries.flatten()])


def full_precision(output: Tensor) -> Tensor:
    """Half-precision numbers, as autocast makes them, in float32; others as they are."""
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output


def residual(output: Tensor, target: Tensor, covariance: str, location: str, floor: float) -> tuple[Tensor, Tensor]:
    """A y - nu, or A (y - mu), of shape (..., D), and log|A|, of shape (...)."""
    dim = target.shape[-1]
    center, numbers = output[..., :dim], output[..., dim:]
    value = target - center if location == "mu" else target
    if covariance == "identity":
        scaled, log_det = value, value.new_zeros(value.shape[:-1])
    elif covariance == "diagonal":
        root, logs = spd_from_vector(numbers.unsqueeze(-1), 1, floor)
        scaled, log_det = root[..., 0, 0] * value, logs.sum(dim=-1)
    else:
        matrix, log_det = spd_from_vector(numbers, dim, floor)
        scaled = multiply(matrix, value)
    return (scaled if location == "mu" else scaled - center), log_det


def roots(output: Tensor, dim: int, covariance: str, floor: float) -> tuple[Tensor, Tensor]:
    """A, (..., D, D), and log|A|, (...)."""
    numbers = output[..., dim:]
    if covariance == "identity":
        eye = torch.eye(dim, dtype=output.dtype, device=output.device)
        return eye.expand(*output.shape[:-1], dim, dim), output.new_zeros(output.shape[:-1])
    if covariance == "diagonal":
        root, logs = spd_from_vector(numbers.unsqueeze(-1), 1, floor)
        return torch.diag_embed(root[..., 0, 0]), logs.sum(dim=-1)
    return spd_from_vector(numbers, dim, floor)


def means(output: Tensor, dim: int, covariance: str, location: str, floor: float) -> Tensor:
    """mu, (..., D): A^-1 nu where the network puts out nu."""
    center, numbers = output[..., :dim], output[..., dim:]
    if location == "mu" or covariance == "identity":
        return center
    if covariance == "diagonal":
        return inverse_from_vector(numbers.unsqueeze(-1), 1, floor)[..., 0, 0] * center
    return multiply(inverse_from_vector(numbers, dim, floor), center)
