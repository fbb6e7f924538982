"""The table of labels and the suspects in it.

A *label* is one point (or one scalar) of one sample. The table has one row per annotated label; the suspects are the
rows that the noise model considers wrong, worst first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from steadfit._checks import one_of
from steadfit._files import write_csv

AXES = ("x", "y", "z")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def label_table(
    *,
    image: Sequence[str] | Sequence[int] | NDArray[Any],
    line: Sequence[int] | NDArray[Any],
    split: str | Sequence[str] | NDArray[Any],
    names: Sequence[str],
    given: ArrayLike,
    predicted: ArrayLike,
    trust: ArrayLike,
    suspect: ArrayLike,
    wrong: ArrayLike | None = None,
) -> pd.DataFrame:
    """One row per annotated label, from arrays over N samples and K labels of D numbers each.

    Points (D = 2, 3) have the columns ``x``, ``y`` (``z``) and ``predicted_x``, …; scalars (D = 1) have ``value`` and
    ``predicted``. A data set with both kinds is two tables, joined by ``pandas.concat``. ``residual`` is the Euclidean
    distance between label and prediction.

    Args:
        image: (N,) image paths; or integer row numbers of a table, whose column is then called ``row``.
        line: (N,) line of each sample in the annotation file.
        split: (N,) split of each sample, or one name for all.
        names: (K,) names of the points or scalars.
        given: (N, K, D) labels as annotated, in the user's units; a label with a NaN is left out.
        predicted: (N, K, D) predictions in the same units.
        trust: (N, K) in [0, 1].
        suspect: (N, K) booleans.
        wrong: (N, K) booleans, where the truth is known; None: no column ``wrong``.

    Returns:
        A DataFrame ordered by sample, then by label.

    Raises:
        ValueError: shapes that do not fit each other, or D above 3.

    >>> table = label_table(image=["a.png"], line=[2], split="train", names=["nose"], given=[[[3.0, 4.0]]],
    ...                     predicted=[[[0.0, 0.0]]], trust=[[0.1]], suspect=[[True]])
    >>> float(table.residual[0]), table.point[0]
    (5.0, 'nose')
    """
    given = _array("given", given, None, float)
    if given.ndim != 3 or given.shape[2] not in (1, 2, 3):
        raise ValueError(f"label_table: expected given of shape (N, K, 1 to 3), got {given.shape}.")
    n, k, d = given.shape
    predicted = _array("predicted", predicted, (n, k, d), float)
    rows, labels = np.nonzero(~np.isnan(given).any(axis=2))  # (M,), (M,)
    inputs = _array("image", image, (n,))
    columns: dict[str, Any] = {
        "row" if inputs.dtype.kind in "iu" else "image": inputs[rows],
        "line": _array("line", line, (n,))[rows],
        "split": split if isinstance(split, str) else _array("split", split, (n,))[rows],
        "point": _array("names", list(names), (k,))[labels],
        **_coordinates(given[rows, labels], predicted[rows, labels]),
        "trust": _array("trust", trust, (n, k), float)[rows, labels],
        "suspect": _array("suspect", suspect, (n, k), bool)[rows, labels],
    }
    if wrong is not None:
        columns["wrong"] = _array("wrong", wrong, (n, k), bool)[rows, labels]
    return pd.DataFrame(columns)


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


def error_rate(table: pd.DataFrame, *, by: Literal["suspects", "trust"] = "suspects") -> float:
    """The estimated share of wrong labels.

    Args:
        table: a table of labels.
        by: ``"suspects"``, the share of suspects; or ``"trust"``, the mean of 1 - trust. The latter is right where
            trust is a probability, that is for mixtures, and also counts labels that are only a little wrong. The
            weight of an M-estimator is not a probability: its mean is not an estimate of a share.

    Returns:
        The share, in [0, 1]; NaN for an empty table.
    """
    one_of("error_rate", "by", by, ("suspects", "trust"))
    if not len(table):
        return float("nan")
    return float(table["suspect"].mean() if by == "suspects" else 1.0 - table["trust"].mean())


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


def _coordinates(given: NDArray[Any], predicted: NDArray[Any]) -> dict[str, NDArray[Any]]:
    residual = np.linalg.norm(given - predicted, axis=1)  # (M,)
    if given.shape[1] == 1:
        return {"value": given[:, 0], "predicted": predicted[:, 0], "residual": residual}
    axes = AXES[: given.shape[1]]
    return {
        **{axis: given[:, i] for i, axis in enumerate(axes)},
        **{f"predicted_{axis}": predicted[:, i] for i, axis in enumerate(axes)},
        "residual": residual,
    }


def _array(name: str, value: Any, shape: tuple[int, ...] | None, dtype: Any = None) -> NDArray[Any]:
    array = np.asarray(value, dtype=dtype)
    if shape is not None and array.shape != shape:
        raise ValueError(f"label_table: expected {name} of shape {shape}, got {array.shape}. Nothing is broadcast.")
    return array
