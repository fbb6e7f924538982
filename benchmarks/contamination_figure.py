"""The benchmark figure of the DeepGUM paper (its Fig. 5): failures, precision and recall against the share of wrong
labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from steadfit.reports.axes import percent_axis
from steadfit.reports.methods import Mark, marks
from steadfit.reports.style import house_style, legend_above, method_handles, new_figure

COLUMNS = ("kind", "share", "method", "failure_rate", "precision", "recall")


@house_style()
def contamination_figure(frame: pd.DataFrame, *, recall: str = "recall", failure: str = "failure rate") -> Figure:
    """One column of panels per kind of corruption: failure rate above, precision and recall of the suspects below.

    Lines join the means over seeds; bands (or whiskers, for a kind with a single share) reach from the lowest to the
    highest seed.

    Args:
        frame: one row per run, with the columns ``kind, share, method, failure_rate, precision, recall``; shares and
            rates in [0, 1]; NaN where a method names no suspects.
        recall: the column drawn as recall, e.g. ``"gross_recall"``.
        failure: label of the upper axis.

    Raises:
        ValueError: a column is absent.
    """
    absent = [name for name in (*COLUMNS, recall) if name not in frame]
    if absent:
        raise ValueError(f"contamination_figure: expected the columns {', '.join(COLUMNS)}, got none named {absent}.")
    kinds, drawn = list(dict.fromkeys(frame["kind"])), marks(frame["method"])
    parts = {kind: frame[frame["kind"] == kind] for kind in kinds}
    widths = [1.3 + 3.2 * float(np.ptp(part["share"])) for part in parts.values()]
    figure = new_figure(max(1.6 + sum(widths), 6.4), 6.4)
    grid = figure.subplots(2, len(kinds), sharey="row", sharex="col", squeeze=False, width_ratios=widths)
    for column, (kind, part) in enumerate(parts.items()):
        _panel(grid[0, column], part, drawn, "failure_rate")
        _panel(grid[1, column], part, drawn, "precision")
        _panel(grid[1, column], part, drawn, recall, dashed=True)
        grid[0, column].set(title=str(kind))
        _share_axis(grid[1, column], part)
    grid[0, 0].set(ylabel=failure, ylim=(0.0, None))
    grid[1, 0].set(ylabel=f"precision, {recall.replace('_', ' ')}", ylim=(0.0, 1.03))
    for axes in grid[:, 0]:
        percent_axis(axes)
    figure.align_ylabels(grid[:, 0])
    quality = [
        Line2D([], [], color="#555555", label="precision"),
        Line2D([], [], color="#555555", ls=":", marker="o", mfc="white", label=recall.replace("_", " ")),
    ]
    legend_above(figure, [*method_handles(drawn, markers=True), *quality], columns=5)
    return figure


def _panel(axes: Axes, part: pd.DataFrame, drawn: Mapping[str, Mark], column: str, *, dashed: bool = False) -> None:
    single = part["share"].nunique() == 1
    present = [name for name in drawn if part.loc[part["method"] == name, column].notna().any()]
    for i, method in enumerate(present):
        seeds = part[part["method"] == method].groupby("share")[column].agg(["mean", "min", "max"]).dropna()
        mark, x = drawn[method], np.asarray(seeds.index, dtype=float)
        mean, low, high = (seeds[name].to_numpy(dtype=float) for name in ("mean", "min", "max"))
        style: dict[str, Any] = {"color": mark.colour, "marker": mark.marker, "mfc": "white" if dashed else mark.colour}
        if single:
            x = x + 0.14 * ((i + 0.5) / len(present) - 0.5) + (0.004 if dashed else 0.0)
            axes.errorbar(x, mean, yerr=[mean - low, high - mean], ls="", capsize=2.0, elinewidth=1.2, **style)
        else:
            axes.plot(x, mean, ls=":" if dashed else mark.line, **style)
            axes.fill_between(x, low, high, color=mark.colour, alpha=0.14, lw=0)


def _share_axis(axes: Axes, part: pd.DataFrame) -> None:
    shares = sorted(part["share"].unique())
    axes.set_xticks(shares)
    axes.set_xticklabels([f"{100 * share:g} %" for share in shares])
    axes.set(xlabel="wrong labels")
    axes.grid(visible=False, axis="x")
    axes.set_xlim(shares[0] - 0.08, shares[-1] + 0.08)
