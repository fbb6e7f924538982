"""MPII Human Pose in its authors' MATLAB file, ``mpii_human_pose_v1_u12_1.mat``, with the structure ``RELEASE``.

Joints are listed by their ids; one that is not annotated is not in the list. ``is_visible`` is 1, 0, text, empty or
absent. Coordinates count pixels from 1, as MATLAB does.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steadfit.data.formats import expect, matlab
from steadfit.data.formats.about import About
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.folders import has_table
from steadfit.data.formats.instances import Box, Instances, Point
from steadfit.data.formats.layouts import BODY_16
from steadfit.data.formats.persons import FIRST, person_box
from steadfit.data.formats.roots import images_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "mpii"
ABOUT = About(title="MPII Human Pose (RELEASE, .mat)", sample="description", shift=FIRST, exif="ignore")
VARIABLE = "RELEASE"
HEAD = "head_size"
"""The column of the sizes of heads by which the authors divide errors: .6 times the diagonal of the head's box."""
_HEAD_SHARE = 0.6
_MOST = 20


def is_one(path: Path) -> bool:
    """Whether a path is a MATLAB file with the structure ``RELEASE``, or a folder with such a file."""
    return _file(path) is not None


def read(path: Path, *, images: Path | None = None) -> Source:
    """The annotated persons of MPII Human Pose, each with its box, the size of its head and the video it is from.

    Persons without joints are left out, which ``notes`` count. The authors keep the joints of the test images to
    themselves: then there is no split, and it is drawn by videos. Otherwise ``img_train`` is the split.

    Args:
        path: the file, or a folder with it.
        images: the folder of the images; None: looked for.

    Raises:
        DataError: no such file, or it is damaged.
    """
    file = _file(path)
    if file is None:
        raise DataError(f"{path}: expected a MATLAB file with a structure {VARIABLE!r}, got none.")
    rows = Instances(path=file, format=NAME, points=BODY_16.points)
    persons, count = _persons(rows, matlab.variable(file, VARIABLE))
    split = {"train", "test"} <= {person.split for person in persons}
    for person in persons:
        rows.add(
            person.image,
            person.points,
            at=person.at,
            box=person.box,
            line=person.number,
            split=person.split if split else "",
            group=person.video,
        )
    source = rows.source(
        images_root(file, [person.image for person in persons], images),
        limbs=BODY_16.limbs,
        normalizer=BODY_16.normalizer,
        notes=_notes(count, split),
    )
    return _with_heads(source, persons)


@dataclass(frozen=True)
class _Person:
    number: int
    at: str
    image: str
    points: dict[str, Point]
    box: Box | None
    head: float  # px, NaN for unknown
    split: str
    video: str


def _file(path: Path) -> Path | None:
    if path.is_dir() and has_table(path):
        return None
    candidates = sorted(path.glob("*.mat"))[:_MOST] if path.is_dir() else [path]
    return next((file for file in candidates if VARIABLE in matlab.shapes(file)), None)


def _persons(rows: Instances, release: Any) -> tuple[list[_Person], Counter[str]]:
    """The persons with joints, and a count of what is odd."""
    persons: list[_Person] = []
    count: Counter[str] = Counter()
    training = matlab.listed(matlab.field(release, "img_train"))
    number = 0
    for place, entry in enumerate(matlab.listed(matlab.field(release, "annolist"))):
        split = ("train" if _is(training[place], 1) else "test") if place < len(training) else ""
        for order, rectangle in enumerate(matlab.listed(matlab.field(entry, "annorect"))):
            number += 1
            at = f"annolist({place + 1}).annorect({order + 1})"
            with rows.row(at, line=number):
                joints = matlab.listed(matlab.field(matlab.field(rectangle, "annopoints"), "point"))
                if not joints:
                    count["bare " + split] += 1
                    continue
                persons.append(
                    _Person(
                        number=number,
                        at=at,
                        image=expect.text(matlab.plain(matlab.field(matlab.field(entry, "image"), "name"), "name")),
                        points=_points(joints, count),
                        box=_box(rectangle),
                        head=_head(rectangle),
                        split=split,
                        video=_video(entry),
                    )
                )
    return persons, count


def _points(joints: Sequence[Any], count: Counter[str]) -> dict[str, Point]:
    found: dict[str, Point] = {}
    for joint in joints:
        number = expect.whole(matlab.plain(matlab.field(joint, "id"), "id"), "id")
        if not 0 <= number < len(BODY_16.points):
            raise Misfit(f"expected the id of a joint, 0 to {len(BODY_16.points) - 1}, got {number}.", "id")
        name = BODY_16.points[number]
        if name in found:
            raise Misfit(f"expected a joint once, got {name} (id {number}) again.", "point")
        x, y = (expect.number(matlab.plain(matlab.field(joint, axis), axis), f"{axis} of {name}") for axis in "xy")
        seen = matlab.field(joint, "is_visible")
        count["unsaid"] += seen is None or seen == ""
        found[name] = Point(x + FIRST, y + FIRST, 1 if _is(seen, 0) else 2)
    return found


def _box(rectangle: Any) -> Box | None:
    middle = matlab.field(rectangle, "objpos")
    given = [matlab.field(middle, "x"), matlab.field(middle, "y"), matlab.field(rectangle, "scale")]
    if any(value is None for value in given):
        return None
    x, y, scale = (expect.number(matlab.plain(value), "objpos, scale") for value in given)
    return person_box(x, y, scale)


def _head(rectangle: Any) -> float:
    sides = [matlab.field(rectangle, name) for name in ("x1", "y1", "x2", "y2")]
    if any(side is None for side in sides):
        return np.nan
    x1, y1, x2, y2 = (expect.number(matlab.plain(side), "x1 to y2") for side in sides)
    size = _HEAD_SHARE * float(np.hypot(x2 - x1, y2 - y1))
    return size if size > 0 else np.nan


def _video(entry: Any) -> str:
    number = matlab.field(entry, "vididx")
    return "" if number is None else f"video {matlab.plain(number, 'vididx')}"


def _is(value: Any, number: int) -> bool:
    """Whether a value is a number, as such or as text."""
    return isinstance(value, int | float | str) and str(value).strip() in (str(number), f"{number}.0")


def _with_heads(source: Source, persons: Sequence[_Person]) -> Source:
    """With the sizes of heads as the normalising length, where every person has one."""
    heads = np.array([person.head for person in persons])
    if bare := int(np.isnan(heads).sum()):
        note = f"{bare} of {len(heads)} persons have no box of the head: errors are divided by upper neck to head top."
        return dataclasses.replace(source, notes=(*source.notes, note))
    table = dataclasses.replace(source.cells, cells={**source.cells.cells, HEAD: heads})
    return dataclasses.replace(source, cells=table, schema=dataclasses.replace(source.schema, normalizer=HEAD))


def _notes(count: Counter[str], split: bool) -> list[str]:
    bare = {word: count[f"bare {word}"] for word in ("train", "test", "")}
    places = {"train": "in training images", "test": "in test images", "": "in images"}
    left_out = ", ".join(f"{many} {places[word]}" for word, many in bare.items() if many)
    notes = [f"Persons without joints, which are left out: {left_out}."] if left_out else []
    notes += [] if split else ["The file has no joints of test images: splits are drawn, by videos."]
    unsaid = count["unsaid"]
    return notes + [f"Joints that do not say whether they are visible, and count as visible: {unsaid}."] * bool(unsaid)
