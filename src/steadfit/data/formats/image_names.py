"""Names of images that a file of annotations gives as addresses, or with a choice of folders and endings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from steadfit.data.formats.roots import SAMPLE, images_root, is_file
from steadfit.errors import DataError

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
"""Names that Label Studio gives to uploaded files: ``1a2b3c4d-name.jpg``."""


_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def found_names(path: Path, variants: Sequence[Sequence[str]], images: Path | None) -> tuple[Path, list[str]]:
    """The folder of the images, and the name of each image in it.

    Args:
        path: the file of annotations.
        variants: the possible names of N images; the first one counts where no file has any of them.
        images: the folder that the user gives; None: looked for near the file.

    Returns:
        The folder and N names. Two images that would have the same name, although their variants differ, get their
        longest ones.

    Raises:
        DataError: the given folder is none.
    """
    choices = [tuple(name.replace("\\", "/") for name in names) for names in variants]
    step = max(1, len(choices) // SAMPLE)
    for k in range(max(map(len, choices), default=0)):
        some = [names[min(k, len(names) - 1)] for names in choices[::step]]
        root = images_root(path, some, images)
        if any(is_file(root, name) for name in some):
            break
    else:
        root = images_root(path, [], images)
    chosen = {names: _chosen(root, names) for names in dict.fromkeys(choices)}
    shared = {name for name, count in Counter(chosen.values()).items() if count > 1}
    return root, [max(names, key=len) if chosen[names] in shared else chosen[names] for names in choices]


def names_of_address(address: str) -> list[str]:
    """The possible names of an image by its address, the likeliest first.

    Args:
        address: a path, a URL, or an address in Label Studio: ``/data/local-files/?d=...``, ``/data/upload/...``.

    >>> names_of_address("/data/upload/7/1a2b3c4d-cat.jpg")
    ['cat.jpg', '1a2b3c4d-cat.jpg']
    >>> names_of_address("/data/local-files/?d=sets/my%20cat.jpg")
    ['sets/my cat.jpg', 'my cat.jpg']
    >>> names_of_address("https://example.org/a/cat.jpg?v=2")
    ['cat.jpg', 'a/cat.jpg']
    >>> names_of_address("s3://bucket/a/cat.jpg")
    ['a/cat.jpg', 'cat.jpg']
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # an address such as http://[
        return [address]
    if "local-files" in parts.path and (given := parse_qs(parts.query).get("d")):
        return _tails(given[0])
    if parts.path.startswith("/data/upload/"):
        name = unquote(parts.path).rsplit("/", 1)[-1]
        match = _UPLOADED.fullmatch(name)
        return [match[1], name] if match else [name]
    if parts.scheme in ("http", "https"):
        return _tails(unquote(parts.path))[::-1]
    if len(parts.scheme) > 1 and "://" in address:  # s3, gs, azure-blob, file
        return _tails(address.split("://", 1)[1] if parts.scheme == "file" else parts.path)
    return _tails(re.sub(r"^[A-Za-z]:", "", address.replace("\\", "/")))


def check_words(path: Path, words: Iterable[str], title: str) -> None:
    """Refuse names that text in UTF-8 or XML cannot hold: control characters, bytes that are no text.

    Args:
        path: the annotations, for the message.
        words: names of images and points.
        title: the format that is written.

    Raises:
        DataError: such a name.
    """
    for word in words:
        if _NO_TEXT.search(word):
            raise DataError(f"{path}: expected names that {title} can hold, got {word!r}. Rename it.")


def _tails(path: str) -> list[str]:
    """A path without its beginning slash, then without its first folder, and so on."""
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    return ["/".join(parts[k:]) for k in range(len(parts))] or [path]


def _chosen(root: Path, names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else next((name for name in names if is_file(root, name)), names[0])
