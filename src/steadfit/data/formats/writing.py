"""What the writers of all formats share: numbers, splits, boxes, sizes, and what gets lost."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit._files import write_text
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.pairs import pairs_of_names
from steadfit.errors import DataError, DataWarning

Floats = npt.NDArray[np.float64]
_LOOKED_AT = 65_536  # letters of a document by which its style is told


def plain_number(value: float) -> int | float:
    """A number as it is written in a document: without a fraction where it has none.

    >>> plain_number(12.0), plain_number(12.25)
    (12, 12.25)
    """
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def codes_of(data: Annotations) -> npt.NDArray[np.int8]:
    """The visibility (N, K) of points as 0 absent, 1 occluded, 2 visible; a label that was emptied is absent.

    Args:
        data: annotations of points.
    """
    absent = np.isnan(data.target).any(axis=2)
    known = np.full(absent.shape, 2, dtype=np.int8) if data.visible is None else data.visible
    return np.where(absent, 0, np.where(known == 0, 2, known)).astype(np.int8)


def splits_of(data: Annotations) -> list[str] | None:
    """The splits of the N rows that were given, not drawn; None where none was.

    Args:
        data: the annotations.
    """
    if data.drawn is None:
        return [str(word) for word in data.split]
    if data.drawn.all():
        return None
    return ["train" if drawn else str(word) for word, drawn in zip(data.split, data.drawn, strict=True)]


def own_boxes(data: Annotations) -> Floats | None:
    """Boxes (N, 4) that are annotated, not made around the points; None where there are none.

    Args:
        data: annotations of points.
    """
    return None if data.schema.box == "points" else data.box


def boxes_of(data: Annotations) -> Floats:
    """Boxes (N, 4) as left, top, width and height in px: those of the data, else tight ones around the points.

    Args:
        data: annotations of points.

    Returns:
        NaN for a row with neither.
    """
    if (own := own_boxes(data)) is not None:
        return own
    labelled = ~np.isnan(data.target).all(axis=(1, 2))
    box = np.full((len(data), 4), np.nan)
    low, high = np.nanmin(data.target[labelled], axis=1), np.nanmax(data.target[labelled], axis=1)
    box[labelled] = np.concatenate([low, high - low], axis=1)
    return box


def whole_boxes_of(data: Annotations) -> Floats:
    """Boxes (N, 4) as by :func:`boxes_of`, but those around points contain the pixels of the outermost points.

    Args:
        data: annotations of points.
    """
    boxes = boxes_of(data)
    return boxes if own_boxes(data) is not None else boxes + np.array([0.0, 0.0, 1.0, 1.0])


def bare_rows(data: Annotations) -> list[str]:
    """A few words on the rows without points and box, for a format that cannot carry them; nothing where none is.

    Args:
        data: annotations of points.
    """
    own, bare = own_boxes(data), (codes_of(data) == 0).all(axis=1)
    bare = bare if own is None else bare & np.isnan(own).any(axis=1)
    return [f"{int(bare.sum())} rows without points and box"] * bool(bare.any())


def sizes_of(data: Annotations, format: str) -> Floats:
    """Width and height (N, 2) of the images in px.

    Args:
        data: the annotations.
        format: the format that needs them, for the message.

    Raises:
        DataError: the size of an image is not known.
    """
    if data.size is not None and not np.isnan(data.size).any():
        return data.size
    row = 0 if data.size is None else int(np.isnan(data.size).any(axis=1).argmax())
    name = "" if data.images is None else f" {data.images[row]!r}"
    raise DataError(
        f"{data.path}: expected the sizes of all images, by which {format} divides, got none for{name}. Name their "
        "folder with --images (images=...)."
    )


def images_of(data: Annotations, format: str) -> tuple[str, ...]:
    """The paths of the images, for a format of points in images.

    Args:
        data: the annotations.
        format: the format, for the message.

    Raises:
        DataError: there are no images, or no points.
    """
    if data.images is None or not data.schema.points:
        what = "features" if data.images is None else "numbers or classes"
        raise DataError(f"{data.path}: expected points in images, which {format} describes, got {what}. Write csv.")
    return data.images


def warn_lost(data: Annotations, format: str, lost: Sequence[str]) -> None:
    """Say what a format does not carry of these annotations; nothing where nothing is lost.

    Args:
        data: the annotations.
        format: the format.
        lost: a few words for each loss.

    Warns:
        DataWarning: something is lost.
    """
    if lost:
        warnings.warn(f"{data.path}: not carried by {format}: {'; '.join(lost)}.", DataWarning, stacklevel=4)


def lost_of_schema(data: Annotations, *, pairs: bool = False, limbs: bool = False, names: bool = True) -> list[str]:
    """What is lost of the meaning of the points.

    Args:
        data: the annotations.
        pairs: whether the format carries pairs; otherwise they survive where the names say them.
        limbs: whether the format carries limbs.
        names: whether the format carries the names of points.
    """
    schema = data.schema
    by_name = sorted(map(sorted, pairs_of_names(schema.points))) if names else []
    found = [] if pairs or sorted(map(sorted, schema.pairs)) == by_name else [f"{len(schema.pairs)} mirror pairs"]
    found += [f"{len(schema.limbs)} limbs"] if schema.limbs and not limbs else []
    found += ["names of points"] if schema.has_names and not names else []
    return found + (["the normalising length"] if schema.normalizer is not None else [])


def json_text(content: Any, like: str | None = None) -> str:
    """A JSON document as text.

    Args:
        content: plain containers.
        like: the text of an earlier version, whose indentation, spaces and line ends are kept, and its letters if all
            are ASCII; None: without line breaks.

    >>> json_text({"a": [1, 2]}, like='{"b":3}')
    '{"a":[1,2]}'
    """
    if like is None:
        return json.dumps(content, ensure_ascii=False) + "\n"
    lines = like.lstrip().splitlines()
    margin = lines[1][: len(lines[1]) - len(lines[1].lstrip())] if len(lines) > 1 else ""
    separators = ("," if margin or _is_compact(like) else ", ", ":" if _is_compact(like) else ": ")
    text = json.dumps(content, ensure_ascii=like.isascii(), indent=margin or None, separators=separators)
    text += "\n" * like.endswith("\n")
    return text.replace("\n", "\r\n") if "\r\n" in like else text


def _is_compact(text: str) -> bool:
    """Whether a document has no space between a key and its value, as those that JavaScript writes."""
    return '":' in text[:_LOOKED_AT] and '": ' not in text[:_LOOKED_AT]


def write_beside(text: str, path: Path) -> None:
    """Write what a file of annotations needs beside it, such as the configuration of a tool.

    Args:
        text: the content.
        path: the file.

    Raises:
        DataError: it is there with another content.
    """
    if path.is_file() and path.read_bytes() != text.encode():
        raise DataError(f"{path}: expected no such file for other points there. Choose another folder.")
    write_text(text, path)


def is_original(data: Annotations, format: str) -> bool:
    """Whether annotations can be written back into the file of their own format, which is still there.

    Args:
        data: the annotations.
        format: the format that is written.
    """
    return data.format == format and data.at is not None and Path(data.path).exists()
