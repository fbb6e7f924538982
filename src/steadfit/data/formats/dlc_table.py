"""The tables of DeepLabCut and Lightning Pose: CSV files whose header has three rows, four with several animals.

The rows of the header are ``scorer``, ``individuals`` (only with several animals), ``bodyparts`` and ``coords``. The
image's path is in one column, or in three: the folder ``labeled-data``, the video and the file. A point is missing
where its cells are empty or NaN.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steadfit.data.formats import expect
from steadfit.data.formats.documents import HEAD, head, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Codes, Floats
from steadfit.data.tables.numbers import MISSING
from steadfit.data.tables.problems import Problem
from steadfit.errors import DataError

LEVELS = ("scorer", "individuals", "bodyparts", "coords")
COORDS = ("x", "y", "likelihood", "visible")
FRAMES = "labeled-data"
"""The folder of a project that contains one folder of frames for each video."""
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")


@dataclass(frozen=True)
class Record:
    """A record of a CSV file.

    Args:
        line: the line in the file where it begins, from 1.
        text: as it is written, with its line end.
        cells: its cells.
    """

    line: int
    text: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Columns:
    """The columns of a bodypart, counted from 0.

    Args:
        x: that of x.
        y: that of y.
        visible: that of the visibility; None where the table has none.
    """

    x: int
    y: int
    visible: int | None = None


@dataclass(frozen=True)
class Head:
    """What the header of a table says.

    Args:
        scorer: who labelled the frames.
        index: the number of columns of the image's path.
        count: the number of columns.
        places: the columns by individual and bodypart; the individual is empty for tables of one animal.
        likelihood: whether it has columns of a network's confidence.
        several: whether it names individuals.
    """

    scorer: str
    index: int
    count: int
    places: Mapping[str, Mapping[str, Columns]]
    likelihood: bool
    several: bool

    @property
    def bodyparts(self) -> list[str]:
        """The names of the points, in the order of the columns."""
        return list(dict.fromkeys(part for parts in self.places.values() for part in parts))


@dataclass(frozen=True)
class PoseTable:
    """A table that was read: N images, of which each has the points of one or several animals.

    Args:
        path: the file.
        head: its header.
        images: N paths, with slashes.
        lines: N lines in the file.
        values: (N, C) numbers of all columns, NaN where a cell is empty or part of the image's path.
        problems: of rows that are not among the N.
        records: all records of the file.
        mark: the separator of cells.
        decimal: whether its numbers have a decimal comma.
        unit: what ``lines`` count, as problems say it.
    """

    path: Path
    head: Head
    images: Sequence[str]
    lines: Sequence[int]
    values: Floats
    problems: Sequence[Problem] = ()
    records: Sequence[Record] = ()
    mark: str = ","
    decimal: bool = False
    unit: str = "line"

    def points(self, individual: str) -> tuple[Floats, Codes]:
        """The points of one animal.

        Args:
            individual: its name; empty for tables of one animal.

        Returns:
            x and y (N, K, 2) in px, NaN = not annotated, and the visibility (N, K) as it is written: 2 for visible,
            1 for occluded, 0 for not labelled, -1 without such a column or cell.
        """
        places = list(self.head.places[individual].values())
        xy = np.stack([self.values[:, [place.x for place in places]], self.values[:, [place.y for place in places]]], 2)
        codes = np.full(xy.shape[:2], -1, dtype=np.int8)
        for k, place in enumerate(places):
            if place.visible is not None:
                given = self.values[:, place.visible]
                codes[:, k] = np.where(np.isnan(given), -1, given).astype(np.int8)
        return xy, codes


def is_pose_table(path: Path) -> bool:
    """Whether a path is a CSV file that begins with the rows ``scorer`` and ``bodyparts`` or ``individuals``."""
    return len(first_cells(path)) > 1


def first_cells(path: Path) -> list[list[str]]:
    """The rows of the header of a table, as far as the first 64 KiB of the file have them; none for other files."""
    start = head(path) if path.is_file() else b""
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = start.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    mark = _mark(text)
    rows: list[list[str]] = []
    for line in text.lstrip(" \t\r\n,;").splitlines():
        cells = [cell.strip(" \"'") for cell in line.split(mark)]
        if any(cells) and cells[0] not in LEVELS[len(rows) :]:
            break
        rows += [cells] if any(cells) else []
    known = [row[0] for row in rows]
    long = len(start) == HEAD and len(rows) == 1  # a header that is longer than what was read
    return rows if known[:1] == ["scorer"] and (long or known[1:2] in (["individuals"], ["bodyparts"])) else []


def read_pose_table(path: Path, name: str = "") -> PoseTable:
    """A table of DeepLabCut or Lightning Pose.

    Args:
        path: the file.
        name: what problems call the file in front of the line; empty where the file is all that is read.

    Raises:
        DataError: it is no such table, or its header is incomplete; names the line.
    """
    text = text_at(path)
    mark = _mark(text)
    records = list(_records(path, text, mark))
    header, start = _header(path, records)
    body = list(_rows(records[start:], header))
    decimal = mark != "," and _decimal_comma(cell for record in body for cell in record.cells[header.index :])
    rows: list[Record] = []
    values: list[list[float]] = []
    problems: list[Problem] = []
    for record in body:
        try:
            values.append(_numbers(record.cells, header, decimal))
            rows.append(record)
        except Misfit as error:
            problems.append(_problem(path, name, record.line, error))
    found = np.array(values, dtype=np.float64).reshape(-1, header.count)
    bad = contradictions(found, header)
    problems += [_problem(path, name, rows[k].line, error) for k, error in bad.items()]
    kept = [k for k in range(len(rows)) if k not in bad]
    images = [_image(rows[k].cells[: header.index]) for k in kept]
    return PoseTable(path, header, images, [rows[k].line for k in kept], found[kept], problems, records, mark, decimal)


def _decimal_comma(cells: Iterable[str]) -> bool:
    """Whether numbers have a decimal comma: none has a point, and not all commas may separate thousands."""
    marked = [cell for cell in cells if "," in cell or "." in cell]
    return not any("." in cell for cell in marked) and not all(_THOUSANDS.fullmatch(cell.strip()) for cell in marked)


def _problem(path: Path, name: str, line: int, error: Misfit) -> Problem:
    return Problem(str(path), line, None, error.reason, place(name, line, error.where))


def _image(cells: Sequence[str]) -> str:
    return "/".join(cell.strip().replace("\\", "/") for cell in cells if cell.strip())


def place(name: str, line: int, rest: str = "", unit: str = "line") -> str:
    """A place in a table, such as ``labeled-data/m1/CollectedData_Ann.csv, line 4, individual mouse1``.

    Args:
        name: the file; empty where it is all that is read.
        line: the line.
        rest: what follows; empty for the whole line.
        unit: what is counted.
    """
    return ", ".join(part for part in (name, f"{unit} {line}", rest) if part)


def _mark(text: str) -> str:
    """The separator of cells: the sign that follows the first word."""
    start = text.lstrip(" \t\r\n,;")
    after = start[len(LEVELS[0]) :].lstrip("\"' ")[:1] if start.lstrip("\"' ").startswith(LEVELS[0]) else ","
    return after if after in (",", ";", "\t") else ","


def _records(path: Path, text: str, mark: str) -> Iterator[Record]:
    lines = list(io.StringIO(text, newline=""))
    before = 0
    try:
        reader = csv.reader(lines, delimiter=mark)
        for cells in reader:
            yield Record(before + 1, "".join(lines[before : reader.line_num]), cells)
            before = reader.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {before + 1}: expected CSV cells, got {error}.") from None


def _header(path: Path, records: Sequence[Record]) -> tuple[Head, int]:
    """The header and the number of records before the first row of data."""
    levels: dict[str, Record] = {}
    start = len(records)
    for k, record in enumerate(records):
        level = record.cells[0].strip() if record.cells else ""
        if not any(cell.strip() for cell in record.cells) and "coords" not in levels:
            continue
        if level not in LEVELS or "coords" in levels:
            start = k
            break
        levels[level] = record
    for level in ("scorer", "bodyparts", "coords"):
        if level not in levels:
            raise DataError(
                f"{path}: expected the header's rows scorer, bodyparts and coords, got none that begins with {level!r}."
            )
    width = len(levels["coords"].cells)
    for record in levels.values():
        if len(record.cells) != width:
            raise DataError(f"{path}, line {record.line}: expected {width} cells, got {len(record.cells)}.")
    return head_of(path, {level: [cell.strip() for cell in record.cells] for level, record in levels.items()}), start


def head_of(path: Path, rows: Mapping[str, Sequence[str]]) -> Head:
    """What the rows of a header say.

    Args:
        path: the file.
        rows: the C cells of each row by its first word; ``individuals`` may be absent.

    Raises:
        DataError: a column is none of a bodypart, or there twice.
    """
    coords, parts = rows["coords"], rows["bodyparts"]
    names = rows.get("individuals", [""] * len(coords))
    index = 1
    while index < len(coords) and coords[index] not in COORDS and _is_blank(parts[index]):
        index += 1
    columns: dict[tuple[str, str], dict[str, int]] = {}
    for k in range(index, len(coords)):
        if not any(row[k] for row in rows.values()):
            continue
        found = columns.setdefault((names[k], parts[k]), {})
        at = f"{path}, column {k + 1}"
        if coords[k] not in COORDS or _is_blank(parts[k]):
            raise DataError(
                f"{at}: expected a bodypart and one of {', '.join(COORDS)}, got {parts[k]!r}, {coords[k]!r}."
            )
        if coords[k] in found:
            who = f" of {names[k]}" if names[k] else ""
            raise DataError(f"{at}: expected {coords[k]} of {parts[k]}{who} once, got it twice. Are there two scorers?")
        found[coords[k]] = k
    places: dict[str, dict[str, Columns]] = {}
    for (individual, part), found in columns.items():
        if not {"x", "y"} <= found.keys():
            raise DataError(f"{path}: expected columns x and y of {part!r}, got {', '.join(found)} alone.")
        places.setdefault(individual, {})[part] = Columns(found["x"], found["y"], found.get("visible"))
    if not places:
        raise DataError(f"{path}: expected columns of bodyparts, got none.")
    scorer = next((cell for cell in rows["scorer"][index:] if cell), "")
    return Head(scorer, index, len(coords), places, "likelihood" in coords, "individuals" in rows)


def _is_blank(cell: str) -> bool:
    return not cell or cell.startswith("Unnamed:")


def _rows(records: Sequence[Record], header: Head) -> Iterator[Record]:
    """The records of images, without empty ones and without the row of the index's names that pandas may write."""
    first = True
    for record in records:
        path = [cell.strip() for cell in record.cells[: header.index]]
        bare = not any(cell.strip() for cell in record.cells[header.index :])
        name_row = first and bare and not any(os.path.splitext(cell)[1] for cell in path)
        if any(cell.strip() for cell in record.cells):
            first = False
            if not name_row:
                yield record


def _numbers(cells: Sequence[str], header: Head, decimal: bool) -> list[float]:
    """The numbers of a row, NaN for the image's path and for empty cells."""
    if len(cells) != header.count:
        raise Misfit(f"expected {header.count} cells as in the header, got {len(cells)}.")
    image = _image(cells[: header.index])
    if not image or "\0" in image:
        raise Misfit(f"expected the path of an image, got {expect.fact(image) if image else 'none'}.")
    blank, cells = [np.nan] * header.index, cells[header.index :]
    if decimal:
        cells = [cell.replace(",", ".") for cell in cells]
    try:
        found = [float(cell or "nan") for cell in cells]
        if not any(map(math.isinf, found)) and "_" not in "".join(cells):
            return blank + found
    except ValueError:
        pass
    return blank + [_number(cell.strip(), header, header.index + k) for k, cell in enumerate(cells)]


def _number(cell: str, header: Head, k: int) -> float:
    parts = (part for _, part, at in _places(header) if k in (at.x, at.y, at.visible))
    return np.nan if cell in MISSING else expect.number(cell, next(parts, f"column {k + 1}"), missing=True)


def contradictions(values: Floats, header: Head) -> dict[int, Misfit]:
    """The rows with half a point or an unknown visibility, and what is wrong there.

    Args:
        values: (N, C) numbers of all columns.
        header: what the columns are.
    """
    found: dict[int, Misfit] = {}
    for individual, part, at in _places(header):
        who = " ".join(word for word in (individual, part) if word)
        half = np.isnan(values[:, at.x]) != np.isnan(values[:, at.y])
        for row in np.flatnonzero(half).tolist():
            x, y = values[row, at.x], values[row, at.y]
            found.setdefault(row, Misfit(f"expected x and y, or none of them, got {x:g} and {y:g}.", who))
        if at.visible is not None:
            code = values[:, at.visible]
            for row in np.flatnonzero(~np.isnan(code) & ~np.isin(code, (0, 1, 2))).tolist():
                found.setdefault(row, Misfit(f"expected visible to be 0, 1 or 2, got {code[row]:g}.", who))
    return found


def _places(header: Head) -> Iterator[tuple[str, str, Columns]]:
    for individual, parts in header.places.items():
        for part, at in parts.items():
            yield individual, part, at
