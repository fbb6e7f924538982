"""Residuals of all labels as a histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from numpy.typing import NDArray

from steadfit.reports.palette import RIGHT, WRONG
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, legend_above, new_figure
from steadfit.reports.values import count, with_unit


@house_style()
def residual_histogram(table: pd.DataFrame, *, unit: str = "", bins: int = 48) -> Panel:
    """Residuals of the labels on a logarithmic axis: kept ones and suspects, by truth where it is known.

    Args:
        table: a table of labels; with a column ``wrong`` the right labels are above, the wrong ones below.
        unit: the unit of the residuals.
        bins: the number of logarithmic bins.
    """
    groups = _by_truth(table[table["residual"].notna()])
    figure = new_figure(7.5, 2.2 + 1.5 * len(groups))
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    edges = _log_edges(table["residual"].to_numpy(dtype=float), bins)
    for axes, (title, part) in zip(panels, groups.items(), strict=True):
        suspect = part["suspect"].to_numpy(dtype=bool)
        residual = np.clip(part["residual"].to_numpy(dtype=float), edges[0], edges[-1])
        axes.hist([residual[~suspect], residual[suspect]], bins=edges.tolist(), stacked=True, color=[RIGHT, WRONG])
        counted = f"{title}: {count(len(part))} labels, {count(int(suspect.sum()))} suspect"
        axes.set(title=counted, xscale="log", ylabel="labels")
        axes.grid(visible=False, axis="x")
    panels[-1].set(xlabel=with_unit("residual", unit))
    panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    legend_above(figure, [Patch(color=RIGHT, label="kept"), Patch(color=WRONG, label="suspect")])
    caption = (
        f"{with_unit('Distance', unit)} between annotation and prediction of every label, on a logarithmic "
        "axis. Wrong labels whose distance is that of right ones cannot be found."
    )
    return Panel(figure, "Residuals of all labels", caption, name="trust_histogram")


def _by_truth(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    if "wrong" not in table:
        return {"all": table}
    wrong = table["wrong"].to_numpy(dtype=bool)
    return {"truly right": table[~wrong], "truly wrong": table[wrong]}


def _log_edges(residual: NDArray[Any], bins: int) -> NDArray[Any]:
    """Logarithmic bin edges over the residuals; the lowest thousandth, including zeros, is in the first bin."""
    positive = residual[np.isfinite(residual) & (residual > 0)]
    if not positive.size:
        return np.geomspace(0.1, 10.0, bins + 1)
    low, high = float(np.quantile(positive, 1e-3)), float(positive.max())
    return np.geomspace(low, max(high, 1.001 * low), bins + 1)
