"""Writing tasks for Label Studio, and the configuration of its labelling interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from steadfit._files import write_text
from steadfit.data.formats.documents import text_at
from steadfit.data.formats.image_names import check_words
from steadfit.data.formats.instances import Codes, Floats
from steadfit.data.formats.labelstudio_copying import edited
from steadfit.data.formats.labelstudio_values import percents
from steadfit.data.formats.writing import (
    boxes_of,
    codes_of,
    images_of,
    is_original,
    json_text,
    lost_of_schema,
    own_boxes,
    sizes_of,
    splits_of,
    warn_lost,
    write_beside,
)
from steadfit.data.tables.annotations import Annotations

CONFIG = "labelstudio_config.xml"
"""The name of the labelling configuration."""
_WIDTH = 0.5  # of a key point as it is drawn, in percent


def write_labelstudio(data: Annotations, file: Path, name: str, title: str) -> Path:
    """Write new tasks, or a copy of the original ones, and the labelling configuration.

    Args:
        data: annotations of points in images.
        file: where the tasks go.
        name: the format's name.
        title: the format's title, for messages.

    Returns:
        The file of the tasks.

    Raises:
        DataError: the folder has another configuration.
    """
    check_words(Path(data.path), (*images_of(data, title), *data.schema.points), title)
    beside = file.with_name(CONFIG)
    if is_original(data, name):
        text, given = edited(data, codes_of(data)), Path(data.path).with_name(CONFIG)
        config = text_at(given) if given.is_file() else ""
    else:
        text, config = json_text(_tasks(data, title)), _config(data)
    if config:
        write_beside(config, beside)
    return write_text(text, file)


def _config(data: Annotations) -> str:
    view = Element("View")
    SubElement(view, "Image", name="image", value="$image")
    boxes = SubElement(view, "RectangleLabels", name="instances", toName="image")
    SubElement(boxes, "Label", value="instance")
    points = SubElement(view, "KeyPointLabels", name="points", toName="image")
    for name in data.schema.points:
        SubElement(points, "Label", value=name)
    indent(view)
    return tostring(view, encoding="unicode") + "\n"


def _tasks(data: Annotations, title: str) -> list[dict[str, Any]]:
    names, splits = images_of(data, title), splits_of(data)
    rows: dict[str, list[int]] = {name: [] for name in names}
    for row, name in enumerate(names):
        rows[name].append(row)
    writer = _Results(data, title)
    tasks = []
    for name, members in rows.items():
        about = {"image": f"/data/local-files/?d={quote(name)}"}
        about |= {"split": splits[members[0]]} if splits else {}
        group = "" if data.group is None else str(data.group[members[0]])
        about |= {"group": group} if group else {}
        results = [result for row in members for result in writer.row(row, alone=len(members) == 1)]
        tasks.append({"data": about, "annotations": [{"result": results}]})
    warn_lost(data, title, [*lost_of_schema(data), *_lost(data, rows, writer.bare)])
    return tasks


def _lost(data: Annotations, rows: dict[str, list[int]], bare: int) -> list[str]:
    lost = [f"{bare} rows without points and box"] * bool(bare)
    group = data.group
    if group is not None and any(len({str(group[row]) for row in members}) > 1 for members in rows.values()):
        lost.append("different groups of rows of one image")
    return lost


class _Results:
    """The results of rows, and how many rows have none."""

    def __init__(self, data: Annotations, title: str) -> None:
        self.data = data
        self.codes, self.boxes, self.sizes = codes_of(data), boxes_of(data), sizes_of(data, title)
        self.own = own_boxes(data) is not None
        self.bare = 0

    def row(self, row: int, *, alone: bool) -> list[dict[str, Any]]:
        """The rectangle of a row, if it needs one, and its key points."""
        size, box, parent = self.sizes[row], self.boxes[row], f"row{row + 1}"
        framed = not np.isnan(box).any() and (self.own or not alone)
        found = [self._frame(parent, size, box)] if framed else []
        found += self._points(row, size, self.codes[row], parent if framed else "")
        self.bare += not found
        return found

    def _frame(self, name: str, size: Floats, box: Floats) -> dict[str, Any]:
        sides = box if self.own else np.maximum(box, (-np.inf, -np.inf, 1, 1))
        (x, y), (width, height) = percents(sides[:2], size), percents(sides[2:], size)
        value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["instance"]}
        entry = _entry(name, "instances", "rectanglelabels", size, value)
        return entry if self.own else {**entry, "meta": {"box": "points"}}

    def _points(self, row: int, size: Floats, codes: Codes, parent: str) -> list[dict[str, Any]]:
        found = []
        for k, name in enumerate(self.data.schema.points):
            if codes[k]:
                x, y = percents(self.data.target[row, k], size)
                value = {"x": x, "y": y, "width": _WIDTH, "keypointlabels": [name]}
                entry = _entry(f"row{row + 1}-{k}", "points", "keypointlabels", size, value)
                entry |= {"parentID": parent} if parent else {}
                found.append(entry | ({"meta": {"visible": 1}} if codes[k] == 1 else {}))
        return found


def _entry(name: str, control: str, kind: str, size: Floats, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "from_name": control,
        "to_name": "image",
        "type": kind,
        "original_width": int(size[0]),
        "original_height": int(size[1]),
        "image_rotation": 0,
        "value": value,
    }
