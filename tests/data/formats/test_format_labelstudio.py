"""Label Studio JSON: its exports, what belongs together in them, and copies in which only changed points differ."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_labelstudio
from sample_labelstudio import point, rectangle, task

import steadfit
from steadfit.data.formats import labelstudio
from steadfit.errors import DataError, DataWarning

FACE = [point("1", 50, 25, "nose"), point("2", 10, 5, "ear")]


def written(folder: Path, content: Any, name: str = "tasks.json") -> Path:
    """A file of that content."""
    (folder / "set").mkdir(exist_ok=True)
    (folder / "set" / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / "set" / name


def read(path: Path, **options: object) -> steadfit.data.Annotations:
    """Annotations without warnings that images are absent or have several rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return steadfit.read(path, **options)


def moved(results: list[dict[str, Any]], by: float) -> list[dict[str, Any]]:
    """The same results at other places."""
    found = copy.deepcopy(results)
    for entry in found:
        entry["value"]["x"] += by
    return found


def test_percents_are_px_and_parents_are_instances(tmp_path: Path) -> None:
    data = read(sample_labelstudio.build(tmp_path))
    assert data.schema.points == ("left eye", "right eye", "nose")
    assert data.images == ("été 1.png", "été 1.png", "b.png", "b.png", "c.png")
    np.testing.assert_array_equal(data.target[0], [[9.6, 4.75], [5, 4], [7.25, 9]])
    np.testing.assert_array_equal(data.target[1], [[25.5, -0.75], [np.nan, np.nan], [17.25, 9]])
    np.testing.assert_array_equal(data.box[:2], [[3, 2, 9, 10], [13, 2, 10.5, 10.5]])
    assert data.size.tolist() == [[24, 20]] * 5
    assert data.at.tolist()[1:4] == [
        "tasks[0].annotations[0].result[5]",
        "tasks[1].annotations[0].result[0]",
        "tasks[1].annotations[1].result[0]",
    ]
    assert "1 of 4 tasks have no annotation." in data.notes
    assert data.split[2] == data.split[3]


def test_names_on_disk_decide_about_the_digits_of_uploads(tmp_path: Path) -> None:
    path = written(tmp_path, [task(1, "/data/upload/3/0a1b2c3d-a.png", FACE), task(2, "/data/upload/3/b.png", FACE)])
    assert read(path).images == ("a.png", "b.png")
    (tmp_path / "images").mkdir()
    for name in ("0a1b2c3d-a.png", "b.png"):
        (tmp_path / "images" / name).write_bytes(b"")
    assert read(path).images == ("0a1b2c3d-a.png", "b.png")


def test_two_images_never_get_one_name(tmp_path: Path) -> None:
    uploads = [
        "/data/upload/3/0a1b2c3d-a.png",
        "/data/upload/3/0a1b2c3e-a.png",
        "https://h/1/c.png",
        "https://h/2/c.png",
    ]
    data = read(written(tmp_path, [task(k, name, FACE) for k, name in enumerate(uploads)]))
    assert data.images == ("0a1b2c3d-a.png", "0a1b2c3e-a.png", "1/c.png", "2/c.png")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"img": "s3://bucket/d/a.png"}, "d/a.png"),
        ({"picture": "gs://bucket/a.png", "text": "note"}, "a.png"),
        ({"image": r"C:\photos\a.png"}, "photos/a.png"),
        ({"image": "https://h.org/x/a%20b.png?sig=1"}, "a b.png"),
    ],
)
def test_addresses_of_images(data: dict[str, str], name: str, tmp_path: Path) -> None:
    assert read(written(tmp_path, [task(1, "", FACE, data=data)])).images == (name,)


def test_cancelled_and_empty_annotations_are_left_out(tmp_path: Path) -> None:
    tasks = [task(1, "a.png", FACE, moved(FACE, 1)), task(2, "b.png", [])]
    tasks[0]["annotations"][0]["was_cancelled"] = True
    data = read(written(tmp_path, tasks))
    assert data.target[:, 0, 0].tolist() == [0.51 * 24]
    assert {"1 cancelled annotations are left out.", "1 annotations have no key points."} <= set(data.notes)


def test_predictions_are_read_only_without_annotations(tmp_path: Path) -> None:
    guess = {"predictions": [{"model_version": "m", "score": 0.5, "result": FACE}]}
    data = read(written(tmp_path, [task(1, "a.png", **guess), task(2, "b.png", **guess)]))
    assert len(data) == 2
    assert "No task has an annotation: the predictions are read as labels." in data.notes
    data = read(written(tmp_path, [task(1, "a.png", FACE), task(2, "b.png", **guess)]))
    assert data.images == ("a.png",)
    assert "1 predictions beside annotations are left out." in data.notes


def test_old_completions_without_sizes_need_the_image(tmp_path: Path) -> None:
    bare = copy.deepcopy(FACE)
    for entry in bare:
        del entry["original_width"], entry["original_height"], entry["image_rotation"]
    old = {"data": {"image": "a.png"}, "completions": [{"result": bare}]}
    path = written(tmp_path, [old])
    with pytest.raises(DataError, match=r"completions\[0\].result\[0\]: expected original_width .* --images"):
        read(path)
    sample_labelstudio.build(tmp_path / "s")
    (tmp_path / "s" / "images" / "b.png").rename(tmp_path / "a.png")
    np.testing.assert_array_equal(read(path).target, [[[12, 5], [2.4, 1]]])
    assert read(written(tmp_path, old)).images == ("a.png",)


def test_the_minimal_export_is_read_and_written_back(tmp_path: Path) -> None:
    def values(by: float) -> list[dict[str, Any]]:
        return [{**one["value"], "original_width": 24, "original_height": 20} for one in moved(FACE, by)]

    rows = [
        {
            "image": f"/data/upload/1/{k}.png",
            "id": k,
            "kp": values(k),
            "annotator": 1,
            "annotation_id": k,
            "lead_time": 1,
        }
        for k in range(2)
    ]
    path = written(tmp_path, rows)
    data = read(path)
    np.testing.assert_array_equal(data.target, [[[12, 5], [2.4, 1]], [[12.24, 5], [2.64, 1]]])
    target = data.target.copy()
    target[0, 0], target[1, 1] = np.nan, (3, 4)
    result = steadfit.write(data.with_target(target), tmp_path / "out.json", format="labelstudio")
    again = read(result).renumbered(data.schema.points)
    np.testing.assert_array_equal(again.target, target)
    assert json.loads(result.read_text())[1]["lead_time"] == 1


def test_relations_are_parents_too(tmp_path: Path) -> None:
    boxes = [rectangle("A", 0, 0, 40, 50), rectangle("B", 60, 0, 40, 50)]
    marks = [point("1", 90, 9, "nose"), point("2", 9, 9, "nose"), point("3", 50, 80, "nest")]
    bonds = [{"type": "relation", "from_id": a, "to_id": b, "direction": "right"} for a, b in (("1", "A"), ("2", "B"))]
    data = read(written(tmp_path, [task(1, "a.png", [*boxes, *marks, *bonds])]))
    np.testing.assert_array_equal(data.target[:2, 0], [[21.6, 1.8], [2.16, 1.8]])
    np.testing.assert_array_equal(data.box[:2, 0], [0, 14.4])
    assert data.visible.tolist() == [[2, 0], [2, 0], [0, 2]]


def test_names_that_occur_twice_are_told_apart_by_rectangles(tmp_path: Path) -> None:
    boxes = [rectangle("A", 0, 0, 40, 50), rectangle("B", 60, 0, 40, 50)]
    marks = [point("1", 10, 10, "nose"), point("2", 90, 10, "nose")]
    data = read(written(tmp_path, [task(1, "a.png", [*marks, *boxes])]))
    np.testing.assert_array_equal(data.target[:, 0, 0], [2.4, 21.6])
    with pytest.raises(DataError, match=r"annotations\[0\].result\[1\]: expected different points, got 'nose' twice"):
        read(written(tmp_path, [task(1, "a.png", marks)]))


def test_rectangles_that_contain_no_key_points_are_counted(tmp_path: Path) -> None:
    boxes = [rectangle("A", 0, 0, 40, 50), rectangle("B", 60, 0, 40, 50)]
    data = read(written(tmp_path, [task(1, "a.png", [*boxes, *FACE]), task(2, "b.png", [boxes[0], *moved(FACE, 90)])]))
    assert data.schema.box is None
    assert "3 rectangles without key points are left out." in data.notes
    one = rectangle("A", 0, 0, 60, 50)
    np.testing.assert_array_equal(read(written(tmp_path, [task(1, "a.png", [one, *FACE])])).box, [[0, 0, 14.4, 10]])


def test_a_point_and_its_label_may_be_two_results(tmp_path: Path) -> None:
    results = []
    for entry in FACE:
        value = {key: entry["value"][key] for key in ("x", "y", "width")}
        results.append({**entry, "type": "keypoint", "from_name": "kp", "value": value})
        label = {**value, "labels": entry["value"]["keypointlabels"]}
        results.append({**entry, "type": "labels", "from_name": "label", "value": label})
    data = read(path := written(tmp_path, [task(1, "a.png", results)]))
    np.testing.assert_array_equal(data.target, [[[12, 5], [2.4, 1]]])
    target = data.target + np.array([[1.0, 2.0], [np.nan, np.nan]])
    result = steadfit.write(data.with_target(target), tmp_path / "out.json", format="labelstudio")
    left = json.loads(result.read_text())[0]["annotations"][0]["result"]
    assert [entry["value"]["y"] for entry in left] == [35, 35]
    assert json.loads(path.read_text())[0]["meta"] == json.loads(result.read_text())[0]["meta"]


def test_one_id_for_several_points_loses_none(tmp_path: Path) -> None:
    data = read(written(tmp_path, [task(1, "a.png", [{**entry, "id": "same"} for entry in FACE])]))
    np.testing.assert_array_equal(data.target, [[[12, 5], [2.4, 1]]])


def test_other_shapes_are_counted(tmp_path: Path) -> None:
    ellipse = {**FACE[0], "id": "e", "type": "ellipselabels", "value": {"x": 1, "y": 1, "radiusX": 2, "radiusY": 3}}
    tall = {**FACE[0], "value": {**FACE[0]["value"], "height": 2}}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["blurred"]}}
    data = read(written(tmp_path, [task(1, "a.png", [tall, FACE[1], ellipse, choice])]))
    np.testing.assert_array_equal(data.target, [[[12, 5], [2.4, 1]]])
    assert "1 other results are left out." in data.notes


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_rotation": 90}, "turned by 90 degrees"),
        ({"original_width": 0}, "expected a size above 0, got 0"),
        ({"value": {"x": "a", "y": 1, "keypointlabels": ["nose"]}}, "expected a finite number, got 'a'"),
        ({"value": {"x": 1, "y": 1, "keypointlabels": ["nose", "ear"]}}, "expected one label of a key point, got 2"),
        ({"value": {"x": 1, "y": 1}}, "expected a label of the key point"),
    ],
)
def test_results_that_cannot_be_used_are_problems(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = written(tmp_path, [task(1, "a.png", [{**FACE[0], **change}]), task(2, "b.png", FACE)])
    with pytest.raises(DataError, match=reason) as error:
        read(path)
    assert "tasks[0].annotations[0]" in str(error.value)
    assert read(path, skip_bad=True).images == ("b.png",)


def test_other_json_is_not_taken(tmp_path: Path) -> None:
    for content in ([], {}, [1], [{"data": {}}], {"images": [], "annotations": []}, [{"id": 1, "annotator": 2}]):
        assert not labelstudio.is_one(written(tmp_path, content))


def test_a_copy_of_the_original_keeps_everything_else(tmp_path: Path) -> None:
    path = sample_labelstudio.build(tmp_path)
    data = read(path)
    result = steadfit.write(data, tmp_path / "out.json", format="labelstudio")
    assert json.loads(result.read_text()) == json.loads(path.read_text())
    target, visible = data.target.copy(), data.visible.copy()
    target[0, 0], target[1, 1], target[2, 2], visible[2, 2] = np.nan, (1.5, 2), (3, 4.125), 1
    changed = dataclasses.replace(data, target=target, visible=visible)
    result = steadfit.write(changed, tmp_path / "out.json", format="labelstudio")
    before, after = json.loads(path.read_text()), json.loads(result.read_text())
    assert after[2:] == before[2:]
    assert after[0]["annotations"][0]["lead_time"] == 7.5
    assert {**after[1]["annotations"][0]["result"][2]} == {
        **before[1]["annotations"][0]["result"][2],
        "value": {**before[1]["annotations"][0]["result"][2]["value"], "x": 12.5, "y": 20.625},
        "meta": {"visible": 1},
    }
    new = after[0]["annotations"][0]["result"][-1]
    assert (new["value"]["keypointlabels"], new["parentID"]) == (["right eye"], "b")
    again = read(result).renumbered(data.schema.points)
    np.testing.assert_array_equal(again.target, target)
    assert again.visible[2, 2] == 1


def test_rows_that_were_left_out_are_not_in_the_copy(tmp_path: Path) -> None:
    data = read(sample_labelstudio.build(tmp_path)).take([1, 2, 4])
    result = steadfit.write(data, tmp_path / "out.json", format="labelstudio")
    after = json.loads(result.read_text())
    assert [len(one["annotations"]) for one in after] == [1, 1, 1, 0]
    assert [entry["id"] for entry in after[0]["annotations"][0]["result"]] == ["b3", "b", "b1"]


def test_a_file_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    path = sample_labelstudio.build(tmp_path)
    data = read(path)
    path.write_text(json.dumps(sample_labelstudio.tasks()[1:]), encoding="utf-8")
    with pytest.raises(DataError, match="expected the instance that was read"):
        steadfit.write(data, tmp_path / "out.json", format="labelstudio")


def test_new_tasks_carry_what_the_data_have(tmp_path: Path) -> None:
    data = read(sample_labelstudio.build(tmp_path))
    visible, target = data.visible.copy(), data.target.copy()
    visible[0, 1] = 1
    target[4] = np.nan  # a box without points
    split = np.array(["train", "train", "val", "val", "test"])
    group = np.array(["x", "x", "", "", "y"])
    data = dataclasses.replace(data, format="", visible=visible, target=target, drawn=None, split=split, group=group)
    data.visible[4] = 0
    result = steadfit.write(data, tmp_path / "new", format="labelstudio", copy_images=True)
    again = read(result)
    for name in ("target", "visible", "box", "split", "group", "images", "size"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name), err_msg=name)
    config = result.with_name("labelstudio_config.xml")
    assert [line.strip() for line in config.read_text().splitlines() if "Label value" in line] == [
        '<Label value="instance" />',
        *(f'<Label value="{name}" />' for name in data.schema.points),
    ]


def test_rectangles_made_of_points_are_not_boxes(tmp_path: Path) -> None:
    first = [point("1", 9, 9, "nose", "A"), point("2", 20, 30, "ear", "A")]
    two = [*first, point("3", 90, 9, "nose", "B"), point("4", 70, 30, "ear", "B")]
    path = written(tmp_path, [task(1, "a.png", two), task(2, "b.png", FACE)])
    data = read(path)
    bare = dataclasses.replace(data, format="", box=None, schema=dataclasses.replace(data.schema, box=None))
    again = read(steadfit.write(bare, tmp_path / "new", format="labelstudio"))
    assert again.schema.box == "points"
    np.testing.assert_array_equal(again.target, data.target)


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    data = read(sample_labelstudio.build(tmp_path))
    schema = dataclasses.replace(data.schema, limbs=((0, 1),))
    group = np.array(["x", "z", "", "", "y"])
    data = dataclasses.replace(data, format="", schema=schema, group=group)
    with pytest.warns(DataWarning, match="not carried by .*: 1 limbs; different groups of rows of one image"):
        steadfit.write(data, tmp_path / "new", format="labelstudio")


def test_the_configuration_of_other_points_is_not_replaced(tmp_path: Path) -> None:
    data = dataclasses.replace(read(sample_labelstudio.build(tmp_path)), format="")
    (tmp_path / "labelstudio_config.xml").write_text("<View/>")
    with pytest.raises(DataError, match="no such file for other points"):
        steadfit.write(data, tmp_path / "new.json", format="labelstudio")


def test_a_size_is_needed_to_write(tmp_path: Path) -> None:
    data = dataclasses.replace(read(sample_labelstudio.build(tmp_path)), format="", size=None)
    with pytest.raises(DataError, match="expected the sizes of all images"):
        steadfit.write(data, tmp_path / "new.json", format="labelstudio")
