"""The annotated instances of a CVAT XML file: which elements belong to which instance, and what they say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from xml.etree.ElementTree import Element

from steadfit.data.formats import expect
from steadfit.data.formats.cvat_frames import Frame
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Box, Point

SINGLE = "0"
"""The ``group_id`` of shapes that are in no group; it is usually left out."""


@dataclass(frozen=True)
class Draft:
    """An instance before its values are looked at.

    Args:
        at: its place, such as ``image[2].skeleton[0]``.
        frame: its image.
        label: the label of its skeleton; empty for plain points.
        elements: the ``points`` elements that are its points.
        labels: the label of each of these.
        boxes: ``box`` elements of its group.
        holder: the element that contains the points: a skeleton, an image or a track.
        shape: the skeleton; None for plain points.
        group: what our own writer says about what belongs together.
    """

    at: str
    frame: Frame
    label: str
    elements: tuple[Element, ...]
    labels: tuple[str, ...]
    boxes: tuple[Element, ...]
    holder: Element
    shape: Element | None = None
    group: str = ""


@dataclass
class Drafts:
    """All instances of a file, and what is left out.

    Args:
        rows: the instances.
        left_out: how many there are of each kind that is left out.
        counts: the labels of plain points with several points a shape, and the usual number of these.
        labels: the labels of skeletons that occur, in their order.
    """

    rows: list[Draft] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)

    def name(self, label: str, k: int) -> str:
        """The name of a plain point: its label, or its number in shapes of several points."""
        if label not in self.counts:
            return label
        return str(k) if len(self.counts) == 1 else f"{label}_{k}"


@dataclass(frozen=True)
class _Shape:
    at: str
    frame: Frame
    element: Element
    label: str
    group: str
    holder: Element


_Boxes: TypeAlias = dict[tuple[str, str], list[Element]]
"""Boxes by the keys of their images and their groups."""


def drafts(root: Element, frames: Mapping[int, Frame]) -> Drafts:
    """The instances of a file.

    Skeletons are instances, unless everything of one is outside and it has no box. In a file without skeletons the
    plain ``points`` of a group are one, or those of an image that are in no group; a shape of several points is one of
    its own.

    Args:
        root: the root element.
        frames: the images of all elements that contain or are shapes, by the elements' ``id()``.
    """
    found = Drafts()
    skeletons, plain, boxes = _collect(root, frames, found)
    grouped: _Boxes = {}
    for box in boxes:
        grouped.setdefault((box.frame.key, box.group), []).append(box.element)
    if skeletons:
        _add_skeletons(found, skeletons, grouped)
        found.left_out["plain points beside skeletons"] += len(plain)
    else:
        _add_plain(found, plain, grouped)
    used = {id(box) for row in found.rows for box in row.boxes}
    found.left_out["boxes without the group_id of points"] += sum(id(box.element) not in used for box in boxes)
    return found


def _add_skeletons(found: Drafts, skeletons: Sequence[_Shape], boxes: _Boxes) -> None:
    for shape in skeletons:
        elements = tuple(_labelled(shape.element))
        framed = _of_group(boxes, shape.frame.key, shape.group)
        found.labels[shape.label] = None
        if not framed and all(element.get("outside") == "1" for element in elements):
            found.left_out["skeletons with everything outside"] += 1  # CVAT exports tracks that have ended so, too
            continue
        found.rows.append(
            Draft(
                at=shape.at,
                frame=shape.frame,
                label=shape.label,
                elements=elements,
                labels=tuple(element.get("label", "").strip() for element in elements),
                boxes=framed,
                holder=shape.element,
                shape=shape.element,
                group=shape.element.get("group", ""),
            )
        )


def _of_group(boxes: _Boxes, frame: str, group: str) -> tuple[Element, ...]:
    return () if group == SINGLE else tuple(boxes.get((frame, group), ()))


def _collect(
    root: Element, frames: Mapping[int, Frame], found: Drafts
) -> tuple[list[_Shape], list[_Shape], list[_Shape]]:
    """Skeletons, plain points and boxes of all images and tracks."""
    lists: dict[str, list[_Shape]] = {"skeleton": [], "points": [], "box": []}
    holders = [(f"{tag}[{k}]", holder) for tag in ("image", "track") for k, holder in enumerate(root.findall(tag))]
    for at, holder in holders:
        number: Counter[str] = Counter()
        for element in holder:
            if element.tag not in lists:
                found.left_out["other shapes"] += element.tag not in ("attribute", "tag")
                continue
            place = f"{at}.{element.tag}[{number[element.tag]}]"
            number[element.tag] += 1
            if holder.tag == "track" and (reason := _not_labelled(element)):
                found.left_out[reason] += 1
                continue
            named = holder if holder.tag == "track" else element
            label, group = named.get("label", "").strip(), named.get("group_id") or SINGLE
            lists[element.tag].append(_Shape(place, frames[id(element)], element, label, group, holder))
    return lists["skeleton"], lists["points"], lists["box"]


def _not_labelled(element: Element) -> str:
    """Why a shape of a track is no label; empty where it is one."""
    if element.tag == "box":
        return "closed frames" if element.get("outside") == "1" else ""
    marked = list(_labelled(element)) if element.tag == "skeleton" else [element]
    if element.tag == "points" and element.get("keyframe", "1") != "1":
        return "interpolated frames"
    if element.tag == "skeleton" and not marked:
        return "interpolated frames"
    gone = element.get("outside") == "1" or all(mark.get("outside") == "1" for mark in marked)
    return "closed frames" if gone else ""


def _labelled(skeleton: Element) -> Iterator[Element]:
    """The points of a skeleton without those that CVAT interpolated between key frames."""
    usual = skeleton.get("keyframe", "1")
    return (child for child in skeleton if child.tag == "points" and child.get("keyframe", usual) == "1")


def _add_plain(found: Drafts, plain: Sequence[_Shape], boxes: _Boxes) -> None:
    sizes: dict[str, Counter[int]] = {}
    for shape in plain:
        sizes.setdefault(shape.label, Counter())[len(_pairs(shape.element))] += 1
    usual = {label: counted.most_common(1)[0][0] for label, counted in sizes.items()}
    found.counts = {label: count for label, count in usual.items() if count > 1}
    members: dict[tuple[str, str, str], list[_Shape]] = {}
    for shape in plain:
        alone = shape.group == SINGLE and len(found.counts) == 1 and shape.label in found.counts
        members.setdefault((shape.frame.key, shape.group, shape.at if alone else ""), []).append(shape)
    for (frame, group, _), shapes in members.items():
        found.rows.append(
            Draft(
                at=shapes[0].at,
                frame=shapes[0].frame,
                label="",
                elements=tuple(shape.element for shape in shapes),
                labels=tuple(shape.label for shape in shapes),
                boxes=_of_group(boxes, frame, group),
                holder=shapes[0].holder,
            )
        )


def _pairs(element: Element) -> list[str]:
    return element.get("points", "").split(";")


def marks(draft: Draft, found: Drafts, names: Mapping[str, Sequence[str]]) -> dict[str, Mark]:
    """The points of an instance by name.

    Args:
        draft: the instance.
        found: all instances.
        names: the names of points of each label of skeletons, as far as the file gives them.

    Raises:
        Misfit: a name twice or unknown, a coordinate that is no number, an unusual number of points.
    """
    points: dict[str, Mark] = {}
    for element, own in zip(draft.elements, draft.labels, strict=True):
        pairs = _pairs(element)
        if draft.shape is None and len(pairs) != found.counts.get(own, 1):
            raise Misfit(
                f"expected {found.counts.get(own, 1)} points as in most shapes of {own!r}, got {len(pairs)}: without "
                "names nobody can tell which ones."
            )
        if draft.shape is not None and len(pairs) != 1:
            raise Misfit(f"expected one point, got {len(pairs)}.", f"points[{own}]")
        if draft.shape is not None and names.get(draft.label) and own not in names[draft.label]:
            raise Misfit(f"expected a point of {draft.label!r}, got {own!r}, which its label does not have.")
        for k, pair in enumerate(pairs):
            name = own if draft.shape is not None else found.name(own, k)
            if name in points:
                more = "" if draft.shape is not None else " Group the points of each instance in CVAT (group_id)."
                raise Misfit(f"expected different points, got {name!r} twice in one instance.{more}")
            points[expect.text(name, "label")] = Mark(element, k, _point(element, pair, own))
    return points


@dataclass(frozen=True)
class Mark:
    """A point in the file.

    Args:
        element: its element.
        number: its number in the element, from 0.
        point: what it says.
    """

    element: Element
    number: int
    point: Point


def _point(element: Element, pair: str, label: str) -> Point:
    x, y = _coordinates(pair, label)
    occluded = 1 if element.get("occluded") == "1" else 2
    return Point(x, y, 0 if element.get("outside") == "1" else occluded)


def _coordinates(pair: str, label: str) -> tuple[float, float]:
    sides = pair.split(",")
    try:
        x, y = map(float, sides)
    except ValueError:
        x = y = math.nan
    if math.isfinite(x) and math.isfinite(y) and "_" not in pair:
        return x, y
    where = f"points[{label}]"
    if len(sides) != 2:
        raise Misfit(f"expected x,y in px, got {expect.fact(pair)}.", where)
    return expect.number(sides[0], where), expect.number(sides[1], where)


def box_of(draft: Draft) -> Box | None:
    """The box of an instance: that of its group, with its label if there are several; None for none.

    A turned box gives the upright one around it.

    Args:
        draft: the instance.

    Raises:
        Misfit: the box is none.
    """
    same = [box for box in draft.boxes if box.get("label", "").strip() == draft.label]
    boxes = draft.boxes if len(draft.boxes) == 1 else same
    if len(boxes) != 1:
        return None
    left, top, right, bottom = (expect.number(boxes[0].get(key), f"box.{key}") for key in ("xtl", "ytl", "xbr", "ybr"))
    if turn := math.radians(expect.number(boxes[0].get("rotation", "0"), "box.rotation")):
        x, y, w, h = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        w, h = w * c + h * s, w * s + h * c
        left, top, right, bottom = x - w, y - h, x + w, y + h
    return expect.box([left, top, round(right - left, 9), round(bottom - top, 9)], "box")
