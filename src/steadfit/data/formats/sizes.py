"""Sizes of images as they are shown: with the turn that EXIF asks for."""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

_QUARTER_TURNS = (5, 6, 7, 8)
_BROKEN = (
    *(OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, struct.error),
    *(UnidentifiedImageError, Image.DecompressionBombError),
)


def shown_size(root: Path, name: str) -> tuple[int, int] | None:
    """Width and height in px of an image as programs show it; None where there is no readable image inside the root.

    Args:
        root: the folder to which the path is relative, and which it must not leave.
        name: the path.
    """
    path = os.path.normpath(name.replace("\\", "/"))
    if not name.strip() or "\0" in name or os.path.isabs(path) or path.split(os.sep)[0] == os.pardir:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are not decoded here
            with Image.open(root / path) as image:
                turned = image.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
                return image.size[::-1] if turned else image.size
    except _BROKEN:
        return None
