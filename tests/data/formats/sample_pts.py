"""Faces in .pts files: 3 images, two faces in one, missing points, an odd name, blank lines and a comment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def content(points: Sequence[tuple[float, float]], end: str = "\n") -> str:
    lines = [f"{x} {y}" for x, y in points]
    return end.join(["version: 1", f"n_points:  {len(lines)}", "{", *lines, "}", ""])


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def build(folder: Path) -> Path:
    """Write the sample; returns the folder to read."""
    files = {
        "indoor/a.pts": content([(1, 1), (20.5, 8.125), (15.001, 14.5)], end="\r\n"),
        "indoor/b c.pts": content([(3.1, 4.2), (20.75, 9.3), (12.25, 17.875)]),
        "indoor/b c_2.pts": content([(23.5, 4.5), (float("nan"), float("nan")), (32.25, 17)]),
        "größe.pts": "# by hand\nversion: 1\nn_points: 3\n\n{\n2 3\n\n30 4.25\n15 20\n}\n\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    for seed, name in enumerate(("indoor/a.PNG", "indoor/b c.png", "größe.png")):
        draw(folder / name, seed)
    return folder
