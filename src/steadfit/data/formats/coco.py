"""COCO keypoints: a JSON file with ``images``, ``annotations`` and ``categories``.

``keypoints`` are triples x, y, v in px of the image; v = 0 not labelled, 1 labelled but occluded, 2 visible. The
official coordinates are indices of pixels, so nothing is added. ``skeleton`` counts points from 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit._files import write_text
from steadfit.data.formats.about import About
from steadfit.data.formats.coco_entries import OCCLUDED, VISIBLE, Entries, Image, Row, read_entries
from steadfit.data.formats.documents import is_json, json_at, text_at
from steadfit.data.formats.face_layouts import layout_of
from steadfit.data.formats.instances import Floats, pose_source
from steadfit.data.formats.roots import images_root
from steadfit.data.formats.writing import (
    codes_of,
    images_of,
    is_original,
    json_text,
    lost_of_schema,
    own_boxes,
    plain_number,
    splits_of,
    warn_lost,
    whole_boxes_of,
)
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "coco"
ABOUT = About(
    title="COCO keypoints (JSON)", writes=True, lost=("mirror pairs that no names tell", "normalising length")
)


def is_one(path: Path) -> bool:
    """Whether a path is a JSON file with COCO's lists of images and annotations."""
    content = json_at(path) if is_json(path) else None
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances of a COCO file, one row for each annotation with key points.

    Crowds and annotations without key points are left out, which ``notes`` count. Categories with the same names of
    points are one; with others, points are joined by name. A category without names has the numbers of its points.
    Rows keep their annotation's ``bbox``, unless ``info`` says ``"boxes": "points"``: then they were made around the
    points by :func:`write`. An image's ``split`` and ``video_id``, which COCO does not know, are used.

    Args:
        path: the file.
        images: the folder of the images; None: looked for near the file.

    Raises:
        DataError: the file is not JSON, or its lists are not those of COCO.
    """
    return read_parts(path, [Part(path)], images)


@dataclass(frozen=True)
class Part:
    """A COCO file of a set that has several.

    Args:
        file: the JSON file.
        folder: the folder of its images relative to the root of the set's images; empty for the root.
        split: the split of its images; empty where the file itself may say it.
    """

    file: Path
    folder: str = ""
    split: str = ""


def read_parts(path: Path, parts: Sequence[Part], images: Path | None, *, format: str = NAME) -> Source:
    """The instances of one or several COCO files as one set; see :func:`read`.

    Args:
        path: the file, or the folder of the files.
        parts: the files.
        images: the folder of the images; None: looked for near ``path``.
        format: the name of the format.

    Raises:
        DataError: as for :func:`read`.
    """
    found = _together(path, [(part, read_entries(part.file, json_at(part.file))) for part in parts])
    rows = found.rows
    entries = [row.image for row in rows]
    names, xyv = _joined(found)
    return pose_source(
        path=path,
        root=images_root(path, [image.name for image in entries], images),
        format=format,
        points=names,
        images=[image.name for image in entries],
        xy=xyv[:, :, :2],
        visible=xyv[:, :, 2].astype(np.int8),
        box=np.array([row.box or (np.nan,) * 4 for row in rows]).reshape(-1, 4),
        size=np.array([image.size or (np.nan,) * 2 for image in entries]).reshape(-1, 2),
        split=[image.split for image in entries],
        group=[image.group for image in entries],
        at=[row.at for row in rows],
        line=np.array([row.line for row in rows], dtype=np.int64),
        problems=found.problems,
        limbs=_limbs(rows, names),
        normalizer=_normalizer(names),
        notes=[*found.notes, *_notes(xyv), *_limb_notes(rows)],
    )


def _together(path: Path, parts: Sequence[tuple[Part, Entries]]) -> Entries:
    """The rows of all files, with the paths of their images relative to one root."""
    rows: list[Row] = []
    notes: list[str] = []
    before = 0
    for part, found in parts:
        file = "" if part.file == path else part.file.relative_to(path).as_posix()
        moved: dict[int, Image] = {}
        for row in found.rows:
            if id(row.image) not in moved:
                name = f"{part.folder}/{row.image.name}" if part.folder else row.image.name
                moved[id(row.image)] = row.image._replace(name=name, split=part.split or row.image.split)
            rows.append(row._replace(image=moved[id(row.image)], file=file, before=before))
        notes += [f"{file}: {note}" if file else note for note in found.notes]
        before += found.total
    triples = [values for _, found in parts for values in found.triples]
    return Entries(rows, triples, [problem for _, found in parts for problem in found.problems], notes, before)


def _joined(found: Entries) -> tuple[list[str], Floats]:
    """The names of the points of all categories, and x, y, v (N, K, 3) of the rows."""
    rows = found.rows
    layouts = list(dict.fromkeys(row.category.points for row in rows))
    names = list(dict.fromkeys(name for points in layouts for name in points))
    if len(layouts) == 1:
        return names, np.array(found.triples).reshape(len(rows), -1, 3)
    xyv = np.zeros((len(rows), len(names), 3))
    for number, (row, triples) in enumerate(zip(rows, found.triples, strict=True)):
        xyv[number, [names.index(name) for name in row.category.points]] = triples
    return names, xyv


def _limbs(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[int, int]]:
    """The limbs of all categories; one of a point that is not there is left out."""
    found: dict[tuple[int, int], None] = {}
    for category in dict.fromkeys(row.category for row in rows):
        points = category.points
        for ends in category.skeleton:
            if ends[0] != ends[1] and all(0 <= end < len(points) for end in ends):
                found[names.index(points[ends[0]]), names.index(points[ends[1]])] = None
    return list(found)


def _limb_notes(rows: Sequence[Row]) -> list[str]:
    categories = dict.fromkeys(row.category for row in rows)
    far = sum(not all(0 <= end < len(one.points) for end in limb) for one in categories for limb in one.skeleton)
    return [f"{far} limbs are left out: the skeleton counts points from 1, and they name others."] * bool(far)


def _normalizer(names: Sequence[str]) -> tuple[int, int] | None:
    """The normalising length of a face whose layout is known."""
    layout = layout_of(len(names), "face")
    return layout.normalizer if layout is not None and tuple(names) == layout.points else None


def _notes(xyv: Floats) -> list[str]:
    """What is odd about the visibility of the points (N, K, 3)."""
    visible, origin = xyv[:, :, 2], (xyv[:, :, :2] == 0).all(axis=2)
    notes = []
    if ignored := int(((visible == 0) & ~origin & ~np.isnan(xyv).any(axis=2)).sum()):
        notes.append(f"{ignored} points have v = 0 and coordinates, which are not used: v = 0 means not labelled.")
    if corner := int(((visible > 0) & origin).sum()):
        notes.append(f"{corner} points have v > 0 at exactly (0, 0): they are taken for labels.")
    if (visible == OCCLUDED).any() and not (visible == VISIBLE).any():
        notes.append("Every labelled point has v = 1, occluded: a program that knows only 0 and 1 may have written it.")
    return notes


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as COCO keypoints.

    Annotations that were read from a COCO file are written back into a copy of it: only their key points change, and
    everything else in the file stays. Rows that are no longer there are left out of it.

    Args:
        data: the annotations.
        path: the file, or a folder, which gets ``annotations.json``.

    Returns:
        The file.

    Raises:
        DataError: there are no points in images, or the original file has changed.

    Warns:
        DataWarning: something is lost.
    """
    images_of(data, ABOUT.title)
    file = path if path.suffix.lower() == ".json" else path / "annotations.json"
    if is_original(data, NAME):
        return write_text(_edited(data), file)
    warn_lost(data, ABOUT.title, lost_of_schema(data, limbs=True))
    return write_text(json_text(_document(data)), file)


def _document(data: Annotations) -> dict[str, Any]:
    names, splits, codes, boxes = images_of(data, ABOUT.title), splits_of(data), codes_of(data), whole_boxes_of(data)
    number = {name: k + 1 for k, name in enumerate(dict.fromkeys(names))}
    entries: dict[str, dict[str, Any]] = {}
    for row, name in enumerate(names):
        entry: dict[str, Any] = {"id": number[name], "file_name": name}
        if data.size is not None and not np.isnan(data.size[row]).any():
            entry |= {"width": int(data.size[row, 0]), "height": int(data.size[row, 1])}
        entry |= {"split": splits[row]} if splits else {}
        entry |= {"video_id": str(data.group[row])} if data.group is not None and data.group[row] else {}
        entries.setdefault(name, entry)
    annotations = []
    for row, name in enumerate(names):
        annotation: dict[str, Any] = {
            "id": row + 1,
            "image_id": number[name],
            "category_id": 1,
            "iscrowd": 0,
            "num_keypoints": int((codes[row] > 0).sum()),
            "keypoints": _flat(data.target[row], codes[row]),
        }
        if not np.isnan(boxes[row]).any():
            sides = [plain_number(side) for side in boxes[row].tolist()]
            annotation |= {"bbox": sides, "area": plain_number(float(boxes[row, 2] * boxes[row, 3]))}
        annotations.append(annotation)
    limbs = [[first + 1, second + 1] for first, second in data.schema.limbs]
    category = {"id": 1, "name": "instance", "keypoints": list(data.schema.points), "skeleton": limbs}
    content = {"images": list(entries.values()), "annotations": annotations, "categories": [category]}
    return content if own_boxes(data) is not None or np.isnan(boxes).all() else {"info": {"boxes": "points"}} | content


def _flat(target: Floats, codes: npt.NDArray[np.int8]) -> list[int | float]:
    """x, y, v of each point; 0, 0, 0 for one that is not labelled."""
    found: list[int | float] = []
    for (x, y), code in zip(target.tolist(), codes.tolist(), strict=True):
        found += [plain_number(x), plain_number(y), code] if code else [0, 0, 0]
    return found


def _edited(data: Annotations) -> str:
    """The original file with the key points of these rows."""
    original, content = Path(data.path), json_at(Path(data.path))
    found = read_entries(original, content)
    by_place = {row.place: (row, triples) for row, triples in zip(found.rows, found.triples, strict=True)}
    codes, images = codes_of(data), images_of(data, ABOUT.title)
    index = {name: k for k, name in enumerate(data.schema.points)}
    places = [] if data.at is None else [int(re.sub(r"\D", "", place)) for place in data.at.tolist()]
    for number, place in enumerate(places):
        if place not in by_place or images[number] != by_place[place][0].image.name.replace("\\", "/"):
            raise DataError(
                f"{original}, annotations[{place}]: expected the annotation that was read, got another one. The file "
                "has changed: read it again."
            )
        row, before = by_place[place]
        mine = [index.get(name, -1) for name in row.category.points]
        _edit(
            content["annotations"][place], before, data.target[number, mine], codes[number, mine], np.array(mine) >= 0
        )
    dropped = set(by_place) - set(places)
    content["annotations"] = [entry for place, entry in enumerate(content["annotations"]) if place not in dropped]
    return json_text(content, text_at(original))


def _edit(
    entry: dict[str, Any], triples: Floats, target: Floats, codes: npt.NDArray[np.int8], known: npt.NDArray[np.bool_]
) -> None:
    """Write the known ones of K points into an annotation, where they differ from its own."""
    before = np.where(triples[:, 2:] > 0, triples[:, :2], np.nan)
    same = ((target == before) | (np.isnan(target) & np.isnan(before))).all(axis=1) & (codes == triples[:, 2])
    changed = np.flatnonzero(known & ~same).tolist()
    for k in changed:
        entry["keypoints"][3 * k : 3 * k + 3] = _flat(target[k : k + 1], codes[k : k + 1])
    if changed and "num_keypoints" in entry:
        entry["num_keypoints"] = sum(bool(code) for code in entry["keypoints"][2::3])
