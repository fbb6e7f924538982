"""The folder of the images that a file of annotations names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from steadfit.data.images.paths import is_image
from steadfit.errors import DataError

SAMPLE = 20
"""The number of names by which a folder is found."""
NEARLY = 0.9
"""The share of them that a folder outside that of the annotations must contain."""


def images_root(path: Path, names: Sequence[str], images: Path | None) -> Path:
    """The folder to which the names of images are relative.

    Without one that is given it is the first of these that contains the most of some names: the folder of the file, its
    ``images``, and the folders in it. Where none of these has one of them, it is the folder above, its ``images``, or a
    folder in it, if it contains nearly all of them: images of the same name may belong to another set.

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
    for folders, least in ((_candidates(here), 1), (_candidates(above), max(1.0, NEARLY * len(some)))):
        found = max(folders, key=lambda folder: _count(folder, some), default=here)  # the first of equals
        if _count(found, some) >= least:
            return found
    return here


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


def image_count(folder: Path) -> int:
    """The number of images directly in a folder.

    Args:
        folder: the folder.
    """
    try:
        with os.scandir(folder) as entries:
            return sum(is_image(entry.name) and not entry.name.startswith(".") for entry in entries)
    except OSError:
        return 0


def is_file(folder: Path, name: str) -> bool:
    """Whether a folder has a file, for a name that may be anything."""
    return bool(name) and os.path.isfile(os.path.join(folder, name))


def folders_in(folder: Path) -> Sequence[str]:
    """The names of the folders in a folder, in order, of very many the first; none where it is not there."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")[:100]
    except (OSError, ValueError):
        return []


def _candidates(folder: Path) -> list[Path]:
    inside = (folder / name for name in folders_in(folder))
    return [one for one in (folder, folder / "images", *inside) if one.is_dir()]


def _count(folder: Path, names: Sequence[str]) -> int:
    return sum(is_file(folder, name) for name in names)
