"""The folder of the images that a file of annotations names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from steadfit.errors import DataError

SAMPLE = 20
"""The number of names by which a folder is found."""


def images_root(path: Path, names: Sequence[str], images: Path | None) -> Path:
    """The folder to which the names of images are relative.

    Without one that is given it is the first of these that contains the most of some names: the folder of the file, its
    ``images``, the one above, its ``images``, and the folders in these.

    Args:
        path: the file of annotations, or the folder of the set.
        names: the paths of images.
        images: the folder that the user gives; None for none.

    Raises:
        DataError: the given folder is none.
    """
    if images is not None:
        return checked_folder(images)
    here = path if path.is_dir() else path.parent
    above = here.resolve().parent
    step = max(1, len(names) // SAMPLE)
    some = [name.replace("\\", "/") for name in list(dict.fromkeys(names))[::step][:SAMPLE]]
    found = max(_candidates(here, above), key=lambda folder: _count(folder, some), default=here)  # the first of equals
    return found if _count(found, some) else here


def checked_folder(images: Path) -> Path:
    """The folder of images that the user gives.

    Args:
        images: the folder.

    Raises:
        DataError: it is a packed file, or there is no such folder.
    """
    if images.is_dir():
        return images
    packed = " Unpack it first." if images.is_file() else ""
    raise DataError(f"{images}: expected the folder of the images, got {'a file' if packed else 'nothing'}.{packed}")


def _candidates(here: Path, above: Path) -> list[Path]:
    found = [here, here / "images", above, above / "images"]
    return [folder for folder in [*found, *_inside(here), *_inside(above)] if folder.is_dir()]


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")[:100]
    except OSError:
        return []


def _count(folder: Path, names: Sequence[str]) -> int:
    return sum(bool(name) and os.path.isfile(folder / name) for name in names)  # no file: a name that none can have
