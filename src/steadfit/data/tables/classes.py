"""Labels that are classes: their column, their names, their numbers as targets, and what is wrong with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.cells import RawTable, shorten
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

LABELS = ("label", "class")


def as_classes(source: Source) -> Source:
    """A table whose target is a class: its column of classes becomes one of class numbers.

    Args:
        source: a table with a column of images. The target of its schema, or without one ``label`` or ``class``, is the
            column of the classes, ids or names. Where the schema names the classes, these are the ones in this order.
            Otherwise they are ordered by number where all are whole numbers, else by name, and ids in ``label`` get
            their names from the column ``class`` where it has one name for each id.

    Returns:
        The source with one target and its classes in the schema; an empty cell is NaN, and ``NA`` a
        name like any other.

    Raises:
        DataError: a column that is absent, or fewer than two classes.
    """
    raw, schema = source.cells, source.schema
    column = _label_column(raw, schema.targets or LABELS)
    if schema.image not in raw.cells:
        raise DataError(f"{raw.path}: expected a column {schema.image!r}, got {', '.join(raw.cells)}.")
    cells = [cell.strip() for cell in raw.text(column)]
    values = list(schema.classes) or _ordered({cell for cell in cells if cell})
    if len(values) < 2:
        raise DataError(f"{raw.path}, column {column!r}: expected at least two classes, got {len(values)}.")
    names = schema.classes or _names(raw, column, cells, values)
    number = {value: float(k) for k, value in enumerate(values)}
    strange = [
        raw.problem(row, column, f"expected one of {len(values)} classes, got {shorten(cell)}.")
        for row, cell in enumerate(cells)
        if cell and cell not in number
    ]
    found = np.array([number.get(cell, np.nan) for cell in cells])
    return dataclasses.replace(
        source,
        cells=dataclasses.replace(raw, cells={**raw.cells, column: found}, problems=(*raw.problems, *strange)),
        schema=dataclasses.replace(schema, targets=(column,), classes=names),
    )


def unlabelled(
    raw: RawTable, schema: Schema, target: npt.NDArray[np.float64], known: Sequence[Problem]
) -> list[Problem]:
    """A problem for each row without a class, in any split, unless a wrong cell is the cause.

    Args:
        raw: the table.
        schema: what its columns mean.
        target: (N, 1, 1), the class numbers, NaN without one.
        known: the problems that were found already.
    """
    bad = {(problem.path, problem.line) for problem in known}
    empty = np.flatnonzero(np.isnan(target[:, 0, 0])).tolist()
    return [
        raw.problem(row, schema.targets[0], "expected a class, got none.") for row in empty if raw.place(row) not in bad
    ]


def _label_column(raw: RawTable, wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in raw.cells:
            return name
    raise DataError(
        f"{raw.path}: expected a column {' or '.join(map(repr, wanted))} of classes, got {', '.join(raw.cells)}. "
        "Name it with --label (label=…)."
    )


def _ordered(values: set[str]) -> list[str]:
    """The values by number where all are whole numbers, else by name."""
    return sorted(values, key=int) if all(_is_id(value) for value in values) else sorted(values)


def _is_id(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _names(raw: RawTable, column: str, cells: list[str], values: list[str]) -> tuple[str, ...]:
    """The classes' names: the values themselves, or for ids in ``label`` those of ``class``, if they match."""
    if column == LABELS[0] and LABELS[1] in raw.cells and all(map(_is_id, values)):
        pairs = {(cell, name.strip()) for cell, name in zip(cells, raw.text(LABELS[1]), strict=True) if cell in values}
        named = dict(pairs)
        if len(pairs) == len(values) == len(set(named.values())) and "" not in named.values():
            return tuple(named[value] for value in values)
    return tuple(values)
