"""From tables of DeepLabCut or Lightning Pose to a source: one row for each animal in each image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit.data.formats.dlc_table import FRAMES, PoseTable, place
from steadfit.data.formats.instances import Codes, Floats, Rows, pose_source
from steadfit.data.formats.roots import SAMPLE, checked_folder, is_file
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.source import Source


@dataclass(frozen=True, kw_only=True)
class TableSet:
    """The tables of a project.

    Args:
        path: what is read: a file or folder.
        format: the format's name.
        tables: the tables by the names that places have in front of the line; an empty one where there is one table.
        points: names of points in their order; those that no table has are left out, further ones follow.
        limbs: pairs of names to join by a line.
        roots: folders in which the images may be, the most likely one first.
        originals: other names of images, by their names in the tables.
        notes: sentences on how the files were understood.
    """

    path: Path
    format: str
    tables: Mapping[str, PoseTable]
    points: Sequence[str] = ()
    limbs: Sequence[tuple[str, str]] = ()
    roots: Sequence[Path] = ()
    originals: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def source(self, images: Path | None) -> Source:
        """The source of all rows.

        Args:
            images: the folder of the images that the user gives; None: looked for.

        Raises:
            DataError: there is no row, or the folder is none.
        """
        names = _names(self.points, self.tables.values())
        parts = [_rows(table, name, names) for name, table in self.tables.items()]
        given = [name for part in parts for name in part.images]
        shown = [_inside(name) for name in given]
        roots = self.roots if images is None else [checked_folder(images)]
        root, found = _found([shown, [self.originals.get(name, name) for name in shown], *_shortened(shown)], roots)
        cut = sum(mine != name for mine, name in zip(given, shown, strict=True))
        notes = [f"{cut} rows have an image outside {FRAMES}, whose path is taken from there on."] * bool(cut)
        index = {name: k for k, name in enumerate(names)}
        starts = np.cumsum([0, *(_last(table) for table in self.tables.values())])
        return pose_source(
            path=self.path,
            root=root,
            format=self.format,
            points=names,
            images=found,
            xy=np.concatenate([part.xy for part in parts]),
            visible=np.concatenate([part.visible for part in parts]),
            box=np.full((len(given), 4), np.nan),
            size=np.full((len(given), 2), np.nan),
            split=[""] * len(given),
            group=[video_of(name) for name in shown],
            at=[at for part in parts for at in part.at],
            line=np.concatenate([part.line + start for part, start in zip(parts, starts, strict=False)]),
            problems=[
                dataclasses.replace(problem, path=str(self.path), line=(problem.line or 0) + int(start))
                for part, start in zip(parts, starts, strict=False)
                for problem in part.problems
            ],
            limbs=[(index[one], index[two]) for one, two in self.limbs if one in index and two in index],
            notes=[*self.notes, *notes, *_notes(parts)],
        )


@dataclass(frozen=True)
class _Rows:
    images: list[str]
    xy: Floats  # (n, K, 2)
    visible: Codes  # (n, K)
    at: list[str]
    line: Rows
    problems: Sequence[Problem]
    bare: int  # images in which no animal is labelled
    ignored: int  # points whose coordinates do not count


def _names(points: Sequence[str], tables: Iterable[PoseTable]) -> list[str]:
    there = list(dict.fromkeys(part for table in tables for part in table.head.bodyparts))
    return [name for name in points if name in there] + [name for name in there if name not in points]


def _last(table: PoseTable) -> int:
    """The number of lines of a table."""
    return max([*table.lines, *(problem.line or 0 for problem in table.problems)], default=0)


def _rows(table: PoseTable, name: str, names: Sequence[str]) -> _Rows:
    """The labelled animals of a table, image by image; every image of a table of one animal."""
    people = list(table.head.places)
    count = len(table.images)
    xy = np.full((count, len(people), len(names), 2), np.nan)
    codes = np.full(xy.shape[:3], -1, dtype=np.int8)
    for k, individual in enumerate(people):
        columns = [names.index(part) for part in table.head.places[individual]]
        xy[:, k, columns], codes[:, k, columns] = table.points(individual)
    written = ~np.isnan(xy[..., 0])  # x and y are missing together
    visible = np.where(written & np.isin(codes, (-1, 2)), 2, 0).astype(np.int8)
    kept: npt.NDArray[np.bool_] = np.any(visible > 0, axis=2) | (not table.head.several)
    row, who = np.nonzero(kept)
    lines = np.array(table.lines, dtype=np.int64)[row]
    rest = [f"individual {people[k]}" if table.head.several else "" for k in who.tolist()]
    return _Rows(
        images=[table.images[k] for k in row.tolist()],
        xy=xy[row, who],
        visible=visible[row, who],
        at=[place(name, line, more, table.unit) for line, more in zip(lines.tolist(), rest, strict=True)],
        line=lines,
        problems=table.problems,
        bare=int((~kept.any(axis=1)).sum()),
        ignored=int((written & (visible == 0)).sum()),
    )


def _notes(parts: Sequence[_Rows]) -> list[str]:
    notes = []
    if bare := sum(part.bare for part in parts):
        notes.append(f"{bare} images without a labelled individual are left out.")
    if ignored := sum(part.ignored for part in parts):
        notes.append(
            f"{ignored} points have coordinates though visible is 0 or 1: they are not labels, as Lightning Pose "
            "ignores them."
        )
    return notes


def _inside(name: str) -> str:
    """The path from the folder of frames on, of one that begins before it: on the machine of the labeller."""
    _, mark, rest = name.rpartition(f"/{FRAMES}/")
    return f"{FRAMES}/{rest}" if mark else name


def video_of(name: str) -> str:
    """The folder of a frame, which has the name of its video; empty for frames that lie in one folder.

    Args:
        name: the path of the frame, with slashes.
    """
    parts = name.split("/")
    return parts[-2] if len(parts) > 2 and parts[0] == FRAMES else ""


def _shortened(names: Sequence[str]) -> list[Sequence[str]]:
    """The names without the folder of frames, and without that of the video as well where they remain different."""
    parts = [name.split("/") for name in names]
    inside = [len(part) > 1 and part[0] == FRAMES for part in parts]
    without = ["/".join(part[k:]) for part, k in zip(parts, inside, strict=True)]
    bare = [part[-1] if k else "/".join(part) for part, k in zip(parts, inside, strict=True)]
    return [without, bare] if len(set(bare)) == len(set(names)) else [without]


def _found(alternatives: Sequence[Sequence[str]], roots: Sequence[Path]) -> tuple[Path, Sequence[str]]:
    """The folder and the names by which most of some images are there; the first ones if none is."""
    step = max(1, len(alternatives[0]) // SAMPLE)
    choices = [(root, names) for names in alternatives for root in roots]
    return max(choices, key=lambda choice: _count(choice[0], choice[1][::step][:SAMPLE]))


def _count(root: Path, names: Sequence[str]) -> int:
    return sum(is_file(root, name) for name in names)
