"""A small file of SLEAP, written by sleap-io."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sample_dlc

POINTS = ["nose", "left_ear", "right_ear"]


def build(folder: Path) -> Path:
    """Three images, the first with two animals; a point that is missing. Without sleap-io the test is skipped."""
    sio = pytest.importorskip("sleap_io", reason="sleap-io is not installed (pip install 'steadfit[sleap]')")
    names = ["a b.png", "ß.png", "c.png"]
    sample_dlc.draw(folder / "frames", names)
    skeleton = sio.Skeleton(nodes=POINTS, edges=[("nose", "left_ear")], symmetries=[("left_ear", "right_ear")])
    video = sio.Video.from_filename([str(folder / "frames" / name) for name in names])
    rows = [(0, [[1, 2], [3, 4], [5, 6.5]]), (0, [[11, 12], [np.nan] * 2, [15, 16]]), (1, [[1, 9], [3, 9], [5, 9]])]
    rows += [(2, [[2, 9], [3, 9], [5, 9]])]
    frames = [
        sio.LabeledFrame(
            video=video,
            frame_idx=k,
            instances=[sio.Instance.from_numpy(np.array(at, float), skeleton=skeleton) for f, at in rows if f == k],
        )
        for k in range(3)
    ]
    path = folder / "labels.slp"
    sio.Labels(frames).save(str(path), embed=False)
    return path
