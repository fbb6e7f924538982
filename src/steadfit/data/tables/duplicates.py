"""Inputs that occur twice: an image under one path is an error; one under several paths, or features, a warning."""

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

Rows = npt.NDArray[np.int64]
SHOWN = 10  # groups of copies, and lines of one group, that a warning lists


def same_paths(raw: RawTable, column: str, images: Sequence[str]) -> list[Problem]:
    """A problem for each row whose image an earlier row already has; ``a/../b.png`` is ``b.png``.

    Args:
        raw: the table.
        column: the column of images.
        images: N paths.
    """
    first: dict[str, int] = {}
    problems = []
    for row, name in enumerate(images):
        key = os.path.normpath(name) if name.strip() else f"\0{row}"
        line = first.setdefault(key, int(raw.line[row]))
        if line != raw.line[row]:
            reason = f"expected an image once, got {name!r} here and in line {line}."
            problems.append(raw.problem(row, column, reason))
    return problems


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
    names, counts = np.unique(group, return_counts=True)
    if images is None or not (counts > 1).any():
        return ()
    found = [(group == name).nonzero()[0].tolist() for name in names[counts > 1]]
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
