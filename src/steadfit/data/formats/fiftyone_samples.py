"""The samples of FiftyOne's ``samples.json``: their fields of points, and the points in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.documents import json_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Pairs, Point
from steadfit.errors import DataError

USUAL = "ground_truth"
"""The field of annotated points, where there are several."""
_KINDS = ("Keypoints", "Keypoint")


def number(value: Any, where: str = "", *, missing: bool = False) -> float:
    """A number of MongoDB's extended JSON: as such, or as ``{"$numberDouble": "NaN"}``.

    Args:
        value: the value.
        where: its place, for the message.
        missing: whether NaN is allowed.

    Raises:
        Misfit: anything else.
    """
    if isinstance(value, dict) and len(value) == 1:
        (key, inner), *_ = value.items()
        if key in ("$numberDouble", "$numberInt", "$numberLong"):
            value = inner
    return expect.number(value, where, missing=missing)


def fields_of(samples: Sequence[Any]) -> set[str]:
    """The names of all fields of points.

    Args:
        samples: the samples.
    """
    fields: set[str] = set()
    for sample in samples:
        if isinstance(sample, dict):
            fields |= {key for key, value in sample.items() if isinstance(value, dict) and value.get("_cls") in _KINDS}
    return fields


def chosen_field(samples: Sequence[Any]) -> str:
    """The field of points that is read: ``ground_truth``, or the first.

    Args:
        samples: the samples.

    Raises:
        Misfit: there is none.
    """
    fields = fields_of(samples)
    if not fields:
        raise Misfit("expected a field of Keypoints in a sample, got none.", "samples")
    in_order = (key for sample in samples if isinstance(sample, dict) for key in sample)
    return USUAL if USUAL in fields else next(key for key in in_order if key in fields)


def instances_in(value: Any, field: str) -> list[tuple[str, Any]]:
    """The instances in the field of a sample, with their places.

    Args:
        value: the content of the field.
        field: its name.

    Raises:
        Misfit: it has no list of instances.
    """
    if value is None:
        return []
    entry = expect.mapping(value, field)
    if entry.get("_cls") == "Keypoint":
        return [(field, entry)]
    entries = expect.sequence(entry.get("keypoints") or [], f"{field}.keypoints")
    return [(f"{field}.keypoints[{k}]", one) for k, one in enumerate(entries)]


def points_of(entry: Mapping[str, Any], names: Sequence[str] | None, size: tuple[float, float]) -> dict[str, Point]:
    """The points of an instance by name.

    Args:
        entry: the ``Keypoint``.
        names: the names of its points; None for numbers.
        size: width and height of the image in px.

    Raises:
        Misfit: another number of points, or a value that does not fit.
    """
    points = expect.sequence(entry.get("points") or [], "points")
    if names is not None and len(points) != len(names):
        raise Misfit(f"expected {len(names)} points as in the skeleton, got {len(points)}.", "points")
    codes = _codes(entry.get("visible"), len(points))
    found: dict[str, Point] = {}
    for k, pair in enumerate(points):
        where = f"points[{k}]"
        if len(expect.sequence(pair, where)) != 2:
            raise Misfit(f"expected x and y, got {expect.fact(pair)}.", where)
        x, y = (number(share, where, missing=True) for share in pair)
        there = x == x and y == y and codes[k] != 0
        found[names[k] if names else str(k)] = Point(x * size[0], y * size[1], codes[k] if there else 0)
    return found


def _codes(value: Any, count: int) -> list[int]:
    """The visibility of each point; visible where nothing is said."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value] * count
    if not isinstance(value, list):
        return [2] * count
    if len(value) != count:
        raise Misfit(f"expected a value for each of {count} points, got {len(value)}.", "visible")
    codes = [2 if one is None else int(number(one, f"visible[{k}]")) for k, one in enumerate(value)]
    if wrong := [code for code in codes if code not in (0, 1, 2)]:
        raise Misfit(f"expected 0, 1 or 2, got {wrong[0]}.", "visible")
    return codes


def skeleton_of(file: Path, field: str) -> tuple[list[str] | None, Pairs]:
    """Names and limbs of the points of a field, by ``metadata.json``; no names where they are not there.

    Args:
        file: the ``samples.json``.
        field: the field.

    Raises:
        DataError: the ``metadata.json`` is not one of FiftyOne.
    """
    about = file.parent / "metadata.json"
    content = json_at(about) if about.is_file() else {}
    try:
        skeletons = expect.mapping(content).get("skeletons") or {}
        found = expect.mapping(skeletons, "skeletons").get(field) or content.get("default_skeleton")
        if not found:
            return None, ()
        skeleton = expect.mapping(found, "skeleton")
        labels = expect.sequence(skeleton.get("labels") or [], "skeleton.labels")
        names = [expect.text(label, "skeleton.labels") for label in labels]
        if len(set(names)) < len(names):
            raise Misfit("expected different labels of points, got one twice.", "skeleton.labels")
        return names or None, _limbs(skeleton.get("edges") or [], len(names))
    except Misfit as error:
        raise DataError(f"{about}, {error}") from None


def _limbs(value: Any, count: int) -> Pairs:
    """Limbs of the lines that lead through several points each."""
    found: dict[tuple[int, int], None] = {}
    for line in expect.sequence(value, "skeleton.edges"):
        ends = [int(number(end, "skeleton.edges")) for end in expect.sequence(line, "skeleton.edges")]
        for pair in pairwise(ends):
            if pair[0] != pair[1] and all(0 <= end < count for end in pair):
                found[pair] = None
    return list(found)
