"""Label Studio JSON: exports with all keys or the minimal ones, old ``completions``, tasks with predictions.

Coordinates are percents of the image; Label Studio's exporters to COCO only multiply them by its size, and so does this
reader. There is no visibility: a point that is not there is missing. Our own writer notes occluded points in ``meta``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from steadfit.data.formats.about import About
from steadfit.data.formats.documents import is_json, json_at, xml_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.image_names import found_names, names_of_address
from steadfit.data.formats.instances import Instances, Point
from steadfit.data.formats.labelstudio_people import Person, people
from steadfit.data.formats.labelstudio_tasks import Work, Works, address_of, is_task, works
from steadfit.data.formats.labelstudio_values import box_of, place_of, size_of
from steadfit.data.formats.labelstudio_writing import CONFIG, write_labelstudio
from steadfit.data.images.sizes import image_size
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.source import Source
from steadfit.data.tables.splits import SPLIT_WORDS

NAME = "labelstudio"
ABOUT = About(
    title="Label Studio JSON",
    writes=True,
    sample="description",
    lost=("limbs", "mirror pairs that no names tell", "normalising length", "rows without points and box"),
)
FILE = "annotations.json"
LOOKED_AT = 20
"""The number of tasks by which a file is recognised."""


def is_one(path: Path) -> bool:
    """Whether a path is a JSON file of Label Studio's tasks, or of one."""
    content = json_at(path) if is_json(path) else None
    return any(map(is_task, content[:LOOKED_AT] if isinstance(content, list) else [content]))


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances of a Label Studio file.

    The key points of a rectangle (by ``parentID`` or a relation) are a row, with the rectangle as its box. Without
    rectangles an annotation is a row. Several annotations of a task are several rows of its image. Predictions are read
    only where no task has an annotation. The names of points are in the order of ``labelstudio_config.xml`` if that
    file is there, else as they occur. A task's ``split`` and ``group`` or ``video`` in ``data`` are used.

    Args:
        path: the file.
        images: the folder of the images; None: looked for near the file. Their names are the ends of the addresses in
            the tasks; Label Studio's eight digits before the name of an uploaded file may be there or not.

    Raises:
        DataError: the file is not JSON, or its tasks are none.
    """
    found = works(path, json_at(path))
    addresses = [_address(work) for work in found.rows]
    variants = [names_of_address(one) if isinstance(one, str) else [""] for one in addresses]
    folder, names = found_names(path, variants, images)
    rows = Instances(path=path, format=NAME)
    bare = 0
    for work, address, name in zip(found.rows, addresses, names, strict=True):
        persons: list[Person] = []
        with rows.row(work.at):
            if isinstance(address, Misfit):
                raise address
            persons = people(work, found)
            bare += not persons
        for person in persons:
            with rows.row(person.at):
                _add(rows, work, person, folder, name)
    rows.points = _configured(path.parent / CONFIG, rows.names)
    return rows.source(folder, notes=[*found.notes, *_notes(found, bare)])


def _address(work: Work) -> str | Misfit:
    try:
        return address_of(work)
    except Misfit as error:
        return error


def _add(rows: Instances, work: Work, person: Person, folder: Path, name: str) -> None:
    entries = [*([person.frame.entry] if person.frame else []), *(mark.entry for mark in person.points.values())]
    usual = None if all("original_width" in entry for entry in entries) else image_size(folder, name)
    data = work.task["data"] if isinstance(work.task.get("data"), dict) else work.task
    split, group = data.get("split"), data.get("group", data.get("video"))
    rows.add(
        name,
        {key: Point(*place_of(mark, usual), mark.visible) for key, mark in person.points.items()},
        at=person.at,
        box=box_of(person.frame, usual),
        size=size_of(entries[0], usual),
        split=split if isinstance(split, str) and split.strip().lower() in SPLIT_WORDS else "",
        group=str(group) if isinstance(group, str | int) else "",
    )


def _configured(path: Path, names: Sequence[str]) -> Sequence[str]:
    """The names in the order of a labelling configuration, if it has all of them."""
    if not path.is_file():
        return names
    controls = [*xml_at(path).iter("KeyPointLabels"), *xml_at(path).iter("Labels")]
    listed = [label.get("value", "") for control in controls for label in control.iter("Label")]
    return list(dict.fromkeys(listed)) if set(names) <= set(listed) else names


def _notes(found: Works, bare: int) -> list[str]:
    notes = [f"{bare} annotations have no key points."] * bool(bare)
    tasks = {id(work.task) for work in found.rows}
    if several := len(found.rows) - len(tasks):
        notes.append(f"{several} annotations are further ones of their tasks: each is a row of its own.")
    if found.hidden:
        notes.append(f"{found.hidden} key points are hidden in Label Studio, which says nothing of the image.")
    return notes + [f"{count} {what} are left out." for what, count in sorted(found.left_out.items()) if count]


def write(data: Annotations, path: Path) -> Path:
    """Write annotations of points as tasks for Label Studio, and the labelling configuration beside them.

    Boxes are rectangles, whose children the key points are. Annotations that were read from a Label Studio file are
    written into a copy of it: only the key points that changed differ. Rows that are no longer there are left out.

    Args:
        data: the annotations.
        path: the file, or a folder, which gets ``annotations.json``.

    Returns:
        The file.

    Raises:
        DataError: there are no points in images, the size of an image is not known, the original file has changed, or
            the folder has the configuration of other points.

    Warns:
        DataWarning: something is lost.
    """
    file = path if path.suffix.lower() == ".json" else path / FILE
    return write_labelstudio(data, file, NAME, ABOUT.title)
