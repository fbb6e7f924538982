"""Which format a path is in, by what is there."""

from __future__ import annotations

from pathlib import Path

from steadfit.data.formats import cifar, class_folders, tables
from steadfit.data.tables.classes import as_classes
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError


def read_source(path: str | Path, schema: Schema | None = None) -> Source:
    """Labels that are points or numbers, in whichever format they are.

    Args:
        path: a table, or a folder that holds one.
        schema: what the columns mean, where the user says it; None for what the format says.

    Raises:
        DataError: what cannot be read.
    """
    source = tables.read(path, schema)
    return as_classes(source, None) if source.schema.classes else source


def read_class_source(path: str | Path, label: str | None = None) -> Source:
    """Labels that are classes, in whichever format they are.

    Args:
        path: the folder of CIFAR's binary version, a table or a folder that holds one, or a folder of folders that are
            named after the classes.
        label: a table's column of classes; for CIFAR-100 ``"fine"`` (default) or ``"coarse"``.

    Raises:
        DataError: what cannot be read, or a label for a format that has no choice of it.
        ValueError: a label that CIFAR does not have.
    """
    path = Path(path)
    if path.is_dir() and cifar.layout_of(path):
        return cifar.read(path, label=label)
    if tables.is_table(path):
        cells = tables.read_table(path)
        return as_classes(Source(cells, Schema(), cells.path.parent), label)
    if class_folders.is_one(path):
        if label is not None:
            raise DataError(f"{path}: expected no label column for folders of classes, got {label!r}. Leave it out.")
        return class_folders.read(path)
    packed = " Unpack it first." if path.is_file() else ""
    raise DataError(
        f"{path}: expected CIFAR's binary files ({cifar.describe_files()}), {' or '.join(tables.NAMES)}, or folders of "
        f"images named after their classes, got {'a file of another kind' if path.is_file() else 'none of them'}."
        f"{packed}"
    )
