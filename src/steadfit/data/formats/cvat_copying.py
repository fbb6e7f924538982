"""A copy of a CVAT XML file in which only the points that changed differ, byte by byte.

XML libraries write a whole document anew: comments, the order of attributes and line ends would change. Here the places
of elements in the bytes are found, and only these are replaced.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape, quoteattr

from steadfit.data.formats.cvat_frames import frames_of
from steadfit.data.formats.cvat_labels import names_of_labels
from steadfit.data.formats.cvat_shapes import Draft, Drafts, Mark, drafts, marks
from steadfit.data.formats.documents import xml_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Codes, Floats
from steadfit.data.formats.writing import plain_number
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError

_ATTRIBUTE = re.compile(rb"""([^\s=<>/"']+)\s*=\s*("[^"]*"|'[^']*')""")
_START = re.compile(rb"""<[^\s<>/"']+(?:\s+[^\s=<>/"']+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*/?>""")
_ENCODING = re.compile(rb"""^<\?xml[^>]*?encoding\s*=\s*["']([^"']+)["']""")
_ENTITIES = {'"': "&quot;", "'": "&apos;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_EMPTY = "points emptied in shapes of several points, which keep their places"


@dataclass(frozen=True)
class _Span:
    start: int  # of the element, in bytes
    inside: int  # the end of its start tag
    end: int  # of the element


class _Editor:
    """Replacements in the bytes of a file, by elements."""

    def __init__(self, path: Path, root: Element) -> None:
        self.content = _utf8(path)
        spans = _spans(self.content)
        elements = list(root.iter())
        if len(spans) != len(elements):
            raise DataError(f"{path}: expected the file that was read, got another one. Read it again.")
        self.span = {id(element): span for element, span in zip(elements, spans, strict=True)}
        self.parts: dict[tuple[int, int], bytes] = {}

    def tag(self, element: Element) -> bytes:
        """The start tag of an element."""
        span = self.span[id(element)]
        return self.content[span.start : span.inside]

    def change(self, element: Element, attributes: Mapping[str, str]) -> None:
        """Give attributes of an element other values."""
        span = self.span[id(element)]
        self.parts[span.start, span.inside] = with_attributes(self.tag(element), attributes)

    def remove(self, element: Element) -> None:
        """Remove an element with the white space before it."""
        span = self.span[id(element)]
        self.parts[self._margin(span.start), span.end] = b""

    def add(self, like: Element, attributes: Mapping[str, str]) -> None:
        """Add an empty element behind one from which it takes its other attributes and its indentation."""
        span = self.span[id(like)]
        tag = with_attributes(self.tag(like), attributes).rstrip(b"/>").rstrip() + b"/>"
        key = (span.end, span.end)
        space = self.content[self._margin(span.start) : span.start]
        self.parts[key] = self.parts.get(key, b"") + space + tag

    def _margin(self, place: int) -> int:
        """Where the white space before a place begins."""
        while place and self.content[place - 1 : place].isspace():
            place -= 1
        return place

    def result(self) -> bytes:
        """The file with all replacements; those inside a removed element are dropped with it."""
        found, place = [], 0
        for (start, end), part in sorted(self.parts.items(), key=lambda item: (item[0][0], -item[0][1])):
            if start < place:
                continue
            found += [self.content[place:start], part]
            place = end
        return b"".join([*found, self.content[place:]])


def with_attributes(tag: bytes, attributes: Mapping[str, str]) -> bytes:
    """A start tag with other values of attributes; those that it lacks are added.

    >>> with_attributes(b'<points label="a" points="1,2">', {"points": "3,4", "outside": "0"})
    b'<points label="a" points="3,4" outside="0">'
    """
    missing = dict(attributes)

    def replaced(match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        if name not in missing:
            return match[0]
        mark = match[2][:1]
        value = escape(missing.pop(name), _ENTITIES).encode()
        return match[0][: match.start(2) - match.start()] + mark + value + mark

    changed = _ATTRIBUTE.sub(replaced, tag)
    end = changed.rstrip(b"/>").rstrip()
    added = b"".join(f" {name}={quoteattr(value)}".encode() for name, value in missing.items())
    return end + added + changed[len(end) :]


def _utf8(path: Path) -> bytes:
    content = path.read_bytes()
    encoding = _ENCODING.match(content.removeprefix(codecs.BOM_UTF8))
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if wide or (encoding and encoding[1].decode("ascii", "replace").lower() not in ("utf-8", "utf8", "us-ascii")):
        raise DataError(
            f"{path}: expected a file in UTF-8 to write a copy of it, got another encoding. Save it as UTF-8."
        )
    return content


def _spans(content: bytes) -> list[_Span]:
    """The places of all elements, in the order of their start tags."""
    starts: list[int] = []
    ends: dict[int, int] = {}
    opened: list[int] = []
    parser = ParserCreate()

    def start(*_: object) -> None:
        opened.append(len(starts))
        starts.append(parser.CurrentByteIndex)

    def end(*_: object) -> None:
        ends[opened.pop()] = parser.CurrentByteIndex

    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(content, True)
    except ExpatError:  # the file was parsed before
        return []
    found = []
    for number, place in enumerate(starts):
        match = _START.match(content, place)
        inside = match.end() if match else place
        empty = content[inside - 2 : inside] == b"/>"
        found.append(_Span(place, inside, inside if empty else content.index(b">", ends[number]) + 1))
    return found


def edited(data: Annotations, codes: Codes) -> tuple[bytes, list[str]]:
    """The original file with the points of these rows.

    Args:
        data: annotations that were read from the file.
        codes: (N, K) visibility.

    Returns:
        The file, and what it does not carry.

    Raises:
        DataError: the file has changed.
    """
    path = Path(data.path)
    root = xml_at(path)
    found, names = drafts(root, frames_of(root)), names_of_labels(root)
    editor = _Editor(path, root)
    readable: dict[str, tuple[Draft, dict[str, Mark]]] = {}
    for draft in found.rows:
        try:
            readable[draft.at] = draft, marks(draft, found, names)
        except Misfit:
            continue
    lost = 0
    kept = [] if data.at is None else data.at.tolist()
    for row, at in enumerate(kept):
        if at not in readable or not (data.images and data.images[row] in _names(readable[at][0])):
            raise DataError(f"{path}, {at}: expected the instance that was read, got another one. Read the file again.")
        draft, before = readable[at]
        lost += _edit_row(editor, draft, found, before, data.schema.points, data.target[row], codes[row])
    for at in readable.keys() - set(kept):
        _drop(editor, readable[at][0])
    _drop_tracks(editor, root)
    return editor.result(), [f"{lost} {_EMPTY}"] * bool(lost)


def _names(draft: Draft) -> set[str]:
    return {name.replace("\\", "/") for name in draft.frame.names}


def _edit_row(
    editor: _Editor,
    draft: Draft,
    found: Drafts,
    before: Mapping[str, Mark],
    points: tuple[str, ...],
    target: Floats,
    codes: Codes,
) -> int:
    """Write the points of a row that differ; returns how many cannot be emptied."""
    new: dict[int, dict[int, tuple[float, float, int]]] = {}
    elements = {id(element): element for element in draft.elements}
    lost = 0
    for name, place, code in zip(points, target.tolist(), codes.tolist(), strict=True):
        mark = before.get(name)
        if mark is None:
            if code:
                _add(editor, draft, found, name, place, code)
            continue
        point = mark.point
        if code == point.visible and (not code or place == [point.x, point.y]):
            continue
        if not code and len(mark.element.get("points", "").split(";")) > 1:
            lost += 1
            continue
        new.setdefault(id(mark.element), {})[mark.number] = (place[0], place[1], code)
    for key, changes in new.items():
        _change(editor, draft, elements[key], changes)
    return lost


def _change(editor: _Editor, draft: Draft, element: Element, changes: Mapping[int, tuple[float, float, int]]) -> None:
    code = next(iter(changes.values()))[2]
    if not code and "outside" not in element.attrib and draft.shape is None:
        editor.remove(element)
        return
    pairs = element.get("points", "").split(";")
    for number, (x, y, visible) in changes.items():
        if visible:
            pairs[number] = _pair(x, y)
    flags = {"outside": str(int(code == 0))} if draft.shape is not None or "outside" in element.attrib else {}
    if code:
        flags["occluded"] = str(int(code == 1))
    editor.change(element, {**flags, "points": ";".join(pairs)})


def _add(editor: _Editor, draft: Draft, found: Drafts, name: str, place: list[float], code: int) -> None:
    """Add a point that the file does not have, like the last one of its instance."""
    hidden = [] if draft.shape is None else [child for child in draft.shape if child.get("label", "").strip() == name]
    if hidden:  # a point that CVAT interpolated
        flags = {"keyframe": "1", "outside": "0", "occluded": str(int(code == 1))}
        return editor.change(hidden[0], {**flags, "points": _pair(*place)})
    if found.counts or not draft.elements or draft.holder.tag == "track":
        raise DataError(
            f"{draft.at}: expected the points that the file has, got {name!r} as well, which cannot be added. Write to "
            "another format, or from a table, which gives a new file."
        )
    like = draft.elements[-1]
    flags = {"outside": "0"} if draft.shape is not None else {}
    editor.add(like, {"label": name, **flags, "occluded": str(int(code == 1)), "points": _pair(*place)})
    return None


def _pair(x: float, y: float) -> str:
    return f"{plain_number(x)},{plain_number(y)}"


def _drop(editor: _Editor, draft: Draft) -> None:
    for element in (draft.shape,) if draft.shape is not None else draft.elements:
        editor.remove(element)


def _drop_tracks(editor: _Editor, root: Element) -> None:
    """Remove tracks of which nothing is left: CVAT does not load them."""
    removed = {end for (_, end), part in editor.parts.items() if not part}
    for track in root.findall("track"):
        shapes = [shape for shape in track if shape.tag in ("skeleton", "points")]
        if shapes and all(editor.span[id(shape)].end in removed for shape in shapes):
            editor.remove(track)
