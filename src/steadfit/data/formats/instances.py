"""Annotated instances (persons, animals, faces) as a format's reader finds them, turned into a :class:`Source`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from steadfit.data.formats.expect import Misfit
from steadfit.data.tables.cells import Cells, RawTable
from steadfit.data.tables.pairs import pairs_of_names
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]
Rows = npt.NDArray[np.int64]
Pairs: TypeAlias = Sequence[tuple[int, int]]
Box: TypeAlias = tuple[float, float, float, float]

BOX = ("box_left", "box_top", "box_width", "box_height")
"""The columns of boxes that a format gives."""
MARGIN = 0.25
"""What is added on each side of a box that is made of points, as a share of its longer side."""


@dataclass(frozen=True)
class Point:
    """A point of an instance.

    Args:
        x: in px, the centre of the first pixel is 0.
        y: in px.
        visible: 0 absent (then x and y do not count), 1 occluded, 2 visible.
    """

    x: float
    y: float
    visible: int = 2


@dataclass(kw_only=True)
class Instances:
    """The instances of a set, collected row by row; a bad row becomes a problem with its place.

    A point is identified by its name. Names that are not known from the file's head are added in the order in which
    they occur.

    Args:
        path: the file or folder that is read.
        format: the format's name.
        points: names of points that the file gives beforehand.
    """

    path: Path
    format: str
    points: Sequence[str] = ()
    _images: list[str] = field(default_factory=list)
    _points: list[Mapping[str, Point]] = field(default_factory=list)
    _boxes: list[Box | None] = field(default_factory=list)
    _sizes: list[tuple[float, float] | None] = field(default_factory=list)
    _splits: list[str] = field(default_factory=list)
    _groups: list[str] = field(default_factory=list)
    _at: list[str] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)
    _files: list[str] = field(default_factory=list)
    _problems: list[Problem] = field(default_factory=list)
    _number: int = 0

    @contextmanager
    def row(self, at: str, *, file: str | os.PathLike[str] | None = None, line: int | None = None) -> Iterator[None]:
        """One row: what does not fit in this block becomes a problem, and the row is left out.

        Args:
            at: the place in the file, such as ``annotations[3]``; empty where a line says it.
            file: the file of the row, for a format of several files; None for ``path``.
            line: the line in the file; None: rows are numbered.
        """
        self._number += 1
        try:
            yield
        except Misfit as error:
            number = self._number if line is None else line
            lines = not at and line is not None and file is None and not error.where.startswith("line ")
            place = _place(f"line {line}" if lines else at, error.where)
            self._problems.append(Problem(str(file or self.path), number, None, error.reason, place))

    def add(
        self,
        image: str,
        points: Mapping[str, Point],
        *,
        at: str = "",
        file: str | os.PathLike[str] | None = None,
        line: int | None = None,
        box: Box | None = None,
        size: tuple[float, float] | None = None,
        split: str = "",
        group: str = "",
    ) -> None:
        """Add a row, in the block of :meth:`row`.

        Args:
            image: the path of the image, relative to the images' root.
            points: the points by name; those that are absent may be left out.
            at: as for :meth:`row`.
            file: as for :meth:`row`.
            line: as for :meth:`row`.
            box: left, top, width and height in px; None where the file has none.
            size: width and height of the image in px; None where the file has none.
            split: a word for training, validation or test; empty for none.
            group: what belongs together apart from the image, such as a video; empty for none.
        """
        self._images.append(image)
        self._points.append(points)
        self._boxes.append(box)
        self._sizes.append(size)
        self._splits.append(split)
        self._groups.append(group)
        self._at.append(at)
        self._lines.append(self._number if line is None else line)
        self._files.append(str(file or self.path))

    def __len__(self) -> int:
        return len(self._images)

    @property
    def names(self) -> list[str]:
        """The names of all points, in the order of the file's head and then of the rows."""
        return list(dict.fromkeys([*self.points, *(name for found in self._points for name in found)]))

    def source(
        self,
        root: Path,
        *,
        pairs: Pairs | None = None,
        limbs: Pairs = (),
        normalizer: float | tuple[int, int] | None = None,
        notes: Sequence[str] = (),
    ) -> Source:
        """The source of all rows.

        Args:
            root: the folder to which the paths of images are relative.
            pairs: left and right points, as indices; None: by their names.
            limbs: points to join by a line, as indices.
            normalizer: the normalising length: a number of px or two points.
            notes: sentences on how the file was understood.

        Raises:
            DataError: there is no row, or no point in any of them.
        """
        names = self.names
        place = {name: k for k, name in enumerate(names)}
        xy = np.full((len(self), len(names), 2), np.nan)
        visible = np.zeros((len(self), len(names)), dtype=np.int8)
        for row, found in enumerate(self._points):
            for name, point in found.items():
                if point.visible:
                    xy[row, place[name]] = point.x, point.y
                    visible[row, place[name]] = point.visible
        several = len(set(self._files)) > 1
        return pose_source(
            path=self.path,
            root=root,
            format=self.format,
            points=names,
            images=self._images,
            xy=xy,
            visible=visible,
            box=np.array([box or (np.nan,) * 4 for box in self._boxes]).reshape(-1, 4),
            size=np.array([size or (np.nan,) * 2 for size in self._sizes]).reshape(-1, 2),
            split=self._splits,
            group=self._groups,
            at=self._at if any(self._at) else None,
            line=np.array(self._lines, dtype=np.int64),
            files=self._files if several and not any(self._at) else None,
            problems=self._problems,
            pairs=pairs,
            limbs=limbs,
            normalizer=normalizer,
            notes=notes,
        )


def _place(at: str, where: str) -> str:
    """A place in a row: ``annotations[3].keypoints``, or ``line 3, x of nose`` where rows are lines."""
    mark = ", " if "line " in at or " of " in where else "."
    return mark.join(part for part in (at, where) if part)


def pose_source(
    *,
    path: Path,
    root: Path,
    format: str,
    points: Sequence[str],
    images: Sequence[str],
    xy: Floats,
    visible: Codes,
    box: Floats,
    size: Floats,
    split: Sequence[str],
    group: Sequence[str],
    at: Sequence[str] | None,
    line: Rows | None = None,
    files: Sequence[str] | None = None,
    problems: Sequence[Problem] = (),
    pairs: Pairs | None = None,
    limbs: Pairs = (),
    normalizer: float | tuple[int, int] | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """A source from arrays of N instances with K points.

    Boxes are those of the file; a row without one gets a box around its points. Where the file has no boxes at all the
    network sees whole images, or boxes around the points if an image has several instances.

    Args:
        path: the file or folder that was read.
        root: the folder to which the paths of images are relative.
        format: the format's name.
        points: K names.
        images: N paths; backslashes become slashes.
        xy: (N, K, 2) in px, the centre of the first pixel is (0, 0); NaN = not annotated.
        visible: (N, K) 0 absent, 1 occluded, 2 visible; a point with 0 is not annotated.
        box: (N, 4) left, top, width and height in px, NaN for none.
        size: (N, 2) width and height of the images in px, NaN for unknown.
        split: N words, empty for none; they are used if every row has one.
        group: N words for what belongs together apart from images, empty for none.
        at: N places in the file; None where lines name the rows.
        line: (N,) the lines; None: rows are numbered from 1.
        files: N files where each row is one; None for one file.
        problems: of rows that are not among the N.
        pairs: left and right points, as indices; None: by their names.
        limbs: points to join by a line, as indices.
        normalizer: the normalising length: a number of px or two points.
        notes: sentences on how the file was understood.

    Raises:
        DataError: there is no row, or there are no points.
    """
    if not len(images):
        first = f" The first problem: {problems[0]}" if problems else ""
        raise DataError(f"{path}: expected annotations with points, got none.{first}")
    if not points:
        raise DataError(f"{path}: expected names of points, got none in {len(images)} annotations.")
    boxes = not np.isnan(box).all()
    cells = _cells(images, np.where((visible > 0)[:, :, None], xy, np.nan), visible, box if boxes else None)
    if all(split):
        cells["split"] = list(split)
    several = len(set(images)) < len(images)
    numbers = np.arange(len(images), dtype=np.int64)
    table = RawTable(
        path=path,
        cells=cells,
        line=numbers + 1 if line is None else line,
        row=numbers,
        problems=tuple(problems),
        names={f"{axis}{k}": f"{axis} of {name}" for k, name in enumerate(points) for axis in "xyv"},
        files=files,
        at=at,
        instances=True,
    )
    schema = Schema(
        points=tuple(points),
        pairs=tuple(pairs if pairs is not None else pairs_of_names(points)),
        limbs=tuple(limbs),
        normalizer=normalizer,
        visibility="codes",
        box=BOX if boxes else "points" if several else None,
    )
    return Source(
        table,
        schema,
        root,
        size=None if np.isnan(size).all() else size,
        group=list(group) if any(group) else None,
        notes=(*notes, *_box_notes(box, boxes, several)),
        format=format,
    )


def _cells(images: Sequence[str], xy: Floats, visible: Codes, box: Floats | None) -> dict[str, Cells]:
    """The columns of a table of N instances with K points."""
    cells: dict[str, Cells] = {"image": [name.replace("\\", "/") for name in images]}
    cells |= {f"{axis}{k}": xy[:, k, d] for k in range(xy.shape[1]) for d, axis in enumerate("xy")}
    cells |= {f"v{k}": visible[:, k].astype(np.float64) for k in range(xy.shape[1])}
    return cells if box is None else cells | dict(zip(BOX, filled_boxes(box, xy).T, strict=True))


def filled_boxes(box: Floats, xy: Floats) -> Floats:
    """Boxes (N, 4) with one around the points of each row that has none; NaN for a row of less than two points apart.

    Sides have nine decimals, so that formats of corners or percents give the same numbers again.

    Args:
        box: (N, 4) left, top, width and height in px, NaN for none.
        xy: (N, K, 2) in px, NaN = not annotated.
    """
    labelled = ~np.isnan(xy).all(axis=(1, 2))
    rows = np.flatnonzero(np.isnan(box).any(axis=1) & labelled)
    low, high = np.nanmin(xy[rows], axis=1), np.nanmax(xy[rows], axis=1)  # (n, 2)
    span = (high - low).max(axis=1, keepdims=True, initial=0)  # (n, 1)
    around = np.concatenate([low - MARGIN * span, high - low + 2 * MARGIN * span + 1], axis=1).round(9)
    filled = box.copy()
    filled[rows] = np.where(span >= 1, around, np.nan)
    return filled


def _box_notes(box: Floats, boxes: bool, several: bool) -> list[str]:
    bare = int(np.isnan(box).any(axis=1).sum())
    if boxes and bare:
        return [f"{bare} of {len(box)} rows have no box and get one around their points."]
    if not boxes and several:
        return ["Some images have several instances and none has a box: each is seen in a box around its points."]
    return []
