"""A whole report from a run's tables: draws the figures into the folder and writes ``report.html`` around them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steadfit.audit.suspects import suspects
from steadfit.reports.crops import thumbnails
from steadfit.reports.figures import error_cdf, failure_bars, training_curves, trust_histogram
from steadfit.reports.gallery import gallery
from steadfit.reports.html import ROWS, write_compare_report, write_run_report
from steadfit.reports.style import save
from steadfit.reports.tables import Results

Load = Callable[[str], NDArray[np.uint8]]


def report_run(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    histories: Mapping[str, pd.DataFrame],
    table: pd.DataFrame,
    load: Load | None = None,
    title: str | None = None,
    unit: str = "px",
    more: Mapping[str, Figure] | None = None,
) -> Path:
    """Figures (in ``figures/``) and ``report.html`` of one run.

    Args:
        folder: the run folder.
        config: the run's configuration.
        metrics: the run's numbers.
        histories: the run's history, by the name of its noise model; of a run in several stages one a stage.
        table: the run's labels table.
        load: gives the image (RGB or grey, uint8) of a path in ``table``; ``None`` for tables without images.
        title: heading of the report.
        unit: unit of errors and residuals.
        more: further figures, by the names of their files.

    Returns:
        The path of the report.
    """
    figures: dict[str, Figure] = {}
    listed = suspects(table)
    pictures = load is not None and "image" in table and len(listed) > 0
    if load is not None and pictures:
        figures["suspects_gallery"] = gallery(table, load, unit=unit)
    judged = table[table["split"] == "val"] if "split" in table else table
    truth = float(judged["wrong"].mean()) if "wrong" in table and len(judged) else None
    figures["training_curves"] = training_curves(histories, unit=unit, truth=truth)
    if len(table):
        figures["trust_histogram"] = trust_histogram(table, unit=unit)
    figures |= more or {}
    return write_run_report(
        folder,
        config=config,
        metrics=metrics,
        figures=_save(folder, figures),
        suspects=listed,
        title=title,
        unit=unit,
        thumbnails=thumbnails(listed, load, count=ROWS) if load is not None and pictures else (),
    )


def report_comparison(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    results: Results,
    histories: Mapping[str, pd.DataFrame],
    gallery_of: tuple[pd.DataFrame, Load] | None = None,
    gallery_title: str | None = None,
    title: str | None = None,
    unit: str = "px",
    threshold: float | None = None,
    length: float | None = None,
    failure: str = "",
    truth: float | None = None,
    against: str = "the best",
    more: Mapping[str, Figure] | None = None,
) -> Path:
    """Figures (in ``figures/``) and ``report.html`` of a comparison.

    Args:
        folder: the folder of the comparison.
        config: what all methods had in common.
        results: method to its numbers.
        histories: method to its history.
        gallery_of: a labels table and its image loader, for a gallery of one method's suspects.
        gallery_title: the heading of that gallery.
        title: heading of the report.
        unit: unit of the errors.
        threshold: errors above it are failures; in parts of ``length`` if given, else in ``unit``.
        length: the normalising length, in ``unit``.
        failure: what a failure is, in words.
        truth: the true share of wrong labels, if known.
        against: what the stars are relative to.
        more: further figures, by the names of their files.

    Returns:
        The path of the report.
    """
    figures = {"failure_bars": failure_bars(results, unit=unit, failure=failure, against=against)}
    if gallery_of is not None and gallery_of[0]["suspect"].any():
        figures["suspects_gallery"] = gallery(*gallery_of, unit=unit)
    figures["error_cdf"] = error_cdf(results, threshold=threshold, length=length, unit=unit)
    figures["training_curves"] = training_curves(histories, unit=unit, truth=truth)
    figures |= more or {}
    return write_compare_report(
        folder,
        config=config,
        results=results,
        figures=_save(folder, figures, {"suspects_gallery": gallery_title} if gallery_title else {}),
        title=title,
        unit=unit,
        against=against,
        failure=failure,
    )


TITLES = {
    "suspects_gallery": "The worst suspects",
    "training_curves": "Training",
    "trust_histogram": "Residuals of all labels",
    "failure_bars": "Failures and mean errors",
    "error_cdf": "Cumulative errors",
    "crops": "Where the second stage looks",
    "poses": "Predicted points",
    "pck_joints": "PCK of every joint",
    "pck_curves": "PCK over its threshold",
    "pck_epochs": "PCK over the epochs",
    "pcp_parts": "PCP of every part",
    "pcp_curves": "PCP over its threshold",
    "confusions": "Left and right, and double counts",
    "excess": "Where anchor loss exceeds cross entropy",
}


def _save(
    folder: str | os.PathLike[str], figures: Mapping[str, Figure], titles: Mapping[str, str] | None = None
) -> dict[str, Path]:
    named = {**TITLES, **(titles or {})}
    return {named[name]: save(figure, Path(folder) / "figures" / f"{name}.png") for name, figure in figures.items()}
