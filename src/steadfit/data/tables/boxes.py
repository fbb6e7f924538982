"""Boxes: the part of each image that is shown in the network's frame, from columns or around the annotated points."""

from __future__ import annotations

import re
import warnings

import numpy as np
import numpy.typing as npt

from steadfit.data.images.frame import whole_image
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.errors import DataWarning

_LAST_CORNER = re.compile(r"(?:.*[\W_])?(?:right|bottom|[xy]_?(?:2|max|end|br)|(?:max|end)_?[xy])", re.IGNORECASE)
Floats = npt.NDArray[np.float64]


def read_box(raw: RawTable, schema: Schema, target: Floats, size: Floats | None) -> tuple[Floats | None, list[Problem]]:
    """Boxes (N, 4) as x, y, width, height in px, and what is wrong with them; None where the schema has no box.

    Args:
        raw: the table.
        schema: what its columns mean.
        target: (N, K, D), NaN = not annotated.
        size: (N, 2) width and height of the images in px, NaN for a bad file; None for a table of features.
    """
    if schema.box is None or size is None:
        return None, []
    if schema.box == "points":
        reason = "expected points to place the boxes by (box: points), got none. Give boxes in columns, with --box."
        lost = [] if len(target) and not np.isnan(target).all() else [raw.file_problem(None, reason)]
        return box_of_points(target, size, margin=schema.box_margin), lost
    columns = schema.box_columns
    if raw.instances:
        return _of_instances(raw, columns, size)
    if any(_LAST_CORNER.fullmatch(raw.name(column)) for column in columns[2:]):
        warnings.warn(
            f"{raw.path}: columns {columns[2]!r} and {columns[3]!r} are read as width and height of the boxes. If they "
            "are the right and lower edges, replace them by width and height.",
            DataWarning,
            stacklevel=5,
        )
    box, problems = _numbers(raw, columns)
    wrong = {problem.line for problem in problems}
    for place, name in ((2, "width"), (3, "height")):
        problems += [
            raw.problem(row, columns[place], f"expected a {name} > 0, got {box[row, place]:g}.")
            for row in (box[:, place] <= 0).nonzero()[0].tolist()
        ]
    problems += [
        raw.problem(row, columns[0], _outside(box[row], size[row]))
        for row in _misses(box, size).nonzero()[0].tolist()
        if int(raw.line[row]) not in wrong
    ]
    return box, problems


def _of_instances(raw: RawTable, columns: tuple[str, ...], size: Floats) -> tuple[Floats, list[Problem]]:
    """Boxes that a format has checked; an instance without box and points is in its whole image."""
    box = np.stack([raw.numbers(column)[0] for column in columns], axis=1)
    missed = [raw.problem(row, None, _outside(box[row], size[row])) for row in _misses(box, size).nonzero()[0].tolist()]
    return np.where(np.isnan(box).any(axis=1, keepdims=True), whole_image(size), box), missed


def columns_of_box(raw: RawTable, schema: Schema) -> Floats | None:
    """The boxes (N, 4) as they are in their columns, NaN where a cell is not a number; None for other boxes."""
    return _numbers(raw, schema.box_columns)[0] if schema.box_columns and schema.image in raw.cells else None


def box_of_points(target: Floats, size: Floats, *, margin: float | tuple[float, float]) -> Floats:
    """Boxes around the annotated points, widened on each side.

    A point outside the image counts at its edge, so that a wild label does not shrink the face to nothing. A row whose
    points span less than a pixel, including one without points, gets the whole image.

    Args:
        target: (N, K, 2) in px, NaN = not annotated.
        size: (N, 2), width and height of the images in px, NaN for unknown.
        margin: share of the longer side, or (horizontal, vertical) in px, >= 0.

    Returns:
        (N, 4), x, y, width, height in px, the last two at least 1.

    >>> box_of_points(np.array([[[10.0, 20.0], [30.0, 24.0]]]), np.array([[99.0, 99.0]]), margin=0.25).tolist()
    [[5.5, 15.5, 30.0, 14.0]]
    """
    edge = np.where(np.isnan(size), np.inf, size - 1)  # an image of unknown size has no edge
    inside = np.clip(target, 0, edge[:, None])  # (N, K, 2)
    low = np.where(np.isnan(target), np.inf, inside).min(axis=1)  # (N, 2)
    high = np.where(np.isnan(target), -np.inf, inside).max(axis=1)
    span = high - low
    longer = span.max(axis=1, keepdims=True)  # (N, 1); -inf without points
    whole = ~(longer >= 1)
    low, span = np.where(whole, 0.0, low), np.where(whole, 0.0, span)
    share = isinstance(margin, float | int)
    added = margin * np.where(whole, 0.0, longer) if share else np.asarray(margin, dtype=np.float64)  # (N, 1) or (2,)
    extent = np.maximum(span + 2 * added, 1.0)
    around = np.concatenate([low + span / 2 - (extent - 1) / 2, extent], axis=1)
    return np.where(whole, whole_image(size), around)


def _numbers(raw: RawTable, columns: tuple[str, ...]) -> tuple[Floats, list[Problem]]:
    """Four columns of numbers; an empty cell is a problem."""
    values, problems = [], []
    for column in columns:
        value, found = raw.numbers(column)
        wrong = {problem.line for problem in found}
        problems += found
        problems += [
            raw.problem(row, column, "expected a number, got an empty cell.")
            for row in np.isnan(value).nonzero()[0].tolist()
            if int(raw.line[row]) not in wrong
        ]
        values.append(value)
    return np.stack(values, axis=1), problems


def _misses(box: Floats, size: Floats) -> npt.NDArray[np.bool_]:
    """Whether a box and its image have no pixel in common, (N,); False where either is unknown."""
    far = (box[:, :2] >= size) | (box[:, :2] + box[:, 2:] <= 0)
    return np.asarray(far.any(axis=1) & (box[:, 2:] > 0).all(axis=1), dtype=np.bool_)


def _outside(box: Floats, size: Floats) -> str:
    x, y, width, height = (f"{value:g}" for value in box)
    return (
        f"expected a box that overlaps its image of {size[0]:g} x {size[1]:g} px, got x = {x}, y = {y}, "
        f"width = {width}, height = {height}."
    )
