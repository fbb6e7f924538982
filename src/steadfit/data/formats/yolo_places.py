"""Where the images of a YOLO set and their labels are: folders and lists are followed, within the set's folder only."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steadfit.data.formats.expect import Misfit, fact
from steadfit.data.formats.paths import relative
from steadfit.data.formats.roots import SAMPLE, checked_folder
from steadfit.data.formats.yolo_sets import YoloSet, files_below, is_image, label_of, labels_folder, listed_in
from steadfit.errors import DataError, DataWarning


@dataclass(frozen=True)
class Place:
    """An image of a set.

    Args:
        split: the split; empty for none.
        path: the path of the image relative to the folder of the set.
        name: the path relative to the root of the images.
        label: the path of its labels relative to the folder that has them, ``labels``.
        labels: the folder of the set or, where it has none, the root of the images.
        found: whether there is an image of that name, as far as listing folders tells.
    """

    split: str
    path: str
    name: str
    label: str
    labels: Path
    found: bool = True


@dataclass
class Places:
    """The images of a set.

    Args:
        root: the folder to which their names are relative.
        images: the images in the order of splits, folders and lists.
        notes: sentences on what is odd.
    """

    root: Path
    images: list[Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def places_of(described: YoloSet, images: Path | None) -> Places:
    """The images of a set, each once.

    Args:
        described: the set.
        images: the folder of the images; None: that of the set.

    Raises:
        DataError: nothing is where the set says it is, or a path leaves its folder.
    """
    told = None if images is None else checked_folder(images)
    root = told or described.folder / (described.prefix or "")
    found, absent = Places(root), []
    alone = sum(map(len, described.splits.values())) == 1
    for split, entries in described.splits.items():
        for entry in entries:
            try:
                some = _of_entry(described, split, entry, told, alone=alone)
            except Misfit as error:
                raise DataError(f"{described.file or described.folder}, {split}: {error}") from None
            found.images += some
            if not some:
                absent.append(f"{split}: {entry}")
    if not found.images:
        split, entry = absent[0].split(": ", 1)
        raise DataError(
            f"{described.file or described.folder}, {split}: expected a folder or a list of images in "
            f"{described.folder}, got none at {fact(entry)}. Name the folder of the images with --images (images=...)."
        )
    for one in absent:
        note = f"In data.yaml nothing is there of {one}."
        found.notes.append(note)
        if not one.startswith("test: "):  # test images are often kept back
            warnings.warn(f"{described.file or described.folder}: {note}", DataWarning, stacklevel=2)
    found = _each_once(found)
    file = list_file(described, described.order) if described.order and "\0" not in described.order else None
    if file is not None:
        rank = {line.removeprefix("./"): number for number, line in enumerate(listed_in(file))}
        found.images.sort(key=lambda place: rank.get(place.path, len(rank)))
    return found


def _each_once(places: Places) -> Places:
    """Without images that an earlier split has, too."""
    split_of: dict[str, str] = {}
    kept = [place for place in places.images if split_of.setdefault(place.path, place.split) == place.split]
    kept = list({place.path: place for place in kept}.values())
    if several := len({place.path for place in places.images if split_of[place.path] != place.split}):
        places.notes.append(f"{several} images are in several splits and count for the first of train, val and test.")
    return Places(places.root, kept, places.notes)


def _of_entry(described: YoloSet, split: str, entry: str, told: Path | None, *, alone: bool) -> list[Place]:
    """The images of one folder or list."""
    folders = [folder for folder in (described.folder, told) if folder is not None]
    path = relative(entry, folders, {}, label_of)
    if path.lower().endswith(".txt") and (file := list_file(described, path)):
        return _of_list(described, split, file, told)
    return _of_folder(described, split, path, told, alone=alone)


def list_file(described: YoloSet, path: str) -> Path | None:
    """The file of a list, in the folder of the set or in that of its ``data.yaml``; None where it is not there.

    Args:
        described: the set.
        path: the path of the list.

    Raises:
        Misfit: links lead out of the folder.
    """
    near = [described.folder] + ([described.file.parent] if described.file else [])
    for folder in near:
        if os.path.isfile(folder / path):
            stays(folder, folder / path)
            return folder / path
    return None


def stays(folder: Path, file: Path) -> None:
    """Refuse a file that links lead out of its folder."""
    base = os.path.realpath(folder)
    if os.path.commonpath([base, os.path.realpath(file)]) != base:
        raise Misfit(f"expected a file inside {folder}, got {fact(file.name)}, which links lead outside.")


def _of_folder(described: YoloSet, split: str, path: str, told: Path | None, *, alone: bool) -> list[Place]:
    shown, base = _shown(described, path, told, alone=alone)
    names = [] if shown is None else [name for name in files_below(base / shown) if is_image(name)]
    folder = labels_folder(path)
    labels = described.folder
    if not os.path.isdir(labels / folder) and told is not None and shown is not None:
        labels, folder = told, labels_folder(shown)
    there = [] if folder == path else _labels_below(labels, folder)
    places = [
        Place(split, _join(path, name), _join(shown or "", name), _join(folder, _label_name(name)), labels)
        for name in names
    ]
    known = {place.label for place in places}
    for name in (name for name in there if _join(folder, name) not in known):
        stem = name[: -len(".txt")]
        places.append(Place(split, _join(path, stem), _join(path, stem), _join(folder, name), labels, found=False))
    return places


def _label_name(name: str) -> str:
    return os.path.splitext(name)[0] + ".txt"


def _labels_below(labels: Path, folder: str) -> list[str]:
    if not os.path.isdir(labels / folder):
        return []
    stays(labels, labels / folder)
    return [name for name in files_below(labels / folder) if name.endswith(".txt")]


def _shown(described: YoloSet, path: str, told: Path | None, *, alone: bool) -> tuple[str | None, Path]:
    """A folder of images relative to their root, and the root; None for the folder where it is not there."""
    if told is None:
        root = described.folder
        return (path if os.path.isdir(root / path) else None), root
    parts = path.split("/") if path else []
    for skipped in range(len(parts) + alone):
        rest = "/".join(parts[skipped:])
        if os.path.isdir(told / rest):
            return rest, told
    return None, told


def _of_list(described: YoloSet, split: str, file: Path, told: Path | None) -> list[Place]:
    near = os.path.relpath(file.parent, described.folder)
    folders = [folder for folder in (described.folder, told) if folder is not None]
    known: dict[str, int] = {}
    paths = []
    for number, line in enumerate(listed_in(file), start=1):
        try:
            here = _join("" if near == "." else near, line[2:]) if line.startswith("./") else line
            paths.append(relative(here, folders, known, label_of))
        except Misfit as error:
            raise DataError(f"{file}, line {number}: {error}") from None
    skipped = _skipped(described, paths, told)
    found = []
    for path in paths:
        name, label, labels = "/".join(path.split("/")[skipped:]), label_of(path), described.folder
        if told is not None and not os.path.isfile(labels / label) and os.path.isfile(told / label_of(name)):
            label, labels = label_of(name), told
        found.append(Place(split, path, name, label, labels))
    return found


def _skipped(described: YoloSet, paths: Sequence[str], told: Path | None) -> int:
    """How many folders in front of listed paths are not part of the names of images."""
    if described.prefix is not None:
        return len(described.prefix.split("/")) if described.prefix else 0
    if told is None:
        return 0
    some = [path.split("/") for path in paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE]]
    depth = min(map(len, some), default=1)
    return max(range(depth), key=lambda k: sum(os.path.isfile(told / "/".join(parts[k:])) for parts in some), default=0)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name
