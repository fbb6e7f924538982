"""Annotations that were checked, stored as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from steadfit import _checks
from steadfit.data.images.store import Frames, ImageStore
from steadfit.data.tables.cells import moved_names
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.splits import SPLITS

Floats = npt.NDArray[np.float64]
OCCLUDED = 1
Rows = npt.NDArray[np.int64]
_BY_ROW = (
    *("features", "target", "visible", "split", "line", "size", "length", "box", "row", "drawn", "key", "group", "at"),
    "pixels",
)


@dataclass(frozen=True)
class Annotations:
    """A table of N rows whose labels may be wrong, but whose form has been checked.

    Args:
        path: the table's file, or the folder of a format that has no table.
        root: the folder that image paths are relative to.
        schema: what the columns mean, with points and features filled in.
        images: N image paths as written, None for a table of features; for images in an archive the file and the
            record's number.
        features: (N, F), None for images.
        target: (N, K, D) in the user's units, NaN = not annotated; class numbers (N, 1, 1) for a schema with classes.
        visible: (N, K) 0 absent, 1 occluded, 2 visible; None for targets that are not points.
        split: (N,) of ``train``, ``val`` and ``test``.
        line: (N,) line in the file (the header is line 1); for Parquet, archives and files that are not tables the
            number of the row, from 1; 0 for images in folders.
        size: (N, 2) width and height of the images in px; NaN where an image was not found, see
            :func:`steadfit.read`.
        length: (N,) normalising length in the units.
        box: (N, 4) left, top, width and height in px of the part of each image that the network sees, None for the
            whole image. Left and top are those of the first pixel's centre: (0, 0, W, H) is a whole W x H image.
        row: (N,) number of each row among the table's rows of data, from 0.
        drawn: (N,) whether the split of a row was drawn, as the table does not give it.
        key: (N,) what the network sees of each row, as a hash: of the image's bytes or of the features.
        group: (N,) what must not be divided by splits, apart from the image: a person, a video, the original of an
            augmented copy; empty for none. None where nothing is known.
        at: (N,) the place of each row in a file that is not a table, such as ``annotations[3]``; None for tables.
        format: the name of the format that was read.
        notes: sentences on how the file was understood.
        pixels: (N, 3, H, W) uint8 RGB of images that came in one piece, None for images in files.
        frames: what the network sees of the rows, where it was made while the images were checked.
        store: opens the stored images for several looks at them; None to open them whenever they are asked for.
        skipped: what was wrong in the rows that ``skip_bad`` left out.
        duplicates: groups of different paths with the same bytes.
        names: the columns' names in the file, where they have got others.
    """

    path: Path
    root: Path
    schema: Schema
    images: tuple[str, ...] | None
    features: Floats | None
    target: Floats
    visible: npt.NDArray[np.int8] | None
    split: npt.NDArray[np.str_]
    line: Rows
    size: Floats | None
    length: Floats | None
    box: Floats | None = None
    row: Rows | None = None
    drawn: npt.NDArray[np.bool_] | None = None
    key: npt.NDArray[np.str_] | None = None
    group: npt.NDArray[np.str_] | None = None
    at: npt.NDArray[np.str_] | None = None
    format: str = ""
    notes: tuple[str, ...] = ()
    pixels: Tensor | None = None
    frames: Frames | None = dataclasses.field(default=None, repr=False)
    store: ImageStore | None = dataclasses.field(default=None, repr=False)
    skipped: tuple[Problem, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    names: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.target)

    def named(self, column: str) -> str:
        """The name of a column in the file, where its points had other names."""
        return self.names.get(column, column)

    def rows(self, split: str) -> Rows:
        """The rows of a split, ascending."""
        _checks.one_of("Annotations.rows", "split", split, SPLITS)
        found: Rows = (self.split == split).nonzero()[0]
        return found

    @property
    def label(self) -> Rows:
        """Class numbers (N,), -1 for a row without one; for a schema with classes."""
        number = self.target[:, 0, 0]
        return np.where(np.isnan(number), -1, number).astype(np.int64)

    def counts(self, split: str) -> Rows:
        """The number of rows (C,) of each class in a split; for a schema with classes."""
        label = self.label[self.rows(split)]
        return np.bincount(label[label >= 0], minlength=len(self.schema.classes))

    @property
    def has_occluded(self) -> bool:
        """Whether some point is annotated though occluded, so that visibility says more than the labels do."""
        return self.visible is not None and bool((self.visible == OCCLUDED).any())

    @property
    def one_size(self) -> tuple[int, int] | None:
        """The size (height, width) in px that all images have; None where they differ."""
        if self.size is None or not len(self.size) or not (self.size == self.size[:1]).all():
            return None
        return int(self.size[0, 1]), int(self.size[0, 0])

    def take(self, rows: npt.ArrayLike) -> Annotations:
        """Some of the rows, by numbers or by N flags; ``skipped`` and ``duplicates`` stay those of the file."""
        index = row_numbers(rows, len(self))
        values = {name: getattr(self, name) for name in _BY_ROW}
        kept: dict[str, Any] = {name: None if value is None else value[index] for name, value in values.items()}
        images = None if self.images is None else tuple(self.images[row] for row in index)
        return dataclasses.replace(self, images=images, **kept)

    def renumbered(self, points: Sequence[str]) -> Annotations:
        """The same rows with their points, which are identified by name, in another order."""
        order = [self.schema.points.index(name) for name in points]
        visible = None if self.visible is None else self.visible[:, order]
        schema = self.schema.renumbered(points)
        names = moved_names(self.names, self.schema.points, points)
        return dataclasses.replace(self, schema=schema, target=self.target[:, order], visible=visible, names=names)

    def with_target(self, target: npt.ArrayLike) -> Annotations:
        """The same rows with other labels; normalising length and boxes stay those of the old labels.

        Args:
            target: (N, K, D), NaN = not annotated.

        Raises:
            ValueError: another shape.
        """
        value = np.array(target, dtype=np.float64)
        if value.shape != self.target.shape:
            raise ValueError(
                f"Annotations.with_target: expected target of shape {self.target.shape}, got {value.shape}."
            )
        return dataclasses.replace(self, target=value)

    def with_store(self, channels: int) -> Annotations:
        """The same rows with a store, so that their images are opened once for all data sets.

        Args:
            channels: 3 for RGB, 1 for grey; an existing store with this number stays.
        """
        exif = self.schema.exif
        kept = self.store is not None and (self.store.channels, self.store.exif) == (channels, exif)
        return self if kept else dataclasses.replace(self, store=ImageStore(channels, exif=exif))

    def to_frame(self) -> pd.DataFrame:
        """A table that :func:`load_annotations` reads back with the same values.

        It has the image or feature columns, split, target columns, v columns, and normalising length and boxes where
        they are columns. Boxes around points are made again from the points when the table is read.
        """
        data: dict[str, object] = {} if self.images is None else {self.schema.image: list(self.images)}
        if self.features is not None:
            data |= {name: self.features[:, k] for k, name in enumerate(self.schema.features)}
        data[self.schema.split] = self.split.astype(object)
        if self.group is not None:
            data[self.table_schema.group or ""] = self.group.astype(object)
        data |= dict(zip(self.schema.columns, self._cells(), strict=True))
        if self.visible is not None and self.has_occluded:
            data |= {f"v{k}": self.visible[:, k].astype(np.int64) for k in range(self.visible.shape[1])}
        if isinstance(self.schema.normalizer, str):
            data[self.schema.normalizer] = self.length
        if self.box is not None:
            data |= dict(zip(self.schema.box_columns, self.box.T, strict=False))
        return pd.DataFrame(data)

    @property
    def table_schema(self) -> Schema:
        """What the columns of :meth:`to_frame` mean."""
        group = (self.schema.group or "group") if self.group is not None else None
        visibility = "codes" if self.has_occluded else self.schema.visibility
        pixels: dict[str, Any] = {"coordinates": "pixels", "origin": 0}
        return dataclasses.replace(self.schema, group=group, visibility=visibility, **pixels)

    def _cells(self) -> Sequence[Any]:
        """The target columns as they are written: numbers, or names of classes."""
        if self.schema.classes:
            names = np.array([*self.schema.classes, ""], dtype=object)  # -1, no class, takes the last
            return [names[self.label]]
        return list(self.target.reshape(len(self), -1).T)


def row_numbers(rows: npt.ArrayLike, count: int) -> Rows:
    """Row numbers from numbers or from ``count`` flags."""
    value = np.asarray(rows)
    found: Rows = np.arange(count)[value if value.size else value.astype(np.int64)]
    return found
