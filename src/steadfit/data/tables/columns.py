"""From raw cells to targets, visibility, features and the normalising length, with what is wrong in them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from steadfit.data.standardize import Standardizer
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.features import listed, sources, with_features
from steadfit.data.tables.naming import READS
from steadfit.data.tables.options import did_you_mean
from steadfit.data.tables.problems import Problem, report
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.sentinels import without_missing
from steadfit.data.tables.text import ObjectColumn
from steadfit.errors import DataError, DataWarning

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

Codes = npt.NDArray[np.int8]
ABSENT, OCCLUDED, VISIBLE = 0, 1, 2  # the values of COCO
FAR = 1e18  # its square is 1e36, float32 ends at 3.4e38


def resolve(raw: RawTable, schema: Schema, *, labels: bool = True) -> Schema:
    """The schema with its points, and for a table without images its features, filled in from the columns.

    Args:
        raw: the table.
        schema: what is known about it.
        labels: whether the target columns must be there; without them a table may have no targets at all.

    Raises:
        DataError: a column that the schema names is absent, or there is nothing to train on.
    """
    schema = schema.with_discovered_points(raw.cells)
    if not schema.n_targets and labels:
        raise DataError(no_targets(raw.path, f"columns {listed(raw.cells)}"))
    _check_columns(raw, schema, labels)
    if schema.box is not None and schema.image not in raw.cells:
        raise DataError(f"{raw.path}: expected images for the box {schema.box!r}, got no column {schema.image!r}.")
    if schema.image in raw.cells:
        if schema.features:
            raise DataError(
                f"{raw.path}, column {schema.image!r}: expected images or features, got both. "
                "Set image: '' to read the table without its images."
            )
        check_paths(raw, schema.image)
        return dataclasses.replace(schema, units=schema.units or ("px" if schema.has_points else ""))
    return with_features(raw, schema)


def check_paths(raw: RawTable, column: str) -> None:
    """Refuse a column of images that holds pictures, or anything else that is no text.

    Args:
        raw: the table.
        column: the column.

    Raises:
        DataError: it does.
    """
    cells = raw.cells[column]
    if isinstance(cells, ObjectColumn) and not cells.is_plain:
        raise DataError(
            f"{raw.path}, column {raw.name(column)!r}: expected the paths of images, got cells of the type "
            f"{cells.cells.type}. Save the images as files, and give their paths."
        )


def no_targets(path: Path, got: str) -> str:
    """What is said about a table in which there is nothing to learn.

    Args:
        path: the table.
        got: what it has.
    """
    return (
        f"{path}: expected columns x0, y0, x1, y1, ... or named targets, got {got}. Points are read from columns "
        f"{READS}; name any other targets with --targets, or in a dataset.yaml next to the table."
    )


def read_target(raw: RawTable, schema: Schema) -> tuple[Floats, list[Problem]]:
    """Targets (N, K, D), NaN where not annotated; absent target columns are all NaN."""
    problems: list[Problem] = []
    values = np.full((len(raw.line), len(schema.columns)), np.nan)
    for place, column in enumerate(schema.columns):
        if column in raw.cells:
            values[:, place], found = raw.numbers(column)
            problems += found
    target: Floats = values.reshape(len(raw.line), schema.n_targets, schema.dims)
    target = target if schema.classes else without_missing(target, schema.missing)
    if schema.has_points:
        problems += _half_points(raw, schema, target, {(p.line, p.column) for p in problems})
    return target, problems


def read_visible(raw: RawTable, schema: Schema, target: Floats) -> tuple[Codes | None, list[Problem]]:
    """Visibility (N, K) as 0 absent, 1 occluded, 2 visible; None for targets that are not points.

    Where v is empty, or there is no v column, an annotated point is visible. In v columns without any 2, 1 means
    visible, unless the schema says that these are codes.

    Args:
        raw: the table.
        schema: what its columns mean.
        target: (N, K, D); where v = 0 means missing, these targets are set to NaN in place.

    Warns:
        DataWarning: points with v = 0 at (0, 0) are taken as missing.
    """
    if not schema.has_points:
        return None, []
    value, problems = _visibility(raw, schema)
    if schema.visibility in ("missing", "codes"):
        target[value == 0] = np.nan
    elif schema.visibility == "auto":
        _take_away(raw, target, (value == 0) & (target == 0).all(axis=2))
    coarse = schema.visibility != "codes" and not (value == VISIBLE).any()  # 1 is the largest, so it means visible
    seen = (value == VISIBLE) | np.isnan(value) | ((value == OCCLUDED) & coarse)
    codes = np.where(seen, VISIBLE, OCCLUDED)
    return np.where(np.isnan(target).any(axis=2), ABSENT, codes).astype(np.int8), problems


def _take_away(raw: RawTable, target: Floats, unlabelled: Flags) -> None:
    """Set the points (N, K) with v = 0 at (0, 0) to NaN, in place, and say so."""
    if not unlabelled.any():
        return
    target[unlabelled] = np.nan
    columns = [f"v{k}" for k in np.flatnonzero(unlabelled.any(axis=0))]
    warnings.warn(
        f"{raw.path}: {int(unlabelled.sum()):,} points with v = 0 at (0, 0) are taken as missing, in "
        f"column{_s(columns)} {listed(columns)}. Other points with v = 0 are taken as annotated though occluded. Say "
        "what v = 0 means with --visibility (visibility: occluded, missing or codes).",
        DataWarning,
        stacklevel=5,
    )


def _visibility(raw: RawTable, schema: Schema) -> tuple[Floats, list[Problem]]:
    """The v columns (N, K) as they are, NaN where they are empty or absent, and what is wrong with them."""
    found = np.full((len(raw.line), schema.n_targets), np.nan)
    problems: list[Problem] = []
    for k in range(schema.n_targets):
        if (column := f"v{k}") not in raw.cells:
            continue
        value, wrong = raw.numbers(column)
        strange = ~np.isnan(value) & ~np.isin(value, (ABSENT, OCCLUDED, VISIBLE))
        wrong += [raw.problem(row, column, f"expected 0, 1 or 2, got {value[row]:g}.") for row in _where(strange)]
        problems += wrong
        found[:, k] = np.where(strange, np.nan, value)
    return found, problems


def read_length(raw: RawTable, schema: Schema, target: Floats) -> tuple[Floats | None, list[Problem]]:
    """The normalising length (N,) in the units, and what is wrong with it; None where the schema has none.

    Args:
        raw: the table.
        schema: what its columns mean.
        target: (N, K, D); the distance of two points is NaN where one is missing.
    """
    normalizer = schema.normalizer
    if normalizer is None:
        return None, []
    if isinstance(normalizer, tuple):
        length = np.linalg.norm(target[:, normalizer[0]] - target[:, normalizer[1]], axis=1)
        return np.where(length > 0, length, np.nan), []
    if not isinstance(normalizer, str):
        return np.full(len(raw.line), float(normalizer)), []
    length, problems = raw.numbers(normalizer)
    wrong = {problem.line for problem in problems}
    problems += [
        raw.problem(row, normalizer, f"expected a normalising length > 0, got {_fact(length[row])}.")
        for row in _where(~(length > 0))
        if int(raw.line[row]) not in wrong
    ]
    return length, problems


def warn_units(raw: RawTable, schema: Schema) -> None:
    """Warn once about targets and features whose cells have a unit, which is not converted.

    Args:
        raw: the table.
        schema: what its columns mean.

    Warns:
        DataWarning: some columns have units; names the columns, the units, and the cells without one.
    """
    said = []
    for column in (*schema.columns, *schema.features):
        unit, bare = raw.unit(column) if column in raw.cells else ("", 0)
        if unit:
            rest = f"; {bare} cells without it are read in the same unit" if bare else ""
            said.append(
                f"column {raw.name(column)!r}: the cells have the unit {unit!r}, and are read as numbers of it{rest}."
            )
    if said:
        more = f" {len(said) - 3} more columns have units." if len(said) > 3 else ""
        warnings.warn(f"{raw.path}, {' '.join(said[:3])}{more}", DataWarning, stacklevel=5)


def check_held(raw: RawTable, columns: Sequence[str], values: Floats, train: Flags) -> list[Problem]:
    """Problems of the numbers (N, K, D) that float32 cannot represent once they are in units of their spread.

    Their squares must be representable as well, so the limit is ``FAR`` times the robust spread of the training rows.
    Gross labels of any ordinary size pass: training is there to find them.

    Args:
        raw: the table.
        columns: the K * D columns.
        values: NaN = missing.
        train: (N,), the rows whose median and spread count.
    """
    known = values[train]
    if not len(known) or np.isnan(known).all(axis=0).any():
        return []  # check_training reports a column without labels
    units = Standardizer.fit(torch.from_numpy(known))
    far = np.abs(units.apply(torch.from_numpy(values)).numpy()).reshape(len(values), -1) > FAR
    flat = values.reshape(len(values), -1)
    reason = f"expected a number within {FAR:g} times the column's spread, which float32 holds, got {{:g}}."
    return [raw.problem(row, columns[at], reason.format(flat[row, at])) for row, at in np.argwhere(far).tolist()]


def check_training(raw: RawTable, schema: Schema, target: Floats) -> list[Problem]:
    """Problems of the training rows' targets: a column without labels, or with one value only.

    Args:
        raw: the table.
        schema: what its columns mean.
        target: (n, K, D), the targets of the training rows.
    """
    problems = []
    values = target.reshape(len(target), -1)
    for place, column in enumerate(schema.columns):
        given = values[~np.isnan(values[:, place]), place]
        if not len(given):
            reason = (
                f"expected at least one label in the {len(values)} training rows, got none.{_left_out(raw, column)}"
            )
            problems.append(raw.file_problem(column, reason))
        elif given.min() == given.max():
            rows = (
                f"all {len(given)} training rows that have one" if len(given) > 1 else "the only training row with one"
            )
            reason = f"expected labels that vary, got {given[0]:g} in {rows}.{_left_out(raw, column)}"
            problems.append(raw.file_problem(column, reason))
    return problems


def _left_out(raw: RawTable, column: str) -> str:
    """The remedy where points are chosen by name, and not by the number of their column."""
    return "" if raw.name(column) == column else " --points can leave it out."


def _check_columns(raw: RawTable, schema: Schema, labels: bool) -> None:
    """Raise one error for all columns that are named and missing."""
    named = [*(schema.columns if labels else ()), *sources(raw, schema)]
    named += [schema.normalizer] if isinstance(schema.normalizer, str) else []
    named += [schema.split] if schema.split != "split" else []
    named += schema.box_columns
    needs_images = bool(schema.points) and not schema.features
    named += [schema.image] if schema.image and (schema.image != "image" or needs_images) else []
    absent = [name for name in named if name not in raw.cells]
    if absent:
        raise DataError(report([raw.file_problem(name, _absent(raw, name)) for name in absent]))
    surplus = [f"x{k}" for k in range(len(schema.points), 200) if f"x{k}" in raw.cells and f"y{k}" in raw.cells]
    if schema.points and surplus:
        points = "1 point is" if len(schema.points) == 1 else f"{len(schema.points)} points are"
        warnings.warn(
            f"{raw.path}: {points} named, so columns {listed(surplus)} and their y are not used.",
            DataWarning,
            stacklevel=5,
        )


def _absent(raw: RawTable, name: str) -> str:
    hint = did_you_mean(name, list(raw.cells))
    hint += " 'image: NAME' in a dataset.yaml next to the table names the column of images." if name == "image" else ""
    return f"expected this column, got {len(raw.cells)} columns without it.{hint}"


def _half_points(
    raw: RawTable, schema: Schema, target: Floats, wrong: set[tuple[int | None, str | None]]
) -> list[Problem]:
    """Points with only some of their coordinates; a cell that is wrong already is not named twice."""
    half = np.isnan(target).any(axis=2) & ~np.isnan(target).all(axis=2)  # (N, K)
    problems = []
    for row, k in np.argwhere(half).tolist():
        missing = np.isnan(target[row, k])
        empty, given = (f"{schema.axes[int(flags.argmax())]}{k}" for flags in (missing, ~missing))
        if empty in raw.cells and (int(raw.line[row]), raw.name(empty)) not in wrong:
            reason = f"expected a number because {raw.name(given)!r} is given, got an empty cell."
            problems.append(raw.problem(row, empty, reason))
    return problems


def _where(flags: Flags) -> list[int]:
    return [int(row) for row in flags.nonzero()[0]]


def _s(names: Sequence[str]) -> str:
    return "" if len(names) == 1 else "s"


def _fact(value: float) -> str:
    return "an empty cell" if np.isnan(value) else f"{value:g}"
