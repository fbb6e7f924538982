"""Figures and report of a classifier, and of a comparison of losses: plain data in, files out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from steadfit.reports.hard import validation_curves
from steadfit.reports.html import embedded, render
from steadfit.reports.losses import losses_frame, verdict
from steadfit.reports.methods import marks
from steadfit.reports.overlays import as_rgb
from steadfit.reports.style import INK, house_style, new_figure, no_data, save
from steadfit.reports.values import as_text, count, flat, percent, short

Load = Callable[[str], NDArray[np.uint8]]
Histories = Mapping[str, Sequence[pd.DataFrame]]

ROWS = 50  # of the hardest images' table in the report
NAMED = 30  # classes up to this number are written on the confusion matrix
LOSS_NOTE = (
    "Top-1 and top-5: shares of the test images, mean ± standard deviation over the seeds. * p < .05, ** p < .01, "
    "*** p < .001 against {against}: exact sign-flip test over the images, for one seed McNemar's, with Holm's "
    "correction. The test says whether these networks differ on other images like these; how much another seed changes "
    "is told by the deviation."
)


@house_style()
def confusion_figure(confusion: ArrayLike, names: Sequence[str], *, most: int = 12) -> Figure:
    """Which classes are taken for which: shares of each true class's images, a row a class.

    Args:
        confusion: (C, C) numbers of images, true class by predicted class.
        names: C.
        most: with more classes than can be named, the most frequent confusions are listed instead, so many.
    """
    number = np.asarray(confusion, dtype=np.float64)
    if len(names) > NAMED:
        return _confused_pairs(number, names, most)
    share = number / np.maximum(number.sum(axis=1, keepdims=True), 1.0)
    side = 2.6 + 0.3 * len(names)
    figure = new_figure(side + 0.9, side)
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005:
            text = f"{100 * value:.0f}"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.55 else "#222222"
            )
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, format=lambda value, _: f"{100 * value:g} %")
    bar.outline.set_visible(False)
    return figure


def _confused_pairs(number: NDArray[np.float64], names: Sequence[str], most: int) -> Figure:
    """Bars of the most frequent confusions."""
    off = number - np.diag(np.diag(number))
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    pairs = [(int(k // len(names)), int(k % len(names))) for k in order if off.flat[k] > 0]
    figure = new_figure(8.0, 1.2 + 0.34 * max(len(pairs), 1))
    axes = figure.subplots()
    if not pairs:
        no_data(axes, "no image is taken for another class")
        return figure
    axes.barh(range(len(pairs)), [off[pair] for pair in pairs], color="#2F6DB5", height=0.66)
    axes.set_yticks(range(len(pairs)), [f"{names[i]} → {names[j]}" for i, j in pairs])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="images, label → predicted")
    return figure


@house_style()
def hardest_gallery(table: pd.DataFrame, load: Load, *, tiles: int = 24, columns: int = 8) -> Figure:
    """The images whose labels the network believes least: hard ones, or wrong labels.

    Args:
        table: with ``image``, ``label``, ``predicted`` and ``probability`` (of the label), worst first.
        load: gives the image (RGB or grey, uint8) of a name in the table.
        tiles: how many. columns: of the page.
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
        axes.set_title(f"{_cut(str(row.label))}\n{_believed(row.probability)}", fontweight="normal", color=INK, **small)
        seen = f"→ {_cut(str(row.predicted))}"
        axes.text(0.5, -0.05, seen, transform=axes.transAxes, ha="center", va="top", color="#007A4D", fontsize=7.5)
    if worst.empty:
        no_data(panels[0], "no image")
    return figure


def report_classifier(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    history: pd.DataFrame,
    confusion: ArrayLike,
    names: Sequence[str],
    hardest: pd.DataFrame,
    load: Load,
    loss: str,
    shown: str = "test",
    warm_up: int = 0,
) -> Path:
    """Figures (in ``figures/``) and ``report.html`` of one run.

    Args:
        folder: the run folder.
        config: the run's configuration. metrics: its numbers, by split. history: its history.
        confusion: (C, C) of the split ``shown``. names: C.
        hardest: the training images whose labels the network believes least, worst first.
        load: gives the image of a name in ``hardest``.
        loss: its name, for the colour. warm_up: epochs of cross entropy.

    Returns: the path of the report.
    """
    figures = {
        "Validation accuracy": validation_curves(
            {loss: history}, "val_top1", label="validation top-1", warm_up=warm_up
        ),
        "Validation loss": validation_curves(
            {loss: history}, "val_loss", label="validation loss", warm_up=warm_up, percentages=False
        ),
        f"Confusions on the {shown} images": confusion_figure(confusion, names),
        "The hardest training images": hardest_gallery(hardest, load),
    }
    captions = {
        f"Confusions on the {shown} images": "Per cent of the images of each label.",
        "The hardest training images": "Label, its probability, and below what the network sees instead: hard images, "
        "or wrong labels. The list is hardest.csv.",
    }
    scores = metrics[shown]
    return render(
        "classes.html",
        Path(folder) / "report.html",
        title=f"Run {Path(folder).resolve().name}",
        subtitle=_subtitle(config),
        lead=_run_lead(scores, shown, len(names)),
        cards=[
            {
                "title": f"Top-1, {split}",
                "value": percent(float(part["top1"])),
                "meaning": f"{count(int(part['images']))} images",
            }
            for split in ("test", "val", "train")
            if (part := metrics.get(split))
        ],
        tables=[_hardest_table(hardest)],
        figures=embedded(_save(folder, figures), captions),
        metrics={key: as_text(value) for key, value in flat(metrics).items()},
        config={key: as_text(value) for key, value in flat(config).items()},
    )


def report_losses(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
    histories: Histories,
    against: str,
) -> Path:
    """Figures (in ``figures/``) and ``report.html`` of a comparison of losses.

    Args:
        folder: the folder of the comparison.
        config: what all losses had in common.
        results: loss to its numbers, as for :func:`losses_frame`.
        histories: loss to the histories of its seeds.
        against: the loss that the stars are relative to.

    Returns: the path of the report.
    """
    frame, best = losses_frame(results), max(results, key=lambda name: float(results[name]["top1"]))
    figures = {"Validation accuracy": validation_curves(histories, "val_top1", label="validation top-1")}
    rows = [{"cells": list(row), "best": name == best} for name, row in zip(results, frame.to_numpy(), strict=True)]
    heads = [{"name": str(name), "right": name not in ("loss", "")} for name in frame]
    label = marks(results)[best].label
    return render(
        "classes.html",
        Path(folder) / "report.html",
        title="Comparison of losses",
        subtitle=_subtitle(config),
        lead=f"{label} classifies the most test images right, {percent(float(results[best]['top1']))}. "
        + verdict(results, best),
        cards=[],
        tables=[
            {
                "title": "Losses",
                "heads": heads,
                "rows": rows,
                "note": LOSS_NOTE.format(against=marks([against])[against].label),
            }
        ],
        figures=embedded(
            _save(folder, figures), {"Validation accuracy": "Mean over the seeds, in a band to the extremes."}
        ),
        metrics={},
        config={key: as_text(value) for key, value in flat(config).items()},
    )


def _run_lead(scores: Mapping[str, Any], shown: str, classes: int) -> str:
    right, near = percent(float(scores["top1"])), percent(float(scores["top5"]))
    images = f"{count(int(scores['images']))} {shown} images"
    return f"{right} of the {images} are classified right; for {near} the label is among the first {min(5, classes)}."


def _hardest_table(hardest: pd.DataFrame) -> dict[str, Any]:
    rows = hardest.head(ROWS)
    heads = [{"name": str(name), "right": pd.api.types.is_numeric_dtype(rows[name].dtype)} for name in rows]
    cells = [[short(v) if isinstance(v, float) else as_text(v) for v in row] for row in rows.itertuples(index=False)]
    return {
        "title": "The hardest training images",
        "heads": heads,
        "rows": [{"cells": row, "best": False} for row in cells],
        "note": f"The first {len(rows)} of {len(hardest)} in hardest.csv, by the probability of their label.",
    }


def _save(folder: str | os.PathLike[str], figures: Mapping[str, Figure]) -> dict[str, Path]:
    names = {title: title.lower().replace(" ", "_") for title in figures}
    return {title: save(figure, Path(folder) / "figures" / f"{names[title]}.png") for title, figure in figures.items()}


def _subtitle(config: Mapping[str, Any]) -> str:
    known = flat(config)
    found = {key: known.get(key, known.get(f"settings.{key}")) for key in ("data", "loss", "network", "seed", "epochs")}
    return ", ".join(f"{key} {as_text(value)}" for key, value in found.items() if value is not None)


def _believed(value: Any) -> str:
    return "< .01" if float(value) < 0.01 else f"{float(value):.2f}"


def _cut(text: str, length: int = 14) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
