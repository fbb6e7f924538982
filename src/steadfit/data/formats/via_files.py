"""Files of the VGG Image Annotator: the regions of each image, whichever version wrote them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.documents import head, is_json, json_at, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.tables.separators import long_cells
from steadfit.errors import DataError

COLUMNS = (
    *("filename", "file_size", "file_attributes", "region_count", "region_id"),
    *("region_shape_attributes", "region_attributes"),
)
PROJECT = "_via_img_metadata"
_VERSION_3 = ("project", "file", "metadata", "attribute")
_POINT, _RECTANGLE = 1, 2  # version 3's numbers of shapes


@dataclass(frozen=True)
class Region:
    """A region as it is written.

    Args:
        where: its place, for messages.
        number: its place among the regions of its image, or among the rows of a CSV file.
        shape: its kind, ``name``, and coordinates.
        values: its attributes by name.
    """

    where: str
    number: int
    shape: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass
class File:
    """An image with its regions.

    Args:
        at: its place, for messages.
        key: its key in the file; its path in a CSV file.
        name: the path of the image.
        values: the attributes of the image by name.
        regions: its regions.
        wrong: why it cannot be used; None for nothing.
    """

    at: str
    key: str
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    wrong: Misfit | None = None


@dataclass(frozen=True)
class Document:
    """All images of a file.

    Args:
        kind: ``"project"``, ``"annotations"`` (JSON without settings), ``"csv"`` or ``"3"``.
        files: the images.
        options: the choices of attributes of regions, in order, by the attribute's name.
    """

    kind: str
    files: Sequence[File]
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)


def is_via(path: Path) -> bool:
    """Whether a path is a project, a JSON or a CSV file of annotations of version 1 to 3."""
    if not path.is_file():
        return False
    if is_json(path):
        return _kind(json_at(path)) is not None
    return path.suffix.lower() == ".csv" and b"region_shape_attributes" in head(path).split(b"\n", 1)[0]


def _kind(content: Any) -> str | None:
    if not isinstance(content, dict):
        return None
    if PROJECT in content:
        return "project"
    if all(isinstance(content.get(key), dict) for key in _VERSION_3):
        return "3"
    some = list(content.values())[:5]
    plain = all(isinstance(entry, dict) and "filename" in entry and "regions" in entry for entry in some)
    return "annotations" if some and plain else None


def document_at(path: Path) -> Document:
    """The images and regions of a file.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, or is of another kind.
    """
    if not is_json(path):
        return Document("csv", list(_of_csv(path)))
    content = json_at(path)
    kind = _kind(content)
    try:
        if kind == "3":
            return _of_version_3(content)
        if kind is None:
            raise Misfit("expected images with 'filename' and 'regions', got others", "top")
        entries = expect.mapping(content[PROJECT], PROJECT) if kind == "project" else content
        options = _options(content.get("_via_attributes")) if kind == "project" else {}
    except Misfit as error:
        raise DataError(f"{path}, {error}") from None
    return Document(kind, [_of_entry(key, entry) for key, entry in entries.items()], options)


def regions_in(entry: Mapping[str, Any], where: str) -> list[Any]:
    """The regions of an image; version 1 numbers them in a mapping.

    Args:
        entry: the image.
        where: its place, for the message.

    Raises:
        Misfit: they are neither a list nor a mapping.
    """
    found = entry.get("regions")
    return list(found.values()) if isinstance(found, dict) else expect.sequence(found, where)


def _of_entry(key: str, entry: Any) -> File:
    at = f"[{key!r}]"
    file = File(at, key, key)
    try:
        values = expect.mapping(entry)
        file.name = expect.text(values.get("filename"), "filename")
        file.values = _attributes(values.get("file_attributes"), "file_attributes")
        for number, region in enumerate(regions_in(values, "regions")):
            where = f"regions[{number}]"
            file.regions.append(_region(where, number, expect.mapping(region, where)))
    except Misfit as error:
        file.wrong = error
    return file


def _region(where: str, number: int, values: Mapping[str, Any]) -> Region:
    shape = expect.mapping(values.get("shape_attributes"), f"{where}.shape_attributes")
    return Region(where, number, shape, _attributes(values.get("region_attributes"), f"{where}.region_attributes"))


def _attributes(value: Any, where: str) -> dict[str, Any]:
    return expect.mapping({} if value is None else value, where)


def _options(attributes: Any) -> dict[str, list[str]]:
    """The choices of each attribute of regions; none for free text."""
    regions = attributes.get("region") if isinstance(attributes, dict) else None
    found = {}
    for name, about in regions.items() if isinstance(regions, dict) else ():
        options = about.get("options") if isinstance(about, dict) else None
        if isinstance(options, dict) and about.get("type") != "text":
            found[name] = [option for option in options if option.strip()]
    return found


def records(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """The records of a CSV file: first line, text with its line end, and cells; the header is the first one.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, or a quote is open.
    """
    text = text_at(path)
    lines = io.StringIO(text, newline="").readlines()
    reader, start = csv.reader(lines, strict=True), 0
    try:
        with long_cells(len(text)):
            for cells in reader:
                yield start + 1, "".join(lines[start : reader.line_num]), cells
                start = reader.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {start + 1}: expected CSV cells, got {error}.") from None


def header_of(path: Path, cells: Sequence[str]) -> dict[str, int]:
    """The place of each of the columns.

    Args:
        path: the file, for the message.
        cells: those of the header.

    Raises:
        DataError: a column is not there.
    """
    names = [cell.strip().lstrip("#").strip() for cell in cells]
    if absent := [name for name in COLUMNS if name not in names]:
        raise DataError(f"{path}, line 1: expected the columns {', '.join(COLUMNS)}, got none named {absent[0]!r}.")
    return {name: names.index(name) for name in COLUMNS}


def _of_csv(path: Path) -> list[File]:
    rows = records(path)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: expected a header and rows, got an empty file.")
    place = header_of(path, first[2])
    found: dict[str, File] = {}
    for number, (line, _, cells) in enumerate(rows, start=1):
        if not any(cells):
            continue
        at = f"line {line}"
        try:
            if len(cells) != len(first[2]):
                raise Misfit(f"expected {len(first[2])} cells as in the header, got {len(cells)}.", at)
            name = expect.text(cells[place["filename"]], f"{at}, filename")
            key = f"{name}{cells[place['file_size']]}"
            values = json_cell(cells[place["file_attributes"]], f"{at}, file_attributes")
            shape = json_cell(cells[place["region_shape_attributes"]], f"{at}, region_shape_attributes")
            attributes = json_cell(cells[place["region_attributes"]], f"{at}, region_attributes")
        except Misfit as error:
            found[f"\n{line}"] = File(at, "", "", wrong=error)
            continue
        file = found.setdefault(key, File(at, key, name, values))
        if shape:
            file.regions.append(Region(at, number, shape, attributes))
    return list(found.values())


def json_cell(cell: str, where: str) -> dict[str, Any]:
    """The mapping in a cell; an empty one where the cell is empty.

    Args:
        cell: JSON.
        where: its place, for the message.

    Raises:
        Misfit: it is not JSON, or not a mapping.
    """
    try:
        return expect.mapping(json.loads(cell) if cell.strip() else {}, where)
    except Misfit:
        raise
    except (ValueError, RecursionError):
        raise Misfit(f"expected JSON, got {expect.fact(cell)}.", where) from None


def _of_version_3(content: Mapping[str, Any]) -> Document:
    """The images of a project of version 3, whose regions are in ``metadata``."""
    attributes = {key: expect.mapping(about, f"attribute.{key}") for key, about in content["attribute"].items()}
    files: dict[str, File] = {}
    for key, about in content["file"].items():
        values = expect.mapping(about, f"file.{key}")
        files[key] = File(f"file.{key}", key, expect.text(values.get("fname"), f"file.{key}.fname"))
    views = content.get("view") if isinstance(content.get("view"), dict) else {}
    for number, (key, entry) in enumerate(content["metadata"].items()):
        where = f"metadata.{key}"
        values = expect.mapping(entry, where)
        view = str(values.get("vid"))
        about = views.get(view) if isinstance(views, dict) else None
        listed = about.get("fid_list") if isinstance(about, dict) else None
        owner = files.get(str(listed[0]) if isinstance(listed, list) and listed else view)
        if owner is None:
            raise Misfit(f"expected the number of a view of a file, got {expect.fact(values.get('vid'))}.", where)
        try:
            shape = _shape_3(values, where)
            found = _values_3(_attributes(values.get("av"), f"{where}.av"), attributes)
            owner.regions.append(Region(where, number, shape, found))
        except Misfit as error:
            owner.wrong = error
    names = {str(about.get("aname")): about for about in attributes.values()}
    options = {name: list(_labels(about).values()) for name, about in names.items() if _labels(about)}
    return Document("3", list(files.values()), options)


def _shape_3(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    xy = expect.sequence(values.get("xy"), f"{where}.xy")
    if not xy or values.get("z"):
        return {"name": "part of a video"} if values.get("z") else {"name": "note without a place"}
    kind = expect.whole(xy[0], f"{where}.xy[0]")
    keys = {_POINT: ("point", "cx", "cy"), _RECTANGLE: ("rect", "x", "y", "width", "height")}.get(kind)
    if keys is None:
        return {"name": f"shape {kind}"}
    if len(xy) != len(keys):
        raise Misfit(f"expected {len(keys)} numbers for a {keys[0]}, got {len(xy)}.", f"{where}.xy")
    return {"name": keys[0], **dict(zip(keys[1:], xy[1:], strict=True))}


def _labels(about: Mapping[str, Any]) -> dict[str, str]:
    options = about.get("options")
    return {key: str(label) for key, label in options.items()} if isinstance(options, dict) else {}


def _values_3(found: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The attributes of a region by name, with labels for the numbers of choices."""
    values = {}
    for key, value in found.items():
        about = attributes.get(key, {})
        labels = _labels(about)
        values[str(about.get("aname", key))] = labels.get(value, value) if isinstance(value, str) else value
    return values
