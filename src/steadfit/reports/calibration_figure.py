"""Calibration of predicted distributions: expected and actual errors, coverage, ranks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from steadfit.metrics.calibration import Calibration, Coverage, Pit, Reliability
from steadfit.reports.axes import no_data, percent_axis
from steadfit.reports.palette import FAINT, INK, RIGHT, WRONG
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, legend_above, new_figure
from steadfit.reports.values import with_unit

COLOURS = (WRONG, RIGHT, "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D")
CONFORMAL = INK


@house_style()
def calibration_figure(
    results: Mapping[str, Calibration], *, unit: str = "", conformal: Coverage | None = None
) -> Panel:
    """Three panels: expected against empirical error, coverage of the ellipses, PIT of the radius.

    A calibrated prediction is on the dashed line of each panel. Whiskers and bands are 95 % intervals; the band of the
    last panel would contain 95 % of the bins of a calibrated prediction whose labels are independent.

    Args:
        results: for each label a :func:`~steadfit.metrics.calibration`, at most four, e.g. as predicted and with
            temperature.
        unit: the unit of the errors.
        conformal: the coverage of the conformal regions over their own levels, another line in the second panel; None:
            no such line.

    Raises:
        ValueError: no result, or more than four.
    """
    if not 1 <= len(results) <= len(COLOURS):
        raise ValueError(f"calibration_figure: expected 1 to {len(COLOURS)} results, got {len(results)}.")
    drawn = [result for result in results.values() if len(result.reliability.labels)]
    figure = new_figure(12.0, 4.3)
    errors, shares, ranks = panels = figure.subplots(1, 3)
    for i, result in enumerate(results.values() if drawn else ()):
        _errors(errors, result.reliability, COLOURS[i], MARKERS[i])
        _coverage(shares, result.coverage, COLOURS[i])
        _ranks(ranks, result.pit, COLOURS[i], filled=i == len(results) - 1)
    if drawn:
        _frame_errors(errors, drawn, unit)
        _frame_coverage(shares, conformal)
        _frame_ranks(ranks, drawn[-1])
        legend_above(figure, _legend(results, conformal is not None))
    for axes in () if drawn else panels:
        no_data(axes, "no label to compare with")
    caption = (
        f"{with_unit('Mean error', unit)} against the expected one, share of the labels inside the "
        "ellipses of each level, and ranks of the radii. A calibrated prediction is on the dashed lines."
    )
    return Panel(figure, "Calibration", caption, name="calibration")


def _legend(results: Collection[str], conformal: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=COLOURS[i], marker=MARKERS[i], label=label) for i, label in enumerate(results)]
    if conformal:
        handles.append(Line2D([], [], color=CONFORMAL, ls=":", lw=2.2, label="conformal"))
    return [*handles, Line2D([], [], color=FAINT, ls="--", lw=1.2, label="calibrated")]


def _errors(axes: Axes, found: Reliability, colour: str, marker: str) -> None:
    expected, empirical, error = (x.cpu().numpy() for x in (found.expected, found.empirical, found.standard_error))
    half = np.nan_to_num(1.96 * error)
    low = np.minimum(half, empirical * (1 - 1e-3))  # stays above 0 on a logarithmic axis
    axes.errorbar(expected, empirical, yerr=[low, half], color=colour, marker=marker, ms=4.5, ls="", lw=1.0, alpha=0.85)


def _frame_errors(axes: Axes, drawn: list[Calibration], unit: str) -> None:
    """Equal logarithmic axes where the errors span more than a factor of five, with the identity."""
    values = np.concatenate([
        x.cpu().numpy() for result in drawn for x in (result.reliability.expected, result.reliability.empirical)
    ])  # fmt: skip
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    logarithmic = positive.size == values.size and positive.max() > 5 * positive.min()
    low, high = (values.min() / 1.25, values.max() * 1.25) if logarithmic else (0.0, 1.1 * max(values.max(), 1e-300))
    axes.plot([low, high], [low, high], color=FAINT, ls="--", lw=1.2, zorder=0)
    axes.set(
        title="expected and real error", xlabel=with_unit("expected error", unit), ylabel=with_unit("mean error", unit),
        xlim=(low, high), ylim=(low, high),
    )  # fmt: skip
    if logarithmic:
        axes.set(xscale="log", yscale="log")
        _plain_ticks(axes, low, high)
    axes.set_aspect("equal", adjustable="box")


def _plain_ticks(axes: Axes, low: float, high: float) -> None:
    """1, 2, 5, 10, … without exponents (the style has no mathtext); powers of ten alone over many decades."""
    steps = (1, 2, 5) if high < 300 * low else (1,)
    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)


def _coverage(axes: Axes, found: Coverage, colour: str) -> None:
    level, share, low, high = (x.cpu().numpy() for x in (found.levels, found.share, found.low, found.high))
    axes.plot(level, share, color=colour)
    axes.fill_between(level, low, high, color=colour, alpha=0.16, lw=0)


def _frame_coverage(axes: Axes, conformal: Coverage | None) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, ls="--", lw=1.2, zorder=0)
    if conformal is not None:
        axes.plot(conformal.levels.cpu(), conformal.share.cpu(), color=CONFORMAL, ls=":", lw=2.2)
    axes.set(
        title="coverage of the ellipses",
        xlabel="level of the ellipse",
        ylabel="labels inside",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.set_aspect("equal", adjustable="box")
    axes.set(xticks=np.linspace(0, 1, 5), yticks=np.linspace(0, 1, 5))
    percent_axis(axes, "x")
    percent_axis(axes, "y")


def _ranks(axes: Axes, found: Pit, colour: str, *, filled: bool) -> None:
    density, edges = found.density.cpu().numpy(), found.edges.cpu().numpy()
    if filled:
        axes.stairs(density, edges, color=colour, fill=True, alpha=0.2, lw=0, zorder=1)
    axes.stairs(density, edges, color=colour, lw=1.8, zorder=2)


def _frame_ranks(axes: Axes, last: Calibration) -> None:
    count, bins = int(last.reliability.labels.sum()), len(last.pit.density)
    half = 1.96 * np.sqrt((bins - 1) / count)
    axes.axhspan(max(1 - half, 0), 1 + half, color=FAINT, alpha=0.18, lw=0, zorder=0)
    axes.axhline(1, color=FAINT, ls="--", lw=1.2)
    axes.set(
        title="PIT of the radius",
        xlabel="probability of a smaller radius",
        ylabel="density",
        xlim=(0, 1),
        ylim=(0, None),
    )
    axes.set_box_aspect(1)
    axes.grid(visible=False, axis="x")
