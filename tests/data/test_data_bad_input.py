"""Every kind of bad input: one error that names file, line and column, and what ``skip_bad`` makes of it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from steadfit.data import Problem, Schema, load_annotations, read
from steadfit.errors import DataError, DataWarning

Write = Callable[..., Path]


def message(path: Path, schema: Schema | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load_annotations(path, schema)
    return str(caught.value)


REMEDY = " Correct the table, or leave these rows out with --skip-bad (skip_bad=True)."
CASES = {
    "word": ("a1.png,train,abc,2,4,1.25", "x0", "expected a number, got 'abc'."),
    "comma": ('a1.png,train,"1,5",2,4,1.25', "x0", "expected a number, got '1,5'."),
    "underscore": ("a1.png,train,1_0,2,4,1.25", "x0", "expected a number, got '1_0'."),
    "infinite": ("a1.png,train,1,-inf,4,1.25", "y0", "expected a finite number, got '-inf'."),
    "too large": ("a1.png,train,1,2,4,1e999", "y1", "expected a finite number, got '1e999'."),
    "half point": ("a1.png,train,1,2,,1.25", "x1", "expected a number because 'y1' is given, got an empty cell."),
    "other half": ("a1.png,train,1,2,4,NaN", "y1", "expected a number because 'x1' is given, got an empty cell."),
    "split": ("a1.png,training,1,2,4,1.25", "split", "expected train, val or test, got 'training'."),
    "no split": ("a1.png,,1,2,4,1.25", "split", "expected train, val or test, got ''."),
    "no path": (",train,1,2,4,1.25", "image", "expected the path of an image, got ''."),
    "missing": ("b1.png,train,1,2,4,1.25", "image", "expected an image file, got no file at 'b1.png' in {root}."),
    "outside": (
        "../b.png,train,1,2,4,1.25",
        "image",
        "expected an image inside {root}, got '../b.png', which is {parent}/b.png.",
    ),
    "absolute": (
        "/b.png,train,1,2,4,1.25",
        "image",
        "expected a path relative to {root}, got the absolute '/b.png'.",
    ),
    "truncated": (
        "cut.jpg,train,1,2,4,1.25",
        "image",
        "expected a whole image, got 'cut.jpg', truncated after 400 bytes.",
    ),
    "no image": (
        "text.png,train,1,2,4,1.25",
        "image",
        "expected an image, got 'text.png', 4 bytes that OpenCV cannot decode.",
    ),
    "folder": ("folder,train,1,2,4,1.25", "image", "expected an image file, got the folder 'folder'."),
    "twice": (
        "a0.png,train,0.5,0,3,0.25",
        "image",
        "expected rows of one image to differ in their labels, got 'a0.png' here and in line 2.",
    ),
    "twice, spelt differently": (
        "./folder/../a0.png,train,0.5,0,3,0.25",
        "image",
        "expected rows of one image to differ in their labels, got './folder/../a0.png' here and in line 2.",
    ),
    "few cells": ("a1.png,train,1,2,4", None, "expected 6 cells as in the header, got 5."),
    "many cells": ("a1.png,train,1,2,4,5,6", None, "expected 6 cells as in the header, got 7."),
}


@pytest.fixture
def odd_files(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    (tmp_path / "cut.jpg").write_bytes(bytes(cv2.imencode(".jpg", noise)[1])[:400])
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "folder").mkdir()


@pytest.mark.usefixtures("odd_files")
@pytest.mark.parametrize("name", CASES)
def test_a_bad_row(write: Write, rows: list[str], tmp_path: Path, name: str) -> None:
    row, column, reason = CASES[name]
    reason = reason.format(root=tmp_path, parent=tmp_path.parent)
    whole = load_annotations(write(rows))
    rows[1] = row
    path = write(rows)
    where = f"{path}, line 3, column {column!r}: " if column else f"{path}, line 3: "
    text = message(path)
    assert text.startswith(where + reason)
    assert text.endswith(REMEDY)
    with pytest.warns(DataWarning, match=re.escape(f"1 row is left out. The first: {where}{reason}")) as caught:
        table = load_annotations(path, skip_bad=True)
    assert caught[0].filename == __file__
    kept = [0, *range(2, 10)]
    assert table.images == whole.take(kept).images
    np.testing.assert_array_equal(table.target, whole.target[kept])
    assert table.line.tolist() == [2, *range(4, 12)]
    (problem,) = table.skipped
    assert isinstance(problem, Problem)
    assert (problem.path, problem.line, problem.column) == (str(path), 3, column)
    assert str(problem).startswith(where + reason)


@pytest.mark.usefixtures("odd_files")
def test_all_problems_are_told_in_one_error(write: Write, rows: list[str]) -> None:
    rows[1] = "b1.png,train,abc,2,4,1.25"
    rows[3] = "cut.jpg,train,1,,4,1.25"
    rows[4] = "a4.png,train,1,2"
    rows[5] = "a0.png,tarin,1,2,4,inf"
    lines = message(path := write(rows)).split("\n")
    assert lines[0] == f"{path}, line 3, column 'x0': expected a number, got 'abc'."
    assert lines[1] == "6 more problems:"
    assert [line.split(":")[0].strip() for line in lines[2:7]] == [
        "line 3, column 'image'",
        "line 5, column 'y0'",
        "line 5, column 'image'",
        "line 6",
        "line 7, column 'y1'",
    ]
    assert lines[7:] == ["  ...", REMEDY.strip()]
    with pytest.warns(DataWarning, match="4 rows are left out"):
        table = load_annotations(path, skip_bad=True)
    assert len(table) == 6
    assert len(table.skipped) == 7


def test_the_same_labels_for_one_image_name_the_first_of_them(write: Write, rows: list[str]) -> None:
    rows[2] = rows[3] = rows[0]
    text = message(write(rows))
    rule = "expected rows of one image to differ in their labels, got 'a0.png' here and in line 2."
    assert f"line 4, column 'image': {rule}" in text
    assert f"line 5, column 'image': {rule}" in text


def test_training_rows_without_labels_are_left_out_with_a_warning(write: Write, rows: list[str]) -> None:
    rows[1], rows[9] = "a1.png,train,,,,", "a9.png,test,,,,"
    with pytest.warns(DataWarning, match="1 of 10 rows have no label and are not trained on, the first in line 3"):
        table = load_annotations(write(rows))
    assert table.line.tolist() == [2, *range(4, 12)]


FILES = {
    "empty": (b"", "expected a header and rows, got an empty file."),
    "blank": (b"\n\n", "expected a header and rows, got an empty file."),
    "header only": (b"image,x0,y0\n", "expected at least one row of data, got a header only."),
    "column twice": (
        b"image,x0,y0,x0\na,1,2,3\n",
        "line 1, column 'x0': expected a column once, got it at places 2 and 4 of the header.",
    ),
    "undefined in Windows-1252": (b"image,x0,y0\nb.png,1,2\n\x81.png,1,2\n", "line 3: expected UTF-8, got byte 0x81."),
    "UTF-8 with a wrong byte": ("ä.png\n".encode() + b"\xe4.png\n", "line 2: expected UTF-8, got byte 0xe4."),
    "zero byte": (b"image,x0,y0\na.png,1,2\nb.png,\0,2\n", "line 3: expected text, got a zero byte."),
    "utf-16 header": ("image,x0,y0\n".encode("utf-16"), "expected at least one row of data, got a header only."),
    "half a utf-16": ("image,x0,y0\n".encode("utf-16") + b"a", "after line 1: expected UTF-16, got bytes of another"),
    "numbers for names": (b"5.1,3.5,1\n4.9,3,0\n", "line 1: expected a header with the names of the columns, got the"),
    "open quote": (b'image,x0,y0\na,1,2\n"b,1,2\nc,1,2\n', "line 3: expected CSV cells, got unexpected end of data."),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file(tmp_path: Path, name: str) -> None:
    data, reason = FILES[name]
    path = tmp_path / "annotations.csv"
    path.write_bytes(data)
    text = message(path)
    assert text.startswith(str(path))
    assert reason in text


def test_no_file(tmp_path: Path) -> None:
    wanted = f"{tmp_path}/none.csv: expected a file or folder of annotations, got nothing of that name."
    assert message(tmp_path / "none.csv") == wanted
    assert "expected annotations.csv or annotations.parquet in this folder, or annotations of" in message(tmp_path)


def test_a_parquet_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    assert message(tmp_path / "a.parquet").startswith(f"{tmp_path}/a.parquet: expected a Parquet file, got ")


def test_bad_cells_of_a_parquet_name_the_row(write: Write, rows: list[str], tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(write(rows))
    frame["x0"] = frame["x0"].astype(str)
    frame.loc[3, "x0"] = "abc"
    frame.loc[5, "y1"] = np.inf
    frame.to_parquet(tmp_path / "a.parquet")
    text = message(tmp_path / "a.parquet")
    assert text.startswith(f"{tmp_path}/a.parquet, line 4, column 'x0': expected a number, got 'abc'.")
    assert "line 6, column 'y1': expected a finite number, got 'inf'." in text


def test_absent_columns_are_told_together(write: Write, rows: list[str]) -> None:
    path = write([row.replace(".png", "") for row in rows], header="picture,split,x0,y0,x1,why1")
    text = message(path, Schema(points=("a", "b"), normalizer="widht"))
    assert text.startswith(f"{path}, column 'y1': expected this column, got 6 columns without it. Did you mean")
    assert "2 more problems:\n  column 'widht': expected this column" in text
    assert "column 'image': expected this column, got 6 columns without it." in text


def test_an_absent_column_names_the_nearest(write: Write, rows: list[str]) -> None:
    path = write(rows, header="image,split,x0,y0,agee,y1")
    assert message(path, Schema(targets=("age",))).endswith("Did you mean 'agee'?")
    assert "column 'part': expected this column" in message(path, Schema(points=("a",), split="part"))


def test_a_gap_in_the_points(write: Write, rows: list[str]) -> None:
    text = message(write(rows, header="image,split,x0,y0,x2,y2"))
    assert "column 'x1': expected this column, got 6 columns without it." in text


def test_no_points_and_no_targets(write: Write) -> None:
    path = write(["1,2", "2,3"], header="a,b")
    assert message(path) == (
        f"{path}: expected columns x0, y0, x1, y1, ... or named targets, got columns 'a', 'b'. "
        "Points are read from columns x0, y0, x1, y1, … or nose_x, nose_y or x_nose, y_nose (both axes of every point; "
        "visibility in v0 or nose_v); name any other targets with --targets, or in a dataset.yaml next to the table."
    )


def test_neither_images_nor_features(write: Write) -> None:
    assert "expected a column 'image' or columns of numbers next to the targets" in message(
        write(["1", "2"], header="y"), Schema(targets=("y",))
    )


def test_images_and_features(write: Write, rows: list[str]) -> None:
    path = write(rows)
    assert "column 'image': expected images or features, got both." in message(
        path, Schema(targets=("y1",), features=("x0",))
    )
    with pytest.warns(DataWarning, match="cells of column 'image' are not numbers, and"):
        assert load_annotations(path, Schema(targets=("y1",), image="")).schema.features == ("x0", "y0", "x1")


def test_pairs_beyond_the_discovered_points(write: Write, rows: list[str]) -> None:
    assert "expected pairs of points 0 to 1, got (0, 2)" in message(write(rows), Schema(pairs=((0, 2),)))


def test_a_target_without_labels(write: Write, rows: list[str]) -> None:
    rows[:8] = [",".join([*row.split(",")[:4], "", ""]) for row in rows[:8]]  # the test rows have some
    path = write(rows)
    text = message(path)
    assert text.startswith(f"{path}, column 'x1': expected at least one label in the 6 training rows, got none.")
    assert "1 more problem:\n  column 'y1': expected at least one label" in text
    assert "--skip-bad" not in text
    with pytest.raises(DataError, match="column 'x1': expected at least one label in the 6 training rows"):
        load_annotations(path, skip_bad=True)


def test_a_constant_target(write: Write, rows: list[str]) -> None:
    rows[:6] = [",".join([*row.split(",")[:5], "2.5"]) for row in rows[:6]]
    path = write(rows)
    assert message(path) == (
        f"{path}, column 'y1': expected labels that vary, got 2.5 in all 6 training rows that have one."
    )


def test_no_row_is_left(write: Write, rows: list[str]) -> None:
    path = write([row.replace("png", "jpg") for row in rows])
    text = message(path)
    assert text.startswith(f"{path}, line 2, column 'image': expected an image file, got no file at 'a0.jpg'")
    assert "9 more problems:" in text
    assert text.endswith(REMEDY.strip())
    with pytest.raises(DataError, match=r"rows of the split 'train', got none \(0 train, 0 val, 0 test\)"):
        load_annotations(path, skip_bad=True)


@pytest.mark.parametrize(("cell", "fact"), [("3", "3"), ("0.5", "0.5"), ("-1", "-1")])
def test_visibility_is_0_1_or_2(write: Write, rows: list[str], cell: str, fact: str) -> None:
    rows = [f"{row},1" for row in rows]
    rows[4] = rows[4][:-1] + cell
    text = message(write(rows, header="image,split,x0,y0,x1,y1,v1"))
    assert f"line 6, column 'v1': expected 0, 1 or 2, got {fact}." in text


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "expected a normalising length > 0, got an empty cell."),
        ("0", "expected a normalising length > 0, got 0."),
        ("-2", "expected a normalising length > 0, got -2."),
        ("wide", "expected a number, got 'wide'."),
    ],
)
def test_the_normalising_length_is_positive(write: Write, rows: list[str], cell: str, reason: str) -> None:
    rows = [f"{row},7" for row in rows]
    rows[4] = rows[4][:-1] + cell
    text = message(write(rows, header="image,split,x0,y0,x1,y1,width"), Schema(normalizer="width"))
    assert text.split(": ", 1)[1] == reason + REMEDY


def test_a_missing_feature_is_a_problem_of_its_row(write: Write) -> None:
    rows = [f"{k},{k},{k}" for k in range(20)]
    rows[3], rows[5] = "3,,3", "5,?,5"
    path = write(rows, header="a,b,y")
    text = message(path, Schema(targets=("y",)))
    assert "line 7, column 'b': expected a number, got '?'." in text
    assert "line 5, column 'b': expected a number in every feature, got an empty cell." in text
    with pytest.warns(DataWarning, match="2 rows are left out"):
        assert len(load_annotations(path, Schema(targets=("y",)), skip_bad=True)) == 18


def test_long_cells_are_cut(write: Write, rows: list[str]) -> None:
    rows[0] = f"a0.png,train,{'z' * 500},2,4,1.25"
    assert f"got '{'z' * 57}...'." in message(write(rows))


@pytest.mark.parametrize("cell", ["1e39", "-1e39", "1e308", "3.41e38"])
@pytest.mark.parametrize("column", [0, 2, 3])
def test_what_float32_does_not_hold_is_named(write: Write, cell: str, column: int) -> None:
    rows = [[f"{k}", f"{k * k}", f"{k % 7}", f"{k * 3}"] for k in range(40)]
    rows[5][column] = cell
    path = write([",".join(row) for row in rows], header="a,b,c,y")
    text = message(path, Schema(targets=("y",)))
    name = "abcy"[column]
    assert text.startswith(
        f"{path}, line 7, column {name!r}: expected a number of at most 3.4e+38 in size, which float32"
    )
    assert f"got {cell!r}." in text
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert len(load_annotations(path, Schema(targets=("y",)), skip_bad=True)) == 39


@pytest.mark.parametrize(("cell", "fine"), [("1e17", True), ("1e25", False)])
def test_what_float32_holds_is_asked_in_units_of_the_spread(write: Write, cell: str, fine: bool) -> None:
    """Also in rows that are not trained on, and where the number itself is no problem."""
    rows = [f"{k / 7},{k * 1e-3},{'train' if k < 30 else 'val'}" for k in range(40)]
    rows[-1] = f"{cell},0.5,val"
    path = write(rows, header="a,y,split")
    fails = pytest.raises(DataError, match=r"line 41, column 'a': expected a number within 1e\+18 times the column's")
    with contextlib.nullcontext() if fine else fails:
        load_annotations(path, Schema(targets=("y",)), need_splits=("train", "val"))


def test_a_column_of_large_numbers_that_differ_little_is_fine(write: Write) -> None:
    rows = [f"{k},{1e30 + k * 1e15},{'train' if k < 30 else 'val'}" for k in range(40)]
    path = write(rows, header="a,y,split")
    table = load_annotations(path, Schema(targets=("y",)), need_splits=("train", "val"))
    assert table.target[1, 0, 0] == 1e30 + 1e15


def test_a_table_of_bad_rows_only_is_an_error_even_where_they_may_be_left_out(write: Write, rows: list[str]) -> None:
    wanted = "expected at least one good row, got none of 2. The first problem: .*, line 2"
    with pytest.warns(DataWarning, match="2 rows are left out"), pytest.raises(DataError, match=wanted):
        read(write(["a0.png,train,x,1,2,3", "a1.png,train,1,y,2,3"]), skip_bad=True)
