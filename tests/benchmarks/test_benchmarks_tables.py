"""Tables and figures that the benchmarks make of their results."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadfit.reports.style import save

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from contamination_figure import contamination_figure
from tables import to_markdown

DASH = "\N{EN DASH}"


def test_markdown() -> None:
    frame = pd.DataFrame({"a|b": ["x\ny", None], "n": [1.0, np.nan], "k": [3, 4]})
    assert to_markdown(frame).splitlines() == [
        "| a\\|b |    n |   k |",
        "|:-----|-----:|----:|",
        "| x y  | 1.00 |   3 |",
        f"| {DASH}    |    {DASH} |   4 |",
    ]


def benchmark() -> pd.DataFrame:
    return pd.DataFrame([
        {"kind": kind, "share": share, "method": method, "seed": seed, "failure_rate": 0.1 + share + 0.01 * seed,
         "precision": np.nan if method == "l2" else 0.9, "recall": np.nan if method == "l2" else 0.8}
        for kind, shares in (("l-UGO", (0.0, 0.4, 0.6)), ("NGO", (0.4,)))
        for share in shares for method in ("l2", "gum") for seed in (0, 1)
    ])  # fmt: skip


def test_contamination_figure() -> None:
    figure = contamination_figure(benchmark())
    top, single, quality, _ = figure.axes
    assert [axes.get_title("left") for axes in (top, single)] == ["l-UGO", "NGO"]
    np.testing.assert_allclose(top.lines[0].get_ydata(), [0.105, 0.505, 0.705])
    assert [line.get_linestyle() for line in quality.lines] == ["-", ":"]  # GUM's precision and recall; L2 has none
    assert len(single.containers) == 2  # markers with whiskers for a single share
    assert top.get_ylim()[0] == 0.0


def test_contamination_figure_names_absent_columns() -> None:
    with pytest.raises(ValueError, match="gross_recall"):
        contamination_figure(benchmark(), recall="gross_recall")


def test_contamination_figure_is_written(tmp_path: Path) -> None:
    assert save(contamination_figure(benchmark()), tmp_path / "figure.png", dpi=40).stat().st_size > 0
