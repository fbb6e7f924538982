"""Finding the format of a path, by what is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from steadfit.data.formats import (
    cifar,
    class_folders,
    coco,
    csv,
    cvat,
    dlc,
    excel,
    fiftyone,
    kaggle_faces,
    labelme,
    labelstudio,
    lfw_net,
    lightning_pose,
    lsp,
    lspet,
    mpii,
    mpii_csv,
    mpii_json,
    mtfl,
    parquet,
    parse,
    pts,
    roboflow,
    sleap,
    sleap_analysis,
    udacity_faces,
    utkface,
    via,
    wflw,
    yolo,
)
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import is_json, is_xml, json_at, parsed_once, xml_at
from steadfit.data.formats.roots import checked_folder, image_count
from steadfit.data.images.paths import refuse_archive
from steadfit.data.tables.cells import RawTable, shorten
from steadfit.data.tables.classes import as_classes
from steadfit.data.tables.image_column import with_image_column
from steadfit.data.tables.options import did_you_mean
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import ConfigError, DataError


class Table(Protocol):
    """The functions of a module of tables, whose columns a schema explains."""

    def is_one(self, path: Path, /) -> bool:
        """Whether a file or folder has this format, by its name and content."""

    def read(self, path: Path, schema: Schema | None = None, /) -> Source:
        """The labels there; the schema is what the user specifies about them, None for nothing."""


class Format(Protocol):
    """The functions of a module of annotations that say themselves what they mean."""

    NAME: str
    ABOUT: About

    def is_one(self, path: Path, /) -> bool:
        """Whether a file or folder has this format, by its name and content."""

    def read(self, path: Path, /, *, images: Path | None = None) -> Source:
        """The labels there; ``images`` is the folder of the images, None where it is to be looked for."""


TABLES: Mapping[str, Table] = {"csv": csv, "parquet": parquet, "excel": excel}
"""Tables by name."""
CLASSES: Mapping[str, Table] = {"cifar": cifar, **TABLES, "class-folders": class_folders}
"""Formats in which labels may be classes, by name; the first one that fits is taken."""
FORMATS: tuple[Format, ...] = (
    coco,
    dlc,
    lightning_pose,
    sleap,
    sleap_analysis,
    mpii_json,
    mpii_csv,
    kaggle_faces,
    udacity_faces,
    lfw_net,
    mtfl,
    lsp,
    lspet,
    parse,
    mpii,
    utkface,
    labelme,
    via,
    pts,
    wflw,
    cvat,
    labelstudio,
    fiftyone,
    roboflow,
    yolo,
)
"""Formats of points in images; the first one that fits is taken."""
ANNOTATIONS: Mapping[str, Format] = {one.NAME: one for one in FORMATS}
"""Formats of points in images, by name."""
NAMES = (*ANNOTATIONS, *CLASSES)
"""The names of all formats that are read."""


_SUFFIXES = (".json", ".xml", ".csv")
_MANY = 50  # files of a folder that are looked at


def find(path: Path, formats: Mapping[str, Table] | Mapping[str, Format]) -> str | None:
    """The name of the first of the formats that fits a path; None if none does.

    Args:
        path: a file or folder.
        formats: modules by name.

    Raises:
        DataError: a file that is damaged.
    """
    return next((name for name, one in formats.items() if one.is_one(path)), None)


def is_source(path: str | Path) -> bool:
    """Whether a path has labels of points or numbers in a known format, rather than images alone."""
    with parsed_once():
        return find(Path(path), ANNOTATIONS) is not None or find(Path(path), TABLES) is not None


def read_source(
    path: str | Path,
    schema: Schema | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    format: str | None = None,
    images: str | Path | None = None,
) -> Source:
    """Labels that are points or numbers, in whichever format they are.

    Args:
        path: a file or folder. A file of no known format is read as CSV.
        schema: what the columns of a table mean, or with which points and boxes other annotations are read; None: what
            the format, or the ``dataset.yaml`` next to a table, specifies.
        options: fields of the schema that override it, by name; None values are ignored.
        format: the format's name; None: found by content.
        images: the folder of the images; None: what the format specifies, or looked for.

    Raises:
        DataError: something cannot be read.
        ConfigError: an unknown format.
        SchemaError: options without meaning.
    """
    path, folder = Path(path), None if images is None else Path(images)
    given = {name: value for name, value in (options or {}).items() if value is not None}
    with parsed_once():
        name, path = _located(path, format)
        if name in ANNOTATIONS:
            source = _oriented(ANNOTATIONS[name].read(path, images=folder), ANNOTATIONS[name].ABOUT.exif)
            return _with_options(source if schema is None else as_in(source, schema), given)
        if name in TABLES:
            meaning = (Schema.discover(path) if schema is None else schema).with_options(**given)
            source = with_image_column(TABLES[name].read(path, meaning))
        else:
            source = CLASSES[name].read(path)
    source = dataclasses.replace(source, format=name, root=source.root if folder is None else checked_folder(folder))
    return as_classes(source) if source.schema.classes and name in TABLES else source


def as_in(source: Source, schema: Schema) -> Source:
    """A source with the points of another schema, found by name, and with its pairs, length, units and boxes.

    Args:
        source: annotations of points.
        schema: usually that of a run.

    Raises:
        DataError: a point is not there.
    """
    names = source.schema.points
    if schema.has_names and (absent := [name for name in schema.points if name not in names]):
        raise DataError(
            f"{source.cells.path}: expected the points {', '.join(schema.points)}, got {', '.join(names)}; "
            f"{absent[0]!r} is not among them."
        )
    found = source.with_points(schema.points) if schema.has_names else source
    taken = ("pairs", "limbs", "units", "sides", "box_margin", "box_fit", "exif")
    length = schema.normalizer if not isinstance(schema.normalizer, str) else found.schema.normalizer
    kept = {name: getattr(schema, name) for name in taken}
    box = None if schema.box is None else (found.schema.box or "points")
    return dataclasses.replace(found, schema=dataclasses.replace(found.schema, normalizer=length, box=box, **kept))


def _oriented(source: Source, exif: str) -> Source:
    """A source whose images are read as those on which a format's labels are made: turned by EXIF, or as stored."""
    return dataclasses.replace(source, schema=dataclasses.replace(source.schema, exif=exif))


def _with_options(source: Source, given: Mapping[str, Any]) -> Source:
    """A source of points with options; ``points`` chooses among them by name."""
    names = Schema().with_options(points=given["points"]).points if "points" in given else ()
    chosen = source.with_points(names) if names else source
    rest = {name: value for name, value in given.items() if name != "points"}
    return dataclasses.replace(chosen, schema=chosen.schema.with_options(**rest))


def read_class_source(path: str | Path, label: str | None = None, *, format: str | None = None) -> Source:
    """Labels that are classes, in whichever format they are.

    Args:
        path: the folder of CIFAR's binary version, a table or a folder that contains one, or a folder of folders that
            are named after the classes.
        label: a table's column of classes; for CIFAR-100 ``"fine"`` or ``"coarse"``. None: ``label`` or ``class``;
            ``"fine"``.
        format: the format's name; None: found by content.

    Raises:
        DataError: something cannot be read, or a label for folders of classes, which have none.
        ConfigError: a format without classes.
        ValueError: a label that CIFAR does not have.
    """
    path = Path(path)
    if format is not None and format not in CLASSES:
        raise ConfigError(f"--format: expected one of {', '.join(CLASSES)} for classes, got {format!r}.")
    name = format or find(path, CLASSES)
    if name is None:
        packed = " Unpack it first." if path.is_file() else ""
        raise DataError(
            f"{path}: expected CIFAR's binary files ({cifar.describe_files()}), {_tables()}, or folders of images "
            f"named after their classes, got {'a file of another kind' if path.is_file() else 'none of them'}.{packed}"
        )
    source = CLASSES[name].read(path, Schema(targets=() if label is None else (label,)))
    source = with_image_column(source, classes=True) if name in TABLES else source
    return dataclasses.replace(source if source.schema.classes else as_classes(source), format=name)


def read_table(path: str | Path) -> RawTable:
    """The cells of a CSV or Parquet table, without their meaning.

    Args:
        path: a table, or a folder that contains one. A file with another suffix is read as CSV.

    Raises:
        DataError: no such file, no header or rows, a column twice, not UTF-8, not Parquet, an open quote.
    """
    path = Path(path)
    return TABLES[find(path, TABLES) or "csv"].read(path, Schema()).cells


def _located(path: Path, format: str | None) -> tuple[str, Path]:
    """The name of the format of a path, given or found, and the path that it reads."""
    if format is not None and format not in NAMES:
        raise ConfigError(f"--format: expected a format, got {format!r}.{did_you_mean(format, NAMES)}")
    if not path.exists():
        raise DataError(f"{path}: expected a file or folder of annotations, got nothing of that name.")
    if format is not None:
        return format, path
    if found := (find(path, TABLES) if path.is_dir() else None) or find(path, ANNOTATIONS) or find(path, TABLES):
        return found, path
    if path.is_dir() and (file := _only_file(path)) is not None:
        return file
    if found := find(path, CLASSES):
        return found, path
    _raise_unknown(path)
    return "csv", path


def _only_file(folder: Path) -> tuple[str, Path] | None:
    """The format and path of the one file of annotations in a folder, or in its folder ``annotations``."""
    files = [file for place in (folder, folder / "annotations") for file in sorted(place.glob("*"))]
    candidates = [file for file in files if file.suffix.lower() in _SUFFIXES and file.is_file()][:_MANY]
    found = [(name, file) for file in candidates if (name := find(file, ANNOTATIONS)) is not None]
    if len(found) > 1:
        names = ", ".join(file.relative_to(folder).as_posix() for _, file in found[:5])
        raise DataError(f"{folder}: expected one file of annotations, got {len(found)}: {names}. Name one of them.")
    return found[0] if found else None


def _raise_unknown(path: Path) -> None:
    """Refuse a path of no known format; a file of text may still be a table."""
    if path.is_dir():
        images = image_count(path)
        what = f"{images} images and no annotations" if images else "none of them"
        raise DataError(
            f"{path}: expected {_tables()} in this folder, or annotations of another format ({', '.join(NAMES)}), got "
            f"{what}." + (" Name the file of annotations, with this folder as --images (images=...)." if images else "")
        )
    refuse_archive(path)
    if is_json(path) or is_xml(path):
        raise DataError(f"{path}: expected annotations of a known format ({', '.join(NAMES)}), got {_content(path)}.")


def _content(path: Path) -> str:
    """What a file of JSON or XML contains, for a message."""
    if is_xml(path):
        return f"XML of <{shorten(xml_at(path).tag)[1:-1]}>"
    content = json_at(path)
    if isinstance(content, dict):
        return f"JSON with the keys {', '.join(map(shorten, [*content][:8])) or 'of none of them'}"
    first = content[0] if isinstance(content, list) and content else None
    keys = f" of entries with the keys {', '.join(map(shorten, [*first][:8]))}" if isinstance(first, dict) else ""
    return f"JSON, a list{keys}" if isinstance(content, list) else "JSON of another kind"


def _tables() -> str:
    return f"{csv.NAME} or {parquet.NAME}"
