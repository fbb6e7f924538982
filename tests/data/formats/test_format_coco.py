"""COCO files: what is wrong in them, and how they are written back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_coco

import steadfit
from steadfit.data.formats.writing import json_text
from steadfit.errors import DataError


def changed(folder: Path, change: Callable[[Any], object]) -> Path:
    """The sample with a change of its content."""
    file = sample_coco.build(folder)
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_a_category_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    file = changed(tmp_path, lambda content: content["annotations"][1].update(category_id=9))
    with pytest.raises(DataError, match=r"annotations\[1\].category_id: expected the id of a category, got 9"):
        steadfit.read(file)


def test_without_categories_points_have_numbers(tmp_path: Path) -> None:
    data = steadfit.read(changed(tmp_path, lambda content: content.update(categories=[])))
    assert data.schema.points == ("0", "1", "2")


def test_a_skeleton_that_counts_from_0_is_told(tmp_path: Path) -> None:
    file = changed(tmp_path, lambda content: content["categories"][0].update(skeleton=[[0, 1], [0, 2], [1, 2]]))
    data = steadfit.read(file)
    assert data.schema.limbs == ((0, 1),)
    assert any(note.startswith("2 limbs are left out") for note in data.notes)


def test_labels_in_the_corner_are_counted(tmp_path: Path) -> None:
    file = changed(tmp_path, lambda content: content["annotations"][0]["keypoints"].__setitem__(slice(0, 2), [0, 0]))
    data = steadfit.read(file)
    assert any(note.startswith("1 points have v > 0 at exactly (0, 0)") for note in data.notes)
    assert data.visible is not None
    assert data.visible[0, 0] == 2


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig", "utf-32"])
def test_other_unicode_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    file = sample_coco.build(tmp_path)
    expected = steadfit.read(file)
    file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    assert steadfit.read(file).images == expected.images


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"a": [1, {"b": "ä"}], "c": {}}, indent=4, ensure_ascii=False),
        json.dumps({"a": [1, {"b": "ä"}], "c": {}}, separators=(",", ":")),
        json.dumps({"a": [1, {"b": "a"}], "c": {}}, indent="\t", separators=(",", ":")),
        json.dumps({"a": [1, {"b": "a"}], "c": {}}) + "\n",
        json.dumps([{"a": 1, "b": 2}], indent=2).replace("\n", "\r\n"),
        "[]",
    ],
)
def test_json_keeps_the_style_of_its_earlier_version(text: str) -> None:
    assert json_text(json.loads(text), like=text) == text


def test_only_the_point_that_changed_changes_in_a_compact_file(tmp_path: Path) -> None:
    file = sample_coco.build(tmp_path)
    before = json.dumps(json.loads(file.read_text(encoding="utf-8")), separators=(",", ":"), ensure_ascii=False)
    file.write_text(before, encoding="utf-8")
    data = steadfit.read(file)
    target = data.target.copy()
    target[0, 1] = 33.5, np.nan  # no label without both
    target[2, 0] = 33.5, 7
    after = steadfit.write(data.with_target(target), tmp_path / "out.json", format="coco").read_text(encoding="utf-8")
    expected = before.replace('"keypoints":[10,11,2,20.5,9.25,2,', '"keypoints":[10,11,2,0,0,0,')
    expected = expected.replace('"keypoints":[12,30,2', '"keypoints":[33.5,7,2')
    assert after == expected.replace('"num_keypoints":3', '"num_keypoints":2', 1)
