"""Labelme: a JSON file for each image, with ``shapes``; X-AnyLabeling writes the same with more keys.

A point is a shape of type ``point`` whose ``label`` is its name. Shapes of one instance have the same ``group_id``; a
rectangle in the group is its box. Coordinates are px of the image, nothing is added. A point that is not there has no
shape; Labelme does not know occluded points, which have ``"occluded": true`` among the ``flags`` of their shape here
(X-AnyLabeling: ``difficult``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit._files import write_bytes, write_text
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import head, is_json, json_at, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.folders import file_names, files_below, has_table, inside
from steadfit.data.formats.instances import Point
from steadfit.data.formats.labelme_files import OCCLUDED, Group, is_labelme, read_all
from steadfit.data.formats.roots import images_root
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
from steadfit.errors import DataError

NAME = "labelme"
ABOUT = About(
    title="Labelme (JSON files)",
    writes=True,
    sample="description",
    images=".",
    lost=("mirror pairs that no names tell", "limbs", "normalising length", "rows without points and box"),
)
_LOOKED_AT = 20
_VERSION = "5.5.0"
Codes = npt.NDArray[np.int8]


def is_one(path: Path) -> bool:
    """Whether a path is a JSON file with Labelme's shapes, or a folder with such files."""
    if path.is_dir():
        if has_table(path):
            return False
        some = (name for name, _ in zip(files_below(path, ".json"), range(_LOOKED_AT), strict=False))
        return any(b'"shapes"' in head(path / name) for name in some)
    return is_json(path) and is_labelme(json_at(path))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances in Labelme's files, one row for each group of points.

    Points without ``group_id`` are one instance. A rectangle without ``group_id`` is the box of the only instance.
    Other shapes are left out, which ``notes`` count. The keys ``points`` (names in order), ``split`` and ``group`` of a
    file, which Labelme keeps without using them, are read.

    Args:
        path: the folder, which is searched with the folders in it, or one file.
        images: the folder of the images; None: ``imagePath`` is relative to its file.

    Raises:
        DataError: there are no points.
    """
    found = read_all(path)
    rows = found.instances
    whole = max(found.groups, key=lambda group: len(group.points), default=None)
    rows.points = [*rows.points, *(whole.points if whole else ())]  # the order does not depend on what the first misses
    lifted = images is None and any(name.startswith("../") for name in found.images)
    names = [_image_name(name, path, images, lifted=lifted) for name in found.images]
    base = path if path.is_dir() else path.parent
    root = base.resolve().parent if lifted else images_root(path, names, images)
    for number, (group, name) in enumerate(zip(found.groups, names, strict=True), start=1):
        with rows.row("", file=group.file.path, line=number):
            if name.startswith("../"):
                raise Misfit(
                    f"expected an image in the data set, got {name!r}. Name its folder: --images.", "imagePath"
                )
            values = group.file
            rows.add(
                name,
                group.points,
                at=group.at,
                file=group.file.path,
                line=number,
                box=group.box,
                size=values.size,
                split=values.split,
                group=values.group,
            )
    return rows.source(root, notes=found.notes())


def _image_name(name: str, path: Path, images: Path | None, *, lifted: bool) -> str:
    """The path of an image relative to the root; ``lifted``: to the folder above the set's."""
    if images is not None:
        return inside(name, images)
    if not lifted:
        return name
    base = path if path.is_dir() else path.parent
    return os.path.normpath(f"{base.resolve().name}/{name}")


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as Labelme's files, one for each image, in the folders of the images.

    Annotations that were read from Labelme's files are written into a copy of these: only shapes of points change.

    Args:
        data: the annotations.
        path: the folder; a single file of Labelme's may be written to a file.

    Returns:
        The folder or file.

    Raises:
        DataError: there are no points in images, or the original files have changed.

    Warns:
        DataWarning: something is lost.
    """
    images = images_of(data, ABOUT.title)
    if is_original(data, NAME):
        return _write_back(data, path)
    several = len(set(images)) > 1
    if path.suffix.lower() == ".json" and several:
        raise DataError(f"{path}: expected a folder, as Labelme has one file per image, got a file's name.")
    documents = _documents(data)
    warn_lost(data, ABOUT.title, lost_of_schema(data) + bare_rows(data))
    names = file_names(list(documents), ".json")
    for image, document in documents.items():
        file = path if path.suffix.lower() == ".json" else path / names[image]
        write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", file)
    return path


def _documents(data: Annotations) -> dict[str, dict[str, Any]]:
    """The content of the file of each image."""
    images, codes, splits = images_of(data, ABOUT.title), codes_of(data), splits_of(data)
    boxes = own_boxes(data)
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image, []).append(row)
    found = {}
    for image, mine in rows.items():
        size = (None, None) if data.size is None or np.isnan(data.size[mine[0]]).any() else data.size[mine[0]].tolist()
        width, height = (None if side is None else plain_number(side) for side in size)
        document: dict[str, Any] = {"version": _VERSION, "flags": {}, "shapes": []}
        for number, row in enumerate(mine, start=1):
            alone = len(mine) == 1 and bool(codes[row].any())
            document["shapes"] += _shapes(data, row, codes, boxes, None if alone else number)
        document |= {"imagePath": os.path.basename(image.replace("\\", "/")), "imageData": None}
        document |= {"imageHeight": height, "imageWidth": width, "points": list(data.schema.points)}
        document |= {"split": splits[mine[0]]} if splits else {}
        document |= {"group": str(data.group[mine[0]])} if data.group is not None and data.group[mine[0]] else {}
        found[image] = document
    return found


def _shapes(
    data: Annotations, row: int, codes: Codes, boxes: npt.NDArray[np.float64] | None, group: int | None
) -> list[dict[str, Any]]:
    """The box and the points of one instance."""
    shapes = []
    if boxes is not None and not np.isnan(boxes[row]).any():
        left, top, width, height = boxes[row].tolist()
        corners = [[left, top], [left + width, top + height]]
        shapes.append(_shape("instance", corners, "rectangle", group, {}))
    for k, name in enumerate(data.schema.points):
        if code := codes[row, k]:
            shapes.append(_shape(name, [data.target[row, k].tolist()], "point", group, _flags(int(code))))
    return shapes


def _shape(
    label: str, points: Sequence[Sequence[float]], kind: str, group: int | str | None, flags: Mapping[str, bool]
) -> dict[str, Any]:
    return {
        "label": label,
        "points": [[plain_number(value) for value in point] for point in points],
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": dict(flags),
        "mask": None,
    }


def _flags(code: int) -> dict[str, bool]:
    return {"occluded": True} if code == OCCLUDED else {}


def _write_back(data: Annotations, path: Path) -> Path:
    """A copy of the original files with the points of these rows."""
    original = Path(data.path)
    found = {group.at: group for group in read_all(original).groups}
    places = [] if data.at is None else data.at.tolist()
    images = images_of(data, ABOUT.title)
    for place, image in zip(places, images, strict=True):
        if place not in found or os.path.basename(found[place].file.image) != os.path.basename(image):
            raise DataError(
                f"{original}, {place}: expected the shapes that were read, got others. The files have changed: read "
                "them again."
            )
    rows = {place: row for row, place in enumerate(places)}
    codes = codes_of(data)
    edited: dict[str, list[tuple[Group, int | None]]] = {}
    for place, group in found.items():
        edited.setdefault(group.file.name, []).append((group, rows.get(place)))
    if original.is_file():
        goal = path if path.suffix.lower() == ".json" else path / original.name
        _copy(original, goal, edited.get(original.name, []), data, codes)
        return goal
    for name in [*files_below(original, ".json"), *files_below(original, ".txt")]:
        _copy(original / name, path / name, edited.get(name, []), data, codes)
    return path


def _copy(file: Path, goal: Path, groups: Sequence[tuple[Group, int | None]], data: Annotations, codes: Codes) -> None:
    """One file with its changes; as it is, where nothing changes."""
    if not groups:
        write_bytes(file.read_bytes(), goal)
        return
    content = json_at(file)
    shapes: list[dict[str, Any] | None] = list(content["shapes"])
    added: dict[int, list[dict[str, Any]]] = {}
    for group, row in groups:
        if row is None:
            for place in [*group.shapes.values(), *([] if group.rectangle is None else [group.rectangle])]:
                shapes[place] = None
        else:
            _edit(shapes, added, group, data.schema.points, data.target[row], codes[row])
    after = [one for k, shape in enumerate(shapes) for one in (*([shape] if shape else []), *added.get(k, []))]
    if after == json_at(file)["shapes"]:
        write_bytes(file.read_bytes(), goal)
        return
    content["shapes"] = after
    write_text(json_text(content, text_at(file)), goal)


def _edit(
    shapes: list[dict[str, Any] | None],
    added: dict[int, list[dict[str, Any]]],
    group: Group,
    names: Sequence[str],
    target: npt.NDArray[np.float64],
    codes: Codes,
) -> None:
    """Write the points of one instance into its shapes, where they differ."""
    places = [*group.shapes.values(), *([] if group.rectangle is None else [group.rectangle])]
    for name, (x, y), code in zip(names, target.tolist(), codes.tolist(), strict=True):
        before = group.points.get(name)
        if before is None:
            if code:
                like = shapes[max(places)] or {}
                new = _shape(name, [[x, y]], "point", like.get("group_id"), _flags(code))
                added.setdefault(max(places), []).append(new)
        elif not code:
            shapes[group.shapes[name]] = None
        elif before != Point(x, y, code):
            shapes[group.shapes[name]] = _moved(shapes[group.shapes[name]] or {}, x, y, code)


def _moved(shape: Mapping[str, Any], x: float, y: float, code: int) -> dict[str, Any]:
    """The shape of a point at another place, or with another visibility."""
    moved = {**shape, "points": [[plain_number(x), plain_number(y)]]}
    if "difficult" in shape:
        moved["difficult"] = code == OCCLUDED
    flags = {name: value for name, value in (shape.get("flags") or {}).items() if name != "occluded"}
    return {**moved, "flags": flags if code != OCCLUDED or moved.get("difficult") else flags | _flags(code)}
