"""The labels table: its columns, its rows, and what a judgement puts into it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_arrays import arrays

from steadfit.audit import label_table, labels_of, row_of
from steadfit.data import Annotations, Schema
from steadfit.training import Judgement


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


def test_every_column_of_a_judgement_is_in_the_table() -> None:
    """What a noise model adds comes through without being named anywhere, in its own type."""
    schema = Schema(points=("a", "b"))
    target = np.arange(8.0).reshape(2, 2, 2)
    annotations = Annotations(
        path=Path("t.csv"), root=Path(), schema=schema, target=target, visible=None, images=("x.png", "y.png"),
        features=None, split=np.array(["train", "val"]), line=np.array([2, 3]), size=None, length=None,
    )  # fmt: skip
    columns = {
        "distance": np.array([[1.0, 2.0], [3.0, np.nan]]), "trust": np.full((2, 2), 0.5),
        "suspect": np.array([[True, False], [False, False]]), "peaks": np.array([[1, 2], [3, 4]]),
        "p_wrong": np.array([[0.9, 0.1], [0.2, 0.3]]),
    }  # fmt: skip
    judgement = Judgement(annotations.target + 1, columns, 0.25)
    table = labels_of(annotations, judgement, wrong=columns["suspect"])
    assert list(table)[-7:] == ["residual", "distance", "trust", "suspect", "peaks", "p_wrong", "wrong"]
    for name, values in columns.items():
        assert table[name].dtype == values.dtype
        np.testing.assert_array_equal(table[name], values.ravel())
    assert table["image"].tolist() == ["x.png", "x.png", "y.png", "y.png"]
    assert "wrong" not in labels_of(annotations, judgement)
    assert row_of(annotations).tolist() == [0, 1]
