"""CVAT XML: what its exporter writes, and copies that differ in the changed points only."""

from __future__ import annotations

import dataclasses
import difflib
import json
import time
import warnings
from pathlib import Path

import cvat_files
import numpy as np
import pytest
import sample_cvat
from cvat_files import plain, points

import steadfit
from steadfit.data.formats import cvat
from steadfit.data.formats.cvat_copying import with_attributes
from steadfit.errors import DataError, DataWarning

NOT_FOUND = "images were not found"


def written(folder: Path, text: str, name: str = "annotations.xml") -> Path:
    """A file of that text."""
    (folder / "set").mkdir(exist_ok=True)
    (folder / "set" / name).write_text(text, encoding="utf-8")
    return folder / "set" / name


def read(path: Path, **options: object) -> steadfit.data.Annotations:
    """Annotations without warnings that images are absent or have several rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return steadfit.read(path, **options)


def test_points_are_known_by_their_labels_in_any_order(tmp_path: Path) -> None:
    data = read(sample_cvat.build(tmp_path))
    assert data.schema.points == ("left eye", "right eye", "nose")
    assert data.schema.limbs == ((1, 2),)
    assert data.schema.pairs == ((0, 1),)
    np.testing.assert_array_equal(data.target[0], [[9.5, 4.75], [5, 4], [7.25, 9]])
    np.testing.assert_array_equal(data.target[1], [[25.5, -0.75], [np.nan, np.nan], [17.25, 9]])
    np.testing.assert_array_equal(data.visible, [[1, 2, 2], [2, 0, 2], [2, 2, 2], [2, 0, 2]])
    np.testing.assert_array_equal(data.box[:2], [[3, 2, 9, 10], [13, 2, 10.5, 10.5]])
    assert data.at[1] == "image[0].skeleton[1]"
    assert "1 of 4 images have no instance with points." in data.notes


def test_the_folder_of_an_export_is_read(tmp_path: Path) -> None:
    data = read(sample_cvat.build(tmp_path).parent)
    assert data.format == "cvat"
    assert (data.root / data.images[0]).is_file()


def test_only_key_frames_of_a_track_count(tmp_path: Path) -> None:
    data = read(written(tmp_path, cvat_files.VIDEO))
    assert data.images == ("swim.mp4/frame_000000.png", "swim.mp4/frame_000012.png")
    assert data.schema.points == ("head", "tail")
    np.testing.assert_array_equal(data.target, [[[5, 3], [2, 3]], [[np.nan, np.nan], [8, 4]]])
    np.testing.assert_array_equal(data.visible, [[2, 1], [0, 2]])
    np.testing.assert_array_equal(data.box, [[1, 2, 6, 3.5], [7, 3, 5, 2.5]])
    assert data.group.tolist() == ["swim.mp4"] * 2
    assert data.size.tolist() == [[24, 20], [24, 20]]
    assert "1 interpolated frames are left out." in data.notes


def test_frames_of_a_video_are_found_under_other_names(tmp_path: Path) -> None:
    sample_cvat.draw(tmp_path / "images", ("frame_000000.PNG", "frame_000012.PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        warnings.filterwarnings("error", f".*{NOT_FOUND}")
        data = steadfit.read(written(tmp_path, cvat_files.VIDEO))
    assert data.images == ("frame_000000.PNG", "frame_000012.PNG")


def test_subsets_of_a_project_are_splits_and_a_video_is_a_group(tmp_path: Path) -> None:
    sample_cvat.draw(tmp_path / "images", ("Train/a.png", "Validation/frame_000000.PNG"))
    data = read(written(tmp_path, cvat_files.PROJECT))
    assert data.split.tolist() == ["train", "val"]
    assert data.images == ("Train/a.png", "Validation/frame_000000.PNG")
    assert data.group.tolist() == ["", "11"]


def test_plain_points_of_a_group_are_one_instance(tmp_path: Path) -> None:
    first = points("nose", "1,2", 1) + points("eye", "3,4", 1, occluded=1) + points("nose", "5,6", 2)
    data = read(written(tmp_path, plain(first, points("eye", "7,8") + points("nose", "9,10"))))
    assert data.schema.points == ("nose", "eye")
    np.testing.assert_array_equal(data.target, [[[1, 2], [3, 4]], [[5, 6], [np.nan] * 2], [[9, 10], [7, 8]]])
    assert data.visible.tolist() == [[2, 1], [2, 0], [2, 2]]


def test_shapes_of_several_points_have_numbers(tmp_path: Path) -> None:
    data = read(
        written(tmp_path, plain(points("face", "1,2;3,4") + points("face", "5,6;7,8"), points("face", "1,1;2,2")))
    )
    assert data.schema.points == ("0", "1")
    np.testing.assert_array_equal(data.target[1], [[5, 6], [7, 8]])
    assert any("numbered in the order of the file" in note for note in data.notes)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        (points("nose", "1,2") + points("nose", "3,4"), "'nose' twice in one instance. Group the points"),
        (points("nose", "1,x"), "expected a finite number, got 'x'"),
        (points("nose", "1"), "expected x,y in px, got '1'"),
    ],
)
def test_shapes_that_are_unclear_are_problems(shapes: str, reason: str, tmp_path: Path) -> None:
    path = written(tmp_path, plain(shapes, points("nose", "1,2"), points("nose", "2,3")))
    with pytest.raises(DataError, match=reason) as error:
        read(path)
    assert "image[0].points[0]" in str(error.value)
    assert len(read(path, skip_bad=True)) == 2


def test_a_shape_that_lacks_a_point_is_a_problem_not_shifted(tmp_path: Path) -> None:
    path = written(tmp_path, plain(*[points("face", "1,2;3,4;5,6")] * 3, points("face", "1,2;5,6")))
    with pytest.raises(DataError, match=r"image\[3\].points\[0\]: expected 3 points as in most .* 'face', got 2"):
        read(path)


def test_a_shape_with_a_point_too_many_does_not_rename_the_others(tmp_path: Path) -> None:
    path = written(tmp_path, plain(points("nose", "1,2"), points("nose", "2,3"), points("nose", "1,2;5,6")))
    with pytest.raises(DataError, match=r"image\[2\].points\[0\]: expected 1 points .* got 2"):
        read(path)
    assert read(path, skip_bad=True).schema.points == ("nose",)


def test_an_unknown_point_of_a_skeleton_is_a_problem(tmp_path: Path) -> None:
    path = written(tmp_path, sample_cvat.XML.replace('<points label="nose"', '<points label="noes"', 1))
    with pytest.raises(DataError, match=r"image\[0\].skeleton\[0\]: expected a point of 'head', got 'noes'"):
        read(path)


def test_a_skeleton_with_everything_outside_is_no_instance(tmp_path: Path) -> None:
    ended = '<skeleton label="head"><points label="nose" outside="1" occluded="0" points="1,2"/></skeleton>'
    text = sample_cvat.XML.replace('<tag label="blurred" source="manual"></tag>', 2 * ended)
    data = read(written(tmp_path, text))
    assert len(data) == 4
    assert "2 skeletons with everything outside are left out." in data.notes
    bare = dataclasses.replace(data, format="", box=None, schema=dataclasses.replace(data.schema, box=None))
    target = data.target.copy()
    target[3] = np.nan
    with pytest.warns(DataWarning, match="not carried by .*: 1 rows without points and box"):
        assert len(read(steadfit.write(bare.with_target(target), tmp_path / "new", format="cvat"))) == 3


def test_a_turned_box_gives_the_upright_one_around_it(tmp_path: Path) -> None:
    turned = sample_cvat.XML.replace('ybr="12.00"', 'ybr="12.00" rotation="90.00"')
    data = read(written(tmp_path, turned))
    np.testing.assert_allclose(data.box[0], [2.5, 2.5, 10, 9], atol=1e-9)


def test_entities_and_a_cut_file_are_errors_with_a_place(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><annotations>&a;</annotations>'
    with pytest.raises(DataError, match="without entities"):
        read(written(tmp_path, bomb))
    with pytest.raises(DataError, match=r"line 9: expected XML"):
        read(written(tmp_path, "\n".join(sample_cvat.XML.splitlines()[:9])))


def test_other_xml_is_not_taken(tmp_path: Path) -> None:
    assert not cvat.is_one(written(tmp_path, "<annotation><filename>a.jpg</filename></annotation>"))
    assert not cvat.is_one(written(tmp_path, "<annotations", "broken.txt").with_name("none.xml"))


def test_a_copy_of_the_original_is_the_same_to_the_byte(tmp_path: Path) -> None:
    for k, text in enumerate((sample_cvat.XML, sample_cvat.XML.replace("\n", "\r\n"), cvat_files.VIDEO)):
        (tmp_path / "a.xml").write_bytes(text.encode())
        assert steadfit.write(read(tmp_path / "a.xml"), tmp_path / str(k), format="cvat").read_bytes() == text.encode()


def test_a_copy_differs_in_the_changed_points_only(tmp_path: Path) -> None:
    path = sample_cvat.build(tmp_path)
    data = read(path)
    target = data.target.copy()
    target[0, 0] = np.nan  # left eye, emptied
    target[1, 1] = 1.5, 2  # right eye, which was outside
    target[3, 1] = 3, 4.125  # right eye, which has no element
    result = steadfit.write(data.with_target(target), tmp_path / "out.xml", format="cvat")
    lines = difflib.unified_diff(path.read_text("utf-8").splitlines(), result.read_text("utf-8").splitlines(), n=0)
    assert [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")] == [
        '-      <points label="left eye" source="manual" outside="0" occluded="1" points="9.50,4.75">',
        '+      <points label="left eye" source="manual" outside="1" occluded="1" points="9.50,4.75">',
        '-      <points label="right eye" source="manual" outside="1" occluded="0" points="15.00,4.00">',
        '+      <points label="right eye" source="manual" outside="0" occluded="0" points="1.5,2">',
        '+      <points label="right eye" source="manual" outside="0" occluded="0" points="3,4.125"/>',
    ]
    np.testing.assert_array_equal(read(result).target, target)


def test_rows_that_were_left_out_are_not_in_the_copy(tmp_path: Path) -> None:
    path = sample_cvat.build(tmp_path)
    text = steadfit.write(read(path).take([0, 3]), tmp_path / "out.xml", format="cvat").read_text("utf-8")
    assert (text.count("<skeleton"), text.count("<!-- two heads"), text.count('<tag label="blurred"')) == (2, 1, 1)
    video = written(tmp_path, cvat_files.VIDEO, "v.xml")
    assert len(read(steadfit.write(read(video).take([1]), tmp_path / "w.xml", format="cvat"))) == 1


def test_points_of_tracks_and_plain_points_are_changed_in_a_copy(tmp_path: Path) -> None:
    data = read(written(tmp_path, cvat_files.VIDEO, "v.xml"))
    target = data.target.copy()
    target[1, 0] = 10.25, 4  # was interpolated
    again = read(steadfit.write(data.with_target(target), tmp_path / "w.xml", format="cvat"))
    np.testing.assert_array_equal(again.target, target)
    shapes = points("nose", "1,2", 1) + points("eye", "3,4", 1)
    data = read(written(tmp_path, plain(shapes, shapes.replace("3,4", "4,4")), "p.xml"))
    target = data.target.copy()
    target[0, 1], target[1, 0] = np.nan, (7, 8)
    result = steadfit.write(data.with_target(target), tmp_path / "q.xml", format="cvat")
    np.testing.assert_array_equal(read(result).target, target)
    assert result.read_text().count("<points") == 3


def test_what_a_shape_of_several_points_cannot_carry_is_said(tmp_path: Path) -> None:
    data = read(written(tmp_path, plain(points("face", "1,2;3,4"), points("face", "2,2;3,4"))))
    target = data.target.copy()
    target[0, 1], target[1, 1] = np.nan, (9, 9)
    with pytest.warns(DataWarning, match="1 points emptied in shapes of several points"):
        result = steadfit.write(data.with_target(target), tmp_path / "q.xml", format="cvat")
    np.testing.assert_array_equal(read(result).target, [[[1, 2], [3, 4]], [[2, 2], [9, 9]]])


def test_a_file_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    path = sample_cvat.build(tmp_path)
    data = read(path)
    path.write_text(sample_cvat.XML.replace('name="b.png"', 'name="x.png"'), encoding="utf-8")
    with pytest.raises(DataError, match=r"image\[1\].skeleton\[0\]: expected the instance that was read"):
        steadfit.write(data, tmp_path / "out.xml", format="cvat")


def test_another_encoding_is_not_edited(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(sample_cvat.XML.replace('encoding="utf-8"', 'encoding="latin-1"').encode("latin-1"))
    data = read(path)
    assert data.images[0] == "été 1.png"
    with pytest.raises(DataError, match="expected a file in UTF-8"):
        steadfit.write(data, tmp_path / "out.xml", format="cvat")


def test_a_new_file_carries_what_the_data_have(tmp_path: Path) -> None:
    data = dataclasses.replace(read(sample_cvat.build(tmp_path)), format="", group=np.array(["x", "x", "", "y"]))
    data = dataclasses.replace(data, drawn=None, split=np.array(["train", "train", "val", "test"]))
    result = steadfit.write(data, tmp_path / "new", format="cvat", copy_images=True)
    again = read(result)
    for name in ("target", "visible", "box", "split", "group", "images", "size"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name), err_msg=name)
    assert (again.schema.points, again.schema.limbs) == (data.schema.points, data.schema.limbs)
    assert "<parent>instance</parent>" in result.read_text("utf-8")
    skeleton, box = json.loads(result.with_name("cvat_labels.json").read_text("utf-8"))
    assert [one["name"] for one in skeleton["sublabels"]] == list(data.schema.points)
    assert skeleton["svg"].count("<circle") == 3
    assert skeleton["svg"].count("<line") == 1
    assert box == {"name": "instance_box", "type": "rectangle", "attributes": []}


@pytest.mark.parametrize("format", ["cvat", "labelstudio"])
def test_names_that_are_no_text_are_refused(format: str, tmp_path: Path) -> None:
    data = read(sample_cvat.build(tmp_path))
    for name in ("a\x01.png", "a\udcff.png"):
        images = (name, *data.images[1:])
        with pytest.raises(DataError, match="expected names that .* can hold"):
            steadfit.write(dataclasses.replace(data, format="", images=images), tmp_path / "new", format=format)


def test_start_tags_keep_what_is_not_named() -> None:
    tag = b"""<points a='1' label="points='9'" points='1,2'  b="2" />"""
    assert with_attributes(tag, {"points": "3,4", "n": "'\"&<"}) == (
        b"""<points a='1' label="points='9'" points='3,4'  b="2" n="'&quot;&amp;&lt;" />"""
    )


def test_many_instances_are_read_in_seconds(tmp_path: Path) -> None:
    names = [f"p{k}" for k in range(17)]
    body = "".join(f'<points label="{name}" outside="0" occluded="0" points="1.00,2.00"></points>' for name in names)
    images = "".join(
        f'<image id="{k}" name="{k}.png"><skeleton label="s">{body}</skeleton></image>' for k in range(2000)
    )
    path = written(tmp_path, f"<annotations>{images}</annotations>")
    start = time.perf_counter()
    cells = cvat.read(path).cells
    assert len(cells.line) == 2000
    assert time.perf_counter() - start < 10
