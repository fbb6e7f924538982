"""The images in a folder, and the files there that are passed over."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from steadfit.data.images.headers import kind_of
from steadfit.data.images.paths import is_image
from steadfit.errors import DataWarning

UNREAD = frozenset(
    (
        *(".heic", ".heif", ".jxl", ".svg", ".psd", ".tga", ".ico", ".exr", ".hdr", ".pfm", ".dcm", ".j2k", ".ras"),
        *(".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".eps", ".pdf", ".jpg_large"),
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".zip", ".tar", ".tgz"),
    )
)
"""Suffixes of images, videos and archives that are not read."""


def folder_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The images directly in a folder, by their names; links to files are followed.

    Args:
        folder: the folder.

    Warns:
        DataWarning: files that seem to be images or videos are passed over.
    """
    files = sorted(path for path in Path(folder).iterdir() if not path.is_dir())
    warn_passed_over(folder, files)
    return [path for path in files if is_image(path)]


def warn_passed_over(folder: str | os.PathLike[str], paths: Iterable[Path]) -> None:
    """Warn of files that seem to be images or videos, but are not read; notes and hidden files are no matter.

    Args:
        folder: where they are, for the message.
        paths: all files.

    Warns:
        DataWarning: there are such files; with their number by suffix.
    """
    counts = Counter(_suffix(path) for path in paths if _is_passed_over(path))
    if counts:
        kinds = ", ".join(f"{number} {suffix}" for suffix, number in counts.most_common())
        files = "1 file" if counts.total() == 1 else f"{counts.total()} files"
        warnings.warn(
            f"{folder}: passed over {files} not read as images: {kinds}. Convert or rename them (.jpg, .png) if they "
            "belong to the data.",
            DataWarning,
            stacklevel=4,
        )


def _is_passed_over(path: Path) -> bool:
    """Whether a file that is not read looks like an image or a video, by its suffix or its first bytes."""
    if is_image(path) or path.name.startswith("."):
        return False
    if path.suffix.lower() in UNREAD:
        return True
    try:
        with path.open("rb") as file:
            return bool(kind_of(file.read(12)))
    except OSError:
        return False


def _suffix(path: Path) -> str:
    return path.suffix.lower() or "without a suffix"
