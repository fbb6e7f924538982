"""Errors of several methods on the same test images, as bars and as cumulative curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from steadfit.reports.axes import bar, bar_rows, percent_axis, threshold_line
from steadfit.reports.methods import Mark, marks
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, method_handles, new_figure
from steadfit.reports.values import (
    STARS,
    Results,
    mean_interval,
    number,
    percent,
    rate_interval,
    short,
    star_text,
    with_unit,
)


@house_style()
def failure_bars(results: Results, *, unit: str = "", failure: str = "", against: str = "the best") -> Panel:
    """Failure rate of every method, next to its mean error.

    Args:
        results: a comparison's result. The whiskers are 95 % intervals over the images.
        unit: the unit of the mean error.
        failure: what a failure is, e.g. ``"error above 5 % of the face width"``.
        against: the method to which the stars compare.
    """
    drawn = marks(results)
    figure = new_figure(8.0, 1.5 + 0.46 * len(results))
    left, right = figure.subplots(1, 2, sharey=True)
    for row, (method, result) in enumerate(results.items()):
        colour, rate, mean = drawn[method].colour, number(result, "failure_rate"), number(result, "mean")
        bar(left, row, rate, _ends(rate, rate_interval(result), most=1.0), colour, percent(rate))
        text = f"{short(mean)} {star_text(result)}".strip()
        bar(right, row, mean, _ends(mean, mean_interval(result)), colour, text)
    left.set(title="failure rate", xlabel=failure)
    right.set(title=with_unit("mean error", unit))
    percent_axis(left, "x")
    for axes in (left, right):
        axes.margins(x=0.24)
    bar_rows((left, right), drawn)
    left.set_xticks([tick for tick in left.get_xticks() if tick <= min(left.get_xlim()[1], 1.0)])
    if any(star_text(result) for result in results.values()):
        right.set_xlabel(f"{STARS} against {against}", fontsize=9)
    caption = (
        f"Failure rate of the test labels, and {with_unit('mean error', unit)} of the test images, with 95 % "
        "intervals over the images."
    )
    return Panel(figure, "Failures and mean errors", caption, name="failure_bars")


def _ends(value: float, half: float, *, most: float = float("inf")) -> tuple[float, float]:
    return float(np.maximum(value - half, 0.0)), float(np.minimum(value + half, max(most, value)))


@house_style()
def error_cdf(
    results: Results, *, threshold: float | None = None, length: float | None = None, unit: str = ""
) -> Panel:
    """Cumulative error curves: the share of test images whose error is below a bound.

    Args:
        results: a comparison's result; ``error`` is in ``unit``.
        threshold: errors above it are failures; in parts of ``length`` if that is given, else in ``unit``. None: no
            line.
        length: the normalising length, in ``unit``; the axis is then in per cent of it. None: the axis is in ``unit``.
        unit: the unit of the errors.
    """
    drawn, scale = marks(results), 100.0 / length if length else 1.0
    errors = {name: np.sort(np.asarray(result["error"], dtype=float)) * scale for name, result in results.items()}
    errors = {name: values[np.isfinite(values)] for name, values in errors.items()}
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    limit = None if threshold is None else threshold * (100.0 if length else 1.0)
    reach = _reach(errors, limit)
    for name, values in errors.items():
        _steps(axes, values, reach, drawn[name])
    if limit is not None:
        threshold_line(axes, limit, "threshold")
    quantity = "error (% of the normalising length)" if length else with_unit("error", unit)
    axes.set(xlim=(0.0, reach), ylim=(0.0, 1.0), xlabel=quantity, ylabel="test images with a smaller error")
    percent_axis(axes)
    axes.legend(loc="lower right", handles=method_handles(drawn))
    caption = "Share of the test images whose error is below the value on the axis; higher and further left is better."
    return Panel(figure, "Cumulative errors", caption, name="error_cdf")


def _steps(axes: Axes, values: NDArray[Any], reach: float, mark: Mark) -> None:
    """The cumulative curve of sorted errors, from 0 to the end of the axis."""
    share = np.arange(1, values.size + 1) / max(values.size, 1)
    x = np.r_[0.0, values, max([reach, *values[-1:]])]
    y = np.r_[0.0, share, min(1.0, values.size)]
    axes.plot(x, y, color=mark.colour, ls=mark.line, drawstyle="steps-post", label=mark.label)


def _reach(errors: Mapping[str, NDArray[Any]], limit: float | None) -> float:
    """Right end of the axis: three thresholds, or where the best method has 99 % of its images."""
    if limit is not None and limit > 0:
        return 3.0 * limit
    ends = [float(np.quantile(values, 0.99)) for values in errors.values() if values.size]
    return 1.5 * min(ends) if ends and min(ends) > 0 else 1.0
