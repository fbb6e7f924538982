"""The tasks of a Label Studio JSON file, with their annotations and the addresses of their images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.expect import Misfit
from steadfit.errors import DataError

LISTS = ("annotations", "completions", "predictions")
_IMAGE = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
_MINIMAL = ("annotation_id", "annotator", "lead_time")


@dataclass(frozen=True)
class Work:
    """One annotation, completion or prediction of a task.

    Args:
        at: its place, such as ``tasks[3].annotations[0]``.
        task: the task.
        content: the annotation; the task itself in a minimal export.
        lists: the lists of results in it.
    """

    at: str
    task: dict[str, Any]
    content: dict[str, Any]
    lists: tuple[tuple[str, list[Any]], ...]


@dataclass
class Works:
    """All annotations of a file, and what is left out.

    Args:
        rows: the annotations.
        notes: sentences on what is left out.
        holders: names of controls whose rectangles contain key points.
        left_out: how many results there are of each kind that is left out.
        hidden: how many key points were hidden on the screen.
    """

    rows: list[Work] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    holders: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    hidden: int = 0


def is_task(value: Any) -> bool:
    """Whether a value is a task of Label Studio, of a whole or a minimal export."""
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("data"), dict) and any(isinstance(value.get(key), list) for key in LISTS):
        return True
    return any(key in value for key in _MINIMAL) and any(_regions(part) for part in value.values())


def _regions(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "original_width" in value[0]


def works(path: Path, content: Any) -> Works:
    """The annotations of a file; predictions only where no task has an annotation.

    Args:
        path: the file, for messages.
        content: its content.

    Raises:
        DataError: tasks are no tasks.
    """
    found = Works()
    tasks = content if isinstance(content, list) else [content]
    by_kind: dict[str, list[Work]] = {"": [], "predictions": []}
    empty = cancelled = 0
    try:
        for place, task in enumerate(tasks):
            for kind, work in _of_task(expect.mapping(task, f"tasks[{place}]"), f"tasks[{place}]"):
                if work.content.get("was_cancelled") is True or work.content.get("skipped") is True:
                    cancelled += 1
                else:
                    by_kind["predictions" if kind == "predictions" else ""].append(work)
            empty += not any(task.get(key) for key in LISTS) and isinstance(task.get("data"), dict)
    except Misfit as error:
        raise DataError(f"{path}, {error}") from None
    found.rows = by_kind[""] or by_kind["predictions"]
    found.holders = {name for work in found.rows for name in _holders(work)}
    found.notes += [f"{cancelled} cancelled annotations are left out."] * bool(cancelled)
    found.notes += [f"{empty} of {len(tasks)} tasks have no annotation."] * bool(empty)
    if found.rows is by_kind["predictions"] and found.rows:
        found.notes.append("No task has an annotation: the predictions are read as labels.")
    elif by_kind["predictions"]:
        found.notes.append(f"{len(by_kind['predictions'])} predictions beside annotations are left out.")
    return found


def _of_task(task: dict[str, Any], at: str) -> Iterator[tuple[str, Work]]:
    if not isinstance(task.get("data"), dict) and not any(isinstance(task.get(kind), list) for kind in LISTS):
        lists = tuple((key, value) for key, value in task.items() if _regions(value))
        yield "", Work(at, task, task, lists)
        return
    for kind in LISTS:
        for place, entry in enumerate(expect.sequence(task.get(kind) or [], f"{at}.{kind}")):
            where = f"{at}.{kind}[{place}]"
            content = expect.mapping(entry, where) if not isinstance(entry, int) else {}  # only an id
            results = expect.sequence(content.get("result") or [], f"{where}.result")
            yield kind, Work(where, task, content, (("result", results),))


def _holders(work: Work) -> Iterator[str]:
    entries = [entry for _, results in work.lists for entry in results if isinstance(entry, dict)]
    by_id = {key_of(entry.get("id")): entry for entry in entries}
    for entry in entries:
        parent = by_id.get(key_of(entry.get("parentID")), {}) if entry.get("parentID") else {}
        if isinstance(parent.get("from_name"), str):
            yield parent["from_name"]


def key_of(value: Any) -> Any:
    """The id of a result, as a key of a mapping; empty text for none, and for what is no id."""
    return value if isinstance(value, str | int | float) else ""


def address_of(work: Work) -> str:
    """The address of a task's image.

    It is the one that results name (``source: "$image"``), else ``image`` or ``img``, else the only text that ends like
    an image.

    Args:
        work: an annotation of the task.

    Raises:
        Misfit: there is none.
    """
    data = work.task["data"] if isinstance(work.task.get("data"), dict) else work.task
    entries = [entry for _, results in work.lists for entry in results if isinstance(entry, dict)]
    named = [str(entry[key]).lstrip("$") for key in ("source", "to_name") for entry in entries[:1] if key in entry]
    for key in (*named, "image", "img", "image_url", "url"):
        if isinstance(data.get(key), str) and data[key].strip():
            return _address(data[key])
    texts = [
        value for value in data.values() if isinstance(value, str) and value.split("?")[0].lower().endswith(_IMAGE)
    ]
    if len(texts) != 1:
        raise Misfit(f"expected the address of an image, got {len(texts)} texts that may be one.", "data")
    return _address(texts[0])


def _address(text: str) -> str:
    if text.startswith("data:"):
        raise Misfit("expected the address of an image, got the image itself. Export its file.", "data")
    return text
