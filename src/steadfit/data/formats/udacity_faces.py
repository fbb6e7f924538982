"""Udacity's facial keypoints: ``training_frames_keypoints.csv``, whose columns are an image, then 0 to 135.

The first column has no name. Columns 2k and 2k + 1 are x and y of point k of 68. Images are in ``training`` and
``test``; they are frames of videos, ``<person>_<video><frame>.jpg``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import head, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.face_layouts import IBUG
from steadfit.data.formats.instances import Instances, Point
from steadfit.data.formats.roots import images_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "udacity-faces"
ABOUT = About(title="Udacity facial keypoints (training_frames_keypoints.csv)", exif="ignore")
LISTS = {"training": "train", "test": "test"}
"""The folders of images, which begin the names of the tables, and the splits."""
HEADER = ("", *(str(k) for k in range(2 * len(IBUG.points))))


def is_one(path: Path) -> bool:
    """Whether a path is one of the tables, or a folder with them."""
    return any(_fits(file) for file in _files(path))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The faces, with the two tables as training and test images, and frames of one person in one group.

    One table alone gives a split only if it is that of the test images. Errors are divided by the distance of the outer
    corners of the eyes.

    Args:
        path: the folder of the tables, or one table.
        images: the folder that contains ``training`` and ``test``, for one table the one of these that belongs to it;
            None: looked for.

    Raises:
        DataError: there are no tables, or they cannot be read.
    """
    rows = Instances(path=path, format=NAME, points=IBUG.points)
    files = _files(path)
    if not files:
        raise DataError(f"{path}: expected training_frames_keypoints.csv or test_frames_keypoints.csv, got neither.")
    names: list[str] = []
    persons: dict[str, set[str]] = {"train": set(), "test": set(), "": set()}
    for file in files:
        folder = next((name for name in LISTS if file.name.startswith(f"{name}_")), "")
        split = LISTS.get(folder, "") if len(files) > 1 or folder == "test" else ""
        for line, cells in _rows(file):
            at, number = ("", line) if path == file else (f"{file.name}, line {line}", None)
            with rows.row(at, line=number):
                name = expect.text(cells[0], "image")
                image = name if path == file else f"{folder}/{name}"
                person = _person(name)
                rows.add(image, _points(cells), at=at, line=number, split=split, group=person)
                names.append(image)
                persons[split].add(person)
    return rows.source(
        images_root(path, names, images),
        pairs=IBUG.pairs,
        limbs=IBUG.limbs,
        normalizer=IBUG.normalizer,
        notes=_notes(persons),
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [file for name in LISTS if (file := path / f"{name}_frames_keypoints.csv").is_file()]


def _fits(file: Path) -> bool:
    if not file.is_file() or file.suffix.lower() != ".csv":
        return False
    first = head(file).decode("utf-8-sig", "replace").split("\n", 1)[0]
    return tuple(cell.strip().strip('"') for cell in first.split(",")) == HEADER


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text_at(file), newline=""), strict=True)
    line = 1
    try:
        for number, cells in enumerate(reader):
            if number == 0 and tuple(cell.strip() for cell in cells) != HEADER:
                raise DataError(f"{file}, line 1: expected a nameless column and 0 to {len(HEADER) - 2}.")
            if number and cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file}, line {line}: expected CSV cells, got {error}.") from None


def _points(cells: list[str]) -> dict[str, Point]:
    if len(cells) != len(HEADER):
        raise Misfit(f"expected {len(HEADER)} cells as in the header, got {len(cells)}.")
    found: dict[str, Point] = {}
    for k, name in enumerate(IBUG.points):
        x, y = cells[1 + 2 * k : 3 + 2 * k]
        if x.strip() or y.strip():
            found[name] = Point(expect.number(x, f"column {2 * k}"), expect.number(y, f"column {2 * k + 1}"))
    return found


def _person(name: str) -> str:
    """The person in a frame, by its name."""
    found = re.fullmatch(r"(.+?)_\d+\.\w+", Path(name.replace("\\", "/")).name)
    return found[1] if found else ""


def _notes(persons: dict[str, set[str]]) -> list[str]:
    both = persons["train"] & persons["test"] - {""}
    count = len(persons["test"])
    return [f"Persons of test images who are in training images, too: {len(both)} of {count}."] if both else []
