"""A sheet of images with their labels, on which points in wrong places, in wrong order or of wrong sides are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from steadfit.reports.overlays import colours
from steadfit.reports.palette import EDGE, MIDDLE, NOTE, OUTSIDE, RIGHT, SIDES, limb_colour, side_colours
from steadfit.reports.style import house_style, new_figure
from steadfit.reports.values import Array, one_line

COLUMNS = 6
NUMBERED = 40
"""The most points whose numbers are drawn next to them."""
CLOSE = 0.4
"""A row whose labels and box span less than this share of the image is shown with its surroundings only."""


@dataclass(frozen=True)
class Tile:
    """One row of the sheet.

    Args:
        image: (H, W, 3) RGB or (H, W) grey, uint8.
        caption: a line above it.
        points: (K, 2) in px of the image, NaN = missing; None for no points.
        occluded: (K,) which points are drawn hollow; None for none.
        box: left, top, width and height in px; None for the whole image.
    """

    image: NDArray[Any]
    caption: str
    points: Array | None = None
    occluded: NDArray[np.bool_] | None = None
    box: Array | None = None


@house_style()
def contact_sheet(
    tiles: Sequence[Tile],
    names: Sequence[str] = (),
    *,
    pairs: Sequence[tuple[int, int]] = (),
    limbs: Sequence[tuple[int, int]] = (),
) -> Figure:
    """Images with their points, numbered and coloured, and a legend of the points' names.

    Occluded points are hollow, missing ones are not drawn. With pairs the first points are blue and the second ones
    orange; without, each point has a colour of its own. A small instance is shown with its surroundings.

    Args:
        tiles: the rows.
        names: K names of points.
        pairs: left and right points, as indices.
        limbs: points to join by a line, as indices.
    """
    columns = min(COLUMNS, max(len(tiles), 1))
    rows = math.ceil(len(tiles) / columns)
    per_line = max(1, int(190 / (max(map(len, names), default=1) + 9)))
    height = 0.17 * math.ceil(len(names) / per_line) + 0.5
    aspect = float(np.median([tile.image.shape[0] / tile.image.shape[1] for tile in tiles])) if tiles else 1.0
    figure = new_figure(2.6 * COLUMNS, (0.25 + 2.6 * min(max(aspect, 0.6), 1.2)) * max(rows, 1) + height)
    figure.set_layout_engine("constrained", h_pad=0.04, w_pad=0.04)
    paint = side_colours(len(names), pairs) if pairs else [_hex(colour) for colour in colours(len(names))]
    grid = figure.subplots(max(rows, 1), columns, squeeze=False).ravel()
    for axes, tile in zip(grid, tiles, strict=False):
        _draw(axes, tile, paint, limbs)
    for axes in grid[len(tiles) :]:
        axes.set_visible(False)
    if names:
        figure.legend(
            handles=_legend(names, paint), loc="outside lower left", ncols=per_line, fontsize=8, handletextpad=0.2,
            columnspacing=1.0, title=_title(pairs), title_fontsize=9, alignment="left",
        )  # fmt: skip
    return figure


def _title(pairs: Sequence[tuple[int, int]]) -> str:
    sides = "; blue: first (left) of a mirror pair, orange: second (right)" if pairs else ""
    return f"Points by number{sides}; hollow: occluded; missing ones are not drawn; dashed: box"


def _draw(axes: Axes, tile: Tile, paint: Sequence[str], limbs: Sequence[tuple[int, int]]) -> None:
    height, width = tile.image.shape[:2]
    axes.imshow(tile.image, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    axes.set(xticks=[], yticks=[], facecolor=OUTSIDE)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(one_line(tile.caption), fontsize=7.5, fontweight="normal", color=NOTE)
    left, top, right, bottom = _view(tile, width, height)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    if tile.box is not None:
        x, y, w, h = tile.box
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), w, h, fill=False, ec="white", lw=1.8))
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), w, h, fill=False, ec=RIGHT, lw=1.2, ls="--"))
    if tile.points is not None:
        _points(axes, tile.points, tile.occluded, paint, limbs)


def _points(
    axes: Axes,
    points: Array,
    occluded: NDArray[np.bool_] | None,
    paint: Sequence[str],
    limbs: Sequence[tuple[int, int]],
) -> None:
    edge = [Stroke(linewidth=2.2, foreground=EDGE), Normal()]
    for limb in limbs:
        x, y = points[list(limb)].T
        colour = limb_colour(limb, paint) if set(paint) <= {*SIDES, MIDDLE} else MIDDLE
        axes.plot(x, y, color=colour, lw=1.2, path_effects=edge)
    hidden = np.zeros(len(points), dtype=bool) if occluded is None else occluded
    for k in np.flatnonzero(~np.isnan(points).any(axis=1)).tolist():
        _point(axes, points[k], paint[k], hollow=bool(hidden[k]), size=26 if len(points) <= NUMBERED else 7)
        if len(points) <= NUMBERED:
            axes.annotate(
                str(k), points[k], (3, 2), textcoords="offset points", fontsize=6, color="white", zorder=5,
                path_effects=[Stroke(linewidth=1.6, foreground=EDGE), Normal()], annotation_clip=True,
            )  # fmt: skip


def _point(axes: Axes, point: Array, colour: str, *, hollow: bool, size: float) -> None:
    x, y = point
    if hollow:
        axes.scatter(x, y, s=1.3 * size, facecolors="none", edgecolors=EDGE, linewidths=2.6, zorder=3)
        axes.scatter(x, y, s=1.3 * size, facecolors="none", edgecolors=colour, linewidths=1.4, zorder=4)
    else:
        axes.scatter(x, y, s=size, facecolors=colour, edgecolors=EDGE, linewidths=0.7, zorder=4)


def _view(tile: Tile, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is shown: a small instance's surroundings, or the image and what is beyond.

    Labels beyond the image are shown up to half of its longer side away.
    """
    low, high = np.array([-0.5, -0.5]), np.array([width, height]) - 0.5
    reach, side = _reach(tile), float(max(width, height))
    if len(reach):
        first, last = reach.min(axis=0), reach.max(axis=0)
        span = float((last - first).max())
        half = max(0.85 * span + 4, 0.0 if tile.box is not None else 0.25 * side)
        around = np.maximum((first + last) / 2 - half, low), np.minimum((first + last) / 2 + half, high)
        if span < CLOSE * side and (around[1] - around[0] > 4).all():
            low, high = around
        else:
            room = 0.03 * side
            low = np.where(first < low, np.maximum(first - room, low - side / 2), low)
            high = np.where(last > high, np.minimum(last + room, high + side / 2), high)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _reach(tile: Tile) -> Array:
    """The labels, and two corners of the box, (M, 2)."""
    points = np.empty((0, 2)) if tile.points is None else tile.points[~np.isnan(tile.points).any(axis=1)]
    return points if tile.box is None else np.concatenate([points, [tile.box[:2], tile.box[:2] + tile.box[2:]]])


def _legend(names: Sequence[str], paint: Sequence[str]) -> list[Line2D]:
    words = [str(k) if name == str(k) else f"{k} {one_line(name)}" for k, name in enumerate(names)]
    return [
        Line2D([], [], ls="", marker="o", ms=5, mfc=colour, mec=EDGE, mew=0.6, label=word)
        for word, colour in zip(words, paint, strict=True)
    ]


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour)


@house_style()
def target_histograms(names: Sequence[str], values: Array, *, most: int = 24) -> Figure:
    """Histograms of the values of scalar targets.

    Args:
        names: K names.
        values: (N, K), NaN = missing.
        most: the number of targets that are drawn, from the first on.
    """
    shown = min(len(names), most)
    columns = min(4, shown)
    figure = new_figure(3.2 * columns, 2.4 * math.ceil(shown / columns))
    grid = figure.subplots(math.ceil(shown / columns), columns, squeeze=False).ravel()
    for axes, name, value in zip(grid, names, values.T, strict=False):
        axes.hist(value[~np.isnan(value)], bins=40, color=RIGHT)
        axes.set(title=one_line(name), ylabel="rows")
    for axes in grid[shown:]:
        axes.set_visible(False)
    return figure
