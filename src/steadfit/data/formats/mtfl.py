"""MTFL, multi-task facial landmarks: ``training.txt`` and ``testing.txt``.

A line has the path of an image, x of five points, y of five points, and four attributes (gender, smile, glasses, head
pose). Coordinates count pixels from 1: for the images that are also in the lists of Sun et al. they are larger by 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.face_lists import Line, files_of, is_list, points_of, read_lines
from steadfit.data.formats.instances import Instances, Point
from steadfit.data.formats.layouts import FACE_5
from steadfit.data.formats.roots import images_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "mtfl"
ABOUT = About(title="MTFL (training.txt, testing.txt)", shift=-1.0, exif="ignore")
LISTS = {"training.txt": "train", "testing.txt": "test"}
_ATTRIBUTE = re.compile(r"[1-5]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


def is_one(path: Path) -> bool:
    """Whether a path is one of the lists, or a folder with them."""
    return any(is_list(file, _fits) for file in files_of(path, [*LISTS]))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The faces of MTFL; the two lists are the authors' training and test images. The attributes are not read.

    Errors are divided by the distance of the eyes, as the authors do. Of one list alone, only the name ``testing.txt``
    gives a split.

    Args:
        path: the folder of the lists, or one list.
        images: the folder with ``lfw_5590``, ``net_7876`` and ``AFLW``; None: looked for.

    Raises:
        DataError: there are no lists, or they cannot be read.

    References:
        Zhang et al., Facial Landmark Detection by Deep Multi-task Learning, ECCV 2014.
    """
    rows = Instances(path=path, format=NAME, points=FACE_5.points)
    files = files_of(path, [*LISTS])
    if not files:
        raise DataError(f"{path}: expected {' or '.join(LISTS)} in this folder, got neither.")
    names: list[str] = []
    for file in files:
        split = LISTS.get(file.name, "") if len(files) > 1 or file.name == "testing.txt" else ""

        def add(line: Line, at: str, number: int | None, split: str = split) -> None:
            rows.add(line.image, _points(line.numbers), at=at, line=number, split=split)
            names.append(line.image)

        read_lines(rows, file, add)
    notes = ["The attributes (gender, smile, glasses, head pose) are not read."]
    return rows.source(images_root(path, names, images), normalizer=FACE_5.normalizer, notes=notes)


def _points(numbers: Sequence[str]) -> dict[str, Point]:
    for number in numbers[10:]:
        expect.whole(number, "attributes")
    found = points_of(numbers[:5], numbers[5:10])
    return {name: Point(point.x + ABOUT.shift, point.y + ABOUT.shift) for name, point in found.items()}


def _fits(numbers: Sequence[str]) -> bool:
    """Whether the last four numbers are attributes."""
    coordinates, attributes = numbers[:10], numbers[10:]
    return all(map(_ATTRIBUTE.fullmatch, attributes)) and all(map(_NUMBER.fullmatch, coordinates))
