"""Drawing that several figures share: bands over seeds, bars with whiskers, epochs, thresholds, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from steadfit.reports.methods import Mark
from steadfit.reports.palette import FAINT, NOTE, SHADE, WHISKER
from steadfit.reports.values import DASH

SEEDS = "Lines are means over the seeds; bands reach from the lowest to the highest."


def band(axes: Axes, x: ArrayLike, each: ArrayLike, mark: Mark, *, line: str | None = None) -> None:
    """Draw a line through the means of several seeds, in a band from the lowest to the highest.

    Args:
        axes: where to draw; it is changed in place.
        x: (P,), places on the horizontal axis; a single one is drawn as a marker.
        each: (S, P), values of every seed.
        mark: colour, line and label.
        line: a line style instead of the mark's own; None: the mark's.
    """
    places, rows = np.asarray(x, dtype=np.float64), np.atleast_2d(np.asarray(each, dtype=np.float64))
    marker = mark.marker if len(places) == 1 else ""
    axes.plot(places, rows.mean(axis=0), color=mark.colour, ls=line or mark.line, marker=marker, label=mark.label)
    if len(rows) > 1:
        axes.fill_between(places, rows.min(axis=0), rows.max(axis=0), color=mark.colour, alpha=0.16, lw=0)


def remark(axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **options: Any) -> None:
    """Write a small grey text.

    Args:
        axes: where to draw; it is changed in place.
        text: the text.
        at: the point to which it belongs, by default x in data, y in parts of the axis.
        offset: its distance from there, in typographic points.
        options: options of matplotlib's ``annotate``.
    """
    style: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "color": NOTE, "fontsize": 9} | options
    axes.annotate(text, at, offset, textcoords="offset points", **style)


def threshold_line(axes: Axes, at: float, text: str = "") -> None:
    """Draw a dashed vertical line, with a remark at its foot.

    Args:
        axes: where to draw; it is changed in place.
        at: its place on the horizontal axis.
        text: the remark; empty: none.
    """
    axes.axvline(at, color=FAINT, ls="--", lw=1.2, zorder=1)
    if text:
        remark(axes, text, (at, 0.02), (5, 0))


def shade_warm_up(panels: Sequence[Axes], first: float, last: float) -> None:
    """Shade epochs, and name them in the lowest panel.

    Args:
        panels: the panels, from top to bottom.
        first: the first epoch.
        last: the last epoch.
    """
    for axes in panels:
        axes.axvspan(first - 0.5, last + 0.5, color=SHADE, zorder=0, lw=0)
        axes.set_xlim(first - 0.5, None)
    remark(panels[-1], "warm-up", (first - 0.5, 0), (6, 6))


def epoch_axis(axes: Axes) -> None:
    """Show whole epochs as ticks."""
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def error_axis(axes: Axes, errors: ArrayLike) -> None:
    """Use a logarithmic axis where the finite errors span more than one decade, and a remark where there are none."""
    found = np.asarray(errors, dtype=np.float64)
    found = found[np.isfinite(found)]
    if not found.size:
        no_data(axes, "no validation error was recorded")
    elif found.max() > 10 * found[found > 0].min(initial=np.inf):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")


def percent_axis(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """Show ticks of a share in [0, 1] as percentages."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def threshold_axes(axes: Axes, alphas: ArrayLike, *, alpha: float | None, unit: str, what: str) -> None:
    """Set up axes of a share over its threshold, with a dashed line at the threshold of the tables.

    Args:
        axes: where to draw; it is changed in place.
        alphas: the thresholds; the axis ends at the largest.
        alpha: the threshold of the tables; None: no line.
        unit: the unit of the thresholds.
        what: what is counted, e.g. ``"points"``.
    """
    if alpha is not None:
        threshold_line(axes, alpha)
    axes.set(xlim=(0.0, float(np.asarray(alphas).max())), ylim=(0.0, 1.0), ylabel=f"{what} within the threshold")
    axes.set_xlabel(f"threshold ({unit})")
    percent_axis(axes)


def bar(axes: Axes, row: int, value: float, ends: tuple[float, float], colour: str, text: str) -> None:
    """Draw a horizontal bar with a whisker and a text at its end; a dash where the value is NaN.

    Args:
        axes: where to draw; it is changed in place.
        row: the bar's place on the vertical axis.
        value: the length of the bar.
        ends: lower and upper end of the whisker; NaN or two equal numbers: no whisker.
        colour: the colour of the bar.
        text: the text at the end of the bar.
    """
    if not np.isfinite(value):
        axes.text(0.0, row, f" {DASH}", va="center", color=NOTE)
        return
    axes.barh(row, value, height=0.66, color=colour)
    low, high = ends if np.isfinite(ends).all() else (value, value)
    if high > low:
        whisker = [[value - low], [high - value]]
        axes.errorbar(value, row, xerr=whisker, color=WHISKER, lw=1.2, capsize=2.5, zorder=3)
    axes.annotate(text, (max(high, value), row), (5, 0), textcoords="offset points", va="center")


def bar_rows(panels: Iterable[Axes], drawn: Mapping[str, Mark]) -> None:
    """Set up axes of bars side by side: from zero, the methods named at the left, the first one on top."""
    panels = list(panels)
    for axes in panels:
        axes.set_xlim(left=0.0)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(drawn)), [mark.label for mark in drawn.values()], fontsize=11)
    panels[0].invert_yaxis()


def picture(axes: Axes, image: NDArray[Any]) -> None:
    """Show an image without axes; the centre of its first pixel is (0, 0)."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axes.set(xticks=[], yticks=[], xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def no_data(axes: Axes, text: str) -> None:
    """State that there is nothing to draw, instead of showing an empty frame."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=NOTE)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
