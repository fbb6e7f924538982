"""LFW+NET, the lists of Sun, Wang and Tang's cascade: ``trainImageList.txt`` and ``testImageList.txt``.

A line has the path of an image, with backslashes in one of the lists, the left, right, top and bottom pixel of the face
that a detector found, and x and y of five points. Coordinates count pixels from 0.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.face_lists import Line, files_of, is_list, points_of, read_lines
from steadfit.data.formats.instances import BOX, Instances
from steadfit.data.formats.layouts import FACE_5
from steadfit.data.formats.roots import images_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "lfw-net"
ABOUT = About(title="LFW+NET, lists of Sun et al. (trainImageList.txt)", exif="ignore")
LISTS = {"trainImageList.txt": "train", "testImageList.txt": "test"}
_WHOLE = re.compile(r"[+-]?\d+")


def is_one(path: Path) -> bool:
    """Whether a path is one of the lists, or a folder with them."""
    return any(is_list(file, _fits) for file in files_of(path, [*LISTS]))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The faces of LFW+NET with their detector's boxes; the two lists are the authors' training and test images.

    Errors are divided by the width of the box, as the authors do. One list alone has no training images to compare with
    (or no test images), so only the name ``testImageList.txt`` gives a split then.

    Args:
        path: the folder of the lists, or one list.
        images: the folder with ``lfw_5590`` and ``net_7876``; None: looked for.

    Raises:
        DataError: there are no lists, or they cannot be read.

    References:
        Sun, Wang and Tang, Deep Convolutional Network Cascade for Facial Point Detection, CVPR 2013.
    """
    rows = Instances(path=path, format=NAME, points=FACE_5.points)
    files = files_of(path, [*LISTS])
    if not files:
        raise DataError(f"{path}: expected {' or '.join(LISTS)} in this folder, got neither.")
    names: list[str] = []
    for file in files:
        split = LISTS.get(file.name, "") if len(files) > 1 or file.name == "testImageList.txt" else ""

        def add(line: Line, at: str, number: int | None, split: str = split) -> None:
            points = points_of(line.numbers[4::2], line.numbers[5::2])
            rows.add(line.image, points, at=at, line=number, box=_box(line.numbers[:4]), split=split)
            names.append(line.image)

        read_lines(rows, file, add)
    source = rows.source(images_root(path, names, images))
    return dataclasses.replace(source, schema=dataclasses.replace(source.schema, normalizer=BOX[2]))


def _box(sides: Sequence[str]) -> tuple[float, float, float, float]:
    """Left, top, width and height; the right and bottom pixels belong to the box."""
    left, right, top, bottom = (expect.number(side, "box") for side in sides)
    if not (right >= left and bottom >= top):
        raise Misfit(f"expected left <= right and top <= bottom, got {' '.join(sides)}.", "box")
    return left, top, right - left + 1, bottom - top + 1


def _fits(numbers: Sequence[str]) -> bool:
    """Whether the first four numbers are whole, and left to right and top to bottom."""
    if not all(_WHOLE.fullmatch(number) for number in numbers[:4]):
        return False
    left, right, top, bottom = map(int, numbers[:4])
    return left < right and top < bottom
