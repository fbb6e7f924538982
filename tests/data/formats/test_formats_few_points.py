"""Instances of which a single point is labelled, several in an image: they have no extent, and no box to go by."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from samples import SAMPLES
from test_formats_contract import POINTS_ONLY, same, scene

import steadfit
from steadfit.data import Annotations
from steadfit.data.formats.instances import filled_boxes
from steadfit.errors import DataWarning


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Warnings about odd data are not what is tested here."""
    warnings.simplefilter("ignore", DataWarning)


def sparse(folder: Path) -> Annotations:
    """Annotations without boxes: both instances of the first image have one point, and so has that of the last."""
    data = scene(folder, boxes=False)
    target = data.target.copy()
    target[:2, 1:], target[-1, 1:] = np.nan, np.nan
    schema = dataclasses.replace(data.schema, box=None)
    return dataclasses.replace(data.with_target(target), box=None, schema=schema)


@pytest.mark.parametrize("name", POINTS_ONLY)
def test_instances_of_one_point_are_read_again(name: str, tmp_path: Path) -> None:
    data = sparse(tmp_path)
    written = steadfit.write(data, tmp_path / "out" / "set", format=name)
    again = steadfit.read(written, images=data.root)
    same(data, again, visible=False, box=False)
    assert again.box is None or again.schema.box == "points"  # no box was made up
    first = [row for row, image in enumerate(again.images or ()) if image == "a b.png"]
    assert again.box is not None
    np.testing.assert_array_equal(again.box[first], [[0, 0, 60, 40]] * 2)  # seen in the whole image


def test_one_point_makes_no_box_beside_the_boxes_of_others() -> None:
    xy = np.array([[[5.0, 6.0], [9.0, 8.0]], [[5.0, 6.0], [np.nan, np.nan]]])
    filled = filled_boxes(np.full((2, 4), np.nan), xy)
    assert np.isfinite(filled[0]).all()
    assert np.isnan(filled[1]).all()


def test_a_row_without_box_is_seen_in_its_whole_image_where_others_have_boxes(tmp_path: Path) -> None:
    file = SAMPLES["coco"](tmp_path)
    content = json.loads(file.read_text())
    for entry in content["annotations"][:2]:
        del entry["bbox"]
        entry["keypoints"][3:] = [0] * 6
    file.write_text(json.dumps(content))
    data = steadfit.read(file)
    assert data.box is not None
    np.testing.assert_array_equal(data.box[:3], [[0, 0, 64, 48]] * 3)
    np.testing.assert_array_equal(data.box[3], [1, 1, 60, 40])


def test_boxes_that_coco_gets_around_points_are_not_taken_for_annotated_ones(tmp_path: Path) -> None:
    data = sparse(tmp_path)
    content = json.loads(steadfit.write(data, tmp_path / "out.json", format="coco").read_text())
    assert content["info"] == {"boxes": "points"}
    assert all(side > 0 for entry in content["annotations"] if "bbox" in entry for side in entry["bbox"][2:])
