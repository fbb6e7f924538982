"""Labelme: groups, boxes, visibility, paths of images, and files written back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sample_labelme import build, document, draw, save, shape

from steadfit.data.exchange import read, write
from steadfit.data.formats import labelme
from steadfit.errors import DataError, DataWarning


def test_points_groups_boxes_and_visibility(tmp_path: Path) -> None:
    data = read(build(tmp_path))
    assert data.format == "labelme"
    assert data.images == ("a.png", "größe.png", "sub/b c.png", "sub/b c.png")
    assert data.schema.points == ("left_eye", "right_eye", "nose")
    assert data.schema.pairs == ((0, 1),)
    np.testing.assert_array_equal(data.target[0], [[10.25, 8], [20.5, 8.75], [15, 14.5]])
    np.testing.assert_array_equal(data.visible, [[2, 2, 1], [0, 2, 2], [2, 2, 0], [2, 0, 2]])
    np.testing.assert_array_equal(data.box[2], [2, 3, 16, 22])
    np.testing.assert_array_equal(data.size, [[40, 30]] * 4)
    assert data.at is not None
    assert data.at[2] == "sub/b c.json, group_id 1"


def test_one_file(tmp_path: Path) -> None:
    data = read(build(tmp_path) / "sub" / "b c.json")
    assert data.images == ("sub/b c.png",) * 2
    assert data.root == tmp_path.resolve()


def test_the_same_name_twice_names_the_remedy(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    save(document("a.png", shape("nose", (1, 2)), shape("nose", (5, 6))), tmp_path / "a.json")
    with pytest.raises(DataError, match=r"a\.json, shapes\[1\]\.label: expected each point once.*'nose'.*group_id"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (shape("nose", (float("nan"), 1)), r"shapes\[1\]\.points\[0\]: expected a finite number, got nan"),
        (shape("nose", (1, 2)) | {"points": [[1, 2], [3, 4]]}, r"expected one pair of coordinates for a point, got 2"),
        (shape("nose", (1, 2)) | {"points": [[1, 2, 3]]}, r"expected x and y"),
        (shape("", (1, 2)), r"shapes\[1\]\.label: expected text"),
        (shape("nose", (1, 2)) | {"group_id": [1]}, r"shapes\[1\]\.group_id: expected a whole number or none"),
        ([], r"shapes\[1\]: expected keys and values"),
    ],
)
def test_bad_shapes_say_where(tmp_path: Path, wrong: object, message: str) -> None:
    build(tmp_path)
    save(document("a.png", shape("left_eye", (1, 2)), wrong), tmp_path / "a.json")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"a\.json, .*" + message):
        read(tmp_path)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert read(tmp_path, skip_bad=True).images == ("größe.png", "sub/b c.png", "sub/b c.png")


def test_a_broken_file_says_its_line(tmp_path: Path) -> None:
    build(tmp_path)
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match=r"a\.json, line \d+, column \d+: expected JSON"):
        read(tmp_path)


def test_other_shapes_files_and_empty_images_are_counted(tmp_path: Path) -> None:
    build(tmp_path)
    polygon = shape("dog", (1, 2), (3, 4)) | {"shape_type": "polygon"}
    loose = shape("dog", (1, 2), (3, 4))
    one = shape("nose", (1, 2), group=1), shape("nose", (5, 2), group=2)
    save(document("a.png", *one, polygon, polygon, loose), tmp_path / "a.json")
    save(document("größe.png"), tmp_path / "größe.json")
    save({"classes": []}, tmp_path / "classes.json")
    notes = " ".join(read(tmp_path).notes)
    assert "left out: 2 polygon, 1 rectangle." in notes
    assert "1 JSON files without Labelme's shapes" in notes
    assert "1 images have no points" in notes


def test_a_rectangle_without_group_is_the_box_of_the_only_instance(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    save(document("a.png", shape("dog", (30, 25), (2, 3)), shape("nose", (5, 6))), tmp_path / "a.json")
    np.testing.assert_array_equal(read(tmp_path).box, [[2, 3, 28, 22]])


def test_x_anylabeling(tmp_path: Path) -> None:
    """Rectangles of four corners, and occluded points that are ``difficult``."""
    draw(tmp_path / "a.png", 0)
    extra = {"score": None, "difficult": False, "attributes": {}, "kie_linking": []}
    rectangle = shape("dog", (2, 3), (30, 3), (30, 25), (2, 25), group=0, **extra)
    points = [shape("nose", (5, 6), group=0, **extra), shape("tail", (9, 8), group=0, **extra | {"difficult": True})]
    save(document("a.png", rectangle, *points), tmp_path / "a.json")
    data = read(tmp_path)
    np.testing.assert_array_equal(data.box, [[2, 3, 28, 22]])
    np.testing.assert_array_equal(data.visible, [[2, 1]])


def test_images_in_a_folder_beside(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png", 0)
    save(document("..\\images\\a.png", shape("nose", (5, 6))), tmp_path / "labels" / "a.json")
    data = read(tmp_path / "labels")
    assert data.images == ("images/a.png",)
    assert data.root == tmp_path.resolve()
    assert read(tmp_path / "labels", images=tmp_path / "images").images == ("a.png",)


def test_no_path_leaves_the_data_set(tmp_path: Path) -> None:
    save(document("../../../etc/a.png", shape("nose", (5, 6))), tmp_path / "labels" / "a.json")
    with pytest.raises(DataError, match="expected an image in the data set"):
        read(tmp_path / "labels")
    save(document("/etc/a.png", shape("nose", (5, 6))), tmp_path / "labels" / "a.json")
    with pytest.warns(DataWarning, match="were not found"):
        assert read(tmp_path / "labels").images == ("a.png",)


def test_nothing_changes_in_a_copy_without_changes(tmp_path: Path) -> None:
    source = build(tmp_path / "source")
    (source / "labels.txt").write_text("nose\n")
    copy = write(read(source), tmp_path / "copy", format="labelme")
    for file in [*source.rglob("*.json"), source / "labels.txt"]:
        assert (copy / file.relative_to(source)).read_bytes() == file.read_bytes()


def test_only_points_change_in_a_copy(tmp_path: Path) -> None:
    source = build(tmp_path / "source")
    before = json.loads((source / "a.json").read_text())
    before |= {"imageData": "c2VjcmV0", "mine": {"kept": [1]}}
    before["shapes"].insert(1, shape("dog", (1, 2), (3, 4)) | {"shape_type": "line", "note": "kept"})
    save(before, source / "a.json")
    data = read(source)
    target = data.target.copy()
    target[0, 0] = np.nan  # the first left eye is removed, the first nose moved, the second right eye added
    target[0, 2] = 15.5, 14.5
    target[1, 0] = 3, 4
    copy = write(data.with_target(target), tmp_path / "copy", format="labelme")
    after = json.loads((copy / "a.json").read_text())
    before["shapes"] = before["shapes"][1:]
    before["shapes"][2]["points"] = [[15.5, 14.5]]
    assert after == before
    assert (copy / "sub" / "b c.json").read_bytes() == (source / "sub" / "b c.json").read_bytes()
    again = read(copy, images=source).renumbered(data.schema.points)
    np.testing.assert_array_equal(again.target, target)
    assert again.images == data.images
    assert again.visible is not None
    assert again.visible[0].tolist() == [0, 2, 1]


def test_rows_that_are_gone_lose_their_shapes(tmp_path: Path) -> None:
    source = build(tmp_path / "source")
    data = read(source)
    copy = write(data.take([0, 1, 3]), tmp_path / "copy", format="labelme")
    assert [one["group_id"] for one in json.loads((copy / "sub" / "b c.json").read_text())["shapes"]] == [2, 2]


def test_a_changed_original_is_refused(tmp_path: Path) -> None:
    source = build(tmp_path / "source")
    data = read(source)
    save(document("a.png"), source / "a.json")
    with pytest.raises(DataError, match="The files have changed"):
        write(data, tmp_path / "copy", format="labelme")


def test_round_trip_without_the_original(tmp_path: Path) -> None:
    source = build(tmp_path / "source")
    data = read(source)
    shutil.move(source, tmp_path / "images")
    written = write(data, tmp_path / "written", format="labelme")
    again = read(written, images=tmp_path / "images")
    assert again.schema.points == data.schema.points
    np.testing.assert_array_equal(again.target, data.target)
    np.testing.assert_array_equal(again.visible, data.visible)
    np.testing.assert_array_equal(again.box, data.box)


def test_copied_images_lie_where_labelme_looks_for_them(tmp_path: Path) -> None:
    data = read(build(tmp_path / "source"))
    written = write(data, tmp_path / "written", format="labelme", copy_images=True)
    assert (written / "sub" / "b c.png").is_file()
    assert read(written).images == data.images


def test_two_images_of_one_stem(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    draw(tmp_path / "a.bmp", 1)
    (tmp_path / "annotations.csv").write_text("image,x0,y0\na.png,1,2\na.bmp,3,4\n")
    written = write(read(tmp_path), tmp_path / "out", format="labelme")
    assert sorted(file.name for file in written.iterdir()) == ["a.bmp.json", "a.json"]
    assert sorted(read(written, images=tmp_path).images or ()) == ["a.bmp", "a.png"]


def test_what_is_not_labelme(tmp_path: Path) -> None:
    save({"images": [], "annotations": []}, tmp_path / "coco.json")
    assert not labelme.is_one(tmp_path / "coco.json")
    assert not labelme.is_one(tmp_path)
    assert not labelme.is_one(tmp_path / "none")
