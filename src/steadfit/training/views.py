"""Views for test-time augmentation: further maps of the network's frame through which it looks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.data import frame_size, mirror_frame

SCALES = (0.8, 0.9, 1.1, 1.2, 1.3)
"""The further scales of ``"scales"``; with the frame itself six, as in paper 4 (which does not name them)."""
VIEWS = ("mirror", "scales")


def views_of(views: Sequence[str | Tensor], size: int | tuple[int, int]) -> list[Tensor]:
    """3x3 maps of the frame, in float64, in addition to the frame itself.

    Args:
        views: ``"mirror"``, ``"scales"`` (about the centre; with ``"mirror"`` each of them mirrored too), or matrices.
        size: the frame's size in px, its side or (height, width).
    """
    named = [view for view in views if isinstance(view, str)]
    for name in named:
        _checks.one_of("predict", "view", name, VIEWS)
    scaled = [scale_frame(size, factor) for factor in SCALES] if "scales" in named else []
    flip = mirror_frame(frame_size(size)[1])
    mirrored = [flip, *(view @ flip for view in scaled)] if "mirror" in named else []
    return [*scaled, *mirrored, *(_matrix(view) for view in views if isinstance(view, Tensor))]


def scale_frame(size: int | tuple[int, int], factor: float) -> Tensor:
    """The map of a frame that enlarges it about its centre.

    Args:
        size: the frame's size in px, its side or (height, width).
        factor: the enlargement.
    """
    down, right = ((1 - factor) * (side - 1) / 2 for side in frame_size(size))
    return torch.tensor([[factor, 0.0, right], [0.0, factor, down], [0.0, 0.0, 1.0]], dtype=torch.float64)


def mirrors(view: Tensor) -> bool:
    """Whether a view exchanges left and right."""
    return bool(torch.linalg.det(view[:2, :2]) < 0)


def _matrix(view: Tensor) -> Tensor:
    if view.shape != (3, 3) or not bool(torch.linalg.det(view.double()) != 0):
        raise ValueError(f"predict: expected a view as an invertible 3x3 matrix, got shape {tuple(view.shape)}.")
    return view.double()
