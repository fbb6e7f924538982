"""The table of labels: one row per label, with everything that is known about it.

A *label* is one point (or one scalar) of one sample. The table is written to ``trust.parquet`` from a run's judgement;
whatever a later step finds out about the labels is one more column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from steadfit.data import Annotations
from steadfit.training import Judgement

AXES = ("x", "y", "z")


def labels_of(annotations: Annotations, judgement: Judgement, wrong: NDArray[np.bool_] | None = None) -> pd.DataFrame:
    """The table of labels of a judgement.

    Args:
        annotations: N rows of K labels.
        judgement: the verdict on these rows; its columns follow those of :func:`label_table`.
        wrong: (N, K), which labels are known to be wrong; None: unknown.
    """
    return label_table(
        image=annotations.images if annotations.images is not None else row_of(annotations),
        line=annotations.line,
        split=annotations.split,
        names=annotations.schema.target_names,
        given=annotations.target,
        predicted=judgement.predicted,
        **judgement.labels,
        wrong=wrong,
    )


def row_of(annotations: Annotations) -> NDArray[np.int64]:
    """The number of each row in its table, (N,), from 0; for annotations made by hand, their own order."""
    return np.arange(len(annotations)) if annotations.row is None else annotations.row


def label_table(
    *,
    image: Sequence[str] | Sequence[int] | NDArray[Any],
    line: Sequence[int] | NDArray[Any],
    split: str | Sequence[str] | NDArray[Any],
    names: Sequence[str],
    given: ArrayLike,
    predicted: ArrayLike,
    **columns: ArrayLike | None,
) -> pd.DataFrame:
    """One row per annotated label, from arrays over N samples and K labels of D numbers each.

    Points (D = 2, 3) have the columns ``x``, ``y`` (``z``) and ``predicted_x``, …; scalars (D = 1) have ``value`` and
    ``predicted``. A data set with both kinds is two tables, joined by ``pandas.concat``. ``residual`` is the Euclidean
    distance between label and prediction.

    Args:
        image: (N,) image paths; or integer row numbers of a table, whose column is then called ``row``.
        line: (N,), the line of each sample in the annotation file.
        split: (N,), the split of each sample, or one name for all.
        names: (K,), the names of the points or scalars.
        given: (N, K, D), labels as annotated, in the user's units; a label with a NaN is left out.
        predicted: (N, K, D), predictions in the same units.
        columns: whatever else is known about the labels, (N, K) each, by the names of the columns: ``trust`` in [0, 1],
            ``suspect``, ``distance``, ``wrong`` where the truth is known, …; None for a column that is absent.

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
    table: dict[str, Any] = {
        "row" if inputs.dtype.kind in "iu" else "image": inputs[rows],
        "line": _array("line", line, (n,))[rows],
        "split": split if isinstance(split, str) else _array("split", split, (n,))[rows],
        "point": _array("names", list(names), (k,))[labels],
        **_coordinates(given[rows, labels], predicted[rows, labels]),
    }
    more = {name: _array(name, values, (n, k)) for name, values in columns.items() if values is not None}
    return pd.DataFrame(table | {name: values[rows, labels] for name, values in more.items()})


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
