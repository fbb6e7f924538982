"""Sampling images once along 3x3 maps: bilinear, edges repeated, after as many halvings as prevent aliasing."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit.data.images.decoding import Image, Picture
from steadfit.data.images.maps import inverse

Floats = npt.NDArray[np.float64]

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_HALF = np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25], [0.0, 0.0, 1.0]])  # x' = (x + 1/2) / 2 - 1/2


def sample(images: Iterable[Image | Picture], matrix: Tensor, size: tuple[int, int], channels: int) -> Tensor:
    """Sample images along maps, each image once.

        frame(x') = image(M⁻¹ x'), bilinear between the four nearest pixels; the outermost pixels are repeated

    Bilinear interpolation uses only four pixels, so it aliases where a map shrinks much. Where a frame's pixel is r
    source pixels long (at the frame's centre, the geometric mean of its axes), the source is first halved floor(log2 r)
    times, each time to the means of 2 x 2 pixels, and the map adjusted exactly; what remains is a factor in [1, 2). A
    huge JPEG may have been halved already while it was decoded (:func:`~steadfit.data.images.decoding.reduction`); that
    many halvings are left out. Otherwise an image in memory gives the same frame as its file.

    Args:
        images: B images (H, W, channels) uint8 of any sizes, or pictures of them; taken one after the other, so a
            generator is possible.
        matrix: (B, 3, 3) float64, from the image to the frame, both in px; w > 0 all over the frame.
        size: (height, width) of the frame in px.
        channels: C, 1 or 3.

    Returns:
        (B, C, height, width) uint8.

    Raises:
        ValueError: a singular matrix, w <= 0 somewhere in the frame, or another number of images than matrices.

    Numerics:
        Positions are float64 in the map and float32 in OpenCV's interpolation; with OpenCV 5 a grey level differs by
        rounding alone, with OpenCV 4 positions are rounded to 1/32 px.

    >>> image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    >>> move = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]], dtype=torch.float64)
    >>> sample([image], move, (2, 3), 1)[0, 0].tolist()
    [[0, 0, 1], [3, 3, 4]]
    """
    back = inverse(matrix).numpy()
    _check_horizon(back, size)
    straight = (matrix[:, 2, :2] == 0).all(dim=1).tolist()
    frames = np.empty((len(matrix), channels, *size), dtype=np.uint8)
    plans = zip(images, back, _halvings(back, size), straight, frames, strict=True)
    for image, to_source, halvings, affine, frame in plans:
        pixels, factor = (image.pixels, image.factor) if isinstance(image, Picture) else (image, 1)
        while factor > 1:
            factor, to_source, halvings = factor // 2, _HALF @ to_source, halvings - 1
        _sample_one(pixels, to_source, halvings, affine, frame)
    return torch.from_numpy(frames)


def ratios(matrix: Tensor, size: tuple[int, int]) -> list[float]:
    """How many px of the image a px of the frame is long at the frame's centre, down to a power of two, at least 1.

    Args:
        matrix: (B, 3, 3) float64, from the image to the frame.
        size: (height, width) of the frame in px.
    """
    return [2.0**halvings for halvings in _halvings(inverse(matrix).numpy(), size)]


def warp_frames(frames: Tensor, matrix: Tensor) -> Tensor:
    """Sample frames that are already in the network's size along maps within the frame, for test-time augmentation.

    Args:
        frames: (B, C, H, W) uint8, C = 1 or 3.
        matrix: (3, 3) for all, or (B, 3, 3); ``mirror_frame(W)``, or any map with w > 0 over the frame.

    Returns:
        (B, C, H, W) uint8 on the frames' device. Points predicted there go back by ``inverse(matrix)``.

    Raises:
        TypeError: frames of another dtype than uint8.
        ValueError: other shapes, a singular matrix.
    """
    if frames.dtype != torch.uint8:
        raise TypeError(f"warp_frames: expected frames of dtype uint8, got {frames.dtype}.")
    if frames.dim() != 4 or frames.shape[1] not in (1, 3):
        raise ValueError(f"warp_frames: expected frames (B, 1 or 3, H, W), got {tuple(frames.shape)}.")
    if matrix.shape not in ((3, 3), (len(frames), 3, 3)):
        raise ValueError(f"warp_frames: expected matrix (3, 3) or ({len(frames)}, 3, 3), got {tuple(matrix.shape)}.")
    maps = matrix.cpu().double().expand(len(frames), 3, 3)
    pixels = frames.cpu().permute(0, 2, 3, 1).contiguous().numpy()  # (B, H, W, C)
    height, width = frames.shape[2:]
    return sample(pixels, maps, (height, width), frames.shape[1]).to(frames.device)


def _sample_one(image: Image, to_source: Floats, halvings: int, affine: bool, frame: Image) -> None:
    """Fill a frame (C, H, W)."""
    for _ in range(halvings):
        if min(image.shape[:2]) == 1:
            break
        image, to_source = _halve(image), _HALF @ to_source
    channels, height, width = frame.shape
    into = frame[0] if channels == 1 else None
    if affine:
        rows = to_source[:2] / to_source[2, 2]
        pixels = cv2.warpAffine(image, rows, (width, height), into, _FLAGS, cv2.BORDER_REPLICATE)
    else:
        pixels = cv2.warpPerspective(image, to_source, (width, height), into, _FLAGS, cv2.BORDER_REPLICATE)
    if channels > 1:
        cv2.split(pixels, list(frame))


def _halve(image: Image) -> Image:
    """Means of 2 x 2 pixels; an odd last row or column is repeated first."""
    below, right = image.shape[0] % 2, image.shape[1] % 2
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _check_horizon(back: Floats, size: tuple[int, int]) -> None:
    """Check that w > 0 all over the frame: w is linear, so the corners are enough."""
    height, width = size
    x, y = np.array([0, width - 1, 0, width - 1]), np.array([0, 0, height - 1, height - 1])
    w = back[:, 2] @ np.stack((x, y, np.ones_like(x)))  # (B, 4)
    if not (w > 0).all():
        raise ValueError(
            f"sample: expected w > 0 all over the frame of {width} x {height} px, got {w.min():.3g} in map "
            f"{int((~(w > 0)).any(axis=1).argmax())}: its horizon lies in the frame. Weaken the perspective."
        )


def _halvings(back: Floats, size: tuple[int, int]) -> list[int]:
    """floor(log2 r), at least 0, for maps (B, 3, 3) from the frame to the image; r² = |det M⁻¹| / |w³|."""
    height, width = size
    w = back[:, 2] @ np.array([(width - 1) / 2, (height - 1) / 2, 1.0])  # (B,)
    area = np.abs(np.linalg.det(back) / w**3)
    return [max(math.frexp(r)[1] - 1, 0) for r in np.sqrt(area).tolist()]  # frexp: r = m 2^e with 1/2 <= m < 1
