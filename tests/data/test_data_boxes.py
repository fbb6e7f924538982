from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from steadfit.data import (
    Annotations,
    LabelledDataset,
    Schema,
    box_of_points,
    frame_map,
    load_annotations,
    map_points,
    read_image,
    sample,
)
from steadfit.errors import DataError, DataWarning

Write = Callable[..., Path]

BOX = ("left", "top", "wide", "high")
HEADER = "image,split,x0,y0,x1,y1,left,top,wide,high"


@pytest.fixture
def boxed(rows: list[str]) -> list[str]:
    """The ten rows with a box each."""
    return [f"{row},{k % 4},{k % 3}.5,{10 + k % 3},{8 + k / 8}" for k, row in enumerate(rows)]


def load(path: Path, **options: object) -> Annotations:
    return load_annotations(path, Schema().with_options(**{"box": list(BOX), **options}))


def test_boxes_are_read_from_four_columns(write: Write, boxed: list[str]) -> None:
    table = load(write(boxed, header=HEADER))
    assert table.box is not None
    assert table.box.shape == (10, 4)
    assert table.box[5].tolist() == [1.0, 2.5, 12.0, 8.625]
    assert table.target.shape == (10, 2, 2)
    assert load_annotations(table.path).box is None


def test_boxes_stay_with_their_rows(write: Write, boxed: list[str]) -> None:
    table = load(write(boxed, header=HEADER))
    assert table.box is not None
    some = table.take([7, 2])
    assert some.box is not None
    np.testing.assert_array_equal(some.box, table.box[[7, 2]])
    moved = table.with_target(table.target + 3)
    np.testing.assert_array_equal(moved.box, table.box)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_boxes_written_and_read_again_are_the_same_bits(
    write: Write, boxed: list[str], tmp_path: Path, suffix: str
) -> None:
    table = load(write([row.rsplit(",", 1)[0] + f",{8 + k / 7}" for k, row in enumerate(boxed)], header=HEADER))
    frame = table.to_frame()
    path = tmp_path / f"again.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    np.testing.assert_array_equal(load(path).box, table.box)


def test_boxes_around_the_points_are_made_when_a_table_is_read(write: Write, rows: list[str], tmp_path: Path) -> None:
    table = load(write(rows), box="points", box_margin=0.1)
    assert table.box is not None
    assert table.size is not None
    np.testing.assert_array_equal(table.box, box_of_points(table.target, table.size, margin=0.1))
    moved = table.with_target(table.target + 3)
    np.testing.assert_array_equal(moved.box, table.box)  # the frame of a run does not move with its labels
    table.to_frame().to_csv(tmp_path / "again.csv", index=False)
    np.testing.assert_array_equal(load(tmp_path / "again.csv", box="points", box_margin=0.1).box, table.box)


def test_a_box_around_points_by_hand() -> None:
    nan = np.nan
    target = np.array(
        [
            [[10.0, 20.0], [30.0, 24.0], [20.0, 22.0]],
            [[10.0, 20.0], [nan, nan], [10.0, 60.0]],
            [[-500.0, 20.0], [30.0, 1e300], [20.0, 22.0]],  # at the edges
            [[nan, nan], [nan, nan], [nan, nan]],
            [[50.0, 50.0], [nan, nan], [50.9, 50.0]],  # less than a pixel
            [[500.0, 10.0], [501.0, 10.0], [nan, nan]],  # all beyond one edge
        ]
    )
    size = np.tile([[100.0, 80.0]], (6, 1))
    got = box_of_points(target, size, margin=0.25)
    whole = [0.0, 0.0, 100.0, 80.0]
    assert got[:2].tolist() == [[5.5, 15.5, 30.0, 14.0], [0.5, 10.5, 20.0, 60.0]]
    # points span 0..30 and 20..79, the longer side is 59: 14.75 are added on each side
    np.testing.assert_allclose(got[2], [0 - 14.75 + 0.5, 20 - 14.75 + 0.5, 59.5, 88.5], rtol=0, atol=1e-12)
    assert got[3:].tolist() == [whole] * 3
    stacked = np.concatenate([box_of_points(target[k : k + 1], size[:1], margin=0.25) for k in range(6)])
    np.testing.assert_array_equal(got, stacked)


@pytest.mark.parametrize("size", [(48, 48), (30, 60), (61, 40)])
def test_a_box_comes_to_the_middle_of_the_frame_and_fills_it(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(-20, 60, (20, 2)), rng.uniform(1, 90, (20, 2))], axis=1)
    scale, shift = frame_map(np.full((20, 2), 100.0), boxes, size)
    np.testing.assert_array_equal(scale[:, 0], scale[:, 1])
    low = (boxes[:, :2] - 0.5) * scale + shift  # the box's outer edges
    high = (boxes[:, :2] + boxes[:, 2:] - 0.5) * scale + shift
    frame = np.array([size[1], size[0]])
    np.testing.assert_allclose((low + high) / 2, np.tile((frame - 1) / 2, (20, 1)), rtol=0, atol=1e-10)
    np.testing.assert_allclose(((high - low) / frame).max(axis=1), 1.0, rtol=1e-12)


def test_a_whole_square_image_is_the_letterbox() -> None:
    size = np.array([[96.0, 96.0]])
    whole = np.array([[0.0, 0.0, 96.0, 96.0]])
    for got, expected in zip(frame_map(size, whole, 48), frame_map(size, None, 48), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("box", ["points", BOX])
def test_the_dataset_crops_to_the_box(write: Write, boxed: list[str], box: object) -> None:
    boxed[3] = "a3.png,train,,,,,1,2,9,9"
    schema = Schema(box=box, box_margin=0.5)  # type: ignore[arg-type]
    with pytest.warns(DataWarning, match="1 of 10 rows have no label"):
        table = load_annotations(write(boxed, header=HEADER), schema)
    data = LabelledDataset(table, size=(16, 20), channels=3)
    scale, shift = frame_map(table.size, table.box, (16, 20))  # type: ignore[arg-type]
    assert data.sampling == "warp"
    batch = data.__getitems__(range(9))
    assert set(batch) == {"index", "input", "target"}
    for b in range(9):
        matrix = torch.tensor(
            [[scale[b, 0], 0, shift[b, 0]], [0, scale[b, 1], shift[b, 1]], [0, 0, 1]], dtype=torch.float64
        )
        image = read_image(table.root / table.images[b], 3)  # type: ignore[index]
        assert torch.equal(batch["input"][b], sample([image], matrix[None], (16, 20), 3)[0])
        expected = map_points(matrix, torch.from_numpy(table.target[b]))
        torch.testing.assert_close(batch["target"][b].double(), expected, rtol=0, atol=1e-5)
    user = torch.from_numpy(table.target)
    torch.testing.assert_close(data.frame.to_user(data.frame.to_frame(user)), user, rtol=1e-13, atol=1e-12)
    with pytest.raises(ValueError, match="expected sampling 'warp' or 'auto' with augment, boxes or stretched"):
        LabelledDataset(table, sampling="letterbox")


def test_scalar_targets_of_boxed_images_keep_their_units(write: Write, images: list[str]) -> None:
    path = write([f"{name},{20 + k},2,3,9,9" for k, name in enumerate(images)], header="image,age,left,top,wide,high")
    data = LabelledDataset(load(path, targets="age"), size=16)
    assert data.target[:, 0, 0].tolist() == list(range(20, 30))
    other = LabelledDataset(load_annotations(path, Schema(targets=("age",))), size=16)
    assert not torch.equal(data[3]["input"], other[3]["input"])


CASES = {
    "word": ("1,x,9,9", "top", "expected a number, got 'x'."),
    "empty": ("1,,9,9", "top", "expected a number, got an empty cell."),
    "infinite": ("inf,1,9,9", "left", "expected a finite number, got 'inf'."),
    "flat": ("1,1,0,9", "wide", "expected a width > 0, got 0."),
    "negative": ("1,1,9,-3.5", "high", "expected a height > 0, got -3.5."),
    "beside": (
        "24,1,9,9",
        "left",
        "expected a box that overlaps its image of 24 x 20 px, got x = 24, y = 1, width = 9, height = 9.",
    ),
    "above": (
        "1,-9,9,9",
        "left",
        "expected a box that overlaps its image of 24 x 20 px, got x = 1, y = -9, width = 9, height = 9.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_box_names_file_line_and_column(write: Write, boxed: list[str], name: str) -> None:
    cells, column, reason = CASES[name]
    boxed[1] = f"a1.png,train,1,2,4,1.25,{cells}"
    path = write(boxed, header=HEADER)
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}, line 3, column {column!r}: {reason} Correct the table")
    with pytest.warns(DataWarning, match=re.escape(reason)):
        table = load_annotations(path, Schema(box=BOX), skip_bad=True)
    assert table.box is not None
    assert len(table.box) == 9


def test_an_absent_box_column(write: Write, boxed: list[str]) -> None:
    path = write(boxed, header=HEADER.replace("wide", "width"))
    with pytest.raises(DataError, match="column 'wide': expected this column, got 10 columns without it"):
        load(path)


def test_a_box_needs_images(write: Write) -> None:
    path = write([f"{k},{k * k},{-k},1,1,2,2" for k in range(12)], header="a,x0,y0,left,top,wide,high")
    with pytest.raises(DataError, match="expected images for the box 'points', got no column 'image'"):
        load_annotations(path, Schema(features=("a",), box="points"))


def test_the_yaml_and_the_options(write: Write, boxed: list[str], tmp_path: Path) -> None:
    path = write(boxed, header=HEADER)
    (tmp_path / "dataset.yaml").write_text("box: [left, top, wide, high]\n")
    by_columns = load_annotations(path)
    assert by_columns.schema.box == BOX
    assert by_columns.schema.box_columns == BOX
    (tmp_path / "dataset.yaml").write_text("box: points\nbox_margin: 0.5\n")
    assert (Schema.discover(path).box, Schema.discover(path).box_margin) == ("points", 0.5)
    assert Schema.discover(path).box_columns == ()
    assert Schema().with_options(box="left, top, wide, high", box_margin="0.1").box == BOX
    for schema in (Schema(), by_columns.schema, Schema(box="points", box_margin=0.0)):
        assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box": "left,top"}, r"expected box to be 'points' or four columns .* got \('left', 'top'\)"),
        ({"box": "face"}, r"expected box to be 'points' or four columns .* got \('face',\)"),
        ({"box": ["a", "b", "c", "a"]}, r"got \('a', 'b', 'c', 'a'\)"),
        ({"box": 3}, "expected box to be a list of names, got 3"),
        ({"box": "points", "targets": "age"}, "expected points for a box around them, got 1 scalar targets"),
        ({"box_margin": -0.1}, "expected box_margin >= 0 and finite, got -0.1"),
        ({"box_margin": "nan"}, "expected box_margin >= 0 and finite, got nan"),
        ({"box_margin": "wide"}, "expected box_margin to be a number, got 'wide'"),
        ({"box_margin": True}, "expected box_margin to be a number, got True"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Schema.from_dict(options)


@pytest.mark.parametrize(
    ("names", "told"), [("left,top,right,bottom", True), ("x1,y1,x2,y2", True), ("l,t,w,h", False)]
)
def test_edges_in_place_of_width_and_height_are_told(tmp_path, recwarn, names, told):
    header = names.split(",")
    lines = [f"image,a_x,a_y,{names}"]
    for k in range(12):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((60, 60), 9 * k + 20, dtype=np.uint8))
        lines.append(f"{k}.png,{k},{2 * k},0,0,30,40")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    load_annotations(tmp_path / "t.csv", Schema(box=tuple(header)))
    said = [str(one.message) for one in recwarn if "are read as width and height of the boxes" in str(one.message)]
    assert len(said) == told
