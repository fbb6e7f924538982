"""Labelme's files: their shapes as instances, with the place of every shape."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.documents import json_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.folders import files_below, in_file, is_absolute, plain_path
from steadfit.data.formats.instances import Box, Instances, Point
from steadfit.data.tables.splits import SPLIT_WORDS

OCCLUDED, VISIBLE = 1, 2
_REMEDY = "Give the points of each instance a group_id of their own."


@dataclass(frozen=True)
class File:
    """One file.

    Args:
        path: the file.
        name: its path relative to the folder that is read.
        image: the path of the image relative to that folder.
        size: width and height of the image in px.
        split: its word for training, validation or test.
        group: what the image belongs to.
        points: names of points, in order.
    """

    path: Path
    name: str
    image: str
    size: tuple[float, float] | None
    split: str
    group: str
    points: Sequence[str]


@dataclass
class Group:
    """The shapes of one instance.

    Args:
        file: the file.
        at: its place, for messages.
        points: the points by name.
        shapes: for each name the place among the shapes of the file.
        rectangle: the place of the rectangle that is the box; None for none.
        box: left, top, width and height in px.
    """

    file: File
    at: str
    points: dict[str, Point] = field(default_factory=dict)
    shapes: dict[str, int] = field(default_factory=dict)
    rectangle: int | None = None
    box: Box | None = None


@dataclass
class Found:
    """The groups of all files; ``instances`` has the problems, and not yet any row."""

    instances: Instances
    groups: list[Group] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    foreign: int = 0
    empty: int = 0

    @property
    def images(self) -> list[str]:
        """The path of each group's image, relative to the folder that is read."""
        return [group.file.image for group in self.groups]

    def notes(self) -> list[str]:
        """What was left out."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.others.items()))
        notes = [f"Shapes that are neither points nor boxes of instances are left out: {kinds}."] * bool(kinds)
        notes += [f"{self.foreign} JSON files without Labelme's shapes are passed over."] * bool(self.foreign)
        return notes + [f"{self.empty} images have no points."] * bool(self.empty)


def read_all(path: Path) -> Found:
    """The instances of a folder or file, with the places of their shapes.

    Args:
        path: the folder or file.
    """
    names = list(files_below(path, ".json")) if path.is_dir() else [path.name]
    base = path if path.is_dir() else path.parent
    found = Found(Instances(path=path, format="labelme"))
    order: dict[str, None] = {}
    for name in names:
        with found.instances.row("", file=base / name), in_file(base / name):
            content = json_at(base / name)
            if path.is_dir() and not is_labelme(content):
                found.foreign += 1
                continue
            file = _file(base / name, name, expect.mapping(content, "top"))
            groups = list(_groups(file, content, found.others, whole=path.is_dir()))
            order |= dict.fromkeys(file.points)
            found.groups += groups
            found.empty += not groups
    found.instances.points = list(order)
    return found


def _file(path: Path, name: str, content: Mapping[str, Any]) -> File:
    where = "imagePath"
    image = plain_path(expect.text(content.get(where), where), where)
    folder = os.path.dirname(name)
    image = os.path.basename(image) if is_absolute(image) else image
    width, height = content.get("imageWidth"), content.get("imageHeight")
    known = all(isinstance(side, int | float) and side > 0 for side in (width, height))
    size = (expect.number(width, "imageWidth"), expect.number(height, "imageHeight")) if known else None
    split, group, points = content.get("split"), content.get("group"), content.get("points")
    return File(
        path=path,
        name=name,
        image=os.path.normpath(f"{folder}/{image}") if folder else image,
        size=size,
        split=split if isinstance(split, str) and split.lower() in SPLIT_WORDS else "",
        group=group if isinstance(group, str) else "",
        points=[word for word in points if isinstance(word, str)] if isinstance(points, list) else [],
    )


def _groups(file: File, content: Mapping[str, Any], others: Counter[str], *, whole: bool) -> Iterator[Group]:
    """The instances of a file, in the order of their first shapes."""
    found: dict[Any, Group] = {}
    rectangles: list[tuple[int, dict[str, Any]]] = []
    for place, shape in enumerate(expect.sequence(content.get("shapes"), "shapes")):
        where = f"shapes[{place}]"
        values = expect.mapping(shape, where)
        kind = values.get("shape_type") or "polygon"
        if kind == "point":
            key = _group_id(values, where)
            group = found.setdefault(key, Group(file, _at(file, key, whole=whole)))
            _add_point(group, place, values, where)
        elif kind == "rectangle":
            rectangles.append((place, values))
        else:
            others[str(kind)] += 1
    alone = sum(values.get("group_id") is None for _, values in rectangles) == 1
    for place, values in rectangles:
        key = _group_id(values, f"shapes[{place}]")
        if key is None and len(found) == 1 and alone and next(iter(found.values())).rectangle is None:
            key = next(iter(found))
        if key is not None and key not in found:  # an instance that has no point yet
            found[key] = Group(file, _at(file, key, whole=whole))
        if key not in found or (key is None and not alone):
            others["rectangle"] += 1
        else:
            _add_box(found[key], place, values)
    yield from found.values()


def _at(file: File, key: Any, *, whole: bool) -> str:
    group = "shapes" if key is None else f"group_id {key}"
    return f"{file.name}, {group}" if whole else group


def _group_id(values: Mapping[str, Any], where: str) -> Any:
    key = values.get("group_id")
    if key is not None and (isinstance(key, bool) or not isinstance(key, int | str)):
        raise Misfit(f"expected a whole number or none, got {expect.fact(key)}.", f"{where}.group_id")
    return key


def _add_point(group: Group, place: int, values: Mapping[str, Any], where: str) -> None:
    name = expect.text(values.get("label"), f"{where}.label")
    if name in group.points:
        raise Misfit(f"expected each point once in an instance, got {name!r} again. {_REMEDY}", f"{where}.label")
    corners = _corners(values, where)
    if len(corners) != 1:
        raise Misfit(f"expected one pair of coordinates for a point, got {len(corners)}.", f"{where}.points")
    group.points[name] = Point(*corners[0], OCCLUDED if _is_occluded(values) else VISIBLE)
    group.shapes[name] = place


def _is_occluded(values: Mapping[str, Any]) -> bool:
    flags = values.get("flags")
    return values.get("difficult") is True or (isinstance(flags, dict) and flags.get("occluded") is True)


def _add_box(group: Group, place: int, values: Mapping[str, Any]) -> None:
    where = f"shapes[{place}]"
    if group.rectangle is not None:
        raise Misfit(f"expected one rectangle in an instance, got another one. {_REMEDY}", where)
    corners = _corners(values, where)
    if len(corners) not in (2, 4):
        raise Misfit(f"expected two or four corners of a rectangle, got {len(corners)}.", f"{where}.points")
    left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
    right, bottom = (max(corner[axis] for corner in corners) for axis in (0, 1))
    group.box = expect.box([left, top, right - left, bottom - top], f"{where}.points")
    group.rectangle = place


def _corners(values: Mapping[str, Any], where: str) -> list[tuple[float, float]]:
    found = []
    for k, pair in enumerate(expect.sequence(values.get("points"), f"{where}.points")):
        place = f"{where}.points[{k}]"
        numbers = [expect.number(value, place) for value in expect.sequence(pair, place)]
        if len(numbers) != 2:
            raise Misfit(f"expected x and y, got {expect.fact(pair)}.", place)
        found.append((numbers[0], numbers[1]))
    return found


def is_labelme(content: Any) -> bool:
    """Whether the content of a JSON file is that of a file of Labelme's."""
    keys = ("imagePath", "imageData", "imageHeight")
    return isinstance(content, dict) and "shapes" in content and any(key in content for key in keys)
