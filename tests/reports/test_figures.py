"""Figures have the axes, labels and artists they promise, and change nothing global."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from steadfit.reports.cascade_crops import crop_figure
from steadfit.reports.class_confusions import confusion_figure
from steadfit.reports.comparison_figures import error_cdf, failure_bars
from steadfit.reports.hard_examples import excess_maps, hardest_gallery
from steadfit.reports.keypoint_figures import confusion_bars, pck_curves, pck_joints
from steadfit.reports.methods import MARKS, marks
from steadfit.reports.panel import Panel
from steadfit.reports.residual_histogram import residual_histogram
from steadfit.reports.stick_figures import stick_figures
from steadfit.reports.style import save
from steadfit.reports.suspects_gallery import gallery, suspects_gallery
from steadfit.reports.thumbnails import in_view, thumbnail, view
from steadfit.reports.training_curves import training_curves, validation_curves


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_training_curves(history: pd.DataFrame) -> None:
    flat = history.assign(phase="warm-up", suspects=np.nan)
    figure = training_curves({"gum": history, "l2": flat}, unit="mm", truth=0.3).figure
    above, below = figure.axes
    assert above.get_ylabel() == "validation error (mm)"
    assert below.get_xlabel() == "epoch"
    assert [line.get_label() for line in above.lines] == ["GUM", "L2"]
    np.testing.assert_array_equal(above.lines[0].get_ydata(), history["val_error"])
    assert len(below.lines) == 2  # GUM's suspects and the truth
    for truth in (0.3, 0.9, 1.0):
        axes = training_curves({"gum": history.assign(suspects=0.1)}, truth=truth).figure.axes[1]
        assert axes.get_ylim()[0] == 0
        assert truth < axes.get_ylim()[1]
    assert len(above.patches) == len(below.patches) == 1
    assert above.patches[0].get_extents().transformed(above.transData.inverted()).x1 == pytest.approx(3.5)
    assert "warm-up" in texts(below)
    assert [text.get_text() for text in figure.legends[0].texts] == ["GUM", "L2"]


def test_training_curves_without_suspects_have_one_panel(history: pd.DataFrame) -> None:
    figure = training_curves({"l2": history.assign(phase="warm-up", suspects=np.nan)}).figure
    assert len(figure.axes) == 1
    assert not figure.legends
    assert not figure.axes[0].patches


def test_training_curves_become_logarithmic(history: pd.DataFrame) -> None:
    figure = training_curves({"l2": history.assign(val_error=10.0 ** np.arange(8))}).figure
    assert figure.axes[0].get_yscale() == "log"


def test_failure_bars(results: dict[str, dict[str, Any]]) -> None:
    left, right = failure_bars(results, unit="mm", failure="beyond 3 mm").figure.axes
    assert [bar.get_width() for bar in left.patches] == [result["failure_rate"] for result in results.values()]
    assert [bar.get_width() for bar in right.patches] == [3.0, 2.5, 1.5, 1.4, 2.0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["L2", "Huber", "GUM", "oracle", "mine"]
    assert texts(right) == ["3.00 ***", "2.50", "1.50", "1.40", "2.00 *"]
    assert right.get_title("left") == "mean error (mm)"
    assert left.get_xlabel() == "beyond 3 mm"
    assert [to_hex(bar.get_facecolor()) for bar in left.patches][:2] == [
        MARKS[name].colour.lower() for name in ("l2", "huber")
    ]


def test_failure_bars_without_numbers() -> None:
    left, right = failure_bars({"l2": {"mean": None}}).figure.axes
    assert not left.patches
    assert [text.strip() for text in texts(right)] == ["\N{EN DASH}"]


def test_error_cdf() -> None:
    figure = error_cdf({"gum": {"error": np.array([3.0, 1.0, np.nan, 2.0, 4.0])}}, threshold=0.05, length=50.0).figure
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0, 2, 4, 6, 8, 15])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0, 0.25, 0.5, 0.75, 1, 1])
    assert axes.lines[1].get_xdata()[0] == 5.0  # the threshold, in per cent of the length
    assert axes.get_xlim() == (0.0, 15.0)
    assert "normalising length" in axes.get_xlabel()


def test_error_cdf_in_units_and_without_errors() -> None:
    axes = error_cdf({"gum": {"error": np.array([2.0])}, "l2": {"error": np.array([])}}, unit="years").figure.axes[0]
    assert axes.get_xlabel() == "error (years)"
    assert axes.get_xlim() == (0.0, 3.0)


def test_residual_histogram(labels: pd.DataFrame) -> None:
    right, wrong = residual_histogram(labels).figure.axes
    assert right.get_title("left") == "truly right: 15 labels, 0 suspect"
    assert wrong.get_title("left") == "truly wrong: 3 labels, 3 suspect"
    assert sum(patch.get_height() for patch in wrong.patches) == 3
    assert right.get_xscale() == "log"
    assert len(residual_histogram(labels.drop(columns="wrong")).figure.axes) == 1


def test_residual_histogram_of_perfect_and_missing_residuals(labels: pd.DataFrame) -> None:
    assert len(residual_histogram(labels.assign(residual=0.0)).figure.axes) == 2
    assert len(residual_histogram(labels.head(0)).figure.axes) == 2


def test_gallery(labels: pd.DataFrame, load: Any) -> None:
    figure = gallery(labels, load).figure
    assert len(figure.axes) == 3
    for axes in figure.axes:
        assert len(axes.images) == 1
        assert len(axes.lines) == 3  # the join, the ring, the cross
        assert len(axes.collections[0].get_offsets()) == 2  # the image's other points
    row = labels.iloc[0]
    cross = figure.axes[[axes.get_title() for axes in figure.axes].index("faces/0.png\neye, trust < .01")].lines[2]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (row.x, row.y)
    assert tuple(figure.axes[0].images[0].get_extent()) == (-0.5, 31.5, 31.5, -0.5)  # pixel centres are whole numbers


def test_gallery_keeps_to_the_limits(labels: pd.DataFrame, load: Any) -> None:
    everything = labels.assign(suspect=True)
    assert len(gallery(everything, load, per_image=2).figure.axes) == 12
    assert sum(bool(axes.images) for axes in gallery(everything, load, count=5).figure.axes) == 5
    assert texts(gallery(labels.assign(suspect=False), load).figure.axes[0]) == ["no label is suspect"]


def test_gallery_cuts_large_images_and_shows_labels_outside() -> None:
    image = np.zeros((600, 800), dtype=np.uint8)
    figure = suspects_gallery(
        [image, image], [[400, 300], [-5000, 10]], [[410, 300], [10, 10]], [0, 0], ["a", "b"]
    ).figure
    near, far = figure.axes
    assert near.get_xlim() == pytest.approx((405 - 128, 405 + 128))
    assert near.images[0].get_array().shape[0] < 270
    assert -400 < far.get_xlim()[0] < -240  # an arrow at the border says the rest
    assert [line.get_marker() for line in near.lines] == ["None", "o", "x"]
    (sides, style, turn), place = far.lines[2].get_marker(), far.lines[2].get_xydata()[0]
    assert (sides, style, turn % 360) == (3, 0, pytest.approx(90))  # to the left
    assert far.get_xlim()[0] < place[0] < -200
    assert place[1] == pytest.approx(10)
    assert [text.get_text() for text in figure.legends[0].texts] == ["given", "given, far outside", "predicted"]


@pytest.mark.parametrize(
    "given", [(70.0, 30.0), (-31.0, 5.0), (20.0, 95.0), (-900.0, 900.0), (20.0, 1e7), (63.5, -0.5)]
)
def test_every_given_label_is_seen(given: tuple[float, float]) -> None:
    image, predicted = np.zeros((64, 64, 3), dtype=np.uint8), np.array([20.0, 40.0])
    box = view(image, np.array(given), predicted)
    place, inside = in_view(np.array(given), predicted, box)
    assert inside == (abs(np.array(given) - 32).max() <= 65)
    low, high = np.array([box[0], box[2]]), np.array([box[1], box[3]])
    assert ((place >= low) & (place <= high)).all()
    assert (predicted >= low).all()
    assert (predicted <= high).all()
    way, rest = place - predicted, np.array(given) - predicted
    assert way @ rest == pytest.approx(np.linalg.norm(way) * np.linalg.norm(rest))  # on the line to the label
    drawn = thumbnail(image, np.array(given), predicted, side=120).astype(int)
    assert ((drawn[..., 0] > 180) & (drawn[..., 1] < 90)).sum() > 10  # red


def test_both_labels_far_outside() -> None:
    box = view(np.zeros((64, 64, 3), dtype=np.uint8), np.array([900.0, 30.0]), np.array([-900.0, 30.0]))
    place, inside = in_view(np.array([900.0, 30.0]), np.array([-900.0, 30.0]), box)
    assert not inside
    assert 63.5 < place[0] < box[1]


def test_gallery_of_scalars_and_odd_names(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    figure = suspects_gallery([image], [[31.0]], [[62.5]], [0.25], ["$x^$\n<b>日本.png"], unit="years").figure
    assert texts(figure.axes[0]) == ["31.0", "→", "62.5"]
    assert figure.legends[0].texts[1].get_text() == "predicted (years)"
    assert save(figure, tmp_path / "g.png", dpi=40).stat().st_size > 0


def test_gallery_checks_its_numbers() -> None:
    with pytest.raises(ValueError, match="got 0, 1, 1 and 1"):
        suspects_gallery([], [[1.0, 2.0]], [[1.0, 2.0]], [0.5], ["a"])
    with pytest.raises(ValueError, match=r"got \(1, 2\) and \(1, 1\)"):
        suspects_gallery([], [[1.0, 2.0]], [[1.0]], [0.5], ["a"])


def test_methods_keep_their_colours() -> None:
    assert marks(["gum", "x", "l2"])["gum"] == marks(["l2", "gum"])["gum"]
    assert len({mark.colour for mark in MARKS.values()}) == len(MARKS)
    assert marks(["x", "y"])["x"].colour != marks(["x", "y"])["y"].colour


NAME = "_$\\frac{$ <b> %s"  # neither a formula, which mathtext would refuse, nor hidden from legends


def named(name: str, history: pd.DataFrame, results: dict[str, dict[str, Any]]) -> list[Panel]:
    """Every figure that shows names from outside, each of them ``name``."""
    image, joints = np.zeros((8, 8, 3), dtype=np.uint8), np.full((1, 2, 2), 3.0)
    hardest = pd.DataFrame({"image": ["a"], "label": name, "predicted": name, "probability": [0.5]})
    shares = {name: {"pck": 0.5, "pck_by_point": {name: 0.5}, "swaps": 0.1}}
    return [
        training_curves({name: history, "l2": history}), validation_curves({name: history}, "suspects", label=name),
        failure_bars({name: results["l2"]}, failure=name, against=name), error_cdf({name: results["l2"]}),
        suspects_gallery([image], joints[:, 0], joints[:, 1], [0.5], [name], points=[name], of=name),
        hardest_gallery(hardest, lambda _: image), confusion_figure(np.eye(2), [name, "b"]),
        confusion_figure(1 - np.eye(40), [name] * 40), pck_joints(shares, {name: [name]}, what=name),
        pck_curves({name: [0.0, 1.0]}, [0.0, 0.5]), confusion_bars(shares),
        stick_figures([image], {name: joints}, limbs=[(0, 1)]),
        excess_maps(image.transpose(2, 0, 1)[None], joints, {1: np.ones((1, 2, 2, 2))}, names=[name, name]),
        crop_figure([image], joints, {name: [[1.0, 1.0, 4.0, 4.0]]}, {name: joints}),
    ]  # fmt: skip


def test_names_are_text_in_every_figure(history: pd.DataFrame, results: dict[str, dict[str, Any]]) -> None:
    for panel in named(NAME, history, results):
        panel.figure.draw_without_rendering()  # by somebody without the style
        assert any(NAME[1:12] in text.get_text() for text in panel.figure.findobj(Text)), panel.name


def test_nothing_global_changes(
    tmp_path: Path, results: dict[str, dict[str, Any]], labels: pd.DataFrame, load: Any, history: pd.DataFrame
) -> None:
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)
    panels = [training_curves({"gum": history}), failure_bars(results), error_cdf(results), residual_histogram(labels)]
    for panel in [*panels, gallery(labels, load)]:
        save(panel.figure, tmp_path / f"{panel.name}.png", dpi=40)
    save(panels[0].figure, tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend(auto_select=False) == backend
    assert len(os.listdir(tmp_path)) == 6
