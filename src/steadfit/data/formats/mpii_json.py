"""MPII Human Pose as a JSON list of persons, as networks for this set are usually trained on it.

An entry has ``image``, 16 ``joints`` by their ids, ``joints_vis``, ``center`` and ``scale``. A joint with 0 in
``joints_vis``, mostly at (-1, -1), is not annotated; the list does not tell which of the others are occluded.
Coordinates are those of the authors' file, which counts pixels from 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import is_json, json_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Box, Instances, Point
from steadfit.data.formats.layouts import BODY_16
from steadfit.data.formats.persons import FIRST, person_box
from steadfit.data.formats.roots import images_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "mpii-json"
ABOUT = About(title="MPII Human Pose (JSON list)", shift=FIRST, exif="ignore")
_KEYS = ("image", "joints", "center", "scale")
_NOWHERE = ((-1, -1), (0, 0))
"""Coordinates by which files say that there is no joint."""


def is_one(path: Path) -> bool:
    """Whether a path is a JSON list of persons with an image, joints, a middle and a scale."""
    content = json_at(path) if is_json(path) else None
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and all(key in first for key in _KEYS)


def read(path: Path, *, images: Path | None = None) -> Source:
    """The persons of the list, each with its box.

    Errors are divided by the distance from upper neck to head top; the boxes of heads, from which the authors take the
    length, are not in the list. There is no split: training and validation images are in lists of their own.

    Args:
        path: the file.
        images: the folder of the images; None: looked for.

    Raises:
        DataError: the file is not such a list.
    """
    content = json_at(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of persons, got {expect.fact(content)}.")
    rows = Instances(path=path, format=NAME, points=BODY_16.points)
    names: list[str] = []
    count: Counter[str] = Counter()
    for place, entry in enumerate(content):
        at = f"[{place}]"
        with rows.row(at):
            values = expect.mapping(entry)
            name = expect.text(values.get("image"), "image")
            rows.add(name, _points(values, count), at=at, box=_box(values))
            names.append(name)
    note = f"Joints with joints_vis = 0 and coordinates, which are not used: {count['ignored']}."
    return rows.source(
        images_root(path, names, images),
        limbs=BODY_16.limbs,
        normalizer=BODY_16.normalizer,
        notes=[note] if count["ignored"] else [],
    )


def _points(values: Mapping[str, Any], count: Counter[str]) -> dict[str, Point]:
    joints = expect.sequence(values.get("joints"), "joints")
    number = len(BODY_16.points)
    annotated = expect.sequence(values.get("joints_vis", [1] * number), "joints_vis")
    if len(joints) != number or len(annotated) != number:
        raise Misfit(f"expected {number} joints and joints_vis, got {len(joints)} and {len(annotated)}.", "joints")
    found: dict[str, Point] = {}
    for k, name in enumerate(BODY_16.points):
        place = expect.sequence(joints[k], f"joints[{k}]")
        if len(place) != 2:
            raise Misfit(f"expected x and y, got {expect.fact(place)}.", f"joints[{k}]")
        x, y = (expect.number(value, f"joints[{k}]") for value in place)
        there = expect.number(annotated[k], f"joints_vis[{k}]")
        if there not in (0, 1):
            raise Misfit(f"expected 0 or 1, got {there:g}.", f"joints_vis[{k}]")
        nowhere = (x, y) in _NOWHERE
        count["ignored"] += there == 0 and not nowhere
        if there and not nowhere:
            found[name] = Point(x + FIRST, y + FIRST)
    return found


def _box(values: Mapping[str, Any]) -> Box | None:
    middle = expect.sequence(values.get("center"), "center")
    if len(middle) != 2:
        raise Misfit(f"expected x and y, got {expect.fact(middle)}.", "center")
    x, y = (expect.number(value, "center") for value in middle)
    return person_box(x, y, expect.number(values.get("scale"), "scale"))
