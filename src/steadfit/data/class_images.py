"""Images with one class each: what a classifier is trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from steadfit import _checks
from steadfit.data.tables.annotations import row_numbers
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.splits import SPLITS

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassImages:
    """N checked images of C classes, whose labels may be wrong.

    Args:
        path: the folder or table that was read.
        root: the folder that image paths are relative to.
        names: C names, in the order of the network's outputs.
        images: N names of images: paths under ``root``; for images in an archive the file and the record's number.
        label: (N,) class numbers in [0, C).
        split: (N,) of ``train``, ``val`` and ``test``.
        line: (N,) line in the table, record in the archive, or 0 for images in folders.
        size: (N, 2) width and height in px.
        pixels: (N, 3, H, W) uint8 RGB, for images that came in one piece; None for files.
        skipped: what was wrong with the rows that ``skip_bad`` left out.
        duplicates: groups of images with the same bytes.
    """

    path: Path
    root: Path
    names: tuple[str, ...]
    images: tuple[str, ...]
    label: Rows
    split: npt.NDArray[np.str_]
    line: Rows
    size: npt.NDArray[np.float64]
    pixels: Tensor | None = None
    skipped: tuple[Problem, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, split: str) -> Rows:
        """The rows of a split, ascending."""
        _checks.one_of("ClassImages.rows", "split", split, SPLITS)
        found: Rows = (self.split == split).nonzero()[0]
        return found

    def take(self, rows: npt.ArrayLike) -> ClassImages:
        """Some of the rows, by numbers or by N flags; the classes stay the same."""
        index = row_numbers(rows, len(self))
        return dataclasses.replace(
            self,
            images=tuple(self.images[row] for row in index),
            pixels=None if self.pixels is None else self.pixels[index],
            **{name: getattr(self, name)[index] for name in ("label", "split", "line", "size")},
        )

    def counts(self, split: str) -> Rows:
        """(C,): how many images of each class a split has."""
        return np.bincount(self.label[self.rows(split)], minlength=len(self.names))

    @property
    def one_size(self) -> tuple[int, int] | None:
        """(height, width) where all images have the same, else None."""
        first = self.size[:1]
        if not len(first) or not (self.size == first).all():
            return None
        return int(first[0, 1]), int(first[0, 0])


@dataclass(frozen=True)
class Reading:
    """What a reader of classes found, before rows are left out and splits are drawn.

    Args:
        classes: all N rows; the label of a row without one is -1.
        digests: N digests of the images' bytes, empty where there are none.
        bad: (N,) rows that cannot be used.
        problems: why; also of rows that are not among the N.
        given: whether the source says which rows train and test.
    """

    classes: ClassImages
    digests: Sequence[str]
    bad: npt.NDArray[np.bool_]
    problems: Sequence[Problem]
    given: bool
