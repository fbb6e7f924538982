"""Lightning Pose: a table ``CollectedData.csv`` in the folder of the data, with one animal in each image.

The table is that of DeepLabCut, optionally with a third column ``visible`` for each point: 2 visible, 1 occluded, 0 not
labelled. Lightning Pose ignores the coordinates of points with 1 or 0. Coordinates are px, the centre of the first
pixel is (0, 0).
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from steadfit._files import write_bytes, write_text
from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.dlc_edit import edited_table, places_of, table_text
from steadfit.data.formats.dlc_source import TableSet, video_of
from steadfit.data.formats.dlc_table import PoseTable, is_pose_table, read_pose_table
from steadfit.data.formats.documents import yaml_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Floats
from steadfit.data.formats.writing import (
    codes_of,
    images_of,
    is_original,
    lost_of_schema,
    own_boxes,
    splits_of,
    warn_lost,
)
from steadfit.data.tables.annotations import OCCLUDED, Annotations
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "lightning-pose"
ABOUT = About(
    title="Lightning Pose (CSV)",
    writes=True,
    exif="ignore",
    images=".",
    lost=(
        "visibility",
        "several animals in an image",
        "boxes",
        "splits",
        "limbs",
        "groups that are no folders",
        "mirror pairs that no names tell",
        "normalising length",
    ),
)
SCORER = "steadfit"
TABLE = "CollectedData.csv"
PROJECT = "project.yaml"


def is_one(path: Path) -> bool:
    """Whether a path is a table of this kind, or a folder that contains one."""
    if path.is_dir():
        return any(is_pose_table(file) for file in _tables(path))
    return is_pose_table(path)


def _tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("CollectedData*.csv"))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The labelled images of a table, one row each.

    Args:
        path: the table, or the folder of the data. There ``CollectedData.csv`` is read, else the only table.
        images: the folder to which the paths in the table are relative; None: that of the table.

    Raises:
        DataError: no table, tables of several views, or something in the table is wrong.
    """
    return _set(path).source(images)


def _set(path: Path) -> TableSet:
    file, notes = _chosen(path) if path.is_dir() else (path, [])
    table = read_pose_table(file)
    if table.head.likelihood:
        raise DataError(
            f"{file}: expected labels, got predictions of a network with their likelihood, which are no annotations."
        )
    folder = file.resolve().parent
    return TableSet(
        path=path,
        format=NAME,
        tables={"": table},
        roots=[file.parent, *folder.parents[:2]],
        notes=[*notes, *_named(file.parent / PROJECT, table)],
    )


def _chosen(folder: Path) -> tuple[Path, list[str]]:
    """The table of a folder, and what to say of others."""
    tables = [file for file in _tables(folder) if is_pose_table(file)]
    mine = [file for file in tables if file.name == TABLE] or tables
    names = ", ".join(file.name for file in tables)
    if len(mine) != 1:
        raise DataError(f"{folder}: expected {TABLE}, got {names or 'no table'}. Name the table of one view.")
    others = [file.name for file in tables if file != mine[0]]
    return mine[0], [f"{mine[0].name} is read; not read: {', '.join(others)}."] * bool(others)


def _named(path: Path, table: PoseTable) -> list[str]:
    """In which names a ``project.yaml`` and the table differ."""
    if not path.is_file():
        return []
    try:
        names = expect.mapping(yaml_at(path) or {}).get("keypoint_names") or []
        known = [expect.text(name, "keypoint_names") for name in expect.sequence(names, "keypoint_names")]
    except Misfit as error:
        raise DataError(f"{path}, {error}") from None
    odd = sorted(set(known).symmetric_difference(table.head.bodyparts)) if known else []
    return [f"{len(odd)} names are in one of {PROJECT} and the table only: {', '.join(odd)}."] * bool(odd)


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as a table of Lightning Pose, or into a copy of the table that was read.

    In a copy only the cells of changed labels differ. Next to a new table ``project.yaml`` names the points.

    Args:
        data: the annotations.
        path: the file, or a folder, which gets ``CollectedData.csv``.

    Returns:
        The file.

    Raises:
        DataError: there are no points in images, or the original would be replaced or has changed.

    Warns:
        DataWarning: something is lost.
    """
    names = images_of(data, ABOUT.title)
    file = path if path.suffix.lower() == ".csv" else path / TABLE
    original = is_original(data, NAME)
    _warn(data, original=original)
    if original:
        return _write_copy(data, file)
    points = data.schema.points
    target = np.where((codes_of(data) > 0)[:, :, None], data.target, np.nan)
    rows: list[tuple[tuple[str, ...], list[Floats]]] = [((name,), [target[row]]) for row, name in enumerate(names)]
    about = {"view_names": [], "keypoint_names": list(points)}
    write_text(yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=10**6), file.parent / PROJECT)
    return write_text(table_text(SCORER, points, rows, []), file)


def _write_copy(data: Annotations, file: Path) -> Path:
    table = _set(Path(data.path)).tables[""]
    if os.path.realpath(file) == os.path.realpath(table.path):
        raise DataError(f"{file}: expected another path than that of the original. It is never replaced.")
    rows: dict[int, dict[str, int]] = {}
    for number, at in enumerate(places_of(data)):
        rows.setdefault(at.line, {})[at.individual] = number
    content, _ = edited_table(table, data, rows, {})
    about = table.path.parent / PROJECT
    if about.is_file() and file.parent.resolve() != about.parent.resolve():
        write_bytes(about.read_bytes(), file.parent / PROJECT)
    return write_bytes(content, file)


def _warn(data: Annotations, *, original: bool) -> None:
    codes = codes_of(data)
    occluded = int((codes == OCCLUDED).sum())
    lost = [f"that {occluded} points are occluded, as it ignores the coordinates of such points"] * bool(occluded)
    if not original:
        boxes = own_boxes(data) is not None
        again = sum(count - 1 for count in Counter(images_of(data, ABOUT.title)).values())
        lost += [f"several animals in an image: {again} rows name an image again"] * bool(again)
        lost += ["boxes"] * boxes + ["splits"] * (splits_of(data) is not None)
        lost += ["groups"] * (data.group is not None and not _by_folder(data)) + lost_of_schema(data)
    warn_lost(data, ABOUT.title, lost)


def _by_folder(data: Annotations) -> bool:
    """Whether the groups are those that are read from the paths of the images."""
    found = [video_of(name) for name in images_of(data, ABOUT.title)]
    return data.group is None or found == data.group.tolist()
