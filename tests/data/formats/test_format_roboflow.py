"""Roboflow's COCO export: splits of folders, augmented copies together, problems with the file that has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sample_roboflow import build

import steadfit
from steadfit.data.formats import coco, roboflow
from steadfit.errors import DataError, DataWarning


def test_folders_are_splits_and_augmented_copies_are_a_group(tmp_path: Path) -> None:
    data = steadfit.read(build(tmp_path))
    assert data.format == "roboflow"
    assert data.images == (
        *("train/mäuse a_jpg.rf.0f3c.jpg", "train/mäuse a_jpg.rf.9a1b.jpg"),
        *("valid/b_png.rf.77aa.jpg", "valid/b_png.rf.77aa.jpg"),
    )
    assert data.split.tolist() == ["train", "train", "val", "val"]
    assert data.group is not None
    assert data.group.tolist() == ["mäuse a_jpg", "mäuse a_jpg", "b_png", "b_png"]
    assert (data.schema.points, data.schema.limbs) == (("nose", "left_ear", "right_ear"), ((0, 1), (0, 2)))
    np.testing.assert_array_equal(data.target[0], [[10, 12], [14, 12], [np.nan, np.nan]])
    assert data.root == tmp_path
    assert data.line.tolist() == [1, 2, 3, 4]


def test_a_single_folder_is_read_and_its_file_is_coco(tmp_path: Path) -> None:
    data = steadfit.read(build(tmp_path) / "valid")
    assert (data.format, data.images) == ("roboflow", ("b_png.rf.77aa.jpg",) * 2)
    assert not roboflow.is_one(tmp_path / "valid/_annotations.coco.json")
    assert coco.is_one(tmp_path / "valid/_annotations.coco.json")


def test_problems_name_the_file_of_their_split(tmp_path: Path) -> None:
    file = build(tmp_path) / "valid/_annotations.coco.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["annotations"][1]["keypoints"].pop()
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"valid/_annotations.coco.json, annotations\[1\].keypoints: expected 3 values"):
        steadfit.read(tmp_path)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert steadfit.read(tmp_path, skip_bad=True).at.tolist()[2:] == [
            "valid/_annotations.coco.json, annotations[0]"
        ]  # type: ignore[union-attr]


def test_a_folder_without_exports_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder with _annotations.coco.json"):
        steadfit.read(tmp_path, format="roboflow")
