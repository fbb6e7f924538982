"""Folders of images of three colours, some of them in a wrong one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from steadfit.data import Annotations, load_classes

NAMES = ("blue", "green", "red")


def write_colours(root: Path) -> Annotations:
    """72 training, 18 validation and 30 test images of 8 px; six of the training images lie in a wrong folder."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 6), ("test", 10)):
        for k, name in enumerate(NAMES):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                colour = np.full(3, 60.0)
                colour[(k + (split == "train" and i < 2)) % 3] = 190  # OpenCV's order is blue, green, red
                image = np.clip(colour + rng.normal(0, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
                assert cv2.imwrite(str(root / split / name / f"{i:02}.png"), image)
    return load_classes(root)
