"""What a ``data.yaml`` of YOLO describes: points, classes, and where images and labels are. Nothing in it is run.

The label file of an image has its path with the last folder ``images`` replaced by ``labels``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.documents import head, text_at, yaml_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.paths import plain
from steadfit.errors import DataError

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Keys of ``data.yaml`` and the splits that they name."""
SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpeg2000", ".jpg"),
        *(".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""Suffixes of images in a folder, in small letters."""
MOST_POINTS = 10_000
_NAMES = ("data.yaml", "data.yml")
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class YoloSet:
    """A set of images with labels, as its ``data.yaml`` describes it.

    Args:
        file: the ``data.yaml``; None for a bare folder.
        folder: the folder to which the paths in it are relative.
        dimensions: 2 for x, y and 3 for x, y, v.
        count: the number K of points of each instance.
        classes: names of the classes by number; empty where they are not given.
        names: names of the points of each class, at most K; ``None`` holds those of other classes.
        flip: for each point the one that mirroring puts in its place; None where it is not given.
        limbs: points to join by a line.
        splits: folders and lists of images by split.
        prefix: the folder that paths of images start with and their names do not; only in files of steadfit.
        own_boxes: whether boxes were annotated, rather than made around the points by steadfit.
        order: a list of all images in their order; only in files of steadfit.
        notes: sentences on what is odd.
    """

    file: Path | None
    folder: Path
    dimensions: int
    count: int
    classes: Mapping[int, str] = field(default_factory=dict)
    names: Mapping[int | None, tuple[str, ...]] = field(default_factory=dict)
    flip: tuple[int, ...] | None = None
    limbs: Pairs = ()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefix: str | None = None
    own_boxes: bool = True
    order: str = ""
    notes: tuple[str, ...] = ()

    def points_of(self, number: int) -> tuple[str, ...]:
        """The names of the points of a class, by its number."""
        return self.names.get(number) or self.names[None]


def description_in(path: Path) -> Path | None:
    """The ``data.yaml`` that is a path or in a folder; None where there is none of YOLO.

    Args:
        path: a file or folder.

    Raises:
        DataError: the file is meant to be one and is not YAML.
    """
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml") and _describes(path) else None
    if not path.is_dir():
        return None
    named = [path / name for name in _NAMES if (path / name).is_file()]
    others = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    likely = named or [file for file in others if b"kpt_shape" in head(file)]
    found = [file for file in likely if _describes(file)]
    return found[0] if len(found) == 1 or (found and named) else None


def _describes(file: Path) -> bool:
    try:
        content = yaml_at(file)
    except DataError:
        if file.name in _NAMES or b"kpt_shape" in head(file):
            raise
        return False
    if not isinstance(content, dict):
        return False
    return "kpt_shape" in content or (any(key in content for key in SPLITS) and ("names" in content or "nc" in content))


def read_set(file: Path) -> YoloSet:
    """The set that a ``data.yaml`` describes.

    Args:
        file: the file.

    Raises:
        DataError: it does not describe points, or something in it does not fit; names the key.
    """
    try:
        content = expect.mapping(yaml_at(file))
        if "kpt_shape" not in content:
            raise Misfit(
                "expected kpt_shape, the number of key points, got none: this set has boxes or masks without points."
            )
        count, dimensions = _shape(content["kpt_shape"])
        notes = ["download in data.yaml is a program or an address: it is not used."] * ("download" in content)
        folder, found = _base(file, content.get("path"))
        prefix = content.get("images")
        return YoloSet(
            file=file,
            folder=folder,
            dimensions=dimensions,
            count=count,
            classes=_classes(content.get("names")),
            names=_names(content.get("kpt_names"), count),
            flip=_flip(content.get("flip_idx"), count),
            limbs=_limbs(content.get("skeleton"), count),
            splits=_splits(content),
            prefix=None if prefix is None else plain(expect.text(prefix, "images"), "images"),
            own_boxes=content.get("boxes") != "points",
            order=content["order"] if prefix is not None and isinstance(content.get("order"), str) else "",
            notes=(*notes, *found),
        )
    except Misfit as error:
        raise DataError(f"{file}, {error}" if error.where else f"{file}: {error}") from None


def label_of(image: str) -> str:
    """The path of the labels of an image.

    >>> label_of("train/images/a.jpg"), label_of("images/images/b.c.png"), label_of("c.jpg")
    ('train/labels/a.txt', 'images/labels/b.c.txt', 'c.txt')
    """
    return _exchanged(os.path.splitext(image)[0] + ".txt", "images", "labels")


def _exchanged(path: str, old: str, new: str) -> str:
    """A path with the last folder of a name replaced."""
    before, found, after = f"/{path}".rpartition(f"/{old}/")
    return f"{before}/{new}/{after}"[1:] if found else path


def labels_folder(images: str) -> str:
    """The folder of the labels of a folder of images.

    >>> labels_folder("images"), labels_folder("images/train"), labels_folder("pictures")
    ('labels', 'labels/train', 'pictures')
    """
    return _exchanged(f"{images}/", "images", "labels").rstrip("/")


def files_below(folder: Path) -> Iterator[str]:
    """The paths of the files in a folder and in the folders in it, relative to it, sorted; hidden ones are left out.

    Args:
        folder: the folder.
    """
    for here, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        rest = os.path.relpath(here, folder).replace(os.sep, "/")
        for name in sorted(files):
            if not name.startswith("."):
                yield name if rest == "." else f"{rest}/{name}"


def is_image(name: str) -> bool:
    """Whether a file has the suffix of an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def bare_set(path: Path) -> YoloSet | None:
    """The set in a folder without a ``data.yaml``: folders ``images`` and ``labels`` with labels of points x, y, v.

    Args:
        path: the folder.

    Returns:
        None for anything that may be something else, such as labels of masks.
    """
    for images in ("images", "train/images"):
        labels = path / labels_folder(images)
        if not ((path / images).is_dir() and labels.is_dir()):
            continue
        counts = {_points_in(line) for line in _some_lines(labels)}
        if len(counts) != 1 or not (count := counts.pop()):
            return None
        splits = _bare_splits(path, images)
        names: dict[int | None, tuple[str, ...]] = {None: tuple(str(k) for k in range(count))}
        note = f"There is no data.yaml: {count} points x, y, v are read from the number of values, without their names."
        return YoloSet(None, path, 3, count, names=names, splits=splits, notes=(note,))
    return None


def _bare_splits(path: Path, images: str) -> dict[str, tuple[str, ...]]:
    folders = {word: f"{word}/images" if images != "images" else f"images/{word}" for word in SPLITS}
    there = {word: folder for word, folder in folders.items() if (path / folder).is_dir()}
    found: dict[str, tuple[str, ...]] = {}
    for word, folder in there.items():
        found[SPLITS[word]] = (*found.get(SPLITS[word], ()), folder)
    return found or {"": (images,)}


def _some_lines(labels: Path, most: int = 20) -> list[str]:
    """The lines of the first label files that have any."""
    found: list[str] = []
    for name in files_below(labels):
        if name.endswith(".txt"):
            found += [line for line in head(labels / name).decode("utf-8", "replace").splitlines() if line.strip()]
        if len(found) >= most:
            break
    return found[:most]


def _points_in(line: str) -> int:
    """The number of points of a line with class, box and triples x, y, v; 0 for any other line."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        return 0
    shares, codes = values[1:5], values[7::3]
    fits = len(values) >= 8 and (len(values) - 5) % 3 == 0 and values[0].is_integer()
    return len(codes) if fits and all(0 <= s <= 1 for s in shares) and all(v in (0, 1, 2) for v in codes) else 0


def _shape(value: Any) -> tuple[int, int]:
    found = [expect.whole(number, "kpt_shape") for number in expect.sequence(value, "kpt_shape")]
    if len(found) != 2 or not 1 <= found[0] <= MOST_POINTS or found[1] not in (2, 3):
        raise Misfit(
            f"expected the number of points and 2 or 3 values for each, got {expect.fact(value)}.", "kpt_shape"
        )
    return found[0], found[1]


def _base(file: Path, path: Any) -> tuple[Path, list[str]]:
    """The folder that ``path`` names, if it is that of the file or in it; else the one of the file, with a note."""
    if path is None or path == "":
        return file.parent, []
    folder = Path(expect.text(path, "path"))
    named = folder if folder.is_absolute() else file.parent / folder
    if os.path.isdir(named):
        inside = os.path.relpath(os.path.realpath(named), os.path.realpath(file.parent))
        if inside.split(os.sep)[0] != os.pardir:
            return file.parent / inside, []
    return file.parent, [f"path in {file.name} is not a folder in that of the file, which is used instead."]


def _splits(content: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, split in SPLITS.items():
        value = content.get(key)
        if value is None or value == "" or value == []:
            continue
        entries = value if isinstance(value, list) else [value]
        found[split] = (*found.get(split, ()), *(expect.text(entry, key) for entry in entries))
    if not found:
        raise Misfit("expected folders or lists of images in train, val and test, got none.")
    return found


def _classes(value: Any) -> dict[int, str]:
    if value is None:
        return {}
    entries = value.items() if isinstance(value, dict) else enumerate(expect.sequence(value, "names"))
    return {expect.whole(key, "names"): expect.text(name, "names") for key, name in entries}


def _names(value: Any, count: int) -> dict[int | None, tuple[str, ...]]:
    """The names of the points of each class; numbers where there are none."""
    found: dict[int | None, tuple[str, ...]] = {None: tuple(str(k) for k in range(count))}
    if not value:
        return found
    if isinstance(value, list) and not any(isinstance(names, list) for names in value):
        if len(names := _some_names(value, count, "kpt_names")) < count:
            raise Misfit(f"expected the names of {count} points as in kpt_shape, got {len(names)}.", "kpt_names")
        return {None: names}
    entries = value.items() if isinstance(value, dict) else enumerate(expect.sequence(value, "kpt_names"))
    for key, names in entries:
        number = expect.whole(key, "kpt_names")
        found[number] = _some_names(names, count, f"kpt_names[{number}]")
    return found


def _some_names(value: Any, count: int, where: str) -> tuple[str, ...]:
    names = tuple(expect.text(name, where) for name in expect.sequence(value, where))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Misfit(f"expected different names of points, got {twice!r} twice.", where)
    if not 0 < len(names) <= count:
        raise Misfit(f"expected the names of {count} points as in kpt_shape, got {len(names)}.", where)
    return names


def _flip(value: Any, count: int) -> tuple[int, ...] | None:
    if not value:
        return None
    found = tuple(expect.whole(number, "flip_idx") for number in expect.sequence(value, "flip_idx"))
    if sorted(found) != list(range(count)) or any(found[found[k]] != k for k in range(count)):
        raise Misfit(
            f"expected the partner of each of {count} points, each other's or itself, got {expect.fact(value)}.",
            "flip_idx",
        )
    return found


def _limbs(value: Any, count: int) -> Pairs:
    """Limbs, counted from 0; a skeleton of another form, which YOLO does not know, is not used."""
    found = []
    for limb in value if isinstance(value, list) else ():
        ends = limb if isinstance(limb, list) and all(type(end) is int and 0 <= end < count for end in limb) else []
        if len(ends) == 2 and ends[0] != ends[1]:
            found.append((ends[0], ends[1]))
    return tuple(found)


def listed_in(file: Path) -> Sequence[str]:
    """The lines of a list of images.

    Args:
        file: the list.

    Raises:
        DataError: it cannot be read.
    """
    return [line.rstrip("\r") for line in text_at(file).split("\n") if line.strip()]
