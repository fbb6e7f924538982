"""Writing YOLO-pose: ``data.yaml``, lists of images, and a label file for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from steadfit._files import write_text
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Floats
from steadfit.data.formats.paths import plain
from steadfit.data.formats.writing import (
    codes_of,
    images_of,
    lost_of_schema,
    own_boxes,
    sizes_of,
    warn_lost,
    whole_boxes_of,
)
from steadfit.data.formats.yolo_edits import edits_original, moved, outside_words, places_in_original, write_edited
from steadfit.data.formats.yolo_lines import line_of
from steadfit.data.formats.yolo_rows import TITLE
from steadfit.data.formats.yolo_sets import label_of
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError

_WORDS = ("train", "val", "test")
ORDER = "images.txt"
"""The list of all images, where their order is not that of the splits; only steadfit reads it."""


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as a YOLO set.

    The splits are lists of images. Splits that were drawn are written as they are, as YOLO needs them. A row without a
    box gets one around its points. Points outside their image, with which Ultralytics leaves out the whole image, are
    moved to its border. Annotations that were read from YOLO are written into copies of their label files, where only
    points that changed change; images are left where they are.

    Args:
        data: the annotations.
        path: the ``data.yaml``, or the folder that gets it.

    Returns:
        The ``data.yaml``.

    Raises:
        DataError: there are no points in images, or images whose size is not known, or two images with one label file.

    Warns:
        DataWarning: something is lost.
    """
    names = images_of(data, TITLE)
    given = path.suffix.lower() in (".yaml", ".yml")
    if edits_original(data):
        return write_edited(data, path if given else path / Path(data.path).name)
    file = path if given else path / "data.yaml"
    inside = _inside(data, names)
    codes, (targets, outside) = codes_of(data), moved(data)
    rows_of = _rows_of_labels(data, inside)
    boxes, own = _boxes(data)
    written = ~np.asarray(np.isnan(boxes).any(axis=1))
    _warn(data, outside, written)
    sizes = sizes_of(data, TITLE)
    for label, rows in rows_of.items():
        lines = [line_of(0, boxes[r], targets[r], codes[r], sizes[r]) for r in rows if written[r]]
        write_text("".join(f"{line}\n" for line in lines), file.parent / label)
    splits = _splits(data, inside)
    for split, images in splits.items():
        write_text("".join(f"./{image}\n" for image in images), file.parent / f"{split}.txt")
    order = list(dict.fromkeys(inside))
    in_order = order == [image for images in splits.values() for image in images]
    if not in_order:
        write_text("".join(f"./{image}\n" for image in order), file.parent / ORDER)
    return write_text(_description(data, tuple(splits), _prefix(names), own=own, in_order=in_order), file)


def image_places(data: Annotations) -> list[str]:
    """The path (N,) of each row's image relative to the folder of the written ``data.yaml``.

    Args:
        data: the annotations.
    """
    return places_in_original(data) if edits_original(data) else _inside(data, data.images or ())


def _prefix(names: Sequence[str]) -> str:
    """The folder into which images belong: none if all paths have a folder ``images`` of their own."""
    return "" if all("/images/" in f"/{name}" for name in names) else "images"


def _inside(data: Annotations, names: Sequence[str]) -> list[str]:
    """The paths of images in the written set."""
    folder, found = _prefix(names), []
    for name in names:
        try:
            tidy = plain(name)
        except Misfit:
            tidy = ""
        if tidy != name or "\n" in name or "\r" in name:
            raise DataError(
                f"{data.path}: expected paths of images inside one folder, as a list of YOLO has them, got {name!r}. "
                "Name that folder with --images (images=...)."
            )
        found.append(f"{folder}/{name}" if folder else name)
    return found


def _rows_of_labels(data: Annotations, inside: Sequence[str]) -> dict[str, list[int]]:
    """The rows of each label file."""
    rows_of: dict[str, list[int]] = {}
    image_of: dict[str, str] = {}
    for row, image in enumerate(inside):
        label = label_of(image)
        if image_of.setdefault(label, image) != image:
            raise DataError(
                f"{data.path}: expected images that differ in more than their suffix, as both have the label file "
                f"{label} in YOLO, got {image_of[label]!r} and {image!r}. Rename one of them."
            )
        rows_of.setdefault(label, []).append(row)
    return rows_of


def _splits(data: Annotations, inside: Sequence[str]) -> dict[str, list[str]]:
    """The images of each split, each once."""
    split_of: dict[str, str] = {}
    for image, split in zip(inside, data.split.tolist(), strict=True):
        split_of.setdefault(image, split)
    found = {word: [image for image, split in split_of.items() if split == word] for word in _WORDS}
    return {word: images for word, images in found.items() if images}


def _boxes(data: Annotations) -> tuple[Floats, bool]:
    """Boxes (N, 4) that YOLO can have, NaN for a row without box and points; and whether they are those of the data."""
    own, boxes, size = own_boxes(data) is not None, whole_boxes_of(data), sizes_of(data, TITLE)
    centre, extent = (boxes[:, :2] + boxes[:, 2:] / 2) / size, boxes[:, 2:] / size
    far = np.asarray(((centre < 0) | (centre > 1) | (extent > 1)).any(axis=1))
    low, high = np.clip(boxes[:, :2], 0, size - 1), np.clip(boxes[:, :2] + boxes[:, 2:], 1, size)
    cut = np.concatenate([low, np.maximum(high - low, 1)], axis=1)
    return np.where(far[:, None], cut, boxes), own


def _warn(data: Annotations, outside: npt.NDArray[np.bool_], written: npt.NDArray[np.bool_]) -> None:
    lost = [*lost_of_schema(data, pairs=True, limbs=True), *outside_words(data, outside)]
    boxes, own = _boxes(data)
    if own and (cut := int((boxes != data.box).any(axis=1)[written].sum())):
        lost.append(f"{cut} boxes that reach beyond their images, which are cut")
    lost += [f"{int((~written).sum())} rows without box and points"] * (not written.all())
    lost += ["groups of rows that belong together"] * (data.group is not None and bool((data.group != "").any()))
    together = {(name, split) for name, split in zip(data.images or (), data.split.tolist(), strict=True)}
    lost += ["splits of rows of one image"] * (len(together) > len(set(data.images or ())))
    warn_lost(data, TITLE, lost)


def _description(data: Annotations, splits: Sequence[str], prefix: str, *, own: bool, in_order: bool) -> str:
    points = list(data.schema.points)
    flip = list(range(len(points)))
    for left, right in data.schema.pairs:
        flip[left], flip[right] = right, left
    content: dict[str, Any] = {split: f"{split}.txt" for split in splits}
    content |= {"names": {0: "instance"}, "kpt_shape": [len(points), 3], "flip_idx": flip, "kpt_names": {0: points}}
    content |= {"skeleton": [list(limb) for limb in data.schema.limbs]} if data.schema.limbs else {}
    content |= {"images": prefix or "."} | ({} if own else {"boxes": "points"})
    content |= {} if in_order else {"order": ORDER}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)
