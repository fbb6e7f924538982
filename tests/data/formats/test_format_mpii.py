"""MPII Human Pose: the authors' structure, the list of persons in JSON, and a table without a header."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import sample_bodies
import scipy.io

import steadfit
from steadfit.data.formats.finding import ANNOTATIONS, find, read_source
from steadfit.errors import DataError

ORIGINAL = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache" / "steadfit-data")) / "formats"
PLACES = sample_bodies.joints_of(4, 16) - 1


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"no {path.name} in {path.parent} ($STEADFIT_DATA)")


def test_joints_keep_their_ids_where_others_are_absent(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.mpii(tmp_path))
    assert data.images == ("one.jpg", "one.jpg", "two.jpg", "three.jpg")
    np.testing.assert_allclose(data.target[0], PLACES[0])
    np.testing.assert_allclose(data.target[1, 13], PLACES[1, 13])  # a single joint, which is not a list
    assert np.isnan(np.delete(data.target[1], 13, axis=0)).all()
    np.testing.assert_allclose(data.target[2, 6:], PLACES[2, 6:])  # listed from the last to the first
    assert np.isnan(data.target[2, :6]).all()


def test_visibility_may_be_a_number_text_empty_or_absent(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.mpii(tmp_path))
    assert data.visible is not None
    assert data.visible[0, [0, 1, 2, 3, 8, 9]].tolist() == [2, 1, 2, 1, 2, 2]
    assert any("do not say whether they are visible, and count as visible: 6." in note for note in data.notes)


def test_persons_without_joints_are_counted_and_videos_are_groups(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.mpii(tmp_path))
    assert "Persons without joints, which are left out: 1 in training images, 2 in test images." in data.notes
    assert data.drawn is not None
    assert data.drawn.all()
    assert data.group is not None
    assert data.group.tolist() == ["video 3", "video 3", "video 7", "video 4"]


def test_errors_are_divided_by_the_size_of_the_head(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.mpii(tmp_path))
    assert data.schema.normalizer == "head_size"
    np.testing.assert_allclose(data.length, 0.6 * 5)  # the box is 3 by 4
    pairs = {tuple(data.schema.points[k] for k in pair) for pair in data.schema.pairs}
    assert pairs >= {("left_ankle", "right_ankle"), ("left_wrist", "right_wrist")}
    assert len(data.schema.limbs) == 15


def test_the_box_is_that_of_networks_for_this_set(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.mpii(tmp_path))
    assert data.box is not None
    side = 1.25 * 200 * 0.2
    left, top = 30 - 1 - (side - 1) / 2, 28 + 15 * 0.2 - 1 - (side - 1) / 2
    np.testing.assert_allclose(data.box[0], [left, top, side, side])


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (
            {"x": 1.0, "y": 2.0, "id": 16},
            r"annolist\(1\).annorect\(1\).id: expected the id of a joint, .* got 16",
        ),
        ({"x": 1.0, "y": "far", "id": 2}, r"annorect\(1\), y of right_hip: expected a finite number, got 'far'"),
        ({"x": 1.0, "y": 2.0, "id": 2.5}, r"id: expected a whole number"),
    ],
)
def test_a_bad_joint_is_named_with_its_place(point: dict[str, object], message: str, tmp_path: Path) -> None:
    person = {"annopoints": {"point": point}, "scale": 1.0, "objpos": {"x": 3.0, "y": 3.0}}
    release = {"annolist": {"image": {"name": "a.jpg"}, "annorect": person}, "img_train": 1}
    scipy.io.savemat(tmp_path / "m.mat", {"RELEASE": release})
    with pytest.raises(DataError, match=message):
        steadfit.read(tmp_path / "m.mat")


def test_the_list_leaves_out_joints_without_visibility_and_nowhere(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.mpii_json(tmp_path))
    np.testing.assert_allclose(data.target[0], PLACES[0])
    assert np.flatnonzero(np.isnan(data.target[1]).all(axis=1)).tolist() == [0, 5, 6]
    assert any("coordinates, which are not used: 1." in note for note in data.notes)
    assert data.images == ("one.jpg", "one.jpg", "sub dir/ß.jpg", "three.jpg")
    assert data.box is not None
    np.testing.assert_allclose(data.box[:, 2:], 50)
    assert data.schema.normalizer == (8, 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": [[1, 2]] * 15}, r"\[2\].joints: expected 16 joints and joints_vis, got 15 and 16"),
        ({"joints": [[1, 2, 3]] * 16}, r"\[2\].joints\[0\]: expected x and y"),
        ({"joints_vis": [2] * 16}, r"\[2\].joints_vis\[0\]: expected 0 or 1, got 2"),
        ({"center": [1]}, r"\[2\].center: expected x and y"),
        ({"image": None}, r"\[2\].image: expected text, got none"),
    ],
)
def test_a_bad_person_of_the_list_is_named(change: dict[str, object], message: str, tmp_path: Path) -> None:
    path = sample_bodies.mpii_json(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content[2] |= change
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        steadfit.read(path)


def test_a_person_without_scale_gets_a_box_around_its_joints(tmp_path: Path) -> None:
    path = sample_bodies.mpii_json(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content[0] |= {"center": [-1, -1], "scale": -1}
    path.write_text(json.dumps(content), encoding="utf-8")
    data = steadfit.read(path)
    assert data.box is not None
    assert (data.box[0, :2] <= np.nanmin(data.target[0], axis=0)).all()
    assert any("1 of 4 rows have no box" in note for note in data.notes)


def test_the_table_without_a_header_may_be_packed(tmp_path: Path) -> None:
    path = sample_bodies.mpii_csv(tmp_path)
    packed = tmp_path / "train_joints.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    one, other = steadfit.read(path), steadfit.read(packed)
    np.testing.assert_allclose(one.target, PLACES)
    np.testing.assert_array_equal(one.target, other.target)
    assert one.images == other.images
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(DataError, match="Is it whole"):
        steadfit.read(packed)


def test_an_ordinary_table_is_not_taken_for_mpii(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("image,x0,y0\n000000001.jpg,1,2\n000000002.jpg,3,4\n")
    assert find(tmp_path / "table.csv", ANNOTATIONS) is None


@needs(ORIGINAL / "mmpose_mpii")
@needs(ORIGINAL / "mpii_joints_csv")
def test_the_two_originals_agree() -> None:
    people = read_source(ORIGINAL / "mmpose_mpii" / "test_mpii.json")
    lines = read_source(ORIGINAL / "mpii_joints_csv" / "train_joints.csv.gz")
    assert len(lines.cells.line) == 17928
    images = lines.cells.text("image")
    places = np.stack([lines.cells.numbers(f"{axis}{k}")[0] for k in range(16) for axis in "xy"], axis=1)
    found = 0
    for row, name in enumerate(people.cells.text("image")):
        person = [people.cells.numbers(f"{axis}{k}")[0][row] for k in range(16) for axis in "xy"]
        of_image = [place for place, image in enumerate(images) if image == name]
        found += any(np.array_equal(places[place], person) for place in of_image)
    assert found == 2
    assert people.schema.points == lines.schema.points
