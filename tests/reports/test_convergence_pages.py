"""A convergence study in words, as a table, as a figure and as a page."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from steadfit.metrics.convergence import summarise
from steadfit.reports.convergence_curves import convergence_figure
from steadfit.reports.convergence_tables import convergence_frame, convergence_table, explained, verdict, verdicts
from steadfit.reports.methods import MARKS
from steadfit.reports.pages.convergence import write_convergence_page
from steadfit.reports.values import DASH

NAN = math.nan
TEST: dict[str, dict[str, Any]] = {
    "l2": {"test_error": [11.0, 13.0], "p": None, "stars": ""},
    "tukey": {"test_error": [10.0, 10.5], "p": 0.0004, "stars": "***"},
}


def history(*errors: float, seconds: float = 60.0) -> pd.DataFrame:
    epoch = np.arange(1, len(errors) + 1)
    return pd.DataFrame({"epoch": epoch, "val_error": errors, "val_mean": 2 * np.array(errors), "seconds": seconds})


@pytest.fixture
def histories() -> dict[str, list[pd.DataFrame]]:
    return {
        "l2": [history(9, 7, 6, 5.2), history(9, 8, 5.4, 5.5)],
        "tukey": [history(8, 5, 4, 4.1, seconds=90), history(8, 7.5, 4.5, 4.4, seconds=90)],
    }


def said(first: pd.DataFrame, second: pd.DataFrame, **options: Any) -> str:
    found = summarise({"l2": [first], "tukey": [second]}, within=options.get("within", 0.0))
    return verdict(found.forward, **{"unit": "px", **options})


def test_the_sentence() -> None:
    slow = history(9, 8, 7, 6)
    assert said(slow, history(7, 6), unit="mm") == (
        "Tukey reaches the best validation error of L2 (6.00 mm, epoch 4) at epoch 2, 2.0 times sooner; 1 of 1 seed."
    )
    assert "at epoch 4, as soon; 1 of 1 seed." in said(slow, slow)
    assert "L2 (5.00 px, epoch 2) at epoch 4, 2.0 times later;" in said(history(9, 5), history(9, 8, 7, 5))
    assert said(slow, history(7, 7, 7)) == (
        "Tukey does not reach the best validation error of L2 (6.00 px, epoch 4) in 3 epochs; 0 of 1 seed."
    )
    assert "reaches 2 % above the best validation error of L2 (6.12 px" in said(slow, history(7, 6.1), within=0.02)
    assert said(history(NAN), slow) == "L2 has no validation error that Tukey could reach."


def test_a_minority_is_no_success() -> None:
    runs = {"l2": [history(9, 5)] * 3, "mine": [history(5, 4), history(7, 6), history(7, 6)]}
    sentence = verdict(summarise(runs).forward)
    assert sentence.endswith("epoch 2) in 2 epochs in most seeds; 1 of 3 seeds.")
    assert sentence.startswith("mine does not reach")


def test_all_sentences(histories: dict[str, list[pd.DataFrame]]) -> None:
    found = summarise(histories)
    forward, backward, test = verdicts(found, unit="mm", test=TEST)
    assert "Tukey reaches the best validation error of L2 (5.40 mm, epoch 4) at epoch 3, 1.33 times sooner" in forward
    assert "L2 does not reach the best validation error of Tukey (4.40 mm, epoch 4)" in backward
    assert test == "Mean error of the test images: L2 12.0 ± 1.4 mm, Tukey 10.2 ± 0.35 mm; p < .001."
    unsure = TEST | {"tukey": TEST["tukey"] | {"p": 0.21}}
    assert verdicts(found, test=unsure)[2].endswith("; p = .210.")
    assert verdicts(found, unit="px", test=TEST | {"tukey": TEST["tukey"] | {"p": None}})[2].endswith("± 0.35 px.")
    assert len(verdicts(found)) == 2


def test_the_table(histories: dict[str, list[pd.DataFrame]]) -> None:
    frame = convergence_frame(summarise(histories), unit="mm", test=TEST)
    assert frame.to_dict(orient="index") == {
        "l2": {
            "method": "L2", "best (mm)": "5.30 ± 0.14", "epoch": "4", "reached": "never", "seeds": "0/2",
            "epochs": DASH, "seconds": DASH, "test (mm)": "12.0 ± 1.4", "p": DASH,
        },
        "tukey": {
            "method": "Tukey", "best (mm)": "4.20 ± 0.28", "epoch": "4", "reached": "3", "seeds": "2/2",
            "epochs": "1.33 x", "seconds": "0.89 x", "test (mm)": "10.2 ± 0.35", "p": "< .001 ***",
        },
    }  # fmt: skip
    assert list(convergence_frame(summarise(histories)))[-1] == "seconds"


def test_the_terminal_shows_every_cell_in_80_columns(histories: dict[str, list[pd.DataFrame]]) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(convergence_table(summarise(histories), test=TEST))
    text = console.export_text()
    for cell in ("L2", "Tukey", "5.30 ± 0.14", "never", "0/2", "2/2", "1.33 x", "0.89 x", "10.2 ± 0.35"):
        assert cell in text
    assert "…" not in text


def test_what_the_columns_mean(histories: dict[str, list[pd.DataFrame]]) -> None:
    found = summarise(histories, measure="mean", within=0.05)
    assert "lowest mean error" in explained(found, tested=False)
    assert "at or under 5 % above the best" in explained(found, tested=False)
    assert "Wilcoxon" not in explained(found, tested=False)
    assert "Wilcoxon" in explained(found, tested=True)


def test_the_figure(histories: dict[str, list[pd.DataFrame]]) -> None:
    figure = convergence_figure(histories, unit="mm").figure
    by_epoch, by_time = figure.axes
    assert (by_epoch.get_xlabel(), by_time.get_xlabel()) == ("epoch", "time (min)")
    assert by_epoch.get_ylabel() == "median validation error (mm)"
    curves = by_epoch.lines[:2]
    np.testing.assert_allclose(curves[0].get_ydata(), [9, 7.5, 5.7, 5.35])
    np.testing.assert_allclose(curves[1].get_xdata(), [1, 2, 3, 4])
    assert [to_hex(line.get_color()) for line in curves] == [MARKS[name].colour.lower() for name in ("l2", "tukey")]
    np.testing.assert_allclose(by_time.lines[1].get_xdata(), [1.5, 3, 4.5, 6])
    upright = [line.get_xdata()[0] for line in by_epoch.lines if line.get_linestyle() == ":"]  # type: ignore[index]
    assert upright == [4, 3]
    assert [text.get_text() for text in by_epoch.texts] == ["4", "3", "best of L2: 5.40"]
    assert [text.get_text() for text in by_time.texts if text.get_text()] == ["4", "4.50"]
    seeds = [line for line in by_epoch.lines if line.get_linestyle() == "None"]
    np.testing.assert_allclose(seeds[1].get_xydata(), [[2, 5.2], [3, 5.4]])
    assert [text.get_text() for text in figure.legends[0].texts] == ["L2", "Tukey"]
    assert len(by_epoch.collections) == 2  # the bands


def test_the_figure_of_odd_histories() -> None:
    one = convergence_figure({"l2": [history(9)], "tukey": [history(10)]}).figure
    assert [line.get_marker() for line in one.axes[0].lines[:2]] == ["s", "^"]  # a point is no line
    assert [text.get_text() for text in one.axes[0].texts] == ["1", "best of L2: 9.00"]  # Tukey is never there
    assert not one.axes[0].collections
    nothing = convergence_figure({"l2": [history(NAN, NAN)], "tukey": [history(math.inf, NAN)]}).figure
    assert "no validation error was recorded" in [text.get_text() for text in nothing.axes[0].texts]
    bare = convergence_figure({"l2": [history(9, 8).drop(columns="seconds")], "tukey": [history(3)]}).figure
    assert len(bare.axes) == 1
    wide = convergence_figure({"l2": [history(100, 1)], "tukey": [history(50, 2)]}, measure="mean", within=0.5).figure
    assert wide.axes[0].get_yscale() == "log"
    assert wide.axes[0].texts[-1].get_text() == "best of L2 + 50 %: 3.00"
    uneven = convergence_figure(
        {"l2": [history(9, 8, 7), history(9, 8)], "tukey": [history(9, NAN, 7), history(9, 8)]}
    ).figure
    assert [len(line.get_xdata()) for line in uneven.axes[0].lines[:2]] == [2, 1]  # type: ignore[arg-type]


def test_the_page(histories: dict[str, list[pd.DataFrame]], tmp_path: Path) -> None:
    found = summarise(histories)
    config = {"data": "faces.csv", "epochs": 4, "noise": "l2, tukey", "seeds": 2}
    path = write_convergence_page(tmp_path, config=config, found=found, histories=histories, test=TEST, unit="mm")
    page = path.read_text()
    assert (tmp_path / "convergence.png").stat().st_size > 10_000
    assert page.count("data:image/png") == 1
    for text in (
        *("Convergence: L2 and Tukey", "data faces.csv, epochs 4, seeds 2", "1.33 times sooner", "1.33 x", "0.89 x"),
        *(
            "Tukey at epoch 3, L2 at epoch 4.",
            "Tukey after 4.5 min, L2 after 4.0 min.",
            "2 of 2",
            "0 of 2",
            "&lt; .001 ***",
        ),
    ):
        assert text in page, text


def test_the_page_without_times(tmp_path: Path) -> None:
    histories = {name: [history(error).drop(columns="seconds")] for name, error in (("l2", 1.0), ("tukey", 2.0))}
    page = write_convergence_page(tmp_path, config={}, found=summarise(histories), histories=histories).read_text()
    assert "Tukey never, L2 at epoch 1." in page
    assert "By the clock" not in page
    assert "Mean error of the test images" not in page
