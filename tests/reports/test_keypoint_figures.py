"""Pose tables and figures, and the figures of hard examples, hold the numbers they are given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgba
from rich.console import Console

from steadfit.reports.hard_examples import excess_maps
from steadfit.reports.keypoint_figures import confusion_bars, pck_curves, pck_joints
from steadfit.reports.keypoint_tables import group_share, joint_groups, share_frame, share_table
from steadfit.reports.methods import MARKS, marks
from steadfit.reports.palette import MIDDLE, MISSED, SIDES
from steadfit.reports.stick_figures import stick_figures
from steadfit.reports.style import save
from steadfit.reports.training_curves import validation_curves

DASH = "\N{EN DASH}"
NAMES = ("r_knee", "l_knee", "neck", "head_top")
PAIRS = ((0, 1),)
GROUPS = {"Head": ("neck", "head_top"), "Knee": ("r_knee", "l_knee")}


@pytest.fixture
def poses() -> dict[str, dict[str, Any]]:
    return {
        "bce": {
            "pck": 0.7, "pck_by_point": dict(zip(NAMES, (0.5, 0.6, 0.8, 0.9), strict=True)), "pck_area": 0.4,
            "swaps": 0.1, "double": 0.3, "double_right": 0.5,
        },
        "anchor": {
            "pck": [0.74, 0.76], "pck_by_point": {"r_knee": [0.6, 0.7], "l_knee": [0.6, np.nan], "neck": [0.8, 0.8],
            "head_top": [0.9, 0.9]}, "swaps": [0.05, 0.07], "double": [0.2, 0.2], "double_right": None,
        },
    }  # fmt: skip


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("names", "pairs", "groups"),
    [
        (NAMES, PAIRS, GROUPS),
        (("left_hip", "right_hip"), ((0, 1),), {"Hip": ("left_hip", "right_hip")}),
        (("LeftKnee", "RightKnee"), ((1, 0),), {"Knee": ("LeftKnee", "RightKnee")}),
        (("ankle_l", "wrist-R", "ankle_r", "wrist-L"), ((0, 2), (1, 3)), {"Wrist": ("wrist-R", "wrist-L"),
         "Ankle": ("ankle_l", "ankle_r")}),
        (("paw", "tail_tip", "snout"), ((0, 2),), {"Paw / snout": ("paw", "snout"), "Tail tip": ("tail_tip",)}),
        (("lung", "right_angle"), (), {"Lung": ("lung",), "Right angle": ("right_angle",)}),
        (("left", "right"), ((0, 1),), {"Left / right": ("left", "right")}),
    ],
)  # fmt: skip
def test_joint_groups(names: Any, pairs: Any, groups: Any) -> None:
    found = joint_groups(names, pairs)
    assert found == groups
    assert list(found) == list(groups)


def test_head_and_neck_stay_apart_on_request() -> None:
    assert list(joint_groups(NAMES, PAIRS, head=())) == ["Neck", "Knee", "Head top"]


def test_joint_share_is_the_mean_of_what_is_known(poses: dict[str, dict[str, Any]]) -> None:
    np.testing.assert_allclose(group_share(poses["anchor"], GROUPS["Knee"]), [0.6, 0.7], rtol=1e-15)
    assert np.isnan(group_share(poses["bce"], ("elbow",))).all()
    assert np.isnan(group_share({}, GROUPS["Knee"])).all()


def test_share_frame(poses: dict[str, dict[str, Any]]) -> None:
    frame = share_frame(poses | {"mine": {"pck": None}}, GROUPS)
    assert list(frame) == ["method", "Head", "Knee", "Mean", "AUC"]
    assert list(frame.loc["bce"]) == ["BCE", "85.0", "55.0", "70.0", "40.0"]
    assert list(frame.loc["anchor"]) == ["anchor", "85.0", "65.0", "75.0 ± 1.4", DASH]
    assert list(frame.loc["mine"]) == ["mine", *[DASH] * 4]
    assert "AUC" not in share_frame({"anchor": poses["anchor"]}, GROUPS)


def test_pck_table_marks_the_best_and_fits_80_columns(poses: dict[str, dict[str, Any]]) -> None:
    seven = dict.fromkeys(("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"), ("neck",))
    table = share_table({**poses, "mine": {}}, GROUPS, title="LSP [test]", what="PCK@.2")
    bold = [[str(getattr(cell, "style", "")) for cell in column._cells] for column in table.columns]
    assert bold == [["", "", ""], ["bold", "bold", ""], ["", "bold", ""], ["", "bold", ""], ["bold", "", ""]]
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
        console.print(share_table({"anchor+gum": poses["anchor"] | {"pck_area": 0.5}}, seven))
    text = " ".join(console.export_text().split())  # captions wrap at the table's width
    assert "LSP [test]" in text
    assert "PCK@.2 in %; ± is the standard deviation over seeds" in text
    assert "75.0 ± 1.4 50.0" in text
    assert "…" not in text


def test_pck_joints(poses: dict[str, dict[str, Any]]) -> None:
    axes = pck_joints(poses, GROUPS, what="PCK@.2").figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Head", "Knee", "Mean"]
    bce, anchor = axes.containers
    np.testing.assert_allclose(bce[0].get_ydata(), [0.85, 0.55, 0.7])
    np.testing.assert_allclose(anchor[0].get_ydata(), [0.85, 0.65, 0.75])
    low, high = anchor[2][0].get_segments()[2][:, 1]
    assert (low, high) == pytest.approx((0.74, 0.76))
    assert (bce[0].get_xdata() < anchor[0].get_xdata()).all()
    assert axes.get_ylabel() == "PCK@.2"


def test_pck_curves() -> None:
    alphas, rows = np.linspace(0, 0.5, 6), np.array([np.linspace(0, 1, 6), np.linspace(0, 0.8, 6)])
    axes = pck_curves({"bce": rows[0], "anchor": rows}, alphas, alpha=0.2, length="head").figure.axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), rows[0])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), rows.mean(0))
    assert axes.lines[2].get_xdata()[0] == 0.2
    assert len(axes.collections) == 1  # the band of the two seeds
    assert axes.get_xlabel() == "threshold (parts of the head length)"


def test_confusion_bars(poses: dict[str, dict[str, Any]]) -> None:
    swaps, double, right = confusion_bars(poses).figure.axes
    assert [bar.get_width() for bar in swaps.patches] == pytest.approx([0.1, 0.06])
    assert texts(double) == ["30.0 %", "20.0 %"]
    assert [text.strip() for text in texts(right)] == ["50.0 %", DASH]
    assert [to_hex(bar.get_facecolor()) for bar in swaps.patches] == [
        MARKS[name].colour.lower() for name in ("bce", "anchor")
    ]
    assert [axes.get_title("left") for axes in (swaps, double)] == ["left and right exchanged", "several peaks"]
    assert len(confusion_bars({"bce": {"swaps": 0.1}}).figure.axes) == 1
    assert texts(confusion_bars({"bce": {}}).figure.axes[0]) == ["nothing was counted"]


def test_stick_figures() -> None:
    image = np.zeros((20, 10, 3), dtype=np.uint8)
    joints = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [np.nan, np.nan]]])
    figure = stick_figures(
        [image], {"annotated": joints, "bce": joints + 1}, limbs=[(0, 2), (1, 2), (0, 1), (2, 3)], pairs=PAIRS,
        missed={"bce": [[True, False, False, False]]},
    ).figure  # fmt: skip
    given, predicted = figure.axes
    assert [line.get_color() for line in given.lines] == [*SIDES, MIDDLE, MIDDLE]
    np.testing.assert_array_equal(given.lines[0].get_xydata(), joints[0, [0, 2]])
    assert len(given.collections[1].get_offsets()) == 0
    np.testing.assert_array_equal(predicted.collections[1].get_offsets(), [[2.0, 3.0]])
    np.testing.assert_array_equal(predicted.collections[1].get_edgecolors()[0], to_rgba(MISSED))
    assert (given.get_ylabel(), predicted.get_ylabel()) == ("annotated", "BCE")
    assert tuple(given.images[0].get_extent()) == (-0.5, 9.5, 19.5, -0.5)
    with pytest.raises(ValueError, match=r"annotated of shape \(2, K, 2\), got \(1, 4, 2\)"):
        stick_figures([image, image], {"annotated": joints}, limbs=[])


def seed(values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"epoch": np.arange(1, len(values) + 1), "val_top1": values})


def test_validation_curves() -> None:
    figure = validation_curves(
        {"ce": seed([0.1, 0.2, 0.4]), "anchor": [seed([0.2, 0.3, 0.4]), seed([0.4, 0.5])]}, "val_top1", label="top-1",
        warm_up=2,
    ).figure  # fmt: skip
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.1, 0.2, 0.4])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0.3, 0.4])  # up to where both seeds are
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [1, 2])
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.2, 0.5)
    assert axes.patches[0].get_extents().transformed(axes.transData.inverted()).x1 == pytest.approx(2.5)
    assert texts(axes) == ["warm-up"]
    assert axes.get_ylabel() == "top-1"
    assert [text.get_text() for text in figure.legends[0].texts] == ["CE", "anchor"]
    nothing = validation_curves({"ce": seed([np.nan, np.nan])}, "val_top1").figure.axes[0]
    assert texts(nothing) == ["no val_top1 was recorded"]
    assert texts(validation_curves({"ce": seed([0.5])}, "val_pck", label="PCK").figure.axes[0]) == [
        "no PCK was recorded"
    ]


def excess() -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    frames = np.full((2, 3, 16, 16), 90, dtype=np.uint8)
    points = np.array([[[4.0, 5.0], [np.nan, np.nan]], [[1.0, 2.0], [8.0, 9.0]]])
    early, late = np.full((2, 2, 4, 4), 0.5), np.full((2, 2, 4, 4), 0.9)
    early[0, 0, 1, 2], early[0, 1], early[1, 1, 0, :2], early[1, 0, 3, 3] = 1.5, 3.9, 2.0, 1.2
    return frames, points, {7: late, 1: early}


def test_excess_maps() -> None:
    frames, points, modulator = excess()
    figure = excess_maps(frames, points, modulator, names=["l_wrist", "r_wrist"]).figure
    rows = np.array(figure.axes[:6]).reshape(2, 3)
    assert [axes.get_title() for axes in rows[0]] == ["image", "epoch 1", "epoch 7"]
    assert [axes.get_ylabel() for axes in rows[:, 0]] == ["l wrist", "r wrist"]  # annotated, and highest at epoch 1
    np.testing.assert_array_equal(rows[0, 1].images[1].get_array(), modulator[1][0, 0])
    assert tuple(rows[0, 1].images[1].get_extent()) == (-0.5, 15.5, 15.5, -0.5)
    assert [texts(axes) for axes in rows[0]] == [[], ["6.2 %"], ["0 %"]]
    assert texts(rows[1, 1]) == ["12.5 %"]
    np.testing.assert_array_equal(rows[1, 2].lines[0].get_xydata(), [[8.0, 9.0]])
    layer = rows[0, 1].images[1]
    alpha = layer.cmap(layer.norm(np.array([0.5, 1.0, 1.001, 2.0, np.nan])))[:, 3]
    assert alpha[[0, 1, 4]].tolist() == [0.0, 0.0, 0.0]  # nothing where anchor loss does not exceed
    assert (alpha[2:4] > 0.3).all()
    assert figure.axes[6].get_ylabel() == "factor on cross entropy"


def test_excess_maps_of_chosen_joints_and_of_grey_frames() -> None:
    frames, points, modulator = excess()
    figure = excess_maps(frames[:, :1], points, modulator, joints=[0, 0]).figure
    assert figure.axes[3].get_ylabel() == "point 0"
    assert texts(figure.axes[4]) == ["6.2 %"]
    assert len(excess_maps(frames, points * np.nan, {1: np.ones((2, 2, 4, 4))}).figure.axes) == 5  # never above 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"frames": np.zeros((2, 16, 16))}, r"frames \(M, C, H, W\) .* got \(2, 16, 16\)"),
        ({"points": np.zeros((3, 2, 2))}, r"got \(2, 3, 16, 16\) and \(3, 2, 2\)"),
        ({"modulator": {}}, "at least one epoch, got none"),
        ({"modulator": {5: np.zeros((2, 1, 4, 4))}}, r"\(2, 2, h, w\) for epoch 5, got \(2, 1, 4, 4\)"),
    ],
)
def test_excess_maps_names_wrong_shapes(change: dict[str, Any], text: str) -> None:
    frames, points, modulator = excess()
    with pytest.raises(ValueError, match=text):
        excess_maps(**({"frames": frames, "points": points, "modulator": modulator} | change))


def test_losses_and_joined_methods_have_marks() -> None:
    found = marks(["bce", "bce+gum", "anchor+gum", "bce+mine"])
    assert [mark.label for mark in found.values()] == ["BCE", "BCE + GUM", "anchor + GUM", "bce+mine"]
    assert len({mark.colour for mark in found.values()}) == 4
    assert (found["bce+gum"].line, found["bce+gum"].marker) == ("--", MARKS["gum"].marker)
    losses = {"ce", "bce", "mse", "ohem", "ohkm", "focal", "anchor"}
    assert losses | {f"anchor-{design}" for design in ("target", "both", "static", "warmup")} <= set(MARKS)


def test_figures_are_written_and_change_nothing_global(tmp_path: Path, poses: dict[str, dict[str, Any]]) -> None:
    before = dict(matplotlib.rcParams)
    joints = np.zeros((1, 4, 2)) + 3
    panels = [
        pck_joints(poses | {"mine": {}}, GROUPS), pck_curves({"bce": [0.0, 1.0]}, [0.0, 0.5]), confusion_bars(poses),
        stick_figures([np.zeros((8, 8), dtype=np.uint8)], {"bce": joints}, limbs=[(0, 1)]), excess_maps(*excess()),
        validation_curves({"ce": seed([0.3])}, "val_top1"),
    ]  # fmt: skip
    for panel in panels:
        assert save(panel.figure, tmp_path / f"{panel.name}.png", dpi=40).stat().st_size > 0
    assert dict(matplotlib.rcParams) == before
