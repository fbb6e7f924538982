"""Which classes are mistaken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from steadfit.reports.axes import no_data
from steadfit.reports.methods import MARKS
from steadfit.reports.palette import INK
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, new_figure
from steadfit.reports.values import Array, one_line

NAMED = 30  # classes up to this number are written on the confusion matrix


@house_style()
def confusion_figure(confusion: ArrayLike, names: Sequence[str], *, most: int = 12, split: str = "test") -> Panel:
    """Which classes are mistaken for which: shares of each true class's images, one row per class.

    Args:
        confusion: (C, C), the numbers of images, true class by predicted class.
        names: (C,), the names of the classes.
        most: with more classes than can be named, this number of the most frequent confusions is listed instead.
        split: which images were counted.
    """
    number, classes = np.asarray(confusion, dtype=np.float64), [one_line(name) for name in names]
    listed = len(classes) > NAMED
    figure = _pairs(number, classes, most) if listed else _matrix(number, classes)
    caption = f"Per cent of the {split} images of each label, by the class that the network predicts."
    if listed:
        caption = f"The most frequent confusions, by the number of {split} images."
    return Panel(figure, f"Confusions on the {split} images", caption, name="class_confusions")


def _matrix(number: Array, names: Sequence[str]) -> Figure:
    """Shares of every label's images."""
    share = number / np.maximum(number.sum(axis=1, keepdims=True), 1.0)
    side = 2.6 + 0.3 * len(names)
    figure = new_figure(side + 0.9, side)
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005:
            ink = "white" if value > 0.55 else INK
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, format=lambda value, _: f"{100 * value:g} %")
    bar.outline.set_visible(False)
    return figure


def _pairs(number: Array, names: Sequence[str], most: int) -> Figure:
    """Bars of the most frequent confusions."""
    off = number - np.diag(np.diag(number))
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    pairs = [(int(k // len(names)), int(k % len(names))) for k in order if off.flat[k] > 0]
    figure = new_figure(8.0, 1.2 + 0.34 * max(len(pairs), 1))
    axes = figure.subplots()
    if not pairs:
        no_data(axes, "no image is mistaken for another class")
        return figure
    axes.barh(range(len(pairs)), [off[pair] for pair in pairs], color=MARKS["bce"].colour, height=0.66)
    axes.set_yticks(range(len(pairs)), [f"{names[i]} → {names[j]}" for i, j in pairs])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="images, label → predicted")
    return figure
