"""Points in columns of other names than x0, y0."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pandas as pd
import pytest

from steadfit.data import Schema, load_annotations
from steadfit.errors import DataError, DataWarning

VALUES = np.arange(48.0).reshape(12, 4) ** 1.1


@pytest.fixture
def read(tmp_path):
    """Reads a table with images and four columns of numbers, and further ones."""
    for k in range(12):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((90, 90), 100 + k, dtype=np.uint8))

    def reader(columns, schema=None, more=None, values=VALUES):
        extra = {} if more is None else more
        lines = [",".join(["image", *columns, *extra])]
        for k, row in enumerate(values):
            lines.append(",".join([f"{k}.png", *map(repr, row.tolist()), *(str(cell[k]) for cell in extra.values())]))
        path = tmp_path / "t.csv"
        path.write_text("\n".join(lines))
        return load_annotations(path, schema or Schema())

    return reader


@pytest.mark.parametrize(
    ("columns", "points"),
    [
        ("nose_x nose_y eye_x eye_y", ("nose", "eye")),
        ("nose.x nose.y eye.x eye.y", ("nose", "eye")),
        ("x_nose y_nose x_eye y_eye", ("nose", "eye")),
        ("x.nose y.nose x.eye y.eye", ("nose", "eye")),
        ("nose_X nose_Y eye_X eye_Y", ("nose", "eye")),
        ("noseX noseY eyeX eyeY", ("nose", "eye")),
        ("xNose yNose xEye yEye", ("Nose", "Eye")),
        ("nose-x nose-y eye-x eye-y", ("nose", "eye")),
        ("nose[x] nose[y] eye[x] eye[y]", ("nose", "eye")),
        ("left_eye_center_x left_eye_center_y nose_tip_x nose_tip_y", ("left_eye_center", "nose_tip")),
        ("x_0 y_0 x_1 y_1", ("0", "1")),
        ("X0 Y0 X1 Y1", ("0", "1")),
        ("p0_x p0_y p1_x p1_y", ("p0", "p1")),
        ("p0x p0y p1x p1y", ("p0", "p1")),
        ("point_0_x point_0_y point_1_x point_1_y", ("point_0", "point_1")),
        ("x3 y3 x4 y4", ("3", "4")),
        ("x[0] y[0] x[1] y[1]", ("0", "1")),
    ],
)
def test_names_of_columns(read, columns, points):
    found = read(columns.split())
    assert found.schema.points == points
    np.testing.assert_array_equal(found.target.reshape(12, 4), VALUES)


def test_spaces_in_names(read):
    assert read(["left eye x", "left eye y", "right eye x", "right eye y"]).schema.pairs == ((0, 1),)


def test_counted_from_one_is_told(read):
    with pytest.warns(
        DataWarning, match="x1, y1, x2, y2 are read as two points, counted from 1. If they are the corners"
    ):
        found = read(["x1", "y1", "x2", "y2"])
    assert found.schema.points == ("1", "2")
    np.testing.assert_array_equal(found.target.reshape(12, 4), VALUES)


def test_numbers_give_the_order(read):
    found = read(["x_10", "y_10", "x_2", "y_2"])
    assert found.schema.points == ("2", "10")
    np.testing.assert_array_equal(found.target[:, 0], VALUES[:, 2:])


def test_points_choose_and_order(read):
    columns = ["nose_x", "nose_y", "eye_x", "eye_y"]
    found = read(columns, Schema(points=("eye", "nose")))
    np.testing.assert_array_equal(found.target[:, 0], VALUES[:, 2:])
    assert read(columns, Schema(points=("eye",))).target.shape == (12, 1, 2)
    assert read(["x_1", "y_1", "x_2", "y_2"], Schema(points=("nose", "eye"))).schema.points == ("nose", "eye")
    with pytest.raises(DataError, match="expected columns of the point 'ear', such as ear_x and ear_y, got those of"):
        read(columns, Schema(points=("eye", "ear")))


def test_pairs_from_names(read):
    columns = ["right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y"]
    assert read(columns).schema.pairs == ((1, 0),)
    assert read(columns, Schema(points=("left_eye", "right_eye"))).schema.pairs == ()


def test_visibility(read):
    flags = [2, 1, 0] * 4
    for name, other in (("nose_v", "eye_v"), ("nose_visible", "eye_visible"), ("nose visibility", "eye visibility")):
        found = read(["nose_x", "nose_y", "eye_x", "eye_y"], more={name: flags, other: ["true", "", "false"] * 4})
        assert found.visible[:3].tolist() == [[2, 1], [1, 2], [1, 1]]
    found = read(["x_0", "y_0", "x_1", "y_1"], more={"v_0": flags})
    assert found.visible[:3].tolist() == [[2, 2], [1, 2], [1, 2]]


def test_likelihoods_are_left_out(read):
    more = {"nose_likelihood": np.linspace(0, 1, 12), "eye_visibility": np.linspace(0.1, 0.9, 12)}
    with pytest.warns(DataWarning, match="columns 'nose_likelihood', 'eye_visibility' belong to points, but are"):
        found = read(["nose_x", "nose_y", "eye_x", "eye_y"], more=more)
    assert (found.visible == 2).all()


def test_boxes_are_no_points(read):
    more = {"nose_x": range(12), "nose_y": range(12)}
    with pytest.warns(DataWarning, match="columns 'bbox_x', 'bbox_y', 'bbox_w', 'bbox_h' look like a box and are not"):
        assert read(["bbox_x", "bbox_y", "bbox_w", "bbox_h"], more=more).schema.points == ("nose",)
    with pytest.warns(DataWarning, match="look like a box"):
        assert read(["x_min", "y_min", "x_max", "y_max"], more={"x_a": range(12), "y_a": range(12)}).schema.points == (
            "a",
        )
    box = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")
    values = np.tile([1.0, 2.0, 20.0, 20.0], (12, 1))
    assert read(box, Schema(box=box), more=more, values=values).schema.points == ("nose",)


def test_a_point_without_an_axis(read):
    with pytest.raises(DataError, match=re.escape("expected x and y of every point, got 'eye_x' alone. Points are")):
        read(["nose_x", "nose_y", "eye_x", "age"])
    assert read(["nose_x", "nose_y", "eye_x", "age"], Schema(points=("nose",))).schema.points == ("nose",)
    with pytest.raises(DataError, match="expected x and y of the point 'eye', got 'eye_x' alone"):
        read(["nose_x", "nose_y", "eye_x", "age"], Schema(points=("nose", "eye")))


def test_nothing_is_a_point(read):
    with pytest.raises(DataError, match="Points are read from columns x0, y0, x1, y1, … or nose_x, nose_y or x_nose"):
        read(["a", "b", "index_x", "age"])


def test_problems_name_the_column_of_the_file(read):
    more = {"ear_x": ["abc", *range(11)], "ear_y": range(12)}
    with pytest.raises(DataError, match="line 2, column 'ear_x': expected a number, got 'abc'."):
        read(["nose_x", "nose_y", "eye_x", "eye_y"], more=more)
    more["ear_x"][0] = ""
    with pytest.raises(
        DataError, match="column 'ear_x': expected a number because 'ear_y' is given, got an empty cell"
    ):
        read(["nose_x", "nose_y", "eye_x", "eye_y"], more=more)


def test_features_are_never_points(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("acc_x,acc_y,y\n" + "".join(f"{k},{k * k},{-k}\n" for k in range(12)))
    assert load_annotations(path, Schema(targets=("y",))).schema.features == ("acc_x", "acc_y")


@pytest.mark.parametrize("unit", ["_px", " [px]", " (px)", " (pixels)", "_pixel"])
def test_pixels_in_names_are_no_part_of_the_point(read, unit):
    found = read([f"{point}_{axis}{unit}" for point in ("nose", "eye") for axis in "xy"])
    assert found.schema.points == ("nose", "eye")
    np.testing.assert_array_equal(found.target.reshape(12, 4), VALUES)


@pytest.mark.parametrize("columns", [["x", "y"], ["X", "Y"]])
def test_one_point_needs_no_name(read, columns):
    found = read(columns, values=VALUES[:, :2])
    assert found.schema.points == ("0",)
    np.testing.assert_array_equal(found.target[:, 0], VALUES[:, :2])


def test_a_data_frame_with_levels_of_names_in_parquet(read, tmp_path):
    read(["x0", "y0", "x1", "y1"])  # for the images
    names = pd.MultiIndex.from_product([["me"], ["nose", "eye"], ["x", "y"]])
    index = pd.Index([f"{k}.png" for k in range(12)], name="image")
    pd.DataFrame(VALUES, columns=names, index=index).to_parquet(tmp_path / "t.parquet")
    found = load_annotations(tmp_path / "t.parquet")
    assert found.schema.points == ("nose", "eye")
    assert found.images == tuple(f"{k}.png" for k in range(12))
    np.testing.assert_array_equal(found.target.reshape(12, 4), VALUES)


@pytest.mark.parametrize("name", ["image_id", "filename", "Image", "Bild"])
@pytest.mark.parametrize("columns", [["x0", "y0", "x1", "y1"], ["nose_x", "nose_y", "eye_x", "eye_y"]])
def test_the_column_of_images_may_have_another_name(read, tmp_path, name, columns):
    read(columns)
    path = tmp_path / "t.csv"
    path.write_text(path.read_text().replace("image", name, 1))
    with pytest.warns(DataWarning, match=f"column '{name}' is read as that of the images"):
        found = load_annotations(path)
    assert found.images == tuple(f"{k}.png" for k in range(12))
    assert found.schema.image == name
    np.testing.assert_array_equal(found.target.reshape(12, 4), VALUES)
    silent = load_annotations(path, Schema(image=name))
    assert silent.images == found.images


def test_features_beside_names_of_images_are_features_with_a_word(read, tmp_path):
    read(["a", "b", "c", "age"], Schema(targets=("age",)))
    path = tmp_path / "t.csv"
    path.write_text(path.read_text().replace("image", "filename", 1))
    with pytest.warns(DataWarning) as told:
        found = load_annotations(path, Schema(targets=("age",)))
    assert found.images is None
    assert found.schema.features == ("a", "b", "c")
    assert any("'image: filename' in a dataset.yaml" in str(one.message) for one in told)


def test_a_table_of_images_and_targets_alone_is_one_of_images(read, tmp_path):
    read(["age"], Schema(targets=("age",)), values=VALUES[:, :1])
    path = tmp_path / "t.csv"
    path.write_text(path.read_text().replace("image", "filename", 1))
    with pytest.warns(DataWarning, match="is read as that of the images"):
        found = load_annotations(path, Schema(targets=("age",)))
    assert found.images is not None


def test_without_any_column_of_images_the_key_is_named(read, tmp_path):
    read(["x0", "y0", "x1", "y1"])
    path = tmp_path / "t.csv"
    path.write_text(path.read_text().replace("image", "name", 1).replace(".png", ""))
    with pytest.raises(
        DataError, match=r"'image: NAME' in a dataset\.yaml next to the table names the column of images"
    ):
        load_annotations(path)


def test_a_header_of_several_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,nose,nose,eye,eye\n,x,y,x,y\na.png,1,2,3,4\n")
    with pytest.raises(DataError, match="A header of several lines has to be joined to one, such as nose_x, nose_y"):
        load_annotations(path)
