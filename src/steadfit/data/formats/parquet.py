"""Parquet tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

from steadfit.data.formats.tables import table_at, table_source
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "annotations.parquet"
"""The name of the table in a folder."""


def is_one(path: Path) -> bool:
    """Whether a path is a Parquet table by its name, or a folder that contains one."""
    return table_at(path, NAME, (".parquet", ".pq")) is not None


def read(path: Path, schema: Schema | None = None) -> Source:
    """A Parquet table; the line of a row is its number, from 1.

    Args:
        path: the file, or a folder with ``annotations.parquet``.
        schema: what the columns mean; None: the ``dataset.yaml`` next to the table, if there is one.

    Raises:
        DataError: the file is not Parquet, or has no rows.
    """
    return table_source(_cells(path / NAME if path.is_dir() else path), schema)


def _cells(path: Path) -> RawTable:
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: expected a Parquet file, got {error}.") from None
    names = [str(name) for name in frame.columns]
    cells = {name: _column(frame[column]) for name, column in zip(names, frame.columns, strict=True)}
    row = np.arange(len(frame), dtype=np.int64)
    return RawTable(path=path, cells=cells, line=row + 1, row=row)


def _column(column: pd.Series) -> list[str] | npt.NDArray[np.float64]:
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return ["" if cell is None or cell is pd.NA or cell != cell else str(cell) for cell in column]
