"""Whether something can be learned from labels: the rows, columns, splits and classes that prevent it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from steadfit.data.tables import columns
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.classes import unlabelled
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.splits import empty_splits
from steadfit.errors import DataError, DataWarning


def obstacles(annotations: Annotations) -> list[str]:
    """What would stop a training on these rows, in sentences; empty for nothing.

    Args:
        annotations: rows that were read without the need of any split.
    """
    raw = RawTable(
        path=annotations.path,
        cells={},
        line=annotations.line,
        row=np.arange(len(annotations), dtype=np.int64),
        names=annotations.names,
        at=None if annotations.at is None else annotations.at.tolist(),
    )
    if not annotations.schema.n_targets:
        return [columns.no_targets(annotations.path, "neither")]
    classes = bool(annotations.schema.classes)
    needed = ("train",) if classes else ("train", "val")
    labelled = annotations.take(~np.isnan(annotations.target).all(axis=(1, 2)))
    found = [] if classes else of_labels(raw, annotations, (), needed)
    found += file_problems(raw, labelled, given=False, need_splits=needed)
    told = [str(problem) for problem in found]
    if len(labelled.rows("train")) < 2 and not told:
        told.append(f"{annotations.path}: expected at least two training rows, got one.")
    try:
        check_classes(annotations)
    except DataError as error:
        told.append(str(error))
    return told


def of_labels(
    raw: RawTable, annotations: Annotations, known: Sequence[Problem], need_splits: Collection[str]
) -> list[Problem]:
    """Problems of rows whose labels cannot be learned.

    Args:
        raw: the table.
        annotations: its rows.
        known: problems that are known already.
        need_splits: the splits that must have rows; without ``"train"`` nothing is to be learned.
    """
    if "train" not in need_splits:
        return []
    if annotations.schema.classes:
        return unlabelled(raw, annotations.schema, annotations.target, known)
    return _unheld(raw, annotations)


def bare(annotations: Annotations, good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The training rows (N,) without any label, which are left out with a warning; none where all are.

    Args:
        annotations: the rows.
        good: (N,), the rows without problems.

    Warns:
        DataWarning: there are such rows.
    """
    train = good & (annotations.split == "train")
    empty: npt.NDArray[np.bool_] = np.isnan(annotations.target).all(axis=(1, 2)) & train
    if not empty.any() or empty.sum() == train.sum():
        return np.zeros_like(empty)
    first = annotations.line[empty][0] if annotations.at is None else annotations.at[empty][0]
    place = f"line {first}" if annotations.at is None else first
    warnings.warn(
        f"{annotations.path}: {int(empty.sum())} of {len(empty)} rows have no label and are not trained on, the first "
        f"in {place}.",
        DataWarning,
        stacklevel=5,
    )
    return empty


def _unheld(raw: RawTable, annotations: Annotations) -> list[Problem]:
    """Labels and features that are beyond float32 in units of the training rows' spread."""
    schema, features, train = annotations.schema, annotations.features, annotations.split == "train"
    problems = columns.check_held(raw, schema.columns, annotations.target, train)
    if features is not None:
        problems += columns.check_held(raw, schema.features, features[:, :, None], train)
    return problems


def file_problems(raw: RawTable, annotations: Annotations, given: bool, need_splits: Collection[str]) -> list[Problem]:
    """Problems of the whole: a split without rows, a column without labels or with one value only.

    Args:
        raw: the table.
        annotations: its good rows.
        given: whether the table has splits.
        need_splits: the splits that must have rows.
    """
    column = annotations.schema.split if given else None
    problems = empty_splits(raw, annotations.split, column, need_splits)
    train = annotations.target[annotations.split == "train"]
    if "train" in need_splits and len(train) and not annotations.schema.classes:
        problems += columns.check_training(raw, annotations.schema, train)
    return problems


def check_classes(annotations: Annotations, left_out: Sequence[Problem] = ()) -> None:
    """Refuse a class without training images, which cannot be learned.

    Args:
        annotations: the rows.
        left_out: what was wrong with rows that were left out, which may be the reason.

    Raises:
        DataError: there is one.
    """
    names = annotations.schema.classes
    if names and (empty := np.flatnonzero(annotations.counts("train") == 0)).size:
        reason = f" Rows with problems were left out, the first: {left_out[0]}" if left_out else ""
        raise DataError(
            f"{annotations.path}: expected training images of every class, got none of {names[empty[0]]!r}.{reason}"
        )
