"""Images as users name them: paths, folders, arrays, and boxes in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit.errors import DataError

Image = npt.NDArray[np.uint8]


def as_images(inputs: Any) -> Sequence[str | Path | Image]:
    """Paths or arrays of images from whatever names them."""
    if isinstance(inputs, str | os.PathLike):
        path = Path(inputs)
        return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if isinstance(inputs, np.ndarray) and (inputs.ndim == 2 or (inputs.ndim == 3 and inputs.shape[2] == 3)):
        return [inputs]
    if isinstance(inputs, np.ndarray | Sequence):
        return list(inputs)
    raise TypeError(f"predict: expected image paths or arrays, got {type(inputs).__name__}.")


def checked_boxes(boxes: npt.ArrayLike | None, count: int) -> npt.NDArray[np.float64] | None:
    """Boxes (N, 4) of positive width and height, one an image; None stays None."""
    if boxes is None:
        return None
    found = np.asarray(boxes, dtype=np.float64)
    if found.shape != (count, 4) or not (np.isfinite(found).all() and (found[:, 2:] > 0).all()):
        raise ValueError(
            f"predict: expected finite boxes ({count}, 4) with width and height > 0, got shape {found.shape} or others."
        )
    return found


SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def with_channels(image: Image, channels: int) -> Image:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise DataError(f"predict: expected uint8 images (H, W) or (H, W, 3), got {image.dtype} {image.shape}.")
    if channels == 1 and image.ndim == 3 and image.shape[2] == 3:
        grey: Image = (image @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
        return grey[:, :, None]
    deep = image if image.ndim == 3 else image[:, :, None]
    return np.repeat(deep, 3, axis=2) if channels > deep.shape[2] else deep
