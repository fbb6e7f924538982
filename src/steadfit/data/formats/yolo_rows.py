"""The lines of all label files of a YOLO set, each with its image; bad ones are problems with their places."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.yolo_lines import Line, read_line
from steadfit.data.formats.yolo_places import Place, Places, places_of
from steadfit.data.formats.yolo_sets import YoloSet, bare_set, description_in, read_set
from steadfit.data.images.sizes import image_size
from steadfit.data.tables.problems import Problem
from steadfit.errors import DataError

NAME = "yolo"
TITLE = "YOLO-pose (data.yaml)"


@dataclass(frozen=True)
class Row:
    """A line of a label file.

    Args:
        place: its image.
        number: the line in its file, from 1.
        order: the number among all lines, from 1.
        size: width and height of the image in px.
        line: what it says.
    """

    place: Place
    number: int
    order: int
    size: tuple[int, int]
    line: Line

    @property
    def at(self) -> str:
        """The place of the line in the set."""
        return f"{self.place.label}, line {self.number}"


@dataclass
class Rows:
    """What the label files of a set say.

    Args:
        described: the set.
        places: its images.
        rows: the instances.
        problems: lines that cannot be read.
        odd: how often something odd was found, by what it is.
    """

    described: YoloSet
    places: Places
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        """Sentences on what is odd, and on classes."""
        notes = [f"{what}: {count}." for what, count in self.odd.items()]
        classes = Counter(row.line.number for row in self.rows)
        if len(classes) > 1:
            named = (f"{self.described.classes.get(k, k)} {count}" for k, count in sorted(classes.items()))
            notes.append(f"Instances of {len(classes)} classes are rows alike: {', '.join(named)}.")
        return notes


def read_rows(path: Path, images: Path | None) -> Rows:
    """The lines of all label files of a set.

    Args:
        path: the ``data.yaml``, or its folder.
        images: the folder of the images; None: that of the ``data.yaml``.

    Raises:
        DataError: the ``data.yaml`` cannot be read, describes no points, or leads to no images.
    """
    file = description_in(path)
    described = bare_set(path) if file is None else read_set(file)
    if described is None:
        raise DataError(f"{path}: expected a data.yaml of YOLO or a folder that contains one, got none.")
    found = Rows(described, places_of(described, images))
    for place in found.places.images:
        _read_labels(found, place)
    return found


def _read_labels(found: Rows, place: Place) -> None:
    """Add the instances of one image."""
    try:
        lines = list(lines_of(place))
        if not lines:
            found.odd["Images without labels"] += 1
            return
        size = image_size(found.places.root, place.name) if place.found else None
        if size is None:
            raise Misfit(_no_size(found, place))
    except Misfit as error:
        found.problems.append(_problem(found, place, None, error))
        return
    seen: set[str] = set()
    for number, text in lines:
        plain = " ".join(text.split())
        if plain in seen:
            found.odd["Lines that repeat another one of their file, and count once"] += 1
            continue
        seen.add(plain)
        try:
            found.rows.append(Row(place, number, _order(found), size, _line(found, text, size)))
        except Misfit as error:
            found.problems.append(_problem(found, place, number, error))


def _no_size(found: Rows, place: Place) -> str:
    wanted = f"the image {place.name!r}" if place.found else f"an image {place.name}.*"
    return (
        f"expected {wanted} in {found.places.root}, whose size these shares are of, got none that can be read. Name "
        "the folder of the images with --images (images=...)."
    )


def _line(found: Rows, text: str, size: tuple[int, int]) -> Line:
    described = found.described
    line = read_line(text, size, described.count, described.dimensions)
    if described.classes and line.number not in described.classes:
        raise Misfit(f"expected one of {len(described.classes)} classes, got {line.number}.", "value 1")
    named = len(described.points_of(line.number))
    if (line.xyv[named:, 2] > 0).any():
        raise Misfit(f"expected labels of the {named} points that class {line.number} has, got further ones.")
    if line.box is None:
        found.odd["Boxes without extent, which are not used"] += 1
    if ((line.xyv[:, :2] == 0).all(axis=1) & (line.xyv[:, 2] > 0)).any():
        found.odd["Instances with a labelled point at 0, 0"] += 1
    return line


def _problem(found: Rows, place: Place, number: int | None, error: Misfit) -> Problem:
    where = [place.label, *([f"line {number}"] if number else []), *([error.where] if error.where else [])]
    path = found.described.file or found.described.folder
    return Problem(str(path), _order(found), None, error.reason, ", ".join(where))


def _order(found: Rows) -> int:
    return len(found.rows) + len(found.problems) + 1


def lines_of(place: Place) -> Iterator[tuple[int, str]]:
    """The lines with content of the labels of an image, with their numbers; none where there is no file.

    Args:
        place: the image.

    Raises:
        Misfit: the file is not text, or links lead out of its folder.
    """
    file = place.labels / place.label
    if not os.path.isfile(file):
        return
    base = os.path.realpath(place.labels)
    if os.path.commonpath([base, os.path.realpath(file)]) != base:
        raise Misfit(f"expected labels inside {place.labels}, got a link to a file outside.")
    try:
        content = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Misfit(f"expected text in UTF-8, got byte 0x{error.object[error.start]:02x}.") from None
    except OSError as error:
        raise Misfit(f"expected a readable file, got {error.strerror or error}.") from None
    for number, text in enumerate(re.split(r"\r\n|\r|\n", content), start=1):
        if text.strip():
            yield number, text
