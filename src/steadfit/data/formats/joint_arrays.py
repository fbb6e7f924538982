"""What LSP, LSP extended and PARSE share: one MATLAB array of joints, and images that are numbered in its order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from steadfit.data.formats import matlab
from steadfit.data.formats.folders import has_table
from steadfit.data.formats.instances import Codes, Floats, pose_source
from steadfit.data.formats.layouts import BODY_14
from steadfit.data.formats.roots import images_root
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

FIRST = -1.0
"""MATLAB counts pixels from 1."""
_MOST = 20


def found_at(path: Path, variable: str, fits: Callable[[tuple[int, ...]], bool]) -> Path | None:
    """The MATLAB file at a path, or in a folder, whose variable has the shape of a data set; None for none.

    A folder with a table of steadfit's own is not one, since it has its annotations there.

    Args:
        path: a file or folder.
        variable: the variable's name.
        fits: whether a shape is the data set's.

    Raises:
        DataError: a MATLAB file is damaged.
    """
    if path.is_dir():
        if has_table(path):
            return None
        candidates = sorted(path.glob("*.mat"))[:_MOST]
    else:
        candidates = [path]
    for file in candidates:
        if fits(matlab.shapes(file).get(variable, ())):
            return file
    return None


def found_for(path: Path, variable: str, fits: Callable[[tuple[int, ...]], bool], shape: str) -> Path:
    """As :func:`found_at`, but there must be one.

    Args:
        path: a file or folder.
        variable: the variable's name.
        fits: whether a shape is the data set's.
        shape: the shape, for the message.

    Raises:
        DataError: there is none.
    """
    file = found_at(path, variable, fits)
    if file is None:
        raise DataError(f"{path}: expected a MATLAB file with a variable {variable!r} of {shape}, got none.")
    return file


def joint_source(
    file: Path,
    *,
    format: str,
    variable: str,
    xy: Floats,
    visible: Codes,
    digits: int,
    images: Path | None,
    official: tuple[int, int] | None = None,
    problems: dict[int, str] | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """The source of N bodies with 14 joints, one in each image.

    Args:
        file: the MATLAB file.
        format: the format's name.
        variable: the variable's name.
        xy: (N, 14, 2) as in the file, the centre of the first pixel is (1, 1).
        visible: (N, 14) 0 absent, 1 occluded, 2 visible.
        digits: the number of digits of the images' names, ``im0001.jpg``.
        images: the folder of the images; None: looked for.
        official: the number of rows that are for training, the rest are for testing, and that of all rows, by which the
            whole set is known; None for a set without a split.
        problems: what is wrong with a row, by its number.
        notes: sentences on how the file was understood.

    Raises:
        DataError: there is no row.
    """
    wrong = problems or {}
    keep = np.array([row for row in range(len(xy)) if row not in wrong], dtype=np.int64)
    names = [f"im{row + 1:0{digits}d}.jpg" for row in range(len(xy))]
    places = [f"{variable}, image {row + 1}" for row in range(len(xy))]
    split = [""] * len(xy)
    if official is not None and len(xy) == official[1]:
        split = ["train"] * official[0] + ["test"] * (len(xy) - official[0])
    elif official is not None:
        notes = [*notes, f"The set has {official[1]} images; of these {len(xy)} no official split is known."]
    return pose_source(
        path=file,
        root=images_root(file, names, images),
        format=format,
        points=BODY_14.points,
        images=[names[row] for row in keep],
        xy=xy[keep] + FIRST,
        visible=visible[keep],
        box=np.full((len(keep), 4), np.nan),
        size=np.full((len(keep), 2), np.nan),
        split=[split[row] for row in keep],
        group=[""] * len(keep),
        at=[places[row] for row in keep],
        line=keep + 1,
        problems=[Problem(str(file), row + 1, None, reason, places[row]) for row, reason in wrong.items()],
        limbs=BODY_14.limbs,
        normalizer=BODY_14.normalizer,
        notes=notes,
    )


def strange_flags(flags: Floats) -> dict[int, str]:
    """What is wrong with rows of flags (N, K) that are not 0 or 1, by the row's number."""
    bad = ~np.isin(flags, (0, 1))
    return {
        row: f"expected visibility 0 or 1, got {flags[row, bad[row].argmax()]:g} at joint {int(bad[row].argmax()) + 1}."
        for row in np.flatnonzero(bad.any(axis=1)).tolist()
    }
