"""Hard examples: the images whose labels a classifier finds least probable, and where anchor loss exceeds BCE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from steadfit.reports.axes import no_data, picture
from steadfit.reports.overlays import Load, as_rgb
from steadfit.reports.palette import INK, PREDICTED_TEXT
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, new_figure
from steadfit.reports.values import Array, believed, one_line, percent

NONE = (0.0, 0.0, 0.0, 0.0)
REDS = LinearSegmentedColormap.from_list("excess", [(1.0, 0.35, 0.2, 0.35), (0.85, 0.0, 0.1, 0.95)])
EXCESS = REDS.with_extremes(under=NONE, bad=NONE)


@house_style()
def hardest_gallery(table: pd.DataFrame, load: Load, *, tiles: int = 24, columns: int = 8) -> Panel:
    """The images to whose labels the network gives the least probability: hard ones, or wrong labels.

    Args:
        table: the images with ``image``, ``label``, ``predicted`` and ``probability`` (of the label), worst first.
        load: gives the image (RGB or grey, uint8) of a name in the table.
        tiles: the number of images.
        columns: the number of images in a row.
    """
    worst = table.head(tiles)
    rows = max(-(-len(worst) // columns), 1)
    figure = new_figure(1.25 * columns, 1.75 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    small: dict[str, Any] = {"fontsize": 7.5, "loc": "center", "pad": 3}
    for axes in panels:
        axes.set_axis_off()
    for axes, row in zip(panels, worst.itertuples(), strict=False):
        axes.imshow(as_rgb(load(str(row.image))), interpolation="nearest")
        title = f"{_cut(str(row.label))}\n{believed(float(str(row.probability)))}"
        axes.set_title(title, fontweight="normal", color=INK, **small)
        seen = f"→ {_cut(str(row.predicted))}"
        axes.text(0.5, -0.05, seen, transform=axes.transAxes, ha="center", va="top", color=PREDICTED_TEXT, fontsize=7.5)
    if worst.empty:
        no_data(panels[0], "no image")
    caption = "Label and its probability, and below the image what the network predicts: hard images, or wrong labels."
    return Panel(figure, "The hardest training images", caption, name="hardest_images")


def _cut(text: str, length: int = 14) -> str:
    text = one_line(text)
    return text if len(text) <= length else text[: length - 1] + "…"


@house_style()
def excess_maps(
    frames: ArrayLike,
    points: ArrayLike,
    modulator: Mapping[int, ArrayLike],
    *,
    names: Sequence[str] = (),
    joints: Sequence[int] | None = None,
) -> Panel:
    """Where anchor loss exceeds cross entropy: in red, for one joint of each image, after each epoch.

    A pixel is red where its factor (1 + q - q*)^gamma is above 1: the network finds the joint more probable there than
    in its own place. The number is the share of such pixels.

    Args:
        frames: ``(M, C, H, W)`` images, uint8.
        points: ``(M, K, 2)`` annotations in px of the frames; NaN is missing.
        modulator: for each epoch ``(M, K, h, w)`` factors; the maps cover the frames.
        names: K names of the joints, written next to the images.
        joints: M joints to show; None: in each image the annotated one that exceeds by most in the first of the epochs.

    Raises:
        ValueError: shapes that do not fit, or no epoch.

    References:
        Ryou et al., Anchor loss, ICCV 2019, Fig. 7.
    """
    images, known = np.asarray(frames), np.asarray(points, dtype=np.float64)
    maps = {epoch: np.asarray(value, dtype=np.float64) for epoch, value in sorted(modulator.items())}
    _check_maps(images, known, maps)
    shown = _most_exceeding(next(iter(maps.values())), known) if joints is None else list(joints)
    picked = {epoch: value[np.arange(len(images)), shown] for epoch, value in maps.items()}  # (M, h, w)
    scale = Normalize(np.nextafter(1.0, 2.0), max(1.01, *(float(np.nanmax(value)) for value in picked.values())))
    figure = new_figure(1.0 + 1.75 * (1 + len(maps)), 0.2 + 1.75 * len(images) * images.shape[2] / images.shape[3])
    grid = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    for m, (panels, image, joint) in enumerate(zip(grid, images, shown, strict=True)):
        for axes, excess in zip(panels, [None, *(value[m] for value in picked.values())], strict=True):
            layer = _excess_panel(axes, image, known[m, joint], excess, scale)
        panels[0].set_ylabel(names[joint].replace("_", " ") if names else f"point {joint}", fontsize=11)
    for axes, title in zip(grid[0], ["image", *(f"epoch {epoch}" for epoch in maps)], strict=True):
        axes.set_title(title, loc="center")
    bar = figure.colorbar(layer, ax=grid, shrink=0.6, aspect=26, pad=0.01)
    bar.set_label("factor on cross entropy")
    bar.outline.set_visible(False)
    caption = (
        "One joint of each image. Red: the network finds the joint more probable there than in its own place, "
        "so that anchor loss weighs the pixel more than cross entropy does. The number is the share of such pixels."
    )
    return Panel(figure, "Where anchor loss exceeds cross entropy", caption, name="excess")


def _most_exceeding(first: Array, points: Array) -> list[int]:
    """The annotated joint of each image whose map is highest; joint 0 where nothing is annotated."""
    highest = np.where(np.isnan(points).any(axis=2), -np.inf, np.nan_to_num(first).max(axis=(2, 3)))
    return [int(k) for k in highest.argmax(axis=1)]


def _excess_panel(
    axes: Axes, image: NDArray[np.uint8], point: Array, excess: Array | None, scale: Normalize
) -> AxesImage:
    """A faded grey image below the excess, or the image itself without one; the annotation as a cross."""
    height, width = image.shape[1:]
    colours = image.transpose(1, 2, 0)  # (H, W, C)
    picture(axes, colours.squeeze() if excess is None else 0.55 * colours.mean(axis=2) + 110)
    layer = axes.imshow(
        np.full((1, 1), np.nan) if excess is None else excess, cmap=EXCESS, norm=scale, interpolation="nearest",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5), zorder=2,
    )  # fmt: skip
    for colour, width_, size in (("white", 3.4, 9.5), ("#00875A", 1.8, 8.0)):
        axes.plot(*point, marker="x", ms=size, mew=width_, color=colour, zorder=3)
    if excess is not None:
        axes.text(
            0.03, 0.03, percent(float((excess > 1).mean())), transform=axes.transAxes, fontsize=8.5, zorder=4,
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8},
        )  # fmt: skip
    return layer


def _check_maps(frames: NDArray[np.uint8], points: Array, maps: Mapping[int, Array]) -> None:
    if frames.ndim != 4 or points.ndim != 3 or len(points) != len(frames) or points.shape[2] != 2:
        raise ValueError(
            f"excess_maps: expected frames (M, C, H, W) and points (M, K, 2), got {frames.shape} and {points.shape}."
        )
    if not maps:
        raise ValueError("excess_maps: expected the modulator of at least one epoch, got none.")
    for epoch, value in maps.items():
        if value.ndim != 4 or value.shape[:2] != points.shape[:2]:
            raise ValueError(
                f"excess_maps: expected a modulator ({points.shape[0]}, {points.shape[1]}, h, w) for epoch {epoch}, "
                f"got {value.shape}."
            )
