"""Writing CVAT XML: a new file for images."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from steadfit._files import write_bytes
from steadfit.data.formats.cvat_copying import edited
from steadfit.data.formats.cvat_labels import add_labels, labels_json
from steadfit.data.formats.documents import text_at
from steadfit.data.formats.image_names import check_words
from steadfit.data.formats.instances import Codes, Floats
from steadfit.data.formats.writing import (
    bare_rows,
    codes_of,
    images_of,
    is_original,
    lost_of_schema,
    own_boxes,
    plain_number,
    splits_of,
    warn_lost,
    write_beside,
)
from steadfit.data.tables.annotations import Annotations

LABEL = "instance"
"""The label of the skeletons."""
LABELS = "cvat_labels.json"
"""The name of the file of labels for CVAT's label constructor."""


def write_cvat(data: Annotations, file: Path, name: str, title: str) -> Path:
    """Write a new file, or a copy of the original.

    Args:
        data: annotations of points in images.
        file: where.
        name: the format's name.
        title: the format's title, for messages.

    Returns:
        The file.
    """
    check_words(Path(data.path), (*images_of(data, title), *data.schema.points), title)
    if is_original(data, name):
        content, lost = edited(data, codes_of(data))
        warn_lost(data, title, lost)
        if (given := Path(data.path).with_name(LABELS)).is_file():
            write_beside(text_at(given), file.with_name(LABELS))
        return write_bytes(content, file)
    warn_lost(data, title, [*lost_of_schema(data, limbs=True), *bare_rows(data)])
    boxes, schema = own_boxes(data) is not None, data.schema
    write_beside(labels_json(LABEL, schema.points, schema.limbs, data.target, boxes), file.with_name(LABELS))
    root = _document(data, images_of(data, title))
    indent(root)
    return write_bytes(b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="utf-8") + b"\n", file)


def _document(data: Annotations, names: tuple[str, ...]) -> Element:
    codes, splits = codes_of(data), splits_of(data)
    boxes = own_boxes(data)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    unique = list(dict.fromkeys(names))
    for tag, text in (("name", "annotations"), ("size", str(len(unique))), ("mode", "annotation")):
        SubElement(task, tag).text = text
    add_labels(task, LABEL, data.schema.points, data.schema.limbs, data.target, boxes is not None)
    rows: dict[str, list[int]] = {name: [] for name in unique}
    for row, name in enumerate(names):
        rows[name].append(row)
    for number, (name, members) in enumerate(rows.items()):
        image = SubElement(root, "image", id=str(number), name=name)
        if splits:
            image.set("subset", splits[members[0]])
        if data.size is not None and not np.isnan(data.size[members[0]]).any():
            width, height = data.size[members[0]].tolist()
            image.set("width", str(int(width)))
            image.set("height", str(int(height)))
        for row in members:
            _add_row(image, data, row, codes[row], None if boxes is None else boxes[row])
    return root


def _add_row(image: Element, data: Annotations, row: int, codes: Codes, box: Floats | None) -> None:
    about = {"label": LABEL, "z_order": "0"}
    if data.group is not None and data.group[row]:
        about["group"] = str(data.group[row])
    if box is not None and not np.isnan(box).any():
        about["group_id"] = str(row + 1)
        left, top, width, height = box.tolist()
        corners = {"xtl": left, "ytl": top, "xbr": left + width, "ybr": top + height}
        sides = {key: str(plain_number(side)) for key, side in corners.items()}
        SubElement(
            image, "box", {"label": f"{LABEL}_box", "occluded": "0", **sides, "z_order": "0", "group_id": str(row + 1)}
        )
    skeleton = SubElement(image, "skeleton", about)
    target = data.target[row]
    middle = np.nanmean(target[codes > 0], axis=0).round(2) if codes.any() else np.zeros(2)
    for name, (x, y), code in zip(data.schema.points, np.where(codes[:, None] > 0, target, middle), codes, strict=True):
        flags = {"outside": str(int(code == 0)), "occluded": str(int(code == 1))}
        SubElement(skeleton, "points", {"label": name, **flags, "points": f"{plain_number(x)},{plain_number(y)}"})
