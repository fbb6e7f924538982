"""Instances in the regions of the VGG Image Annotator: which attribute names the points, and which go together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Box, Point
from steadfit.data.formats.via_files import Document, File, Region
from steadfit.errors import DataError

NAMES, INSTANCE, HIDDEN = "name", "instance", "occluded"
"""The attributes of regions that are written."""
ALONE = "point"
"""The name of a point where each image has one point, without any attribute."""
OCCLUDED, VISIBLE = 1, 2
_TRUE = ("1", "true", "yes", "occluded")


@dataclass
class Group:
    """The regions of one instance.

    Args:
        file: the image.
        at: its place, for messages.
        instance: the value of the attribute ``instance``; empty for none.
        points: the points by name.
        regions: the region of each point.
        rectangle: the region that is the box; None for none.
        box: left, top, width and height in px.
    """

    file: File
    at: str
    instance: str = ""
    points: dict[str, Point] = field(default_factory=dict)
    regions: dict[str, Region] = field(default_factory=dict)
    rectangle: Region | None = None
    box: Box | None = None


def word(value: Any) -> str:
    """The value of an attribute as text; of check boxes the one that is set, empty for none or several."""
    if isinstance(value, dict):
        chosen = [key for key, on in value.items() if on is True or str(on).lower() == "true"]
        return chosen[0].strip() if len(chosen) == 1 else ""
    if isinstance(value, bool):
        return "1" if value else ""
    return str(value).strip() if isinstance(value, str | int) else ""


def value_of(values: Mapping[str, Any], name: str) -> str:
    """The value of an attribute as text, whatever the case of its name.

    Args:
        values: the attributes by name.
        name: its name in small letters.
    """
    return next((word(value) for key, value in values.items() if key.strip().lower() == name), "")


def is_point(region: Region) -> bool:
    """Whether a region is a point."""
    return region.shape.get("name") == "point"


def names_attribute(path: Path, document: Document) -> str | None:
    """The attribute of regions that has the names of points.

    It is ``name``, or else the only one with text; of several, the only one that differs for all points of an instance.

    Args:
        path: the file, for the message.
        document: its content.

    Returns:
        None where points have no attribute and there is one in each image.

    Raises:
        DataError: there is none, or there are several.
    """
    images = [[region for region in file.regions if is_point(region)] for file in document.files if not file.wrong]
    points = [region for regions in images for region in regions]
    candidates = list(dict.fromkeys(key for region in points for key, value in region.values.items() if word(value)))
    if named := [key for key in candidates if key.strip().lower() == NAMES]:
        return named[0]
    candidates = [key for key in candidates if key.strip().lower() not in (INSTANCE, HIDDEN)]
    if not candidates and all(len(regions) < 2 for regions in images):
        return None
    remedy = f"Call the attribute with the names of points {NAMES!r} in VIA's attribute editor."
    if not candidates:
        raise DataError(f"{path}: expected an attribute of regions with the names of points, got none. {remedy}")
    telling = [key for key in candidates if all(_tells_apart(key, regions) for regions in images)]
    if len(candidates) > 1 and len(telling) != 1:
        found = ", ".join(map(repr, telling or candidates))
        raise DataError(f"{path}: expected one attribute of regions with the names of points, got {found}. {remedy}")
    return (telling if len(candidates) > 1 else candidates)[0]


def _tells_apart(key: str, regions: Sequence[Region]) -> bool:
    found = [(value_of(region.values, INSTANCE), word(region.values.get(key))) for region in regions]
    return len(set(found)) == len(found) and all(name for _, name in found)


def groups_of(file: File, attribute: str | None, kind: str, others: Counter[str]) -> list[Group]:
    """The instances in an image, in the order of their first points.

    Args:
        file: the image.
        attribute: the one with the names of points; None for a single point.
        kind: that of the document.
        others: counts the regions that are no part of an instance, by their shapes.

    Raises:
        Misfit: a region is not as expected.
    """
    if file.wrong is not None:
        raise file.wrong
    found: dict[str, Group] = {}
    rectangles = []
    for region in file.regions:
        instance = value_of(region.values, INSTANCE)
        if is_point(region):
            group = found.setdefault(instance, Group(file, _at(file, instance, region, kind), instance))
            _add_point(group, region, attribute)
        elif region.shape.get("name") == "rect":
            rectangles.append((instance, region))
        else:
            others[expect.fact(region.shape.get("name")).strip("'")] += 1
    alone = sum(not instance for instance, _ in rectangles) == 1
    for instance, region in rectangles:
        if not instance and alone and len(found) == 1:
            instance = next(iter(found))
        if instance:
            group = found.setdefault(instance, Group(file, _at(file, instance, region, kind), instance))
            _add_box(group, region)
        elif "" in found and alone:
            _add_box(found[""], region)
        else:
            others["rect"] += 1
    return list(found.values())


def _at(file: File, instance: str, region: Region, kind: str) -> str:
    if kind == "csv":
        return region.where
    return f"{file.at}, instance {instance}" if instance else file.at


def _add_point(group: Group, region: Region, attribute: str | None) -> None:
    name = ALONE if attribute is None else word(region.values.get(attribute))
    if not name:
        raise Misfit(f"expected the name of a point in {attribute!r}, got none.", region.where)
    if name in group.points:
        remedy = f"Give the regions of each instance an attribute {INSTANCE!r} of their own."
        raise Misfit(f"expected each point once in an instance, got {name!r} again. {remedy}", region.where)
    x, y = (expect.number(region.shape.get(key), f"{region.where}, {key}") for key in ("cx", "cy"))
    hidden = value_of(region.values, HIDDEN).lower() in _TRUE
    group.points[name] = Point(x, y, OCCLUDED if hidden else VISIBLE)
    group.regions[name] = region


def _add_box(group: Group, region: Region) -> None:
    if group.rectangle is not None:
        raise Misfit("expected one rectangle in an instance, got another one.", region.where)
    group.box = expect.box([region.shape.get(key) for key in ("x", "y", "width", "height")], region.where)
    group.rectangle = region
