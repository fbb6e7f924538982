"""A small COCO file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

POINTS = ["nose", "left_eye", "right_eye"]


def build(folder: Path) -> Path:
    """Three images, the first with two persons; a point that is missing and one that is occluded."""
    names = ["a b.jpg", "sub/ß.jpg", "c.jpg"]
    for k, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", np.full((48, 64, 3), 40 * k, dtype=np.uint8))[1].tobytes())
    images = [{"id": 7 * k, "file_name": name, "width": 64, "height": 48, "license": 1} for k, name in enumerate(names)]
    rows = [
        (0, [10, 11, 2, 20.5, 9.25, 2, 5, 9, 1], [2, 3, 30, 40]),
        (0, [40, 11, 2, 0, 0, 0, 35, 9, 2], [32, 3, 30, 40]),
        (7, [12, 30, 2, 22, 29, 2, 8, 28, 2], [0, 0, 64, 48]),
        (14, [13, 31, 1, 23, 30, 2, 9, 29, 2], [1, 1, 60, 40]),
    ]
    annotations = [
        {
            "id": 100 + k,
            "image_id": image,
            "category_id": 1,
            "iscrowd": 0,
            "area": 5.5,
            "segmentation": [],
            "num_keypoints": 3,
            "keypoints": keypoints,
            "bbox": box,
        }
        for k, (image, keypoints, box) in enumerate(rows)
    ]
    category = {"id": 1, "name": "person", "keypoints": POINTS, "skeleton": [[1, 2], [1, 3]]}
    content = {"info": {"year": 2026}, "images": images, "annotations": annotations, "categories": [category]}
    path = folder / "annotations.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
