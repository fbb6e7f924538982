"""VGG Image Annotator (VIA): projects of version 2, annotations as JSON and CSV; projects of version 3 are read.

A point is a region of shape ``point``; its name is in an attribute of the region, ``name`` or whichever the user chose.
Regions with the same attribute ``instance`` are one instance, a rectangle among them is its box. Coordinates are px,
mostly whole ones, nothing is added. Here the attribute ``occluded`` is ``1`` for an occluded point.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steadfit._files import write_text
from steadfit.data.formats.about import About
from steadfit.data.formats.folders import inside, is_absolute, plain_path
from steadfit.data.formats.instances import Instances
from steadfit.data.formats.roots import images_root
from steadfit.data.formats.via_editing import edited
from steadfit.data.formats.via_files import COLUMNS, Document, document_at, is_via
from steadfit.data.formats.via_instances import (
    HIDDEN,
    INSTANCE,
    NAMES,
    OCCLUDED,
    Group,
    groups_of,
    is_point,
    names_attribute,
    value_of,
    word,
)
from steadfit.data.formats.writing import (
    bare_rows,
    codes_of,
    images_of,
    is_original,
    json_text,
    lost_of_schema,
    own_boxes,
    plain_number,
    splits_of,
    warn_lost,
)
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.source import Source
from steadfit.data.tables.splits import SPLIT_WORDS

NAME = "via"
ABOUT = About(
    title="VGG Image Annotator (VIA)",
    writes=True,
    sample="description",
    images=".",
    lost=("mirror pairs that no names tell", "limbs", "normalising length", "rows without points and box"),
)
_UNKNOWN_SIZE = -1  # of a file in bytes, as VIA has it for images that are not loaded yet


def is_one(path: Path) -> bool:
    """Whether a path is a project, a JSON or a CSV file of VIA's."""
    return is_via(path)


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances in a file of VIA's, one row for each.

    Points without an attribute ``instance`` are one instance in each image. A rectangle without it is the box of the
    only instance. Other regions are left out, which ``notes`` count. The attributes ``split`` and ``group`` of images
    are read.

    Args:
        path: the file.
        images: the folder of the images; None: looked for near the file.

    Raises:
        DataError: it cannot be read, or it is not clear which attribute has the names of points.
    """
    document = document_at(path)
    attribute = names_attribute(path, document)
    rows = Instances(path=path, format=NAME, points=_listed(document, attribute))
    others: Counter[str] = Counter()
    groups: list[Group] = []
    empty = 0
    for file in document.files:
        with rows.row(file.at if document.kind != "csv" else "", line=len(document.files) + 1):
            found = groups_of(file, attribute, document.kind, others)
            groups += found
            empty += not found
    whole = max(groups, key=lambda group: len(group.points), default=None)
    rows.points = [*rows.points, *(whole.points if whole else ())]  # the order does not depend on what the first misses
    names = [group.file.name.replace("\\", "/") for group in groups]
    names = [inside(name.lstrip("/"), images) if images and is_absolute(name) else name for name in names]
    for number, (group, name) in enumerate(zip(groups, names, strict=True), start=1):
        with rows.row(group.at, line=number):
            split = value_of(group.file.values, "split")
            rows.add(
                plain_path(name, "filename"),
                group.points,
                at=group.at,
                line=number,
                box=group.box,
                split=split if split.lower() in SPLIT_WORDS else "",
                group=value_of(group.file.values, "group"),
            )
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
    notes = [f"Names of points are in the attribute {attribute!r}."] * (attribute not in (None, NAMES))
    notes += [f"Regions that are neither points nor boxes of instances are left out: {kinds}."] * bool(kinds)
    notes += [f"{empty} images have no points."] * bool(empty)
    return rows.source(images_root(path, names, images), notes=notes)


def _listed(document: Document, attribute: str | None) -> list[str]:
    """The names that the attribute offers, in order, without those that only other regions than points have."""
    used: dict[bool, set[str]] = {True: set(), False: set()}
    for file in document.files:
        for region in file.regions:
            used[is_point(region)].add(word(region.values.get(attribute or "")))
    only = used[False] - used[True]
    return [name.strip() for name in document.options.get(attribute or "", ()) if name.strip() not in only]


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as a project of VIA 2, or as CSV if the path ends in .csv.

    Annotations that were read from a file of VIA's are written into a copy of it: only points change. Projects of
    version 3 become projects of version 2.

    Args:
        data: the annotations.
        path: the file, or a folder, which gets ``via_project.json``.

    Returns:
        The file.

    Raises:
        DataError: there are no points in images, or the original file has changed.

    Warns:
        DataWarning: something is lost.
    """
    images_of(data, ABOUT.title)
    suffix = path.suffix.lower()
    if is_original(data, NAME):
        original = Path(data.path)
        document = document_at(original)
        as_csv = document.kind == "csv"
        if document.kind != "3" and (suffix not in (".csv", ".json") or (suffix == ".csv") == as_csv):
            goal = path if suffix in (".csv", ".json") else path / original.name
            return write_text(edited(data, document, codes_of(data)), goal)
    file = path if suffix in (".csv", ".json") else path / "via_project.json"
    warn_lost(data, ABOUT.title, _lost(data, csv_file=suffix == ".csv"))
    entries = _entries(data)
    return write_text(_csv(entries) if suffix == ".csv" else json_text(_project(data, entries)), file)


def _lost(data: Annotations, *, csv_file: bool) -> list[str]:
    unused = int((codes_of(data) == 0).all(axis=0).sum()) if csv_file else 0
    return lost_of_schema(data) + bare_rows(data) + [f"{unused} names of points that no row has"] * bool(unused)


def _entries(data: Annotations) -> dict[str, dict[str, Any]]:
    """The images with their regions, by VIA's keys."""
    splits, codes = splits_of(data), codes_of(data)
    own = own_boxes(data)
    boxes = np.full((len(data), 4), np.nan) if own is None else own
    found: dict[str, dict[str, Any]] = {}
    count: Counter[str] = Counter()
    for row, image in enumerate(images_of(data, ABOUT.title)):
        values = {"split": splits[row]} if splits else {}
        values |= {"group": str(data.group[row])} if data.group is not None and data.group[row] else {}
        entry = {"filename": image, "size": _UNKNOWN_SIZE, "regions": [], "file_attributes": values}
        regions = found.setdefault(f"{image}{_UNKNOWN_SIZE}", entry)["regions"]
        count[image] += 1
        mine = {INSTANCE: str(count[image])}
        if not np.isnan(boxes[row]).any():
            sides = zip(("x", "y", "width", "height"), map(plain_number, boxes[row].tolist()), strict=True)
            regions.append({"shape_attributes": {"name": "rect", **dict(sides)}, "region_attributes": mine})
        for name, (x, y), code in zip(data.schema.points, data.target[row].tolist(), codes[row].tolist(), strict=True):
            if code:
                shape = {"name": "point", "cx": plain_number(x), "cy": plain_number(y)}
                hidden = {HIDDEN: "1"} if code == OCCLUDED else {}
                regions.append({"shape_attributes": shape, "region_attributes": {NAMES: name, **mine, **hidden}})
    return found


def _project(data: Annotations, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    text = {"type": "text", "description": "", "default_value": ""}
    names = {"type": "dropdown", "description": "name of the point", "default_options": {}}
    names["options"] = dict.fromkeys(data.schema.points, "")
    files = dict.fromkeys([key for entry in entries.values() for key in entry["file_attributes"]], text)
    return {
        "_via_settings": _settings(),
        "_via_img_metadata": entries,
        "_via_attributes": {"region": {NAMES: names, INSTANCE: text, HIDDEN: text}, "file": files},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": list(entries),
    }


def _settings() -> dict[str, Any]:
    """The settings with which VIA 2 begins a project; regions show their names."""
    grid = {
        "img_height": 80,
        "rshape_fill": "none",
        "rshape_fill_opacity": 0.3,
        "rshape_stroke": "yellow",
        "rshape_stroke_width": 2,
        "show_region_shape": True,
        "show_image_policy": "all",
    }
    image = {
        "region_label": NAMES,
        "region_color": "__via_default_region_color__",
        "region_label_font": "10px Sans",
        "on_image_annotation_editor_placement": "NEAR_REGION",
    }
    sizes = {"annotation_editor_height": 25, "annotation_editor_fontsize": 0.8, "leftsidebar_width": 18}
    core = {"buffer_size": "18", "filepath": {}, "default_filepath": ""}
    return {"ui": {**sizes, "image_grid": grid, "image": image}, "core": core, "project": {"name": "points"}}


def _csv(entries: dict[str, dict[str, Any]]) -> str:
    output = io.StringIO(newline="")
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries.values():
        writer.writerows(csv_rows(entry["filename"], entry["size"], entry["file_attributes"], entry["regions"]))
    return output.getvalue()


def csv_rows(name: str, size: object, values: dict[str, Any], regions: Sequence[dict[str, Any]]) -> list[list[object]]:
    """The rows of an image in a CSV file; one without a region if it has none.

    Args:
        name: the image.
        size: of its file in bytes.
        values: its attributes.
        regions: its regions.
    """
    found = regions or [{"shape_attributes": {}, "region_attributes": {}}]
    return [
        [
            *(name, size, _json(values), len(regions), number),
            *(_json(region["shape_attributes"]), _json(region["region_attributes"])),
        ]
        for number, region in enumerate(found)
    ]


def _json(value: Any) -> str:
    return json_text(value).rstrip("\n")
