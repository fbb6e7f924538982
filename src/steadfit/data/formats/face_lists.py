"""Lists of faces in plain text, one a line: the path of an image, which may contain spaces, and a count of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steadfit.data.formats import expect
from steadfit.data.formats.documents import head, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.folders import has_table
from steadfit.data.formats.instances import Instances, Point
from steadfit.data.formats.layouts import FACE_5

COUNT = 14
"""The numbers after the path."""


@dataclass(frozen=True)
class Line:
    """A line of a list.

    Args:
        image: the path.
        numbers: the ``COUNT`` numbers as text.
    """

    image: str
    numbers: tuple[str, ...]


def is_list(path: Path, fits: Callable[[Sequence[str]], bool]) -> bool:
    """Whether a path is a list whose first line fits.

    Args:
        path: the path.
        fits: whether the numbers of a line are of the kind.
    """
    if not path.is_file() or path.suffix.lower() not in (".txt", ".list", ".lst"):
        return False
    first = next((line for line in head(path).decode("utf-8", "replace").splitlines() if line.strip()), "")
    try:
        return fits(_line(first).numbers)
    except Misfit:
        return False


def files_of(path: Path, names: Sequence[str]) -> list[Path]:
    """The lists of a set: those of a folder that has no table of steadfit's own, or the file itself.

    Args:
        path: a file or folder.
        names: the names of the lists in a folder.
    """
    if not path.is_dir():
        return [path]
    if has_table(path):
        return []
    return [path / name for name in names if (path / name).is_file()]


def read_lines(rows: Instances, file: Path, add: Callable[[Line, str, int | None], None]) -> None:
    """Add a row for each line of a list; one that does not fit becomes a problem.

    Args:
        rows: the rows.
        file: the list.
        add: adds a line as a row, with its place and its number as :meth:`Instances.add` takes them.

    Raises:
        DataError: the list cannot be read.
    """
    alone = file == rows.path  # otherwise the numbers of lines are not enough to name a row
    for number, text in _lines(file):
        at, line = ("", number) if alone else (f"{file.name}, line {number}", None)
        with rows.row(at, line=line):
            add(_line(text), at, line)


def points_of(xs: Sequence[str], ys: Sequence[str]) -> dict[str, Point]:
    """The five points of a face, by name.

    Args:
        xs: five numbers as text.
        ys: five numbers as text.

    Raises:
        Misfit: one of them is not a number.
    """
    pairs = zip(FACE_5.points, xs, ys, strict=True)
    return {name: Point(expect.number(x, f"x of {name}"), expect.number(y, f"y of {name}")) for name, x, y in pairs}


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    for number, text in enumerate(text_at(file).split("\n"), start=1):
        if text.strip():
            yield number, text


def _line(text: str) -> Line:
    parts = text.strip().rsplit(None, COUNT)
    if len(parts) != COUNT + 1:
        raise Misfit(f"expected a path and {COUNT} numbers, got {len(parts)} words.")
    return Line(parts[0], tuple(parts[1:]))
