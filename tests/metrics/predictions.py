"""Predictions with known errors, for the tests of calibration."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from steadfit.penalties import Absolute, Charbonnier, Huber, Penalty, Squared

NAN = math.nan
PROPER = (Squared(), Absolute(), Huber(1.0), Charbonnier())


def spd(shape: tuple[int, ...], dim: int, generator: torch.Generator, spread: float = 0.7) -> Tensor:
    """Random symmetric positive definite matrices, (*shape, dim, dim)."""
    basis = torch.linalg.qr(torch.randn(*shape, dim, dim, generator=generator, dtype=torch.float64))[0]
    values = torch.exp(spread * torch.randn(*shape, dim, generator=generator, dtype=torch.float64))
    matrix = basis @ torch.diag_embed(values) @ basis.mT
    return (matrix + matrix.mT) / 2


@cache
def quantiles(penalty: Penalty, dim: int) -> Tensor:
    """1,024 quantiles of the radius at the middles of equal masses."""
    return penalty.radius((torch.arange(1024, dtype=torch.float64) + 0.5) / 1024, dim)


def standard(shape: tuple[int, ...], dim: int, penalty: Penalty, generator: torch.Generator) -> Tensor:
    """Draws of the standard member, (*shape, dim), radii from the table of quantiles."""
    normal = torch.randn(*shape, dim, generator=generator, dtype=torch.float64)
    which = torch.randint(1024, shape, generator=generator)
    return quantiles(penalty, dim)[which].unsqueeze(-1) * normal / normal.norm(dim=-1, keepdim=True)


def drawn(
    n: int, k: int, dim: int, penalty: Penalty, *, factor: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, root, target; the labels' standard deviations are ``factor`` times those predicted."""
    generator = torch.Generator().manual_seed(seed)
    mean = 10 * torch.randn(n, k, dim, generator=generator, dtype=torch.float64)
    root = spd((n, k), dim, generator)
    whitened = factor * standard((n, k), dim, penalty, generator)
    return mean, root, mean + torch.linalg.solve(root, whitened.unsqueeze(-1)).squeeze(-1)


def radial(radius: Tensor, dim: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Mean 0, root I, and targets at given radii (N, K): their Mahalanobis radii are these."""
    target = torch.zeros(*radius.shape, dim, dtype=torch.float64)
    target[..., 0] = radius
    return torch.zeros_like(target), torch.eye(dim, dtype=torch.float64).expand(*radius.shape, dim, dim), target
