"""SLEAP's analysis files, HDF5 with the array ``tracks`` of all points in all frames.

The array is stored as (track, xy, node, frame), unless ``dims`` says otherwise. It does not say which instances people
labelled. Coordinates are px, the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steadfit.data.formats import expect
from steadfit.data.formats.about import About
from steadfit.data.formats.documents import head
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.hdf5 import is_hdf5, opened, words
from steadfit.data.formats.instances import Floats, pose_source
from steadfit.data.formats.sleap_frames import Videos, ordered_pairs, sleap_root
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

NAME = "sleap-analysis"
ABOUT = About(title="SLEAP analysis (HDF5)", sample="description", exif="ignore")
KEYS = ("tracks", "node_names")
DIMS = ("track", "xy", "node", "frame")


def is_one(path: Path) -> bool:
    """Whether a path is an HDF5 file with SLEAP's ``tracks`` and ``node_names``."""
    if not is_hdf5(path):
        return False
    try:
        with opened(path) as file:
            return all(key in file for key in KEYS)
    except DataError:  # damaged, or h5py is not installed, which reading says
        return all(key.encode() in head(path) for key in KEYS)


def read(path: Path, *, images: Path | None = None) -> Source:
    """The instances of all frames, one row each; frames without instances have none.

    Args:
        path: the file.
        images: the folder of the images; None: looked for near the file.

    Raises:
        DataError: h5py is not installed, the file is damaged, or its array does not fit its names.
    """
    with opened(path) as file:
        for key in KEYS:
            if key not in file:
                raise Misfit(f"expected the arrays {' and '.join(KEYS)}, got no {key!r}.")
        points = words(file["node_names"], "node_names")
        tracks = _tracks(file, len(points))
        names = words(file["track_names"], "track_names") if "track_names" in file else []
        video = _video(file)
        pairs, limbs = _pairs(file, points), _limbs(file, len(points))
    frame, track = np.nonzero(~np.isnan(tracks).all(axis=(2, 3)))
    xy = tracks[frame, track]
    there = ~np.isnan(xy).any(axis=2)
    if np.isinf(xy).any() or len(set(points)) < len(points):
        raise DataError(f"{path}: expected finite coordinates of different nodes, got others.")
    if not isinstance(video, str) and len(video) != len(tracks):
        raise DataError(f"{path}, video_path: expected {len(tracks)} images, got {len(video)}.")
    videos = Videos([video])
    try:
        shown, group = videos.names([(0, number) for number in frame.tolist()])
    except Misfit as error:
        raise DataError(f"{path}, video_path: {error.reason}") from None
    root, shown = sleap_root(path, shown, images)
    label = [names[k] if k < len(names) else str(k) for k in range(tracks.shape[1])]
    return pose_source(
        path=path,
        root=root,
        format=NAME,
        points=points,
        images=shown,
        xy=xy,
        visible=np.where(there, 2, 0).astype(np.int8),
        box=np.full((len(xy), 4), np.nan),
        size=np.full((len(xy), 2), np.nan),
        split=[""] * len(xy),
        group=group,
        at=[f"frame {f}, track {label[t]}" for f, t in zip(frame.tolist(), track.tolist(), strict=True)],
        pairs=pairs,
        limbs=limbs,
        notes=[
            "An analysis file does not say which instances people labelled and which a network predicted.",
            *videos.notes([0] * len(xy)),
        ],
    )


def _tracks(file: Any, nodes: int) -> Floats:
    """The points as (frame, track, node, xy)."""
    stored = np.asarray(file["tracks"][()], dtype=np.float64)
    dims = _dims(file)
    if stored.ndim != 4 or sorted(dims) != sorted(DIMS):
        raise Misfit(f"expected the dimensions {', '.join(DIMS)}, got {stored.ndim}: {', '.join(dims)}.", "tracks")
    found = stored.transpose([dims.index(name) for name in ("frame", "track", "node", "xy")])
    if found.shape[2:] != (nodes, 2):
        raise Misfit(f"expected x and y of {nodes} nodes, got the shape {stored.shape} of {', '.join(dims)}.", "tracks")
    return found


def _dims(file: Any) -> list[str]:
    """The names of the dimensions as they are stored."""
    if "dims" in file["tracks"].attrs:
        return [expect.text(name, "tracks.dims") for name in _json(file["tracks"].attrs["dims"], "tracks.dims")]
    return list(DIMS) if file.attrs.get("transpose", True) else ["frame", "node", "xy", "track"]


def _json(value: Any, where: str) -> list[Any]:
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    return expect.sequence(json.loads(text), where)


def _video(file: Any) -> str | list[str]:
    """The path of the video, or those of its images."""
    stored = file["video_path"][()] if "video_path" in file else b""
    if isinstance(stored, np.ndarray):
        return words(file["video_path"], "video_path")
    return stored.decode("utf-8") if isinstance(stored, bytes) else str(stored)


def _pairs(file: Any, points: Sequence[str]) -> list[tuple[int, int]] | None:
    listed = _json(file.attrs.get("skeleton_symmetries", "[]"), "skeleton_symmetries")
    pairs = [expect.sequence(pair, "skeleton_symmetries") for pair in listed]
    known = [(points.index(one), points.index(two)) for one, two in pairs if one in points and two in points]
    return ordered_pairs(known, points)


def _limbs(file: Any, nodes: int) -> list[tuple[int, int]]:
    ends = file["edge_inds"][()].tolist() if "edge_inds" in file else []
    return [(int(one), int(two)) for one, two in ends if one != two and min(one, two) >= 0 and max(one, two) < nodes]
