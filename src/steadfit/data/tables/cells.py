"""Raw tables: cells with their lines, before their meaning is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.problems import Problem
from steadfit.data.tables.separators import is_ambiguous, with_point

MISSING = ("", "nan", "NaN", "NA")
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
    files: Sequence[str] | None = None
    at: Sequence[str] | None = None
    instances: bool = False

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
        value = cells.copy() if isinstance(cells, np.ndarray) else _parse(self._pointed(cells))
        bad = np.abs(value) > LARGEST  # infinite ones, too; _parse marks text that is not a number by -inf
        problems = [self.problem(row, column, self._reason(cells[row])) for row in bad.nonzero()[0].tolist()]
        value[bad] = np.nan
        return value, problems

    def _pointed(self, cells: Sequence[str]) -> Sequence[str]:
        """Cells with decimal points."""
        return [with_point(cell) for cell in cells] if self.decimal_comma else cells

    def _reason(self, cell: str | float) -> str:
        """What is wrong with a number."""
        if self.decimal_comma is None and isinstance(cell, str) and is_ambiguous(cell):
            return (
                f"expected a number, got {cell.strip()!r}, which may have decimals or thousands. Write it with a point."
            )
        return _number_reason(with_point(cell) if self.decimal_comma and isinstance(cell, str) else cell)

    def problem(self, row: int, column: str | None, reason: str) -> Problem:
        """A problem of one row.

        Args:
            row: its place among the N rows.
            column: the column's name; None where the problem is not in one column.
            reason: ``expected <rule>, got <fact>.``
        """
        path, line = self.place(row)
        return Problem(path, line, None if line is None else column, reason, "" if self.at is None else self.at[row])

    def file_problem(self, column: str | None, reason: str) -> Problem:
        """A problem of the whole file."""
        return Problem(str(self.path), None, column, reason)


def _parse(cells: Sequence[str]) -> npt.NDArray[np.float64]:
    """Numbers, NaN for missing cells, -inf for cells that are not numbers; correctly rounded, as Python's float."""
    try:
        if "_" not in "".join(cells):  # Python reads 1_000, a table must not
            return np.array([float(cell or "nan") for cell in cells], dtype=np.float64)
    except ValueError:
        pass
    return np.array([_number(cell.strip()) for cell in cells], dtype=np.float64)


def _number(cell: str) -> float:
    if cell in MISSING:
        return np.nan
    try:
        return float(cell) if "_" not in cell else -np.inf
    except ValueError:
        return -np.inf


def _spell(value: float) -> str:
    if np.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else repr(value)


def _number_reason(cell: str | float) -> str:
    value = _number(cell.strip()) if isinstance(cell, str) else cell
    try:
        infinite = np.isinf(value) and np.isinf(float(cell))
    except ValueError:
        infinite = False
    size = "" if np.isinf(value) else f" of at most {LARGEST:.2g} in size, which float32 holds"
    return f"expected a {'finite ' if infinite else ''}number{size}, got {shorten(str(cell))}."


def shorten(text: str, limit: int = 60) -> str:
    """A cell's text in quotes, cut where it is long."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
