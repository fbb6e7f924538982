"""Tables in files: CSV or Parquet, with a ``dataset.yaml`` beside them."""

from __future__ import annotations

from pathlib import Path

from steadfit.data.formats import csv, parquet
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAMES = ("annotations.csv", "annotations.parquet")


def read(path: str | Path, schema: Schema | None = None) -> Source:
    """A table with its meaning; its images are relative to its folder.

    Args:
        path: the table, or a folder with ``annotations.csv`` or ``annotations.parquet``.
        schema: what the columns mean; None for the ``dataset.yaml`` beside the table, if there is one.

    Raises:
        DataError: as :func:`read_table`; a ``dataset.yaml`` with something else in it.
    """
    cells = read_table(path)
    return Source(cells, Schema.discover(cells.path) if schema is None else schema, cells.path.parent)


def read_table(path: str | Path) -> RawTable:
    """The cells of a CSV or Parquet table, without what they mean.

    Args:
        path: the table, or a folder with ``annotations.csv`` or ``annotations.parquet``. What is not Parquet by its
            name is read as CSV.

    Raises:
        DataError: no such file, no header or rows, a column twice, not UTF-8, not Parquet, an open quote.
    """
    path = locate(path)
    table = parquet.read(path) if path.suffix.lower() in parquet.SUFFIXES else csv.read(path)
    if not len(table.line):
        first = f" The first problem: {table.problems[0]}" if table.problems else ""
        raise DataError(f"{path}: expected at least one row of data, got a header only.{first}")
    return table


def is_table(path: Path) -> bool:
    """Whether a path is a table by its name, or a folder that holds one."""
    if path.is_dir():
        return any((path / name).is_file() for name in NAMES)
    return path.is_file() and path.suffix.lower() in (*csv.SUFFIXES, *parquet.SUFFIXES)


def locate(path: str | Path) -> Path:
    """The table itself: the file, or the one of a known name in a folder.

    Raises:
        DataError: there is none.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in NAMES if (path / name).is_file()]
        if not found:
            raise DataError(f"{path}: expected {' or '.join(NAMES)} in this folder, got neither.")
        return found[0]
    if not path.is_file():
        raise DataError(f"{path}: expected a CSV or Parquet table, got no such file.")
    return path
