"""The map of every sample from the user's units to the network's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from steadfit.data.images.files import Floats, frame_size, letterbox_map
from steadfit.data.images.maps import frame_matrix


@dataclass(frozen=True)
class Frame:
    """The map of every sample from the user's units to the network's frame: frame = user * scale + shift.

    Args:
        scale: (N, D) float64, > 0.
        shift: (N, D) float64.
    """

    scale: Tensor
    shift: Tensor

    def to_frame(self, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """Targets (n, K, D) in the user's units to the frame; float64, NaN stays NaN.

        Args:
            target: (n, K, D).
            rows: (n,), the samples to which they belong; None: all of them in order.
        """
        scale, shift = self._of(target, rows)
        return target.double() * scale + shift

    def to_user(self, value: Tensor, rows: Tensor | None = None) -> Tensor:
        """Targets or predictions (n, K, D) in the frame back to the user's units; float64."""
        scale, shift = self._of(value, rows)
        return (value.double() - shift) / scale

    def matrix(self, rows: Tensor) -> Tensor:
        """The maps as matrices (n, 3, 3) for the rows (n,); for frames of points (D = 2)."""
        return frame_matrix(self.scale[rows], self.shift[rows])

    def _of(self, value: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        scale, shift = (self.scale, self.shift) if rows is None else (self.scale[rows.cpu()], self.shift[rows.cpu()])
        if value.dim() != 3 or (value.shape[0], value.shape[2]) != tuple(scale.shape):
            n, dims = scale.shape
            raise ValueError(f"Frame: expected values of shape ({n}, K, {dims}), got {tuple(value.shape)}.")
        return scale[:, None].to(value.device), shift[:, None].to(value.device)


def frame_map(
    sizes: Floats, boxes: Floats | None, size: int | tuple[int, int], *, fit: str = "inside"
) -> tuple[Floats, Floats]:
    """The maps of images into the frame: by their boxes, or without boxes by the letterbox.

        scale = (frame width / box width, frame height / box height), inside: their minimum for both

    The box's centre is mapped to the frame's centre.

    Args:
        sizes: (N, 2), width and height of the images in px.
        boxes: (N, 4), x, y, width, height in px, see ``Annotations.box``; None: the letterbox.
        size: the frame's side, or its (height, width), in px.
        fit: ``"inside"`` keeps the aspect and shows the surroundings of the box; ``"stretch"`` scales width and height
            separately so that the box, or without boxes the image, fills the frame.

    Returns:
        scale (N, 2) and shift (N, 2): frame = user * scale + shift.

    >>> scale, shift = frame_map(np.array([[100.0, 80.0]]), np.array([[10.0, 20.0, 30.0, 40.0]]), 80)
    >>> scale.tolist(), shift.tolist()
    ([[2.0, 2.0]], [[-9.5, -39.5]])
    """
    if boxes is None and fit == "inside":
        return letterbox_map(sizes, size)
    boxes = whole_image(sizes) if boxes is None else boxes
    height, width = frame_size(size)
    frame = np.array([width, height], dtype=np.float64)
    scale = frame / boxes[:, 2:]
    if fit == "inside":
        scale = scale.min(axis=1, keepdims=True).repeat(2, axis=1)
    centre = boxes[:, :2] + (boxes[:, 2:] - 1) / 2
    return scale, (frame - 1) / 2 - centre * scale


def whole_image(size: Floats) -> Floats:
    """The boxes (N, 4) of whole images of width and height (N, 2)."""
    return np.concatenate([np.zeros_like(size), size], axis=1)
