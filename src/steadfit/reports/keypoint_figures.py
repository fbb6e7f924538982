"""Shares of keypoints and body parts of several methods as figures.

``results`` is that of :mod:`steadfit.reports.keypoint_tables`; shares are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from steadfit.reports.axes import SEEDS, band, bar, bar_rows, no_data, percent_axis, threshold_axes
from steadfit.reports.keypoint_tables import PCK, PCP, Groups, Measure, group_share, seeds
from steadfit.reports.methods import Mark, marks
from steadfit.reports.palette import FAINT, INK
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, legend_above, method_handles, new_figure
from steadfit.reports.values import Array, Results, capital, percent

CONFUSIONS = {"swaps": "left and right exchanged", "double": "several peaks", "double_right": "right despite them"}
MEANINGS = {
    "swaps": "points that are at their partner's annotation",
    "double": "heatmaps with several peaks",
    "double_right": "those that are right all the same",
}
LOOSE = ":"  # the line of loose PCP, above the solid one of strict PCP


def pck_joints(results: Results, groups: Groups, *, what: str = "PCK") -> Panel:
    """PCK of every joint for several methods, with the share of all points at the right.

    Args:
        results: for each method ``pck`` and ``pck_by_point``; whiskers reach from the lowest to the highest seed.
        groups: for each column the names of its points, from :func:`~steadfit.reports.keypoint_tables.joint_groups`.
        what: what is measured, e.g. ``"PCK@.2 of the torso"``.
    """
    caption = f"{capital(what)}: share of test points within the threshold, left and right together."
    return Panel(_shares(results, groups, what), "PCK of every joint", caption, name="pck_joints")


def pcp_parts(results: Results, groups: Groups, *, what: str = "strict PCP@.5") -> Panel:
    """Strict PCP of every part for several methods, with the share of all parts at the right.

    Args:
        results: for each method ``pcp`` and ``pcp_by_part``; whiskers reach from the lowest to the highest seed.
        groups: for each column the names of its parts, from :func:`~steadfit.reports.keypoint_tables.part_groups`.
        what: what is measured.
    """
    caption = (
        f"{capital(what)}: share of parts with both ends within the threshold, in parts "
        "of its own length; left and right together."
    )
    return Panel(_shares(results, groups, what, PCP), "PCP of every part", caption, name="pcp_parts")


@house_style()
def _shares(results: Results, groups: Groups, what: str, measure: Measure = PCK) -> Figure:
    """Draw marks, not bars: the methods differ by a few per cent, which bars from zero would hide."""
    drawn, last = marks(results), len(groups)
    figure = new_figure(max(2.2 + 0.85 * last, 5.0), 4.2)
    axes = figure.subplots()
    at = np.array([*range(last), last + 0.25], dtype=np.float64)  # the mean is set apart
    step = 0.72 / max(len(results), 1)
    for i, (method, result) in enumerate(results.items()):
        shares = [*(group_share(result, names, measure) for names in groups.values()), seeds(result, measure.over_all)]
        _whiskers(axes, at + step * (i - (len(results) - 1) / 2), shares, drawn[method])
    for column in range(0, last, 2):
        axes.axvspan(column - 0.5, column + 0.5, color="#F4F5F7", zorder=0, lw=0)
    axes.axvline(last - 0.375, color=FAINT, lw=1.0)
    axes.set_xticks(at, [*groups, "Mean"])
    axes.get_xticklabels()[-1].set_fontweight("bold")
    axes.set(xlim=(-0.5, last + 0.75), ylabel=what)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)
    percent_axis(axes)
    legend_above(figure, method_handles(drawn, markers=True))
    return figure


def _whiskers(axes: Axes, x: Array, shares: Sequence[Array], mark: Mark) -> None:
    mean, low, high = (np.array([how(share) for share in shares]) for how in (np.mean, np.min, np.max))
    axes.errorbar(
        x, mean, yerr=[mean - low, high - mean], ls="", marker=mark.marker, color=mark.colour, ms=7.0, mec="white",
        mew=0.6, elinewidth=1.4,
    )  # fmt: skip


@house_style()
def pck_curves(
    curves: Mapping[str, ArrayLike], alphas: ArrayLike, *, alpha: float | None = None, length: str = "torso"
) -> Panel:
    """PCK over its threshold.

    Args:
        curves: for each method ``(A,)`` from :func:`steadfit.metrics.pck_curve`, or ``(S, A)`` over seeds.
        alphas: ``(A,)`` thresholds.
        alpha: the threshold of the tables, drawn as a dashed line; None: no line.
        length: the length of which the thresholds are parts.
    """
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    share_curves(axes, curves, alphas)
    threshold_axes(axes, alphas, alpha=alpha, unit=f"parts of the {length} length", what="points")
    axes.legend(loc="lower right", handles=method_handles(marks(curves)))
    caption = "Share of test points within the threshold on the axis; higher and further left is better."
    caption += f" {SEEDS}" if _several(curves) else ""
    return Panel(figure, "PCK over its threshold", caption, name="pck_curves")


@house_style()
def pcp_curves(
    strict: Mapping[str, ArrayLike],
    alphas: ArrayLike,
    *,
    loose: Mapping[str, ArrayLike] | None = None,
    alpha: float | None = None,
) -> Panel:
    """PCP over its threshold: strict as solid lines, loose as dotted ones above them.

    Args:
        strict: for each method ``(A,)`` from :func:`steadfit.metrics.pcp_curve`, or ``(S, A)`` over seeds.
        alphas: ``(A,)`` thresholds.
        loose: the same for loose PCP; None: it is not drawn.
        alpha: the threshold of the tables, drawn as a dashed line; None: no line.
    """
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    if loose is not None:
        share_curves(axes, loose, alphas, line=LOOSE)
    share_curves(axes, strict, alphas)
    threshold_axes(axes, alphas, alpha=alpha, unit="share of each part's own length", what="parts")
    kinds = [] if loose is None else [Line2D([], [], color=INK, ls=LOOSE, label="loose")]
    axes.legend(loc="lower right", handles=[*method_handles(marks(strict)), *kinds])
    caption = "Share of parts within the threshold on the axis: strict PCP requires it of both ends"
    caption += ". " if loose is None else ", loose PCP (dotted) of the mean of their errors. "
    caption += SEEDS if _several(strict) else ""
    return Panel(figure, "PCP over its threshold", caption.strip(), name="pcp_curves")


def share_curves(axes: Axes, curves: Mapping[str, ArrayLike], alphas: ArrayLike, *, line: str | None = None) -> None:
    """Draw shares over thresholds: the mean of the seeds and, as a band, the lowest and the highest.

    Args:
        axes: where to draw; it is changed in place.
        curves: for each method ``(A,)`` or ``(S, A)``.
        alphas: ``(A,)`` thresholds.
        line: a line style instead of the methods' own; None: the methods'.
    """
    for method, mark in marks(curves).items():
        band(axes, alphas, curves[method], mark, line=line)


def _several(curves: Mapping[str, ArrayLike]) -> bool:
    return any(np.ndim(curve) == 2 and len(np.asarray(curve)) > 1 for curve in curves.values())


@house_style()
def confusion_bars(results: Results, *, names: Mapping[str, str] | None = None) -> Panel:
    """Left-right swaps, double counts and the share of these that is right, one panel each.

    Args:
        results: for each method ``swaps``, ``double``, ``double_right``; a panel without any share is left out.
        names: the title by key, for other shares than these three; None: these three.
    """
    drawn, names = marks(results), CONFUSIONS if names is None else names
    there = [key for key in names if any(np.isfinite(seeds(result, key)).any() for result in results.values())]
    figure = new_figure(max(1.4 + 2.7 * len(there), 4.4), 1.1 + 0.42 * len(results))
    figure.set_layout_engine("constrained", wspace=0.06)  # room between one panel's last tick and the next one's 0
    panels = figure.subplots(1, max(len(there), 1), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, there, strict=False):
        for row, (method, result) in enumerate(results.items()):
            mean, low, high = (float(how(seeds(result, key))) for how in (np.mean, np.min, np.max))
            bar(axes, row, mean, (low, high), drawn[method].colour, percent(mean))
        axes.set(title=names[key])
        axes.margins(x=0.3)
        axes.locator_params(axis="x", nbins=4)
        percent_axis(axes, "x")
    if there:
        bar_rows(panels, drawn)
    else:
        no_data(panels[0], "nothing was counted")
    caption = f"Share of {', of '.join(MEANINGS.get(key, names[key]) for key in there) or 'confusions'}."
    return Panel(figure, "Left and right, and double counts", caption, name="confusions")
