"""Tables and figures of body parts hold the numbers they are given."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from steadfit.metrics import Part, body_parts
from steadfit.reports.keypoint_figures import pcp_curves, pcp_parts
from steadfit.reports.keypoint_tables import PCP, body_table, part_groups, share_frame, share_table

DASH = "\N{EN DASH}"
GROUPS = {"Head": ("head",), "Shin": ("right_shin", "left_shin")}
PARTS = {
    "tukey": {"pcp": 0.6, "pcp_loose": 0.7, "pcp_by_part": {"head": 0.9, "right_shin": 0.4, "left_shin": 0.5}},
    "l2": {"pcp": [0.5, 0.52], "pcp_by_part": {"head": [0.9, 0.9], "right_shin": [0.2, 0.3], "left_shin": [0.3, 0.4]}},
}


def shown(table: Table, width: int = 80) -> str:
    with open(os.devnull, "w") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        console.print(table)
    return console.export_text()


def test_left_and_right_are_one_column() -> None:
    groups = part_groups(body_parts([str(k) for k in range(14)]))
    assert list(groups) == ["Head", "Torso", "Upper arm", "Forearm", "Thigh", "Shin"]
    assert groups["Upper arm"] == ("right_upper_arm", "left_upper_arm")
    assert part_groups([Part("left_wing", (0,), (1,)), Part("tail", (2,), (3,))]) == {
        "Left wing": ("left_wing",), "Tail": ("tail",),
    }  # fmt: skip


def test_pcp_frame() -> None:
    frame = share_frame(PARTS | {"mine": {}}, GROUPS, PCP)
    assert list(frame) == ["method", "Head", "Shin", "Mean", "Loose"]
    assert list(frame.loc["tukey"]) == ["Tukey", "90.0", "45.0", "60.0", "70.0"]
    assert list(frame.loc["l2"]) == ["L2", "90.0", "30.0", "51.0 ± 1.4", DASH]
    assert list(frame.loc["mine"]) == ["mine", *[DASH] * 4]
    assert "Loose" not in share_frame({"l2": PARTS["l2"]}, GROUPS, PCP)


def test_pcp_table() -> None:
    text = " ".join(shown(share_table(PARTS, GROUPS, PCP, title="LSP", what="strict PCP@.5")).split())
    assert "LSP method Head Shin Mean Loose" in text
    assert "Tukey 90.0 45.0 60.0 70.0" in text
    assert "strict PCP@.5 in %; ± is the standard deviation over seeds" in text


def test_pcp_parts() -> None:
    axes = pcp_parts(PARTS, GROUPS).figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Head", "Shin", "Mean"]
    tukey, l2 = axes.containers
    np.testing.assert_allclose(tukey[0].get_ydata(), [0.9, 0.45, 0.6])
    np.testing.assert_allclose(l2[0].get_ydata(), [0.9, 0.3, 0.51])
    assert axes.get_ylabel() == "strict PCP@.5"


def test_pcp_curves() -> None:
    alphas, rows = np.linspace(0, 1, 6), np.array([np.linspace(0, 0.9, 6), np.linspace(0, 0.7, 6)])
    strict = {"l2": rows, "tukey": rows[0]}
    figure = pcp_curves(strict, alphas, loose={"l2": rows + 0.1, "tukey": rows[0] + 0.1}, alpha=0.5).figure
    axes = figure.axes[0]
    curves = {(line.get_label(), line.get_linestyle()): line for line in axes.lines}
    np.testing.assert_allclose(curves["L2", "-"].get_ydata(), rows.mean(0))
    np.testing.assert_allclose(curves["L2", ":"].get_ydata(), rows.mean(0) + 0.1)
    np.testing.assert_allclose(curves["Tukey", "-"].get_ydata(), rows[0])
    assert curves["Tukey", "-"].get_color() == curves["Tukey", ":"].get_color()
    assert axes.lines[-1].get_xdata()[0] == 0.5
    assert len(axes.collections) == 2  # the bands of the two seeds
    assert axes.get_xlabel() == "threshold (share of each part's own length)"
    assert [text.get_text() for text in axes.get_legend().texts] == ["L2", "Tukey", "loose"]
    only = pcp_curves(strict, alphas).figure.axes[0]
    assert [text.get_text() for text in only.get_legend().texts] == ["L2", "Tukey"]
    assert len(only.lines) == 2


@pytest.fixture
def found() -> dict[str, Any]:
    return {
        "point_error_by_point": {"neck": 3.14159, "head top": float("nan"), "[b]": 12.0}, "pcp_alpha": 0.5,
        "pcp_by_part": {"left_shin": 0.25, "head": float("nan")},
    }  # fmt: skip


def test_body_table(found: dict[str, Any]) -> None:
    lines = [line.split() for line in shown(body_table(found, "mm")).splitlines()]
    assert ["joint", "error", "(mm)", "part", "strict", "PCP@0.5"] in lines
    assert ["neck", "3.14", "left", "shin", "25.0", "%"] in lines
    assert ["head", "top", DASH, "head", DASH] in lines
    assert ["[b]", "12.0"] in lines


def test_body_table_has_pck_where_there_is_a_length(found: dict[str, Any]) -> None:
    shares = {"neck": 1.0, "head top": float("nan"), "[b]": 0.125}
    lines = [
        line.split() for line in shown(body_table(found | {"pck_by_point": shares, "alpha": 0.2}, "px")).splitlines()
    ]
    assert ["joint", "error", "(px)", "PCK@0.2", "part", "strict", "PCP@0.5"] in lines
    assert ["neck", "3.14", "100", "%", "left", "shin", "25.0", "%"] in lines
    assert ["[b]", "12.0", "12.5", "%"] in lines
