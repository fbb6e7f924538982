"""The result of a format's reader: cells, their meaning, and where the images are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.schema import Schema


@dataclass(frozen=True)
class Source:
    """A set of labels as it is stored, before it is checked.

    Args:
        cells: the N rows as they are written.
        schema: what the columns of these cells mean, as far as the format specifies it.
        root: the folder to which the paths of images are relative, and which they must not leave.
        pixels: (N, 3, H, W) uint8 RGB of images that are stored in one piece; None for images in files.
    """

    cells: RawTable
    schema: Schema
    root: Path
    pixels: Tensor | None = None
