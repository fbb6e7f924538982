"""CVAT XML 1.1, "for images" and "for video": skeletons, or plain points.

CVAT's exporters to COCO keep its coordinates as they are, and so does this reader. ``outside="1"`` is a missing point,
whatever coordinates it has; ``occluded="1"`` an occluded one. In a video only key frames are labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from steadfit.data.formats.about import About
from steadfit.data.formats.cvat_frames import frames_of
from steadfit.data.formats.cvat_labels import limbs_of_labels, names_of_labels
from steadfit.data.formats.cvat_shapes import Drafts, box_of, drafts, marks
from steadfit.data.formats.cvat_writing import write_cvat
from steadfit.data.formats.documents import head, is_xml, xml_at
from steadfit.data.formats.image_names import found_names
from steadfit.data.formats.instances import Instances
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.source import Source

NAME = "cvat"
ABOUT = About(
    title="CVAT XML 1.1",
    writes=True,
    sample="description",
    lost=("mirror pairs that no names tell", "normalising length", "rows without points and box"),
)
FILE = "annotations.xml"


def is_one(path: Path) -> bool:
    """Whether a path is a CVAT XML file, or the folder of an export, which contains one."""
    file = _file(path)
    return is_xml(file) and b"<annotations" in head(file).replace(b"\0", b"") and xml_at(file).tag == "annotations"


def _file(path: Path) -> Path:
    return path / FILE if path.is_dir() else path


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances of a CVAT file, one row for each skeleton, or for each group of plain points.

    Points have the names of their labels; a plain shape of several points has none, its points are numbered from 0. A
    skeleton gets the ``box`` that has its ``group_id``. A project's subsets are splits. In tracks a row is a key frame:
    interpolated points and frames, and those where everything is outside, are left out, which ``notes`` count. Frames
    of a video are looked for as ``frame_000012.png`` (or ``.PNG``, ``.jpg``), in the folder of the task's name, too.

    Args:
        path: the file, or the folder of an export.
        images: the folder of the images; None: looked for near the file.

    Raises:
        DataError: the file is not XML.
    """
    file = _file(path)
    root = xml_at(file)
    found = drafts(root, frames_of(root))
    names = names_of_labels(root)
    folder, image_names = found_names(file, [draft.frame.names or ("",) for draft in found.rows], images)
    known = dict.fromkeys(name for label in found.labels for name in names.get(label, ()))
    rows = Instances(path=file, format=NAME, points=list(known))
    for draft, image in zip(found.rows, image_names, strict=True):
        with rows.row(draft.at):
            if draft.frame.problem is not None:
                raise draft.frame.problem
            points = {name: mark.point for name, mark in marks(draft, found, names).items()}
            rows.add(
                image,
                points,
                at=draft.at,
                box=box_of(draft),
                size=draft.frame.size,
                split=draft.frame.split,
                group=draft.group or draft.frame.group,
            )
    limbs = limbs_of_labels(root, found.labels, rows.names)
    return rows.source(folder, limbs=limbs, notes=_notes(root, found))


def _notes(root: Element, found: Drafts) -> Sequence[str]:
    used = {draft.frame.key for draft in found.rows}
    images = [f"image[{k}]" for k in range(len(root.findall("image")))]
    notes = [f"{count} {what} are left out." for what, count in sorted(found.left_out.items()) if count]
    bare = sum(key not in used for key in images)
    notes += [f"{bare} of {len(images)} images have no instance with points."] * bool(bare)
    if found.counts:
        notes.append("Shapes of several points have no names: their points are numbered in the order of the file.")
    if root.find("track") is not None and not images:
        notes.append(
            "The file does not name the frames of the video: they are looked for as frame_000000.png and so on."
        )
    return notes


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as CVAT XML "for images": skeletons, with a box of the same group where there is one.

    The labels that the task in CVAT needs beforehand are in ``cvat_labels.json``, for its label constructor. A missing
    point is ``outside`` in the middle of the others. Annotations that were read from a CVAT file are written
    into a copy of it, in which only the attributes of points that changed differ. Rows that are no longer there are
    left out of it.

    Args:
        data: the annotations.
        path: the file, or a folder, which gets ``annotations.xml``.

    Returns:
        The file.

    Raises:
        DataError: there are no points in images, the original file has changed, or the folder has the labels of other
            points.

    Warns:
        DataWarning: something is lost.
    """
    file = path if path.suffix.lower() == ".xml" else path / FILE
    return write_cvat(data, file, NAME, ABOUT.title)
