from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from steadfit.data import Annotations, Schema, load_annotations
from steadfit.errors import DataWarning

Write = Callable[..., Path]


def same(a: Annotations, b: Annotations) -> None:
    """Equal values, bit for bit."""
    assert a.images == b.images
    assert a.split.tolist() == b.split.tolist()
    for name in ("features", "target", "visible", "length"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None)
        if left is not None:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)


def test_a_csv_of_points(write: Write, rows: list[str], tmp_path: Path) -> None:
    table = load_annotations(write(rows))
    assert (table.root, table.path, len(table)) == (tmp_path, tmp_path / "annotations.csv", 10)
    assert table.schema.columns == ("x0", "y0", "x1", "y1")
    assert table.target.shape == (10, 2, 2)
    assert table.target[3].tolist() == [[3.5, 6.0], [6.0, 3.25]]
    assert table.images is not None
    assert table.images[3] == "a3.png"
    assert table.size is not None
    assert table.size[3].tolist() == [24.0, 20.0]
    assert table.line.tolist() == list(range(2, 12))
    assert [table.rows(word).tolist() for word in ("train", "val", "test")] == [list(range(6)), [6, 7], [8, 9]]
    assert (table.features, table.length, table.skipped, table.duplicates, table.group) == (None, None, (), (), None)
    assert table.visible is not None
    assert (table.visible == 2).all()


def test_a_folder_or_a_path_as_text(write: Write, rows: list[str], tmp_path: Path) -> None:
    path = write(rows)
    same(load_annotations(tmp_path), load_annotations(str(path)))


def test_attribute_columns_are_no_targets(write: Write, rows: list[str]) -> None:
    table = load_annotations(write([f"{row},7,smile" for row in rows], header="image,split,x0,y0,x1,y1,age,mood"))
    assert table.schema.columns == ("x0", "y0", "x1", "y1")
    assert table.schema.points == ("0", "1")
    assert table.schema.permutation == (0, 1)  # no pairs, no mirroring


def test_dataset_yaml_beside_the_table_is_used(write: Write, rows: list[str], tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("points: [a, b]\npairs: [[a, b]]\nnormalizer: [a, b]\n")
    table = load_annotations(write(rows))
    assert (table.schema.points, table.schema.permutation) == (("a", "b"), (1, 0))
    assert table.length is not None
    np.testing.assert_allclose(table.length[2], np.hypot(2.5 - 5, 4 - 2.25), rtol=1e-15)
    assert load_annotations(tmp_path, Schema()).schema.points == ("0", "1")  # options instead of the yaml


def test_windows_lines_bom_quotes_and_blank_lines(write: Write, rows: list[str], tmp_path: Path) -> None:
    plain = load_annotations(write(rows))
    quoted = [f'"{row.split(",")[0]}",{row.split(",", 1)[1]}' for row in rows]
    path = write(["", *quoted[:4], "", *quoted[4:]], name="windows.csv", newline="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    windows = load_annotations(path)
    same(plain, windows)
    assert windows.line.tolist() == [3, 4, 5, 6, *range(8, 14)]


def test_quoted_line_breaks_do_not_shift_the_lines(write: Write, rows: list[str]) -> None:
    path = write([f'{row},"two\nlines"' for row in rows], header="image,split,x0,y0,x1,y1,note")
    assert load_annotations(path).line.tolist() == list(range(2, 22, 2))


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", " "])
def test_missing_points(write: Write, rows: list[str], cell: str) -> None:
    rows[2] = f"a2.png,train,{cell},{cell},5,2.25"
    table = load_annotations(write(rows))
    assert np.isnan(table.target[2, 0]).all()
    assert int(np.isnan(table.target).sum()) == 2


def test_points_far_outside_the_image_pass(write: Write, rows: list[str]) -> None:
    rows[2] = "a2.png,train,-1e6,99999,5,2.25"
    assert load_annotations(write(rows)).target[2, 0].tolist() == [-1e6, 99999.0]


def test_a_row_without_labels_may_be_tested(write: Write, rows: list[str]) -> None:
    rows[9] = "a9.png,test,,,,"
    assert np.isnan(load_annotations(write(rows)).target[9]).all()


def visible_rows(images: list[str]) -> list[str]:
    flags = ["1,0", "2,1", ",1", "0,1"] + ["1,1"] * 6
    return [
        f"{name},{k},{2 * k},{flags[k][: flags[k].index(',')]},{k + 3},{3 * k},{flags[k][-1]}"
        for k, name in enumerate(images)
    ]


def test_visibility_occluded_keeps_the_coordinates(write: Write, images: list[str]) -> None:
    table = load_annotations(write(visible_rows(images), header="image,x0,y0,v0,x1,y1,v1"))
    assert table.visible is not None
    assert table.visible[:5].tolist() == [[1, 1], [2, 1], [2, 1], [1, 1], [1, 1]]
    assert not np.isnan(table.target).any()


def test_visibility_missing_takes_them_away(write: Write, images: list[str]) -> None:
    path = write(visible_rows(images), header="image,x0,y0,v0,x1,y1,v1")
    table = load_annotations(path, Schema(visibility="missing"))
    assert np.argwhere(np.isnan(table.target[:, :, 0])).tolist() == [[0, 1], [3, 0]]
    assert table.visible is not None
    assert np.argwhere(table.visible == 0).tolist() == [[0, 1], [3, 0]]


def test_the_normalising_length(write: Write, rows: list[str]) -> None:
    path = write([f"{row},{k + 1}" for k, row in enumerate(rows)], header="image,split,x0,y0,x1,y1,width")
    column = load_annotations(path, Schema(normalizer="width")).length
    number = load_annotations(path, Schema(normalizer=3.69)).length
    assert column is not None
    assert column.tolist() == list(range(1, 11))
    assert number is not None
    assert number.tolist() == [3.69] * 10


def test_the_distance_of_a_missing_point_is_missing(write: Write, rows: list[str]) -> None:
    rows[1], rows[2] = "a1.png,train,,,4,1.25", "a2.png,train,5,5,5,5"
    length = load_annotations(write(rows), Schema(normalizer=(0, 1))).length
    assert length is not None
    assert np.isnan(length).nonzero()[0].tolist() == [1, 2]


def test_scalar_targets_of_images(write: Write, images: list[str]) -> None:
    path = write([f"{name},{20 + k},{k % 2}" for k, name in enumerate(images)], header="image,age,gender")
    table = load_annotations(path, Schema(targets=("age",), units="years"))
    assert table.target[:, 0, 0].tolist() == list(range(20, 30))
    assert table.features is None
    assert table.size is not None


def test_a_table_of_features(write: Write) -> None:
    path = write([f"{k},{k * k},{0.1 * k},{k % 3}" for k in range(12)], header="a,y,b,v1")
    table = load_annotations(path, Schema(targets=("y",)))
    assert table.schema.features == ("a", "b", "v1")
    assert table.images is None
    assert table.size is None
    assert table.features is not None
    assert table.features.dtype == np.float64
    assert table.features[3].tolist() == [3.0, float(f"{0.1 * 3}"), 0.0]
    chosen = load_annotations(path, Schema(targets=("y",), features=("b", "a")))
    assert chosen.features is not None
    assert chosen.features[3].tolist() == [float(f"{0.1 * 3}"), 3.0]


def test_columns_of_words_are_left_out_with_a_warning(write: Write) -> None:
    path = write([f"{k},n{k},{k},{k * k}" for k in range(12)], header=",name,a,y")
    with pytest.warns(DataWarning, match="columns '', 'name' are not numbers or have no name, and are not used"):
        table = load_annotations(path, Schema(targets=("y",)))
    assert table.schema.features == ("a",)


def test_points_from_features(write: Write) -> None:
    path = write([f"{k},{k * k},{-k}" for k in range(12)], header="a,x0,y0")
    table = load_annotations(path, Schema(features=("a",)))
    assert table.target.shape == (12, 1, 2)


def test_points_named_fewer_than_there_are_columns(write: Write, rows: list[str]) -> None:
    with pytest.warns(DataWarning, match="1 point is named, so columns 'x1' and their y are not used"):
        assert load_annotations(write(rows), Schema(points=("nose",))).target.shape == (10, 1, 2)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_written_and_read_again_are_the_same_bits(write: Write, images: list[str], tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    path = write(
        [
            f"{name},{','.join(map(repr, rng.normal(size=4).tolist()))},{k % 3},{k / 7 + 1}"
            for k, name in enumerate(images)
        ],
        header="image,x0,y0,x1,y1,v1,width",
    )
    table = load_annotations(path, Schema(normalizer="width"))
    table.target[4, 1] = np.nan
    assert table.visible is not None
    table.visible[4, 1] = 0
    frame = table.to_frame()
    if suffix == "csv":
        frame.to_csv(tmp_path / "again.csv", index=False)
    else:
        frame.to_parquet(tmp_path / "again.parquet")
    again = load_annotations(tmp_path / f"again.{suffix}", Schema(normalizer="width"))
    same(table, again)
    assert again.line[0] == (2 if suffix == "csv" else 1)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_features_written_and_read_again(write: Write, tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(1)
    path = write([",".join(map(repr, row)) for row in rng.lognormal(0, 9, (30, 3)).tolist()], header="a,b,y")
    table = load_annotations(path, Schema(targets=("y",)))
    again_path = tmp_path / f"again.{suffix}"
    frame = table.to_frame()
    frame.to_csv(again_path, index=False) if suffix == "csv" else frame.to_parquet(again_path)
    same(table, load_annotations(again_path, table.schema))


def test_parquet_types(write: Write, images: list[str], rows: list[str], tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(write(rows))
    frame["x0"] = frame["x0"].astype("float32")
    frame["y0"] = frame["y0"].astype("Int64")
    frame["x1"] = frame["x1"].astype(str)  # numbers written as text
    frame["split"] = frame["split"].astype("category")
    frame.to_parquet(tmp_path / "annotations.parquet")
    same(load_annotations(tmp_path / "annotations.parquet"), load_annotations(tmp_path / "annotations.csv"))


def test_take_and_with_target(write: Write, rows: list[str]) -> None:
    table = load_annotations(write(rows), Schema(normalizer=(0, 1)))
    some = table.take([5, 1])
    assert some.images == ("a5.png", "a1.png")
    assert some.line.tolist() == [7, 3]
    np.testing.assert_array_equal(some.target, table.target[[5, 1]])
    same(table.take(table.split == "val"), table.take(table.rows("val")))
    assert len(table.take([])) == 0
    moved = table.with_target(table.target + 1)
    np.testing.assert_array_equal(moved.target, table.target + 1)
    np.testing.assert_array_equal(moved.length, table.length)
    with pytest.raises(ValueError, match=r"expected target of shape \(10, 2, 2\), got \(10, 4\)"):
        table.with_target(np.zeros((10, 4)))
    with pytest.raises(ValueError, match="one of 'train', 'val', 'test', got 'dev'"):
        table.rows("dev")


def test_a_table_without_labels_can_be_read_for_prediction(write: Write, images: list[str]) -> None:
    path = write(images, header="image")
    table = load_annotations(path, Schema(points=("a", "b")), need_splits=())
    assert table.images == tuple(images)
    assert np.isnan(table.target).all()


def test_constant_labels_matter_for_training_only(write: Write, rows: list[str]) -> None:
    table = load_annotations(write([row.rsplit(",", 1)[0] + ",5" for row in rows]), need_splits=("test",))
    assert set(table.target[:, 1, 1]) == {5.0}


def test_the_same_bytes_under_two_paths_warn(write: Write, rows: list[str], tmp_path: Path) -> None:
    (tmp_path / "a1.png").write_bytes((tmp_path / "a0.png").read_bytes())
    (tmp_path / "a9.png").write_bytes((tmp_path / "a3.png").read_bytes())
    with pytest.warns(DataWarning) as caught:
        table = load_annotations(write(rows))
    assert table.duplicates == (("a0.png", "a1.png"), ("a3.png", "a9.png"))
    text = str(caught[0].message)
    assert "2 groups of images have the same bytes under several paths, 1 of them across splits:" in text
    assert "\n  a0.png = a1.png\n  a3.png = a9.png (in several splits)" in text
    assert caught[0].filename == __file__


def test_copies_are_drawn_into_one_split(write: Write, images: list[str], tmp_path: Path) -> None:
    for k in range(0, 10, 2):
        (tmp_path / f"a{k + 1}.png").write_bytes((tmp_path / f"a{k}.png").read_bytes())
    path = write([f"{name},{k},{k},{k},{k}" for k, name in enumerate(images)], header="image,x0,y0,x1,y1")
    for seed in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            split = load_annotations(path, seed=seed).split
        assert split[::2].tolist() == split[1::2].tolist()


def test_progress_counts_the_images(write: Write, rows: list[str]) -> None:
    calls: list[tuple[int, int]] = []
    load_annotations(write(rows), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (10, 10)


def test_grey_images_count_as_images(write: Write, rows: list[str], tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a0.png"), np.full((9, 7), 30, np.uint8))
    size = load_annotations(write(rows)).size
    assert size is not None
    assert size[0].tolist() == [7.0, 9.0]


def feature_rows(words: list[str] | None = None) -> list[str]:
    """Every row of features stands four times in turn, each time with another label."""
    rows = [f"{k % 15},{0.1 * (k % 15)},{k}" for k in range(60)]
    return rows if words is None else [f"{row},{word}" for row, word in zip(rows, words, strict=True)]


def test_copies_of_features_are_drawn_into_one_split(write: Write) -> None:
    path = write(feature_rows(), header="a,b,y")
    for seed in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            split = load_annotations(path, Schema(targets=("y",)), seed=seed).split
        assert all(len(set(split[k::15])) == 1 for k in range(15))
        assert set(split) == {"train", "val", "test"}


def test_copies_of_features_in_several_given_splits_warn(write: Write) -> None:
    words = ["train"] * 45 + ["val"] * 15
    words[15] = "test"
    path = write(feature_rows(words), header="a,b,y,split")
    with pytest.warns(DataWarning) as caught:
        table = load_annotations(path, Schema(targets=("y",)))
    text = str(caught[0].message)
    assert "15 rows of features are the same in several splits" in text
    assert "\n  lines 2 (train) = 17 (test) = 32 (train) = 47 (val)\n" in text
    assert text.endswith("\n  and 5 more")
    assert caught[0].filename == __file__
    assert table.split.tolist() == words


def test_too_few_different_rows_are_drawn_one_by_one(write: Write) -> None:
    path = write([f"{k % 2},{k}" for k in range(40)], header="a,y")
    with pytest.warns(DataWarning, match="2 rows of features are the same in several splits"):
        assert set(load_annotations(path, Schema(targets=("y",))).split) == {"train", "val", "test"}


def test_rows_are_counted_from_0_and_lines_as_in_the_file(write: Write) -> None:
    rows = [f"{k},{k * k}" for k in range(12)]
    rows[3:3] = ["", "1,2,3"]  # an empty line is no row; one of three cells is a bad one
    with pytest.warns(DataWarning, match="1 row is left out"):
        table = load_annotations(write(rows, header="a,y"), Schema(targets=("y",)), skip_bad=True)
    assert table.row is not None
    assert table.row.tolist() == [0, 1, 2, *range(4, 13)]
    assert table.line.tolist() == [2, 3, 4, *range(7, 16)]
    assert table.take([4]).row.tolist() == [5]  # type: ignore[union-attr]
