"""Report of a comparison: which method is best, the table, the figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from steadfit.reports.comparison_tables import best_method, comparison_frame, of_classes
from steadfit.reports.pages.html import Page, Table, subtitle, write_page
from steadfit.reports.pages.summary import compare_lead
from steadfit.reports.panel import Panel
from steadfit.reports.values import STARS, Results

CLASSES = (
    "Top-1 and top-5: shares of the test images, mean ± standard deviation over the seeds. {stars} against {against}: "
    "exact sign-flip test over the images, for one seed McNemar's, with Holm's correction. The test says whether these "
    "networks differ on other images like these; the deviation says how much another seed changes."
)
ERRORS = (
    "Mean error: the distance of prediction and label, averaged over the test images, ± half of a 95 % interval; "
    "{stars} (Wilcoxon signed-rank on per-image errors, Holm's correction) against {against}{own}. "
)
PRECISION = (
    "Precision: share of the suspects that are truly wrong. Recall: share of the wrong labels that are among the "
    "suspects; labels that are hardly wrong cannot be found."
)


def write_comparison_page(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    results: Results,
    panels: Sequence[Panel],
    title: str = "",
    unit: str = "",
    against: str = "the best",
    failure: str = "",
) -> Path:
    """Write ``report.html`` and ``figures/`` of a comparison, for errors or for classes.

    Args:
        folder: the folder of the comparison.
        config: what all methods have in common.
        results: the numbers of each method, as for :func:`steadfit.reports.comparison_tables.comparison_frame`.
        panels: the figures, in the order of the page.
        title: the heading.
        unit: the unit of the errors.
        against: the method to which the stars compare.
        failure: what a failure is, in words.

    Returns:
        The path of the report.
    """
    frame, kind = comparison_frame(results, unit=unit), "losses" if of_classes(results) else "methods"
    note = _note(frame, against, failure) if kind == "methods" else CLASSES.format(stars=STARS, against=against)
    table = Table(title=kind.capitalize(), frame=frame, best=best_method(results), after=note)
    page = Page(
        title=title or f"Comparison of {kind}",
        subtitle=subtitle(config),
        lead=compare_lead(results, unit, against),
        sections=[table, *panels],
        config=config,
    )
    return write_page(page, folder)


def _note(frame: pd.DataFrame, against: str, failure: str) -> str:
    """What the columns mean."""
    own = " (its own stars: better than every other one)" if against == "the best" else ""
    note = ERRORS.format(stars=STARS, against=against, own=own)
    note += f"Failures: test labels with an {failure}. " if failure else ""
    note += "RMSE: of single coordinates. Suspects: share of the training labels."
    return f"{note} {PRECISION}" if "precision" in frame else note
