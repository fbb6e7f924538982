"""The sizes of images, by their headers."""

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


def image_size(root: str | Path, name: str, exif: str = "honour") -> tuple[int, int] | None:
    """Width and height of an image in px, without decoding it; None where there is no readable image inside the root.

    Args:
        root: the folder to which the path is relative, and which it must not leave.
        name: the path.
        exif: ``"honour"``, the size of the image as it is shown; ``"ignore"``, as it is stored.
    """
    path = os.path.normpath(name.replace("\\", "/"))
    if not name.strip() or "\0" in name or os.path.isabs(path) or path.split(os.sep)[0] == os.pardir:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are not decoded here
            with Image.open(os.path.join(root, path)) as image:
                turned = exif == "honour" and image.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
                return image.size[::-1] if turned else image.size
    except _BROKEN:
        return None
