"""Parquet tables."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steadfit.data.formats.tables import table_at, table_source
from steadfit.data.images.paths import is_image
from steadfit.data.tables.cells import Cells, RawTable, shorten
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.data.tables.text import ObjectColumn, TextColumn
from steadfit.errors import DataError

NAME = "annotations.parquet"
"""The name of the table in a folder."""


def is_one(path: Path) -> bool:
    """Whether a path is a Parquet table by its name, or a folder that contains one."""
    return table_at(path, NAME, (".parquet", ".pq")) is not None


def read(path: Path, schema: Schema | None = None) -> Source:
    """A Parquet table; the line of a row is its number, from 1.

    Categories are their values, dates and decimals are text, and columns of lists or bytes can only be left out.

    Args:
        path: the file, or a folder with ``annotations.parquet``.
        schema: what the columns mean; None: the ``dataset.yaml`` next to the table, if there is one.

    Raises:
        DataError: the file is not Parquet, or has no rows.
    """
    return table_source(_cells(path / NAME if path.is_dir() else path), schema)


def _cells(path: Path) -> RawTable:
    try:
        found = pq.read_table(path)
        names = _names(path, found)
        cells = {name: _column(found.column(k)) for k, name in names.items()}
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: expected a Parquet file, got {shorten(reason, 200)}.") from None
    row = np.arange(found.num_rows, dtype=np.int64)
    return RawTable(path=path, cells=cells, line=row + 1, row=row)


def _names(path: Path, table: Any) -> dict[int, str]:
    """The columns' numbers and names, without the index of a data frame, unless it holds the names of images."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    index = [name for name in index if not _is_of_images(table, name)]
    names = {k: name for k, name in enumerate(table.column_names) if name not in index}
    for name in (twice := Counter(names.values())):
        if twice[name] > 1:
            raise DataError(f"{path}, column {name!r}: expected a column once, got it {twice[name]} times.")
    return names


def _is_of_images(table: Any, name: Any) -> bool:
    """Whether an index (a name; a mapping for a range of numbers) begins with the name of an image."""
    if not isinstance(name, str) or name.startswith("__index_level_") or name not in table.column_names:
        return False
    first = table.column(name)[0].as_py() if table.num_rows else None
    return isinstance(first, str) and is_image(first.strip())


def _column(column: Any) -> Cells:
    """A column as numbers or text; what is neither is not touched before it is used."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column(column.cast(kind.value_type))
    if pa.types.is_integer(kind) and _is_wide(column):
        return ObjectColumn(column)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        value = column.cast(pa.float32() if pa.types.is_float16(kind) else kind).cast(pa.float64(), safe=False)
        return np.array(value.to_numpy(), dtype=np.float64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return TextColumn(column.cast(pa.large_string()))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        with contextlib.suppress(pa.ArrowInvalid):  # bytes that are UTF-8 are text
            return TextColumn(column.cast(pa.large_binary()).cast(pa.large_string()))
    return ObjectColumn(column)


def _is_wide(column: Any) -> bool:
    """Whether whole numbers are beyond 2^53, up to which float64 holds all of them."""
    ends = pc.min_max(column).as_py()
    return any(end is not None and abs(end) > 2**53 for end in ends.values())
