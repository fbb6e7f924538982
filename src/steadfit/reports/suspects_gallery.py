"""Gallery of suspect labels: what was annotated, and what the network predicts instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from steadfit.audit import suspects
from steadfit.reports.axes import no_data
from steadfit.reports.overlays import Load, as_rgb
from steadfit.reports.palette import GIVEN, NOTE, OUTSIDE, PREDICTED, PREDICTED_TEXT
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, legend_above, new_figure
from steadfit.reports.thumbnails import Box, in_view, label_values, view
from steadfit.reports.values import believed, one_line, short, with_unit

JOIN = [withStroke(linewidth=2.0, foreground="#80868B")]  # without it a white line is invisible outside the image
NAME, COLUMNS = "suspects_gallery", 6
POINTS = (
    "The annotation (red cross; an arrow where it is far outside) and the point that the network predicts (green ring) "
    "of each suspect. If the ring is right, the annotation is wrong."
)
SCALARS = (
    "The given value (red) and the predicted one (green) of each suspect. If the green one fits, the label is wrong."
)


@house_style()
def suspects_gallery(
    images: Sequence[NDArray[Any]],
    given: ArrayLike,
    predicted: ArrayLike,
    trust: ArrayLike,
    names: Sequence[str],
    *,
    points: Sequence[str] | None = None,
    others: Sequence[ArrayLike] | None = None,
    unit: str = "",
    of: str = "",
) -> Panel:
    """A grid of images, one suspect label each: given as a red cross, predicted as a green ring.

    Large images are cut to the surroundings of the two, and an arrow points to a given label that is out of view. For
    scalars, given and predicted are below the image.

    Args:
        images: M images, (H, W, 3) RGB or (H, W) grey, uint8.
        given: (M, 2) annotated points in pixels of their images (first pixel's centre at 0), or (M, 1) scalars.
        predicted: predictions of the same shape.
        trust: (M,) in [0, 1].
        names: (M,) file names, shown shortened.
        points: (M,) names of the points; None: without names.
        others: M arrays (K, 2), the image's other annotated points, drawn faintly; None: none.
        unit: the unit of the scalars.
        of: the run to which the suspects belong, for the title.

    Raises:
        ValueError: numbers of images, labels and names differ.
    """
    given, predicted, trust = (np.asarray(value, dtype=float) for value in (given, predicted, trust))
    _check(len(images), given, predicted, trust, names)
    scalar = given.shape[1] == 1
    title, caption = f"The worst suspects of {of}" if of else "The worst suspects", SCALARS if scalar else POINTS
    if not len(images):
        return Panel(_empty(), title, caption, name=NAME)
    columns = min(COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    figure, outside = new_figure(1.75 * max(columns, 3) + 0.2, (2.3 if scalar else 2.15) * rows + 0.5), False
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for i, axes in enumerate(panels):
        axes.set(xticks=[], yticks=[], facecolor=OUTSIDE, frame_on=i < len(images))
        axes.spines[:].set_visible(False)
        if i < len(images):
            label = points[i] if points is not None else ""
            _title(axes, names[i], label, float(trust[i]))
            box = view(images[i], given[i], predicted[i])
            _show(axes, images[i], box)
            if scalar:
                _below(axes, float(given[i, 0]), float(predicted[i, 0]))
            else:
                outside |= not _mark(axes, given[i], predicted[i], box, None if others is None else others[i])
    legend_above(figure, _legend(unit if scalar else None, others is not None, outside))
    return Panel(figure, title, caption, name=NAME)


def gallery(
    table: pd.DataFrame, load: Load, *, count: int = 24, per_image: int = 1, unit: str = "", of: str = ""
) -> Panel:
    """The gallery of the worst suspects of a table of labels.

    Args:
        table: the whole table of labels with ``image``: the other points of each image come from it.
        load: gives the image (RGB, uint8) of a path in the table.
        count: the number of tiles.
        per_image: the largest number of tiles of one image, so that one bad sample does not fill the page.
        unit: the unit of scalars.
        of: the run to which the suspects belong, for the title.
    """
    worst = suspects(table[table["x"].notna()] if "x" in table else table)  # in a mixed table only points
    worst = worst[worst.groupby("image").cumcount() < per_image].head(count)
    given, predicted = label_values(worst)
    scalar = given.shape[1] == 1
    images = {name: load(name) for name in dict.fromkeys(worst["image"])}
    return suspects_gallery(
        [images[name] for name in worst["image"]],
        given,
        predicted,
        worst["trust"].to_numpy(dtype=float),
        list(worst["image"]),
        points=list(worst["point"]),
        others=None if scalar else [_others(table, row) for row in worst.itertuples()],
        unit=unit,
        of=of,
    )


def _others(table: pd.DataFrame, row: Any) -> NDArray[np.float64]:
    same = table[(table["image"] == row.image) & (table["line"] == row.line) & (table["point"] != row.point)]
    return np.asarray(same[["x", "y"]], dtype=float)


def _check(count: int, given: NDArray[Any], predicted: NDArray[Any], trust: NDArray[Any], names: Sequence[str]) -> None:
    if given.ndim != 2 or given.shape[1] not in (1, 2) or given.shape != predicted.shape:
        raise ValueError(
            f"suspects_gallery: expected given and predicted of one shape (M, 1) or (M, 2), got {given.shape} and "
            f"{predicted.shape}."
        )
    if not count == len(given) == len(trust) == len(names):
        raise ValueError(
            f"suspects_gallery: expected as many images as labels, trusts and names, got {count}, {len(given)}, "
            f"{len(trust)} and {len(names)}."
        )


def _empty() -> Figure:
    figure = new_figure(6.0, 1.6)
    no_data(figure.subplots(), "no label is suspect")
    return figure


def _show(axes: Axes, image: NDArray[Any], box: Box) -> None:
    """Show only the pixels in view, at their true coordinates."""
    height, width = image.shape[:2]
    left, top = max(math.floor(box[0]) - 2, 0), max(math.floor(box[2]) - 2, 0)
    right, bottom = min(math.ceil(box[1]) + 3, width), min(math.ceil(box[3]) + 3, height)
    if right > left and bottom > top:
        extent = (left - 0.5, right - 0.5, bottom - 0.5, top - 0.5)
        axes.imshow(as_rgb(image[top:bottom, left:right]), extent=extent, interpolation="bicubic")
    axes.set(xlim=box[:2], ylim=(box[3], box[2]), aspect="equal")


def _mark(axes: Axes, given: NDArray[Any], predicted: NDArray[Any], box: Box, others: ArrayLike | None) -> bool:
    """Draw both labels; return whether the given one is in view."""
    if others is not None:
        rest = np.asarray(others, dtype=float).reshape(-1, 2)
        axes.scatter(rest[:, 0], rest[:, 1], s=9, c="white", alpha=0.65, edgecolors="#333333", linewidths=0.4)
    around = [withStroke(linewidth=3.2, foreground="white")]
    where, inside = in_view(given, predicted, box)
    axes.plot(*zip(where, predicted, strict=True), color="white", lw=1.0, path_effects=JOIN)
    axes.plot(*predicted, "o", ms=10, mfc="none", mec=PREDICTED, mew=1.8, path_effects=around)
    if inside:
        axes.plot(*where, "x", ms=7.5, mec=GIVEN, mew=2.0, path_effects=around, clip_on=False)
    else:
        x, y = np.asarray(given) - where
        turn = math.degrees(math.atan2(-y, x)) - 90  # a triangle of turn 0 points up, and rows count downwards
        axes.plot(*where, marker=(3, 0, turn), ms=12, mfc=GIVEN, mec="white", mew=1.0)
    return inside


def _title(axes: Axes, name: str, point: str, trust: float) -> None:
    level = f"trust {believed(trust)}"
    second = f"{_shorten(point, 16)}, {level}" if point else level
    text = f"{_shorten(name, 24)}\n{second}"
    axes.set_title(text, fontsize=7.5, fontweight="normal", loc="center", color="#333333", pad=3)


def _shorten(text: str, length: int) -> str:
    """A shortened path: its end is more informative than its start."""
    text = one_line(text)
    return text if len(text) <= length else "…" + text[1 - length :]


def _below(axes: Axes, given: float, predicted: float) -> None:
    style: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "fontsize": 10, "fontweight": "bold"}
    axes.text(0.43, -0.04, short(given), ha="right", color=GIVEN, **style)
    axes.text(0.5, -0.04, "→", ha="center", color=NOTE, **style)
    axes.text(0.57, -0.04, short(predicted), ha="left", color=PREDICTED_TEXT, **style)


def _legend(unit: str | None, others: bool, outside: bool) -> list[Line2D]:
    if unit is not None:
        return [
            Line2D([], [], ls="", label="given", marker="s", color=GIVEN),
            Line2D([], [], ls="", label=with_unit("predicted", unit), marker="s", color=PREDICTED_TEXT),
        ]
    handles = [
        Line2D([], [], ls="", marker="x", ms=8, mec=GIVEN, mew=2.0, label="given"),
        Line2D([], [], ls="", marker="o", ms=10, mfc="none", mec=PREDICTED, mew=1.8, label="predicted"),
    ]
    if outside:
        handles.insert(
            1, Line2D([], [], ls="", marker=(3, 0, -90), ms=11, mfc=GIVEN, mec="white", label="given, far outside")
        )
    if others:
        handles.append(Line2D([], [], ls="", marker="o", ms=4, mfc="white", mec="#333333", label="other given labels"))
    return handles
