"""What is known about a format of annotations, apart from its code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class About:
    """The facts of a format that ``steadfit check``, the documentation and messages tell.

    Args:
        title: the name by which its users know it.
        writes: whether it is written, too.
        sample: ``"original"`` where the reader was tested with files that the format's own tool or authors wrote,
            ``"description"`` where it was written from the description alone.
        shift: px that reading adds to the coordinates of the file, so that the centre of the first pixel is (0, 0).
        exif: whether labels are made on the image as it is shown, ``"honour"``, or as it is stored, ``"ignore"``.
        images: the folder next to the written file into which images are copied on request.
        lost: what the format cannot carry, each a few words, such as ``"visibility"``.
    """

    title: str
    writes: bool = False
    sample: str = "original"
    shift: float = 0.0
    exif: str = "honour"
    images: str = "images"
    lost: tuple[str, ...] = ()
