"""Writing YOLO annotations back into copies of the files they came from: only the points that changed are new."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from steadfit._files import write_bytes, write_text
from steadfit.data.formats.documents import text_at, yaml_at
from steadfit.data.formats.instances import Floats
from steadfit.data.formats.paths import relative
from steadfit.data.formats.writing import codes_of, images_of, is_original, sizes_of, warn_lost
from steadfit.data.formats.yolo_lines import point_words
from steadfit.data.formats.yolo_places import Place, list_file
from steadfit.data.formats.yolo_rows import NAME, TITLE, Row, Rows, read_rows
from steadfit.data.formats.yolo_sets import SPLITS, YoloSet, description_in, label_of, listed_in
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError

Flags = npt.NDArray[np.bool_]
_LINE_OF_KEY = re.compile(r"^(path|download)\s*:.*\n?", re.MULTILINE)
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def edits_original(data: Annotations) -> bool:
    """Whether annotations came from a ``data.yaml`` that is still there.

    Args:
        data: the annotations.
    """
    return is_original(data, NAME) and description_in(Path(data.path)) is not None


def places_in_original(data: Annotations) -> list[str]:
    """The path (N,) of each row's image relative to the folder of the ``data.yaml`` from which it came.

    Args:
        data: the annotations.
    """
    found = read_rows(Path(data.path), data.root)
    base = os.path.relpath(found.described.folder, Path(data.path).parent)
    path_of = {place.name: os.path.normpath(f"{base}/{place.path}") for place in found.places.images}
    return [path_of.get(name, name).replace(os.sep, "/") for name in data.images or ()]


def moved(data: Annotations) -> tuple[Floats, Flags]:
    """The points (N, K, 2), at the border where they lie outside their image, and whether they do, (N, K).

    Args:
        data: the annotations.
    """
    size = sizes_of(data, TITLE)[:, None]
    inside = np.clip(data.target, 0, size)
    return inside, ((inside != data.target) & ~np.isnan(data.target)).any(axis=2)


def outside_words(data: Annotations, outside: Flags) -> list[str]:
    """What is lost of points outside their images; nothing where there are none.

    Args:
        data: the annotations.
        outside: (N, K), the points.
    """
    counts = outside.sum(axis=0)
    named = ", ".join(f"{data.schema.points[k]} {counts[k]}" for k in np.flatnonzero(counts))
    words = f"{int(counts.sum())} points outside their images, which are moved to the border ({named})"
    return [words] if named else []


def write_edited(data: Annotations, file: Path) -> Path:
    """Copies of the original's ``data.yaml``, lists and label files, with the points of these rows.

    Args:
        data: annotations for which :func:`edits_original`.
        file: the new ``data.yaml``.

    Returns:
        It.

    Raises:
        DataError: the original has changed.

    Warns:
        DataWarning: something is lost.
    """
    original = Path(data.path)
    found = read_rows(original, data.root)
    editor = _Editor(data, found, _rows_of_lines(data, found), *moved(data), codes_of(data))
    folder = file.parent / os.path.relpath(found.described.folder, original.parent)
    for place in found.places.images:
        source = place.labels / place.label
        if source.is_file():
            before = source.read_bytes().decode("utf-8", "surrogateescape")
            after = editor.edited(place, before)
            write_bytes(after.encode("utf-8", "surrogateescape"), folder / label_of(place.path))
    for entries in (*found.described.splits.values(), [found.described.order]):
        for entry in entries:
            _copy_list(found.described, entry, data.root, folder)
    description, lost = _description(original, found.described)
    warn_lost(data, TITLE, [*editor.lost(), *lost])
    return write_text(description, file)


def _rows_of_lines(data: Annotations, found: Rows) -> Mapping[str, tuple[Row, int | None]]:
    """For the place of each line what it says and the number of its row; None for a row that is no longer there."""
    lines: dict[str, tuple[Row, int | None]] = {row.at: (row, None) for row in found.rows}
    places = [] if data.at is None else data.at.tolist()
    for number, (at, name) in enumerate(zip(places, images_of(data, TITLE), strict=True)):
        if at not in lines or lines[at][0].place.name != name:
            raise DataError(
                f"{data.path}, {at}: expected the label that was read, got another one. The files have changed: read "
                "them again."
            )
        lines[at] = lines[at][0], number
    return lines


@dataclass
class _Editor:
    data: Annotations
    found: Rows
    lines: Mapping[str, tuple[Row, int | None]]
    targets: Floats  # inside the images
    outside: Flags
    codes: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        self.changed = np.zeros_like(self.outside)

    def edited(self, place: Place, before: str) -> str:
        """A label file with the points of the rows that are there; lines that could not be read stay."""
        after, seen = [], set()
        for number, text in enumerate(_LINES.findall(before), start=1):
            line, row = self.lines.get(f"{place.label}, line {number}", (None, None))
            plain = " ".join(text.split())
            if line is not None and row is not None:
                after.append(self._line(text, line, row))
            elif line is None and (not plain or plain not in seen):
                after.append(text)
            seen.add(plain)
        return "".join(after)

    def _line(self, text: str, line: Row, row: int) -> str:
        dimensions, spans = self.found.described.dimensions, [match.span() for match in re.finditer(r"\S+", text)]
        for k, name in reversed(list(enumerate(self.found.described.points_of(line.line.number)))):
            mine = self._column(name)
            if mine is None or self._same(line, k, row, mine):
                continue
            self.changed[row, mine] = True
            size = np.array(line.size, dtype=np.float64)
            words = point_words(self.targets[row, mine], int(self.codes[row, mine]), size, dimensions)
            first = 5 + k * dimensions
            text = text[: spans[first][0]] + " ".join(words) + text[spans[first + dimensions - 1][1] :]
        return text

    def _column(self, name: str) -> int | None:
        points = self.data.schema.points
        return points.index(name) if name in points else None

    def _same(self, line: Row, k: int, row: int, mine: int) -> bool:
        before, code = line.line.xyv[k], int(self.codes[row, mine])
        alike = code == before[2] or (self.found.described.dimensions == 2 and bool(code) == bool(before[2]))
        return alike and np.array_equal(self.data.target[row, mine], before[:2], equal_nan=True)

    def lost(self) -> list[str]:
        """What the copies do not carry."""
        words = outside_words(self.data, self.outside & self.changed)
        occluded = int((self.codes == 1).sum()) if self.found.described.dimensions == 2 else 0
        return words + [f"{occluded} points as occluded, as kpt_shape is [K, 2]"] * bool(occluded)


def _copy_list(described: YoloSet, entry: str, root: Path, folder: Path) -> None:
    """Copy a list of images; absolute paths in it become relative ones."""
    folders, known = [described.folder, root], dict[str, int]()
    path = relative(entry, folders, known, label_of)
    file = list_file(described, path) if path.lower().endswith(".txt") else None
    if file is None:
        return
    lines, absolute = listed_in(file), re.compile(r"[/\\]|[A-Za-z]:[/\\]")
    if any(absolute.match(line) for line in lines):
        near = os.path.relpath(described.folder, file.parent)
        plain = [
            f"{near}/{relative(line, folders, known, label_of)}" if absolute.match(line) else line for line in lines
        ]
        content = "".join(f"./{os.path.normpath(line)}\n" for line in plain)
    else:
        content = text_at(file)
    write_text(content, folder / os.path.relpath(file, described.folder))


def _description(original: Path, described: YoloSet) -> tuple[str, list[str]]:
    """The text of the new ``data.yaml``, which is the old one unless something in it leads elsewhere."""
    content: dict[str, Any] = yaml_at(original)
    new = dict(content)
    inside = os.path.relpath(described.folder, original.parent)
    if new.get("path") and (inside == "." or os.path.isabs(new["path"])):
        new = {key: value for key, value in new.items() if key != "path"} if inside == "." else new | {"path": inside}
    lost = ["download, a program or an address"] * ("download" in new)
    new.pop("download", None)
    for key in SPLITS:
        if new.get(key):
            entries = new[key] if isinstance(new[key], list) else [new[key]]
            plain = [relative(str(entry), [described.folder], {}, label_of) or "." for entry in entries]
            same = [str(entry).rstrip("/") in (tidy, f"./{tidy}") for entry, tidy in zip(entries, plain, strict=True)]
            if not all(same):
                new[key] = plain if isinstance(new[key], list) else plain[0]
    text = _LINE_OF_KEY.sub(lambda match: match[0] if match[1] in new else "", text_at(original))
    try:
        if yaml.safe_load(text) == new:  # comments and order stay
            return text, lost
    except yaml.YAMLError:
        pass  # the value had several lines
    return yaml.safe_dump(new, sort_keys=False, allow_unicode=True, default_flow_style=None), lost
