"""Crops of a cascade: where the first stage places them, and what the second stage finds in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import cv2
import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from steadfit.reports.axes import picture
from steadfit.reports.palette import EDGE, INK, REGIONS
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, new_figure
from steadfit.reports.values import Array

SIDE = 96  # px of a crop in the figure


@house_style()
def crop_figure(
    images: Sequence[NDArray[Any]],
    estimate: ArrayLike,
    boxes: Mapping[str, ArrayLike],
    found: Mapping[str, ArrayLike],
) -> Panel:
    """One row per image: the whole image with the first stage's points and crops, then every crop with its points.

    Args:
        images: N images (H, W, 3) RGB or (H, W) grey, uint8.
        estimate: (N, K, 2), points of the first stage, in px.
        boxes: for each region (N, 4) left, top, width, height in px; a crop beyond its image repeats its edge.
        found: for each region its points after the second stage (N, n, 2), in px of the image.

    Raises:
        ValueError: arrays whose number of rows is not that of the images.
    """
    first = np.asarray(estimate, dtype=np.float64)
    crops = {name: np.asarray(box, dtype=np.float64) for name, box in boxes.items()}
    inside = {name: np.asarray(points, dtype=np.float64) for name, points in found.items()}
    for name, array in [("estimate", first), *crops.items(), *inside.items()]:
        if len(array) != len(images):
            raise ValueError(f"crop_figure: expected {name} of {len(images)} images, got {len(array)}.")
    figure = new_figure(0.3 + 2.0 * (1 + len(crops)), 0.3 + 2.1 * len(images))
    grid = figure.subplots(len(images), 1 + len(crops), squeeze=False)
    for row, (panels, image) in enumerate(zip(grid, images, strict=True)):
        picture(panels[0], image)
        panels[0].scatter(*first[row].T, s=9, c="white", edgecolors=EDGE, linewidths=0.6, zorder=3)
        for axes, (name, box), colour in zip(panels[1:], crops.items(), cycle(REGIONS), strict=False):
            x, y, width, height = box[row]
            panels[0].add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, ec=colour, lw=1.8))
            picture(axes, _cut(image, box[row]))
            points = _into(inside[name][row], box[row])
            axes.scatter(*points.T, s=26, c=colour, edgecolors=EDGE, linewidths=0.8, zorder=3)
            if not row:
                axes.set_title(name, color=INK)
        if not row:
            panels[0].set_title("first stage")
    caption = "The first stage's points and the crops that they place, and what the second stage finds in each."
    return Panel(figure, "Where the second stage looks", caption, name="crops")


def _cut(image: NDArray[Any], box: Array) -> NDArray[Any]:
    """The crop of a box in ``SIDE`` px, edges repeated."""
    scale = SIDE / box[2:].max()
    shift = (SIDE - 1) / 2 - scale * (box[:2] + (box[2:] - 1) / 2)
    rows = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.warpAffine(image, rows, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _into(points: Array, box: Array) -> Array:
    """Points of the image in px of the crop in the figure."""
    scale = SIDE / box[2:].max()
    moved: Array = (points - (box[:2] + (box[2:] - 1) / 2)) * scale + (SIDE - 1) / 2
    return moved
