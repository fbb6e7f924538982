"""What tables in files share: their names in a folder, and the ``dataset.yaml`` next to them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError


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
