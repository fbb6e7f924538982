"""The instances of a Label Studio annotation: which key points belong together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.labelstudio_tasks import Work, Works, key_of
from steadfit.data.formats.labelstudio_values import Frame, Mark

_NOT_AN_INSTANCE = ("relation", "choices", "textarea", "rating", "taxonomy", "number", "datetime", "pairwise")


@dataclass(frozen=True)
class Person:
    """An instance.

    Args:
        at: its place.
        points: its key points by name.
        frame: its rectangle; None for none.
    """

    at: str
    points: dict[str, Mark]
    frame: Frame | None


def people(work: Work, found: Works) -> list[Person]:
    """The instances of an annotation: the key points of each rectangle, by ``parentID`` or a relation.

    Without these all key points are one instance, or, where names occur several times, those inside of each rectangle.

    Args:
        work: the annotation.
        found: all annotations.

    Raises:
        Misfit: it is not clear which key points belong together.
    """
    marks, frames, parents = _results(work, found)
    keys = [parents.get(id(mark.entry), "") for mark in marks]
    if not any(keys):
        keys = _inside(marks, frames)
    members: dict[Any, list[Mark]] = {
        key: [] for key, frame in frames.items() if key_of(frame.entry.get("from_name")) in found.holders
    }
    for key, mark in zip(keys, marks, strict=True):
        members.setdefault(key, []).append(mark)
    found.left_out["rectangles without key points"] += len(frames.keys() - members.keys())
    return [_person(work, frames.get(key), own) for key, own in members.items()]


def _person(work: Work, frame: Frame | None, marks: Sequence[Mark]) -> Person:
    points: dict[str, Mark] = {}
    for mark in marks:
        if mark.name in points:
            raise Misfit(
                f"expected different points, got {mark.name!r} twice in one instance. Draw a rectangle around each "
                "instance in Label Studio, and make its key points its children.",
                mark.where,
            )
        points[mark.name] = mark
    where = frame.where if frame else marks[0].where
    return Person(f"{work.at}.{where}", points, frame)


def _results(work: Work, found: Works) -> tuple[list[Mark], dict[Any, Frame], dict[int, Any]]:
    """Key points, rectangles by their ids, and the ids of the rectangles of key points."""
    frames: dict[Any, Frame] = {}
    relations: dict[Any, Any] = {}
    seen: dict[Any, Mark] = {}
    for name, results in work.lists:
        for place, result in enumerate(results):
            where = f"{name}[{place}]"
            entry = result if isinstance(result, dict) else expect.mapping(result, where)
            own, value, kind = _id(entry, where), entry.get("value", entry), _kind(entry)
            if kind == "relation":
                relations[key_of(entry.get("from_id"))] = key_of(entry.get("to_id"))
            elif kind == "rectangle":
                frames.setdefault(own, Frame(value, entry, where))
            elif kind == "keypoint":
                found.hidden += entry.get("hidden") is True
                mark = Mark(_label(value, where), value, entry, results, where)
                first = seen.get(own)  # a point and its label may be two results of one id
                twins = first is not None and not (first.name and mark.name)
                seen[own if first is None or twins else where] = _joined(first, mark) if first and twins else mark
            else:
                found.left_out["other results"] += kind == "other"
    marks = list(seen.values())
    if unnamed := [mark for mark in marks if not mark.name]:
        raise Misfit("expected a label of the key point, got none.", unnamed[0].where)
    parents = {id(mark.entry): _parent(mark, frames, relations) for mark in marks}
    return marks, frames, parents


def _kind(entry: Mapping[str, Any]) -> str:
    """``relation``, ``rectangle``, ``keypoint``, ``other`` shapes, or empty for what has no place in the image."""
    kind, value = entry.get("type", ""), entry.get("value", entry)
    if kind == "relation" or kind in _NOT_AN_INSTANCE:
        return "relation" if kind == "relation" else ""
    if not isinstance(value, dict) or "x" not in value or "radiusX" in value:
        return "other"
    point = kind in ("keypoint", "keypointlabels") or bool(value.get("keypointlabels"))
    if kind in ("rectangle", "rectanglelabels") or (kind in ("", "labels") and "height" in value and not point):
        return "rectangle"
    return "keypoint" if point or kind in ("", "labels") else "other"


def _joined(first: Mark, second: Mark) -> Mark:
    return dataclasses.replace(first, name=first.name or second.name, also=(*first.also, second.value))


def _parent(mark: Mark, frames: Mapping[Any, Frame], relations: Mapping[Any, Any]) -> Any:
    parent = key_of(mark.entry.get("parentID"))
    own = key_of(mark.entry.get("id"))
    return parent or (relations[own] if relations.get(own) in frames else "") or ""


def _id(entry: Mapping[str, Any], where: str) -> Any:
    return key_of(entry.get("id")) or where


def _label(value: Mapping[str, Any], where: str) -> str:
    listed = expect.sequence(value.get("keypointlabels") or value.get("labels") or [], where)
    if len(listed) > 1:
        raise Misfit(f"expected one label of a key point, got {len(listed)}.", where)
    return expect.text(listed[0], where) if listed else ""


def _inside(marks: Sequence[Mark], frames: Mapping[Any, Frame]) -> list[Any]:
    """The rectangle of each key point that has no parent; one for all where no name occurs twice."""
    around = [[key for key, frame in frames.items() if _contains(frame.value, mark)] for mark in marks]
    if len({mark.name for mark in marks}) == len(marks):
        common = [key for key in frames if all(key in keys for keys in around)]
        return [common[0] if len(common) == 1 == len(frames) else ""] * len(marks)
    return [keys[0] if len(keys) == 1 else "" for keys in around]


def _contains(value: Mapping[str, Any], mark: Mark) -> bool:
    sides = [expect.number(value.get(key), key) for key in ("x", "y", "width", "height")]
    x, y = (expect.number(mark.value.get(key), key) for key in "xy")
    return sides[0] <= x <= sides[0] + sides[2] and sides[1] <= y <= sides[1] + sides[3]
