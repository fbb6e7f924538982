"""The files of a DeepLabCut project: its configuration, and a table of labels for each video."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from steadfit.data.formats import dlc_config
from steadfit.data.formats.dlc_config import Project, is_config, read_config
from steadfit.data.formats.dlc_h5 import read_table
from steadfit.data.formats.dlc_source import TableSet
from steadfit.data.formats.dlc_table import FRAMES, PoseTable, first_cells, is_pose_table, read_pose_table
from steadfit.data.formats.documents import text_at
from steadfit.data.formats.hdf5 import is_hdf5
from steadfit.errors import DataError

TABLES = "CollectedData_*.csv"
RENAMED = "images.csv"
"""The file of a project that we wrote with the paths that its images had before."""


def project_set(path: Path, format: str) -> TableSet:
    """The tables of a project.

    Args:
        path: a project folder, its ``config.yaml``, the folder of one video, or a table.
        format: the format's name.

    Raises:
        DataError: no tables, none of the project's scorer, or something in a file is wrong.
    """
    if path.is_file() and path.name != dlc_config.NAME:
        table = read_table(path) if is_hdf5(path) else _labels(path, "")
        return _set_of(path, path.resolve().parent, {"": table}, _project_near(path), format)
    if is_video(path):
        project, files = _project_near(path / TABLES), tables_of(path)
        tables = {"": _labels(_of_scorer(path, files, project.scorer), "")} if files else {}
        return _set_of(path, path.resolve(), _some(path, tables), project, format)
    folder = folder_of(path)
    config = folder / dlc_config.NAME
    project = read_config(config) if config.is_file() else Project(notes=("The project has no config.yaml.",))
    tables = {name: _labels(file, name) for name, file in _chosen(folder, project).items()}
    return _set_of(path, folder, _some(path, tables), project, format)


def is_video(path: Path) -> bool:
    """Whether a path is a folder in which tables lie side by side with frames, such as that of one video."""
    return path.is_dir() and path.name != FRAMES and not (path / FRAMES).is_dir()


def folder_of(path: Path) -> Path:
    """The folder of a project, of which a path is the folder, the ``config.yaml`` or the folder of frames."""
    return path.parent if path.is_file() or path.name == FRAMES else path


def is_ours(path: Path) -> bool:
    """Whether a table is DeepLabCut's rather than Lightning Pose's: by its place, its name or its header."""
    rows = first_cells(path)
    named = len(rows[0]) > 1 and path.name == f"CollectedData_{rows[0][-1]}.csv"
    three = any(len(row) > 1 and not row[1] for row in rows[1:])
    likelihood = any("likelihood" in row for row in rows)
    return named or three or likelihood or rows[1][0] == "individuals" or path.resolve().parent.parent.name == FRAMES


def tables_of(folder: Path) -> list[Path]:
    """The tables of a project, of its folder of frames, or of the folder of one video."""
    if folder.name == FRAMES:
        return sorted(folder.glob(f"*/{TABLES}"))
    if (folder / FRAMES).is_dir():
        return sorted(folder.glob(f"{FRAMES}/*/{TABLES}"))
    return sorted(path for path in folder.glob(TABLES) if is_pose_table(path) and is_ours(path))


def _some(path: Path, tables: dict[str, PoseTable]) -> dict[str, PoseTable]:
    if not tables:
        raise DataError(
            f"{path}: expected a table {FRAMES}/<video>/{TABLES}, got none. In DeepLabCut, label frames, or convert "
            "the tables from HDF5 to CSV."
        )
    return tables


def _project_near(path: Path) -> Project:
    """The configuration of the project of a table, if it lies in one."""
    config = path.resolve().parent.parent.parent / dlc_config.NAME
    inside = path.resolve().parent.parent.name == FRAMES and config.is_file() and is_config(config)
    return read_config(config) if inside else Project()


def _chosen(folder: Path, project: Project) -> dict[str, Path]:
    """The tables of a project by their paths in it, in the order of the configuration's videos."""
    videos: dict[str, list[Path]] = {}
    for path in tables_of(folder):
        videos.setdefault(path.parent.name, []).append(path)
    order = [name for name in project.videos if name in videos]
    order += [name for name in videos if name not in order]
    chosen = [_of_scorer(folder / FRAMES / name, videos[name], project.scorer) for name in order]
    return {path.relative_to(folder).as_posix(): path for path in chosen}


def _of_scorer(folder: Path, paths: Sequence[Path], scorer: str) -> Path:
    """The table of the project's scorer; the only one, whoever made it."""
    mine = [path for path in paths if path.name == f"CollectedData_{scorer}.csv"]
    if not mine and len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise DataError(
            f"{folder}: expected one table, or one of the project's scorer {scorer!r}, got {names}. Name one of them."
        )
    return (mine or list(paths))[0]


def _labels(path: Path, name: str) -> PoseTable:
    table = read_pose_table(path, name)
    if table.head.likelihood:
        raise DataError(
            f"{path}: expected labels, got predictions of a network with their likelihood, which are no annotations. "
            "Read the table CollectedData_<scorer>.csv."
        )
    return table


def _set_of(path: Path, base: Path, tables: Mapping[str, PoseTable], project: Project, format: str) -> TableSet:
    there = {part for table in tables.values() for part in table.head.bodyparts}
    absent = [name for name in project.points if name not in there]
    further = sorted(there.difference(project.points)) if project.points else []
    notes = list(project.notes)
    if absent:
        notes.append(f"{len(absent)} bodyparts of config.yaml are in no table and are left out: {', '.join(absent)}.")
    if further:
        notes.append(f"{len(further)} bodyparts of the tables are not in config.yaml: {', '.join(further)}.")
    if any("single" in table.head.places for table in tables.values()):
        notes.append("The points that an image has once are rows of their own, of the individual 'single'.")
    return TableSet(
        path=path,
        format=format,
        tables=tables,
        points=project.points,
        limbs=project.limbs,
        roots=[base, *base.resolve().parents[:3]],
        originals=_renamed(base),
        notes=[*notes, *_scorer_notes(tables, project)],
    )


def _scorer_notes(tables: Mapping[str, PoseTable], project: Project) -> list[str]:
    """Whose labels are read, where there are labels of several scorers."""
    others = Counter(
        file.name
        for table in tables.values()
        for file in table.path.parent.glob(TABLES)
        if file.name != table.path.name
    )
    notes = [f"{count} tables {name} of another scorer are not read." for name, count in sorted(others.items())]
    scorers = dict.fromkeys(table.head.scorer for table in tables.values())
    if len(scorers) > 1 or (project.scorer and project.scorer not in scorers) or notes:
        notes.insert(0, f"The labels are those of {', '.join(scorers)}.")
    return notes


def _renamed(base: Path) -> dict[str, str]:
    """The paths that the images of a project of ours had before, by those in its tables."""
    path = base / RENAMED
    if not path.is_file():
        return {}
    rows = list(csv.reader(io.StringIO(text_at(path), newline="")))
    return {row[0]: row[1] for row in rows[1:] if len(row) == 2} if rows[:1] == [["image", "original"]] else {}
