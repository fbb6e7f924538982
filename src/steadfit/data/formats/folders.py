"""Formats of one file per image: finding the files in a folder, and what is wrong with one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from steadfit.data.formats import csv, parquet
from steadfit.data.formats.documents import parsed_once
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.roots import is_file
from steadfit.data.images.paths import is_image
from steadfit.data.tables.cells import shorten
from steadfit.errors import DataError

_LONGEST = 240  # bytes of a name that leave room for another suffix


def files_below(folder: Path, suffix: str) -> Iterator[str]:
    """The files with a suffix in a folder and its folders, as paths relative to it with ``/``, in order.

    Hidden files and folders are passed over, and folders that are symbolic links are not entered.

    Args:
        folder: the folder.
        suffix: such as ``".pts"``, in small letters; the case of the files' suffix does not matter.
    """
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(parent, folder).replace(os.sep, "/")
        for name in sorted(files):
            if name.lower().endswith(suffix) and not name.startswith("."):
                yield name if below == "." else f"{below}/{name}"


def has_table(folder: Path) -> bool:
    """Whether a folder has a table of annotations, which then counts."""
    return any((folder / name).is_file() for name in (csv.NAME, parquet.NAME))


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """A block that reads one of many files: what is wrong with the file becomes a :class:`Misfit`, of one row.

    Args:
        path: the file.

    Raises:
        Misfit: the file cannot be read.
    """
    try:
        with parsed_once():  # no document stays in memory
            yield
    except DataError as error:
        place, _, reason = str(error).removeprefix(str(path)).lstrip(", ").partition(": ")
        raise Misfit(reason, place) from None


def inside(name: str, images: Path) -> str:
    """The path of an image below the folder of images that the user gives.

    Args:
        name: the path as the annotations have it; folders above their own (``..``) are left out.
        images: the folder.

    Returns:
        The path, or as many of its last parts as name a file in the folder.
    """
    parts = [part for part in name.split("/") if part != ".."]
    for first in range(len(parts)):
        if is_file(images, "/".join(parts[first:])):
            return "/".join(parts[first:])
    return "/".join(parts)


def plain_path(name: str, where: str = "") -> str:
    """A path relative to a folder, in one spelling.

    Args:
        name: the path; backslashes become slashes.
        where: its place, for the message.

    Raises:
        Misfit: there is none.
    """
    found = os.path.normpath(name.replace("\\", "/"))
    if not name.strip() or "\0" in name or found in (".", "..") or name.rstrip().endswith(("/", "\\")):
        raise Misfit(f"expected the path of an image, got {shorten(name)}.", where)
    return found


def is_absolute(name: str) -> bool:
    """Whether a path begins at a root or a drive.

    >>> is_absolute("C:/a.jpg"), is_absolute("/a.jpg"), is_absolute("../a.jpg")
    (True, True, False)
    """
    return name.startswith("/") or name[1:3] == ":/"


def images_in(folder: Path) -> dict[str, str]:
    """The images in a folder, not in those below, by their names without suffix, in small letters.

    Of several the first by name counts. A whole name stands for itself, too.

    Args:
        folder: the folder, which need not be there.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if is_image(entry.name) and entry.name[0] != ".")
    except (OSError, ValueError):
        return {}
    found = {os.path.splitext(name)[0].lower(): name for name in reversed(names)}
    return found | {name.lower(): name for name in names}


def file_names(images: Sequence[str], suffix: str) -> dict[str, str]:
    """For each image the name of its file of annotations: its path with another suffix.

    A second image of the same name keeps its own suffix in front: ``a.jpg`` and ``a.png`` have ``a.json`` and
    ``a.png.json``.

    Args:
        images: different paths.
        suffix: that of the files of annotations.

    Raises:
        DataError: a path that leads out of the folder.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for image in images:
        plain = os.path.normpath(image.replace("\\", "/"))
        if plain.startswith("../") or is_absolute(plain):
            raise DataError(f"{image!r}: expected the path of an image inside a folder, got one that leads out of it.")
        if max(len(part.encode("utf-8", "replace")) for part in plain.split("/")) > _LONGEST:
            raise DataError(f"{shorten(image)}: expected names of at most {_LONGEST} bytes, got a longer one.")
        name = os.path.splitext(plain)[0] + suffix
        name = plain + suffix if name.lower() in taken else name
        taken.add(name.lower())
        found[image] = name
    return found
