"""A small analysis file of SLEAP."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

POINTS = ["nose", "left_ear", "right_ear"]


def build(folder: Path) -> Path:
    """Four frames of a video with two tracks; a point and an instance are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    tracks = np.arange(48, dtype=np.float64).reshape(4, 2, 3, 2) + 0.25  # frame, track, node, xy
    tracks[1, 0, 2] = np.nan
    tracks[2, 1] = np.nan
    tracks[3] = np.nan
    path = folder / "mice ß.analysis.h5"
    with h5py.File(path, "w") as file:
        file["tracks"] = tracks.transpose(1, 3, 2, 0)
        file["track_occupancy"] = (~np.isnan(tracks).all(axis=(2, 3))).astype(np.uint8)
        file["node_names"] = np.array(POINTS, dtype="S")
        file["track_names"] = np.array(["a", "b"], dtype="S")
        file["edge_inds"] = np.array([[0, 1], [0, 2]])
        file["video_path"] = np.bytes_("C:\\videos\\cage 1.mp4")
    return path
