"""What losses for hard examples do over the epochs: validation curves, and where anchor loss exceeds cross entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from steadfit.reports.joints import Array
from steadfit.reports.methods import marks
from steadfit.reports.poses import picture
from steadfit.reports.style import house_style, legend_above, method_handles, new_figure, no_data, percent_axis
from steadfit.reports.values import percent

Histories = Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]]

NONE = (0.0, 0.0, 0.0, 0.0)
REDS = LinearSegmentedColormap.from_list("excess", [(1.0, 0.35, 0.2, 0.35), (0.85, 0.0, 0.1, 0.95)])
EXCESS = REDS.with_extremes(under=NONE, bad=NONE)


@house_style()
def validation_curves(
    histories: Histories, column: str, *, label: str = "", warm_up: int = 0, percentages: bool = True
) -> Figure:
    """A column of the histories by epoch, one line for each method: the mean over seeds in a band to the extremes.

    Args:
        histories: method to its history, or to one for each seed; the mean stands where every seed has a value.
        column: of the histories, e.g. ``"val_top1"``; a method without it has no line.
        label: of the vertical axis; the column's name without one.
        warm_up: the first so many epochs are shaded.
        percentages: the column is a share in [0, 1].
    """
    drawn = marks(histories)
    figure = new_figure(8.0, 4.4)
    axes = figure.subplots()
    for method, found in histories.items():
        every = [found] if isinstance(found, pd.DataFrame) else list(found)
        if not all(column in history for history in every):
            continue
        table = pd.concat([history.set_index("epoch")[column] for history in every], axis=1).dropna()  # (epochs, S)
        mark, epochs = drawn[method], np.asarray(table.index, dtype=np.float64)
        marker = mark.marker if len(table) == 1 else ""
        axes.plot(epochs, table.mean(axis=1), color=mark.colour, ls=mark.line, marker=marker, label=mark.label)
        if len(every) > 1:
            axes.fill_between(epochs, table.min(axis=1), table.max(axis=1), color=mark.colour, alpha=0.16, lw=0)
    if not any(len(line.get_xdata()) for line in axes.lines):  # type: ignore[arg-type]
        no_data(axes, f"no {label or column} was recorded")
        return figure
    if warm_up:
        _shade(axes, warm_up)
    axes.set(xlabel="epoch", ylabel=label or column)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if percentages:
        percent_axis(axes)
    legend_above(figure, method_handles(drawn))
    return figure


def _shade(axes: Axes, warm_up: int) -> None:
    axes.axvspan(0.5, warm_up + 0.5, color="#EEF1F4", zorder=0, lw=0)
    axes.set_xlim(0.5, None)
    axes.annotate(
        "warm-up", (0.5, 0), (6, 6), xycoords=("data", "axes fraction"), textcoords="offset points", color="#666666",
        fontsize=9,
    )  # fmt: skip


@house_style()
def excess_maps(
    frames: ArrayLike,
    points: ArrayLike,
    modulator: Mapping[int, ArrayLike],
    *,
    names: Sequence[str] = (),
    joints: Sequence[int] | None = None,
) -> Figure:
    """Where anchor loss exceeds cross entropy: in red, for one joint of each image, after each epoch.

    A pixel is red where its factor (1 + q - q*)^gamma is above 1: the network finds the joint there more probable than
    in its own place. The number is the share of such pixels.

    Args:
        frames: ``(M, C, H, W)`` images, uint8.
        points: ``(M, K, 2)`` annotations in px of the frames; NaN is missing.
        modulator: epoch to ``(M, K, h, w)`` factors; the maps cover the frames.
        names: K names of the joints, written beside the images.
        joints: M joints to show; without them, in each image the annotated one that exceeds by most in the first of
            the epochs.

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
    return figure


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
