"""Figures of a training run and of a comparison: plain data in, a matplotlib Figure out.

``history`` is a run's DataFrame with ``epoch, phase, val_error, suspects``; ``results`` is a comparison's mapping from
method to its numbers (``error`` per image, ``mean``, ``failure_rate``, ``stars``, …). Shares are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from steadfit.reports.methods import Mark, marks
from steadfit.reports.style import (
    FAINT,
    RIGHT,
    WRONG,
    house_style,
    legend_above,
    method_handles,
    new_figure,
    no_data,
    percent_axis,
)
from steadfit.reports.values import (
    DASH,
    bracketed,
    count,
    mean_interval,
    number,
    percent,
    rate_interval,
    short,
    star_text,
)

Results = Mapping[str, Mapping[str, Any]]


@house_style()
def training_curves(histories: Mapping[str, pd.DataFrame], *, unit: str = "px", truth: float | None = None) -> Figure:
    """Validation error by epoch for every method, with the share of suspects below; the warm-up is shaded.

    Args:
        histories: method (or run) to its history.
        unit: unit of ``val_error``.
        truth: the true share of wrong labels, if known: a dashed line in the lower panel.
    """
    drawn = marks(histories)
    below = any(history["suspects"].notna().any() for history in histories.values() if "suspects" in history)
    figure = new_figure(8.0, 6.0 if below else 4.0)
    panels = figure.subplots(2 if below else 1, 1, sharex=True, squeeze=False, height_ratios=[5, 3][: 1 + below])[:, 0]
    _curves(panels[0], histories, drawn, "val_error")
    panels[0].set(ylabel=f"validation error{bracketed(unit)}")
    _magnitude(panels[0], histories)
    if below:
        _curves(panels[1], histories, drawn, "suspects")
        panels[1].set(ylabel="suspect labels")
        panels[1].set_ylim(0.0, max(panels[1].get_ylim()[1], 0.01))
        percent_axis(panels[1])
        if truth is not None:
            _reference(panels[1], truth)
    panels[-1].set(xlabel="epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    _shade_warm_up(panels, histories)
    if len(histories) > 1:
        legend_above(figure, method_handles(drawn))
    return figure


def _reference(axes: Axes, truth: float) -> None:
    """The true share as a dashed line, inside the axis also where no curve comes near it."""
    axes.set_ylim(0.0, max(axes.get_ylim()[1], min(1.25 * truth, 1.0) if truth < 1 else 1.05))
    axes.axhline(truth, color=FAINT, ls="--", lw=1.2)
    axes.annotate(
        "truly wrong", (1, truth), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
        color="#666666", fontsize=9,
    )  # fmt: skip


def _curves(axes: Axes, histories: Mapping[str, pd.DataFrame], drawn: Mapping[str, Mark], column: str) -> None:
    for method, history in histories.items():
        if column not in history or history[column].isna().all():
            continue
        mark = drawn[method]
        marker = mark.marker if len(history) == 1 else ""
        axes.plot(history["epoch"], history[column], color=mark.colour, ls=mark.line, marker=marker, label=mark.label)


def _magnitude(axes: Axes, histories: Mapping[str, pd.DataFrame]) -> None:
    """A logarithmic axis where the errors span more than one decade."""
    columns = [np.asarray(history["val_error"], dtype=float) for history in histories.values()]
    errors = np.concatenate([*columns, np.empty(0)])
    errors = errors[np.isfinite(errors) & (errors > 0)]
    if not errors.size:
        no_data(axes, "no validation error was recorded")
    elif errors.max() > 10 * errors.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")


def _shade_warm_up(panels: NDArray[Any], histories: Mapping[str, pd.DataFrame]) -> None:
    """Shade the epochs before the first round; methods that are never refitted have no warm-up to show."""
    warm, first = [], []
    for history in histories.values():
        phase = history["phase"].astype(str)
        if set(phase) == {"warm-up", "round"}:
            warm.append(float(history.loc[phase == "warm-up", "epoch"].max()))
            first.append(float(history["epoch"].min()))
    if not warm:
        return
    for axes in panels:
        axes.axvspan(min(first) - 0.5, max(warm) + 0.5, color="#EEF1F4", zorder=0, lw=0)
        axes.set_xlim(min(first) - 0.5, None)
    panels[-1].annotate(
        "warm-up",
        (min(first) - 0.5, 0),
        (6, 6),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color="#666666",
        fontsize=9,
    )


@house_style()
def failure_bars(results: Results, *, unit: str = "px", failure: str = "", against: str = "the best") -> Figure:
    """Failure rate of every method, with its mean error beside it.

    Args:
        results: a comparison's result. The whiskers are 95 % intervals over the images.
        unit: unit of the mean error.
        failure: what a failure is, e.g. ``"error above 5 % of the face width"``.
        against: what the stars are relative to.
    """
    drawn = marks(results)
    figure = new_figure(8.0, 1.5 + 0.46 * len(results))
    left, right = figure.subplots(1, 2, sharey=True)
    for row, (method, result) in enumerate(results.items()):
        rate, share = number(result, "failure_rate"), rate_interval(result)
        _bar(left, row, rate, share, drawn[method].colour, percent(rate), most=1.0)
        mean, half = number(result, "mean"), mean_interval(result)
        _bar(right, row, mean, half, drawn[method].colour, f"{short(mean)} {star_text(result)}".strip())
    left.set(title="failure rate", xlabel=failure, yticks=range(len(results)))
    left.set_yticklabels([mark.label for mark in drawn.values()], fontsize=11)
    left.invert_yaxis()
    right.set(title=f"mean error{bracketed(unit)}")
    percent_axis(left, "x")
    for axes in (left, right):
        axes.margins(x=0.24)
        axes.set_xlim(left=0.0)
    left.set_xticks([tick for tick in left.get_xticks() if tick <= min(left.get_xlim()[1], 1.0)])
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    if any(star_text(result) for result in results.values()):
        right.set_xlabel(f"* p < .05, ** p < .01, *** p < .001 against {against}", fontsize=9)
    return figure


def _bar(axes: Axes, row: int, value: float, half: float, colour: str, text: str, most: float = float("inf")) -> None:
    if not np.isfinite(value):
        axes.text(0.0, row, f" {DASH}", va="center", color="#666666")
        return
    axes.barh(row, value, height=0.66, color=colour)
    half = half if np.isfinite(half) else 0.0
    above = min(half, max(most - value, 0.0))
    if half > 0:
        axes.errorbar(value, row, xerr=[[min(half, value)], [above]], color="#444444", lw=1.2, capsize=2.5, zorder=3)
    axes.annotate(text, (value + above, row), (5, 0), textcoords="offset points", va="center")


@house_style()
def error_cdf(
    results: Results, *, threshold: float | None = None, length: float | None = None, unit: str = "px"
) -> Figure:
    """Cumulative error curves: the share of test images whose error is below a bound.

    Args:
        results: a comparison's result; ``error`` is in ``unit``.
        threshold: errors above it are failures; in parts of ``length`` if that is given, else in ``unit``.
        length: the normalising length, in ``unit``; the axis is then in per cent of it.
        unit: unit of the errors.
    """
    drawn = marks(results)
    scale = 100.0 / length if length else 1.0
    errors = {name: np.sort(np.asarray(result["error"], dtype=float)) * scale for name, result in results.items()}
    errors = {name: values[np.isfinite(values)] for name, values in errors.items()}
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    limit = None if threshold is None else threshold * (100.0 if length else 1.0)
    reach = _reach(errors, limit)
    for name, values in errors.items():
        share = np.arange(1, values.size + 1) / max(values.size, 1)
        axes.plot(
            np.r_[0.0, values, max([reach, *values[-1:]])],
            np.r_[0.0, share, min(1.0, values.size)],
            color=drawn[name].colour,
            ls=drawn[name].line,
            drawstyle="steps-post",
            label=drawn[name].label,
        )
    if limit is not None:
        axes.axvline(limit, color=FAINT, ls="--", lw=1.2)
        axes.annotate(
            "threshold",
            (limit, 0.02),
            (5, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color="#666666",
            fontsize=9,
        )
    axes.set(
        xlim=(0.0, reach),
        ylim=(0.0, 1.0),
        ylabel="test images with a smaller error",
        xlabel="error (% of the normalising length)" if length else f"error{bracketed(unit)}",
    )
    percent_axis(axes)
    axes.legend(loc="lower right", handles=method_handles(drawn))
    return figure


def _reach(errors: Mapping[str, NDArray[Any]], limit: float | None) -> float:
    """Right end of the axis: three thresholds, or where the best method has 99 % of its images."""
    if limit is not None and limit > 0:
        return 3.0 * limit
    ends = [float(np.quantile(values, 0.99)) for values in errors.values() if values.size]
    return 1.5 * min(ends) if ends and min(ends) > 0 else 1.0


@house_style()
def trust_histogram(table: pd.DataFrame, *, unit: str = "px", bins: int = 48) -> Figure:
    """Residuals of the labels on a logarithmic axis: kept ones and suspects; split by truth where it is known.

    Args:
        table: a labels table; with a column ``wrong`` the right labels stand above, the wrong ones below.
        unit: unit of the residuals.
        bins: number of logarithmic bins.
    """
    groups = _by_truth(table[table["residual"].notna()])
    figure = new_figure(7.5, 2.2 + 1.5 * len(groups))
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    edges = _log_edges(table["residual"].to_numpy(dtype=float), bins)
    for axes, (title, part) in zip(panels, groups.items(), strict=True):
        suspect = part["suspect"].to_numpy(dtype=bool)
        residual = np.clip(part["residual"].to_numpy(dtype=float), edges[0], edges[-1])
        axes.hist([residual[~suspect], residual[suspect]], bins=edges.tolist(), stacked=True, color=[RIGHT, WRONG])
        axes.set(
            title=f"{title}: {count(len(part))} labels, {count(int(suspect.sum()))} suspect",
            xscale="log",
            ylabel="labels",
        )
        axes.grid(visible=False, axis="x")
    panels[-1].set(xlabel=f"residual{bracketed(unit)}")
    panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    legend_above(figure, [Patch(color=RIGHT, label="kept"), Patch(color=WRONG, label="suspect")])
    return figure


def _by_truth(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    if "wrong" not in table:
        return {"all": table}
    wrong = table["wrong"].to_numpy(dtype=bool)
    return {"truly right": table[~wrong], "truly wrong": table[wrong]}


def _log_edges(residual: NDArray[Any], bins: int) -> NDArray[Any]:
    """Logarithmic bin edges over the residuals; the lowest thousandth, zeros among it, falls into the first bin."""
    positive = residual[np.isfinite(residual) & (residual > 0)]
    if not positive.size:
        return np.geomspace(0.1, 10.0, bins + 1)
    low, high = float(np.quantile(positive, 1e-3)), float(positive.max())
    return np.geomspace(low, max(high, 1.001 * low), bins + 1)
