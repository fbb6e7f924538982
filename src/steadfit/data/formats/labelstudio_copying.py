"""A copy of a Label Studio file in which only the key points that changed differ."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from steadfit.data.formats.documents import json_at, text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.image_names import names_of_address
from steadfit.data.formats.instances import Codes, Floats
from steadfit.data.formats.labelstudio_people import Person, people
from steadfit.data.formats.labelstudio_tasks import LISTS, Work, address_of, key_of, works
from steadfit.data.formats.labelstudio_values import Mark, percents, place_of, size_of
from steadfit.data.formats.writing import json_text
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError


def edited(data: Annotations, codes: Codes) -> str:
    """The original file with the points of these rows; rows that are no longer there are removed.

    Args:
        data: annotations that were read from the file.
        codes: (N, K) visibility.

    Raises:
        DataError: the file has changed.
    """
    path = Path(data.path)
    content = json_at(path)
    found = works(path, content)
    by_place: dict[str, tuple[Work, Person]] = {}
    for work in found.rows:
        try:
            by_place |= {person.at: (work, person) for person in people(work, found)}
        except Misfit:
            continue
    editor = _Editor(next((mark for _, one in by_place.values() for mark in one.points.values()), None))
    kept = [] if data.at is None else data.at.tolist()
    for row, at in enumerate(kept):
        if at not in by_place or not (data.images and data.images[row] in _names(by_place[at][0])):
            raise DataError(f"{path}, {at}: expected the instance that was read, got another one. Read the file again.")
        size = None if data.size is None else (float(data.size[row, 0]), float(data.size[row, 1]))
        editor.edit(by_place[at], data.schema.points, data.target[row], codes[row], size)
    for at in by_place.keys() - set(kept):
        editor.drop(*by_place[at])
    editor.clean()
    return json_text(content, text_at(path))


def _names(work: Work) -> list[str]:
    try:
        return [name.replace("\\", "/") for name in names_of_address(address_of(work))]
    except Misfit:
        return []


class _Editor:
    """Changes in the results of a file; removals wait until :meth:`clean`, so that places stay valid."""

    def __init__(self, like: Mark | None) -> None:
        self.like = like  # for an instance that has no key point yet
        self.gone: set[int] = set()
        self.lists: dict[int, list[Any]] = {}
        self.dropped: list[Work] = []

    def edit(
        self,
        place: tuple[Work, Person],
        points: tuple[str, ...],
        target: Floats,
        codes: Codes,
        size: tuple[float, float] | None,
    ) -> None:
        """Write the points of a row that differ."""
        work, person = place
        for name, xy, code in zip(points, target, codes.tolist(), strict=True):
            mark = person.points.get(name)
            if mark is None:
                if code:
                    self._add(work, person, name, xy, code, size)
            elif not code:
                self._remove(mark)
            elif code != mark.visible or tuple(xy.tolist()) != place_of(mark, size):
                _change(mark.value, xy, mark.entry, size, mark.also)
                _see(mark.entry, code)

    def drop(self, work: Work, person: Person) -> None:
        """Remove an instance with its rectangle."""
        for mark in person.points.values():
            self._remove(mark)
        if person.frame is not None:
            self.gone.add(id(person.frame.entry))
        self.lists |= {id(results): results for _, results in work.lists}
        self.dropped.append(work)

    def _remove(self, mark: Mark) -> None:
        twins = [
            one for one in mark.siblings if isinstance(one, dict) and "id" in one and one["id"] == mark.entry.get("id")
        ]
        self.gone |= {id(entry) for entry in (mark.entry, *twins)}
        self.lists[id(mark.siblings)] = mark.siblings

    def _add(
        self, work: Work, person: Person, name: str, xy: Floats, code: int, size: tuple[float, float] | None
    ) -> None:
        own = next(reversed(person.points.values()), None)
        like = own or self.like
        if like is None:
            raise DataError(f"{person.at}: expected key points like which one could be added, got none in the file.")
        entry = copy.deepcopy(like.entry)
        value = entry.get("value", entry)
        key = "labels" if value.get("labels") else "keypointlabels"
        value[key] = [name]
        for words in ("meta", "score", "hidden"):
            entry.pop(words, None)
        frame = person.frame.entry if person.frame else None
        if own is None and frame is not None:
            entry |= {word: frame[word] for word in ("original_width", "original_height") if word in frame}
            entry["parentID"] = frame.get("id", "")
        if "id" in entry:
            first = frame if frame is not None and "id" in frame else like.entry
            entry["id"] = f"{first['id']}-{name}"
        _change(value, xy, entry, size, ())
        _see(entry, code)
        (own.siblings if own else work.lists[0][1]).append(entry)

    def clean(self) -> None:
        """Remove what is gone, with its relations, and annotations of which nothing is left."""
        for results in self.lists.values():
            names = {key_of(one.get("id")) for one in results if id(one) in self.gone and isinstance(one, dict)} - {""}
            results[:] = [one for one in results if id(one) not in self.gone and not _relates(one, names)]
        for work in self.dropped:
            if not any(results for _, results in work.lists):
                for kind in LISTS:
                    if isinstance(listed := work.task.get(kind), list):
                        listed[:] = [entry for entry in listed if entry is not work.content]


def _relates(entry: Any, names: set[Any]) -> bool:
    ends = (entry.get("from_id"), entry.get("to_id")) if isinstance(entry, dict) else ()
    return any(key_of(end) in names for end in ends)


def _change(
    value: dict[str, Any],
    xy: Floats,
    entry: dict[str, Any],
    size: tuple[float, float] | None,
    also: tuple[dict[str, Any], ...],
) -> None:
    x, y = percents(xy, size_of(entry, size))
    for one in (value, *also):
        one |= {"x": x, "y": y}


def _see(entry: dict[str, Any], code: int) -> None:
    meta = entry.get("meta")
    if code == 1:
        entry["meta"] = {**(meta if isinstance(meta, dict) else {}), "visible": 1}
    elif isinstance(meta, dict) and "visible" in meta:
        entry["meta"] = {key: value for key, value in meta.items() if key != "visible"}
