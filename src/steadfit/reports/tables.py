"""Tables for the terminal and for Markdown, and the lines that end a fit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from steadfit.reports.methods import marks
from steadfit.reports.values import (
    DASH,
    as_text,
    behind,
    bracketed,
    count,
    mean_interval,
    number,
    p_value,
    percent,
    seconds,
    short,
)
from steadfit.reports.values import star_text as stars

Results = Mapping[str, Mapping[str, Any]]

SHORT = {"failures": "fail", "precision": "prec.", "gross recall": "gross rec."}  # to fit into 80 columns


def comparison_frame(results: Results, *, unit: str = "px") -> pd.DataFrame:
    """A comparison as text cells, one row per method, indexed by the method's name.

    The mean error carries half of its 95 % interval over the images; stars and p are those of the comparison's
    Wilcoxon test, with Holm's correction. A number that a method does not have is a dash, and a column that no method
    has is left out.

    Args:
        results: method to ``error`` (per image), ``mean``, ``failure_rate``, ``rmse``, ``nll``, ``precision``,
            ``recall``, ``gross_recall``, ``p_holm``, ``stars``, ``seconds``, ``suspects``; any of them may be absent.
        unit: unit of the errors.
    """
    rows = [
        {
            "method": mark.label,
            f"mean error{bracketed(unit)}": _mean(result),
            "": stars(result),
            "p (Holm)": p_value(number(result, "p_holm")),
            "failures": percent(number(result, "failure_rate")),
            f"RMSE{bracketed(unit)}": short(number(result, "rmse")),
            "NLL (nats)": short(number(result, "nll")),
            "suspects": percent(number(result, "suspects")),
            "precision": percent(number(result, "precision")),
            "recall": percent(number(result, "recall")),
            "gross recall": percent(number(result, "gross_recall")),
            "time": seconds(number(result, "seconds")),
        }
        for result, mark in zip(results.values(), marks(results).values(), strict=True)
    ]
    frame = pd.DataFrame(rows, index=list(results), dtype=object)
    return frame[[name for name in frame if name == "method" or not frame[name].isin([DASH, ""]).all()]]


def comparison_table(results: Results, *, unit: str = "px", title: str = "", against: str = "the best") -> Table:
    """`comparison_frame` for a terminal of 80 columns; the method with the lowest mean error is bold.

    The share of suspects is left out where precision and recall say more.

    Args:
        results: a comparison's result.
        unit: unit of the errors.
        title: a line above the table.
        against: what the stars are relative to, for the line below.
    """
    frame, best = comparison_frame(results, unit=unit), best_method(results)
    if "precision" in frame:
        frame = frame.drop(columns="suspects", errors="ignore")
    caption = f"± is a 95 % interval; * p < .05, ** p < .01, *** p < .001 against {against}"
    caption += " (its own stars: against every other)" if against == "the best" else ""
    table = Table(
        title=Text(title) if title else None, caption=Text(caption), title_justify="left", caption_justify="left",
        box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False,
    )  # fmt: skip
    for name in frame:
        shares = frame[name].str.endswith(" %").any()
        head = f"{SHORT.get(str(name), str(name))} %" if shares else str(name)
        table.add_column(Text(head.replace(" ", "\n", 1)), justify="left" if name in ("method", "") else "right")
    for method, row in frame.iterrows():
        table.add_row(*(Text(str(cell).removesuffix(" %")) for cell in row), style="bold" if method == best else None)
    return table


def best_method(results: Results) -> str | None:
    """The method with the lowest mean error; an oracle, which no user has, is not among the candidates."""
    means = {name: number(result, "mean") for name, result in results.items() if not name.startswith("oracle")}
    means = {name: mean for name, mean in means.items() if np.isfinite(mean)}
    return min(means, key=means.__getitem__) if means else None


def to_markdown(frame: pd.DataFrame) -> str:
    """A pipe table without the index; numbers to the right, missing values as dashes.

    >>> print(to_markdown(pd.DataFrame({"method": ["a|b"], "error": [1.0]})))
    | method | error |
    |:-------|------:|
    | a\\|b   |  1.00 |
    """
    heads = [_cell(name) for name in frame]
    columns = [[_cell(value) for value in frame.iloc[:, i]] for i in range(frame.shape[1])]
    widths = [max(3, len(head), *map(len, cells), 3) for head, cells in zip(heads, columns, strict=True)]
    right = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 1) + ":" if r else ":" + "-" * (w + 1) for w, r in zip(widths, right, strict=True))
    return "\n".join([line(heads), f"|{rule}|", *(line(cells) for cells in zip(*columns, strict=True))])


def fit_summary(
    table: pd.DataFrame, *, error_rate: float, path: str | os.PathLike[str] | None = None, unit: str = "px"
) -> list[str]:
    """The lines at the end of a fit: how many labels are suspect, the estimated error rate, where the list is.

    Args:
        table: the labels table of everything that was trained on.
        error_rate: estimated share of wrong labels, in [0, 1] or NaN.
        path: the written list of suspects; ``None`` leaves the line out.
        unit: unit of the residuals.
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
        suspects, kept = (f"{short(median[flag])}{behind(unit)}" for flag in (True, False))
        lines.append(f"Median residual: {suspects} (suspects), {kept} (kept).")
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


def _mean(result: Mapping[str, Any]) -> str:
    """Mean and half interval with the same number of decimals."""
    mean, half = short(number(result, "mean")), mean_interval(result)
    decimals = len(mean.partition(".")[2])
    return mean if np.isnan(half) or mean == DASH else f"{mean} ± {half:.{decimals}f}"


def _cell(value: Any) -> str:
    missing = pd.api.types.is_scalar(value) and bool(pd.isna(cast(Any, value)))
    if missing:
        return DASH
    text = short(float(value)) if isinstance(value, float) else as_text(value)
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
