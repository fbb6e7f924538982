from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from steadfit.data import Schema, load_annotations
from steadfit.data.tables.splits import SPLITS, draw_split
from steadfit.errors import DataError, DataWarning

Write = Callable[..., Path]


def table(write: Write, words: list[str] | None, count: int = 100) -> Path:
    if words is None:
        return write([f"{k},{k}" for k in range(count)], header="a,y")
    return write([f"{k},{k},{word}" for k, word in enumerate(words)], header="a,y,split")


def counts(path: Path, **options: object) -> list[int]:
    found = load_annotations(path, Schema(targets=("y",)), **options)  # type: ignore[arg-type]
    return [len(found.rows(word)) for word in SPLITS]


def test_without_a_column_all_are_drawn(write: Write) -> None:
    path = table(write, None)
    assert counts(path) == [70, 10, 20]
    assert counts(path, val_share=0.25, test_share=0.5) == [25, 25, 50]
    assert counts(path, test_share=0, need_splits=("train", "val")) == [90, 10, 0]


def test_the_draw_is_a_function_of_the_seed(write: Write) -> None:
    path = table(write, None)
    split = {seed: load_annotations(path, Schema(targets=("y",)), seed=seed).split.tolist() for seed in (0, 1)}
    assert split[0] == load_annotations(path, Schema(targets=("y",)), seed=0).split.tolist()
    assert split[0] != split[1]


def test_validation_rows_are_taken_from_the_training_rows_only(write: Write) -> None:
    path = table(write, ["train"] * 60 + ["test"] * 40)
    found = load_annotations(path, Schema(targets=("y",)))
    assert counts(path) == [54, 6, 40]
    assert found.rows("test").tolist() == list(range(60, 100))


def test_given_splits_stay(write: Write) -> None:
    words = ["train", "val", "test", "valid", "validation", "dev", " Train ", "TEST"]
    found = load_annotations(table(write, words), Schema(targets=("y",)))
    assert found.split.tolist() == ["train", "val", "test", "val", "val", "val", "train", "test"]


def test_no_test_rows_are_made_where_a_column_is_given(write: Write) -> None:
    path = table(write, ["train"] * 8 + ["val"] * 2)
    assert counts(path, need_splits=("train", "val")) == [8, 2, 0]
    with pytest.raises(
        DataError, match=r"column 'split': expected rows of the split 'test', got none \(8 train, 2 val, 0 test\)"
    ):
        counts(path)


def test_an_empty_split_is_an_error(write: Write) -> None:
    with pytest.raises(DataError, match=r"rows of the split 'train', got none \(0 train, 0 val, 5 test\)") as caught:
        counts(table(write, ["test"] * 5))
    assert "1 more problem:\n  column 'split': expected rows of the split 'val'" in str(caught.value)
    assert counts(table(write, ["test"] * 5), need_splits=("test",)) == [0, 0, 5]


def test_an_unknown_word(write: Write) -> None:
    with pytest.raises(
        DataError, match=r"annotations.csv, line 4, column 'split': expected train, val or test, got 'trian'"
    ):
        counts(table(write, ["train", "val", "trian", "test"]))


def test_what_is_skipped_does_not_move_the_other_rows(write: Write) -> None:
    rows = [f"{k},{k}" for k in range(100)]
    whole = load_annotations(write(rows, header="a,y"), Schema(targets=("y",)))
    rows[7], rows[50] = "7,seven", ",50"
    with pytest.warns(DataWarning, match="2 rows are left out"):
        fewer = load_annotations(write(rows, header="a,y"), Schema(targets=("y",)), skip_bad=True)
    assert fewer.split.tolist() == np.delete(whole.split, [7, 50]).tolist()


def test_groups_are_drawn_whole() -> None:
    group = np.repeat(np.arange(20) * 5, 5)
    split = draw_split(None, group, seed=0, val_share=0.1, test_share=0.2)
    assert [int((split == word).sum()) for word in SPLITS] == [70, 10, 20]
    assert all(len(set(split[5 * k : 5 * k + 5])) == 1 for k in range(20))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_training_row_always_remains(count: int) -> None:
    split = draw_split(None, np.arange(count), seed=0, val_share=1, test_share=1)
    assert (split == "train").sum() == 1


def test_shares_are_checked(write: Write) -> None:
    with pytest.raises(ValueError, match=r"expected 0 <= val_share <= 1, got 1\.5"):
        counts(table(write, None), val_share=1.5)
    with pytest.raises(ValueError, match="need_splits to be one of 'train', 'val', 'test', got 'dev'"):
        counts(table(write, None), need_splits=("dev",))
