"""Points written back into a file of the VGG Image Annotator, in which everything else stays."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit.data.formats.documents import json_at, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Point
from steadfit.data.formats.via_files import PROJECT, Document, File, header_of, json_cell, records
from steadfit.data.formats.via_instances import HIDDEN, OCCLUDED, Group, groups_of, names_attribute
from steadfit.data.formats.writing import json_text, plain_number
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError

Codes = npt.NDArray[np.int8]
Parts = dict[str, Any]
"""A region: its ``shape_attributes`` and ``region_attributes``."""


class _Changes:
    """What changes in the regions of one image, by their numbers."""

    def __init__(self) -> None:
        self.removed: set[int] = set()
        self.moved: dict[int, Point] = {}
        self.added: list[Parts] = []

    def __bool__(self) -> bool:
        return bool(self.removed or self.moved or self.added)


def edited(data: Annotations, document: Document, codes: Codes) -> str:
    """The text of the original file with the points of these rows.

    Args:
        data: the annotations.
        document: the original file.
        codes: (N, K) the visibility of the points.

    Raises:
        DataError: the file has changed since it was read.
    """
    original = Path(data.path)
    attribute = names_attribute(original, document)
    rows = {} if data.at is None else {place: row for row, place in enumerate(data.at.tolist())}
    images, seen = data.images or (), set()
    changes: dict[str, _Changes] = {}
    for file in document.files:
        for group in _groups(file, attribute, document.kind):
            row = rows.get(group.at)
            mine = changes.setdefault(file.key, _Changes())
            if row is None:
                mine.removed |= {region.number for region in group.regions.values()}
                mine.removed |= {group.rectangle.number} if group.rectangle else set()
            elif file.name.replace("\\", "/").rsplit("/", 1)[-1] == images[row].rsplit("/", 1)[-1]:
                seen.add(group.at)
                _compare(mine, group, attribute, data, row, codes[row])
    if absent := [place for place in rows if place not in seen]:
        raise DataError(
            f"{original}, {absent[0]}: expected the regions that were read, got others. The file has changed: read it "
            "again."
        )
    some = {key: found for key, found in changes.items() if found}
    if not some:
        return text_at(original)
    return _edited_csv(original, document, some) if document.kind == "csv" else _edited_json(original, document, some)


def _groups(file: File, attribute: str | None, kind: str) -> list[Group]:
    try:
        return groups_of(file, attribute, kind, Counter())
    except Misfit:  # left out when the file was read
        return []


def _compare(changes: _Changes, group: Group, attribute: str | None, data: Annotations, row: int, codes: Codes) -> None:
    """Add the differences between the points of an instance and a row."""
    for name, (x, y), code in zip(data.schema.points, data.target[row].tolist(), codes.tolist(), strict=True):
        before = group.points.get(name)
        if before is None:
            if code:
                changes.added.append(_new(group, attribute, name, Point(x, y, code)))
        elif not code:
            changes.removed.add(group.regions[name].number)
        elif before != Point(x, y, code):
            changes.moved[group.regions[name].number] = Point(x, y, code)


def _new(group: Group, attribute: str | None, name: str, point: Point) -> Parts:
    """A region for a point that an instance did not have, with the attributes of its other regions."""
    like = next((region.values for region in (*group.regions.values(), group.rectangle) if region), {})
    values = {key: value for key, value in like.items() if key.strip().lower() != HIDDEN}
    if attribute is not None:
        values[attribute] = {name: True} if isinstance(like.get(attribute), dict) else name
    return _moved({"shape_attributes": {"name": "point"}, "region_attributes": values}, point)


def _moved(region: Mapping[str, Any], point: Point) -> Parts:
    """A region at another place, or with another visibility."""
    values = dict(region.get("region_attributes") or {})
    hidden = next((key for key in values if key.strip().lower() == HIDDEN), HIDDEN)
    if point.visible == OCCLUDED:
        values[hidden] = values[hidden] if str(values.get(hidden, "")).lower() in ("true", "yes") else "1"
    elif hidden in values:
        del values[hidden]
    shape = {**region["shape_attributes"], "cx": plain_number(point.x), "cy": plain_number(point.y)}
    return {**region, "shape_attributes": shape, "region_attributes": values}


def _changed(regions: Sequence[Any], numbers: Sequence[int], changes: _Changes) -> list[Any]:
    """The regions of an image after the changes."""
    kept = [
        _moved(region, changes.moved[number]) if number in changes.moved else region
        for number, region in zip(numbers, regions, strict=True)
        if number not in changes.removed
    ]
    return [*kept, *changes.added]


def _edited_json(original: Path, document: Document, changes: Mapping[str, _Changes]) -> str:
    content = json_at(original)
    entries = content[PROJECT] if document.kind == "project" else content
    for key, mine in changes.items():
        regions = entries[key]["regions"]
        numbered = isinstance(regions, dict)
        found = _changed(list(regions.values()) if numbered else regions, range(len(regions)), mine)
        entries[key]["regions"] = {str(k): region for k, region in enumerate(found)} if numbered else found
    return json_text(content, text_at(original))


def _edited_csv(original: Path, document: Document, changes: Mapping[str, _Changes]) -> str:
    """The file with new rows for the images that change; the rows of others stay as they are."""
    rows = list(records(original))
    place = header_of(original, rows[0][2])
    key_of = {region.number: file.key for file in document.files for region in file.regions}
    keys = [key_of.get(number, "") for number in range(len(rows))]
    last = {key: number for number, key in enumerate(keys)}
    end = "\r\n" if rows[0][1].endswith("\r\n") else "\n"
    output = []
    for number, (_, text, _) in enumerate(rows):
        if keys[number] not in changes:
            output.append(text)
        elif number == last[keys[number]]:
            mine = [k for k, key in enumerate(keys) if key == keys[number]]
            before = output[-1] if output else ""
            output += ["" if before.endswith("\n") or not before else end]
            output.append(_new_rows([rows[k][2] for k in mine], mine, place, changes[keys[number]], end))
    return "".join(output)


def _new_rows(
    rows: Sequence[Sequence[str]], numbers: Sequence[int], place: Mapping[str, int], changes: _Changes, end: str
) -> str:
    shape, values = place["region_shape_attributes"], place["region_attributes"]
    pairs = [
        (number, {"shape_attributes": found, "region_attributes": json_cell(cells[values], "")})
        for number, cells in zip(numbers, rows, strict=True)
        if (found := json_cell(cells[shape], ""))
    ]
    regions = _changed([region for _, region in pairs], [number for number, _ in pairs], changes)
    output = io.StringIO(newline="")
    writer = csv.writer(output, lineterminator=end)
    for number, region in enumerate(regions or [{"shape_attributes": {}, "region_attributes": {}}]):
        cells = list(rows[0])
        cells[place["region_count"]], cells[place["region_id"]] = str(len(regions)), str(number)
        cells[shape] = json_text(region["shape_attributes"]).rstrip("\n")
        cells[values] = json_text(region["region_attributes"]).rstrip("\n")
        writer.writerow(cells)
    return output.getvalue()
