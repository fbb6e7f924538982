"""The suspects: the labels that a run considers wrong, worst first."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd

from steadfit._files import write_csv

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def suspects(table: pd.DataFrame) -> pd.DataFrame:
    """The suspect labels, worst first: by increasing trust, and for equal trust by decreasing residual.

    Args:
        table: a table of labels.

    Returns:
        The rows whose ``suspect`` is true, with ``rank`` 1, 2, … as the first column and a new index.
    """
    listed = table[table["suspect"].astype(bool)].drop(columns="rank", errors="ignore")
    listed = listed.sort_values(["trust", "residual"], ascending=[True, False], kind="stable", ignore_index=True)
    listed.insert(0, "rank", np.arange(1, len(listed) + 1))
    return listed


def write_suspects(table: pd.DataFrame, path: str | os.PathLike[str]) -> pd.DataFrame:
    """Write the suspects of a table of labels as CSV, atomically, and return them.

    File names may come from strangers, and the list is made to be opened in a spreadsheet. Text that a spreadsheet
    would take for a formula (beginning with ``= + - @``, a tab or a line end) gets the prefix ``'``, by which
    spreadsheets mark text. Text that begins with ``'`` gets another one, so that :func:`read_suspects` restores every
    name exactly.

    Args:
        table: a table of labels.
        path: the CSV file.
    """
    listed = suspects(table)
    guarded = listed.copy()
    for name in _text_columns(guarded):
        guarded[name] = [_guard(cell) for cell in guarded[name]]
    write_csv(guarded, path)
    return listed


def read_suspects(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read what :func:`write_suspects` wrote; a point may be called ``NA``."""
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"image": str, "split": str, "point": str})
    for name in _text_columns(table):
        table[name] = [cell[1:] if isinstance(cell, str) and cell.startswith("'") else cell for cell in table[name]]
    return table


def _guard(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _text_columns(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if not (pd.api.types.is_numeric_dtype(table[name].dtype))]
