"""Raw tables: cells with their lines, before their meaning is known."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.numbers import MISSING, Reading, is_ambiguous, is_date, number, read_column, with_point
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.text import ObjectColumn, TextColumn
from steadfit.errors import DataWarning

Cells = Sequence[str] | npt.NDArray[np.float64]
"""A column: the text of N cells, or N numbers where the source stores numbers."""
LARGEST = float(np.finfo(np.float32).max)
"""The largest number that networks, which compute in float32, can use."""


@dataclass(frozen=True)
class RawTable:
    """The cells of a table before their meaning is known.

    Args:
        path: the file, or the folder of a format that has no table.
        cells: the columns by name.
        line: (N,), the line in the file where each row starts; for Parquet and archives the number of the row, from 1;
            0 where each row is a file.
        row: (N,), the number of each row among the rows of data, from 0: pandas' ``iloc``.
        problems: rows that have more or fewer cells than the header; they are not among the N.
        decimal_comma: whether numbers have a comma in front of their decimals; None where it may separate thousands.
        names: the columns' names in the file, where they have got others; problems name a column as in the file.
        files: N paths where each row is a file: problems name it, instead of a line and a column. None otherwise.
        at: N places in a file that is not a table, such as ``annotations[3]``, which problems name instead of a line.
            Then ``line`` only numbers the rows. None for tables.
        instances: whether the rows are instances (persons, animals) that a format's reader has checked, of which some
            may have no label and no box.
    """

    path: Path
    cells: Mapping[str, Cells]
    line: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    decimal_comma: bool | None = False
    names: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] | None = None
    at: Sequence[str] | None = None
    instances: bool = False
    _spelled: dict[str, Reading] = field(default_factory=dict, init=False, repr=False, compare=False)

    def place(self, row: int) -> tuple[str, int | None]:
        """The file and the line by which the problems of a row name it."""
        return (str(self.path), int(self.line[row])) if self.files is None else (self.files[row], None)

    def text(self, column: str) -> list[str]:
        """The N cells of a column as text; a number that is missing becomes empty."""
        cells = self.cells[column]
        if isinstance(cells, np.ndarray):
            return [_spell(value) for value in cells.tolist()]
        return list(cells)

    def numbers(self, column: str) -> tuple[npt.NDArray[np.float64], list[Problem]]:
        """The N cells of a column as numbers (NaN where missing or wrong), and what is wrong with them."""
        cells = self.cells[column]
        value = self._values(column, cells)
        bad = np.abs(value) > LARGEST  # infinite ones, too; text that is not a number is -inf
        units = self._spelled[column].units if column in self._spelled else {}
        problems = [self.problem(row, column, self._reason(cells[row], units)) for row in bad.nonzero()[0].tolist()]
        value[bad] = np.nan
        return value, problems

    def unit(self, column: str) -> tuple[str, int]:
        """The unit in the cells of a column that is read as numbers, and the number of cells without it."""
        self.numbers(column)
        found = self._spelled.get(column)
        return (found.unit, found.bare) if found else ("", 0)

    def _values(self, column: str, cells: Cells) -> npt.NDArray[np.float64]:
        """A column as numbers; a reading that is not of plain numbers is remembered."""
        if isinstance(cells, np.ndarray):
            return cells.copy()
        plain = cells.floats(MISSING) if isinstance(cells, TextColumn) and self.decimal_comma is not True else None
        if plain is not None:
            return plain
        if column not in self._spelled:
            self._warn_wide(column, cells)
            self._spelled[column] = read_column(cells, self.decimal_comma)
        return self._spelled[column].value.copy()

    def _warn_wide(self, column: str, cells: Cells) -> None:
        if isinstance(cells, ObjectColumn) and cells.is_wide:
            warnings.warn(
                f"{self.path}, column {self.name(column)!r}: whole numbers beyond 2^53 are rounded to 53 bits.",
                DataWarning,
                stacklevel=6,
            )

    def _reason(self, cell: str | float, units: Mapping[str, int]) -> str:
        """What is wrong with a number."""
        if not isinstance(cell, str):
            return _number_reason(cell)
        if is_date(cell):
            return (
                f"expected a number, got the date {cell.strip()!r}. Give it as a number, such as days since a first "
                "day, or leave the column out: --features names the columns to use."
            )
        if is_ambiguous(cell):
            return (
                f"expected a number, got {cell.strip()!r}, which may have decimals or thousands. Write it with a point."
            )
        listed = ", ".join(f"{unit!r} in {count} cells" for unit, count in list(units.items())[:3])
        mixed = f" The column mixes numbers with and without units: {listed}." if units else ""
        return _number_reason(with_point(cell) if self.decimal_comma else cell) + mixed

    def problem(self, row: int, column: str | None, reason: str) -> Problem:
        """A problem of one row.

        Args:
            row: its place among the N rows.
            column: the column's name; None where the problem is not in one column.
            reason: ``expected <rule>, got <fact>.``
        """
        path, line = self.place(row)
        shown = None if line is None or column is None else self.name(column)
        return Problem(path, line, shown, reason, "" if self.at is None else self.at[row])

    def file_problem(self, column: str | None, reason: str) -> Problem:
        """A problem of the whole file."""
        return Problem(str(self.path), None, None if column is None else self.name(column), reason)

    def name(self, column: str) -> str:
        """The name of a column in the file."""
        return self.names.get(column, column)


def moved_names(names: Mapping[str, str], before: Sequence[str], after: Sequence[str]) -> dict[str, str]:
    """The names in the file of the columns x0, y0, ... of points that are chosen and ordered by name.

    Args:
        names: by column, of all points; columns of other kinds stay.
        before: the names of all points.
        after: those of the chosen ones.

    >>> moved_names({"x0": "eye_x", "x1": "nose_x", "y1": "nose_y"}, ["eye", "nose"], ["nose"])
    {'x0': 'nose_x', 'y0': 'nose_y'}
    """
    mine = {f"{letter}{k}" for k in range(len(before)) for letter in "xyzv"}
    kept = {column: name for column, name in names.items() if column not in mine}
    moved = ((f"{letter}{new}", f"{letter}{before.index(name)}") for new, name in enumerate(after) for letter in "xyzv")
    return kept | {new: names[old] for new, old in moved if old in names}


def _spell(value: float) -> str:
    if np.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else repr(value)


def _number_reason(cell: str | float) -> str:
    value = number(cell.strip()) if isinstance(cell, str) else cell
    try:
        infinite = np.isinf(value) and np.isinf(float(cell))
    except ValueError:
        infinite = False
    size = "" if np.isinf(value) else f" of at most {LARGEST:.2g} in size, which float32 holds"
    return f"expected a {'finite ' if infinite else ''}number{size}, got {shorten(str(cell))}."


def shorten(text: str, limit: int = 60) -> str:
    """A cell's text in quotes, cut where it is long."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
