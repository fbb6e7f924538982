"""The images of a source: found, each of them decoded once or only looked at, and what is odd about them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from steadfit.data.images.decoding import Picture
from steadfit.data.images.paths import ImageFinder
from steadfit.data.images.remarks import warn_orientation, warn_traits
from steadfit.data.images.scanning import Progress, Scan, scan
from steadfit.data.images.sizes import image_size
from steadfit.data.keeping import Keeper
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.source import Source
from steadfit.errors import DataWarning

Floats = npt.NDArray[np.float64]


class Found(NamedTuple):
    """The images of N rows.

    Args:
        names: their paths relative to the root; None for a table of features.
        size: (N, 2) width and height in px, NaN for an image that is not there; None for a table of features.
        keys: hashes of the bytes, empty where they are not read.
        problems: what is wrong with them.
        turned: whether some image is shown otherwise than it is stored; None where that was not looked at.
    """

    names: tuple[str, ...] | None
    size: Floats | None
    keys: Sequence[str]
    problems: list[Problem]
    turned: bool | None = None


def read_images(source: Source, target: Floats, keeper: Keeper, progress: Progress | None, *, decode: bool) -> Found:
    """The images of the rows of a source: looked at, or decoded once each.

    Args:
        source: the source with its schema filled in.
        target: (N, K, D) labels, by which the orientation of images is judged.
        keeper: stores what is needed of the images.
        progress: called with the number of images done and their total number; None: nothing is called.
        decode: whether the images are decoded; otherwise they need not be there, and have no keys.
    """
    raw, column = source.cells, source.schema.image
    if column not in raw.cells:
        return Found(None, None, [""] * len(raw.line), [])
    images = raw.text(column)
    if source.pixels is not None:
        size = np.array(source.pixels.shape[:1:-1], dtype=np.float64)  # width, height
        return Found(tuple(images), np.tile(size, (len(images), 1)), _digests(source.pixels), [], turned=False)
    if not decode:
        names, sizes = _found(source, images)
        return Found(names, sizes, [""] * len(images), [])
    found = _scanned(source, images, keeper, progress)
    warn_orientation(raw.path, found, target if source.schema.has_points else None, source.schema.exif)
    _warn_resized(source, found)
    problems = [raw.problem(row, column, reason) for row, reason in enumerate(found.reasons) if reason]
    turned = any(traits.orientation != 1 for traits in found.traits)
    return Found(tuple(found.names), found.sizes, found.digests, problems, turned)


def _scanned(source: Source, images: Sequence[str], keeper: Keeper, progress: Progress | None) -> Scan:
    """What decoding each file once found, for every row."""
    unique, row_of = np.unique(np.array(images, dtype=object), return_inverse=True)
    rows_of: list[list[int]] = [[] for _ in unique]
    for row, place in enumerate(row_of.tolist()):
        rows_of[place].append(row)

    def see(place: int, image: Picture) -> None:
        for row in rows_of[place]:
            keeper.keep(row, image)

    def shrink(place: int, width: int, height: int) -> int:
        return min(keeper.shrink(row, width, height) for row in rows_of[place])

    seen = scan(
        source.root,
        list(unique),
        progress,
        channels=keeper.channels,
        exif=source.schema.exif,
        see=see,
        shrink=shrink,
    )
    warn_traits(source.cells.path, seen)
    return seen.of(row_of.tolist())


def _digests(pixels: Tensor) -> list[str]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in pixels.numpy()]


def _found(source: Source, images: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """Names and sizes (N, 2) of images that are not decoded, by their headers or else by the file of annotations."""
    finder = ImageFinder(source.root)
    names: dict[str, str] = {}
    absent, sizes = [], {}
    stated = source.size is not None and not np.isnan(source.size).any()
    for name in dict.fromkeys(images):
        names[name], reason = finder.find(name)
        if reason is not None:
            absent.append(name)
        elif not stated:
            sizes[name] = image_size(finder.root, names[name], source.schema.exif)
    if absent:
        warnings.warn(
            f"{source.cells.path}: {len(absent)} of {len(names)} images were not found in {source.root}, the first is "
            f"{absent[0]!r}. Name the folder that contains them with --images (images=...).",
            DataWarning,
            stacklevel=6,
        )
    seen = np.array([sizes.get(name) or (np.nan, np.nan) for name in images], dtype=np.float64).reshape(-1, 2)
    known = seen if source.size is None else np.where(np.isnan(seen), source.size, seen)
    return tuple(names[name] for name in images), known


def _warn_resized(source: Source, found: Scan) -> None:
    """Warn where the file of annotations gives other sizes than the images have: its labels belong to other images."""
    if source.size is None:
        return
    size = found.sizes
    known = ~(np.isnan(size) | np.isnan(source.size)).any(axis=1)
    other = np.flatnonzero(known & (size != source.size).any(axis=1))
    if not len(other):
        return
    first = int(other[0])
    turned = bool((size[other] == source.size[other, ::-1]).all())
    stated, seen = (" x ".join(f"{side:g}" for side in pair) for pair in (source.size[first], size[first]))
    remedy = "They are turned: see --exif." if turned else "Were they resized after they were labelled?"
    count = len({found.names[row] for row in other.tolist()})
    warnings.warn(
        f"{source.cells.path}: {count} images have another size than the annotations say, such as "
        f"{found.names[first]!r}: {seen} px, not {stated}. {remedy}",
        DataWarning,
        stacklevel=6,
    )
