"""The lines that end a fit."""

from __future__ import annotations

import os

import pandas as pd

from steadfit.reports.values import amount, count, percent


def fit_summary(
    table: pd.DataFrame, *, error_rate: float, path: str | os.PathLike[str] | None = None, unit: str = ""
) -> list[str]:
    """The lines at the end of a fit: the number of suspects, the estimated error rate, the place of the list.

    Args:
        table: the table of all labels that were trained on.
        error_rate: the estimated share of wrong labels, in [0, 1] or NaN.
        path: the file with the list of suspects; None leaves the line out.
        unit: the unit of the residuals.
    """
    if not len(table):
        return ["There are no labels to judge."]
    suspect = table["suspect"].astype(bool)
    who = "image" if "image" in table else "row"
    lines = [
        f"{count(int(suspect.sum()))} of {count(len(table))} labels are suspect ({percent(float(suspect.mean()))}), in "
        f"{count(table.loc[suspect, who].nunique())} of {count(table[who].nunique())} {who}s."
    ]
    if suspect.any():
        median = {flag: float(table.loc[suspect == flag, "residual"].median()) for flag in (True, False)}
        lines.append(f"Median residual: {amount(median[True], unit)} (suspects), {amount(median[False], unit)} (kept).")
    lines.append(f"Estimated error rate: {percent(error_rate)} of the training labels.")
    lines += _truth(table, suspect)
    if path is not None:
        lines.append(f"The list, worst first: {os.fspath(path)}")
    return lines


def _truth(table: pd.DataFrame, suspect: pd.Series[bool]) -> list[str]:
    if "wrong" not in table:
        return []
    train = table["split"] == "train"  # as in metrics.json
    suspect, wrong = suspect[train], table.loc[train, "wrong"].astype(bool)
    hits = int((suspect & wrong).sum())
    precision = hits / suspect.sum() if suspect.any() else float("nan")
    recall = hits / wrong.sum() if wrong.any() else float("nan")
    return [
        f"The truth is known: {percent(float(wrong.mean()))} of the training labels are wrong; "
        f"precision {percent(precision)}, recall {percent(recall)}."
    ]
