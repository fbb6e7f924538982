"""Draws from the standard member (A = I, nu = 0) of a proper penalty's elliptical family."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadfit.core.linalg.small import norm
from steadfit.core.penalty import Penalty


def sample(penalty: Penalty, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Draws from exp(-rho(||u||))/c_D, D = shape[-1]: a radius by :func:`sample_radius`, in a uniform direction."""
    normal = torch.randn(shape, dtype=dtype, device=device)
    length = norm(normal).unsqueeze(-1)
    direction = torch.where(length > 0, normal / length, shape[-1] ** -0.5)  # all 0 happens once in 2^24 for D = 1
    return sample_radius(penalty, shape[-1], shape[:-1], dtype, device).unsqueeze(-1) * direction


def sample_radius(penalty: Penalty, dim: int, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Draws of r = ||u||, whose density is proportional to r^(D-1) exp(-rho(r)): exact, by rejection.

    A convex rho lies above its tangents, so a gamma density, r^(D-1) exp(-tangent), lies above ours. That at the root
    mean square of r is close: it accepts at least 70 % of the draws in every family and dimension. Where rho is not
    convex the radius is the quantile of a uniform number.
    """
    if not penalty.convex:
        mass = torch.rand(shape, dtype=torch.float64, device=device)
        return penalty.radius(mass, dim).to(dtype)
    touch = torch.tensor(math.sqrt(dim * penalty.covariance_factor(dim)), dtype=dtype, device=device)
    slope, height = penalty.psi(touch), penalty.rho(touch)
    proposal = torch.distributions.Gamma(torch.full_like(touch, dim), slope, validate_args=False)
    radius = touch.new_empty(shape.numel())
    waiting = torch.arange(len(radius), device=device)
    while len(waiting):
        draw = proposal.sample(waiting.shape)
        kept = torch.rand_like(draw) < torch.exp(height + slope * (draw - touch) - penalty.rho(draw))
        radius[waiting[kept]] = draw[kept]
        waiting = waiting[~kept]
    return radius.reshape(shape)
