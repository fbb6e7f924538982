"""The column of images in tables that call it otherwise: ``filename``, ``image_id``, ``path``."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from steadfit.data.images.paths import IMAGE_SUFFIXES
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.numbers import number
from steadfit.data.tables.source import Source
from steadfit.data.tables.text import TextColumn
from steadfit.errors import DataWarning

LOOKED_AT = 200
"""Cells by which a column is judged."""


def with_image_column(source: Source, *, classes: bool = False) -> Source:
    """A table without a column ``image``, in which another column is full of image files, read with that column.

    Nothing changes where the schema names the column or the features. A table whose targets are told and that has
    other columns of numbers, which may be its features, is left as it is, with a warning.

    Args:
        source: the table as it is stored.
        classes: whether its labels are classes, which only images have.

    Warns:
        DataWarning: a column is read as that of the images, or could be.
    """
    raw, schema = source.cells, source.schema
    told = schema.image != "image" or schema.image in raw.cells or schema.features or schema.categories
    found = [] if told or raw.at is not None else [name for name in raw.cells if name and is_of_images(raw, name)]
    if len(found) != 1:
        return source
    name = found[0]
    used = {*schema.targets, schema.split, *schema.box_columns, str(schema.normalizer)}
    if schema.targets and not (classes or schema.classes) and (other := _other_numbers(raw, used)):
        warnings.warn(
            f"{raw.path}: column {name!r} looks like that of the images, but columns of numbers such as {other!r} are "
            f"read as features. 'image: {name}' in a dataset.yaml next to the table reads the images instead.",
            DataWarning,
            stacklevel=5,
        )
        return source
    warnings.warn(
        f"{raw.path}: column {name!r} is read as that of the images. 'image: {name}' in a dataset.yaml next to the "
        "table says so, \"image: ''\" reads the table without its images.",
        DataWarning,
        stacklevel=5,
    )
    return dataclasses.replace(source, schema=dataclasses.replace(schema, image=name))


def is_of_images(raw: RawTable, name: str) -> bool:
    """Whether nearly all cells of a column end like the names of images.

    Args:
        raw: the table.
        name: the column.
    """
    some = [cell.lower() for cell in _first_cells(raw, name) if cell]
    return bool(some) and sum(cell.endswith(tuple(IMAGE_SUFFIXES)) for cell in some) >= 0.9 * len(some)


def _other_numbers(raw: RawTable, used: set[str]) -> str:
    """The first column of numbers with no other use; empty for none."""
    return next((name for name in raw.cells if name and name not in used and _is_of_numbers(raw, name)), "")


def _is_of_numbers(raw: RawTable, name: str) -> bool:
    if isinstance(raw.cells[name], np.ndarray):
        return True
    some = [cell for cell in _first_cells(raw, name) if cell]
    return bool(some) and all(np.isfinite(number(cell)) for cell in some)


def _first_cells(raw: RawTable, name: str) -> list[str]:
    """The first cells of a column of text; none of another one."""
    cells = raw.cells[name]
    return [cell.strip() for cell in cells[:LOOKED_AT]] if isinstance(cells, TextColumn | list) else []
