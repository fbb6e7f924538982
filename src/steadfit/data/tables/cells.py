"""Raw tables: cells with the line they stand in, from CSV or Parquet. No pickle is ever read."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

from steadfit.data.tables.problems import Problem
from steadfit.data.tables.separators import decimal_comma, is_ambiguous, long_cells, separator, with_point
from steadfit.errors import DataError

MISSING = ("", "nan", "NaN", "NA")
LARGEST = float(np.finfo(np.float32).max)
"""Networks compute in float32: a larger number has no meaning for them."""
_NAMES = ("annotations.csv", "annotations.parquet")


@dataclass(frozen=True)
class RawTable:
    """The cells of a table before their meaning is known.

    Args:
        path: the file.
        cells: by column, the text of N cells, or N numbers where the file itself stores numbers (Parquet).
        line: (N,) line in the file where each row starts; for Parquet the number of the row, from 1.
        row: (N,) number of each row among the rows of data, from 0: pandas' ``iloc``.
        problems: rows that have more or fewer cells than the header; they are not among the N.
        decimal_comma: whether numbers have a comma in front of their decimals; None where it may be one of thousands.
    """

    path: Path
    cells: Mapping[str, Sequence[str] | npt.NDArray[np.float64]]
    line: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    decimal_comma: bool | None = False

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
        bad = np.abs(value) > LARGEST  # infinite ones, too; _parse marks text that is no number by -inf
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
        """A problem of one row."""
        return Problem(str(self.path), int(self.line[row]), column, reason)

    def file_problem(self, column: str | None, reason: str) -> Problem:
        """A problem of the whole file."""
        return Problem(str(self.path), None, column, reason)


def locate(path: str | Path) -> Path:
    """The table itself: the file, or ``annotations.csv`` or ``annotations.parquet`` in a folder."""
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in _NAMES if (path / name).is_file()]
        if not found:
            raise DataError(f"{path}: expected {' or '.join(_NAMES)} in this folder, got neither.")
        return found[0]
    if not path.is_file():
        raise DataError(f"{path}: expected a CSV or Parquet table, got no such file.")
    return path


def read_table(path: str | Path) -> RawTable:
    """Read a CSV (UTF-8) or Parquet table without interpreting its cells.

    Cells are separated by commas, or by semicolons or tabs where the header has no commas; then numbers may have
    decimal commas, if all of them have.

    Lines are counted as in the file, also where a quoted cell holds line breaks. Empty lines are passed over.

    Raises:
        DataError: no such file, no header or rows, a column twice, not UTF-8, not Parquet, an open quote.
    """
    path = locate(path)
    table = _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)
    if not len(table.line):
        first = f" The first problem: {table.problems[0]}" if table.problems else ""
        raise DataError(f"{path}: expected at least one row of data, got a header only.{first}")
    return table


def _read_csv(path: Path) -> RawTable:
    text = _decode(path)
    mark = separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    try:
        with long_cells(text):
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(start)
                start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {start}: expected CSV cells, got {error}.") from None
    if not rows:
        raise DataError(f"{path}: expected a header and rows, got an empty file.")
    table = _shape_csv(path, rows, lines)
    return table if mark == "," else dataclasses.replace(table, decimal_comma=decimal_comma(rows[1:]))


def _shape_csv(path: Path, rows: list[list[str]], lines: list[int]) -> RawTable:
    header = [name.strip() for name in rows[0]]
    _check_header(path, header, lines[0])
    whole = [len(row) == len(header) for row in rows[1:]]
    problems = [
        Problem(str(path), line, None, f"expected {len(header)} cells as in the header, got {len(row)}.")
        for row, line, good in zip(rows[1:], lines[1:], whole, strict=True)
        if not good
    ]
    columns = list(zip(*(row for row, good in zip(rows[1:], whole, strict=True) if good), strict=True))
    line = np.array([line for line, good in zip(lines[1:], whole, strict=True) if good], dtype=np.int64)
    cells = dict(zip(header, columns or [()] * len(header), strict=True))
    return RawTable(path=path, cells=cells, line=line, row=np.flatnonzero(whole), problems=tuple(problems))


def _check_header(path: Path, header: list[str], line: int) -> None:
    for name in header:
        if header.count(name) > 1:
            places = [k + 1 for k, other in enumerate(header) if other == name]
            raise DataError(
                f"{path}, line {line}, column {name!r}: expected a column once, got it at places "
                f"{' and '.join(map(str, places))} of the header."
            )
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(
            f"{path}, line {line}: expected columns separated by commas, semicolons or tabs, got {shorten(header[0])}."
        )


def _decode(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: expected UTF-8, got byte 0x{data[error.start]:02x}. Save the table as UTF-8."
        ) from None


def _read_parquet(path: Path) -> RawTable:
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: expected a Parquet file, got {error}.") from None
    names = [str(name) for name in frame.columns]
    cells = {name: _parquet_column(frame[column]) for name, column in zip(names, frame.columns, strict=True)}
    row = np.arange(len(frame), dtype=np.int64)
    return RawTable(path=path, cells=cells, line=row + 1, row=row)


def _parquet_column(column: pd.Series) -> list[str] | npt.NDArray[np.float64]:
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return ["" if cell is None or cell is pd.NA or cell != cell else str(cell) for cell in column]


def _parse(cells: Sequence[str]) -> npt.NDArray[np.float64]:
    """Numbers, NaN for missing cells, -inf for cells that are no number; correctly rounded, as Python's float."""
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
