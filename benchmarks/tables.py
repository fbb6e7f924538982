"""Tables of results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from steadfit.reports.values import DASH, as_text, short


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


def _cell(value: Any) -> str:
    missing = pd.api.types.is_scalar(value) and bool(pd.isna(value))
    if missing:
        return DASH
    text = short(float(value)) if isinstance(value, float) else as_text(value)
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
