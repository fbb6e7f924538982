"""Inputs that occur twice: rows of one image, images under several paths, rows with the same features."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.problems import Problem
from steadfit.errors import DataWarning

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
SHOWN = 10  # groups of copies, and lines of one group, that a warning lists


def place_of(images: Sequence[str]) -> list[str]:
    """The paths of images in one spelling, empty where there is none: ``a/../b.png`` is ``b.png``."""
    return [os.path.normpath(name) if name.strip() else "" for name in images]


def same_paths(
    raw: RawTable, column: str, images: Sequence[str], *, target: Floats, box: Floats | None, once: bool
) -> list[Problem]:
    """A problem for each row that repeats an earlier row of its image: with the same labels, or in the same box.

    Args:
        raw: the table.
        column: the column of images.
        images: N paths.
        target: (N, K, D), NaN = not annotated.
        box: (N, 4), None for whole images. Instances of a format may share a box, where several people annotated one.
        once: whether an image may occur only once, as with classes.
    """
    rules: dict[str, Floats | None] = {"an image once": None}
    if not once:
        rules = {"rows of one image to differ in their labels": target}
        rules |= {} if box is None or raw.instances else {"rows of one image to have different boxes": box}
    earlier: dict[tuple[str, str, bytes], int] = {}
    problems = []
    bare = set(np.flatnonzero(np.isnan(target).all(axis=(1, 2))).tolist()) if raw.instances else set()
    for row, place in enumerate(place_of(images)):
        for rule, values in rules.items() if place and row not in bare else ():
            first = earlier.setdefault((place, rule, b"" if values is None else values[row].tobytes()), row)
            if first != row:
                where = f"line {raw.line[first]}" if raw.at is None else raw.at[first]
                problems.append(raw.problem(row, column, f"expected {rule}, got {images[row]!r} here and in {where}."))
                break
    return problems


def warn_several(path: Path, images: Sequence[str], split: npt.NDArray[np.str_], *, boxes: bool) -> None:
    """Warn about images with several rows that nothing tells apart, or that given splits divide.

    Args:
        path: the table.
        images: N paths.
        split: (N,), the splits of the rows.
        boxes: whether each row has a box of its own.

    Warns:
        DataWarning: one for each of the two.
    """
    rows: dict[str, list[int]] = {}
    for row, place in enumerate(place_of(images)):
        rows.setdefault(place, []).append(row)
    several = {place: found for place, found in rows.items() if len(found) > 1}
    if several and not boxes:
        warnings.warn(
            f"{path}: {_images(len(several), 'has', 'have')} several rows and no boxes, such as "
            f"{next(iter(several))!r}: the network sees the same picture for each of them. For several persons in one "
            "image give --box points, or the columns of their boxes.",
            DataWarning,
            stacklevel=4,
        )
    if divided := [place for place, found in several.items() if len(set(split[found].tolist())) > 1]:
        warnings.warn(
            f"{path}: {_images(len(divided), 'has', 'have')} rows in several splits, such as {divided[0]!r}, so that "
            "images are tested that were trained on.",
            DataWarning,
            stacklevel=4,
        )


def _images(count: int, one: str, many: str) -> str:
    return f"1 image {one}" if count == 1 else f"{count} images {many}"


def warn_copies(path: Path, line: Rows, split: npt.NDArray[np.str_], group: Rows) -> None:
    """Warn once about rows with the same features in several splits, which make test errors too small.

    Args:
        path: the table.
        line: (N,), the lines of the rows.
        split: (N,), their splits.
        group: (N,), equal for rows with the same features.
    """
    copied = np.isin(group, np.flatnonzero(np.bincount(group) > 1)).nonzero()[0]
    order = copied[np.argsort(group[copied], kind="stable")]
    starts = np.unique(group[order], return_index=True)[1][1:]
    across = [rows for rows in np.split(order, starts) if len(rows) > 1 and len(set(split[rows].tolist())) > 1]
    if not across:
        return
    listed = "".join(f"\n  lines {' = '.join(_lines(line[rows], split[rows]))}" for rows in across[:SHOWN])
    listed += f"\n  and {len(across) - SHOWN} more" if len(across) > SHOWN else ""
    which = "1 row of features is" if len(across) == 1 else f"{len(across)} rows of features are"
    warnings.warn(
        f"{path}: {which} the same in several splits, so that rows are tested that were trained on:{listed}",
        DataWarning,
        stacklevel=4,
    )


def _lines(line: Rows, split: npt.NDArray[np.str_]) -> list[str]:
    shown = [f"{number} ({word})" for number, word in zip(line[:SHOWN].tolist(), split[:SHOWN].tolist(), strict=True)]
    return [*shown, "..."] if len(line) > SHOWN else shown


def warn_duplicates(
    path: Path, images: Sequence[str] | None, split: npt.NDArray[np.str_], group: Rows
) -> tuple[tuple[str, ...], ...]:
    """Groups of paths with the same bytes; one warning lists them, and which of them cross the splits.

    Args:
        path: the table.
        images: N paths; None for a table of features.
        split: (N,), the splits of the rows.
        group: (N,), equal for images with the same bytes.
    """
    if images is None or len(np.unique(group)) == len(group):
        return ()
    first = {place: row for row, place in reversed([*enumerate(place_of(images))])}
    once = np.array(sorted(first.values()), dtype=np.int64)  # rows of one image are no copies
    names, counts = np.unique(group[once], return_counts=True)
    found = [once[group[once] == name].tolist() for name in names[counts > 1]]
    if not found:
        return ()
    groups = tuple(tuple(images[row] for row in rows) for rows in found)
    across = [len({str(split[row]) for row in rows}) > 1 for rows in found]
    listed = "".join(
        f"\n  {' = '.join(paths)}{' (in several splits)' if crosses else ''}"
        for paths, crosses in zip(groups, across, strict=True)
    )
    which = "1 group of images has" if len(groups) == 1 else f"{len(groups)} groups of images have"
    warnings.warn(
        f"{path}: {which} the same bytes under several paths, {sum(across)} of them across splits:{listed}",
        DataWarning,
        stacklevel=4,
    )
    return groups
