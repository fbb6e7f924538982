"""DeepLabCut: a project folder with ``config.yaml`` and a table ``CollectedData_<scorer>.csv`` for each video.

Coordinates are px of the frames as they were saved, the centre of the first pixel is (0, 0). The folder of one video
and a single table are read as well. DeepLabCut's HDF5 copies of the tables are read only if the format is told.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections import Counter
from pathlib import Path

import numpy as np

from steadfit._files import write_bytes, write_text
from steadfit.data.formats import dlc_config, dlc_h5
from steadfit.data.formats.about import About
from steadfit.data.formats.dlc_config import is_config
from steadfit.data.formats.dlc_edit import edited_table, places_of, table_text
from steadfit.data.formats.dlc_project import RENAMED, folder_of, is_ours, project_set, tables_of
from steadfit.data.formats.dlc_source import video_of
from steadfit.data.formats.dlc_table import FRAMES, is_pose_table
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

NAME = "dlc"
ABOUT = About(
    title="DeepLabCut project",
    writes=True,
    exif="ignore",
    images=".",
    lost=(
        "visibility",
        "boxes",
        "splits",
        "groups that are no folders",
        "mirror pairs that no names tell",
        "normalising length",
    ),
)
SCORER = "steadfit"


def is_one(path: Path) -> bool:
    """Whether a path is a project, its ``config.yaml``, its ``labeled-data``, a folder in there, or a table of it.

    Raises:
        DataError: a project's configuration is not YAML, or an HDF5 file of a project.
    """
    if path.is_dir():
        return bool(tables_of(path)) or ((path / FRAMES).is_dir() and is_config(path / dlc_config.NAME))
    if dlc_h5.is_one(path):
        raise DataError(
            f"{path}: expected the table {path.stem}.csv, got DeepLabCut's HDF5 copy of it. Read the CSV file, or tell "
            "the format with --format dlc (format='dlc')."
        )
    if path.name == dlc_config.NAME:
        return (path.parent / FRAMES).is_dir() and is_config(path)
    return is_pose_table(path) and is_ours(path)


def read(path: Path, *, images: Path | None = None) -> Source:
    """The labelled frames of a project, one row for each animal.

    Of several tables of a video that of the project's scorer is read. Points of the configuration that no table has are
    left out, which ``notes`` say. A video is a group. The individual ``single`` has the points that an image has once.

    Args:
        path: a project folder, its ``config.yaml``, the folder of one video, or a table.
        images: the folder to which the paths in the tables are relative; None: the project's.

    Raises:
        DataError: no tables, none of the project's scorer, or something in a file is wrong.
    """
    return project_set(path, NAME).source(images)


def image_names(data: Annotations) -> list[str]:
    """The N paths that images have in a project: ``labeled-data/<video>/<file>``.

    The video is the group, else the folder of the image, else ``images``.

    Args:
        data: annotations of points in images.
    """
    names = images_of(data, ABOUT.title)
    if is_original(data, NAME):
        return list(names)
    groups = [""] * len(names) if data.group is None else [str(group) for group in data.group]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name, group in zip(names, groups, strict=True):
        if name not in found:
            found[name] = _framed(name, group, taken)
            taken.add(found[name])
    return [found[name] for name in names]


def _framed(name: str, group: str, taken: set[str]) -> str:
    """The path of one image in a project, which no other image has."""
    parts = [part for part in posixpath.normpath(name).split("/") if part not in ("", "..")]
    if len(parts) == 3 and parts[0] == FRAMES:
        return name
    folders = parts[1:-1] if parts[0] == FRAMES else parts[:-1]
    video = _safe(group or "_".join(folders) or "images")
    choices = [parts[-1], "_".join(parts), *(f"{k}_{parts[-1]}" for k in range(2, len(taken) + 3))]
    return next(path for choice in choices if (path := f"{FRAMES}/{video}/{choice}") not in taken)


def _safe(name: str) -> str:
    """A name of a group as that of a folder."""
    return "".join("_" if sign in '/\\:*?"<>|,' or not sign.isprintable() else sign for sign in name).strip(" .") or "_"


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as a DeepLabCut project, or into a copy of the project that was read.

    In a copy only the cells of changed labels differ, and ``config.yaml`` and the tables of other scorers are copied
    as they are. DeepLabCut makes its HDF5 tables of the CSV files by ``deeplabcut.convertcsv2h5``.

    Args:
        data: the annotations.
        path: the folder of the project, or its ``config.yaml``; for a single table a file, or a folder for it.

    Returns:
        The ``config.yaml`` of the project; for a copy of a single table that table.

    Raises:
        DataError: there are no points in images, or the original would be replaced or has changed.

    Warns:
        DataWarning: something is lost.
    """
    images_of(data, ABOUT.title)
    path = path.parent if path.name == dlc_config.NAME else path
    if is_original(data, NAME) and not dlc_h5.is_hdf5(Path(data.path)):
        return _write_copy(data, path)
    if path.suffix.lower() == ".csv":
        raise DataError(f"{path}: expected a folder for a DeepLabCut project, got the name of a file.")
    return _write_project(data, path)


def _write_copy(data: Annotations, path: Path) -> Path:
    original = project_set(Path(data.path), NAME)
    rows: dict[str, dict[int, dict[str, int]]] = {name: {} for name in original.tables}
    for number, at in enumerate(places_of(data)):
        if at.name not in rows:
            raise DataError(f"{data.path}: expected the table {at.name!r} that was read, got none. Read it again.")
        rows[at.name].setdefault(at.line, {})[at.individual] = number
    edited = {
        name: edited_table(table, data, rows[name], original.originals) for name, table in original.tables.items()
    }
    absent = sum(lost for _, lost in edited.values())
    warn_lost(data, ABOUT.title, _lost(data, original=True) + [f"{absent} labels without columns"] * bool(absent))
    if "" in edited:
        source = original.tables[""].path
        goal = path if path.suffix.lower() == ".csv" else path / source.name
        return _write_new(edited[""][0], goal, source)
    folder = folder_of(Path(data.path))
    contents = {file: file.read_bytes() for file in tables_of(folder)}
    contents |= {original.tables[name].path: content for name, (content, _) in edited.items()}
    extra = [folder / name for name in (RENAMED, dlc_config.NAME) if (folder / name).is_file()]
    contents |= {file: file.read_bytes() for file in extra}
    for file, content in contents.items():
        _write_new(content, path / file.relative_to(folder), file)
    config = path / dlc_config.NAME
    return config if (folder / dlc_config.NAME).is_file() else path


def _write_new(content: bytes, goal: Path, source: Path) -> Path:
    """Write a file, but never over the one it was made of."""
    if os.path.realpath(goal) == os.path.realpath(source):
        raise DataError(f"{goal}: expected another path than that of the original. It is never replaced.")
    return write_bytes(content, goal)


def _write_project(data: Annotations, path: Path) -> Path:
    names, framed = images_of(data, ABOUT.title), image_names(data)
    codes = codes_of(data)
    target: Floats = np.where((codes > 0)[:, :, None], data.target, np.nan)
    most = max(Counter(framed).values())
    people = [f"individual{k + 1}" for k in range(most)] if most > 1 else []
    kept = [row for row in range(len(names)) if codes[row].any() or not people]
    tables: dict[str, dict[tuple[str, ...], list[Floats]]] = {}
    sizes: dict[str, tuple[int, int] | None] = {}
    for row in kept:
        parts = tuple(framed[row].split("/"))
        tables.setdefault(parts[1], {}).setdefault(parts, []).append(target[row])
        sizes.setdefault(parts[1], _size(data, row))
    lost = _lost(data) + [f"{len(names) - len(kept)} rows without labels"] * (len(kept) < len(names))
    warn_lost(data, ABOUT.title, lost)
    points = data.schema.points
    limbs = [(points[one], points[two]) for one, two in data.schema.limbs]
    files = {video: path / FRAMES / video / f"CollectedData_{SCORER}.csv" for video in tables}
    if (path / FRAMES).is_dir() and (others := sorted(set(tables_of(path)).difference(files.values()))):
        raise DataError(f"{path}: expected no other project there, got {others[0].relative_to(path)}. Choose another.")
    for video, rows in tables.items():
        write_text(table_text(SCORER, points, list(rows.items()), people), files[video])
    moved = {mine: name for mine, name in zip(framed, names, strict=True) if mine != name}
    if moved:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows([("image", "original"), *moved.items()])
        write_text(out.getvalue(), path / RENAMED)
    return write_text(dlc_config.config_text(SCORER, points, limbs, sizes, people), path / dlc_config.NAME)


def _size(data: Annotations, row: int) -> tuple[int, int] | None:
    if data.size is None or np.isnan(data.size[row]).any():
        return None
    return int(data.size[row, 0]), int(data.size[row, 1])


def _lost(data: Annotations, *, original: bool = False) -> list[str]:
    occluded = int((codes_of(data) == OCCLUDED).sum())
    found = [f"the visibility of {occluded} occluded points"] * bool(occluded)
    if original:
        return found
    boxes = own_boxes(data) is not None
    found += ["boxes"] * boxes + ["splits"] * (splits_of(data) is not None) + ["groups"] * _is_divided(data)
    return found + lost_of_schema(data, limbs=True)


def _is_divided(data: Annotations) -> bool:
    """Whether the videos of a new project are not the groups."""
    groups = [] if data.group is None else data.group.tolist()
    both = {(group, video_of(name)) for group, name in zip(groups, image_names(data), strict=False) if group}
    return len({group for group, _ in both}) < len(both) or len({video for _, video in both}) < len(both)
