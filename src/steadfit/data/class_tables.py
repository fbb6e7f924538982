"""Classes from a CSV or Parquet table: a column of image paths, one of classes, optionally one of splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from steadfit.data.class_images import ClassImages, Reading
from steadfit.data.images.files import Progress, scan
from steadfit.data.tables.cells import MISSING, RawTable, read_table
from steadfit.data.tables.duplicates import same_paths
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.splits import read_split
from steadfit.errors import DataError

IMAGE, SPLIT, LABELS = "image", "split", ("label", "class")


def read_class_table(path: Path, label: str | None = None, progress: Progress | None = None) -> Reading:
    """The rows of a table with the columns ``image``, a label and, if there is one, ``split``.

    Args:
        path: the table, or a folder with ``annotations.csv`` or ``annotations.parquet``.
        label: the column of the classes, ids or names; None for ``label`` or else ``class``. Classes are ordered by
            number where all are whole numbers, else by name. Ids in ``label`` are named by the column ``class`` where
            it gives each id one name of its own.
        progress: called with the number of images checked and their number in all.

    Raises: DataError for a column that is not there, or fewer than two classes.
    """
    raw = read_table(path)
    column = _label_column(raw, label)
    if IMAGE not in raw.cells:
        raise DataError(f"{raw.path}: expected a column {IMAGE!r}, got {', '.join(raw.cells)}.")
    images = tuple(raw.text(IMAGE))
    cells = [cell.strip() for cell in raw.text(column)]
    values = _ordered({cell for cell in cells if cell not in MISSING})
    if len(values) < 2:
        raise DataError(f"{raw.path}, column {column!r}: expected at least two classes, got {len(values)}.")
    number = {value: k for k, value in enumerate(values)}
    given = SPLIT in raw.cells
    split, found = read_split(raw, SPLIT) if given else (np.full(len(cells), "train", dtype="<U5"), [])
    size, digests, reasons = scan(raw.path.parent, images, progress)
    found += [raw.problem(row, column, "expected a class, got none.") for row, c in enumerate(cells) if c in MISSING]
    found += [raw.problem(row, IMAGE, reason) for row, reason in enumerate(reasons) if reason]
    found += same_paths(raw, IMAGE, images)
    classes = ClassImages(
        path=raw.path,
        root=raw.path.parent,
        names=_names(raw, column, cells, values),
        images=images,
        label=np.array([number.get(cell, -1) for cell in cells], dtype=np.int64),
        split=split,
        line=raw.line,
        size=size,
    )
    return Reading(classes, digests, _bad(raw, found), [*raw.problems, *found], given)


def _label_column(raw: RawTable, label: str | None) -> str:
    wanted = LABELS if label is None else (label,)
    for name in wanted:
        if name in raw.cells:
            return name
    raise DataError(
        f"{raw.path}: expected a column {' or '.join(map(repr, wanted))} of classes, got {', '.join(raw.cells)}. "
        "Name it with --label (label=…)."
    )


def _ordered(values: set[str]) -> list[str]:
    """By number where all are whole numbers, else by name."""
    return sorted(values, key=int) if all(_is_id(value) for value in values) else sorted(values)


def _is_id(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _names(raw: RawTable, column: str, cells: list[str], values: list[str]) -> tuple[str, ...]:
    """The classes' names: the values themselves, or for ids in ``label`` those of ``class``, if they fit one to one."""
    if column == LABELS[0] and LABELS[1] in raw.cells and all(map(_is_id, values)):
        pairs = {(cell, name.strip()) for cell, name in zip(cells, raw.text(LABELS[1]), strict=True) if cell in values}
        named = dict(pairs)
        if len(pairs) == len(values) == len(set(named.values())) and "" not in named.values():
            return tuple(named[value] for value in values)
    return tuple(values)


def _bad(raw: RawTable, problems: list[Problem]) -> np.ndarray:
    return np.isin(raw.line, [problem.line for problem in problems if problem.line is not None])
