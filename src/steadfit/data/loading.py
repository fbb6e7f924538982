"""Reading labels from any format, and checking them as a whole before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit import _checks
from steadfit.data.formats.finding import read_class_source, read_source
from steadfit.data.grouping import drawn_split, groups_of
from steadfit.data.images.scanning import Progress
from steadfit.data.images.store import Framing, ImageStore
from steadfit.data.keeping import Keeper
from steadfit.data.learnable import bare, check_classes, file_problems, of_labels
from steadfit.data.plausible import warn_implausible
from steadfit.data.source_images import read_images
from steadfit.data.tables import columns
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.boxes import read_box
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.duplicates import same_paths, warn_copies, warn_duplicates, warn_several
from steadfit.data.tables.features import impute, read_features
from steadfit.data.tables.identity import feature_keys, same_key
from steadfit.data.tables.naming import with_points
from steadfit.data.tables.pixels import in_pixels
from steadfit.data.tables.problems import Problem, settle
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.sentinels import warn_spikes
from steadfit.data.tables.sides import observer_centric
from steadfit.data.tables.source import Source
from steadfit.data.tables.splits import SPLITS, drawn_rows, read_split
from steadfit.errors import DataError


def load_annotations(
    path: str | Path,
    schema: Schema | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    format: str | None = None,
    images: str | Path | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
    need_splits: Collection[str] = SPLITS,
    framing: Framing | None = None,
    store: ImageStore | None = None,
    progress: Progress | None = None,
) -> Annotations:
    """Read a table of annotations and check all of it, including every image file.

    Everything that is wrong is collected in one pass and reported in one error, before any training starts. Labels that
    are merely implausible (a point outside its image) pass: training is there to find them.

    Args:
        path: a file or folder of annotations in any format.
        schema: what the columns of a table mean; None: the ``dataset.yaml`` next to it, or without one the columns
            ``x0, y0, x1, y1, ...`` as points. For other formats: the points to read, by name, usually a run's.
        options: fields of the schema that override it, by name; None values are ignored.
        format: the name of the format; None: found by content.
        images: the folder of the images; None: what the format specifies.
        skip_bad: whether bad rows are left out instead of raising; they are listed in ``skipped`` and in a warning.
        seed: the seed of the splits that the table does not give.
        val_share: the share of the rows drawn for validation where the table gives none.
        test_share: the share of the rows drawn for testing where the table has no split column.
        need_splits: the splits that must have rows. Without ``"train"`` labels need not vary; if empty, the target
            columns may be absent.
        framing: how a network will see the images: their frames are made while they are checked and stored with the
            annotations, so that each image is decoded once; None: not known yet, no frames.
        store: where the images are stored as they are decoded, for predictions that need each of them several times;
            None: nowhere.
        progress: called with the number of images checked and their total number; None: nothing is called.

    Raises:
        DataError: anything wrong in the table or its images; names file, line and column.

    Warns:
        DataWarning: rows left out; images with the same bytes under several paths; columns left out.
    """
    _checks.between("load_annotations", "val_share", val_share, 0, 1)
    _checks.between("load_annotations", "test_share", test_share, 0, 1)
    for word in need_splits:
        _checks.one_of("load_annotations", "need_splits", word, SPLITS)
    return _check(
        read_source(path, schema, options=options, format=format, images=images),
        skip_bad=skip_bad,
        seed=seed,
        val_share=val_share,
        test_share=test_share,
        need_splits=need_splits,
        framing=framing,
        store=store,
        progress=progress,
    )


def load_classes(
    path: str | Path,
    *,
    label: str | None = None,
    format: str | None = None,
    exif: str | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
    framing: Framing | None = None,
    progress: Progress | None = None,
) -> Annotations:
    """Read and check images of classes, in whichever form they are stored.

    * the folder of CIFAR-10's or CIFAR-100's binary version (``data_batch_1.bin`` ..., ``train.bin`` ...);
    * a CSV or Parquet table, or a folder with ``annotations.csv``: columns ``image`` and ``label`` or ``class``;
    * a folder with ``train/<class>/`` and optionally ``val`` and ``test``, or with ``<class>/`` alone.

    Args:
        path: the folder or table.
        label: a table's column of classes; for CIFAR-100 ``"fine"`` or ``"coarse"``. None: ``label`` or ``class``;
            ``"fine"``.
        format: the name of the format; None: found by content.
        exif: how images with an EXIF orientation are read, ``"honour"`` or ``"ignore"``; None: as the format says.
        skip_bad: whether rows and files that cannot be used are left out; they are listed in ``skipped`` and in a
            warning.
        seed: the seed of the splits that are not given.
        val_share: the share of the training images that are drawn for validation where none are given, class by class
            (5,000 of CIFAR's 50,000); without any splits, of all images.
        test_share: the share of all images that are drawn for testing where no splits are given at all.
        framing: how a network will see the images: their frames are made while they are checked and stored with the
            annotations, so that each image is decoded once; None: not known yet, no frames.
        progress: called with the number of images checked and their total number; None: nothing is called.

    Returns:
        The images with ``schema.classes`` and class numbers as targets (N, 1, 1), each in a split. Images with the same
        bytes are always drawn into the same split.

    Raises:
        DataError: something cannot be read, or a class has no training images.
        ValueError: shares out of [0, .9], or a label that CIFAR does not have.

    Warns:
        DataWarning: rows left out; images with the same bytes under several paths.
    """
    _checks.between("load_classes", "val_share", val_share, 0, 0.9)
    _checks.between("load_classes", "test_share", test_share, 0, 0.9)
    source = read_class_source(Path(path), label, format=format)
    return _check(
        dataclasses.replace(source, schema=source.schema.with_options(exif=exif)),
        skip_bad=skip_bad,
        seed=seed,
        val_share=val_share,
        test_share=test_share,
        need_splits=("train",),
        framing=framing,
        store=None,
        progress=progress,
    )


def read_annotations(
    source: Source,
    *,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
    skip_bad: bool = False,
) -> Annotations:
    """The annotations of a source as they are, whether or not the images are there and anything can be trained on them.

    Images are not decoded; their sizes are those in their headers or in the file of annotations.

    Args:
        source: what a format's reader gave.
        seed: the seed of the splits that the source does not give.
        val_share: as for :func:`load_annotations`.
        test_share: as for :func:`load_annotations`.
        skip_bad: whether bad rows are left out, with a warning.

    Raises:
        DataError: something in the file is wrong.

    Warns:
        DataWarning: images are not there; rows left out.
    """
    return _check(
        source,
        skip_bad=skip_bad,
        seed=seed,
        val_share=val_share,
        test_share=test_share,
        need_splits=(),
        framing=None,
        store=None,
        progress=None,
        decode=False,
    )


def _check(
    source: Source,
    *,
    skip_bad: bool,
    seed: int,
    val_share: float,
    test_share: float,
    need_splits: Collection[str],
    framing: Framing | None,
    store: ImageStore | None,
    progress: Progress | None,
    decode: bool = True,
) -> Annotations:
    """All good rows of a source, or one error for all bad ones; see :func:`load_annotations`."""
    source = with_points(source)
    raw = source.cells
    schema = columns.resolve(raw, source.schema, labels=bool(need_splits))
    annotations, keys, problems = _read(dataclasses.replace(source, schema=schema), framing, store, progress, decode)
    group = same_key(keys)
    before = annotations.split if schema.split in raw.cells else None
    shares = {"val_share": val_share, "test_share": test_share}
    split = drawn_split(annotations, before, keys, seed=seed, **shares, quiet=not need_splits)
    drawn, key = drawn_rows(before, len(split)), np.array(keys, dtype=np.str_)
    annotations = dataclasses.replace(annotations, split=split, drawn=drawn, key=key)
    problems += of_labels(raw, annotations, problems, need_splits)
    bad = {(problem.path, problem.line) for problem in problems}
    kept = np.array([raw.place(row) not in bad for row in range(len(raw.line))], dtype=bool)
    if "train" in need_splits and not schema.classes:
        kept &= ~bare(annotations, kept)
    annotations = annotations.take(kept)
    if skip_bad or kept.any():  # if no row is left, only the rows' own problems give the reason
        problems += file_problems(raw, annotations, before is not None, need_splits)
    skipped = settle(problems, raw.path, skip_bad=skip_bad)
    if not len(annotations):
        first = f" The first problem: {skipped[0]}" if skipped else ""
        raise DataError(f"{raw.path}: expected at least one good row, got none of {len(raw.line)}.{first}")
    if "train" in need_splits:
        check_classes(annotations, skipped)
    warn_implausible(annotations, told=warn_spikes(annotations), learned=decode)
    annotations = impute(annotations)
    if annotations.images is None:
        warn_copies(annotations.path, annotations.line, annotations.split, group[kept])
    else:
        boxes = annotations.box is not None
        warn_several(annotations.path, annotations.images, annotations.split, boxes=boxes)
    duplicates = warn_duplicates(annotations.path, annotations.images, annotations.split, group[kept])
    return dataclasses.replace(annotations, skipped=skipped, duplicates=duplicates)


def _read(
    source: Source, framing: Framing | None, store: ImageStore | None, progress: Progress | None, decode: bool
) -> tuple[Annotations, Sequence[str], list[Problem]]:
    """All rows, good and bad, with the keys of what the network sees of them."""
    raw, schema = source.cells, source.schema
    target, problems = columns.read_target(raw, schema)
    visible, found_visible = columns.read_visible(raw, schema, target)
    problems += in_pixels(source, target)
    if schema.sides == "observer":
        target, visible, _ = observer_centric(target, schema.pairs, visible)
    features, found_features = read_features(raw, schema)
    columns.warn_units(raw, schema)
    length, found_length = columns.read_length(raw, schema, target)
    split, found_split = read_split(raw, schema.split) if schema.split in raw.cells else (_all_train(raw), [])
    keeper = Keeper(source, target, framing, store)
    images, size, digests, found_images, turned = read_images(source, target, keeper, progress, decode=decode)
    if turned is False:  # then it only matters for new images, which are shown to the network as to people
        schema = dataclasses.replace(schema, exif="honour")
    box, found_box = read_box(raw, schema, target, size)
    if images is not None and source.pixels is None:
        once = bool(schema.classes)
        given = None if schema.box == "points" else box
        found_images += same_paths(raw, schema.image, images, target=target, box=given, once=once)
    problems += [*raw.problems, *found_visible, *found_features, *found_length, *found_split, *found_images, *found_box]
    annotations = Annotations(
        path=raw.path,
        root=source.root,
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
        group=groups_of(source, images),
        at=None if raw.at is None else np.array(raw.at, dtype=np.str_),
        format=source.format,
        notes=source.notes,
        pixels=source.pixels,
        frames=keeper.frames,
        store=store,
        names=raw.names,
    )
    if features is None:
        return annotations, digests, problems
    return annotations, feature_keys(np.nan_to_num(features) if schema.impute else features), problems


def _all_train(raw: RawTable) -> npt.NDArray[np.str_]:
    return np.full(len(raw.line), "train", dtype="<U5")
