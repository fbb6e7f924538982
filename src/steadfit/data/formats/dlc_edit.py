"""Writing tables of DeepLabCut and Lightning Pose: new ones, and copies in which only changed cells differ."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steadfit.data.formats.dlc_table import Columns, PoseTable, Record
from steadfit.data.formats.instances import Codes, Floats
from steadfit.data.formats.writing import codes_of, images_of
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError

_AT = re.compile(r"(?:(?P<name>.+\.csv), )?line (?P<line>\d+)(?:, individual (?P<who>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where a row was read.

    Args:
        name: the file among those of a project; empty where one file was read.
        line: the line.
        individual: the animal; empty for a table of one animal.
    """

    name: str
    line: int
    individual: str


def places_of(data: Annotations) -> list[Place]:
    """Where the rows were read.

    Args:
        data: annotations that were read from tables of this kind.

    Raises:
        DataError: they were read from another kind of file.
    """
    found = [_AT.fullmatch(str(at)) for at in ([] if data.at is None else data.at.tolist())]
    if not all(found) or len(found) != len(data):
        raise DataError(f"{data.path}: expected rows of CSV tables, got others. Write another format.")
    return [Place(match["name"] or "", int(match["line"]), match["who"] or "") for match in found if match]


def table_text(
    scorer: str,
    points: Sequence[str],
    rows: Sequence[tuple[tuple[str, ...], Sequence[Floats]]],
    people: Sequence[str],
) -> str:
    """The text of a new table.

    Args:
        scorer: who labelled.
        points: K names.
        rows: the cells of the image's path, and the points (K, 2) of each animal, NaN for what is missing.
        people: the names of the animals; none for a table of one animal.
    """
    index = [""] * (max((len(path) for path, _ in rows), default=1) - 1)
    columns = [(who, part, axis) for who in people or [""] for part in points for axis in "xy"]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["scorer", *index, *[scorer] * len(columns)])
    if people:
        writer.writerow(["individuals", *index, *(who for who, _, _ in columns)])
    writer.writerow(["bodyparts", *index, *(part for _, part, _ in columns)])
    writer.writerow(["coords", *index, *(axis for _, _, axis in columns)])
    empty = np.full((len(points), 2), np.nan)
    for path, animals in rows:
        whole = [*animals, *[empty] * (len(people) - len(animals))]
        writer.writerow([*path, *(number_text(value) for animal in whole for value in animal.ravel().tolist())])
    return out.getvalue()


def number_text(value: float) -> str:
    """A number as pandas writes it, the shortest text that reads back as the same number; empty for NaN."""
    return "" if value != value else repr(float(value))


def edited_table(
    table: PoseTable, data: Annotations, rows: Mapping[int, Mapping[str, int]], originals: Mapping[str, str]
) -> tuple[bytes, int]:
    """A table with the labels of some annotations, in which every other cell is as it was.

    An animal that is no longer among the annotations is emptied; an image without any animal left is taken out.

    Args:
        table: the table as it is in its file.
        data: the annotations.
        rows: the numbers of rows of the annotations by line and individual.
        originals: other names of images, by their names in the table.

    Returns:
        The content of the file, and the number of labels for which the table has no column.

    Raises:
        DataError: the file has changed since it was read.
    """
    _check_unchanged(table, data, rows, originals)
    codes = codes_of(data)
    written = {who: table.points(who) for who in table.head.places}
    labels = {who: np.where(np.isin(code, (-1, 2))[:, :, None], xy, np.nan) for who, (xy, code) in written.items()}
    labelled = {who: (~np.isnan(xy[..., 0])).sum(axis=1).tolist() for who, (xy, _) in written.items()}
    changed: dict[int, dict[int, str]] = {}
    gone: set[int] = set()
    lost = 0
    for row, line in enumerate(table.lines):
        mine = rows.get(line, {})
        had = [who for who, counts in labelled.items() if counts[row]]
        if not mine and (had or not table.head.several):
            gone.add(line)
            continue
        changed[line] = {}
        for who in dict.fromkeys([*mine, *had]):
            target = _target(table.head.places[who], data, codes, mine.get(who))
            changed[line] |= _cells(table.head.places[who], labels[who][row], target)
            absent = [k for k, name in enumerate(data.schema.points) if name not in table.head.places[who]]
            lost += int((codes[mine[who], absent] > 0).sum()) if who in mine else 0
    kept = (record for record in table.records if record.line not in gone)
    text = "".join(_record_text(record, changed.get(record.line, {}), table) for record in kept)
    return _encoded(text, table.path), lost


def _check_unchanged(
    table: PoseTable, data: Annotations, rows: Mapping[int, Mapping[str, int]], originals: Mapping[str, str]
) -> None:
    row_of = {line: k for k, line in enumerate(table.lines)}
    names = images_of(data, "a table")
    for line, mine in rows.items():
        image = table.images[row_of[line]] if line in row_of else None
        for who, number in mine.items():
            same = image is not None and (image.endswith(names[number]) or originals.get(image) == names[number])
            if not same or who not in table.head.places:
                raise DataError(
                    f"{table.path}, line {line}: expected the row of {names[number]!r} that was read, got "
                    f"{'none' if image is None else repr(image)}. The file has changed: read it again."
                )


def _target(places: Mapping[str, Columns], data: Annotations, codes: Codes, number: int | None) -> Floats:
    """The points (K, 2) of an animal as they are to be in the table; infinite for points that are not known."""
    known = {name: k for k, name in enumerate(data.schema.points)}
    found = np.full((len(places), 2), np.nan if number is None else np.inf)
    for k, part in enumerate(places) if number is not None else ():
        if part in known:
            mine = known[part]
            found[k] = data.target[number, mine] if codes[number, mine] else np.nan
    return found


def _cells(places: Mapping[str, Columns], before: Floats, target: Floats) -> dict[int, str]:
    """The cells of an animal that have to change, by column."""
    same = ((before == target) | (np.isnan(before) & np.isnan(target))).all(axis=1) | np.isinf(target[:, 0])
    found: dict[int, str] = {}
    for k, at in enumerate(places.values()):
        if not same[k]:
            found |= {at.x: number_text(target[k, 0]), at.y: number_text(target[k, 1])}
            found |= {} if at.visible is None else {at.visible: "0" if np.isnan(target[k, 0]) else "2"}
    return found


def _record_text(record: Record, changed: Mapping[int, str], table: PoseTable) -> str:
    """A record with some cells replaced; exactly as it was without any."""
    if not changed:
        return record.text
    end = record.text[len(record.text.rstrip("\r\n")) :]
    new = {k: cell.replace(".", ",") if table.decimal else cell for k, cell in changed.items()}
    cells = [new.get(k, cell) for k, cell in enumerate(record.cells)]
    if '"' not in record.text:
        return table.mark.join(cells) + end
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=table.mark, lineterminator="").writerow(cells)
    return out.getvalue() + end


def _encoded(text: str, path: Path) -> bytes:
    """The text with the encoding and mark of its file."""
    with path.open("rb") as file:
        start = file.read(3)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        little = start.startswith(codecs.BOM_UTF16_LE)
        return start[:2] + text.encode("utf-16-le" if little else "utf-16-be")
    return (codecs.BOM_UTF8 if start == codecs.BOM_UTF8 else b"") + text.encode("utf-8")
