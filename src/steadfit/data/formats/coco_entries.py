"""The entries of a COCO file: its images, categories and annotations, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from steadfit.data.formats import expect
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.face_layouts import layout_of
from steadfit.data.formats.instances import Floats
from steadfit.data.tables.problems import Problem
from steadfit.errors import DataError

ABSENT, OCCLUDED, VISIBLE = 0, 1, 2
"""The values of v."""


class Image(NamedTuple):
    """An image of the file."""

    name: str
    size: tuple[float, float] | None
    split: str
    group: str


class _Category(NamedTuple):
    name: str
    points: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]  # from 0


class Row(NamedTuple):
    """An annotation with key points."""

    place: int  # among the annotations, from 0
    image: Image
    category: _Category
    keypoints: list[Any]  # x, y, v of the points of the category
    box: tuple[float, float, float, float] | None
    file: str = ""  # in a set of several files
    before: int = 0  # annotations in the files before

    @property
    def at(self) -> str:
        """Its place in the file."""
        return f"{self.file}, annotations[{self.place}]" if self.file else f"annotations[{self.place}]"

    @property
    def line(self) -> int:
        """Its number among the annotations of all files, from 1."""
        return self.before + self.place + 1


class Entries(NamedTuple):
    """The annotations of a file, and what was wrong or odd in it."""

    rows: list[Row]
    triples: list[Floats]  # (K, 3) x, y, v of each row
    problems: list[Problem]
    notes: list[str]
    total: int  # annotations, with those that are left out


def read_entries(path: Path, content: Any) -> Entries:
    """The annotations with key points in the content of a COCO file.

    Args:
        path: the file, for messages.
        content: what it contains.

    Raises:
        DataError: its lists are not those of COCO.
    """
    try:
        document = expect.mapping(content)
        images = _images(expect.sequence(document.get("images"), "images"))
        categories = _categories(expect.sequence(document.get("categories", []), "categories"))
        annotations = expect.sequence(document.get("annotations"), "annotations")
    except Misfit as error:
        raise DataError(f"{path}, {error}") from None
    rows: list[Row] = []
    problems: list[Problem] = []
    bare = crowds = 0
    seen: set[Any] = set()
    for place, entry in enumerate(annotations):
        try:
            values = expect.mapping(entry)
            if values.get("iscrowd", values.get("is_crowd", 0)) == 1:
                crowds += 1
            elif not values.get("keypoints"):
                bare += 1
            else:
                rows.append(_row(place, values, images, categories, seen))
        except Misfit as error:
            at = ".".join(part for part in (f"annotations[{place}]", error.where) if part)
            problems.append(Problem(str(path), place + 1, None, error.reason, at))
    triples = _all_triples(rows, problems, path)
    if _has_made_boxes(document):
        rows = [row._replace(box=None) for row in rows]
    rows = [row for row, values in zip(rows, triples, strict=True) if values is not None]
    used = {id(row.image) for row in rows}
    notes = [f"{crowds} crowds are left out."] * bool(crowds)
    named = {row.category.name for row in rows if row.category.points and not _has_names(row, categories)}
    notes += [f"Points without names are taken for those of {title}." for title in sorted(named - {""})]
    notes += [f"{bare} annotations without key points are left out."] * bool(bare)
    unused = sum(id(image) not in used for image in images.values())
    notes += [f"{unused} of {len(images)} images have no annotation with key points."] * bool(unused)
    return Entries(rows, [values for values in triples if values is not None], problems, notes, len(annotations))


def _has_made_boxes(document: Mapping[str, Any]) -> bool:
    """Whether the boxes were made around the points when the file was written, for the tools that need some."""
    info = document.get("info")
    return isinstance(info, dict) and info.get("boxes") == "points"


def _images(entries: Sequence[Any]) -> dict[Any, Image]:
    found: dict[Any, Image] = {}
    for place, entry in enumerate(entries):
        where = f"images[{place}]"
        values = expect.mapping(entry, where)
        number = _id(values.get("id"), f"{where}.id")
        if number in found:
            raise Misfit(f"expected an id once, got {expect.fact(number)} again.", f"{where}.id")
        size = None
        if values.get("width") and values.get("height"):
            size = expect.number(values["width"], f"{where}.width"), expect.number(values["height"], f"{where}.height")
        group = values.get("video_id", values.get("vid_id", ""))
        found[number] = Image(
            name=expect.text(values.get("file_name"), f"{where}.file_name"),
            size=size,
            split=values["split"] if isinstance(values.get("split"), str) else "",
            group=str(group) if isinstance(group, str | int) else "",
        )
    return found


def _categories(entries: Sequence[Any]) -> dict[Any, _Category]:
    found = {}
    for place, entry in enumerate(entries):
        where = f"categories[{place}]"
        values = expect.mapping(entry, where)
        listed = expect.sequence(values.get("keypoints") or [], f"{where}.keypoints")
        names = tuple(expect.text(name, f"{where}.keypoints[{k}]") for k, name in enumerate(listed))
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Misfit(f"expected different names of points, got {twice!r} twice.", f"{where}.keypoints")
        skeleton = expect.sequence(values.get("skeleton") or [], f"{where}.skeleton")
        limbs = tuple(_limb(limb, f"{where}.skeleton[{k}]") for k, limb in enumerate(skeleton))
        name = values.get("name")
        found[_id(values.get("id"), f"{where}.id")] = _Category(name if isinstance(name, str) else "", names, limbs)
    return found


def _limb(value: Any, where: str) -> tuple[int, int]:
    ends = [expect.whole(end, where) - 1 for end in expect.sequence(value, where)]
    if len(ends) != 2:
        raise Misfit(f"expected two points, got {expect.fact(value)}.", where)
    return ends[0], ends[1]


def _row(
    place: int,
    values: Mapping[str, Any],
    images: Mapping[Any, Image],
    categories: Mapping[Any, _Category],
    seen: set[Any],
) -> Row:
    number = _id(values.get("image_id"), "image_id")
    if number not in images:
        raise Misfit(f"expected the id of an image, got {expect.fact(number)}, which no image has.", "image_id")
    if (own := values.get("id")) is not None:
        if _id(own, "id") in seen:
            raise Misfit(f"expected an id once, got {expect.fact(own)} again.", "id")
        seen.add(own)
    keypoints = expect.sequence(values["keypoints"], "keypoints")
    own_category = _id(values.get("category_id", 0), "category_id")
    if categories and "category_id" in values and own_category not in categories:
        got = expect.fact(own_category)
        raise Misfit(f"expected the id of a category, got {got}, which no category has.", "category_id")
    category = categories.get(own_category)
    names = category.points if category else ()
    count = len(names) or len(keypoints) // 3
    if len(keypoints) != 3 * count:
        raise Misfit(f"expected 3 values for each of {count} points, got {len(keypoints)}.", "keypoints")
    if not names:
        category = _unnamed(count, category)
    box = values.get("bbox")
    empty = not box or (isinstance(box, list) and all(side == 0 for side in box))
    return Row(
        place=place,
        image=images[number],
        category=category or _unnamed(count, category),
        keypoints=keypoints,
        box=None if empty else expect.box(box, "bbox"),
    )


def _has_names(row: Row, categories: Mapping[Any, _Category]) -> bool:
    return any(row.category is category for category in categories.values())


def _unnamed(count: int, category: _Category | None) -> _Category:
    """A category whose points have no names: those of a face whose layout is known, else their numbers."""
    layout = layout_of(count, category.name if category else "")
    if layout is not None:
        return _Category(layout.title, layout.points, layout.limbs)
    return _Category("", tuple(str(k) for k in range(count)), category.skeleton if category else ())


def _id(value: Any, where: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise Misfit(f"expected an id, got {expect.fact(value)}.", where)
    return value


def _all_triples(rows: Sequence[Row], problems: list[Problem], path: Path) -> list[Floats | None]:
    """x, y, v (K, 3) of every row; None for one that has a problem."""
    found: list[Floats | None] = [None] * len(rows)
    by_length: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        by_length.setdefault(len(row.keypoints), []).append(number)
    for numbers in by_length.values():
        values = _plaintriples_of([rows[number].keypoints for number in numbers])
        for place, number in enumerate(numbers):
            try:
                whole = values is not None and values.good[place]
                found[number] = values.triples[place] if whole and values else triples_of(rows[number].keypoints)
            except Misfit as error:
                at = f"annotations[{rows[number].place}].{error.where}"
                problems.append(Problem(str(path), rows[number].place + 1, None, error.reason, at))
    return found


class _Plain(NamedTuple):
    triples: Floats  # (n, K, 3)
    good: npt.NDArray[np.bool_]  # (n,) whether x, y, v of all labelled points are what they should be


def _plaintriples_of(keypoints: Sequence[list[Any]]) -> _Plain | None:
    """Many annotations at once, if all their values are numbers that a double holds; else None."""
    if not set(map(type, chain.from_iterable(keypoints))) <= {int, float}:
        return None
    try:
        triples = np.array(keypoints, dtype=np.float64).reshape(len(keypoints), -1, 3)
    except OverflowError:
        return None
    code = triples[:, :, 2]
    known = (code == 0) | (code == OCCLUDED) | (code == VISIBLE)
    finite = np.isfinite(triples).all(axis=2) | (code == 0)
    return _Plain(triples, (known & finite).all(axis=1))


def triples_of(keypoints: list[Any]) -> Floats:
    """x, y, v (K, 3) of one annotation; v = 0 where a point is not labelled.

    Args:
        keypoints: x, y, v of each point in turn.

    Raises:
        Misfit: a value that is not a finite number, or another v than 0, 1, 2.
    """
    plain = set(map(type, keypoints)) <= {int, float}
    found = np.array(keypoints) if plain else np.empty(0)
    if not plain or found.dtype.kind not in "iuf":  # whole numbers beyond 64 bits are objects
        found = np.array([expect.number(value, f"keypoints[{k}]", missing=True) for k, value in enumerate(keypoints)])
    triples = found.astype(np.float64).reshape(-1, 3)
    gone = np.isnan(triples[:, :2])
    triples[gone.all(axis=1) | np.isnan(triples[:, 2]), 2] = 0
    labelled = triples[triples[:, 2] != 0]
    if not np.isfinite(labelled).all() or not np.isin(labelled[:, 2], (1, 2)).all():
        bad = ~np.isfinite(triples).all(axis=1) | ~np.isin(triples[:, 2], (0, 1, 2))
        k = int((bad & (triples[:, 2] != 0)).argmax())
        raise Misfit(
            f"expected finite x, y and v of 0, 1 or 2, got {keypoints[3 * k : 3 * k + 3]}.", f"keypoints[{3 * k}]"
        )
    return triples
