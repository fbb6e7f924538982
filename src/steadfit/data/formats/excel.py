"""Excel tables, through pandas and the engine that it asks for."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from steadfit.data.formats.tables import check_header, named_columns, table_at, table_source, without_empty_rows
from steadfit.data.tables.cells import Cells, RawTable, shorten
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.data.tables.text import TextColumn
from steadfit.errors import DataError, DataWarning

NAME = "annotations.xlsx"
"""The name of the table in a folder."""
SUFFIXES = (".xlsx", ".xlsm", ".xls")
LARGEST = 1 << 30
"""The number of bytes that a file may have when it is unpacked; spreadsheets have at most 1,048,576 rows."""


def is_one(path: Path) -> bool:
    """Whether a path is an Excel table by its name, or a folder that contains one."""
    return table_at(path, NAME, SUFFIXES) is not None


def read(path: Path, schema: Schema | None = None) -> Source:
    """The first sheet of an Excel file; lines are the sheet's rows.

    Args:
        path: the file, or a folder with ``annotations.xlsx``.
        schema: what the columns mean; None: the ``dataset.yaml`` next to the table, if there is one.

    Raises:
        DataError: the extra ``steadfit[excel]`` is not installed; the file is not an Excel file, or has no rows.

    Warns:
        DataWarning: several sheets, of which only the first is read.
    """
    return table_source(_cells(path / NAME if path.is_dir() else path), schema)


def _cells(path: Path) -> RawTable:
    _check_size(path)
    sheets, frame = _first_sheet(path)
    if len(sheets) > 1:
        others = ", ".join(map(repr, sheets[1:6])) + (" ..." if len(sheets) > 6 else "")
        warnings.warn(
            f"{path}: the first of {len(sheets)} sheets, {sheets[0]!r}, is read, and not {others}.",
            DataWarning,
            stacklevel=5,
        )
    rows = frame.to_numpy(dtype=object).tolist()
    start = next((k for k, row in enumerate(rows) if any(_spell(cell) for cell in row)), None)
    if start is None:
        raise DataError(f"{path}: expected a header and rows, got an empty sheet.")
    header = [_spell(cell).strip() for cell in rows[start]]
    check_header(path, header, start + 1)
    columns: Sequence[Sequence[Any]] = list(zip(*rows[start + 1 :], strict=True)) or [()] * len(header)
    row = np.arange(len(rows) - start - 1, dtype=np.int64)
    cells = named_columns(path, header, [_column(column) for column in columns])
    return without_empty_rows(RawTable(path=path, cells=cells, line=row + start + 2, row=row))


def _first_sheet(path: Path) -> tuple[list[str], pd.DataFrame]:
    """The names of the sheets, and all cells of the first one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that a reader of cells does not need
            with pd.ExcelFile(path) as book:
                names = [str(name) for name in book.sheet_names]
                return names, book.parse(0, header=None, dtype=object, na_filter=False)
    except ImportError as error:
        engine = "xlrd" if "xlrd" in str(error) else "openpyxl"
        remedy = "install it with pip install xlrd" if engine == "xlrd" else "pip install 'steadfit[excel]'"
        raise DataError(
            f"{path}: expected the package {engine}, which reads Excel files, got none. Save the table as CSV, or "
            f"{remedy}."
        ) from None
    except MemoryError:
        raise DataError(f"{path}: expected a sheet that fits into memory. Save the table as CSV.") from None
    except Exception as error:  # the engines pass on whatever their parsers of XML and archives raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{path}: expected an Excel file, got {shorten(reason, 200)}.") from None


def _check_size(path: Path) -> None:
    """Refuse an archive that would be unpacked to more than a spreadsheet can have."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path}: expected an Excel file, got an archive with errors ({error}).") from None
    if size > LARGEST:
        raise DataError(
            f"{path}: expected an Excel file of at most {LARGEST >> 20} MiB when unpacked, got {size >> 20} MiB. Save "
            "the table as CSV."
        )


def _column(cells: Sequence[Any]) -> Cells:
    """A column as numbers where it has nothing else, else as text."""
    if all(cell is None or cell == "" or type(cell) in (int, float) for cell in cells):
        return np.array([np.nan if cell in (None, "") else float(cell) for cell in cells], dtype=np.float64)
    return TextColumn(pa.chunked_array([[_spell(cell) for cell in cells]], type=pa.string()))


def _spell(cell: Any) -> str:
    """A cell as text: whole numbers without decimals, dates as in ISO 8601."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell)
