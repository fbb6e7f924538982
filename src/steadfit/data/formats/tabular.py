"""Writing annotations as a CSV or Parquet table with a ``dataset.yaml`` that explains its columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from steadfit._files import atomic_path, write_csv, write_text
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError

DESCRIPTION = "dataset.yaml"


def write_as_csv(data: Annotations, path: Path) -> Path:
    """Write annotations as CSV.

    Args:
        data: the annotations.
        path: the file, or a folder, which gets ``annotations.csv``.

    Returns:
        The file.

    Raises:
        DataError: another table has its ``dataset.yaml`` there.
    """
    file = path if path.suffix.lower() == ".csv" else path / "annotations.csv"
    _describe(data, file.parent)
    return write_csv(_frame(data), file)


def write_as_parquet(data: Annotations, path: Path) -> Path:
    """Write annotations as Parquet.

    Args:
        data: the annotations.
        path: the file, or a folder, which gets ``annotations.parquet``.

    Returns:
        The file.

    Raises:
        DataError: another table has its ``dataset.yaml`` there.
    """
    file = path if path.suffix.lower() in (".parquet", ".pq") else path / "annotations.parquet"
    _describe(data, file.parent)
    with atomic_path(file) as temporary:
        _frame(data).to_parquet(temporary, index=False)
    return file


def _frame(data: Annotations) -> pd.DataFrame:
    """The table without splits that were drawn."""
    frame = data.to_frame()
    drawn = data.drawn is not None and bool(data.drawn.all())
    return frame.drop(columns=data.schema.split) if drawn else frame


def _describe(data: Annotations, folder: Path) -> None:
    content, path = data.table_schema.to_yaml(), folder / DESCRIPTION
    if path.is_file() and path.read_text(encoding="utf-8") != content:
        raise DataError(f"{path}: expected no description of another table there. Choose another folder.")
    if content:
        write_text(content, path)
