"""Paths of images as tables write them, found inside the folder of a data set."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from steadfit.data.images.refusals import archive
from steadfit.errors import DataError

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".gif", ".avif", ".jp2"),
    )
)
"""The suffixes of the files in a folder that are read as images."""

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_TOLD = "Give the folder that contains the images with --images ROOT."
_HINTS = 20  # files that are missing for which a file of a similar name is looked for
_LISTED = 100_000  # files of a folder among which it is looked for


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file is read as an image, by its name.

    >>> is_image("photo.JPG"), is_image("notes.txt"), is_image("._photo.jpg")
    (True, False, False)
    """
    name = os.path.basename(path)
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")


def resolve_image(root: str | Path, name: str) -> tuple[str, str | None]:
    r"""The path of an image inside a folder, from what a table says.

    A name is taken as it is where there is such a file; otherwise ``\`` is read as ``/``. An absolute path inside the
    folder becomes a relative one. Of another absolute path the longest end is taken that is a file in the folder, as
    tables move between machines.

    Args:
        root: the folder, which no path may leave, by ``..`` or by a symbolic link.
        name: what the table says.

    Returns:
        The path relative to ``root``, and what is wrong with it (None for a file that is there).
    """
    return ImageFinder(root).find(name)


def refuse_archive(path: str | Path) -> None:
    """Refuse a zip or tar where images, or a data set, are expected.

    Args:
        path: a folder or file.

    Raises:
        DataError: it is an archive.
    """
    if os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                what = archive(file.read(512))
        except OSError:
            return  # whoever reads it will say so
        if what:
            raise DataError(f"{path}: expected a folder or a table, got {what}. Unpack it first.")


def _shown(name: str, most: int = 300) -> str:
    return repr(name if len(name) <= most else f"{name[: most - 3]}...")


def _spellings(name: str) -> Iterator[str]:
    """Other ways to write a path: with slashes, without spaces or quotes around it, with (de)composed letters."""
    for bare in (name, name.strip().strip("\"'").strip()):
        for slashed in (bare, bare.replace("\\", "/")):
            yield from (form for form in (slashed, *(unicodedata.normalize(how, slashed) for how in ("NFC", "NFD"))))


class ImageFinder:
    """Finds the images of a data set; see :func:`resolve_image`.

    Args:
        root: the folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = os.path.realpath(root)
        self._given = os.path.abspath(root)
        self._hints = _HINTS
        self.guessed: dict[str, str] = {}
        """Absolute paths that were found by their ends, and these."""

    def find(self, name: str) -> tuple[str, str | None]:
        """The path of an image relative to the root, and what is wrong with it; from any thread."""
        if not name.strip() or "\0" in name:
            return name, f"expected the path of an image, got {name!r}."
        if "://" in name:
            return name, f"expected the path of an image, got the address {name!r}. Download the images first."
        if os.path.isabs(name) or _DRIVE.match(name) or (name.startswith("\\") and not self._is_there(name)):
            return self._absolute(name)
        if reason := self._outside(name):
            return name, reason
        if self._is_there(name):
            return name, None
        others = dict.fromkeys(other for other in _spellings(name) if other != name)
        found = next((other for other in others if self._is_inside(other)), None)
        return (found, None) if found else (name, self._missing(name))

    def _absolute(self, name: str) -> tuple[str, str | None]:
        for root in (self.root, self._given):
            inside = os.path.relpath(name, root)
            if os.path.isabs(name) and inside.split(os.sep)[0] != os.pardir:
                return self.find(inside.replace(os.sep, "/"))
        parts = [part for part in re.split(r"[\\/]", name.strip()) if part not in ("", ".", "..")]
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if self._is_inside(end):
                self.guessed[name] = end
                return end, None
        return name, f"expected a path relative to {self.root}, got the absolute {name!r}. {_TOLD}"

    def _is_inside(self, name: str) -> bool:
        return self._is_there(name) and not self._outside(name)

    def _is_there(self, name: str) -> bool:
        try:
            return os.path.lexists(os.path.join(self.root, name))
        except (OSError, ValueError):
            return False

    def _outside(self, name: str) -> str | None:
        try:
            real = os.path.realpath(os.path.join(self.root, name))
        except (OSError, ValueError) as error:
            return f"expected the path of an image, got {name!r}: {error}."
        if os.path.commonpath([self.root, real]) == self.root:
            return None
        return (
            f"expected an image inside {self.root}, got {name!r}, which is {real}. Copy the file there, or give a "
            "folder that contains all images with --images ROOT."
        )

    def _missing(self, name: str) -> str:
        """That there is no such file, with one whose name differs only in case, suffix or folder's separator."""
        here = f"expected an image file, got no file at {_shown(name)} in {self.root}"
        self._hints -= 1
        near = next(self._near(name.replace("\\", "/")), None) if self._hints >= 0 else None
        return f"{here}. There is {near!r}." if near else f"{here}."

    def _near(self, name: str) -> Iterator[str]:
        head, file = os.path.split(name)
        folder = self._folder(head)
        names = self._listed(folder)
        stem, whole = os.path.splitext(file)[0].strip().casefold(), file.strip().casefold()
        paths = {other: os.path.join(folder, other) for other in names}
        yield from (path for other, path in paths.items() if other.casefold() == whole)
        yield from (
            path for other, path in paths.items() if is_image(other) and os.path.splitext(other)[0].casefold() == stem
        )

    def _folder(self, name: str) -> str:
        """A folder, found without regard to case where it is not there as it is written."""
        found = ""
        for part in name.split("/"):
            same = [] if os.path.isdir(os.path.join(self.root, found, part)) else self._listed(found)
            found = os.path.join(found, next((other for other in same if other.casefold() == part.casefold()), part))
        return found

    def _listed(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder."""
        try:
            with os.scandir(os.path.join(self.root, folder)) as found:
                return sorted(entry.name for entry in islice(found, _LISTED))
        except (OSError, ValueError):
            return []
