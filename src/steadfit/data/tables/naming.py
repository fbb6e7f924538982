"""Points in columns of other names than ``x0, y0, …``: ``nose_x``, ``x_nose``, ``x_0``, ``x1``."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from steadfit.data.tables.cells import RawTable
from steadfit.data.tables.pairs import pairs_of_names
from steadfit.data.tables.schema import AXES, Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError, DataWarning

READS = "x0, y0, x1, y1, … or nose_x, nose_y or x_nose, y_nose (both axes of every point; visibility in v0 or nose_v)"
"""The names of columns that are read as points, for messages."""

_VISIBLE = ("v", "vis", "visible", "visibility")
_OTHER = ("z", "likelihood", "score", "confidence", "conf", "prob", "probability", "p", "occluded")
_BOX = ("w", "h", "width", "height")
_WORDS = "|".join(sorted((*AXES, *_VISIBLE, *_OTHER, *_BOX), key=len, reverse=True))
_LAST = re.compile(rf"(?P<point>.+?)[\s_.:/()\[\]-]+(?P<what>{_WORDS})[)\]]?", re.IGNORECASE)
_LAST_JOINED = re.compile(r"(?P<point>.*(?:[^\W\d_](?=[XYV]$)|\d(?=[xyvXYV]$)))(?P<what>[xyvXYV])")
_FIRST = re.compile(rf"(?P<what>{_WORDS})[\s_.:/()\[\]-]+(?P<point>.+?)[)\]]?", re.IGNORECASE)
_FIRST_JOINED = re.compile(r"(?P<what>[xyvXYV])(?P<point>\d+)|(?P<low>[xyv])(?P<name>[A-Z].*)")
_PIXELS = re.compile(r"[\s_]*[(\[]\s*(?:px|pixels?)\s*[)\]]$|[\s_]+(?:px|pixels?)$", re.IGNORECASE)
_LEVELS = re.compile(r"\((?:.*, )?'([^']+)', '([^']+)'\)")
"""How a data frame with several levels of names writes them to Parquet: ``('nose', 'x')``."""
_CORNERS = {"min", "max", "left", "right", "top", "bottom", "tl", "br"}


@dataclass
class Found:
    """The columns of one point, by what they hold: ``x``, ``y``, ``v``, ``likelihood``, ``w``, ….

    Args:
        columns: the names of the columns in the file.
    """

    columns: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether both axes are there."""
        return all(axis in self.columns for axis in AXES)

    @property
    def is_box(self) -> bool:
        """Whether it is the corner of a box, with width and height."""
        return any(word in self.columns for word in _BOX)


def with_points(source: Source) -> Source:
    """A table whose points have other names, with columns ``x0, y0, v0, x1, …`` instead of theirs.

    Nothing changes where targets or classes are named, or where the columns ``x0, y0`` exist, or without images. The
    points are those of the schema, in its order, or else all that are found, with mirror pairs from their names. The
    table remembers the names in the file, by which problems name a column.

    Args:
        source: the table as it is stored.

    Raises:
        DataError: a point without one of its axes, or columns named in two ways.

    Warns:
        DataWarning: columns that belong to points and are not used, such as likelihoods.
    """
    raw, schema = source.cells, source.schema
    plain = all(f"{axis}0" in raw.cells for axis in AXES)
    if schema.targets or schema.classes or plain or (schema.image not in raw.cells and not schema.points):
        return source
    found = _found([name for name in raw.cells if name not in _named(schema)])
    points = _chosen(raw, schema, found)
    if not points:
        return source
    names = _columns(raw, points)
    first = schema.points or tuple(points)
    pairs = schema.pairs if schema.points or schema.pairs else pairs_of_names(first)
    schema = dataclasses.replace(schema, points=first, pairs=pairs)
    return dataclasses.replace(source, cells=_renamed(raw, names), schema=schema)


def _named(schema: Schema) -> set[object]:
    """The columns that have another meaning."""
    return {schema.image, schema.split, schema.normalizer, *schema.box_columns, *schema.features, ""}


def _found(columns: Collection[str]) -> dict[str, Found]:
    """The points by name, in the order of their first columns; those with numbers in that of the numbers."""
    styles: list[dict[str, Found]] = [{}, {}]
    for column in columns:
        plain = _PIXELS.sub("", _LEVELS.sub(r"\1_\2", column))
        for style, (spaced, joined) in zip(styles, ((_LAST, _LAST_JOINED), (_FIRST, _FIRST_JOINED)), strict=True):
            if match := spaced.fullmatch(plain) or joined.fullmatch(plain):
                parts = match.groupdict()
                what, point = parts["what"] or parts["low"], parts["point"] or parts["name"]
                style.setdefault(point.strip(), Found()).columns.setdefault(_word(what), column)
                break
    kept = [{name: one for name, one in style.items() if set(one.columns) & set(AXES)} for style in styles]
    found = max(kept, key=lambda style: sum(one.whole for one in style.values()))
    if not any(one.whole for one in found.values()):
        return _single(columns) or found
    return dict(sorted(found.items(), key=lambda item: int(item[0]))) if all(map(str.isdecimal, found)) else found


def _single(columns: Collection[str]) -> dict[str, Found]:
    """One point without a name, in columns ``x`` and ``y``."""
    one = {_word(column): column for column in columns if _word(column) in (*AXES, "v")}
    return {"0": Found(one)} if set(AXES) <= set(one) else {}


def _word(text: str) -> str:
    word = text.lower()
    return "v" if word in _VISIBLE else word


def _chosen(raw: RawTable, schema: Schema, found: Mapping[str, Found]) -> dict[str, Found]:
    """The points to read; none where nothing is a point."""
    boxes = [name for name, one in found.items() if one.whole and (one.is_box or _is_corner(name, found))]
    whole = {name: one for name, one in found.items() if one.whole and name not in boxes}
    if schema.points:
        return _in_order(raw, schema.points, found, whole)
    if whole and (half := [one for one in found.values() if not one.whole]):
        got = ", ".join(repr(column) for one in half[:3] for axis, column in one.columns.items() if axis in AXES)
        raise DataError(
            f"{raw.path}: expected x and y of every point, got {got} alone. Points are read from columns {READS}; "
            f"--points chooses some of them: {','.join(list(whole)[:3])}."
        )
    if boxes:
        columns = [column for name in boxes for column in found[name].columns.values()]
        warnings.warn(
            f"{raw.path}: columns {', '.join(map(repr, columns))} look like a box and are not read as points. --box "
            "names the columns of left, top, width and height.",
            DataWarning,
            stacklevel=6,
        )
    if list(whole) == ["1", "2"]:
        warnings.warn(
            f"{raw.path}: columns x1, y1, x2, y2 are read as two points, counted from 1. If they are the corners of a "
            "box, name the targets with --targets.",
            DataWarning,
            stacklevel=6,
        )
    return whole


def _is_corner(name: str, found: Collection[str]) -> bool:
    """Whether the name is that of a box's corner, next to another one."""
    return name.lower() in _CORNERS and sum(other.lower() in _CORNERS for other in found) > 1


def _in_order(
    raw: RawTable, points: Sequence[str], found: Mapping[str, Found], whole: Mapping[str, Found]
) -> dict[str, Found]:
    """The points that a schema names, by name, or by number where the file numbers as many; none without any."""
    if all(name in found for name in points):
        chosen = {name: found[name] for name in points}
        half = {name: one for name, one in chosen.items() if not one.whole}
        if half:
            name, one = next(iter(half.items()))
            got = next(column for axis, column in one.columns.items() if axis in AXES)
            raise DataError(f"{raw.path}: expected x and y of the point {name!r}, got {got!r} alone.")
        return chosen
    if len(whole) == len(points) and all(map(str.isdecimal, whole)):
        return dict(zip(points, whole.values(), strict=True))
    known = [name for name in points if name in whole]
    if known:
        absent = next(name for name in points if name not in whole)
        raise DataError(
            f"{raw.path}: expected columns of the point {absent!r}, such as {absent}_x and {absent}_y, got those of "
            f"{', '.join(list(whole)[:12])}."
        )
    return {}


def _columns(raw: RawTable, points: Mapping[str, Found]) -> dict[str, str]:
    """The new names of the columns of points, by their names in the file."""
    names: dict[str, str] = {}
    unused: list[str] = []
    for k, one in enumerate(points.values()):
        names |= {one.columns[axis]: f"{axis}{k}" for axis in AXES}
        if "v" in one.columns and _is_visibility(raw, one.columns["v"]):
            names[one.columns["v"]] = f"v{k}"
        unused += [column for column in one.columns.values() if column not in names]
    if unused:
        warnings.warn(
            f"{raw.path}: columns {', '.join(map(repr, unused[:6]))}{' ...' if len(unused) > 6 else ''} belong to "
            "points, but are neither coordinates nor visibilities (0, 1 or 2), and are not used.",
            DataWarning,
            stacklevel=5,
        )
    return names


def _is_visibility(raw: RawTable, column: str) -> bool:
    """Whether nearly all numbers are 0, 1 or 2, unlike probabilities."""
    value, problems = raw.numbers(column)
    known = value[~np.isnan(value)]
    return len(known) == 0 or bool(np.isin(known, (0, 1, 2)).mean() >= 0.9 and len(problems) <= len(known))


def _renamed(raw: RawTable, names: Mapping[str, str]) -> RawTable:
    taken = set(names.values())
    cells = {names.get(name, name): cells for name, cells in raw.cells.items() if name in names or name not in taken}
    return dataclasses.replace(raw, cells=cells, names={new: old for old, new in names.items()})
