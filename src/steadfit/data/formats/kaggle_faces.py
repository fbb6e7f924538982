"""Kaggle's Facial Keypoints Detection: ``training.csv`` with columns of coordinates, and pixels in the table.

The column ``Image`` has the 96 x 96 grey values of a face, separated by spaces. Left and right are those of the person.
An empty cell is a point that was not annotated: about two thirds of the faces were annotated with four points only.
"""

from __future__ import annotations

import csv
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import head
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Instances, Point
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "kaggle-faces"
ABOUT = About(title="Kaggle Facial Keypoints Detection (training.csv)", sample="description", exif="ignore")
FILE, IMAGE = "training.csv", "Image"
SIDE = 96
EYES = ("left_eye_center", "right_eye_center")
FEW = 4
"""The most points of a face of the second campaign of annotation."""


def is_one(path: Path) -> bool:
    """Whether a path is the table with points and pixels, or a folder with it as ``training.csv``."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file() or file.suffix.lower() != ".csv":
        return False
    first = head(file).decode("utf-8-sig", "replace").split("\n", 1)[0]
    header = [cell.strip().strip('"') for cell in first.split(",")]
    return IMAGE in header and set(EYES) <= set(_columns(header))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The faces of the table with their pixels, which stay in memory (9 kB a face); there is no split.

    Errors are divided by the distance of the centres of the eyes.

    Args:
        path: ``training.csv``, or the folder with it.
        images: not allowed, since the images are in the table.

    Raises:
        DataError: the table cannot be read, or ``images`` is given.
    """
    if images is not None:
        raise DataError(f"{images}: expected no folder of images, since {path} contains them. Leave out --images.")
    file = path / FILE if path.is_dir() else path
    lines = _lines(file)
    header = [cell.strip() for cell in next(lines, (1, []))[1]]
    columns = _columns(header)
    if not columns or header.count(IMAGE) != 1:
        raise DataError(f"{file}, line 1: expected columns such as {EYES[0]}_x, and {IMAGE!r} once, got others.")
    rows = Instances(path=file, format=NAME, points=[*columns])
    pixels: list[npt.NDArray[np.uint8]] = []
    few = 0
    for line, cells in lines:
        with rows.row("", line=line):
            if len(cells) != len(header):
                raise Misfit(f"expected {len(header)} cells as in the header, got {len(cells)}.")
            points = _points(cells, columns)
            pixels.append(_image(cells[header.index(IMAGE)]))
            rows.add(f"{file.name}:{line}", points, line=line, size=(SIDE, SIDE))
            few += len(points) <= FEW < len(columns)
    normalizer = (rows.points.index(EYES[0]), rows.points.index(EYES[1])) if set(EYES) <= set(columns) else None
    note = f"Faces with at most {FEW} points, which are from another campaign of annotation: {few} of {len(rows)}."
    source = rows.source(file.parent, normalizer=normalizer, notes=[note] if few else [])
    grey = torch.from_numpy(np.stack(pixels))[:, None]
    return dataclasses.replace(source, pixels=grey.expand(-1, 3, -1, -1))  # one copy for three colours


def _columns(header: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The places of x and y of each point, by its name."""
    place = {name: k for k, name in enumerate(header)}
    names = [name[:-2] for name in header if name.endswith("_x") and f"{name[:-2]}_y" in place]
    return {name: (place[f"{name}_x"], place[f"{name}_y"]) for name in names}


def _points(cells: Sequence[str], columns: dict[str, tuple[int, int]]) -> dict[str, Point]:
    found: dict[str, Point] = {}
    for name, (x, y) in columns.items():
        if cells[x].strip() or cells[y].strip():
            left, top = (expect.number(cells[k], f"column {name}_{axis}") for k, axis in ((x, "x"), (y, "y")))
            found[name] = Point(left, top)
    return found


def _image(cell: str) -> npt.NDArray[np.uint8]:
    """The pixels (96, 96) in a cell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # by which older versions of NumPy report other text
            values = np.fromstring(cell, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        raise Misfit("expected whole grey values, got a cell with others.", f"column {IMAGE}") from None
    if len(values) != SIDE * SIDE:
        raise Misfit(f"expected {SIDE * SIDE} grey values, got {len(values)}.", f"column {IMAGE}")
    if values.min() < 0 or values.max() > 255:
        raise Misfit(f"expected grey values from 0 to 255, got {values.min()} to {values.max()}.", f"column {IMAGE}")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of the table one by one, since it has 240 MB of text, with the lines at which they start."""
    line = 1
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
    except OSError as error:
        raise DataError(f"{file}: expected a readable file, got {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}, after line {line}: expected UTF-8, got another encoding ({error.reason}).") from None
    except csv.Error as error:
        raise DataError(f"{file}, line {line}: expected CSV cells, got {error}.") from None
