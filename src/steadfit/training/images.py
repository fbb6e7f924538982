"""Images as users name them: paths, folders, arrays, and the boxes in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit.data import is_image

Image = npt.NDArray[np.uint8]


def as_images(inputs: Any) -> Sequence[str | Path | Image]:
    """Paths or arrays of images, from a path, a folder, an array or a list of these.

    Raises:
        TypeError: anything else.
    """
    if isinstance(inputs, str | os.PathLike):
        path = Path(inputs)
        return sorted(p for p in path.iterdir() if is_image(p)) if path.is_dir() else [path]
    if isinstance(inputs, np.ndarray) and (inputs.ndim == 2 or (inputs.ndim == 3 and inputs.shape[2] == 3)):
        return [inputs]
    if isinstance(inputs, np.ndarray | Sequence):
        return list(inputs)
    raise TypeError(f"predict: expected image paths or arrays, got {type(inputs).__name__}.")


def checked_boxes(boxes: npt.ArrayLike | None, count: int) -> npt.NDArray[np.float64] | None:
    """Boxes (N, 4), checked: one per image, with positive width and height; None stays None.

    Raises:
        ValueError: another number of boxes, or boxes that are not finite or have no size.
    """
    if boxes is None:
        return None
    found = np.asarray(boxes, dtype=np.float64)
    if found.shape != (count, 4) or not (np.isfinite(found).all() and (found[:, 2:] > 0).all()):
        raise ValueError(
            f"predict: expected finite boxes ({count}, 4) with width and height > 0, got shape {found.shape} or others."
        )
    return found
