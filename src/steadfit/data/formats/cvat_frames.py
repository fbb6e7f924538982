"""The images of a CVAT XML file: names, sizes, subsets and videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from steadfit.data.formats import expect
from steadfit.data.formats.expect import Misfit
from steadfit.data.tables.splits import SPLIT_WORDS

ENDINGS = (".PNG", ".png", ".jpg", ".jpeg", ".JPG")
"""Endings of frames of a video, which have none in the file."""


@dataclass(frozen=True)
class Frame:
    """An image, as far as the file tells it.

    Args:
        key: what identifies it in the file.
        names: its possible names, the likeliest first; empty where the file gives none.
        size: width and height in px; None where the file gives none.
        split: a word for a split; empty for none.
        group: the video of which it is a frame; empty for an image.
        problem: what is wrong with it; None for nothing.
    """

    key: str
    names: tuple[str, ...] = ()
    size: tuple[float, float] | None = None
    split: str = ""
    group: str = ""
    problem: Misfit | None = None


@dataclass(frozen=True)
class _Task:
    name: str = ""
    video: bool = False
    subset: str = ""
    size: tuple[float, float] | None = None


def frames_of(root: Element) -> dict[int, Frame]:
    """The image of each shape, by the ``id()`` of the element, and of each ``image`` element.

    Args:
        root: the root element.
    """
    tasks = _tasks(root)
    found: dict[int, Frame] = {}
    for k, image in enumerate(root.findall("image")):
        frame = _of_image(image, k, tasks)
        found |= {id(element): frame for element in (image, *image)}
    for k, track in enumerate(root.findall("track")):
        found |= {id(shape): _of_shape(shape, track, f"track[{k}]", tasks) for shape in track}
    return found


def _tasks(root: Element) -> dict[str, _Task]:
    """Tasks by their id; the only one by empty text, too."""
    elements = [element for tag in ("task", "job") for element in root.iterfind(f"meta//{tag}")]
    found = {}
    for element in elements:
        mode = (element.findtext("mode") or "").strip()
        found[(element.findtext("id") or "").strip()] = _Task(
            name=_plain(element.findtext("name") or ""),
            video=mode == "interpolation",
            subset=(element.findtext("subset") or "").strip(),
            size=_size(element.findtext("original_size/width"), element.findtext("original_size/height")),
        )
    return found | ({"": next(iter(found.values()))} if len(found) == 1 else {})


def _plain(name: str) -> str:
    """The name of a task as the name of a folder."""
    return name.strip().replace("/", "_").replace("\\", "_").strip(".")


def _size(width: str | None, height: str | None) -> tuple[float, float] | None:
    try:
        sides = expect.number(width), expect.number(height)
    except Misfit:
        return None
    return sides if min(sides) >= 1 else None


def _of_image(image: Element, place: int, tasks: Mapping[str, _Task]) -> Frame:
    name, subset = (image.get("name") or "").strip(), (image.get("subset") or "").strip()
    task = tasks.get(image.get("task_id", ""), _Task())
    subset = subset or task.subset
    if not name:
        return Frame(f"image[{place}]", problem=Misfit("expected the name of an image, got none.", "name"))
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    endings = ("", *ENDINGS) if "." not in last else ("",)
    folders = ("", *dict.fromkeys(f"{folder}/" for folder in (subset, task.name if task.video else "") if folder))
    return Frame(
        key=f"image[{place}]",
        names=tuple(f"{folder}{name}{ending}" for folder in folders for ending in endings),
        size=_size(image.get("width"), image.get("height")),
        split=SPLIT_WORDS.get(subset.lower(), ""),
        group=_video(task, image.get("task_id", "")) if task.video else "",
    )


def _of_shape(shape: Element, track: Element, place: str, tasks: Mapping[str, _Task]) -> Frame:
    number, task_id = shape.get("frame", ""), track.get("task_id", "")
    task = tasks.get(task_id, _Task())
    subset = (track.get("subset") or "").strip() or task.subset
    try:
        name = f"frame_{expect.whole(number):06d}"
    except Misfit as error:
        return Frame(f"{place}/{task_id}/{number}", problem=Misfit(error.reason, "frame"))
    folders = dict.fromkeys((f"{task.name}/" if task.name else "", "", f"{subset}/" if subset else ""))
    endings = (".png", *(ending for ending in ENDINGS if ending != ".png"))
    return Frame(
        key=f"{task_id}/{int(float(number))}",
        names=tuple(f"{folder}{name}{ending}" for folder in folders for ending in endings),
        size=task.size,
        split=SPLIT_WORDS.get(subset.lower(), ""),
        group=_video(task, task_id),
    )


def _video(task: _Task, task_id: str) -> str:
    return task_id or task.name or "video"
