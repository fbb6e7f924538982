"""A small set in Labelme's format: 3 images, two instances in one, a missing and an occluded point, an odd name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def shape(label: str, *points: tuple[float, float], group: int | None = None, **more: Any) -> dict[str, Any]:
    kind = "point" if len(points) == 1 else "rectangle"
    values = {"label": label, "points": [list(point) for point in points], "group_id": group}
    return {**values, "description": "", "shape_type": kind, "flags": {}, "mask": None, **more}


def document(image: str, *shapes: dict[str, Any], **more: Any) -> dict[str, Any]:
    values = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None}
    return {**values, "imageHeight": 30, "imageWidth": 40, **more}


def save(content: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def build(folder: Path) -> Path:
    """Write the sample; returns the folder to read."""
    eyes = ("left_eye", (10.25, 8.0)), ("right_eye", (20.5, 8.75))
    one = [shape(name, place) for name, place in eyes]
    save(document("a.png", *one, shape("nose", (15.0, 14.5), flags={"occluded": True})), folder / "a.json")
    first = [shape("person", (2, 3), (18, 25), group=1), *(shape(name, place, group=1) for name, place in eyes)]
    second = [shape("nose", (30.0, 20.0), group=2), shape("left_eye", (26.5, 15.0), group=2)]
    save(document("..\\sub\\b c.png", *first, *second), folder / "sub" / "b c.json")
    save(document("größe.png", shape("nose", (0.0, 0.0)), shape("right_eye", (39.0, 29.0))), folder / "größe.json")
    for seed, name in enumerate(("a.png", "sub/b c.png", "größe.png")):
        draw(folder / name, seed)
    return folder
