"""UTKFace: a folder of faces named ``[age]_[gender]_[race]_[date].jpg`` or ``....jpg.chip.jpg``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from steadfit.data.formats.about import About
from steadfit.data.formats.folders import has_table
from steadfit.data.formats.roots import checked_folder
from steadfit.data.images.paths import is_image
from steadfit.data.tables.cells import Cells, RawTable
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "utkface"
ABOUT = About(title="UTKFace (ages in names of images)", exif="ignore")
_WHOLE_NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_(\d{16,18})[ .a-z]*", re.IGNORECASE)
_PART_OF_NAME = re.compile(r"(\d{1,3})_[\d_]*?(\d{16,18})[ .a-z]*", re.IGNORECASE)
_SAMPLE, _ENTRIES = 50, 200


@dataclass(frozen=True)
class _Face:
    image: str
    age: float
    gender: float  # NaN for unknown
    race: float


def is_one(path: Path) -> bool:
    """Whether a path is a folder in which most of some images have such names."""
    if not path.is_dir() or has_table(path):
        return False
    names = list(islice((file for folder in _near(path) for file in _some(folder)), _SAMPLE))
    fitting = sum(_WHOLE_NAME.fullmatch(name) is not None for name in names)
    return fitting > 0 and 2 * fitting > len(names)


def read(path: Path, *, images: Path | None = None) -> Source:
    """The ages in the names of the images in a folder, as a number to predict, in years.

    Columns ``gender`` (0 male, 1 female) and ``race`` (0 to 4) can be chosen with ``targets``. A name in which a field
    is missing gives the age only, which ``notes`` count: which of the others is missing cannot be told.

    Args:
        path: the folder; folders in it belong to it.
        images: the same folder, if any.

    Raises:
        DataError: no image has such a name.
    """
    root = path if images is None else checked_folder(images)
    faces: list[_Face] = []
    problems: list[Problem] = []
    for name in sorted(_images(root)):
        face = _face(name)
        if face is None:
            reason = f"expected a name such as 26_1_2_20170116174525125.jpg, got {os.path.basename(name)!r}."
            problems.append(Problem(str(root / name), None, None, reason))
        else:
            faces.append(face)
    if not faces:
        raise DataError(f"{root}: expected images named [age]_[gender]_[race]_[date].jpg, got none.")
    short = [face.image for face in faces if np.isnan(face.race)]
    notes = (
        f"Names that lack a field and give the age only: {len(short)} of {len(faces)}, such as {', '.join(short[:1])}."
    )
    return _source(path, root, faces, problems, (notes,) if short else ())


def _source(path: Path, root: Path, faces: list[_Face], problems: list[Problem], notes: tuple[str, ...]) -> Source:
    cells: dict[str, Cells] = {"image": [face.image for face in faces]}
    cells |= {name: np.array([getattr(face, name) for face in faces]) for name in ("age", "gender", "race")}
    table = RawTable(
        path=path,
        cells=cells,
        line=np.zeros(len(faces), dtype=np.int64),
        row=np.arange(len(faces), dtype=np.int64),
        problems=tuple(problems),
        files=[str(root / face.image) for face in faces],
    )
    return Source(table, Schema(targets=("age",), units="years"), root, notes=notes, format=NAME)


def _face(name: str) -> _Face | None:
    file = os.path.basename(name)
    if found := _WHOLE_NAME.fullmatch(file):
        return _Face(name, float(found[1]), float(found[2]), float(found[3]))
    if found := _PART_OF_NAME.fullmatch(file):
        return _Face(name, float(found[1]), np.nan, np.nan)
    return None


def _near(path: Path) -> Iterator[Path]:
    """A folder and some of the folders in it."""
    yield path
    try:
        with os.scandir(path) as entries:
            folders = [entry.name for entry in islice(entries, _ENTRIES) if entry.is_dir() and entry.name[0] != "."]
    except OSError:
        folders = []
    yield from (path / name for name in sorted(folders))


def _some(folder: Path) -> list[str]:
    """The names of some images in a folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, _ENTRIES) if is_image(entry.name) and entry.name[0] != "."]
    except OSError:
        return []


def _images(folder: Path) -> Iterator[str]:
    """The images under a folder, relative to it."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if is_image(file) and not file.startswith("."):
                yield Path(parent, file).relative_to(folder).as_posix()
