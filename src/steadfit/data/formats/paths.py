"""Paths of images as files of annotations have them: of any system, absolute ones of other machines too."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from steadfit.data.formats.expect import Misfit, fact
from steadfit.data.formats.folders import is_absolute


def plain(entry: str, where: str = "") -> str:
    """A relative path inside its folder, with slashes and without ``.``; ``../`` in front is left out.

    Args:
        entry: the path as it is written.
        where: its place, for the message.

    Raises:
        Misfit: it leaves the folder.

    >>> plain("../valid/images"), plain("./a//b.jpg"), plain(".")
    ('valid/images', 'a/b.jpg', '')
    """
    path = entry.replace("\\", "/")
    while path.startswith("../"):
        path = path[3:]
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise Misfit(f"expected a path inside the folder of the set, got {fact(entry)}.", where)
    return "/".join(parts)


def relative(
    entry: str, folders: Sequence[Path], known: dict[str, int], twin: Callable[[str], str] | None = None
) -> str:
    """A path relative to one of some folders.

    Of an absolute path, which may be one of another machine, the longest end is taken that is there; else its last two
    parts.

    Args:
        entry: the path as it is written.
        folders: where ends of it are looked for.
        known: how many parts were left out before, by these parts; added to.
        twin: gives the path of another file that may be there instead; None for none.

    Raises:
        Misfit: it leaves its folder.
    """
    path = entry.replace("\\", "/")
    if not is_absolute(path):
        return plain(entry)
    parts = [part for part in path.split("/") if part not in ("", ".")][path[1:3] == ":/" :]
    for skipped in range(len(parts)):
        if known.get("/".join(parts[:skipped])) == skipped:
            return plain("/".join(parts[skipped:]))
    for skipped in range(len(parts)):
        rest = plain("/".join(parts[skipped:]))
        ends = (rest,) if twin is None else (rest, twin(rest))
        if any(os.path.exists(folder / end) for folder in folders for end in ends):
            known["/".join(parts[:skipped])] = skipped
            return rest
    return plain("/".join(parts[-2:]))
