"""What was measured after every epoch of training, as curves.

A history is a DataFrame with ``epoch``, ``phase``, ``val_error``, ``suspects`` and further columns; shares are in [0,
1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from steadfit.reports.axes import SEEDS, band, epoch_axis, error_axis, no_data, percent_axis, remark, shade_warm_up
from steadfit.reports.methods import Mark, marks
from steadfit.reports.palette import FAINT
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, legend_above, method_handles, new_figure
from steadfit.reports.values import capital, with_unit

TOP1 = "share of the validation images that are classified right"


@house_style()
def training_curves(histories: Mapping[str, pd.DataFrame], *, unit: str = "", truth: float | None = None) -> Panel:
    """Validation error by epoch for every method, with the share of suspects below; the warm-up is shaded.

    Args:
        histories: the history of each method (or stage).
        unit: the unit of ``val_error``.
        truth: the true share of wrong labels, drawn as a dashed line in the lower panel; None: unknown.
    """
    drawn = marks(histories)
    below = any(history["suspects"].notna().any() for history in histories.values() if "suspects" in history)
    figure = new_figure(8.0, 6.0 if below else 4.0)
    heights = [5, 3] if below else [5]
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0].tolist()
    _curves(panels[0], histories, drawn, "val_error")
    panels[0].set(ylabel=with_unit("validation error", unit))
    error_axis(panels[0], np.concatenate([np.empty(0), *(history["val_error"] for history in histories.values())]))
    if below:
        _curves(panels[1], histories, drawn, "suspects")
        panels[1].set(ylabel="suspect labels")
        panels[1].set_ylim(0.0, max(1.08 * panels[1].dataLim.ymax, 0.01))
        percent_axis(panels[1])
        if truth is not None:
            _reference(panels[1], truth)
    epoch_axis(panels[-1])
    warm_up = _warm_up(histories)
    if warm_up:
        shade_warm_up(panels, *warm_up)
    if len(histories) > 1:
        legend_above(figure, method_handles(drawn))
    caption = f"{with_unit('Median error', unit)} of the validation labels after every epoch"
    caption += ", and below it the share of these labels that are suspect." if below else "."
    caption += " In the shaded epochs, the warm-up, no label is suspect yet." if warm_up else ""
    return Panel(figure, "Training", caption, name="training_curves")


@house_style()
def validation_curves(
    histories: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    column: str,
    *,
    label: str = "",
    what: str = "",
    warm_up: int = 0,
    percentages: bool = True,
) -> Panel:
    """A column of the histories by epoch, one line for each method: the mean over seeds in a band to the extremes.

    Args:
        histories: for each method its history, or one for each seed; the mean is drawn where every seed has a value.
        column: a column of the histories, e.g. ``"val_top1"``; a method without it has no line.
        label: the label of the vertical axis; empty: the column's name.
        what: what the column is, for the caption; empty: the label.
        warm_up: the number of epochs that are shaded.
        percentages: whether the column is a share in [0, 1].
    """
    label = label or column
    every = {name: [found] if isinstance(found, pd.DataFrame) else list(found) for name, found in histories.items()}
    drawn, figure = marks(every), new_figure(8.0, 4.4)
    axes, caption = figure.subplots(), f"{capital(what or label)} after every epoch."
    for method, found in every.items():
        if all(column in history for history in found):
            table = pd.concat([history.set_index("epoch")[column] for history in found], axis=1).dropna()  # (epochs, S)
            band(axes, table.index, table.to_numpy().T, drawn[method])
    if any(len(line.get_xdata()) for line in axes.lines):  # type: ignore[arg-type]
        if warm_up:
            shade_warm_up([axes], 1, warm_up)
            caption += " The shaded epochs are the warm-up."
        axes.set(ylabel=label)
        epoch_axis(axes)
        if percentages:
            percent_axis(axes)
        legend_above(figure, method_handles(drawn))
        caption += f" {SEEDS}" if any(len(found) > 1 for found in every.values()) else ""
    else:
        no_data(axes, f"no {label} was recorded")
    name = f"{column.removeprefix('val_')}_epochs"
    return Panel(figure, f"{capital(label)} by epoch", caption, name=name)


def _curves(axes: Axes, histories: Mapping[str, pd.DataFrame], drawn: Mapping[str, Mark], column: str) -> None:
    for method, history in histories.items():
        if column in history and history[column].notna().any():
            mark, marker = drawn[method], drawn[method].marker if len(histories) == 1 else ""
            axes.plot(
                history["epoch"], history[column], color=mark.colour, ls=mark.line, marker=marker, label=mark.label
            )


def _reference(axes: Axes, truth: float) -> None:
    """Draw the true share as a dashed line, and extend the axis to it where no curve comes near."""
    axes.set_ylim(0.0, max(axes.get_ylim()[1], min(1.25 * truth, 1.0) if truth < 1 else 1.05))
    axes.axhline(truth, color=FAINT, ls="--", lw=1.2)
    remark(axes, "truly wrong", (1, truth), (-2, 3), xycoords=("axes fraction", "data"), ha="right")


def _warm_up(histories: Mapping[str, pd.DataFrame]) -> tuple[float, float] | None:
    """The first and the last epoch before the first round; methods that are never refitted have no warm-up."""
    found = []
    for history in histories.values():
        phase = history["phase"].astype(str)
        if set(phase) == {"warm-up", "round"}:
            found.append((float(history["epoch"].min()), float(history.loc[phase == "warm-up", "epoch"].max())))
    return (min(first for first, _ in found), max(last for _, last in found)) if found else None
