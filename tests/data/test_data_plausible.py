"""Labels that seem to be misread: each finding, its remedy, and silence on ordinary sets."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import steadfit
from steadfit.data import Schema, load_annotations
from steadfit.data.plausible import (
    PLACES,
    POINTS,
    Labels,
    centred,
    constant,
    exchanged,
    never,
    one_corner,
    one_spot,
    outside,
    percents,
    repeated,
    shares,
    twins,
    upward,
)
from steadfit.errors import DataWarning

Write = Callable[..., Path]
Finding = Callable[[Labels], str | None]


def labels(seed: int = 0, rows: int = 200, points: int = 4, width: int = 640, height: int = 480) -> Labels:
    """Points around a centre that differs by row, a tenth of them missing, all inside the images."""
    rng = np.random.default_rng(seed)
    size = np.tile(np.array([width, height], dtype=np.float64), (rows, 1))
    centre = rng.uniform(0.3, 0.7, (rows, 1, 2))
    xy = (centre + rng.uniform(-0.28, 0.28, (1, points, 2)) + rng.normal(0, 0.003, (rows, points, 2))) * size[:, None]
    xy[rng.random((rows, points)) < 0.1] = np.nan
    return Labels(xy, size, tuple(f"p{k}" for k in range(points)))


def changed(found: Labels, xy: np.ndarray) -> Labels:
    return Labels(xy, found.size, found.names, found.in_table)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rounded", [False, True])
def test_nothing_is_said_about_ordinary_points(seed: int, rounded: bool) -> None:
    found = labels(seed, rows=30 + 40 * seed)
    found = changed(found, found.xy.round()) if rounded else found
    assert [text for look in (*PLACES, *POINTS) if (text := look(found))] == []


def test_nothing_is_said_about_aligned_faces_in_whole_pixels() -> None:
    rng = np.random.default_rng(0)
    xy = (np.array([[[30, 40], [70, 40], [50, 60]]]) + rng.normal(0, 1.5, (5000, 3, 2))).round()
    found = Labels(xy, np.full((5000, 2), 100.0), ("left", "right", "nose"))
    assert repeated(found) is None


def test_nothing_is_said_about_copies_of_rows() -> None:
    found = labels(rows=20, points=3)
    assert repeated(changed(found, np.repeat(found.xy[:4], 5, axis=0))) is None


def test_shares_of_the_image() -> None:
    found = labels()
    text = shares(changed(found, found.xy / found.size[:, None]))
    assert text is not None
    assert "100 % of the coordinates are between 0 and 1, in images of 640 x 480 px" in text
    assert "--coordinates shares" in text


def test_percentages_of_the_image() -> None:
    found = labels(points=20)
    text = percents(changed(found, 100 * found.xy / found.size[:, None]))
    assert text is not None
    assert "between 0 and 100" in text
    assert "--coordinates percent" in text


def test_percentages_are_not_suspected_in_images_of_100_px() -> None:
    assert percents(labels(width=120, height=110)) is None


def test_exchanged_axes_are_recognised() -> None:
    found = labels(height=240)
    text = exchanged(changed(found, found.xy[:, :, ::-1]))
    assert text is not None
    assert "inside with x and y exchanged" in text


def test_labels_of_larger_images_are_outside() -> None:
    found = labels(rows=400)
    text = outside(changed(found, 2 * found.xy))
    assert text is not None
    assert "most labels are outside their image" in text
    assert "times the width" in text
    assert "--images" in text


def test_a_few_rows_outside_are_left_to_the_training() -> None:
    found = labels()
    xy = found.xy.copy()
    xy[:10] += 5000
    assert outside(changed(found, xy)) is None


def test_labels_of_smaller_images_end_in_the_middle() -> None:
    found = labels()
    text = one_corner(changed(found, 0.5 * found.xy))
    assert text is not None
    assert "no label is in the right or lower half" in text


PLACES_OF_NONE = [
    ((-1, -1), "--missing -1"),
    ((0, 0), "--missing 0"),
    ((-999, -999), "--missing -999"),
    ((0, 479), "--missing 0,479"),
]


@pytest.mark.parametrize(("place", "option"), PLACES_OF_NONE)
def test_one_place_in_many_rows(place: tuple[float, float], option: str) -> None:
    found = labels()
    xy = found.xy.copy()
    xy[::10, 1] = place
    text = repeated(changed(found, xy))
    assert text is not None
    assert f"10 % of the rows (20) have a label at exactly ({place[0]}, {place[1]}), of p1." in text
    assert option in text


def test_a_place_that_is_told_already_is_not_told_again() -> None:
    found = labels()
    xy = found.xy.copy()
    xy[::10, 1] = -1
    assert repeated(Labels(xy, found.size, found.names, told=(-1.0,))) is None
    xy[5::10, 2] = -999
    text = repeated(Labels(xy, found.size, found.names, told=(-1.0,)))
    assert text is not None
    assert "exactly (-999, -999), of p2." in text


def test_rows_at_one_spot() -> None:
    found = labels()
    xy = found.xy.copy()
    xy[::5] = xy[::5, :1]
    text = one_spot(changed(found, xy))
    assert text is not None
    assert "all of them are at one place" in text


@pytest.mark.parametrize("in_table", [True, False])
def test_a_point_at_one_place_in_all_rows(in_table: bool) -> None:
    found = labels()
    xy = found.xy.copy()
    xy[:, 2] = 10, 20
    text = constant(Labels(xy, found.size, found.names, in_table))
    assert text is not None
    assert text.startswith("p2 has its label at the same place, such as (10, 20), in all rows.")
    assert ("Remove their columns" in text) == in_table
    assert ("--points" in text) != in_table


def test_a_column_twice() -> None:
    found = labels()
    xy = found.xy.copy()
    xy[:, 3] = xy[:, 1]
    text = twins(changed(found, xy))
    assert text is not None
    assert text.startswith("p1 and p3 have the same labels in all rows.")


def test_a_point_without_labels() -> None:
    found = labels()
    xy = found.xy.copy()
    xy[:, [0, 3]] = np.nan
    text = never(changed(found, xy))
    assert text is not None
    assert text.startswith("p0, p3 have no label in any row.")


@pytest.mark.parametrize("look", [*PLACES, *POINTS])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_and_unknown_sizes_are_no_reason(look: Finding, rows: int) -> None:
    found = labels(rows=max(rows, 1))
    few = Labels(found.xy[:rows], np.full((rows, 2), np.nan), found.names)
    assert look is never or look(few) is None


def test_loading_warns_and_names_the_file(write: Write, images: list[str]) -> None:
    path = write([f"{name},{0.05 * k + 0.1},{0.03 * k + 0.2},{0.5 + 0.01 * k},0.{k}5" for k, name in enumerate(images)],
                 header="image,x0,y0,x1,y1")  # fmt: skip
    with pytest.warns(DataWarning, match=r"annotations.csv: 100 % of the coordinates are between 0 and 1"):
        read = load_annotations(path)
    with pytest.warns(DataWarning, match="--coordinates shares"):
        steadfit.read(path)
    assert read.target[3, 0].tolist() == pytest.approx([0.25, 0.29])


def test_shares_become_pixels(write: Write, images: list[str], tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / images[3]), np.random.default_rng(0).integers(0, 255, (40, 12, 3)))
    rows = [f"{name},{0.05 * k + 0.1},{0.03 * k + 0.2},{0.5 + 0.01 * k},0.{k}5" for k, name in enumerate(images)]
    path = write(rows, header="image,x0,y0,x1,y1")
    schema = Schema(coordinates="shares", normalizer=(0, 1), points=("a", "b"), box="points", box_margin=0.0)
    read = load_annotations(path, schema)
    assert read.target[3, 0].tolist() == pytest.approx([0.25 * 12, 0.29 * 40])
    assert read.target[4, 0].tolist() == pytest.approx([0.3 * 24, 0.32 * 20])
    assert read.length is not None
    assert read.length[4] == pytest.approx(np.hypot(0.24 * 24, (0.45 - 0.32) * 20))
    assert read.box is not None
    assert read.box[4, 0] == pytest.approx(0.3 * 24 + 0.5)  # its first pixel's centre
    percent = load_annotations(
        write([",".join([r.split(",")[0], *(str(100 * float(v)) for v in r.split(",")[1:])]) for r in rows],
              header="image,x0,y0,x1,y1", name="percent.csv"), Schema(coordinates="percent"))  # fmt: skip
    np.testing.assert_allclose(percent.target, read.target)


def test_what_was_read_as_shares_is_written_in_pixels(write: Write, images: list[str], tmp_path: Path) -> None:
    rows = [f"{name},{0.05 * k + 0.1},{0.03 * k + 0.2},{0.5 + 0.01 * k},0.{k}5" for k, name in enumerate(images)]
    read = load_annotations(write(rows, header="image,x0,y0,x1,y1"), Schema(coordinates="shares"))
    again = steadfit.read(steadfit.write(read, tmp_path / "out", format="csv"), images=tmp_path)
    assert again.schema.coordinates == "pixels"
    np.testing.assert_allclose(again.target, read.target)


def test_an_image_without_size_is_a_problem_of_its_row(write: Write, images: list[str]) -> None:
    rows = [f"{name},{0.05 * k + 0.1},{0.03 * k + 0.2}" for k, name in enumerate(images)]
    path = write([*rows, "none.png,0.5,0.5"], header="image,x0,y0")
    with pytest.warns(DataWarning, match="1 row is left out"):
        read = load_annotations(path, Schema(coordinates="shares"), skip_bad=True)
    assert len(read) == 10
    assert "expected an image with a size for coordinates 'shares'" in str(read.skipped[0])


def test_pixels_counted_from_one(write: Write, rows: list[str]) -> None:
    plain, counted = load_annotations(write(rows)), load_annotations(write(rows), Schema(origin=1))
    np.testing.assert_array_equal(counted.target, plain.target - 1)
    assert counted.table_schema.origin == 0


@pytest.mark.parametrize(("options", "fact"), [
    ({"coordinates": "metres"}, "coordinates 'pixels', 'shares', 'percent', got 'metres'"),
    ({"origin": 2}, "origin 0 or 1, got 2"),
    ({"origin": 0.5}, "origin to be a whole number, got 0.5"),
    ({"origin": 1, "coordinates": "shares"}, "pixels for an origin of 1"),
    ({"targets": "age", "coordinates": "shares"}, "points for coordinates and origin"),
])  # fmt: skip
def test_options_without_meaning(options: dict[str, object], fact: str) -> None:
    with pytest.raises(ValueError, match=fact):
        Schema().with_options(**options)


V = "image,split,x0,y0,v0,x1,y1,v1"


def coco_like(images: list[str]) -> list[str]:
    second = ["0,0,0" if k % 3 == 0 else f"{k + 3},{k}.25,{0 if k == 1 else 2}" for k in range(10)]
    return [
        f"{name},{('train', 'val', 'test')[max(k - 7, 0)]},{k}.5,{2 * k},2,{second[k]}" for k, name in enumerate(images)
    ]


def test_v_0_at_the_origin_is_no_label(write: Write, images: list[str]) -> None:
    with pytest.warns(DataWarning, match=r"4 points with v = 0 at \(0, 0\) are taken as missing, in column 'v1'"):
        read = load_annotations(write(coco_like(images), header=V))
    assert np.isnan(read.target[::3, 1]).all()
    assert read.visible is not None
    assert read.visible[:3, 1].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("word", "missing"), [("missing", 5), ("codes", 5), ("occluded", 0)])
def test_what_v_0_means_can_be_said(write: Write, images: list[str], word: str, missing: int) -> None:
    path = write(coco_like(images), header=V)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if missing else "ignore")
        read = load_annotations(path, Schema(visibility=word))
    assert int(np.isnan(read.target[:, 1, 0]).sum()) == missing


@pytest.mark.parametrize("name", ["lsp", "parse", "lfw_net", "formats/mmpose_coco/test_coco.json"])
def test_nothing_is_said_about_real_data(name: str) -> None:
    path = Path(os.environ.get("STEADFIT_DATA", "/nowhere")) / name
    if not path.exists():
        pytest.skip(f"no {name} in $STEADFIT_DATA")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = steadfit.read(path)
    assert len(read) > 10
    assert not [str(one.message) for one in caught if "coordinates" in str(one.message) or "label" in str(one.message)]


def test_shares_with_zero_in_the_middle() -> None:
    found = labels()
    for scale in (1.0, 2.0):
        text = centred(changed(found, scale * (found.xy / found.size[:, None] - 0.5)))
        assert text is not None
        assert "between -1 and 1, in images of 640 x 480 px" in text
        assert "x = (share + 1) * width / 2" in text
    assert centred(found) is None
    assert centred(changed(found, found.xy / found.size[:, None])) is None  # plain shares


def test_y_that_points_up() -> None:
    found = labels()
    text = upward(changed(found, found.xy * [1, -1]))
    assert text is not None
    assert text.startswith("100 % of the labels are above their images, and inside with -y")
    assert upward(found) is None


@pytest.mark.parametrize("value", [0.0, -1.0, -999.0, 9999.0])
@pytest.mark.parametrize("rows", [2, 3])
def test_two_rows_at_a_usual_mark_are_told(value: float, rows: int) -> None:
    found = labels(rows=400)
    found.xy[:rows, 1] = value
    text = repeated(found)
    assert text is not None
    assert f"({rows}) have a label at exactly ({value:g}, {value:g}), of p1" in text
    found.xy[1:rows, 1] += 1  # one label alone may be a mistake
    assert repeated(found) is None


def test_two_rows_at_another_place_are_no_mark() -> None:
    found = labels(rows=400)
    found.xy[:2, 1] = (900.0, 20.0)
    assert repeated(found) is None
