"""What kinds of image files there are, by their headers."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable

from PIL import ExifTags, Image, UnidentifiedImageError

DEEP = ("I;16", "I;16B", "I;16L", "I", "F")
WORDS = {"L": "grey", "1": "black and white", "P": "palette", "LA": "grey with alpha", "RGBA": "RGB with alpha"}


def kinds(root: str | os.PathLike[str], names: Iterable[str]) -> tuple[Counter[str], list[str]]:
    """The kinds of image files, such as ``JPEG, RGB, 8 bits``, with their numbers, and the files that are to be turned.

    Args:
        root: the folder to which the paths are relative.
        names: the paths; a file that cannot be read is left out.

    Returns:
        The number of files of each kind, and the paths of those whose EXIF orientation is not the usual one.
    """
    found: Counter[str] = Counter()
    turned = []
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of large images, which are not decoded here
                with Image.open(os.path.join(root, name)) as image:
                    found[_kind(image)] += 1
                    if image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
                        turned.append(name)
        except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
            continue
    return found, turned


def _kind(image: Image.Image) -> str:
    bits = "16 bits or more" if image.mode in DEEP else "8 bits"
    word = "grey" if image.mode in DEEP else WORDS.get(image.mode, image.mode)
    moving = ", animated" if getattr(image, "n_frames", 1) > 1 else ""
    return f"{image.format}, {word}, {bits}{moving}"
