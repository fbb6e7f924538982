"""Detection of wrong labels: precision, recall, F1, average precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["OutlierScores", "outlier_scores"]


@dataclass(frozen=True)
class OutlierScores:
    """What :func:`outlier_scores` returns; shares in [0, 1], NaN where a share has no denominator.

    Attributes:
        precision: the share of the flagged labels that are wrong.
        recall: the share of the wrong labels that are flagged.
        f1: the harmonic mean of both.
        average_precision: over the ranking by trust; NaN without trust.
        gross_recall: recall over the gross labels; NaN if they are not given.
        flagged: the number of flagged labels.
        wrong: the number of wrong labels.
    """

    precision: float
    recall: float
    f1: float
    average_precision: float
    gross_recall: float
    flagged: int
    wrong: int


def outlier_scores(
    flagged: ArrayLike, wrong: ArrayLike, trust: ArrayLike | None = None, gross: ArrayLike | None = None
) -> OutlierScores:
    """Precision and recall of the labels that were flagged as wrong.

    precision = TP/flagged, recall = TP/wrong, F1 = 2·TP/(flagged + wrong),
    average precision = sum_n (R_n - R_{n-1})·P_n over the distinct values of 1 - trust.

    Recall over all wrong labels cannot reach 1 where some moved so little that nothing can find them; see ``gross``.

    Args:
        flagged: boolean, any shape: flagged as wrong.
        wrong: boolean, the same shape: truly wrong.
        trust: the same shape, any real order (less is more suspect); NaN marks a label that is not annotated, which
            is left out everywhere. None: no average precision.
        gross: boolean, the same shape, a subset of ``wrong``: the labels that can be found. None: no gross recall.

    Returns:
        The scores. With nothing flagged, precision is NaN; with nothing wrong, recall and average
        precision are; with neither, F1 is; with nothing gross, gross recall is.

    Raises:
        TypeError: masks that are not boolean.
        ValueError: different shapes, a flagged or wrong label without trust, a gross label that is not wrong.

    Numerics:
        Equal trusts are one threshold, so the order of rows never matters. Trust itself is ranked, not 1 - trust, in
        which all trusts below 1e-16 would be equal.

    >>> outlier_scores([True, True, False], [True, False, True], trust=[0.1, 0.3, 0.6]).average_precision
    0.8333333333333333
    """
    called, truth = _mask("flagged", flagged), _mask("wrong", wrong)
    _shape("wrong", truth, called)
    order = None if trust is None else _trust(trust, called, truth)
    hits = int((called & truth).sum())
    n_flagged, n_wrong = int(called.sum()), int(truth.sum())
    return OutlierScores(
        precision=_ratio(hits, n_flagged),
        recall=_ratio(hits, n_wrong),
        f1=_ratio(2 * hits, n_flagged + n_wrong),
        average_precision=np.nan if order is None else _average_precision(truth, order),
        gross_recall=np.nan if gross is None else _gross_recall(called, truth, _mask("gross", gross)),
        flagged=n_flagged,
        wrong=n_wrong,
    )


def _mask(name: str, value: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise TypeError(f"outlier_scores: expected {name} to be boolean, got {array.dtype}. Compare it first.")
    return array


def _shape(name: str, array: NDArray[Any], flagged: NDArray[np.bool_]) -> None:
    if array.shape != flagged.shape:
        raise ValueError(
            f"outlier_scores: expected {name} of flagged's shape {flagged.shape}, got {array.shape}. Reshape one."
        )


def _trust(trust: ArrayLike, flagged: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    value = np.asarray(trust, dtype=np.float64)
    _shape("trust", value, flagged)
    lost = np.isnan(value) & (flagged | wrong)
    if lost.any():
        raise ValueError(
            f"outlier_scores: expected a trust for every flagged or wrong label, got {int(lost.sum())} NaN, the first "
            f"at {tuple(int(i) for i in np.argwhere(lost)[0])}. Unannotated labels can be neither."
        )
    return value


def _gross_recall(flagged: NDArray[np.bool_], wrong: NDArray[np.bool_], gross: NDArray[np.bool_]) -> float:
    _shape("gross", gross, flagged)
    stray = int((gross & ~wrong).sum())
    if stray:
        raise ValueError(f"outlier_scores: expected gross to be a part of wrong, got {stray} labels outside. Use &.")
    return _ratio(int((flagged & gross).sum()), int(gross.sum()))


def _average_precision(wrong: NDArray[np.bool_], trust: NDArray[np.float64]) -> float:
    """sum (R_n - R_{n-1}) P_n over distinct trusts, least trusted first."""
    judged = ~np.isnan(trust)
    order = np.argsort(trust[judged], kind="stable")
    ranked, hits = trust[judged][order], np.cumsum(wrong[judged][order])
    if not len(hits) or hits[-1] == 0:
        return np.nan
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # the last row of each group of equals
    return float(np.sum(np.diff(hits[last], prepend=0) * hits[last] / (last + 1)) / hits[-1])


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else np.nan
