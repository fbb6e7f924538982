"""Elementary functions that neither overflow nor lose digits where their result does not."""

from __future__ import annotations

import torch
from torch import Tensor


def log1p_square(x: Tensor) -> Tensor:
    """log(1 + x^2) without overflow, exact for tiny and huge x; gradient 2x/(1 + x^2)."""
    size = x.abs()
    small = size <= 1
    inner = torch.where(small, size, 1.0)
    outer = torch.where(small, 1.0, size)
    return torch.where(small, torch.log1p(inner * inner), 2 * outer.log() + torch.log1p(outer.reciprocal() ** 2))


def hypot1(x: Tensor) -> Tensor:
    """sqrt(1 + x^2) without overflow."""
    return torch.hypot(x, x.new_ones(()))


def bounded(x: Tensor) -> Tensor:
    """x with +-inf as the largest numbers, and a gradient of 0 there: inf/inf and 0 inf become limits."""
    largest = torch.finfo(x.dtype).max
    return x.clamp(-largest, largest)


def constant(r: Tensor, value: float) -> Tensor:
    """The same value everywhere, without a gradient; NaN where r is NaN."""
    return r.detach().clamp(value, value)
