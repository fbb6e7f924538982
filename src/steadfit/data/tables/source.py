"""The result of a format's reader: cells, their meaning, and where the images are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from steadfit.data.tables.cells import RawTable, moved_names
from steadfit.data.tables.options import did_you_mean, wrong
from steadfit.data.tables.schema import Schema


@dataclass(frozen=True)
class Source:
    """A set of labels as it is stored, before it is checked.

    Args:
        cells: the N rows as they are written.
        schema: what the columns of these cells mean, as far as the format specifies it.
        root: the folder to which the paths of images are relative, and which they must not leave.
        pixels: (N, 3, H, W) uint8 RGB of images that are stored in one piece; None for images in files.
        size: (N, 2) width and height in px that the file gives for the images, NaN where it gives none; None for a
            format without sizes.
        group: (N,) what belongs together apart from the image: a video, the original of an augmented copy; None where
            a format has nothing of that kind.
        notes: sentences on how the file was understood, for ``steadfit check``.
        format: the format's name.
    """

    cells: RawTable
    schema: Schema
    root: Path
    pixels: Tensor | None = None
    size: npt.NDArray[np.float64] | None = None
    group: Sequence[str] | None = None
    notes: tuple[str, ...] = ()
    format: str = ""

    def with_points(self, names: Sequence[str]) -> Source:
        """The same rows with some of the points, chosen and ordered by their names.

        Args:
            names: names of points of the schema.

        Raises:
            SchemaError: an unknown name, or the same one twice.
        """
        points = self.schema.points
        for name in names:
            if name not in points:
                raise wrong(f"points of {', '.join(points)}, got {name!r}", did_you_mean(name, points))
        order = [points.index(name) for name in names]
        moved = {f"{letter}{old}": f"{letter}{new}" for new, old in enumerate(order) for letter in "xyv"}
        mine = {f"{letter}{k}" for k in range(len(points)) for letter in "xyv"}
        cells = {name: cells for name, cells in self.cells.cells.items() if name not in mine}
        cells |= {moved[name]: cells for name, cells in self.cells.cells.items() if name in moved}
        kept = dataclasses.replace(self.cells, cells=cells, names=moved_names(self.cells.names, points, names))
        return dataclasses.replace(self, cells=kept, schema=self.schema.renumbered(names))
