"""Keypoint results of several methods as figures: joints, PCK curves, confusions, poses in their images.

``results`` is that of `steadfit.reports.joints`; shares are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import ArrayLike, NDArray

from steadfit.reports.joints import PCK_KEYS, Array, Groups, Measure, Results, joint_share, seeds
from steadfit.reports.methods import Mark, marks
from steadfit.reports.style import FAINT, house_style, legend_above, method_handles, new_figure, no_data, percent_axis
from steadfit.reports.values import DASH, bracketed, percent

CONFUSIONS = {"swaps": "left and right exchanged", "double": "several peaks", "double_right": "right despite them"}
SIDES, MIDDLE, MISSED = ("#56B4E9", "#E69F00"), "#F2F2F2", "#E5133A"


@house_style()
def pck_joints(results: Results, groups: Groups, *, measure: str = "PCK", keys: Measure = PCK_KEYS) -> Figure:
    """PCK of every joint for several methods, with the share of all points at the right.

    Marks, not bars: the methods differ by a few points of a hundred, which bars from zero would hide.

    Args:
        results: method to ``pck`` and ``pck_by_point``; whiskers reach from the lowest to the highest seed.
        groups: column to the names of its points, from `joint_groups`.
        measure: what is measured, e.g. ``"PCK@.2 of the torso"``.
        keys: where in the results the shares are.
    """
    drawn, last = marks(results), len(groups)
    figure = new_figure(max(2.2 + 0.85 * last, 5.0), 4.2)
    axes = figure.subplots()
    at = np.array([*range(last), last + 0.25], dtype=np.float64)  # the mean stands apart
    step = 0.72 / max(len(results), 1)
    for i, (method, result) in enumerate(results.items()):
        shares = [*(joint_share(result, names, keys=keys) for names in groups.values()), seeds(result, keys.over_all)]
        _whiskers(axes, at + step * (i - (len(results) - 1) / 2), shares, drawn[method])
    for column in range(0, last, 2):
        axes.axvspan(column - 0.5, column + 0.5, color="#F4F5F7", zorder=0, lw=0)
    axes.axvline(last - 0.375, color=FAINT, lw=1.0)
    axes.set_xticks(at, [*groups, "Mean"])
    axes.get_xticklabels()[-1].set_fontweight("bold")
    axes.set(xlim=(-0.5, last + 0.75), ylabel=measure)
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
) -> Figure:
    """PCK over its threshold.

    Args:
        curves: method to ``(A,)`` of `steadfit.metrics.pck_curve`, or ``(S, A)`` over seeds: their mean and, as a
            band, lowest and highest.
        alphas: ``(A,)`` thresholds.
        alpha: the threshold of the tables: a dashed line.
        length: what the thresholds are parts of.
    """
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    share_curves(axes, curves, alphas)
    threshold_axes(axes, alphas, alpha=alpha, unit=f"parts of the {length} length", what="points")
    axes.legend(loc="lower right", handles=method_handles(marks(curves)))
    return figure


def share_curves(axes: Axes, curves: Mapping[str, ArrayLike], alphas: ArrayLike, *, line: str | None = None) -> None:
    """Shares over thresholds: the mean of the seeds and, as a band, the lowest and the highest.

    Args: line: a line style instead of the methods' own.
    """
    thresholds = np.asarray(alphas, dtype=np.float64)
    for method, mark in marks(curves).items():
        each = np.atleast_2d(np.asarray(curves[method], dtype=np.float64))
        axes.plot(thresholds, each.mean(0), color=mark.colour, ls=line or mark.line, label=mark.label)
        if len(each) > 1:
            axes.fill_between(thresholds, each.min(0), each.max(0), color=mark.colour, alpha=0.16, lw=0)


def threshold_axes(axes: Axes, alphas: ArrayLike, *, alpha: float | None, unit: str, what: str) -> None:
    """Axes of a share over its threshold, with a dashed line at that of the tables."""
    if alpha is not None:
        axes.axvline(alpha, color=FAINT, ls="--", lw=1.2, zorder=1)
    axes.set(xlim=(0.0, float(np.asarray(alphas).max())), ylim=(0.0, 1.0), ylabel=f"{what} within the threshold")
    axes.set_xlabel(f"threshold{bracketed(unit)}")
    percent_axis(axes)


@house_style()
def confusion_bars(results: Results, *, names: Mapping[str, str] | None = None) -> Figure:
    """Left-right swaps, double counts and how many of these are right, one panel each.

    Args:
        results: method to ``swaps``, ``double``, ``double_right``; a panel that no method has a share for is left out.
        names: key to title, for other shares than these three.
    """
    drawn, names = marks(results), CONFUSIONS if names is None else names
    there = [key for key in names if any(np.isfinite(seeds(result, key)).any() for result in results.values())]
    figure = new_figure(max(1.4 + 2.7 * len(there), 4.4), 1.1 + 0.42 * len(results))
    figure.set_layout_engine("constrained", wspace=0.06)  # room between one panel's last tick and the next one's 0
    panels = figure.subplots(1, max(len(there), 1), sharey=True, squeeze=False)[0]
    if not there:
        no_data(panels[0], "nothing was counted")
        return figure
    for axes, key in zip(panels, there, strict=True):
        for row, (method, result) in enumerate(results.items()):
            _bar(axes, row, seeds(result, key), drawn[method].colour)
        axes.set(title=names[key], yticks=range(len(results)))
        axes.margins(x=0.3)
        axes.set_xlim(left=0.0)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4)
        percent_axis(axes, "x")
    panels[0].set_yticklabels([mark.label for mark in drawn.values()], fontsize=11)
    panels[0].invert_yaxis()
    return figure


def _bar(axes: Axes, row: int, share: Array, colour: str) -> None:
    mean, low, high = (float(how(share)) for how in (np.mean, np.min, np.max))
    if np.isnan(mean):
        axes.text(0.0, row, f" {DASH}", va="center", color="#666666")
        return
    axes.barh(row, mean, height=0.66, color=colour)
    if share.size > 1:
        axes.errorbar(mean, row, xerr=[[mean - low], [high - mean]], color="#444444", lw=1.2, capsize=2.5, zorder=3)
    axes.annotate(percent(mean), (high, row), (5, 0), textcoords="offset points", va="center")


@house_style()
def stick_figures(
    images: Sequence[NDArray[Any]],
    poses: Mapping[str, ArrayLike],
    *,
    limbs: Sequence[tuple[int, int]],
    pairs: Sequence[tuple[int, int]] = (),
    missed: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Poses drawn into their images: a column for each image, a row for each method.

    The two sides of a person have two colours, so that left taken for right is seen at once.

    Args:
        images: N images (H, W, 3) RGB or (H, W) grey, uint8.
        poses: method, or another word such as ``"annotated"``, to ``(N, K, 2)`` points in px of the images; NaN is
            not drawn.
        limbs: pairs of points joined by a line, as indices.
        pairs: left and right points, as indices.
        missed: method to ``(N, K)`` booleans: points ringed in red, e.g. those beyond PCK's threshold.

    Raises:
        ValueError: poses that are not one for each image.
    """
    drawn, shape = marks(poses), max((image.shape[0] / image.shape[1] for image in images), default=1.0)
    figure = new_figure(0.3 + 1.8 * len(images), 0.1 + 1.8 * shape * len(poses))
    grid = figure.subplots(len(poses), len(images), squeeze=False)
    for panels, (method, pose) in zip(grid, poses.items(), strict=True):
        points = np.asarray(pose, dtype=np.float64)
        if points.ndim != 3 or len(points) != len(images) or points.shape[2] != 2:
            raise ValueError(f"stick_figures: expected {method} of shape ({len(images)}, K, 2), got {points.shape}.")
        far = np.broadcast_to(np.asarray((missed or {}).get(method, False), dtype=bool), points.shape[:2])
        for axes, image, joints, ringed in zip(panels, images, points, far, strict=True):
            picture(axes, image)
            _sticks(axes, joints, limbs, _side_colours(len(joints), pairs), ringed)
        panels[0].set_ylabel(drawn[method].label, fontsize=11)
    return figure


def picture(axes: Axes, image: NDArray[Any]) -> None:
    """An image without axes; the centre of its first pixel is (0, 0)."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axes.set(xticks=[], yticks=[], xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _side_colours(points: int, pairs: Sequence[tuple[int, int]]) -> list[str]:
    side = {end: colour for pair in pairs for end, colour in zip(pair, SIDES, strict=True)}
    return [side.get(k, MIDDLE) for k in range(points)]


def _sticks(
    axes: Axes, joints: Array, limbs: Sequence[tuple[int, int]], colours: Sequence[str], ringed: NDArray[np.bool_]
) -> None:
    shadow = [Stroke(linewidth=3.6, foreground="#111111"), Normal()]
    for a, b in limbs:
        sides = {colours[a], colours[b]} - {MIDDLE}  # a limb of one side has its colour, one across has none
        colour = sides.pop() if len(sides) == 1 else MIDDLE
        axes.plot(*joints[[a, b]].T, color=colour, lw=2.2, solid_capstyle="round", path_effects=shadow)
    x, y = joints.T
    axes.scatter(x, y, s=11, c=list(colours), edgecolors="#111111", linewidths=0.6, zorder=3)
    axes.scatter(x[ringed], y[ringed], s=58, facecolors="none", edgecolors=MISSED, linewidths=1.6, zorder=4)
