"""Images as users name them: paths, folders, arrays, the boxes in them, and what a network sees of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit.data import (
    Frame,
    Schema,
    folder_images,
    frame_map,
    make_frame,
    open_picture,
    refuse_archive,
    shrink_for,
    whole_image,
)
from steadfit.errors import DataError

Image = npt.NDArray[np.uint8]


def as_images(inputs: Any) -> Sequence[str | Path | bytes | Image]:
    """Paths or arrays of images, from a path, a folder, an array or a list of these.

    An array (H, W), or (H, W, C) with 1, 3 or 4 channels, is one image; (N, H, W, C) are N.

    Raises:
        TypeError: anything else.
        DataError: an array of another shape, or an archive.
    """
    if isinstance(inputs, str | os.PathLike):
        path = Path(inputs)
        if path.is_dir():
            return folder_images(path)
        refuse_archive(path)
        return [path]
    if isinstance(inputs, bytes):
        return [inputs]
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "OUS":
        return _in_array(inputs)
    if isinstance(inputs, np.ndarray | Sequence) and not isinstance(inputs, memoryview):
        return [_one(image) for image in inputs]
    raise TypeError(f"predict: expected image paths or arrays, got {type(inputs).__name__}.{_as_array(inputs)}")


def _in_array(pixels: Image) -> Sequence[Image]:
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4)):
        return [pixels]
    if pixels.ndim == 4:
        return list(pixels)
    raise DataError(
        f"predict: expected one image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or several (N, H, W, C), got an array "
        f"{pixels.shape}. Pass several grey images as a list, or as (N, H, W, 1)."
    )


def _one(image: Any) -> str | Path | bytes | Image:
    if isinstance(image, str | bytes | np.ndarray):
        return image
    if isinstance(image, os.PathLike):
        return Path(image)
    raise TypeError(
        f"predict: expected a list of image paths or arrays, got {type(image).__name__} in it.{_as_array(image)}"
    )


def _as_array(value: Any) -> str:
    """A remedy for pictures of other libraries, and for a column of paths."""
    return " numpy.asarray makes an array of it." if hasattr(value, "__array__") else ""


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


def frames_of(
    images: Sequence[str | Path | bytes | Image],
    boxes: npt.NDArray[np.float64] | None,
    schema: Schema,
    *,
    size: tuple[int, int],
    channels: int,
    sampling: str,
) -> tuple[Tensor, Frame]:
    """Images as a network sees them, made as in its training.

    Args:
        images: B paths, bytes or arrays.
        boxes: (B, 4), what the network sees of each; None: the whole image.
        schema: that of the network's training.
        size: (height, width) of the frame in px.
        channels: 1 or 3.
        sampling: that of the training's settings; ``"warp"`` stays, and boxes need it.

    Returns:
        Frames (B, C, height, width) of uint8, and the maps of the images into them.

    Raises:
        DataError: images that cannot be read.
    """
    boxed = boxes is not None or schema.box is not None or schema.box_fit == "stretch"
    made_by = "crop" if schema.classes else "warp" if boxed or sampling == "warp" else "letterbox"
    pictures = []
    for k, image in enumerate(images):
        shrink = shrink_for(size, made_by, None if boxes is None else boxes[k : k + 1], fit=schema.box_fit)
        pictures.append(open_picture(image, channels, exif=schema.exif, shrink=shrink, who="predict"))
    sizes = np.array([picture.size for picture in pictures], dtype=np.float64)
    seen = whole_image(sizes) if boxes is None and boxed else boxes
    maps = Frame(*(torch.from_numpy(part) for part in frame_map(sizes, seen, size, fit=schema.box_fit)))
    matrices = maps.matrix(torch.arange(len(pictures)))
    made = [make_frame(*one) for one in zip(pictures, repeat(size), repeat(made_by), matrices, strict=False)]
    return torch.stack(made), maps
