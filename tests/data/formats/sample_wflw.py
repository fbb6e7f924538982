"""WFLW's two lists: 4 faces in 3 images, two of them in one, an odd name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def line(image: str, seed: int, box: str = "4 5 30 28") -> str:
    points = np.random.default_rng(seed).uniform(2, 28, 196).round(6)
    return " ".join([*map(repr, points.tolist()), box, "0 1 0 0 1 0", image])


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def build(folder: Path) -> Path:
    """Write the sample; returns the folder to read."""
    names = ("0--Parade/0_Parade_1.png", "1--Größe/a b.png", "2--Demo/c.png")
    lists = folder / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    train = [line(names[0], 0), line(names[0], 1, "10 11 39 29"), line(names[1], 2)]
    (lists / "list_98pt_rect_attr_train.txt").write_bytes("\n".join([*train, ""]).encode())
    (lists / "list_98pt_rect_attr_test.txt").write_bytes((line(names[2], 3) + "\n").encode())
    for seed, name in enumerate(names):
        draw(folder / "WFLW_images" / name, seed)
    return folder
