"""The sizes of images, by their headers."""

from __future__ import annotations

import os
import warnings

from PIL import Image, UnidentifiedImageError

_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)


def image_size(root: str | os.PathLike[str], name: str, exif: str = "honour") -> tuple[int, int] | None:
    """Width and height of an image in px, without decoding it; None where there is no readable image.

    Args:
        root: the folder to which the path is relative.
        name: the path.
        exif: ``"honour"``, the size of the image as it is shown; ``"ignore"``, as it is stored.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are not decoded here
            with Image.open(os.path.join(root, name)) as image:
                lying = exif == "honour" and image.getexif().get(_ORIENTATION) in _LYING
                return image.size[::-1] if lying else image.size
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
