"""Numbers in tables, for the terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from steadfit.reports.comparison_tables import best_method, comparison_frame, comparison_table
from steadfit.reports.fit_summary import fit_summary
from steadfit.reports.values import as_text, mean_interval, percent, rate_interval, seconds, short

DASH = "\N{EN DASH}"


def test_comparison_frame(results: dict[str, dict[str, Any]]) -> None:
    frame = comparison_frame(results, unit="mm")
    assert list(frame.index) == ["l2", "huber", "gum", "oracle", "mine"]
    gum = frame.loc["gum"]
    assert gum["method"] == "GUM"
    assert gum["precision"] == "98.1 %"
    assert gum["gross recall"] == "96.5 %"
    half = 1.96 * np.std(results["gum"]["error"], ddof=1) / np.sqrt(200)
    assert gum["mean error (mm)"] == f"1.50 ± {half:.2f}"
    assert frame.loc["l2", "recall"] == DASH
    assert frame.loc["l2", ""] == "***"
    assert list(frame["p (Holm)"]) == ["< .001", DASH, DASH, DASH, ".031"]
    assert "suspects" not in frame  # no method has it


def test_terminal_table_fits_80_columns(results: dict[str, dict[str, Any]]) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    with console.file:
        console.print(comparison_table(results | {"[bold]x": {"mean": 9.0}}, title="Test [images]"))
    text = console.export_text()
    assert "1.50 ± 0" in text
    assert "Test [images]" in text
    assert "[bold]x" in text  # a name is no markup
    assert "***" in text


def test_best_method_is_no_oracle(results: dict[str, dict[str, Any]]) -> None:
    assert best_method(results) == "gum"
    assert best_method({"l2": {"mean": float("nan")}, "oracle": {"mean": 1.0}}) is None


def test_fit_summary(labels: pd.DataFrame) -> None:
    lines = fit_summary(labels, error_rate=0.172, path="run/suspects.csv", unit="mm")
    assert lines[0] == "3 of 18 labels are suspect (16.7 %), in 3 of 6 images."
    assert "mm (suspects)" in lines[1]
    assert lines[2] == "Estimated error rate: 17.2 % of the training labels."
    assert lines[3] == "The truth is known: 16.7 % of the training labels are wrong; precision 100 %, recall 100 %."
    assert lines[4] == "The list, worst first: run/suspects.csv"


def test_fit_summary_without_suspects_or_labels(labels: pd.DataFrame) -> None:
    lines = fit_summary(labels.assign(suspect=False), error_rate=float("nan"))
    assert lines[0] == "0 of 18 labels are suspect (0 %), in 0 of 6 images."
    assert lines[1] == f"Estimated error rate: {DASH} of the training labels."
    assert f"precision {DASH}, recall 0 %" in lines[2]
    assert fit_summary(labels.head(0), error_rate=0.0) == ["There are no labels to judge."]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.0, "1.00"), (12.345, "12.3"), (99999.0, "99999"), (1e-9, "1.00e-09"), (-2.5, "-2.50"),
     (float("inf"), "∞"), (float("nan"), DASH)],
)  # fmt: skip
def test_short(value: float, text: str) -> None:
    assert short(value) == text


def test_intervals() -> None:
    result = {"error": np.array([1.0, 2.0, 3.0, np.nan]), "failure_rate": 0.5}
    assert mean_interval(result) == pytest.approx(1.96 / np.sqrt(3), rel=1e-12)
    assert rate_interval(result) == pytest.approx(1.96 * np.sqrt(0.25 / 3), rel=1e-12)
    assert np.isnan(mean_interval({}))
    assert np.isnan(rate_interval({}))


def test_words() -> None:
    assert (as_text(None), as_text(True), as_text(1e-3), as_text([1, "a"]), as_text([])) == (
        DASH, "yes", "0.001000", "1, a", DASH,
    )  # fmt: skip
    assert (percent(0.0), seconds(59.6), seconds(float("nan"))) == ("0 %", "60 s", DASH)
