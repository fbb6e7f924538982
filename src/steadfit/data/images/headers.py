"""The headers of image files: their sizes, without decoding the pixels."""

from __future__ import annotations

import os
import warnings

from PIL import Image, UnidentifiedImageError


def image_size(root: str | os.PathLike[str], name: str) -> tuple[int, int] | None:
    """Width and height in px that the header of an image gives; None where there is no readable image inside the root.

    Args:
        root: the folder to which the path is relative, and which it must not leave.
        name: the path.
    """
    base = os.path.realpath(root)
    real = os.path.realpath(os.path.join(base, name))
    if not name.strip() or "\0" in name or os.path.commonpath([base, real]) != base:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are not decoded here
            with Image.open(real) as image:
                return image.size
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
