"""MPII Human Pose as a table without a header: the name of an image, then x and y of 16 joints by their ids.

It may be packed by gzip. Coordinates are those of the authors' file, which counts pixels from 1.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import head
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Instances, Point
from steadfit.data.formats.layouts import BODY_16
from steadfit.data.formats.persons import FIRST
from steadfit.data.formats.roots import images_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "mpii-csv"
ABOUT = About(title="MPII Human Pose (CSV without a header)", shift=FIRST, exif="ignore")
_IMAGE = re.compile(r"(.*[/\\])?\d{9}\.jpg")
_CELLS = 1 + 2 * len(BODY_16.points)
_MOST = 1 << 28
"""The largest size of the text, in characters; the whole set has 6 million."""
_GZIP = b"\x1f\x8b"


def is_one(path: Path) -> bool:
    """Whether the first line of a CSV file, which may be packed, has the name of an image of MPII and 32 numbers."""
    if not path.is_file() or not path.name.lower().endswith((".csv", ".csv.gz")):
        return False
    start = head(path)
    if start.startswith(_GZIP):
        start = _unpacked_start(start)
    cells = start.decode("utf-8-sig", "replace").split("\n", 1)[0].split(",")
    return len(cells) == _CELLS and _IMAGE.fullmatch(cells[0].strip()) is not None


def read(path: Path, *, images: Path | None = None) -> Source:
    """The persons of the table. Empty cells and joints at (-1, -1) are not annotated; there are no boxes and no split.

    Errors are divided by the distance from upper neck to head top.

    Args:
        path: the file.
        images: the folder of the images; None: looked for.

    Raises:
        DataError: the file cannot be read, or is no such table.
    """
    rows = Instances(path=path, format=NAME, points=BODY_16.points)
    names: list[str] = []
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            with rows.row("", line=line):
                if cells:
                    rows.add(expect.text(cells[0], "image"), _points(cells), line=line)
                    names.append(cells[0])
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: expected CSV cells, got {error}.") from None
    return rows.source(images_root(path, names, images), limbs=BODY_16.limbs, normalizer=BODY_16.normalizer)


def _points(cells: list[str]) -> dict[str, Point]:
    if len(cells) != _CELLS:
        raise Misfit(f"expected an image and {_CELLS - 1} numbers, got {len(cells)} cells.")
    found: dict[str, Point] = {}
    for k, name in enumerate(BODY_16.points):
        pair = cells[1 + 2 * k : 3 + 2 * k]
        if any(cell.strip() for cell in pair):
            x, y = (expect.number(cell, name) for cell in pair)
            if (x, y) != (-1, -1):
                found[name] = Point(x + FIRST, y + FIRST)
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(_MOST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a readable file, got {error}. Is it whole?") from None
    if len(content) > _MOST:
        raise DataError(f"{path}: expected at most {_MOST} characters, got more.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: expected UTF-8, got byte 0x{content[error.start]:02x}.") from None


def _unpacked_start(start: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(start, 4096)
    except zlib.error:
        return b""
