"""WFLW's lists: splits, boxes, places, and what is wrong with a line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sample_wflw import build, line

from steadfit.data.exchange import read
from steadfit.data.formats.face_layouts import WFLW
from steadfit.errors import DataError, DataWarning

LISTS = Path("WFLW_annotations", "list_98pt_rect_attr_train_test")


def test_both_lists(tmp_path: Path) -> None:
    data = read(build(tmp_path))
    assert data.images == ("2--Demo/c.png", "0--Parade/0_Parade_1.png", "0--Parade/0_Parade_1.png", "1--Größe/a b.png")
    assert data.split[0] == "test"
    assert "test" not in data.split[1:].tolist()
    assert data.schema.points == WFLW.points
    assert data.schema.normalizer == (60, 72)
    assert data.root == tmp_path / "WFLW_images"
    np.testing.assert_array_equal(data.box[2], [10, 11, 29, 18])
    first = np.random.default_rng(0).uniform(2, 28, 196).round(6).reshape(98, 2)
    np.testing.assert_array_equal(data.target[1], first)
    assert data.at is not None
    assert data.at[1] == "list_98pt_rect_attr_train.txt, line 1"


def test_one_list_finds_its_images_and_keeps_its_lines(tmp_path: Path) -> None:
    data = read(build(tmp_path) / LISTS / "list_98pt_rect_attr_train.txt")
    assert data.root == tmp_path.resolve() / "WFLW_images"
    assert data.line.tolist() == [1, 2, 3]
    assert data.at is None


def test_a_list_without_boxes(tmp_path: Path) -> None:
    build(tmp_path)
    words = line("2--Demo/c.png", 3).split()
    path = tmp_path / "list_98pt_test.txt"
    path.write_text(" ".join([*words[:196], words[-1]]) + "\n")
    data = read(path)
    assert data.split.tolist() == ["test"]
    assert data.box is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((r"^\S+ ", ""), "line 1: expected 196 coordinates, 4 numbers of the box, 6 flags and an image, got 206 words"),
        ((r"^\S+ ", "nan "), "line 1, word 1: expected a finite number, got 'nan'"),
        ((r" 4 5 30 28 ", " 4 5 x 28 "), "line 1, word 199: expected a finite number, got 'x'"),
    ],
)
def test_a_bad_line_says_where(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = build(tmp_path) / LISTS / "list_98pt_rect_attr_train.txt"
    path.write_text(re.sub(*change, path.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(f"{path}, {message}")):
        read(tmp_path)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert len(read(tmp_path, skip_bad=True)) == 3


def test_an_empty_box_is_not_used(tmp_path: Path) -> None:
    path = build(tmp_path) / LISTS / "list_98pt_rect_attr_train.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("10 11 39 29", "10 11 10 29"), encoding="utf-8")
    data = read(tmp_path)
    assert "1 boxes without a width or height" in " ".join(data.notes)
    assert not np.isnan(data.box).any()
