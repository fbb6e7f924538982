"""A small export of Roboflow in COCO's format, as its documentation describes it."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

KEYPOINTS = ["nose", "left_ear", "right_ear"]


def build(folder: Path) -> Path:
    """Write the export: train and valid, two augmented copies of one image, two animals in one image.

    Args:
        folder: the folder that gets it.

    Returns:
        The folder.
    """
    part(
        folder / "train",
        {"mäuse a_jpg.rf.0f3c.jpg": [[10, 12, 2, 14, 12, 1, 0, 0, 0]], "mäuse a_jpg.rf.9a1b.jpg": [[20, 12, 2] * 3]},
    )
    part(folder / "valid", {"b_png.rf.77aa.jpg": [[1, 2, 2, 3, 4, 2, 5, 6, 2], [11, 12, 2, 13, 14, 2, 15, 16, 2]]})
    return folder


def part(folder: Path, animals: dict[str, list[list[int]]]) -> None:
    """Write the folder of one split."""
    folder.mkdir(parents=True, exist_ok=True)
    categories: list[dict[str, Any]] = [
        {"id": 0, "name": "mice", "supercategory": "none"},
        {"id": 1, "name": "mouse", "supercategory": "mice", "keypoints": KEYPOINTS, "skeleton": [[1, 2], [1, 3]]},
    ]
    images, annotations = [], []
    for number, (name, instances) in enumerate(animals.items()):
        Image.new("RGB", (32, 24), (40 * number, 90, 90)).save(folder / name)
        images.append({"id": number, "license": 1, "file_name": name, "height": 24, "width": 32})
        for keypoints in instances:
            box = {"bbox": [keypoints[0], keypoints[1], 6, 7], "area": 42, "segmentation": [], "iscrowd": 0}
            ids = {"id": len(annotations), "image_id": number, "category_id": 1}
            annotations.append(ids | box | {"keypoints": keypoints})
    content = {"info": {}, "categories": categories, "images": images, "annotations": annotations}
    (folder / "_annotations.coco.json").write_text(json.dumps(content), encoding="utf-8")
