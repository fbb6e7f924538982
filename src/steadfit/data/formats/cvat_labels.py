"""The labels in the head of a CVAT XML file: the points of skeletons and the lines between them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from steadfit.data.formats.instances import Floats
from steadfit.data.formats.writing import plain_number

_TAG = re.compile(r"<(line|circle|ellipse|rect)\b([^<>]*)>")
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*["']([^"']*)["']""")


def names_of_labels(root: Element) -> dict[str, list[str]]:
    """The names of the points of each skeleton's label, in the order of the file.

    Args:
        root: the root element.
    """
    found: dict[str, list[str]] = {}
    for label in root.iterfind("meta//label"):
        name, parent = (label.findtext("name") or "").strip(), (label.findtext("parent") or "").strip()
        if parent and name:
            found.setdefault(parent, []).append(name)
    return found


def limbs_of_labels(root: Element, labels: Iterable[str], points: Sequence[str]) -> list[tuple[int, int]]:
    """The lines of skeletons as indices of points; one that ends at an unknown point is left out.

    Args:
        root: the root element.
        labels: the labels of the skeletons that are used.
        points: the names of all points.
    """
    place, wanted = {name: k for k, name in enumerate(points)}, set(labels)
    found: dict[tuple[int, int], None] = {}
    for label in root.iterfind("meta//label"):
        if (label.findtext("name") or "").strip() not in wanted:
            continue
        tags = [(tag, _attributes(text)) for tag, text in _TAG.findall(label.findtext("svg") or "")]
        node = {about.get("data-node-id", ""): about.get("data-label-name", "") for tag, about in tags if tag != "line"}
        for tag, about in tags:
            ends = [place.get(node.get(about.get(f"data-node-{end}", ""), "")) for end in ("from", "to")]
            if tag == "line" and ends[0] is not None and ends[1] is not None and ends[0] != ends[1]:
                found[ends[0], ends[1]] = None
    return list(found)


def _attributes(text: str) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(text)}


def add_labels(
    parent: Element, label: str, points: Sequence[str], limbs: Sequence[tuple[int, int]], xy: Floats, boxes: bool
) -> None:
    """Add the labels of a skeleton and its points, and of boxes, to the head of a file.

    Args:
        parent: the element ``task``.
        label: the skeleton's name.
        points: the names of its K points.
        limbs: lines between them, as indices.
        xy: (N, K, 2) labels, from which the picture of the skeleton is drawn.
        boxes: whether there are boxes, too.
    """
    labels = SubElement(parent, "labels")
    own = _label(labels, label, "skeleton")
    SubElement(own, "svg").text = _picture(points, limbs, template(xy))
    for name in points:
        SubElement(_label(labels, name, "points"), "parent").text = label
    if boxes:
        _label(labels, f"{label}_box", "rectangle")


def labels_json(label: str, points: Sequence[str], limbs: Sequence[tuple[int, int]], xy: Floats, boxes: bool) -> str:
    """The same labels as CVAT's label constructor takes them in its tab "Raw".

    Args:
        label: as for :func:`add_labels`.
        points: as for :func:`add_labels`.
        limbs: as for :func:`add_labels`.
        xy: as for :func:`add_labels`.
        boxes: as for :func:`add_labels`.
    """
    skeleton = {
        "name": label,
        "type": "skeleton",
        "attributes": [],
        "svg": _picture(points, limbs, template(xy)),
        "sublabels": [{"name": name, "type": "points", "attributes": []} for name in points],
    }
    box = {"name": f"{label}_box", "type": "rectangle", "attributes": []}
    return json.dumps([skeleton, box] if boxes else [skeleton], ensure_ascii=False, indent=1) + "\n"


def _label(labels: Element, name: str, kind: str) -> Element:
    found = SubElement(labels, "label")
    for tag, text in (("name", name), ("type", kind), ("attributes", "")):
        SubElement(found, tag).text = text
    return found


def template(xy: Floats) -> Floats:
    """A typical pose (K, 2) from 10 to 90: the median of poses (N, K, 2) that fill a square; 50 for unknown points."""
    labelled = (~np.isnan(xy)).all(axis=2).sum(axis=1) > 1
    if not labelled.any():
        return np.full(xy.shape[1:], 50.0)
    poses = xy[labelled]
    low, high = np.nanmin(poses, axis=1, keepdims=True), np.nanmax(poses, axis=1, keepdims=True)
    extent = np.maximum((high - low).max(axis=2, keepdims=True), 1e-9)
    inside = 10 + 80 * (poses - low) / extent
    known = ~np.isnan(inside).all(axis=0)
    found = np.full(xy.shape[1:], 50.0)
    for k, d in np.argwhere(known):
        found[k, d] = np.round(np.nanmedian(inside[:, k, d]), 2)
    return found


def _picture(points: Sequence[str], limbs: Sequence[tuple[int, int]], pose: Floats) -> str:
    at = [tuple(plain_number(side) for side in place) for place in pose.tolist()]
    lines = [
        f'<line x1="{at[a][0]}" y1="{at[a][1]}" x2="{at[b][0]}" y2="{at[b][1]}" stroke="black" data-type="edge" '
        f'data-node-from="{a + 1}" stroke-width="0.5" data-node-to="{b + 1}"></line>'
        for a, b in limbs
    ]
    nodes = [
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{at[k][0]}" cy="{at[k][1]}" stroke-width="0.1" '
        f'data-type="element node" data-element-id="{k + 1}" data-node-id="{k + 1}" '
        f'data-label-name="{html.escape(name)}"></circle>'
        for k, name in enumerate(points)
    ]
    return "".join(lines + nodes)
