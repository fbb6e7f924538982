"""Poses of several methods drawn into their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import ArrayLike, NDArray

from steadfit.reports.axes import picture
from steadfit.reports.methods import marks
from steadfit.reports.palette import EDGE, MISSED, limb_colour, side_colours
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, new_figure
from steadfit.reports.values import Array

Limbs = Sequence[tuple[int, int]]


@house_style()
def stick_figures(
    images: Sequence[NDArray[Any]],
    poses: Mapping[str, ArrayLike],
    *,
    limbs: Limbs,
    pairs: Limbs = (),
    missed: Mapping[str, ArrayLike] | None = None,
) -> Panel:
    """Poses drawn into their images: one column per image, one row per method.

    The two sides of a person have two colours, so that exchanged sides are visible at once.

    Args:
        images: N images (H, W, 3) RGB or (H, W) grey, uint8.
        poses: for each method, or another word such as ``"annotated"``, ``(N, K, 2)`` points in px of the images; NaN
            is not drawn.
        limbs: pairs of points joined by a line, as indices.
        pairs: left and right points, as indices.
        missed: for each method ``(N, K)`` booleans: points ringed in red, e.g. those beyond PCK's threshold. None:
            none.

    Raises:
        ValueError: poses whose number is not that of the images.
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
            _sticks(axes, joints, limbs, side_colours(len(joints), pairs), ringed)
        panels[0].set_ylabel(drawn[method].label, fontsize=11)
    caption = "Annotated and predicted points on a few images."
    caption += " The two sides have two colours." if pairs else ""
    caption += " Points ringed in red are farther from their annotation than PCK allows." if missed else ""
    return Panel(figure, "Predicted points", caption, name="poses")


def _sticks(axes: Axes, joints: Array, limbs: Limbs, colours: Sequence[str], ringed: NDArray[np.bool_]) -> None:
    shadow = [Stroke(linewidth=3.6, foreground=EDGE), Normal()]
    for limb in limbs:
        x, y = joints[list(limb)].T
        axes.plot(x, y, color=limb_colour(limb, colours), lw=2.2, solid_capstyle="round", path_effects=shadow)
    x, y = joints.T
    axes.scatter(x, y, s=11, c=list(colours), edgecolors=EDGE, linewidths=0.6, zorder=3)
    axes.scatter(x[ringed], y[ringed], s=58, facecolors="none", edgecolors=MISSED, linewidths=1.6, zorder=4)
