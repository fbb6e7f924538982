"""Problems of annotations name points, not the columns that a reader makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from steadfit.data import load_annotations, read_annotations, read_source
from steadfit.data.learnable import obstacles
from steadfit.errors import DataError


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Twelve images with the points nose and tail; only the first, a training image, has a tail."""
    png = cv2.imencode(".png", np.full((20, 20, 3), 128, dtype=np.uint8))[1]
    images, annotations = [], []
    for k in range(12):
        (tmp_path / f"{k}.png").write_bytes(png.tobytes() + bytes([k]))
        images.append({"id": k, "file_name": f"{k}.png", "split": "train" if k < 8 else "val"})
        tail = [7, 5, 2] if k == 0 else [0, 0, 0]
        annotations.append({"id": k, "image_id": k, "category_id": 1, "keypoints": [k, k + 1, 2, *tail]})
    categories = [{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"]}]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


REASON = "expected labels that vary, got 7 in the only training row with one. --points can leave it out."


def test_a_point_that_cannot_be_learned_is_named_with_the_remedy(coco: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_annotations(coco, need_splits=("train", "val"))
    assert f"{coco}, column 'x of tail': {REASON}" in str(raised.value)


def test_check_names_it_alike(coco: Path) -> None:
    found = obstacles(read_annotations(read_source(coco)))
    assert found[0] == f"{coco}, column 'x of tail': {REASON}"


def test_a_chosen_point_keeps_its_name(coco: Path) -> None:
    source = read_source(coco, options={"points": "tail"})
    assert source.cells.names == {"x0": "x of tail", "y0": "y of tail", "v0": "v of tail"}
    assert (
        len(load_annotations(coco, options={"points": "nose"}, need_splits=("train", "val"))) == 12
    )  # nothing is wrong with it


def test_points_in_another_order_keep_their_names(coco: Path) -> None:
    found = read_annotations(read_source(coco)).renumbered(["tail", "nose"])
    assert (found.named("x0"), found.named("y1")) == ("x of tail", "y of nose")
