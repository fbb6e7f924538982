"""Roboflow's COCO export: folders ``train``, ``valid`` and ``test``, each with images and ``_annotations.coco.json``.

Its YOLO export is read as any other YOLO set. Images are resized, and may be several augmented copies
``<stem>.rf.<hash>.jpg`` of one, which splits that are drawn keep together.
"""

from __future__ import annotations

from pathlib import Path

from steadfit.data.formats import coco
from steadfit.data.formats.about import About
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "roboflow"
ABOUT = About(title="Roboflow (COCO export)", sample="description")
FILE = "_annotations.coco.json"
_SPLITS = {"train": "train", "valid": "val", "val": "val", "test": "test"}


def is_one(path: Path) -> bool:
    """Whether a path is a folder with ``_annotations.coco.json``, or with folders of splits that have one."""
    return bool(_parts(path))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances of an export, one row for each annotation with key points; splits are those of the folders.

    Args:
        path: the folder.
        images: the folder in which ``train``, ``valid`` and ``test`` are, or for a single folder its images; None: the
            same one.

    Raises:
        DataError: a file is not COCO's, or has no key points.
    """
    parts = _parts(path)
    if not parts:
        raise DataError(f"{path}: expected a folder with {FILE}, or folders train, valid and test with it, got none.")
    return coco.read_parts(path, parts, path if images is None else images, format=NAME)


def _parts(path: Path) -> list[coco.Part]:
    if (path / FILE).is_file():
        return [coco.Part(path / FILE)]
    folders = {folder: split for folder, split in _SPLITS.items() if (path / folder / FILE).is_file()}
    return [coco.Part(path / folder / FILE, folder, split) for folder, split in folders.items()]
