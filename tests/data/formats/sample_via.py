"""A project of VIA 2: 3 images, two instances in one, a missing and an occluded point, an odd name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def point(x: float, y: float, **values: Any) -> dict[str, Any]:
    return {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": values}


def rectangle(x: float, y: float, width: float, height: float, **values: Any) -> dict[str, Any]:
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return {"shape_attributes": shape, "region_attributes": values}


def entry(name: str, *regions: dict[str, Any], size: int = 1234) -> dict[str, Any]:
    values = {"filename": name, "size": size, "regions": list(regions), "file_attributes": {"caption": "", "by": "me"}}
    return {f"{name}{size}": values}


def project(*entries: dict[str, Any]) -> dict[str, Any]:
    images = {key: value for one in entries for key, value in one.items()}
    options = {"left_eye": "the left eye", "right_eye": "", "nose": ""}
    about = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
    return {
        "_via_settings": {"ui": {}, "core": {"default_filepath": ""}, "project": {"name": "eyes"}},
        "_via_img_metadata": images,
        "_via_attributes": {"region": {"name": about}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": list(images),
    }


def entries() -> list[dict[str, Any]]:
    one = {"instance": "1"}
    return [
        entry("a.png", point(10, 8, name="left_eye"), point(20, 8, name="right_eye"), point(15, 14, name="nose")),
        entry(
            "b c.png",
            rectangle(2, 3, 16, 22, **one),
            point(10, 8, name="left_eye", **one),
            point(16, 9, name="right_eye", occluded="1", **one),
            point(30, 20, name="nose", instance="2"),
            point(26, 15, name="left_eye", instance="2"),
        ),
        entry("größe.png", point(0, 0, name="nose"), point(39, 29, name="right_eye")),
    ]


def draw(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def build(folder: Path) -> Path:
    """Write the sample; returns the file to read."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("a.png", "b c.png", "größe.png")):
        draw(folder / name, seed)
    path = folder / "via_project.json"
    path.write_text(json.dumps(project(*entries()), ensure_ascii=False), encoding="utf-8")
    return path
