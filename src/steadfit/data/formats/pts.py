"""The .pts files of 300-W, 300-VW, FG-NET and others: the points of one face in each file, next to its image.

``version: 1``, ``n_points: 68``, ``{``, a line ``x y`` for each point, ``}``. Coordinates count pixels from 1, so 1 is
subtracted. Points have no names; 68 points of faces have those of their layout, others those of a ``dataset.yaml`` in
the folder, which is written where it is needed. A missing point is ``nan nan``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from steadfit._files import write_bytes, write_text
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import head, parsed_once, text_at
from steadfit.data.formats.face_layouts import FGNET, IBUG, Layout, asymmetry, layout_of
from steadfit.data.formats.folders import file_names, files_below, has_table
from steadfit.data.formats.instances import Floats, pose_source
from steadfit.data.formats.pts_files import Shape, from_one, images_of_files, parsed, read_files, replaced
from steadfit.data.formats.tabular import DESCRIPTION
from steadfit.data.formats.writing import (
    codes_of,
    images_of,
    is_original,
    lost_of_schema,
    own_boxes,
    splits_of,
    warn_lost,
)
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "pts"
ABOUT = About(
    title="iBUG .pts files",
    writes=True,
    shift=-1.0,
    exif="ignore",
    images=".",
    lost=("visibility", "boxes", "splits", "groups"),
)
FOREIGN = 0.75
"""The asymmetry from which on points are not those of a face."""
_FGNET = re.compile(r"(\d{3})[aA]\d{2}[a-z]?")
_SHAPES = 200  # by which a layout is recognised


def is_one(path: Path) -> bool:
    """Whether a path is a .pts file of points, or a folder with such files."""
    if path.is_dir():
        first = None if has_table(path) else next(files_below(path, ".pts"), None)
        return first is not None and _begins(path / first)
    return path.is_file() and path.suffix.lower() == ".pts" and _begins(path)


def _begins(path: Path) -> bool:
    """Whether a file has the lines that come before the points; files of point clouds, of the same suffix, do not."""
    return any(word in head(path)[:2000].lower() for word in (b"version", b"n_points", b"{"))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The faces of all .pts files, one row for each.

    The image of a file has its name, in any case and with any suffix, and lies next to it or in a folder beside. A file
    ``<name>_2.pts`` without an image of its own is another face in the image of ``<name>``. The folders of 300-VW are
    groups, and so are the persons of FG-NET.

    Args:
        path: the folder, which is searched with the folders in it, or one file.
        images: the folder of the images; None: looked for.

    Raises:
        DataError: there are no such files, or none has points.
    """
    shapes, problems, notes = read_files(path)
    root, names, unknown = images_of_files(path, [shape.name for shape in shapes], images)
    xy = np.array([shape.xy for shape in shapes]).reshape(len(shapes), -1, 2)
    told = _told(path, xy.shape[1])
    layout = None if told else _layout(xy)
    if not told and layout is None and layout_of(xy.shape[1], "face") is not None:
        notes.append(f"The {xy.shape[1]} points are not those of a known layout of faces: they are numbered.")
    meaning = told or layout
    return pose_source(
        path=path,
        root=root,
        format=NAME,
        points=meaning.points if meaning else [str(k) for k in range(xy.shape[1])],
        images=names,
        xy=xy,
        visible=np.where(np.isnan(xy).any(axis=2), 0, 2).astype(np.int8),
        box=np.full((len(shapes), 4), np.nan),
        size=np.full((len(shapes), 2), np.nan),
        split=[""] * len(shapes),
        group=_groups([shape.name for shape in shapes]),
        at=[shape.name for shape in shapes] if path.is_dir() else ["points"] * len(shapes),
        problems=problems,
        pairs=meaning.pairs if meaning else None,
        limbs=meaning.limbs if meaning else (),
        normalizer=_length(meaning),
        notes=[*notes, *([f"{layout.title} are named."] if layout else []), *unknown],
    )


def _told(path: Path, count: int) -> Schema | None:
    """What the ``dataset.yaml`` in the folder says about the points; None without one, or where it says nothing."""
    found = Schema.discover(path) if path.is_dir() else Schema()
    if found.points and len(found.points) != count:
        raise DataError(
            f"{path / DESCRIPTION}, points: expected the names of {count} points, which the files have, got "
            f"{len(found.points)}."
        )
    return found if found.points else None


def _length(meaning: Layout | Schema | None) -> float | tuple[int, int] | None:
    """The normalising length; a column, which only a table has, is none."""
    return None if meaning is None or isinstance(meaning.normalizer, str) else meaning.normalizer


def _layout(xy: Floats) -> Layout | None:
    """The layout of the points; 68 points are iBUG's or FG-NET's, which their symmetry tells."""
    likely = layout_of(xy.shape[1], "face")
    some = xy[:: max(1, len(xy) // _SHAPES)]
    found = {layout.title: asymmetry(some, layout.pairs) for layout in _layouts(xy.shape[1])}
    best = min(_layouts(xy.shape[1]), key=lambda layout: found[layout.title], default=None)
    if best is None or any(np.isnan(value) for value in found.values()):
        return likely
    return best if found[best.title] < FOREIGN else None


def _groups(names: Sequence[str]) -> list[str]:
    """The video of each file in a folder ``annot``, or the person of each file of FG-NET; empty for neither."""
    stems = [os.path.splitext(os.path.basename(name))[0] for name in names]
    persons = [_FGNET.fullmatch(stem) for stem in stems]
    if persons and all(persons):
        return [person[1] for person in persons if person]
    parts = [name.split("/") for name in names]
    return ["/".join(part[:-2]) if len(part) > 2 and part[-2].lower() == "annot" else "" for part in parts]


def write(data: Annotations, path: Path) -> Path:
    """Write the points of each row as a .pts file, in the folders of the images.

    The first row of ``a.jpg`` is ``a.pts``, the second one ``a_2.pts``. Points with the names of a layout are written
    in its order; the meaning of others goes into a ``dataset.yaml``. Annotations that were read from .pts files are
    written into a copy of these.

    Args:
        data: the annotations.
        path: the folder; a single row may be written to a file.

    Returns:
        The folder or file.

    Raises:
        DataError: there are no points in images, or the original files have changed.

    Warns:
        DataWarning: something is lost.
    """
    images = images_of(data, ABOUT.title)
    if is_original(data, NAME):
        return _write_back(data, path)
    alone = path.suffix.lower() == ".pts"
    if alone and len(images) > 1:
        raise DataError(f"{path}: expected a folder, as a .pts file has one face, got a file's name.")
    order, known = _order(data)
    about = "" if known else _description(data.schema)
    warn_lost(data, ABOUT.title, _lost(data, schema=alone and bool(about)))
    points = data.target[:, order]
    for row, name in enumerate(_names(images)):
        write_text(_text(points[row]), path if alone else path / name)
    if about and not alone:
        write_text(about, path / DESCRIPTION)
    return path


def _description(schema: Schema) -> str:
    """The ``dataset.yaml`` of points that are not those of a layout; empty where they are only numbered."""
    length = None if isinstance(schema.normalizer, str) else schema.normalizer
    found = Schema(points=schema.points, pairs=schema.pairs, limbs=schema.limbs, normalizer=length)
    only_numbers = not schema.has_names and not (schema.pairs or schema.limbs or length)
    return "" if only_numbers else found.to_yaml()


def _order(data: Annotations) -> tuple[list[int], bool]:
    """The order of the points in the files, and whether it is that of a layout."""
    points = data.schema.points
    for layout in _layouts(len(points)):
        if set(layout.points) == set(points):
            return [points.index(name) for name in layout.points], True
    return list(range(len(points))), False


def _lost(data: Annotations, *, schema: bool) -> list[str]:
    lost = lost_of_schema(data, names=False) if schema else []
    lost += ["which points are occluded"] if data.has_occluded else []
    lost += ["boxes"] if own_boxes(data) is not None else []
    lost += ["splits"] if splits_of(data) else []
    return lost + (["groups"] if data.group is not None and any(data.group) else [])


def _names(images: Sequence[str]) -> list[str]:
    """The file of each row; the further faces of an image are numbered with numbers that no other image has."""
    first = file_names(list(dict.fromkeys(images)), ".pts")
    taken = {name.lower() for name in first.values()}
    seen: set[str] = set()
    names = []
    for image in images:
        name, number = first[image], 2
        while image in seen and name.lower() in taken:
            name, number = f"{first[image][:-4]}_{number}.pts", number + 1
        taken.add(name.lower())
        seen.add(image)
        names.append(name)
    return names


def _text(points: Floats) -> str:
    lines = [_line(x, y) for x, y in points.tolist()]
    return "\n".join(["version: 1", f"n_points: {len(lines)}", "{", *lines, "}", ""])


def _line(x: float, y: float) -> str:
    return f"{from_one(x)} {from_one(y)}"


def _write_back(data: Annotations, path: Path) -> Path:
    """A copy of the original files, in which only the lines of changed points differ."""
    original = Path(data.path)
    names = [] if data.at is None else data.at.tolist()
    points = np.where((codes_of(data) > 0)[:, :, None], data.target, np.nan)
    for row, name in enumerate(names):
        file = original / name if original.is_dir() else original
        goal = path / name if original.is_dir() else path if path.suffix.lower() == ".pts" else path / original.name
        with parsed_once():
            shape = parsed(name, text_at(file))
            place = _places(data, len(shape.xy), file)
            write_text(_edited(shape, text_at(file), points[row], place), goal)
    if original.is_dir():
        good = {shape.name for shape in read_files(original)[0]}
        for name in {*files_below(original, ".pts")} - good:  # what was left out as bad
            write_bytes((original / name).read_bytes(), path / name)
        if (original / DESCRIPTION).is_file():
            write_bytes((original / DESCRIPTION).read_bytes(), path / DESCRIPTION)
    return path if original.is_dir() or path.suffix.lower() == ".pts" else path / original.name


def _places(data: Annotations, count: int, file: Path) -> list[int]:
    """The place in the file of each point."""
    original = Path(data.path)
    told = _told(original, count)
    numbers = tuple(str(k) for k in range(count))
    known = [told.points] if told else [*(one.points for one in _layouts(count)), numbers]
    for points in known:
        if set(data.schema.points) <= set(points):
            return [points.index(name) for name in data.schema.points]
    raise DataError(f"{file}: expected the points that were read, got {count} others. The file has changed.")


def _layouts(count: int) -> list[Layout]:
    found = layout_of(count, "face")
    return [IBUG, FGNET] if found is IBUG else [found] if found else []


def _edited(shape: Shape, text: str, points: Floats, places: Sequence[int]) -> str:
    before = shape.xy[places]
    changed = ~((before == points) | (np.isnan(before) & np.isnan(points))).all(axis=1)
    moved = {places[k]: points[k] for k in np.flatnonzero(changed).tolist()}
    return replaced(text, shape, {place: _line(x, y) for place, (x, y) in moved.items()}) if moved else text
