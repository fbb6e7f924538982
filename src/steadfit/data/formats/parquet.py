"""Parquet tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

from steadfit.data.tables.cells import RawTable
from steadfit.errors import DataError

SUFFIXES = (".parquet", ".pq")


def read(path: Path) -> RawTable:
    """The cells of a Parquet table; a row has its number as line, from 1.

    Args:
        path: the file.

    Raises:
        DataError: the file is not Parquet.
    """
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
