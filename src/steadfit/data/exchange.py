"""Annotations of any format in, and out again."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from steadfit import _checks
from steadfit.data.formats import coco, cvat, dlc, fiftyone, labelme, labelstudio, lightning_pose, pts, via, yolo
from steadfit.data.formats.documents import parsed_once
from steadfit.data.formats.finding import ANNOTATIONS, read_source
from steadfit.data.formats.tabular import write_as_csv, write_as_parquet
from steadfit.data.images.kinds import kinds
from steadfit.data.loading import read_annotations
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError, DataWarning

_WRITTEN = (coco, cvat, dlc, fiftyone, labelme, labelstudio, lightning_pose, pts, via, yolo)
WRITERS: Mapping[str, Callable[[Annotations, Path], Path]] = {
    "csv": write_as_csv,
    "parquet": write_as_parquet,
    **{one.NAME: one.write for one in _WRITTEN},
}
"""The functions that write a format, by its name."""
PLACES: Mapping[str, Callable[[Annotations], Sequence[str]]] = {
    dlc.NAME: dlc.image_names,
    yolo.NAME: yolo.image_places,
}
"""For a format that has images where their names do not say, the function of their places in its folder of images."""


def read(
    path: str | Path,
    *,
    format: str | None = None,
    images: str | Path | None = None,
    targets: str | Sequence[str] | None = None,
    points: str | Sequence[str] | None = None,
    skip_bad: bool = False,
    seed: int = 0,
) -> Annotations:
    r"""Read annotations of any format.

    The images need not be there, and are not decoded. Points are in px of the image, the centre of its first pixel is
    (0, 0); a missing point is NaN and has visibility 0, an occluded one 1, a visible one 2. Several persons in an image
    are several rows. Splits that the format does not give are drawn.

    Args:
        path: a file or folder of annotations.
        format: its format, such as ``"coco"``; None: found by content.
        images: the folder to which the paths of images are relative; None: what the format specifies, or looked for
            next to the file.
        targets: the target columns of a table, as a list or separated by commas.
        points: names of points: those of a table's columns, or the ones to choose, in this order.
        skip_bad: whether bad rows are left out, with a warning, instead of raising.
        seed: the seed of the splits that are drawn.

    Returns:
        N rows: ``images`` (N), ``target`` (N, K, D), ``visible`` (N, K), ``box`` (N, 4), ``group`` (N,), ``split`` (N,)
        and the ``schema`` with the names of points, mirror pairs, limbs.

    Raises:
        DataError: the file cannot be read; names the place.
        ConfigError: an unknown format.

    Warns:
        DataWarning: images are not there; rows left out; anything odd.

    >>> import tempfile
    >>> table = Path(tempfile.mkdtemp()) / "ages.csv"
    >>> _ = table.write_text("height,age\n1.2,9\n1.7,30\n1.6,14\n")
    >>> read(table, targets="age").target[:, 0, 0].tolist()
    [9.0, 30.0, 14.0]
    """
    source = read_source(path, options={"targets": targets, "points": points}, format=format, images=images)
    return read_annotations(source, seed=seed, skip_bad=skip_bad)


def write(data: Annotations, path: str | Path, *, format: str, copy_images: bool = False) -> Path:
    """Write annotations in a format.

    Annotations that came from the same format are written into a copy of their file, so that what steadfit does not
    use survives, as long as that file is there. Paths of images stay as they are: read the result with the same
    ``images``, or copy them along.

    Args:
        data: the annotations.
        path: a file or folder, as the format has it. An existing file is replaced, but never the original.
        format: the name of the format.
        copy_images: whether the images are copied to where the format has them.

    Returns:
        The path that :func:`read` takes.

    Raises:
        DataError: the format cannot describe these annotations, or the original would be replaced.
        ValueError: a format that is not written.

    Warns:
        DataWarning: what the format does not carry.
    """
    _checks.one_of("write", "format", format, tuple(WRITERS))
    if _replaces(data, path, format):
        raise DataError(f"{path}: expected another path than that of the original. It is never replaced.")
    _warn_turned(data, format)
    with parsed_once():
        written = WRITERS[format](data, Path(path))
    if copy_images:
        folder = ANNOTATIONS[format].ABOUT.images if format in ANNOTATIONS else "."
        here = written if written.is_dir() else written.parent
        _copy_images(data, here / folder, PLACES.get(format, _same_places)(data))
    return written


def _replaces(data: Annotations, path: str | Path, format: str) -> bool:
    """Whether a path is that of the original, or its folder, in which the format may have a file of the same name."""
    goal, original = os.path.realpath(path), os.path.realpath(data.path)
    same = data.format == format or os.path.basename(original).startswith("annotations.")
    return goal == original or (same and os.path.isfile(original) and goal == os.path.dirname(original))


def _warn_turned(data: Annotations, format: str) -> None:
    """Say that labels are for stored images where the format takes them for turned ones, or the reverse."""
    if format not in ANNOTATIONS or format == data.format or data.images is None:
        return
    about, exif = ANNOTATIONS[format].ABOUT, data.schema.exif
    turned = [] if exif == about.exif else kinds(data.root, dict.fromkeys(data.images))[1]
    if turned:
        shown = {"honour": "turned, as they are shown", "ignore": "as they are stored"}
        warnings.warn(
            f"{data.path}: {len(turned)} images have an EXIF orientation, the first is {turned[0]!r}. The labels are "
            f"for images {shown[exif]}; {about.title} has labels for images {shown[about.exif]}. Read it with --exif "
            f"{exif}, or turn the images themselves.",
            DataWarning,
            stacklevel=3,
        )


def _same_places(data: Annotations) -> Sequence[str]:
    return data.images or ()


def _copy_images(data: Annotations, folder: Path, places: Sequence[str]) -> None:
    for name, place in dict(zip(data.images or (), places, strict=True)).items():
        origin, goal = Path(data.root, name), folder / place
        if not (_is_inside(goal, folder) and _is_inside(origin, data.root)):
            raise DataError(f"{name!r}: expected an image inside {data.root}, got one outside, which is not copied.")
        if not origin.is_file():
            raise DataError(f"{origin}: expected an image to copy, got none. Leave out --copy-images (copy_images).")
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, goal)


def _is_inside(file: Path, folder: Path) -> bool:
    return os.path.realpath(file).startswith(os.path.join(os.path.realpath(folder), ""))
