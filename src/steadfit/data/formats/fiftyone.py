"""FiftyOneDataset: a folder with ``metadata.json`` and ``samples.json``, as FiftyOne exports and imports it.

The points of an instance are one list, as shares of the image's width and height, with NaN for a missing one; their
names are the labels of the data set's skeleton. Nothing is added to x times the width, as FiftyOne's own importer of
COCO adds nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import is_json, json_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.fiftyone_samples import (
    USUAL,
    chosen_field,
    fields_of,
    instances_in,
    number,
    points_of,
    skeleton_of,
)
from steadfit.data.formats.fiftyone_writing import write
from steadfit.data.formats.instances import Box, Instances
from steadfit.data.formats.paths import relative
from steadfit.data.formats.roots import images_root
from steadfit.data.images.sizes import image_size
from steadfit.data.tables.source import Source
from steadfit.errors import DataError, DataWarning

__all__ = ["ABOUT", "NAME", "is_one", "read", "write"]

NAME = "fiftyone"
ABOUT = About(
    title="FiftyOne (FiftyOneDataset)",
    writes=True,
    sample="description",
    images=".",
    lost=("mirror pairs that no names tell", "normalising length"),
)
_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}


def is_one(path: Path) -> bool:
    """Whether a path is a ``samples.json`` of FiftyOne, or the folder that contains it."""
    file = path / "samples.json" if path.is_dir() else path
    content = json_at(file) if file.is_file() and is_json(file) else None
    samples = content.get("samples") if isinstance(content, dict) else None
    return isinstance(samples, list) and any(isinstance(one, dict) and "filepath" in one for one in samples[:20])


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances of a FiftyOneDataset, one row for each ``Keypoint``.

    Of several fields of points ``ground_truth`` is read, or the first. Boxes are those of detections with the same
    ``index`` in their sample; splits are tags; a sample's text ``group`` keeps samples together.

    Args:
        path: the folder, or its ``samples.json``.
        images: the folder of the images; None: looked for near the file.

    Raises:
        DataError: a file is not JSON, or not one of FiftyOne.

    Warns:
        DataWarning: several fields of points, none of which is ``ground_truth``.
    """
    file = path / "samples.json" if path.is_dir() else path
    try:
        samples = expect.sequence(expect.mapping(json_at(file)).get("samples"), "samples")
        chosen = chosen_field(samples)
        names, limbs = skeleton_of(file, chosen)
    except Misfit as error:
        raise DataError(f"{file}, {error}") from None
    reader = _Reader(file, images, chosen, names, Instances(path=file, format=NAME, points=names or ()))
    for place, sample in enumerate(samples):
        reader.read_sample(place, sample)
    notes = reader.notes()
    if others := sorted(fields_of(samples) - {chosen}):
        reason = f"Of several fields of points {chosen!r} is read, not {', '.join(map(repr, others))}."
        notes.append(reason)
        if chosen != USUAL:
            warnings.warn(f"{file}: {reason} Rename the one to read to {USUAL!r}.", DataWarning, stacklevel=4)
    return reader.rows.source(images_root(file, reader.images, images), limbs=limbs, notes=notes)


@dataclass
class _Reader:
    file: Path
    root: Path | None
    field: str
    names: Sequence[str] | None  # None: numbers
    rows: Instances

    def __post_init__(self) -> None:
        self.images: list[str] = []
        self.bare = 0
        self._known: dict[str, int] = {}
        self._folders = [folder for folder in (self.file.parent, self.root) if folder is not None]

    def notes(self) -> list[str]:
        """Sentences on what is odd."""
        notes = [f"Images without points in {self.field!r}: {self.bare}."] * bool(self.bare)
        if self.names is None:
            notes.append("There is no skeleton with labels, so that points have numbers for names.")
        return notes

    def read_sample(self, place: int, value: Any) -> None:
        """Add the instances of one sample."""
        at, name = f"samples[{place}]", ""
        entries: list[tuple[str, Any]] = []
        with self.rows.row(at):
            name = self._name(expect.mapping(value))
            entries = instances_in(value.get(self.field), self.field)
            self.bare += not entries
            self.images.append(name)
        for where, entry in entries:
            with self.rows.row(f"{at}.{where}"):
                self._add(value, name, entry, f"{at}.{where}")

    def _name(self, sample: Mapping[str, Any]) -> str:
        return relative(expect.text(sample.get("filepath"), "filepath"), self._folders, self._known)

    def _add(self, sample: Mapping[str, Any], name: str, value: Any, at: str) -> None:
        entry = expect.mapping(value)
        size = self._size(sample, name)
        self.rows.add(
            name,
            points_of(entry, self.names, size),
            at=at,
            box=_box(sample, entry.get("index"), size),
            size=size,
            split=_split(sample.get("tags")),
            group=sample["group"] if isinstance(sample.get("group"), str) else "",
        )

    def _size(self, sample: Mapping[str, Any], name: str) -> tuple[float, float]:
        found = sample.get("metadata")
        if isinstance(found, dict) and found.get("width") and found.get("height"):
            size = number(found["width"], "metadata.width"), number(found["height"], "metadata.height")
            if min(size) > 0:
                return size
        for folder in reversed(self._folders):
            if shown := image_size(folder, name):
                return shown
        raise Misfit(
            f"expected the image {name!r}, whose size these shares are of, got none that can be read. Name the folder "
            "of the images with --images (images=...)."
        )


def _box(sample: Mapping[str, Any], index: Any, size: tuple[float, float]) -> Box | None:
    """The box of the detection with an index."""
    if index is None:
        return None
    for field, value in sample.items():
        entries = value.get("detections") if isinstance(value, dict) else None
        for k, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and entry.get("index") == index and entry.get("bounding_box"):
                where = f"{field}.detections[{k}].bounding_box"
                shares = [number(side, where) for side in expect.sequence(entry["bounding_box"], where)]
                return expect.box([share * size[d % 2] for d, share in enumerate(shares)], where)
    return None


def _split(tags: Any) -> str:
    """The one split among the tags; empty for none or several."""
    words = {_SPLITS[tag] for tag in tags if tag in _SPLITS} if _are_texts(tags) else set()
    return words.pop() if len(words) == 1 else ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
