"""Images with one class each, from CIFAR's binary files, from folders named after the classes, or from a table."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit import _checks
from steadfit.data.cifar import describe_files, layout_of, read_cifar
from steadfit.data.class_dataset import ClassDataset
from steadfit.data.class_folders import has_class_folders, read_folders
from steadfit.data.class_images import ClassImages, Reading
from steadfit.data.class_tables import read_class_table
from steadfit.data.images.crops import PadCrop, ScaleCrop
from steadfit.data.images.files import Progress
from steadfit.data.tables.duplicates import warn_duplicates
from steadfit.data.tables.identity import same_key
from steadfit.data.tables.problems import Problem, report
from steadfit.errors import DataError, DataWarning

__all__ = ["ClassDataset", "ClassImages", "PadCrop", "ScaleCrop", "draw_stratified", "load_classes"]

TABLES = ("annotations.csv", "annotations.parquet")


def load_classes(
    path: str | Path,
    *,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
    label: str | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> ClassImages:
    """Read and check images of classes, whichever way they are kept.

    * the folder of CIFAR-10's or CIFAR-100's binary version (``data_batch_1.bin`` ..., ``train.bin`` ...);
    * a CSV or Parquet table, or a folder with ``annotations.csv``: columns ``image`` and ``label`` or ``class``;
    * a folder with ``train/<class>/`` and, if you like, ``val`` and ``test``, or with ``<class>/`` alone.

    Args:
        path: the folder or table.
        seed: of the splits that are not given.
        val_share: share of the training images that are drawn for validation where none are given, class by class
            (5,000 of CIFAR's 50,000); without any splits, of all images.
        test_share: share of all images that are drawn for testing where no splits are given at all.
        label: a table's column of classes; for CIFAR-100 ``"fine"`` (default) or ``"coarse"``.
        skip_bad: leave out rows and files that cannot be used; they are listed in ``skipped`` and a warning.
        progress: called with the number of images checked and their number in all.

    Returns: the images, with every row of a split of its own. Images with the same bytes are never drawn apart.

    Raises: DataError for what cannot be read; ValueError for shares out of [0, 1).

    Warns: DataWarning for rows left out, and for images with the same bytes.
    """
    for name, share in (("val_share", val_share), ("test_share", test_share)):
        _checks.between("load_classes", name, share, 0, 0.9)
    reading = _read(Path(path), label, progress)
    classes, group = reading.classes, same_key(reading.digests)
    split = classes.split.copy()
    if not reading.given and test_share > 0:
        split[draw_stratified(classes.label, group, test_share, seed=seed)] = "test"
    if not (split == "val").any() and val_share > 0:
        train = (split == "train").nonzero()[0]
        share = val_share if reading.given else min(val_share * len(split) / max(len(train), 1), 1.0)
        split[train[draw_stratified(classes.label[train], group[train], share, seed=seed + 1)]] = "val"
    _settle(reading.problems, len(classes) - int(reading.bad.sum()), skip_bad)
    kept = dataclasses.replace(classes, split=split).take(~reading.bad)
    _check_train(kept)
    duplicates = warn_duplicates(kept.path, kept.images, kept.split, group[~reading.bad])
    return dataclasses.replace(kept, skipped=tuple(reading.problems), duplicates=duplicates)


def draw_stratified(
    label: npt.NDArray[np.int64], group: npt.NDArray[np.int64], share: float, *, seed: int
) -> npt.NDArray[np.int64]:
    """Some of N rows, of every class its share, drawn with a seed.

    round(share N) rows, at least one and never the whole of a class: each class gives the whole part of share n_c, the
    classes with the largest fractions one more. Where one of the rows of a group is drawn, all are.

    Args:
        label: (N,) classes, -1 for none. group: (N,) the group of each row. share: in [0, 1]. seed: >= 0.

    Returns: row numbers, ascending.

    >>> label = np.repeat([0, 1], 50)
    >>> np.bincount(label[draw_stratified(label, np.arange(100), 0.1, seed=0)]).tolist()
    [5, 5]
    """
    rng = np.random.default_rng(seed)
    classes, inverse, counts = np.unique(label, return_inverse=True, return_counts=True)
    wanted = share * counts
    number = np.floor(wanted + 1e-9).astype(np.int64)
    rest = max(round(share * len(label)), 1) - int(number.sum()) if len(label) and share > 0 else 0
    order = np.lexsort((rng.permutation(len(classes)), -(wanted - number)))
    number[order[: max(rest, 0)]] += 1
    number = np.minimum(number, counts - 1)
    shuffled = rng.permutation(len(label))
    taken = [shuffled[inverse[shuffled] == k][: number[k]] for k in range(len(classes))]
    chosen = np.concatenate([*taken, np.empty(0, dtype=np.int64)])
    return np.isin(group, group[chosen]).nonzero()[0]


def _read(path: Path, label: str | None, progress: Progress | None) -> Reading:
    if path.is_file() and path.suffix.lower() in (".csv", ".parquet", ".pq"):
        return read_class_table(path, label, progress)
    if path.is_dir() and layout_of(path):
        return _archive(read_cifar(path, label=label))
    if any((path / name).is_file() for name in TABLES):
        return read_class_table(path, label, progress)
    if has_class_folders(path):
        if label is not None:
            raise DataError(f"{path}: expected no label column for folders of classes, got {label!r}. Leave it out.")
        return read_folders(path, progress)
    packed = " Unpack it first." if path.is_file() else ""
    raise DataError(
        f"{path}: expected CIFAR's binary files ({describe_files()}), {' or '.join(TABLES)}, or folders of images "
        f"named after their classes, got {'a file of another kind' if path.is_file() else 'none of them'}.{packed}"
    )


def _archive(classes: ClassImages) -> Reading:
    assert classes.pixels is not None
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in classes.pixels.numpy()]
    return Reading(classes, digests, np.zeros(len(classes), dtype=bool), (), given=True)


def _settle(problems: Sequence[Problem], left: int, skip_bad: bool) -> None:
    """Raise one error for all problems, or warn that rows are left out."""
    if not problems:
        return
    if not skip_bad or left < 1:
        files = any(problem.line is None for problem in problems)
        raise DataError(report(problems) + (" Remove them, or use --skip-bad (skip_bad=True)." if files else ""))
    left_out = "1 image is" if len(problems) == 1 else f"{len(problems)} images are"
    warnings.warn(f"{left_out} left out. The first: {problems[0]}", DataWarning, stacklevel=3)


def _check_train(classes: ClassImages) -> None:
    """A class without training images cannot be learned."""
    if (empty := np.flatnonzero(classes.counts("train") == 0)).size:
        raise DataError(
            f"{classes.path}: expected training images of every class, got none of {classes.names[empty[0]]!r}."
        )
