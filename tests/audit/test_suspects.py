"""The labels table and the list of suspects."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steadfit.audit import error_rate, label_table, read_suspects, suspects, write_suspects


def arrays(**changes: Any) -> dict[str, Any]:
    given = np.array([[[3.0, 4.0], [1.0, 1.0]], [[np.nan, 2.0], [0.0, 2.0]]])
    values: dict[str, Any] = {
        "image": ["a.png", "b.png"], "line": [2, 3], "split": "train", "names": ["eye", "NA"], "given": given,
        "predicted": np.zeros((2, 2, 2)), "trust": np.array([[0.1, 0.9], [np.nan, 0.1]]),
        "suspect": np.array([[True, False], [False, True]]),
    }  # fmt: skip
    return {**values, **changes}


def test_points() -> None:
    table = label_table(**arrays())
    assert list(table) == [
        "image", "line", "split", "point", "x", "y", "predicted_x", "predicted_y", "residual", "trust", "suspect",
    ]  # fmt: skip
    assert list(table["image"]) == ["a.png", "a.png", "b.png"]  # the label with a NaN is left out
    assert list(table["line"]) == [2, 2, 3]
    assert list(table["point"]) == ["eye", "NA", "NA"]
    np.testing.assert_allclose(table["residual"], [5.0, math.sqrt(2.0), 2.0], rtol=1e-15)
    assert list(table["suspect"]) == [True, False, True]
    assert table["suspect"].dtype == bool


def test_scalars_of_a_table_and_known_truth() -> None:
    table = label_table(
        image=np.array([7, 9]), line=[8, 10], split=["train", "val"], names=["age"], given=[[[30.0]], [[40.0]]],
        predicted=[[[33.0]], [[41.0]]], trust=[[0.5], [1.0]], suspect=[[False], [False]], wrong=[[True], [False]],
    )  # fmt: skip
    assert list(table) == [
        "row", "line", "split", "point", "value", "predicted", "residual", "trust", "suspect", "wrong",
    ]  # fmt: skip
    assert list(table["row"]) == [7, 9]
    assert list(table["residual"]) == [3.0, 1.0]
    assert list(table["wrong"]) == [True, False]
    assert list(table["split"]) == ["train", "val"]


def test_three_dimensions() -> None:
    shape = (1, 1, 3)
    table = label_table(**arrays(image=["a"], line=[2], names=["p"], given=np.ones(shape), predicted=np.zeros(shape),
                                 trust=[[1.0]], suspect=[[False]]))  # fmt: skip
    assert table["residual"][0] == pytest.approx(math.sqrt(3.0), rel=1e-15)
    assert table["predicted_z"][0] == 0.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("given", np.zeros((2, 2)), r"given of shape \(N, K, 1 to 3\), got \(2, 2\)"),
        ("given", np.zeros((2, 2, 4)), r"got \(2, 2, 4\)"),
        ("trust", np.zeros((2, 1)), r"trust of shape \(2, 2\), got \(2, 1\)"),
        ("predicted", np.zeros((2, 2, 1)), r"predicted of shape \(2, 2, 2\)"),
        ("names", ["a"], r"names of shape \(2,\), got \(1,\)"),
        ("line", [1], r"line of shape \(2,\)"),
        ("wrong", [[True]], r"wrong of shape \(2, 2\)"),
    ],
)
def test_shapes_are_checked(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_table(**arrays(**{name: value}))


def test_worst_first() -> None:
    table = pd.DataFrame({
        "image": list("abcde"), "residual": [1.0, 9.0, 5.0, 7.0, 50.0], "trust": [0.1, 0.1, 0.0, 0.1, 0.2],
        "suspect": [True, True, True, True, False],
    })  # fmt: skip
    listed = suspects(table)
    assert list(listed["image"]) == ["c", "b", "d", "a"]
    assert list(listed["rank"]) == [1, 2, 3, 4]
    assert next(iter(listed)) == "rank"
    pd.testing.assert_frame_equal(suspects(listed), listed)
    assert "rank" not in table


def test_error_rate() -> None:
    table = pd.DataFrame({"trust": [0.0, 0.5, 1.0, 1.0], "suspect": [True, False, False, False]})
    assert error_rate(table) == 0.25
    assert error_rate(table, by="trust") == pytest.approx(0.375, rel=1e-15)
    assert math.isnan(error_rate(table.head(0)))
    with pytest.raises(ValueError, match="'suspects', 'trust', got 'x'"):
        error_rate(table, by="x")  # type: ignore[arg-type]


NAMES = ["=1+1", "+a", "-a", "@SUM(A1)", "\ta", "'quoted", "plain.png", "a=b", "NA", 'with "quotes", and comma']


def test_no_cell_is_a_formula_and_names_come_back(tmp_path: Path) -> None:
    n = len(NAMES)
    table = label_table(image=NAMES, line=range(n), split="train", names=["=p"], given=np.zeros((n, 1, 2)),
                        predicted=-np.ones((n, 1, 2)), trust=np.zeros((n, 1)), suspect=np.ones((n, 1)))  # fmt: skip
    listed = write_suspects(table, tmp_path / "suspects.csv")
    with (tmp_path / "suspects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"'{x}" if x[0] in "=+-@\t'" else x for x in NAMES]
    assert {row["point"] for row in rows} == {"'=p"}
    assert float(rows[0]["predicted_x"]) == -1  # a negative number stays one
    read = read_suspects(tmp_path / "suspects.csv")
    assert list(read["image"]) == NAMES
    assert list(read["point"]) == ["=p"] * n
    pd.testing.assert_frame_equal(read, listed, check_dtype=False, rtol=1e-5)


def test_empty_list_has_its_header(tmp_path: Path) -> None:
    table = label_table(**arrays(suspect=np.zeros((2, 2), dtype=bool)))
    write_suspects(table, tmp_path / "suspects.csv")
    assert (tmp_path / "suspects.csv").read_text().startswith("rank,image,line,split,point,x,y,")
    assert len(read_suspects(tmp_path / "suspects.csv")) == 0
