"""One pass over the images of a data set: their sizes, and what is wrong or remarkable about them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from steadfit.data.images.decoding import Picture, decode, truncated
from steadfit.data.images.files import Floats
from steadfit.data.images.paths import ImageFinder, refuse_archive
from steadfit.errors import DataError

Progress = Callable[[int, int], None]  # called with (files done, number of files)

DARK = 8
"""An image without a level of at least this, of 255, is all but black."""
_THREADS = 4


@dataclass(frozen=True)
class Traits:
    """What is remarkable about an image.

    Args:
        orientation: in its EXIF data, 1 to 8.
        bits: that were assumed for a 16-bit image, 1 for floats from 0 to 1; None for an 8-bit image.
        several: whether there are further frames or pages, which are not read.
        dark: whether no level of 255 reaches 8.
        filled: whether a JPEG ends in the grey with which decoders fill what is missing.
    """

    orientation: int = 1
    bits: int | None = None
    several: bool = False
    dark: bool = False
    filled: bool = False


class Scan(NamedTuple):
    """What one pass over N images found.

    Args:
        sizes: (N, 2), width and height in px of the images as they are read, NaN for a bad file.
        digests: of the bytes, empty for a file that cannot be read.
        reasons: what is wrong with each file, None for a good one.
        names: the paths as they were found, relative to the root.
        traits: what is remarkable about each image.
        guessed: absolute paths that were found by their ends, and these.
    """

    sizes: Floats
    digests: list[str]
    reasons: list[str | None]
    names: list[str]
    traits: list[Traits]
    guessed: dict[str, str]

    def of(self, places: Sequence[int]) -> Scan:
        """The same for rows, of which several may have one image.

        Args:
            places: of the image of each row.
        """
        return Scan(
            self.sizes[list(places)],
            [self.digests[place] for place in places],
            [self.reasons[place] for place in places],
            [self.names[place] for place in places],
            [self.traits[place] for place in places],
            self.guessed,
        )


@dataclass(frozen=True)
class _Found:
    """What one file is."""

    name: str
    reason: str | None = None
    digest: str = ""
    size: tuple[float, float] = (np.nan, np.nan)
    traits: Traits = Traits()


def scan(
    root: str | Path | None,
    images: Sequence[str],
    progress: Progress | None = None,
    *,
    channels: int = 1,
    exif: str = "honour",
    see: Callable[[int, Picture], None] | None = None,
    shrink: Callable[[int, int, int], int] | None = None,
) -> Scan:
    """Read every image once: its size, the digest of its bytes, and what is wrong with it.

    Every file is decoded. Decoders may take a truncated JPEG, so its end is looked for as well.

    Args:
        root: the folder to which the paths are relative, and which they must not leave, by ``..`` or by a symbolic
            link. None: the paths are taken as they are, wherever they lead.
        images: N paths.
        progress: called with the number of files done and N; None: nothing is called.
        channels: the number of channels in which the files are decoded, 1 or 3.
        exif: how an EXIF orientation is read, see :func:`read_image`.
        see: called with the place and each good image, from several threads; None: nothing is called.
        shrink: how far an image may be reduced while it is decoded, by its place, width and height; None: not at all.

    Raises:
        DataError: the root is an archive.
    """
    if root is not None:
        refuse_archive(root)
    finder = None if root is None else ImageFinder(root)

    def inspect(place: int) -> _Found:
        found = _Found(images[place]) if finder is None else _Found(*finder.find(images[place]))
        if found.reason:
            return found
        allowed = None if shrink is None else lambda width, height: shrink(place, width, height)
        return _inspect(
            "" if finder is None else finder.root,
            found.name,
            lambda data, name: decode(data, channels, exif=exif, shrink=allowed, name=name),
            None if see is None else lambda picture: see(place, picture),
        )

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        files = list(_counted(pool.map(inspect, range(len(images))), len(images), progress))
    return Scan(
        np.array([file.size for file in files], dtype=np.float64).reshape(-1, 2),
        [file.digest for file in files],
        [file.reason for file in files],
        [file.name for file in files],
        [file.traits for file in files],
        {} if finder is None else finder.guessed,
    )


def _inspect(
    root: str, name: str, decoded: Callable[[bytes, str], Picture], see: Callable[[Picture], None] | None
) -> _Found:
    """Read and decode one file."""
    try:
        data = Path(root, name).read_bytes()
    except FileNotFoundError:
        return _Found(name, f"expected an image file, got no file at {name!r}{f' in {root}' if root else ''}.")
    except IsADirectoryError:
        return _Found(name, f"expected an image file, got the folder {name!r}.")
    except (OSError, ValueError) as error:
        return _Found(name, f"expected a readable image file, got {error}.")
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    if truncated(data):
        return _Found(name, f"expected a whole image, got {name!r}, truncated after {len(data)} bytes.", digest)
    try:
        picture = decoded(data, name)
    except DataError as error:
        return _Found(name, str(error), digest)
    if see is not None:
        see(picture)
    width, height = picture.size
    return _Found(name, None, digest, (float(width), float(height)), _traits(picture, data))


def _traits(picture: Picture, data: bytes) -> Traits:
    dark = int(picture.pixels.max()) < DARK
    return Traits(picture.orientation, picture.bits, picture.several, dark, _filled(picture, data))


def _filled(picture: Picture, data: bytes) -> bool:
    """Whether the last rows of a JPEG, as it is stored, have the grey of missing data, and the first ones do not."""
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    pixels = picture.pixels
    edges = [pixels[-1], pixels[0], pixels[:, -1], pixels[:, 0]]  # the last one stored may be any of them
    flat = [bool((edge == 128).all()) for edge in edges]
    return any(flat) and not all(flat)


def _counted(results: Iterable[_Found], total: int, progress: Progress | None) -> Iterator[_Found]:
    for done, result in enumerate(results, start=1):
        if progress and (done % 64 == 0 or done == total):
            progress(done, total)
        yield result
