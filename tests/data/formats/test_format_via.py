"""VIA: which attribute has the names, instances, all versions, and files written back."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_via import build, draw, entries, entry, point, project, rectangle

from steadfit.data.exchange import read, write
from steadfit.data.formats import via
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataError, DataWarning


def save(folder: Path, content: Any, name: str = "via_project.json") -> Path:
    build(folder)
    path = folder / name
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def metadata(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["_via_img_metadata"]
    return found


def check(data: Annotations) -> None:
    assert data.format == "via"
    assert data.images == ("a.png", "b c.png", "b c.png", "größe.png")
    assert data.schema.points == ("left_eye", "right_eye", "nose")
    nan = [np.nan, np.nan]
    expected = [
        [[10, 8], [20, 8], [15, 14]],
        [[10, 8], [16, 9], nan],
        [[26, 15], nan, [30, 20]],
        [nan, [39, 29], [0, 0]],
    ]
    np.testing.assert_array_equal(data.target, expected)
    np.testing.assert_array_equal(data.visible, [[2, 2, 2], [2, 1, 0], [2, 0, 2], [0, 2, 2]])
    assert data.box is not None
    np.testing.assert_array_equal(data.box[1], [2, 3, 16, 22])


def test_a_project(tmp_path: Path) -> None:
    data = read(build(tmp_path))
    check(data)
    assert data.at is not None
    assert data.at[1] == "['b c.png1234'], instance 1"


def test_annotations_without_settings(tmp_path: Path) -> None:
    check(read(save(tmp_path, metadata(project(*entries())))))


def test_version_1_numbers_regions(tmp_path: Path) -> None:
    content = metadata(project(*entries()))
    for one in content.values():
        one["regions"] = {str(k): region for k, region in enumerate(one["regions"])}
    path = save(tmp_path, content)
    data = read(path)
    check(data)
    target = data.target.copy()
    target[0, 0] = np.nan
    after = json.loads(write(data.with_target(target), tmp_path / "new.json", format="via").read_text())
    assert list(after["a.png1234"]["regions"]) == ["0", "1"]


def test_csv(tmp_path: Path) -> None:
    data = read(build(tmp_path))
    written = write(dataclasses.replace(data, at=None), tmp_path / "via.csv", format="via")
    assert written.read_text(encoding="utf-8").startswith("filename,file_size,file_attributes,region_count,region_id,")
    again = read(written, images=tmp_path)
    check(again)
    assert again.at is not None
    assert again.at.tolist() == ["line 3", "line 7", "line 10", "line 13"]
    target = again.target.copy()
    target[1, 0], target[2, 1] = np.nan, [3, 4.5]
    lines = written.read_text(encoding="utf-8").splitlines()
    after = (
        write(again.with_target(target), tmp_path / "after.csv", format="via").read_text(encoding="utf-8").splitlines()
    )
    assert after[:5] + after[-3:] == lines[:5] + lines[-3:]
    rows = [row for row in csv.DictReader(after) if row["filename"] == "b c.png"]
    assert [row["region_id"] for row in rows] == [str(k) for k in range(6)]
    np.testing.assert_array_equal(read(tmp_path / "after.csv", images=tmp_path).target, target)


def test_version_3(tmp_path: Path) -> None:
    names = {"aname": "landmark", "anchor_id": "FILE1_Z0_XY1", "type": 3, "options": {"0": "nose", "1": "left_eye"}}
    content = {
        "project": {"pid": "__VIA_PROJECT_ID__", "data_format_version": "3.1.1"},
        "config": {},
        "attribute": {"1": names, "2": {"aname": "instance", "type": 1, "options": {}}},
        "file": {"1": {"fid": "1", "fname": "a.png"}, "2": {"fid": "2", "fname": "b c.png"}},
        "metadata": {
            "1_a": {"vid": "1", "flg": 0, "z": [], "xy": [1, 10.5, 8], "av": {"1": "0", "2": "x"}},
            "1_b": {"vid": "1", "flg": 0, "z": [], "xy": [2, 2, 3, 20, 10], "av": {"2": "x"}},
            "2_a": {"vid": "2", "flg": 0, "z": [], "xy": [1, 3, 4], "av": {"1": "1"}},
            "2_b": {"vid": "2", "flg": 0, "z": [1.5], "xy": [], "av": {}},
        },
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
    }
    data = read(save(tmp_path, content))
    assert data.schema.points == ("nose", "left_eye")
    assert data.images == ("a.png", "b c.png")
    assert data.target[0, 0].tolist() == [10.5, 8]
    assert data.target[1, 1].tolist() == [3, 4]
    assert data.box is not None
    assert data.box[0].tolist() == [2, 3, 20, 10]
    assert "1 part of a video" in " ".join(data.notes)
    again = read(write(data, tmp_path / "two.json", format="via"), images=tmp_path)
    np.testing.assert_array_equal(again.target, data.target)
    content["metadata"]["2_a"]["vid"] = "7"  # type: ignore[index]
    with pytest.raises(DataError, match=r"metadata\.2_a: expected the number of a view of a file, got '7'"):
        read(save(tmp_path, content))


def renamed(old: str, new: str, **more: str) -> dict[str, Any]:
    content = project(*entries())
    for one in metadata(content).values():
        for region in one["regions"]:
            values = region["region_attributes"]
            values |= {new: values.pop(old)} | more if old in values else {}
    return content


def test_the_only_attribute_has_the_names(tmp_path: Path) -> None:
    data = read(save(tmp_path, renamed("name", "Keypoint")))
    assert set(data.schema.points) == {"left_eye", "right_eye", "nose"}
    assert "attribute 'Keypoint'" in data.notes[0]


def test_of_several_attributes_the_one_that_tells_points_apart(tmp_path: Path) -> None:
    data = read(save(tmp_path, renamed("name", "keypoint", quality="good")))
    assert set(data.schema.points) == {"left_eye", "right_eye", "nose"}


def test_several_attributes_that_may_have_the_names(tmp_path: Path) -> None:
    content = renamed("name", "keypoint")
    number = 0
    for one in metadata(content).values():
        for region in one["regions"]:
            region["region_attributes"]["id"] = str(number := number + 1)
    with pytest.raises(DataError, match=r"expected one attribute .* got 'keypoint', 'id'\. Call .* 'name'"):
        read(save(tmp_path, content))


def test_points_without_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected an attribute of regions with the names of points, got none"):
        read(save(tmp_path, project(entry("a.png", point(1, 2), point(3, 4)))))
    data = read(save(tmp_path, project(entry("a.png", point(1, 2)), entry("b c.png", point(3, 4)))))
    assert data.schema.points == ("point",)


def test_check_boxes_and_options(tmp_path: Path) -> None:
    """A name may be a set check box; names that no point has are kept, those of other regions are not."""
    content = project(entry("a.png", point(1, 2, name={"nose": True}), rectangle(0, 0, 9, 9, name="dog")))
    options = {"nose": "", "tail": "", "dog": ""}
    content["_via_attributes"]["region"]["name"] |= {"type": "checkbox", "options": options}
    data = read(save(tmp_path, content))
    assert data.schema.points == ("nose", "tail")
    added = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    after = metadata(json.loads(write(data.with_target(added), tmp_path / "n.json", format="via").read_text()))
    assert after["a.png1234"]["regions"][-1]["region_attributes"] == {"name": {"tail": True}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (point(1, 2, name="nose"), r"regions\[3\]: expected each point once .* 'nose' again\. .*'instance'"),
        (point(1, float("nan"), name="tail"), r"regions\[3\], cy: expected a finite number, got nan"),
        (point(1, 2, name=""), r"regions\[3\]: expected the name of a point in 'name', got none"),
        ({"shape_attributes": []}, r"regions\[3\]\.shape_attributes: expected keys and values"),
        (7, r"regions\[3\]: expected keys and values, got 7"),
    ],
)
def test_bad_regions_say_where(tmp_path: Path, wrong: Any, message: str) -> None:
    content = project(*entries())
    metadata(content)["a.png1234"]["regions"].append(wrong)
    path = save(tmp_path, content)
    with pytest.raises(DataError, match=r"\['a\.png1234'\]\." + message):
        read(path)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert len(read(path, skip_bad=True)) == 3


def test_bad_cells_say_their_line(tmp_path: Path) -> None:
    written = write(dataclasses.replace(read(build(tmp_path)), at=None), tmp_path / "via.csv", format="via")
    text = written.read_text(encoding="utf-8")
    written.write_text(text.replace('""cx"": 10', '""cx"" 10', 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"via\.csv, line 3, region_shape_attributes: expected JSON"):
        read(written)
    written.write_text(text.replace(",region_id", ""), encoding="utf-8")
    with pytest.raises(DataError, match="expected the columns .* got none named 'region_id'"):
        read(written)


def test_nothing_changes_in_a_copy_without_changes(tmp_path: Path) -> None:
    path = build(tmp_path)
    copy = write(read(path), tmp_path / "copy", format="via")
    assert copy == tmp_path / "copy" / "via_project.json"
    assert copy.read_bytes() == path.read_bytes()


def test_only_points_change_in_a_copy(tmp_path: Path) -> None:
    path = build(tmp_path)
    data = read(path)
    target = data.target.copy()
    target[0, 0], target[1, 1], target[3, 0] = np.nan, [16.5, 9], [3, 4]
    after = json.loads(write(data.with_target(target), tmp_path / "new.json", format="via").read_text("utf-8"))
    expected = json.loads(path.read_text("utf-8"))
    regions = {key: one["regions"] for key, one in metadata(expected).items()}
    del regions["a.png1234"][0]
    regions["b c.png1234"][2]["shape_attributes"]["cx"] = 16.5
    regions["größe.png1234"].append(point(3, 4, name="left_eye"))
    assert after == expected
    np.testing.assert_array_equal(read(tmp_path / "new.json", images=tmp_path).target, target)


def test_split_and_group_are_attributes_of_images(tmp_path: Path) -> None:
    content = project(*entries())
    for one, split in zip(metadata(content).values(), ("train", "val", "test"), strict=True):
        one["file_attributes"] |= {"split": split, "group": f"video {split}"}
    data = read(save(tmp_path, content))
    assert data.split.tolist() == ["train", "val", "val", "test"]
    again = read(write(dataclasses.replace(data, at=None), tmp_path / "n.json", format="via"), images=tmp_path)
    assert again.split.tolist() == data.split.tolist()
    assert again.group is not None
    assert again.group.tolist() == ["video train", "video val", "video val", "video test"]


def test_our_own_csv_is_not_via(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    (tmp_path / "annotations.csv").write_text("image,x0,y0\na.png,1,2\n")
    assert not via.is_one(tmp_path / "annotations.csv")
    assert read(tmp_path / "annotations.csv").format == "csv"
