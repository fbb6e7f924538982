from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from steadfit.data import Schema, load_annotations, parse_pairs
from steadfit.errors import DataError

FACE = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def test_points_and_scalars_name_their_columns() -> None:
    face = Schema(points=FACE, pairs=((0, 1), (3, 4)))
    assert (face.n_targets, face.dims, face.target_names) == (5, 2, FACE)
    assert face.columns == ("x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
    assert face.permutation == (1, 0, 2, 4, 3)
    angles = Schema(targets=("yaw", "pitch"), units="deg")
    assert (angles.n_targets, angles.dims, angles.columns, angles.permutation) == (2, 1, ("yaw", "pitch"), (0, 1))


def test_yaml_with_names_and_indices(tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(
        "points: [left_eye, right_eye, nose, left_mouth, right_mouth]\n"
        "pairs: [[left_eye, right_eye], [3, 4]]\nlimbs: [left_eye-nose]\n"
        "normalizer: [left_eye, right_eye]\nunits: px\nvisibility: missing\n"
    )
    schema = Schema.from_yaml(path)
    assert schema == Schema(
        units="px", points=FACE, pairs=((0, 1), (3, 4)), limbs=((0, 2),), normalizer=(0, 1), visibility="missing"
    )
    assert Schema.discover(tmp_path / "annotations.csv") == schema
    assert Schema.discover(tmp_path) == schema


def test_without_yaml_nothing_is_discovered(tmp_path: Path) -> None:
    assert Schema.discover(tmp_path / "annotations.csv") == Schema()


@pytest.mark.parametrize(
    "schema",
    [
        Schema(),
        Schema(points=FACE, pairs=((0, 1),), limbs=((0, 2), (1, 2)), normalizer=3.69),
        Schema(points=FACE, normalizer=(0, 1), visibility="missing", image="file", split="part"),
        Schema(targets=("age",), features=("a", "b"), normalizer="width", units="years"),
    ],
)
def test_to_dict_and_back(schema: Schema) -> None:
    plain = schema.to_dict()
    assert Schema.from_dict(plain) == schema
    assert all(isinstance(value, str | list | float | int | bool | None) for value in plain.values())


def test_options_override_what_is_not_none() -> None:
    schema = Schema(points=FACE, units="mm").with_options(pairs="left_eye-right_eye, 3-4", units=None, normalizer="7.5")
    assert (schema.pairs, schema.units, schema.normalizer) == (((0, 1), (3, 4)), "mm", 7.5)
    assert Schema().with_options(targets="age, height").targets == ("age", "height")
    assert Schema(points=FACE).with_options(normalizer="left_eye-nose").normalizer == (0, 2)
    assert Schema(points=FACE).with_options(normalizer="face_width").normalizer == "face_width"
    assert Schema().with_options(points="a,b", pairs=[["a", "b"]]).pairs == ((0, 1),)


def test_pairs_of_names_with_hyphens() -> None:
    names = ("left-eye", "right-eye", "nose")
    assert parse_pairs("left-eye-right-eye", names) == ((0, 1),)
    assert parse_pairs("left-eye-1,", names) == ((0, 1),)
    assert parse_pairs("") == ()


def test_points_are_discovered_only_where_nothing_is_named() -> None:
    columns = ["image", "x0", "y0", "x1", "y1", "age", "tx", "ty", "x01"]
    assert Schema().with_discovered_points(columns).points == ("0", "1")
    assert Schema(targets=("age",)).with_discovered_points(columns).points == ()
    assert Schema().with_discovered_points(["x0", "x1", "y"]).points == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": "a,b", "pairs": "0-2"}, r"expected pairs of points 0 to 1, got \(0, 2\)"),
        ({"points": "a,b", "limbs": [[0, 5]]}, r"expected limbs of points 0 to 1, got \(0, 5\)"),
        ({"points": "a,b,c", "pairs": "0-1,1-2"}, "every point in at most one of pairs, got point 1 in 2"),
        ({"points": "a,b", "pairs": "1-1"}, r"two different points, got \(1, 1\)"),
        ({"points": "a,b", "pairs": "a-bb"}, "a pair of points such as '0-1', got 'a-bb'"),
        ({"points": "a,b", "pairs": [["a", "c"]]}, "a point's name or index, got 'c'"),
        ({"points": "a,b", "pairs": [["a"]]}, r"every one of pairs to be two points, got \['a'\]"),
        ({"points": "a,b", "pairs": 3}, "pairs to be a list of pairs of points, got 3"),
        ({"points": "a,a"}, "points of different names, got 'a' 2 times"),
        ({"points": "a", "targets": "b"}, "points or targets, got 1 points and 1 targets"),
        ({"points": {"a": 1}}, "points to be a list of names, got {'a': 1}"),
        ({"visibility": "hidden"}, "visibility 'auto', 'occluded', 'missing', 'codes', got 'hidden'"),
        ({"normalizer": -2}, "normalizer > 0 and finite, got -2.0"),
        ({"points": "a,b", "normalizer": [0, 2]}, r"normalizer of points 0 to 1, got \(0, 2\)"),
        ({"units": 3}, "units to be a word, got 3"),
        ({"pointz": "a"}, "expected a known key, got 'pointz'. Did you mean 'points'?"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Schema.from_dict(options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poinst: [a, b]\n", "dataset.yaml: Schema: expected a known key, got 'poinst'. Did you mean 'points'?"),
        ("- a\n- b\n", r"dataset.yaml: expected keys and values .* got \['a', 'b'\]"),
        ("points: [a\nunits: px\n", "dataset.yaml, line 2: expected YAML"),
        ("points: [a, b]\npairs: 0-7\n", r"dataset.yaml: Schema: expected pairs of points 0 to 1, got \(0, 7\)"),
        ("points: !!python/object/apply:os.getcwd []\n", "dataset.yaml, line 1: expected YAML"),
    ],
)
def test_wrong_yaml_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        Schema.from_yaml(path)


def test_missing_yaml(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a readable UTF-8 file"):
        Schema.from_yaml(tmp_path / "none.yaml")


def test_only_points_in_images_are_in_px_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for k in range(4):
        assert cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((8, 8), 10 * k + 10, np.uint8))
    rows = "".join(f"{k}.png,{k},{k + 1},{2 * k},{k * k}\n" for k in range(4))
    (tmp_path / "table.csv").write_text("image,x0,y0,age,b\n" + rows)

    def units(**schema: Any) -> str:
        return load_annotations(tmp_path / "table.csv", Schema(**schema), need_splits=()).schema.units

    assert units() == "px"
    assert units(units="mm") == "mm"
    assert units(targets=("age",)) == ""
    assert units(targets=("age",), units="px") == "px"
    assert units(targets=("age",), image="", features=("b",)) == ""
    assert units(points=("a",), features=("b",), image="") == ""
