"""YOLO-pose: a ``data.yaml``, images, and a text file of labels for each image.

A line is ``class cx cy width height (x y [v]) * K``, all as shares of the image's width and height, so images are
needed for their sizes. Nothing is added to x times the width: the exporters of annotation tools divide indices of
pixels. With ``kpt_shape: [K, 2]`` the point 0, 0 is missing, with ``[K, 3]`` one with v = 0. ``download`` in a
``data.yaml`` is never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from steadfit.data.formats.about import About
from steadfit.data.formats.instances import Floats, pose_source
from steadfit.data.formats.yolo_rows import NAME, TITLE, Row, read_rows
from steadfit.data.formats.yolo_sets import YoloSet, bare_set, description_in
from steadfit.data.formats.yolo_writing import image_places, write
from steadfit.data.tables.pairs import pairs_of_names
from steadfit.data.tables.source import Source

__all__ = ["ABOUT", "NAME", "image_places", "is_one", "read", "write"]

ABOUT = About(
    title=TITLE,
    writes=True,
    sample="description",
    images=".",
    lost=("points outside their image", "groups", "normalising length"),
)


def is_one(path: Path) -> bool:
    """Whether a path is a ``data.yaml`` of YOLO, a folder with one, or one with images and labels of points."""
    return description_in(path) is not None or (path.is_dir() and bare_set(path) is not None)


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances of a YOLO set, one row for each line of its label files.

    Points of classes with different names are joined by name. Equal lines of a file count once, as for Ultralytics;
    images without labels are counted in ``notes``.

    Args:
        path: the ``data.yaml``, or its folder.
        images: the folder of the images; None: that of the ``data.yaml``.

    Raises:
        DataError: the ``data.yaml`` cannot be read, describes no points, or leads to no images.
    """
    found = read_rows(path, images)
    described, rows = found.described, found.rows
    names, xyv = _joined(described, rows)
    size = [(np.nan, np.nan) if row.size is None else row.size for row in rows]
    box = [(np.nan,) * 4 if row.line.box is None or not described.own_boxes else row.line.box for row in rows]
    return pose_source(
        path=described.file or path,
        root=found.places.root,
        format=NAME,
        points=names,
        images=[row.place.name for row in rows],
        xy=xyv[:, :, :2],
        visible=xyv[:, :, 2].astype(np.int8),
        box=np.array(box).reshape(-1, 4),
        size=np.array(size).reshape(-1, 2),
        split=[row.place.split for row in rows],
        group=[""] * len(rows),
        at=[row.at for row in rows],
        line=np.array([row.order for row in rows], dtype=np.int64),
        problems=found.problems,
        pairs=_pairs(described, names),
        limbs=_by_name(described, described.limbs, names),
        notes=[*described.notes, *found.places.notes, *found.notes()],
    )


def _joined(described: YoloSet, rows: Sequence[Row]) -> tuple[list[str], Floats]:
    """The names of the points of all classes that occur, and x, y, v (N, K, 3) of the rows."""
    layouts = list(dict.fromkeys(described.points_of(row.line.number) for row in rows)) or [described.names[None]]
    names = list(dict.fromkeys(name for points in layouts for name in points))
    xyv = np.full((len(rows), len(names), 3), np.nan)
    xyv[:, :, 2] = 0
    columns = {points: [names.index(name) for name in points] for points in layouts}
    for number, row in enumerate(rows):
        points = described.points_of(row.line.number)
        xyv[number, columns[points]] = row.line.xyv[: len(points)]
    return names, xyv


def _pairs(described: YoloSet, names: Sequence[str]) -> list[tuple[int, int]] | None:
    """Mirror pairs of ``flip_idx``, the left one first where names tell; None where only names tell them."""
    flip = described.flip
    if flip is None or (described.prefix is None and list(flip) == list(range(len(flip)))):
        return None  # exporters that know no pairs write 0, 1, 2, ...
    sides = dict(pairs_of_names(names))
    pairs = _by_name(described, [(k, other) for k, other in enumerate(flip) if k < other], names)
    return [(right, left) if sides.get(right) == left else (left, right) for left, right in pairs]


def _by_name(described: YoloSet, pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of points of every class, as numbers among the joined names; each point at most once a class."""
    found: dict[tuple[int, int], None] = {}
    for points in described.names.values():
        for pair in pairs:
            if all(k < len(points) and points[k] in names for k in pair):
                found[names.index(points[pair[0]]), names.index(points[pair[1]])] = None
    return list(found)
