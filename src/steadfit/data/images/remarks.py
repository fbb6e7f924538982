"""Warnings about the images of a data set that are read, but perhaps not as they were meant."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit.data.images.scanning import DARK, Scan
from steadfit.errors import DataWarning

Floats = npt.NDArray[np.float64]
_FIRST, _LISTED = 3, 10


def warn_traits(path: Path, found: Scan) -> None:
    """Warn of images that are dark, deep, animated or incomplete, and of paths that were guessed.

    Args:
        path: the table or folder, for the messages.
        found: what the images are.

    Warns:
        DataWarning: one for each of these, with the number of images and the first ones.
    """
    total, traits = len(set(found.names)), found.traits
    _warn_depth(path, found)
    for flags, text in (
        (
            [one.dark for one in traits],
            f"are all but black: no level reaches {DARK} of 255",
        ),
        ([one.several for one in traits], "have several frames or pages, of which only the first is read"),
        (
            [one.filled for one in traits],
            "end in the grey with which decoders fill what is missing: they may have been cut",
        ),
    ):
        names = sorted({name for name, flag in zip(found.names, flags, strict=True) if flag})
        if names:
            _warn(f"{path}: {len(names)} of {total} images {text} ({_few(names)}).")
    if found.guessed:
        given, taken = next(iter(found.guessed.items()))
        one = "1 absolute path leads elsewhere and is read from here by its end"
        many = f"{len(found.guessed)} absolute paths lead elsewhere and are read from here by their ends"
        _warn(f"{path}: {one if len(found.guessed) == 1 else many} (the first: {given!r} as {taken!r}).")


def warn_orientation(path: Path, found: Scan, points: Floats | None, exif: str) -> None:
    """Warn of images that carry an EXIF orientation, and of labels that fit only the other way to read them.

    Args:
        path: the table or folder, for the messages.
        found: what the images are.
        points: (N, K, 2), the points in px, NaN where they are missing; None for labels of another kind.
        exif: how the images were read, ``"honour"`` or ``"ignore"``.

    Warns:
        DataWarning: some image has an orientation other than 1.
    """
    turned = [row for row, one in enumerate(found.traits) if one.orientation != 1]
    if not turned:
        return
    names = sorted({found.names[row] for row in turned})
    read, other = ("turned by it, as annotation tools show them", "ignore")
    if exif == "ignore":
        read, other = ("as they are stored", "honour")
    text = (
        f"{path}: {len(names)} of {len(set(found.names))} images carry an EXIF orientation and are read {read} "
        f"({_few(names)}). If labels refer to the other way, use --exif {other} (exif={other!r})."
    )
    misfits = [] if points is None else _misfits(found, points, turned)
    if misfits:
        shown = ", ".join(misfits[:_LISTED]) + (", ..." if len(misfits) > _LISTED else "")
        text += (
            f" Points of {len(misfits)} of them lie outside the image as it is read and inside it as it is read with "
            f"--exif {other}: {shown}."
        )
    _warn(text)


def _misfits(found: Scan, points: Floats, turned: Sequence[int]) -> list[str]:
    """The images with points that only the other reading holds; a turn that keeps the size cannot be seen."""
    rows = np.array([row for row in turned if found.traits[row].orientation >= 5], dtype=np.int64)
    size, here = found.sizes[rows][:, None], points[rows]  # (n, 1, 2), (n, K, 2)
    missing = np.asarray(np.isnan(here).any(axis=2))

    def fits(size: Floats) -> npt.NDArray[np.bool_]:
        inside = np.asarray(((here >= -0.5) & (here <= size - 0.5)).all(axis=2))
        return np.asarray((missing | inside).all(axis=1))

    misfits = rows[~fits(size) & fits(size[..., ::-1])].tolist()
    return list(dict.fromkeys(found.names[row] for row in misfits))  # several rows may have one image


def _warn_depth(path: Path, found: Scan) -> None:
    total = len(set(found.names))
    names = {name: one.bits for name, one in zip(found.names, found.traits, strict=True) if one.bits is not None}
    floats = sorted(name for name, bits in names.items() if bits == 1)
    if floats:
        _warn(
            f"{path}: {len(floats)} of {total} images are floats from 0 to 1, which become levels from 0 to 255 "
            f"({_few(floats)})."
        )
    counts = Counter(bits for bits in names.values() if bits is not None and bits > 1)
    if counts:
        deep = sorted(name for name, bits in names.items() if bits != 1)
        kinds = ", ".join(f"{number} with {bits} bits" for bits, number in sorted(counts.items()))
        differ = " Brightness differs between these." if len(counts) > 1 else ""
        _warn(
            f"{path}: {len(deep)} of {total} images are 16-bit, and are reduced to 8 bits from as many bits as their "
            f"values need: {kinds} ({_few(deep)}).{differ}"
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_FIRST]) + (", ..." if len(names) > _FIRST else "")


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=5)
