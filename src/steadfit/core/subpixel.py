"""The place of a heatmap's top to a fraction of a pixel."""

from __future__ import annotations

import torch
from torch import Tensor


def quarter_shift(heat: Tensor, top: Tensor) -> Tensor:
    """The shift (..., 2) from the highest pixels, top (..., 2), towards their higher neighbours."""
    patch = _patch(heat, top)
    rise = torch.stack([patch[..., 1, 2] - patch[..., 1, 0], patch[..., 2, 1] - patch[..., 0, 1]], dim=-1)
    inside = (top > 0) & (top < _last(heat))
    return 0.25 * rise.sign() * inside


def newton_place(heat: Tensor, top: Tensor, floor: float) -> Tensor:
    """One Newton step on log p, guarded; top and result (..., 2).

    At the border the 3 x 3 pixels reach farther from the point, so that some may be below the floor although they are
    next to it: such an axis keeps the top, and such a diagonal is not looked at.
    """
    centre = top.clamp(min=1).minimum(_last(heat) - 1)
    patch = _patch(heat, centre)
    highest = patch.amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)
    ratio = patch / highest
    log = ratio.clamp(min=floor).log()
    above, left, here, right, below = (log[..., i, j] for i, j in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1)))
    slope = torch.stack([right - left, below - above], dim=-1) / 2
    curve = torch.stack([right - 2 * here + left, below - 2 * here + above], dim=-1)
    twist = (log[..., 2, 2] - log[..., 2, 0] - log[..., 0, 2] + log[..., 0, 0]).unsqueeze(-1) / 4
    border = top != centre
    low = ratio < floor
    diagonal = low[..., ::2, ::2].any(dim=(-2, -1)) & border.any(dim=-1)
    cross = torch.stack([low[..., 1, :].any(dim=-1), low[..., :, 1].any(dim=-1)], dim=-1) & border
    move = _newton(slope, curve, twist.masked_fill(diagonal.unsqueeze(-1), 0.0), top - centre)
    move = torch.where(cross, top - centre, move)
    return top + (move - (top - centre)).clamp(-1.0, 1.0)


def _newton(slope: Tensor, curve: Tensor, twist: Tensor, otherwise: Tensor) -> Tensor:
    """-H⁻¹ g for H = [[curve_x, twist], [twist, curve_y]] where it is negative definite by more than rounding.

    Elsewhere -g/curve along each axis that is concave, and ``otherwise`` along one that isn't.
    """
    concave = curve < 0
    alone = torch.where(concave, -slope / torch.where(concave, curve, 1.0), otherwise)
    product = curve.prod(dim=-1, keepdim=True)
    det = product - twist.square()
    definite = concave.all(dim=-1, keepdim=True) & (det > product * torch.finfo(curve.dtype).eps ** 0.5)
    both = (twist * slope.flip(-1) - curve.flip(-1) * slope) / torch.where(definite, det, 1.0)
    return torch.where(definite, both, alone)


def _patch(heat: Tensor, centre: Tensor) -> Tensor:
    """The 3 x 3 pixels about pixels (..., 2) of maps (..., h, w); the map's edge is repeated."""
    height, width = heat.shape[-2:]
    about = torch.arange(-1, 2, device=heat.device)
    row, column = (centre[..., 1:] + about).clamp(0, height - 1), (centre[..., :1] + about).clamp(0, width - 1)
    index = row.unsqueeze(-1) * width + column.unsqueeze(-2)  # (..., 3, 3)
    return heat.flatten(-2).gather(-1, index.flatten(-2)).view(index.shape)


def _last(heat: Tensor) -> Tensor:
    """The last pixel's x and y."""
    return torch.tensor([heat.shape[-1] - 1, heat.shape[-2] - 1], device=heat.device)
