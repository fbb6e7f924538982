"""Annotation tables: read, checked as a whole before anything is trained, and kept as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from steadfit import _checks
from steadfit.data.images.files import Progress, scan
from steadfit.data.tables import columns
from steadfit.data.tables.boxes import read_box
from steadfit.data.tables.cells import RawTable, read_table
from steadfit.data.tables.duplicates import same_paths, warn_copies, warn_duplicates
from steadfit.data.tables.identity import feature_keys, same_key
from steadfit.data.tables.problems import Problem, settle
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.sides import observer_centric
from steadfit.data.tables.splits import SPLITS, draw_split, drawn_rows, empty_splits, read_split

__all__ = ["Annotations", "Problem", "load_annotations"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
_BY_ROW = ("features", "target", "visible", "split", "line", "size", "length", "box", "row", "drawn", "key")


@dataclass(frozen=True)
class Annotations:
    """A table of N rows whose labels may be wrong, but whose form has been checked.

    Args:
        path: the table's file.
        root: the folder that image paths are relative to.
        schema: what the columns mean, with points and features filled in.
        images: N image paths as written, None for a table of features.
        features: (N, F), None for images.
        target: (N, K, D) in the user's units, NaN = not annotated.
        visible: (N, K), None without v columns.
        split: (N,) of ``train``, ``val`` and ``test``.
        line: (N,) line in the file (the header is line 1); for Parquet the number of the row, from 1.
        size: (N, 2) width and height of the images in px.
        length: (N,) normalising length in the units.
        box: (N, 4) left, top, width and height in px of the part of each image that the network sees, None for the
            whole image. Left and top are those of the first pixel's centre: (0, 0, W, H) is a whole W x H image.
        row: (N,) number of each row among the table's rows of data, from 0.
        drawn: (N,) whether the split of a row was drawn, as the table does not give it.
        key: (N,) what the network sees of each row, as a hash: of the image's bytes or of the features.
        skipped: what was wrong in the rows that ``skip_bad`` left out.
        duplicates: groups of different paths with the same bytes.
    """

    path: Path
    root: Path
    schema: Schema
    images: tuple[str, ...] | None
    features: Floats | None
    target: Floats
    visible: npt.NDArray[np.bool_] | None
    split: npt.NDArray[np.str_]
    line: Rows
    size: Floats | None
    length: Floats | None
    box: Floats | None = None
    row: Rows | None = None
    drawn: npt.NDArray[np.bool_] | None = None
    key: npt.NDArray[np.str_] | None = None
    skipped: tuple[Problem, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.target)

    def rows(self, split: str) -> Rows:
        """The rows of a split, ascending."""
        _checks.one_of("Annotations.rows", "split", split, SPLITS)
        found: Rows = (self.split == split).nonzero()[0]
        return found

    def take(self, rows: npt.ArrayLike) -> Annotations:
        """Some of the rows, by numbers or by N flags; ``skipped`` and ``duplicates`` stay those of the file."""
        index = row_numbers(rows, len(self))
        values = {name: getattr(self, name) for name in _BY_ROW}
        kept: dict[str, Any] = {name: None if value is None else value[index] for name, value in values.items()}
        images = None if self.images is None else tuple(self.images[row] for row in index)
        return dataclasses.replace(self, images=images, **kept)

    def renumbered(self, points: Sequence[str]) -> Annotations:
        """The same rows with their points, which are known by name, in another order."""
        order = [self.schema.points.index(name) for name in points]
        visible = None if self.visible is None else self.visible[:, order]
        schema = self.schema.renumbered(points)
        return dataclasses.replace(self, schema=schema, target=self.target[:, order], visible=visible)

    def with_target(self, target: npt.ArrayLike) -> Annotations:
        """The same rows with other labels (N, K, D); normalising length and boxes stay those of the old labels."""
        value = np.array(target, dtype=np.float64)
        if value.shape != self.target.shape:
            raise ValueError(
                f"Annotations.with_target: expected target of shape {self.target.shape}, got {value.shape}."
            )
        return dataclasses.replace(self, target=value)

    def to_frame(self) -> pd.DataFrame:
        """A table that ``load_annotations`` reads back with the same values.

        Image or feature columns, split, target columns, v columns, and normalising length and boxes where they are
        columns. Boxes around points are made again from the points when the table is read.
        """
        data: dict[str, object] = {} if self.images is None else {self.schema.image: list(self.images)}
        if self.features is not None:
            data |= {name: self.features[:, k] for k, name in enumerate(self.schema.features)}
        data[self.schema.split] = self.split.astype(object)
        data |= dict(zip(self.schema.columns, self.target.reshape(len(self), -1).T, strict=True))
        if self.visible is not None:
            data |= {f"v{k}": self.visible[:, k].astype(np.int64) for k in range(self.visible.shape[1])}
        if isinstance(self.schema.normalizer, str):
            data[self.schema.normalizer] = self.length
        if self.box is not None:
            data |= dict(zip(self.schema.box_columns, self.box.T, strict=False))
        return pd.DataFrame(data)


def row_numbers(rows: npt.ArrayLike, count: int) -> Rows:
    """Row numbers from numbers or from ``count`` flags."""
    value = np.asarray(rows)
    found: Rows = np.arange(count)[value if value.size else value.astype(np.int64)]
    return found


def load_annotations(
    path: str | Path,
    schema: Schema | None = None,
    *,
    skip_bad: bool = False,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
    need_splits: Collection[str] = SPLITS,
    progress: Progress | None = None,
) -> Annotations:
    """Read a table of annotations and check all of it, every image file included.

    Everything that is wrong is gathered in one pass and told in one error, before any training starts. Labels that
    are merely implausible (a point outside its image) pass: finding them is what the training is for.

    Args:
        path: a CSV or Parquet table, or a folder with ``annotations.csv``.
        schema: what the columns mean; None for the ``dataset.yaml`` beside the table, or without one for the
            columns ``x0, y0, x1, y1, ...`` as points.
        skip_bad: leave bad rows out instead of raising; they are listed in ``skipped`` and a warning.
        seed: of the splits that the table does not give.
        val_share: share of the rows drawn for validation where the table gives none.
        test_share: share of the rows drawn for testing where the table has no split column.
        need_splits: splits that must have rows. Without ``"train"`` labels are not asked to vary; if empty, the
            target columns themselves may be absent.
        progress: called with the number of images checked and their number in all.

    Raises:
        DataError: anything wrong in the table or its images; names file, line and column.

    Warns:
        DataWarning: rows left out; images with the same bytes under several paths; columns left out.
    """
    _checks.between("load_annotations", "val_share", val_share, 0, 1)
    _checks.between("load_annotations", "test_share", test_share, 0, 1)
    for word in need_splits:
        _checks.one_of("load_annotations", "need_splits", word, SPLITS)
    raw = read_table(path)
    schema = columns.resolve(raw, Schema.discover(raw.path) if schema is None else schema, labels=bool(need_splits))
    annotations, keys, problems = _read(raw, schema, progress)
    given = schema.split in raw.cells
    group = same_key(keys)
    before = annotations.split if given else None
    split = draw_split(
        before, _drawn_together(group, annotations), seed=seed, val_share=val_share, test_share=test_share
    )  # over all rows, the bad ones too: the same whatever is skipped, so that no test row is ever trained on
    drawn, key = drawn_rows(before, len(split)), np.array(keys, dtype=np.str_)
    annotations = dataclasses.replace(annotations, split=split, drawn=drawn, key=key)
    if "train" in need_splits:
        problems += _unlabelled(raw, annotations, problems) + _unheld(raw, annotations)
    bad = {problem.line for problem in problems}
    kept = np.array([int(line) not in bad for line in raw.line], dtype=bool)
    annotations = annotations.take(kept)
    if skip_bad or kept.any():  # if no row is left, only the rows' own problems tell why
        problems += _file_problems(raw, annotations, given, need_splits)
    skipped = settle(problems, skip_bad=skip_bad)
    if annotations.images is None:
        warn_copies(annotations.path, annotations.line, annotations.split, group[kept])
    duplicates = warn_duplicates(annotations.path, annotations.images, annotations.split, group[kept])
    return dataclasses.replace(annotations, skipped=skipped, duplicates=duplicates)


def _read(raw: RawTable, schema: Schema, progress: Progress | None) -> tuple[Annotations, Sequence[str], list[Problem]]:
    """All rows, good and bad, with the keys of what the network sees of them."""
    target, problems = columns.read_target(raw, schema)
    visible, found_visible = columns.read_visible(raw, schema, target)
    if schema.sides == "observer":
        target, visible, _ = observer_centric(target, schema.pairs, visible)
    features, found_features = columns.read_features(raw, schema)
    length, found_length = columns.read_length(raw, schema, target)
    split, found_split = read_split(raw, schema.split) if schema.split in raw.cells else (_all_train(raw), [])
    images, size, digests, found_images = _read_images(raw, schema, progress)
    box, found_box = read_box(raw, schema, target, size)
    problems += [*raw.problems, *found_visible, *found_features, *found_length, *found_split, *found_images, *found_box]
    annotations = Annotations(
        path=raw.path,
        root=raw.path.parent,
        schema=schema,
        images=images,
        features=features,
        target=target,
        visible=visible,
        split=split,
        line=raw.line,
        row=raw.row,
        size=size,
        length=length,
        box=box,
    )
    return annotations, digests if features is None else feature_keys(features), problems


def _drawn_together(group: Rows, annotations: Annotations) -> Rows:
    """The groups that are drawn as one: copies, unless a table has too few different rows of features to split."""
    few = annotations.images is None and len(np.unique(group)) < len(SPLITS)
    return np.arange(len(group)) if few else group


def _all_train(raw: RawTable) -> npt.NDArray[np.str_]:
    return np.full(len(raw.line), "train", dtype="<U5")


def _read_images(
    raw: RawTable, schema: Schema, progress: Progress | None
) -> tuple[tuple[str, ...] | None, Floats | None, Sequence[str], list[Problem]]:
    if schema.image not in raw.cells:
        return None, None, [""] * len(raw.line), []
    images = tuple(raw.text(schema.image))
    size, digests, reasons = scan(raw.path.parent, images, progress)
    problems = [raw.problem(row, schema.image, reason) for row, reason in enumerate(reasons) if reason]
    return images, size, digests, problems + same_paths(raw, schema.image, images)


def _unlabelled(raw: RawTable, annotations: Annotations, known: Sequence[Problem]) -> list[Problem]:
    """Training rows without any label, unless a wrong cell is the cause."""
    bad = {problem.line for problem in known}
    empty = np.isnan(annotations.target).all(axis=(1, 2)) & (annotations.split == "train")
    reason = "expected at least one label in a training row, got none."
    return [raw.problem(row, None, reason) for row in empty.nonzero()[0].tolist() if int(raw.line[row]) not in bad]


def _unheld(raw: RawTable, annotations: Annotations) -> list[Problem]:
    """Labels and features that are beyond float32 in units of the training rows' spread."""
    schema, features, train = annotations.schema, annotations.features, annotations.split == "train"
    problems = columns.check_held(raw, schema.columns, annotations.target, train)
    if features is not None:
        problems += columns.check_held(raw, schema.features, features[:, :, None], train)
    return problems


def _file_problems(raw: RawTable, annotations: Annotations, given: bool, need_splits: Collection[str]) -> list[Problem]:
    column = annotations.schema.split if given else None
    problems = empty_splits(raw, annotations.split, column, need_splits)
    train = annotations.target[annotations.split == "train"]
    if "train" in need_splits and len(train):
        problems += columns.check_training(raw, annotations.schema, train)
    return problems
