"""A comparison of several methods as a table, for errors or for classes.

``results`` maps a method to its numbers. For errors these are ``error`` (per image), ``mean``, ``failure_rate``,
``rmse``, ``nll``, ``precision``, ``recall``, ``gross_recall``, ``p_holm``, ``stars``, ``seconds``, ``suspects``. For
classes they are ``seeds``, ``top1``, ``top5`` and their standard deviations ``top1_sd``, ``top5_sd`` over the seeds,
``difference`` of top-1 to the reference, ``p_holm``, ``stars``. Shares are in [0, 1]; any number may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from steadfit.reports.methods import marks
from steadfit.reports.terminal import text_table
from steadfit.reports.values import (
    DASH,
    STARS,
    Results,
    mean_interval,
    number,
    p_value,
    percent,
    seconds,
    short,
    star_text,
    with_unit,
)

SHORT = {"failures": "fail", "precision": "prec.", "gross recall": "gross rec."}  # to fit into 80 columns


def of_classes(results: Results) -> bool:
    """Whether the results are shares of classes, not errors."""
    return any("top1" in result for result in results.values())


def comparison_frame(results: Results, *, unit: str = "") -> pd.DataFrame:
    """A comparison as text cells, one row per method, indexed by the method's name.

    The mean error has half of its 95 % interval over the images, shares of classes have their standard deviation over
    the seeds; stars and p are those of the comparison's test, with Holm's correction. A number that a method does not
    have is a dash. For errors, a column that no method has is left out.

    Args:
        results: the numbers of each method, as the module describes.
        unit: the unit of the errors.
    """
    classes = of_classes(results)
    rows = [
        {"loss" if classes else "method": mark.label} | (_class_cells(result) if classes else _cells(result, unit))
        for result, mark in zip(results.values(), marks(results).values(), strict=True)
    ]
    frame = pd.DataFrame(rows, index=list(results), dtype=object)
    return frame[[name for name in frame if classes or name == "method" or not frame[name].isin([DASH, ""]).all()]]


def _cells(result: Mapping[str, Any], unit: str) -> dict[str, str]:
    return {
        with_unit("mean error", unit): _mean(result),
        "": star_text(result),
        "p (Holm)": p_value(number(result, "p_holm")),
        "failures": percent(number(result, "failure_rate")),
        with_unit("RMSE", unit): short(number(result, "rmse")),
        "NLL (nats)": short(number(result, "nll")),
        "suspects": percent(number(result, "suspects")),
        "precision": percent(number(result, "precision")),
        "recall": percent(number(result, "recall")),
        "gross recall": percent(number(result, "gross_recall")),
        "time": seconds(number(result, "seconds")),
    }


def _class_cells(result: Mapping[str, Any]) -> dict[str, str]:
    gap = number(result, "difference")
    return {
        "seeds": str(result["seeds"]),
        "top-1 %": _share(result, "top1"),
        "top-5 %": _share(result, "top5"),
        "difference": DASH if np.isnan(gap) else f"{100 * gap:+.2f}",
        "p (Holm)": p_value(number(result, "p_holm")),
        "": star_text(result),
    }


def comparison_table(results: Results, *, unit: str = "", title: str = "", against: str = "the best") -> Table:
    """The cells of :func:`comparison_frame` for a terminal of 80 columns; the best method is bold.

    The share of suspects is left out where precision and recall are more informative.

    Args:
        results: the numbers of each method, as the module describes.
        unit: the unit of the errors.
        title: a line above the table.
        against: the method to which the stars compare, for the line below.
    """
    frame, best = comparison_frame(results, unit=unit), best_method(results)
    if "precision" in frame:
        frame = frame.drop(columns="suspects", errors="ignore")
    spread = "the standard deviation over seeds" if of_classes(results) else "a 95 % interval"
    caption = f"± is {spread}; {STARS} against {against}"
    caption += " (its own stars: against every other)" if against == "the best" else ""
    shares = [str(name) for name in frame if frame[name].str.endswith(" %").any()]
    heads = {name: f"{SHORT.get(name, name)} %" if name in shares else name for name in map(str, frame)}
    cells = frame.assign(**{name: frame[name].str.removesuffix(" %") for name in shares})
    bold = pd.DataFrame(dict.fromkeys(frame, frame.index == best))
    heads = {name: head.replace(" ", "\n", 1) for name, head in heads.items()}
    return text_table(cells, title=title, caption=caption, heads=heads, wrap=list(heads), bold=bold)


def best_method(results: Results) -> str | None:
    """The method with the lowest mean error, or for classes with the highest top-1; None without numbers.

    An oracle, which no user has, is not among the candidates.
    """
    loss = {name: -number(result, "top1") if "top1" in result else number(result, "mean")
            for name, result in results.items() if not name.startswith("oracle")}  # fmt: skip
    loss = {name: value for name, value in loss.items() if np.isfinite(value)}
    return min(loss, key=loss.__getitem__) if loss else None


def _mean(result: Mapping[str, Any]) -> str:
    """Mean and half interval with the same number of decimals."""
    mean, half = short(number(result, "mean")), mean_interval(result)
    decimals = len(mean.partition(".")[2])
    return mean if np.isnan(half) or mean == DASH else f"{mean} ± {half:.{decimals}f}"


def _share(result: Mapping[str, Any], key: str) -> str:
    """A share of classes in per cent, with its standard deviation over the seeds."""
    share, deviation = number(result, key), number(result, f"{key}_sd")
    if np.isnan(share):
        return DASH
    return f"{100 * share:.2f}" + (f" ± {100 * deviation:.2f}" if np.isfinite(deviation) else "")
