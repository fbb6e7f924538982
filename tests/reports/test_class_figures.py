"""Figures and texts about classifiers: what is drawn is what was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steadfit.reports.class_confusions import NAMED, confusion_figure
from steadfit.reports.comparison_tables import comparison_frame, comparison_table
from steadfit.reports.hard_examples import hardest_gallery
from steadfit.reports.pages.comparison import write_comparison_page
from steadfit.reports.pages.summary import class_verdict
from steadfit.reports.style import save
from steadfit.reports.training_curves import validation_curves
from steadfit.reports.values import DASH

RESULTS: dict[str, dict[str, Any]] = {
    "ce": {"top1": 0.4, "top5": 0.8, "top1_sd": 0.01, "top5_sd": 0.02, "seeds": 3, "difference": -0.05, "p_holm": 1e-5,
           "stars": "***", "seconds": 10.0},
    "anchor": {"top1": 0.45, "top5": 0.85, "top1_sd": None, "top5_sd": None, "seeds": 1, "difference": None,
               "p_holm": None, "stars": "", "seconds": 10.0},
}  # fmt: skip


def test_a_confusion_matrix_shows_shares_of_each_label() -> None:
    figure = confusion_figure([[3, 1], [0, 0]], ["cat", "dog"]).figure
    axes = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "75", (1, 0): "25"}  # x is the predicted class; no image is a dog
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25], [0, 0]])


def test_many_classes_are_listed_by_their_confusions() -> None:
    count = NAMED + 1
    number = np.eye(count) * 50
    number[2, 5], number[7, 1], number[0, 3] = 9, 12, 4
    figure = confusion_figure(number, [f"c{k}" for k in range(count)], most=2).figure
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c7 → c1", "c2 → c5"]
    assert [patch.get_width() for patch in axes.patches] == [12, 9]
    nothing = confusion_figure(np.eye(count), [f"c{k}" for k in range(count)]).figure
    assert nothing.axes[0].texts[0].get_text() == "no image is mistaken for another class"


@pytest.mark.parametrize("rows", [0, 3, 40])
def test_a_gallery_of_the_hardest(rows: int, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"image": [f"{k}" for k in range(rows)], "label": "a_very_long_name_of_a_class", "predicted": "dog",
         "probability": np.linspace(0.001, 0.9, rows)}
    )  # fmt: skip
    figure = hardest_gallery(table, lambda name: np.full((4, 4, 3), int(name), dtype=np.uint8), tiles=16).figure
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == min(rows, 16)
    if rows:
        assert shown[0].get_title() == "a_very_long_n…\n< .01"
        assert shown[0].texts[0].get_text() == "→ dog"
    save(figure, tmp_path / "gallery.png")


def test_a_table_of_losses() -> None:
    frame = comparison_frame(RESULTS)
    assert frame.loc["ce"].tolist() == ["CE", "3", "40.00 ± 1.00", "80.00 ± 2.00", "-5.00", "< .001", "***"]
    assert frame.loc["anchor"].tolist() == ["anchor", "1", "45.00", "85.00", DASH, DASH, ""]
    assert comparison_table(RESULTS, title="Which?").row_count == 2


def test_what_can_be_said() -> None:
    assert class_verdict(RESULTS, "anchor") == "On these images it is better than every other loss beyond chance."
    unclear = {**RESULTS, "bce": {**RESULTS["ce"], "p_holm": 0.05}}
    assert class_verdict(unclear, "anchor") == "1 of the 2 others cannot be distinguished from it on these images."


def test_a_report_of_losses(tmp_path: Path) -> None:
    history = pd.DataFrame({"epoch": [1, 2], "val_top1": [0.2, 0.4]})
    curves = validation_curves({"ce": [history] * 3, "anchor": [history]}, "val_top1")
    path = write_comparison_page(
        tmp_path, config={"data": "set <1>"}, results=RESULTS, panels=[curves], against="anchor"
    )
    page = path.read_text()
    assert "anchor classifies the most test images right, 45.0 %" in page
    assert "set &lt;1&gt;" in page
    assert '<tr class="best"><td>anchor</td>' in page
