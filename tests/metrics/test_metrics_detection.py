"""Scores of flagged labels: by hand, against scikit-learn."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from sklearn import metrics as twin

from steadfit.metrics import outlier_scores


def case(n=400, levels=None, seed=0):
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=n) < 0.3
    trust = np.clip(0.7 - 0.4 * wrong + 0.25 * rng.normal(size=n), 0, 1)
    trust = trust if levels is None else np.round(trust * levels) / levels
    return trust < 0.5, wrong, trust, wrong & (rng.uniform(size=n) < 0.8)


@pytest.mark.parametrize("levels", [None, 10, 3, 1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_scikit_learn_with_and_without_ties(levels, seed):
    flagged, wrong, trust, gross = case(levels=levels, seed=seed)
    scores = outlier_scores(flagged, wrong, trust, gross)
    assert scores.precision == pytest.approx(twin.precision_score(wrong, flagged), abs=1e-12)
    assert scores.recall == pytest.approx(twin.recall_score(wrong, flagged), abs=1e-12)
    assert scores.f1 == pytest.approx(twin.f1_score(wrong, flagged), abs=1e-12)
    assert scores.average_precision == pytest.approx(twin.average_precision_score(wrong, -trust), abs=1e-12)
    assert scores.gross_recall == pytest.approx(flagged[gross].mean(), abs=1e-12)
    assert (scores.flagged, scores.wrong) == (flagged.sum(), wrong.sum())


def test_average_precision_by_hand_and_in_any_order_of_equals():
    assert outlier_scores([False] * 3, [True, False, True], [0.1, 0.2, 0.3]).average_precision == pytest.approx(5 / 6)
    for wrong in ([True, False], [False, True]):
        assert outlier_scores([False] * 2, wrong, [0.5, 0.5]).average_precision == 0.5
    tiny = outlier_scores([True, False], [True, False], [1e-200, 1e-100])
    assert tiny.average_precision == 1.0


def test_shape_does_not_matter_and_unannotated_labels_are_left_out():
    flagged, wrong, trust, gross = (x.reshape(40, 10) for x in case())
    flat = outlier_scores(*(x.ravel() for x in (flagged, wrong, trust, gross)))
    assert outlier_scores(flagged, wrong, trust, gross) == flat
    more = [
        np.append(x.ravel(), [value] * 7)
        for x, value in zip((flagged, wrong, trust, gross), (0, 0, np.nan, 0), strict=True)
    ]
    more = [x if i == 2 else x.astype(bool) for i, x in enumerate(more)]
    assert outlier_scores(*more) == flat


def test_shares_without_denominator_are_nan():
    nothing, some = np.zeros(3, bool), np.array([True, False, False])
    none_flagged = outlier_scores(nothing, some, [0.1, 0.2, 0.3], nothing)
    assert math.isnan(none_flagged.precision)
    assert math.isnan(none_flagged.gross_recall)
    assert (none_flagged.recall, none_flagged.f1, none_flagged.average_precision) == (0.0, 0.0, 1.0)
    none_wrong = outlier_scores(some, nothing, [0.1, 0.2, 0.3])
    assert (none_wrong.precision, none_wrong.f1) == (0.0, 0.0)
    assert math.isnan(none_wrong.recall)
    assert math.isnan(none_wrong.average_precision)
    assert math.isnan(outlier_scores(nothing, nothing).f1)
    assert math.isnan(outlier_scores(some, some).average_precision)


def test_scores_are_frozen():
    with pytest.raises(FrozenInstanceError):
        outlier_scores([True], [True]).recall = 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1, 0], [True, False]), TypeError, "flagged to be boolean, got int64"),
        (([True], [True, False]), ValueError, r"wrong of flagged's shape \(1,\), got \(2,\)"),
        (([True], [True], [0.1, 0.2]), ValueError, r"trust of flagged's shape \(1,\), got \(2,\)"),
        (([True, False], [False, True], [np.nan, np.nan]), ValueError, r"got 2 NaN, the first at \(0,\)"),
        (([True, False], [True, False], None, [True, True]), ValueError, "a part of wrong, got 1 labels outside"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=f"^outlier_scores: expected .*{text}"):
        outlier_scores(*arguments)
