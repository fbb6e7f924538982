"""A comparison of losses for classification as a table and in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from steadfit.reports.methods import marks
from steadfit.reports.values import DASH, p_value


def losses_frame(results: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A comparison of losses as text cells, one row a loss.

    Args:
        results: loss to ``top1``, ``top5``, ``top1_sd``, ``top5_sd`` (NaN or None for one seed), ``seeds``,
            ``difference`` of top-1 to the reference and Holm's ``p_holm`` (None for the reference), ``stars``,
            ``seconds``.
    """
    drawn = marks(results)
    rows = []
    for name, found in results.items():
        row = {"loss": drawn[name].label, "seeds": str(found["seeds"])}
        row["top-1 %"], row["top-5 %"] = (_spread(found, key) for key in ("top1", "top5"))
        gap, p = found.get("difference"), found.get("p_holm")
        row["difference"] = DASH if gap is None else f"{100 * gap:+.2f}"
        row["p (Holm)"] = DASH if p is None else p_value(float(p))
        rows.append(row | {"": str(found.get("stars") or "")})
    return pd.DataFrame(rows)


def losses_table(results: Mapping[str, Mapping[str, Any]], *, title: str = "") -> Table:
    """:func:`losses_frame` for the terminal."""
    frame = losses_frame(results)
    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left")
    for name in frame:
        table.add_column(str(name), justify="left" if name in ("loss", "") else "right", no_wrap=True)
    for row in frame.to_numpy():
        table.add_row(*map(str, row))
    return table


def verdict(results: Mapping[str, Mapping[str, Any]], best: str) -> str:
    """Whether the best loss is better than each of the others beyond chance."""
    behind = [
        float(found["p_holm"]) for name, found in results.items() if name != best and found.get("p_holm") is not None
    ]
    if len(behind) < len(results) - 1 or not behind:
        return ""
    unclear = sum(p >= 0.05 for p in behind)
    if not unclear:
        return "On these images it is better than every other loss beyond chance."
    return f"{unclear} of the {len(behind)} others cannot be told from it on these images."


def _spread(found: Mapping[str, Any], key: str) -> str:
    deviation = found.get(f"{key}_sd")
    text = f"{100 * float(found[key]):.2f}"
    return text if deviation is None or not np.isfinite(deviation) else f"{text} ± {100 * float(deviation):.2f}"
