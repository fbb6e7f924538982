"""SLEAP's labels, a ``.slp`` file, read through sleap-io.

What people labelled is read, not what a network predicted. Coordinates are px, the centre of the first pixel is (0, 0):
sleap-io takes half a pixel from those of files before version 1.1. A hidden node is missing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steadfit.data.formats.about import About
from steadfit.data.formats.expect import Misfit, fact
from steadfit.data.formats.hdf5 import is_hdf5
from steadfit.data.formats.instances import Instances, Point
from steadfit.data.formats.sleap_frames import Videos, ordered_pairs, sleap_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "sleap"
ABOUT = About(title="SLEAP (.slp)", sample="description", exif="ignore")


def is_one(path: Path) -> bool:
    """Whether a path is an HDF5 file that is called ``.slp``."""
    return path.suffix.lower() == ".slp" and is_hdf5(path)


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances that people labelled, one row each.

    Args:
        path: the file.
        images: the folder of the images; None: looked for near the file.

    Raises:
        DataError: sleap-io is not installed or cannot read the file, or nobody labelled anything in it.
    """
    labels = _load(path)
    try:
        return _source(path, labels, images)
    except Misfit as error:
        raise DataError(f"{path}, {error}") from None
    except (AttributeError, LookupError, TypeError) as error:
        raise DataError(f"{path}: expected labels of SLEAP, got others ({error!r:.100}).") from None


def _load(path: Path) -> Any:
    try:
        import sleap_io
    except ImportError:
        raise DataError(
            f"{path}: expected the library sleap-io, which reads SLEAP's files, got none. Install it: pip install "
            "'steadfit[sleap]'."
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return sleap_io.load_slp(str(path), open_videos=False)
    except Exception as error:  # whatever a damaged file makes the library raise
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: expected a file of SLEAP, got one that sleap-io cannot read ({reason}).") from None


def _source(path: Path, labels: Any, images: Path | None) -> Source:
    numbers = {id(video): k for k, video in enumerate(labels.videos)}
    videos = Videos([_file(video) for video in labels.videos])
    frames = list(labels.labeled_frames)
    places = [(numbers[id(frame.video)], int(frame.frame_idx)) for frame in frames]
    names, groups = videos.names(places)
    root, names = sleap_root(path, names, images)
    found = Instances(path=path, format=NAME, points=_points(labels.skeletons))
    used = []
    for k, frame in enumerate(frames):
        for number, instance in enumerate(frame.user_instances):
            at = f"labeled_frames[{k}].instances[{number}]"
            with found.row(at):
                points = _instance(instance)
                found.add(names[k], points, at=at, size=_size(frame.video), group=groups[k])
                used.append(places[k][0])
    return found.source(
        root,
        pairs=_pairs(labels.skeletons, found.points),
        limbs=_limbs(labels.skeletons, found.points),
        notes=[*videos.notes(used), *_notes(frames)],
    )


def _file(video: Any) -> str | list[str]:
    """The path of a video or those of its images; for embedded frames those of the video they come from."""
    origin = getattr(video, "source_video", None)
    name = video.filename if origin is None else origin.filename
    return [str(one) for one in name] if isinstance(name, list | tuple) else str(name)


def _points(skeletons: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(name) for skeleton in skeletons for name in skeleton.node_names))


def _instance(instance: Any) -> Mapping[str, Point]:
    names = [str(name) for name in instance.skeleton.node_names]
    found = {}
    for name, (x, y) in zip(names, instance.numpy(invisible_as_nan=True).tolist(), strict=True):
        if math.isnan(x) or math.isnan(y):
            continue
        if math.isinf(x) or math.isinf(y):
            raise Misfit(f"expected finite coordinates, got {fact([x, y])}.", name)
        found[name] = Point(x, y)
    return found


def _size(video: Any) -> tuple[float, float] | None:
    shape = video.shape
    return None if shape is None else (float(shape[2]), float(shape[1]))


def _limbs(skeletons: Sequence[Any], points: Sequence[str]) -> list[tuple[int, int]]:
    found = [(str(one), str(two)) for skeleton in skeletons for one, two in skeleton.edge_names]
    return [(points.index(one), points.index(two)) for one, two in dict.fromkeys(found)]


def _pairs(skeletons: Sequence[Any], points: Sequence[str]) -> list[tuple[int, int]] | None:
    found = [sorted(map(str, pair)) for skeleton in skeletons for pair in skeleton.symmetry_names]
    indices = [(points.index(pair[0]), points.index(pair[1])) for pair in found if len(pair) == 2]
    return ordered_pairs(list(dict.fromkeys(indices)), points)


def _notes(frames: Sequence[Any]) -> list[str]:
    """What is left out: predictions, and frames that show nobody."""
    predicted = sum(len(frame.predicted_instances) for frame in frames)
    negative = sum(bool(getattr(frame, "is_negative", False)) for frame in frames)
    notes = [f"{predicted} predicted instances are left out: they are no labels."] * bool(predicted)
    return notes + [f"{negative} frames are marked as showing no animal, and have no row."] * bool(negative)
