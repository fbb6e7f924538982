"""Images in folders named after their classes: ``train/<class>/*.png``, or ``<class>/*.png`` without splits."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from steadfit.data.images.folders import warn_passed_over
from steadfit.data.images.paths import is_image
from steadfit.data.tables.cells import Cells, RawTable
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.data.tables.splits import SPLIT_WORDS
from steadfit.errors import DataError, DataWarning


def read(root: Path, schema: Schema | None = None) -> Source:
    """The images under a folder, classes and files in the order of their names; files of other kinds are ignored.

    With a folder ``train`` (and ``val``, ``test``) the classes are its subfolders, else those of ``root``. Folders in a
    class's folder belong to the class. Hidden ones are ignored, and what systems leave behind, such as ``__MACOSX``.

    Args:
        root: the folder.
        schema: it may not name a column of classes, since there are no columns.

    Raises:
        DataError: no class folders, a class that is missing in ``train``, or a schema that names a column of classes.

    Warns:
        DataWarning: files that seem to be images or videos are passed over; images lie beside the folders of classes.
    """
    if schema is not None and schema.targets:
        raise DataError(
            f"{root}: expected no label column for folders of classes, got {schema.targets[0]!r}. Leave it out."
        )
    splits = _splits(root)
    names = _subfolders(root / splits["train"] if splits else root)
    found = [entry for split, folder in (splits or {"train": ""}).items() for entry in _entries(root, folder, split)]
    if strange := sorted({name for _, _, name in found} - set(names)):
        raise DataError(f"{root}: expected every class among those of the training images, got {strange[0]!r} as well.")
    if len(names) < 2 or not found:
        raise DataError(
            f"{root}: expected folders of images named after at least two classes (in 'train' or here), got "
            f"{len(names)} with {len(found)} images."
        )
    warn_passed_over(root, _passed_over(root, splits))
    _warn_beside(root, splits)
    number = {name: float(k) for k, name in enumerate(names)}
    cells: dict[str, Cells] = {
        "image": [image for image, _, _ in found],
        "label": np.array([number[name] for _, _, name in found]),
    }
    if splits:
        cells["split"] = [split for _, split, _ in found]
    table = RawTable(
        path=root,
        cells=cells,
        line=np.zeros(len(found), dtype=np.int64),
        row=np.arange(len(found)),
        files=[str(root / image) for image, _, _ in found],
    )
    return Source(table, Schema(targets=("label",), classes=tuple(names)), root)


def _warn_beside(root: Path, splits: dict[str, str]) -> None:
    """Warn of images next to the folders of classes, which have no class."""
    folders = {root, *(root / folder for folder in splits.values())}
    found = sorted(path for folder in folders for path in folder.iterdir() if is_image(path) and path.is_file())
    if found:
        lie, are = ("1 image lies", "is") if len(found) == 1 else (f"{len(found)} images lie", "are")
        warnings.warn(
            f"{root}: {lie} beside the folders of classes and {are} not used, such as "
            f"{found[0].relative_to(root).as_posix()!r}.",
            DataWarning,
            stacklevel=5,
        )


def is_one(root: Path) -> bool:
    """Whether a path is a folder with an image in a subfolder."""
    return root.is_dir() and any(True for name in _subfolders(root) for _ in _images(root / name))


def _splits(root: Path) -> dict[str, str]:
    """The folder of each split; empty without one for training."""
    found = {SPLIT_WORDS[name.lower()]: name for name in _subfolders(root) if name.lower() in SPLIT_WORDS}
    return {split: found[split] for split in ("train", "val", "test") if split in found} if "train" in found else {}


def _entries(root: Path, folder: str, split: str) -> list[tuple[str, str, str]]:
    """(path, split, class) of every image."""
    return [
        (path.relative_to(root).as_posix(), split, name)
        for name in _subfolders(root / folder)
        for path in _images(root / folder / name)
    ]


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _is_left_over(entry.name))


def _is_left_over(name: str) -> bool:
    """Whether a folder is hidden, or one that macOS, Synology or Windows leaves beside the data."""
    return name.startswith((".", "$")) or name in ("__MACOSX", "@eaDir", "System Volume Information")


def _images(folder: Path) -> Iterator[Path]:
    """The images of a class."""
    return (path for path in _files(folder) if is_image(path))


def _passed_over(root: Path, splits: dict[str, str]) -> Iterator[Path]:
    """The files in folders of classes that are not images."""
    folders = [root / folder for folder in (splits or {"train": ""}).values()]
    return (path for one in folders for name in _subfolders(one) for path in _files(one / name) if not is_image(path))


def _files(folder: Path) -> Iterator[Path]:
    """The files of a class, including deeper folders; links to folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            yield Path(parent, file)
