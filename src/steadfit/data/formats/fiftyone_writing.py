"""Writing a FiftyOneDataset: ``metadata.json`` and ``samples.json``, which FiftyOne imports without steadfit."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit._files import write_text
from steadfit.data.formats.documents import json_at, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.fiftyone_samples import chosen_field, instances_in, points_of, skeleton_of
from steadfit.data.formats.instances import Floats
from steadfit.data.formats.paths import plain
from steadfit.data.formats.writing import (
    codes_of,
    images_of,
    is_original,
    json_text,
    lost_of_schema,
    own_boxes,
    sizes_of,
    splits_of,
    warn_lost,
)
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError

TITLE = "FiftyOne"
FIELD, BOXES = "ground_truth", "boxes"
VERSION = "0.24.0"
"""The oldest version of FiftyOne for which the files are meant; later ones migrate them while they import."""
_TIME = "65920080"
"""How identifiers begin: with a time, for all the same one, 1 January 2024."""
_LABELS = "fiftyone.core.labels"
_FIELDS = "fiftyone.core.fields"


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as a FiftyOneDataset.

    Its paths of images are relative: they are found in the folder itself, or below the ``rel_dir`` that FiftyOne's
    importer is given. Annotations that were read from FiftyOne are written into a copy of its files, in which only
    points that changed change.

    Args:
        data: the annotations.
        path: the folder, or a ``samples.json`` in it.

    Returns:
        The ``samples.json``.

    Raises:
        DataError: there are no points in images, the size of an image is not known, or the original has changed.

    Warns:
        DataWarning: something is lost.
    """
    names = images_of(data, TITLE)
    file = path if path.suffix.lower() == ".json" else path / "samples.json"
    original = Path(data.path)
    if is_original(data, "fiftyone"):
        about = original.parent / "metadata.json"
        if about.is_file():
            write_text(text_at(about), file.parent / "metadata.json")
        return write_text(_edited(data, original), file)
    warn_lost(data, TITLE, lost_of_schema(data, limbs=True))
    _check_names(data, names)
    write_text(json.dumps(_about(data)) + "\n", file.parent / "metadata.json")
    return write_text(json.dumps({"samples": _samples(data, names)}) + "\n", file)


def _check_names(data: Annotations, names: tuple[str, ...]) -> None:
    for name in names:
        try:
            tidy = plain(name)
        except Misfit:
            tidy = ""
        if tidy != name:
            raise DataError(
                f"{data.path}: expected paths of images inside one folder, got {name!r}. Name that folder with "
                "--images (images=...)."
            )


def share(value: float, total: float) -> float:
    """A number of px as a share that gives it again when it is multiplied, or the next number to it.

    The share of what results is the same share, so that writing again gives the same file.

    Args:
        value: px.
        total: px of the whole, > 0.
    """
    found = _share(value, total)
    return _share(found * total, total)


def _share(value: float, total: float) -> float:
    quotient = value / total
    near = (quotient, math.nextafter(quotient, -math.inf), math.nextafter(quotient, math.inf))
    return next((one for one in near if one * total == value), quotient)


def _samples(data: Annotations, names: tuple[str, ...]) -> list[dict[str, Any]]:
    splits, codes, sizes = splits_of(data), codes_of(data), sizes_of(data, TITLE)
    own = own_boxes(data)
    found: dict[str, dict[str, Any]] = {}
    for row, name in enumerate(names):
        sample = found.get(name)
        if sample is None:
            found[name] = sample = _sample(data, row, name, splits[row] if splits else None, sizes[row])
        instances = sample[FIELD]["keypoints"]
        index = len(instances)
        instances.append(
            {
                "_id": _id("point", row, name),
                "_cls": "Keypoint",
                "attributes": {},
                "tags": [],
                "label": "instance",
                "index": index,
                "points": _points(data.target[row], codes[row], sizes[row]),
                "visible": codes[row].tolist(),
            }
        )
        if own is not None and not np.isnan(own[row]).any():
            sides = [share(side, sizes[row, d % 2]) for d, side in enumerate(own[row].tolist())]
            box = {"_id": _id("box", row, name), "_cls": "Detection", "attributes": {}, "tags": []}
            sample.setdefault(BOXES, {"_cls": "Detections", "detections": []})["detections"].append(
                box | {"label": "instance", "index": index, "bounding_box": sides}
            )
    return list(found.values())


def _sample(data: Annotations, row: int, name: str, split: str | None, size: Floats) -> dict[str, Any]:
    sample: dict[str, Any] = {
        "_id": _id("sample", row, name),
        "filepath": name,
        "tags": [split] if split else [],
        "metadata": {"_cls": "ImageMetadata", "width": int(size[0]), "height": int(size[1])},
        "_media_type": "image",
        "_rand": int(_id("place", row, name)["$oid"][-13:], 16) / 16**13,
        FIELD: {"_cls": "Keypoints", "keypoints": []},
    }
    return sample | ({"group": str(data.group[row])} if data.group is not None and data.group[row] else {})


def _points(target: Floats, codes: npt.NDArray[np.int8], size: Floats) -> list[list[float]]:
    """x and y of each point as shares; NaN for one that is missing."""
    return [
        [share(x, size[0]), share(y, size[1])] if code else [math.nan, math.nan]
        for (x, y), code in zip(target.tolist(), codes.tolist(), strict=True)
    ]


def _id(what: str, row: int, name: str) -> dict[str, str]:
    """An identifier that is the same whenever the same data are written."""
    content = f"{what} {row} {name}".encode("utf-8", "surrogateescape")
    return {"$oid": _TIME + hashlib.blake2b(content, digest_size=8).hexdigest()}


def _about(data: Annotations) -> dict[str, Any]:
    """The document of the data set: its fields and the skeleton of the points."""
    labels = (*_FIELD_OF_LABELS, _described("label", "String"))
    point = (*labels, _described("points", "Keypoints"), _described("confidence", "List", "Float"))
    box = (*labels, _described("bounding_box", "List", "Float"), _described("confidence", "Float"))
    index = _described("index", "Int")
    fields = [
        _described("id", "ObjectId", column="_id"),
        _described("filepath", "String"),
        _described("tags", "List", "String"),
        _described(
            "metadata",
            "EmbeddedDocument",
            document="fiftyone.core.metadata.ImageMetadata",
            fields=[_described("width", "Int"), _described("height", "Int")],
        ),
        _described("_media_type", "String"),
        _described("_rand", "Float"),
        _labels(FIELD, "Keypoints", "keypoints", "Keypoint", [*point, index, _described("visible", "List", "Int")]),
    ]
    if own_boxes(data) is not None:
        fields.append(_labels(BOXES, "Detections", "detections", "Detection", [*box, index]))
    if data.group is not None and (data.group != "").any():
        fields.append(_described("group", "String"))
    edges = [list(limb) for limb in data.schema.limbs]
    return {
        "version": VERSION,
        "name": "steadfit",
        "media_type": "image",
        "info": {},
        "classes": {},
        "default_classes": [],
        "mask_targets": {},
        "default_mask_targets": {},
        "skeletons": {FIELD: {"labels": list(data.schema.points), "edges": edges}},
        "sample_fields": fields,
        "frame_fields": [],
        "annotation_runs": {},
        "brain_methods": {},
        "evaluations": {},
    }


def _described(
    name: str,
    kind: str,
    of: str | None = None,
    *,
    column: str | None = None,
    document: str | None = None,
    fields: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A field as a data set of FiftyOne describes it."""
    return {
        "name": name,
        "ftype": f"{_FIELDS}.{kind}Field",
        "subfield": None if of is None else f"{_FIELDS}.{of}Field",
        "embedded_doc_type": document,
        "db_field": column or name,
        "fields": fields or [],
        "description": None,
        "info": None,
    }


def _labels(name: str, kind: str, part: str, one: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    entries = _described(part, "List", "EmbeddedDocument", document=f"{_LABELS}.{one}", fields=fields)
    return _described(name, "EmbeddedDocument", document=f"{_LABELS}.{kind}", fields=[entries])


_FIELD_OF_LABELS = (
    _described("id", "ObjectId", column="_id"),
    _described("tags", "List", "String"),
    _described("attributes", "Dict", "EmbeddedDocument", document=f"{_LABELS}.Attribute"),
)


def _edited(data: Annotations, original: Path) -> str:
    """The original ``samples.json`` with the points of these rows; instances of rows that are gone are left out."""
    content = json_at(original)
    samples = content["samples"]
    field = chosen_field(samples)
    row_of = {} if data.at is None else {at: row for row, at in enumerate(data.at.tolist())}
    editor = _Editor(data, skeleton_of(original, field)[0], codes_of(data), sizes_of(data, TITLE))
    bad = {problem.at for problem in data.skipped}
    for place, sample in enumerate(samples):
        entries = _instances(sample, field)
        kept = []
        for where, entry in entries:
            at = f"samples[{place}].{where}"
            row = row_of.pop(at, None)
            if row is not None:
                editor.edit(entry, row)
            if row is not None or any(one == f"samples[{place}]" or f"{one}.".startswith(f"{at}.") for one in bad):
                kept.append(entry)
        if len(kept) < len(entries) and sample[field].get("_cls") == "Keypoint":
            sample[field] = None
        elif len(kept) < len(entries):
            sample[field]["keypoints"] = kept
    if row_of:
        raise DataError(
            f"{original}, {next(iter(row_of))}: expected the points that were read, got others. The file has changed: "
            "read it again."
        )
    return json_text(content, text_at(original))


def _instances(sample: Any, field: str) -> list[tuple[str, Any]]:
    try:
        return instances_in(sample.get(field), field) if isinstance(sample, dict) else []
    except Misfit:
        return []


@dataclass(frozen=True)
class _Editor:
    data: Annotations
    names: list[str] | None  # of the points in the file; None for numbers
    codes: npt.NDArray[np.int8]
    sizes: Floats

    def edit(self, entry: dict[str, Any], row: int) -> None:
        """Write the points of a row into its instance, where they differ."""
        size, codes = self.sizes[row], self.codes[row]
        before = points_of(entry, self.names, (size[0], size[1]))
        for k, (name, point) in enumerate(before.items()):
            if name not in self.data.schema.points:
                continue
            mine = self.data.schema.points.index(name)
            target, code = self.data.target[row, mine], int(codes[mine])
            if code == point.visible and (not code or target.tolist() == [point.x, point.y]):
                continue
            entry["points"][k] = _points(target[None], codes[mine : mine + 1], size)[0]
            if isinstance(entry.get("visible"), list) or code != 2 * bool(code):
                visible = entry.get("visible")
                entry["visible"] = visible if isinstance(visible, list) else [one.visible for one in before.values()]
                entry["visible"][k] = code
