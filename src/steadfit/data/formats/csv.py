"""CSV tables, with the line of every row."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import numpy as np

from steadfit.data.formats.tables import table_at, table_source
from steadfit.data.tables.cells import RawTable, shorten
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.separators import decimal_comma, long_cells, separator
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "annotations.csv"
"""The name of the table in a folder."""


def is_one(path: Path) -> bool:
    """Whether a path is a CSV table by its name, or a folder that contains one."""
    return table_at(path, NAME, (".csv",)) is not None


def read(path: Path, schema: Schema | None = None) -> Source:
    """A CSV table in UTF-8.

    Cells are separated by commas, or by semicolons or tabs where the header has no commas; then numbers may have
    decimal commas, if all of them do. Lines are counted as in the file, also where a quoted cell contains line breaks.
    Empty lines are ignored.

    Args:
        path: a file of any name, or a folder with ``annotations.csv``.
        schema: what the columns mean; None: the ``dataset.yaml`` next to the table, if there is one.

    Raises:
        DataError: no header or rows, a column twice, bytes that are not UTF-8, an open quote.
    """
    return table_source(_cells(path / NAME if path.is_dir() else path), schema)


def _cells(path: Path) -> RawTable:
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
    table = _shape(path, rows, lines)
    return table if mark == "," else dataclasses.replace(table, decimal_comma=decimal_comma(rows[1:]))


def _shape(path: Path, rows: list[list[str]], lines: list[int]) -> RawTable:
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
