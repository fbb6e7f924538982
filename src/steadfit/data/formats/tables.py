"""What tables in files share: their names in a folder, their header, and the ``dataset.yaml`` next to them."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.cells import Cells, RawTable, shorten
from steadfit.data.tables.numbers import number
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.data.tables.text import TextColumn
from steadfit.errors import DataError, DataWarning


def table_at(path: Path, name: str, suffixes: Collection[str]) -> Path | None:
    """The table of one format at a path, None if there is none.

    Args:
        path: a file or folder.
        name: the name of the format's table in a folder.
        suffixes: the suffixes of the format's files.
    """
    if path.is_dir():
        return path / name if (path / name).is_file() else None
    return path if path.is_file() and path.suffix.lower() in suffixes else None


def table_source(cells: RawTable, schema: Schema | None) -> Source:
    """A table with its meaning; its images are relative to its folder.

    Args:
        cells: the table.
        schema: what its columns mean; None: the ``dataset.yaml`` next to it, if there is one.

    Raises:
        DataError: a table without rows, or a ``dataset.yaml`` with other content.
    """
    if not len(cells.line):
        first = f" The first problem: {cells.problems[0]}" if cells.problems else ""
        raise DataError(f"{cells.path}: expected at least one row of data, got a header only.{first}")
    return Source(cells, Schema.discover(cells.path) if schema is None else schema, cells.path.parent)


def check_header(path: Path, header: Sequence[str], line: int) -> None:
    """Refuse a header that names no columns, or one of them twice; columns without a name may be at the right.

    Args:
        path: the table.
        header: the names.
        line: the line of the header.

    Raises:
        DataError: one cell with other separators, a name twice, or numbers instead of names.

    Warns:
        DataWarning: all names are whole numbers, which may be a row of data.
    """
    names = list(header)
    while names and not names[-1]:
        del names[-1]
    for name in names:
        if names.count(name) > 1:
            places = [k + 1 for k, other in enumerate(names) if other == name]
            raise DataError(
                f"{path}, line {line}, column {name!r}: expected a column once, got it at places "
                f"{' and '.join(map(str, places))} of the header.{_of_several_lines(names)}"
            )
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise DataError(
            f"{path}, line {line}: expected columns separated by commas, semicolons or tabs, got {shorten(names[0])}."
        )
    _check_names(path, [name for name in names if name], line)


def _of_several_lines(names: Sequence[str]) -> str:
    """A remedy for a header in which most names are not the only ones, as those of points with x and y below them."""
    alone = sum(names.count(name) == 1 for name in names)
    several = len(names) > 2 and (names.count("") > 1 or alone <= max(1, len(names) // 3))
    return " A header of several lines has to be joined to one, such as nose_x, nose_y." if several else ""


def _check_names(path: Path, names: Sequence[str], line: int) -> None:
    """A header of numbers is a row of data, unless the columns are numbered."""
    if not names or any(not np.isfinite(number(name)) for name in names):
        return
    first = f"{path}, line {line}: expected a header with the names of the columns, got the numbers "
    first += f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}."
    remedy = " Put a line with names above the first row."
    if not all(name.isdecimal() for name in names):
        raise DataError(first + remedy)
    steps = {int(after) - int(before) for before, after in itertools.pairwise(names)}
    if steps - {1}:
        warnings.warn(f"{first} They are used as names.{remedy}", DataWarning, stacklevel=6)


def named_columns(path: Path, header: Sequence[str], columns: Sequence[Cells]) -> dict[str, Cells]:
    """The columns by name, without those that have neither name nor text, as spreadsheets leave them behind.

    Args:
        path: the table.
        header: the names.
        columns: the cells.

    Raises:
        DataError: several columns of text without a name.
    """
    kept = [k for k, name in enumerate(header) if name or not _is_empty(columns[k]).all()]
    unnamed = [k + 1 for k in kept if not header[k]]
    if len(unnamed) > 1:
        raise DataError(
            f"{path}: expected a name for every column of the header, got none at places "
            f"{' and '.join(map(str, unnamed))}."
        )
    return {header[k]: columns[k] for k in kept}


def without_empty_rows(table: RawTable) -> RawTable:
    """A table without the rows that have no text in any of several columns, as spreadsheets leave them behind.

    Args:
        table: a table of text.
    """
    empty = np.full(len(table.line), len(table.cells) > 1)
    for column in table.cells.values():
        if not empty.any():
            return table
        empty &= _is_empty(column)
    if not empty.any():
        return table
    cells = {name: _at(column, ~empty) for name, column in table.cells.items()}
    return dataclasses.replace(table, cells=cells, line=table.line[~empty], row=table.row[~empty])


def _is_empty(column: Cells) -> npt.NDArray[np.bool_]:
    if isinstance(column, TextColumn):
        return column.is_empty()
    if isinstance(column, np.ndarray):
        return np.isnan(column)
    return np.array([not cell.strip() for cell in column], dtype=np.bool_)


def _at(column: Cells, rows: npt.NDArray[np.bool_]) -> Cells:
    if isinstance(column, TextColumn):
        return column.at(rows)
    return column[rows] if isinstance(column, np.ndarray) else [column[k] for k in rows.nonzero()[0].tolist()]
