"""A small Label Studio JSON export, with all keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

NAMES = ("été 1.png", "b.png", "c.png", "d.png")


def point(name: str, x: float, y: float, label: str, parent: str = "") -> dict[str, Any]:
    """A key point in percent."""
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
    found = _result(name, "kp", "keypointlabels", value)
    return found | ({"parentID": parent} if parent else {})


def rectangle(name: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    """A rectangle in percent."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["head"]}
    return _result(name, "box", "rectanglelabels", value)


def _result(name: str, control: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    size = {"original_width": 24, "original_height": 20, "image_rotation": 0}
    return {
        **size,
        "value": value,
        "id": name,
        "from_name": control,
        "to_name": "image",
        "type": kind,
        "origin": "manual",
    }


def task(number: int, image: str, *results: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A task with annotations."""
    annotations = [
        {"id": 100 * number + k, "completed_by": 1, "result": result, "was_cancelled": False, "lead_time": 7.5}
        for k, result in enumerate(results)
    ]
    rest = {"drafts": [], "predictions": [], "meta": {}, "total_annotations": len(results), "project": 3}
    return {"id": number, "annotations": annotations, "data": {"image": image}, **rest, **more}


def tasks() -> list[dict[str, Any]]:
    """Four tasks: two heads in one image, a missing point, two annotators, none."""
    heads = [
        rectangle("a", 12.5, 10, 37.5, 50),
        point("a1", 40, 23.75, "left eye", "a"),
        point("a2", 20.833333333333332, 20, "right eye", "a"),
        point("a3", 30.2083333333333, 45, "nose", "a"),
        point("b3", 71.875, 45, "nose", "b"),
        rectangle("b", 54.166666666666664, 10, 43.75, 52.5),
        point("b1", 106.25, -3.75, "left eye", "b"),
    ]
    alone = [
        point("c1", 50, 30, "left eye"),
        point("c2", 37.5, 30, "right eye"),
        point("c3", 45.83333333333333, 60, "nose"),
    ]
    again = [point("c4", 51, 30, "left eye"), point("c5", 37.5, 31, "right eye"), point("c6", 45, 60, "nose")]
    part = [point("d1", 58.3, 35.1, "left eye"), point("d2", 50, 65, "nose")]
    return [
        task(1, "/data/upload/3/0a1b2c3d-été 1.png", heads),
        task(2, "/data/upload/3/0a1b2c3e-b.png", alone, again),
        task(3, "/data/local-files/?d=set/c.png", part),
        task(4, "/data/upload/3/0a1b2c3f-d.png"),
    ]


def build(folder: Path) -> Path:
    """Write the file and its images; gives the path to read."""
    (folder / "images").mkdir(parents=True)
    for k, name in enumerate(NAMES):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        (folder / "images" / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    path = folder / "project-3.json"
    path.write_text(json.dumps(tasks()), encoding="utf-8")
    return path
