"""WFLW's lists: a line for each face with 98 points, a box, six flags and the path of the image.

A line of ``list_98pt_rect_attr_train.txt`` has 196 coordinates, the box as left, top, right, bottom, six flags of 0 or
1 (pose, expression, illumination, make-up, occlusion, blur) and the image. Lists without boxes and flags
(``list_98pt_test.txt``) are read, too. Coordinates are px, nothing is added.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import head, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.face_layouts import WFLW
from steadfit.data.formats.folders import files_below, has_table, plain_path
from steadfit.data.formats.instances import Floats, pose_source
from steadfit.data.formats.roots import images_root, is_file
from steadfit.data.images.paths import is_image
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "wflw"
ABOUT = About(title="WFLW's lists", sample="description", exif="ignore")
_NUMBERS, _BOX, _FLAGS = 196, 4, 6
_PREFIX = "list_98pt"


def is_one(path: Path) -> bool:
    """Whether a path is one of WFLW's lists, or a folder with such lists of their name."""
    if path.is_dir():
        first = [] if has_table(path) else _lists(path)[:1]  # known by its name, damaged or not
        return any(len(head(path / name).split(maxsplit=_NUMBERS // 2)) > _NUMBERS // 2 for name in first)
    return path.is_file() and path.suffix.lower() in (".txt", "") and _is_list(path)


def _is_list(path: Path) -> bool:
    words = head(path).split(b"\n", 1)[0].split()
    if not _NUMBERS < len(words) < _NUMBERS + _BOX + _FLAGS + 10:
        return False
    name = words[-1].decode("utf-8", "replace")
    return is_image(name) and all(_is_number(word) for word in words[:_NUMBERS])


def _is_number(word: bytes) -> bool:
    return word.replace(b".", b"", 1).lstrip(b"-").isdigit()


def _lists(folder: Path) -> list[str]:
    """The lists in a folder: those with boxes, if there are any, or else all that are of no subset."""
    found = [name for name in files_below(folder, ".txt") if os.path.basename(name).startswith(_PREFIX)]
    boxed = [name for name in found if "rect_attr" in os.path.basename(name)]
    whole = [name for name in found if os.path.splitext(os.path.basename(name))[0] in (f"{_PREFIX}_test", _PREFIX)]
    return boxed or whole or found


def read(path: Path, *, images: Path | None = None) -> Source:
    """The faces of a list, or of the lists for training and testing in a folder, one row for each line.

    The name of a list tells the split of its rows. A box without a width or height is not used. The flags are not used.

    Args:
        path: a list, or a folder with lists.
        images: the folder of the images, usually ``WFLW_images``; None: looked for.

    Raises:
        DataError: there are no lists, or no faces in them.
    """
    files = [path / name for name in _lists(path)] if path.is_dir() else [path]
    rows: list[_Row] = []
    problems: list[Problem] = []
    for file in files:
        for number, line in enumerate(text_at(file).split("\n"), start=1):
            if line.strip():
                try:
                    rows.append(_row(file, number, line))
                except Misfit as error:
                    where = f"line {number}" + (f", {error.where}" if error.where else "")
                    problems.append(Problem(str(file), number, None, error.reason, where))
    if not rows:
        first = f" The first problem: {problems[0]}" if problems else ""
        raise DataError(f"{path}: expected lists of faces, got none.{first}")
    names = [row.image for row in rows]
    xy = np.array([row.xy for row in rows])
    empty = sum(row.empty for row in rows)
    notes = [f"{empty} boxes without a width or height are not used."] * bool(empty)
    return pose_source(
        path=path,
        root=_root(path, names, images),
        format=NAME,
        points=WFLW.points,
        images=names,
        xy=xy,
        visible=np.full(xy.shape[:2], 2, dtype=np.int8),
        box=np.array([row.box for row in rows]),
        size=np.full((len(rows), 2), np.nan),
        split=[_split(row.file) for row in rows],
        group=[""] * len(rows),
        at=[f"{row.file.name}, line {row.line}" for row in rows] if len(files) > 1 else None,
        line=None if len(files) > 1 else np.array([row.line for row in rows]),
        problems=problems,
        pairs=WFLW.pairs,
        limbs=WFLW.limbs,
        normalizer=WFLW.normalizer,
        notes=[*notes, "The flags of faces (pose, expression, occlusion and others) are not used."],
    )


def _root(path: Path, names: Sequence[str], images: Path | None) -> Path:
    """The folder of the images, which WFLW has two folders above its lists."""
    found = images_root(path, names, images)
    if images is None and path.is_file() and not is_file(found, names[0]):
        above = images_root(path.resolve().parent.parent, names, None)
        return above if is_file(above, names[0]) else found
    return found


class _Row:
    """One line."""

    def __init__(self, file: Path, line: int, words: Sequence[str], image: str) -> None:
        self.file, self.line, self.image = file, line, image
        self.xy: Floats = _numbers(words[:_NUMBERS]).reshape(-1, 2)
        self.box, self.empty = (np.nan,) * 4, False
        if len(words) > _NUMBERS:
            left, top, right, bottom = _numbers(words[_NUMBERS : _NUMBERS + _BOX], _NUMBERS).tolist()
            self.empty = not (right > left and bottom > top)
            self.box = self.box if self.empty else (left, top, right - left, bottom - top)


def _row(file: Path, number: int, line: str) -> _Row:
    for fields in (_NUMBERS + _BOX + _FLAGS, _NUMBERS):
        words = line.split(maxsplit=fields)  # a path may have spaces
        if len(words) == fields + 1 and not _is_number(words[fields].split()[0].encode()):
            return _Row(file, number, words[:fields], plain_path(words[fields].strip(), "image"))
    raise Misfit(
        f"expected {_NUMBERS} coordinates, 4 numbers of the box, 6 flags and an image, got {len(line.split())} words."
    )


def _numbers(words: Sequence[str], first: int = 0) -> Floats:
    try:
        found = np.array(words, dtype=np.float64)
    except ValueError:
        found = np.array([np.nan])
    if np.isfinite(found).all():
        return found
    return np.array([expect.number(word, f"word {first + k + 1}") for k, word in enumerate(words)])


def _split(file: Path) -> str:
    """``train`` or ``test`` by the name of a list; empty for another name."""
    stem = file.stem.lower()
    return next((word for word in ("train", "test") if stem.endswith(word) or f"_{word}_" in stem), "")
