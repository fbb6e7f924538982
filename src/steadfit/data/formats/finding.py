"""Finding the format of a path, by what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from steadfit.data.formats import cifar, class_folders, csv, excel, parquet
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.classes import as_classes
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError


class Format(Protocol):
    """The functions of a module of a format."""

    def is_one(self, path: Path, /) -> bool:
        """Whether a file or folder has this format, by its name and content."""

    def read(self, path: Path, schema: Schema | None = None, /) -> Source:
        """The labels there; the schema is what the user specifies about them, None for nothing."""


TABLES: Mapping[str, Format] = {"csv": csv, "parquet": parquet, "excel": excel}
FORMATS: Mapping[str, Format] = {"cifar": cifar, **TABLES, "class-folders": class_folders}
"""The formats by name; the first one that fits is taken."""


def find(path: Path, formats: Iterable[Format]) -> Format | None:
    """The first of the formats that fits a path; None if none does."""
    return next((one for one in formats if one.is_one(path)), None)


def read_source(path: str | Path, schema: Schema | None = None) -> Source:
    """Labels that are points or numbers, in whichever format they are.

    Args:
        path: a table, or a folder that contains one. A file with another suffix is read as CSV.
        schema: what the columns mean; None: what the format specifies.

    Raises:
        DataError: something cannot be read.
    """
    path = Path(path)
    found = find(path, TABLES.values())
    if found is None and path.is_dir():
        raise DataError(f"{path}: expected {_names()} in this folder, got neither.")
    if found is None and not path.is_file():
        raise DataError(f"{path}: expected a CSV or Parquet table, got no such file.")
    source = (found or csv).read(path, schema)
    return as_classes(source) if source.schema.classes else source


def read_class_source(path: str | Path, label: str | None = None) -> Source:
    """Labels that are classes, in whichever format they are.

    Args:
        path: the folder of CIFAR's binary version, a table or a folder that contains one, or a folder of folders that
            are named after the classes.
        label: a table's column of classes; for CIFAR-100 ``"fine"`` or ``"coarse"``. None: ``label`` or ``class``;
            ``"fine"``.

    Raises:
        DataError: something cannot be read, or a label for folders of classes, which have none.
        ValueError: a label that CIFAR does not have.
    """
    path = Path(path)
    found = find(path, FORMATS.values())
    if found is None:
        packed = " Unpack it first." if path.is_file() else ""
        raise DataError(
            f"{path}: expected CIFAR's binary files ({cifar.describe_files()}), {_names()}, or folders of images named "
            f"after their classes, got {'a file of another kind' if path.is_file() else 'none of them'}.{packed}"
        )
    source = found.read(path, Schema(targets=() if label is None else (label,)))
    return source if source.schema.classes else as_classes(source)


def read_table(path: str | Path) -> RawTable:
    """The cells of a CSV or Parquet table, without their meaning.

    Args:
        path: a table, or a folder that contains one. A file with another suffix is read as CSV.

    Raises:
        DataError: no such file, no header or rows, a column twice, not UTF-8, not Parquet, an open quote.
    """
    return read_source(path, Schema()).cells


def _names() -> str:
    return f"{csv.NAME} or {parquet.NAME}"
