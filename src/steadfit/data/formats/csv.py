"""CSV tables, with the line of every row."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from steadfit.data.formats.encodings import Encoding, encoding_of
from steadfit.data.formats.tables import check_header, named_columns, table_at, table_source, without_empty_rows
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.numbers import decimal_comma
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.separators import long_cells, separator, told
from steadfit.data.tables.source import Source
from steadfit.data.tables.text import TextColumn
from steadfit.errors import DataError

NAME = "annotations.csv"
"""The name of the table in a folder."""
SUFFIXES = (".csv", ".tsv")
_HEAD = 1 << 20  # characters by which the separator is found
_BLOCK = 1 << 14  # rows that are stored at once
_BYTES = 1 << 23


def is_one(path: Path) -> bool:
    """Whether a path is a CSV table by its name, or a folder that contains one."""
    return table_at(path, NAME, SUFFIXES) is not None


def read(path: Path, schema: Schema | None = None) -> Source:
    """A CSV table in UTF-8, UTF-16 or Windows-1252.

    Cells are separated by commas, or by semicolons, tabs or bars where the first rows say so; then numbers may have
    decimal commas, if all of them do. Lines are counted as in the file, also where a quoted cell contains line breaks.
    Empty lines and rows without any text are ignored, and empty columns without a name at the right.

    Args:
        path: a file of any name, or a folder with ``annotations.csv``.
        schema: what the columns mean; None: the ``dataset.yaml`` next to the table, if there is one.

    Raises:
        DataError: no header or rows, a column twice, bytes that are not text, an open quote.

    Warns:
        DataWarning: a file that is not UTF-8.
    """
    return table_source(read_cells(path / NAME if path.is_dir() else path), schema)


def read_cells(path: Path, *, exact: bool = False) -> RawTable:
    """The cells of a CSV table.

    A file whose lines are its rows is split by Arrow; any other one, and one in which Arrow finds anything wrong, by
    the standard library, which knows the line of each row. Both give the same cells.

    Args:
        path: the file.
        exact: whether Arrow is never asked.

    Raises:
        DataError: as for :func:`read`.
    """
    encoding = encoding_of(path)
    with path.open(encoding=encoding.name, newline="") as stream:
        first = stream.readline()
        mark = told(first)
        mark = mark or separator(first + stream.read(_HEAD))
    skipped = 1 if told(first) else 0
    table = None if exact or not encoding.plain else _by_arrow(path, mark, skipped)
    table = without_empty_rows(table or _by_row(path, encoding, mark, skipped))
    return table if mark == "," else dataclasses.replace(table, decimal_comma=_decimal_comma(table))


def _by_arrow(path: Path, mark: str, skipped: int) -> RawTable | None:
    """A file whose lines are its rows; None where Arrow finds something else."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = [stream.readline() for _ in range(skipped + 1)]
    header = [name.strip() for name in lines[-1].rstrip("\r\n").split(mark)]
    if header == [""]:
        return None
    check_header(path, header, skipped + 1)
    names = [str(k) for k in range(len(header))]
    try:
        found = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=skipped + 1, block_size=_BYTES),
            parse_options=arrow_csv.ParseOptions(delimiter=mark, quote_char=False, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except (pa.ArrowException, ValueError):
        return None
    row = np.arange(found.num_rows, dtype=np.int64)
    cells = named_columns(path, header, [TextColumn(found[key]) for key in names])
    return RawTable(path=path, cells=cells, line=row + skipped + 2, row=row)


def _by_row(path: Path, encoding: Encoding, mark: str, skipped: int) -> RawTable:
    with path.open(encoding=encoding.name, newline="") as stream:
        return _Rows(path, stream, mark, skipped).table()


class _Rows:
    """The rows of a stream of text, with the line in which each of them starts."""

    def __init__(self, path: Path, stream: io.TextIOBase | Any, mark: str, skipped: int) -> None:
        self.path, self.stream, self.mark, self.skipped = path, stream, mark, skipped
        self.problems: list[Problem] = []
        self.lines: list[int] = []
        self.numbers: list[int] = []

    def table(self) -> RawTable:
        with long_cells(self.path.stat().st_size):
            rows = self._rows()
            line, names = next(rows, (0, []))
            if not names:
                raise DataError(f"{self.path}: expected a header and rows, got an empty file.")
            header = [name.strip() for name in names]
            check_header(self.path, header, line)
            blocks = list(self._blocks(rows, len(header)))
        columns = [pa.chunked_array([block[k] for block in blocks], type=pa.string()) for k in range(len(header))]
        return RawTable(
            path=self.path,
            cells=named_columns(self.path, header, [TextColumn(column) for column in columns]),
            line=np.array(self.lines, dtype=np.int64),
            row=np.array(self.numbers, dtype=np.int64),
            problems=tuple(self.problems),
        )

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Lines and rows, without empty lines."""
        for _ in range(self.skipped):
            self.stream.readline()
        reader = csv.reader(self.stream, delimiter=self.mark, strict=True)
        start = 1
        try:
            for row in reader:
                if row:
                    yield start + self.skipped, row
                start = reader.line_num + 1
        except csv.Error as error:
            line = start + self.skipped
            raise DataError(f"{self.path}, line {line}: expected CSV cells, got {error}.") from None

    def _blocks(self, rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[list[Any]]:
        """The columns of many rows at once."""
        block: list[list[str]] = []
        for number, (line, row) in enumerate(rows):
            if len(row) > width and not any(row[width:]):
                del row[width:]
            if len(row) != width:
                reason = f"expected {width} cells as in the header, got {len(row)}."
                self.problems.append(Problem(str(self.path), line, None, reason))
                continue
            block.append(row)
            self.lines.append(line)
            self.numbers.append(number)
            if len(block) == _BLOCK:
                yield _columns(block)
                block = []
        if block:
            yield _columns(block)


def _columns(rows: Sequence[Sequence[str]]) -> list[Any]:
    return [pa.array(column, type=pa.string()) for column in zip(*rows, strict=True)]


def _decimal_comma(table: RawTable) -> bool | None:
    """Whether the numbers of a table have decimal commas; its cells with neither comma nor point say nothing."""
    columns = [column for column in table.cells.values() if isinstance(column, TextColumn)]
    if not any(column.matches(r".*\d,\d.*|.*,\d+") for column in columns):
        return False
    return decimal_comma(cell for column in columns for mark in ",." for cell in column.containing(mark))
