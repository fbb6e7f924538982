"""What a finished run says: predictions, errors, and the trust in every label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit.data import Annotations
from steadfit.metrics import FailureRate, MeanAbsoluteError, PointError, RootMeanSquareError, outlier_scores
from steadfit.noise import NoiseModel, State

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
FAILURE = 0.05
"""A failure is an error above this share of the normalising length (paper 2)."""


@dataclass(frozen=True)
class Judgement:
    """A run's word on every label of a table with N rows and K labels a row."""

    predicted: Floats  # (N, K, D) in the user's units
    trust: Floats  # (N, K) in [0, 1], NaN where the label is missing
    suspect: Flags  # (N, K)
    error_rate: float  # the estimated share of wrong labels in the training set
    fallen_back: bool = False  # EM declared everything an outlier: the warm-up network is the result
    nll: Floats | None = None  # (N, K) nats, labels in the user's units; where distributions are predicted


def trust_of(noise: NoiseModel, state: State, output: Tensor, target: Tensor) -> tuple[Floats, Flags]:
    """Trust and suspects as arrays, from outputs and standardised targets."""
    trust = noise.trust(output, target, state).double().cpu().numpy()
    return trust, noise.is_outlier(output, target, state).cpu().numpy()


def errors(predicted: Floats, annotations: Annotations, threshold: float = FAILURE) -> dict[str, float]:
    """MAE, RMSE and mean point error in the user's units and, with a normalising length, the failure rate
    over the rows that have one."""
    prediction, target = torch.from_numpy(predicted), torch.from_numpy(annotations.target)
    measures: dict[str, Any] = {"mae": MeanAbsoluteError(), "rmse": RootMeanSquareError()}
    if annotations.schema.dims > 1:
        measures["point_error"] = PointError()
    for measure in measures.values():
        measure.update(prediction, target)
    found = {name: float(measure.compute()) for name, measure in measures.items()}
    if annotations.length is not None:
        failure, length = FailureRate(threshold), torch.from_numpy(annotations.length)
        known = ~length.isnan()  # the two points whose distance it is may be missing
        failure.update(prediction[known], target[known], length[known])
        found["failure_rate"] = float(failure.compute())
    return found


def summarize(judgement: Judgement, annotations: Annotations, wrong: Flags | None = None) -> dict[str, Any]:
    """metrics.json: errors of every split, and what is known about wrong labels in the training set."""
    splits = {name: annotations.rows(name) for name in ("train", "val", "test")}
    content: dict[str, Any] = {
        name: {"rows": len(rows)} | errors(judgement.predicted[rows], annotations.take(rows)) | nll(judgement, rows)
        for name, rows in splits.items()
        if len(rows)
    }
    train = splits["train"]
    labelled = ~np.isnan(judgement.trust[train])
    content["outliers"] = {
        "labels": int(labelled.sum()),
        "suspects": int(judgement.suspect[train][labelled].sum()),
        "error_rate": judgement.error_rate,
        "fallen_back": judgement.fallen_back,
    }
    if wrong is not None:
        content["truth"] = detection(judgement, annotations, wrong)
    return content


def nll(judgement: Judgement, rows: npt.NDArray[np.int64]) -> dict[str, float]:
    """The mean negative log-likelihood of the labels in some rows, in nats, where distributions are predicted."""
    if judgement.nll is None or np.isnan(judgement.nll[rows]).all():
        return {}
    return {"nll": float(np.nanmean(judgement.nll[rows]))}


def detection(judgement: Judgement, annotations: Annotations, wrong: Flags) -> dict[str, float]:
    """How well the suspects among the training labels are the wrong ones; ``wrong`` (N, K) is the truth."""
    rows = annotations.rows("train")
    labelled = ~np.isnan(judgement.trust[rows])
    suspect, truth, trust = (array[rows][labelled] for array in (judgement.suspect, wrong, judgement.trust))
    scores = outlier_scores(suspect, truth, trust)
    return {name: getattr(scores, name) for name in ("precision", "recall", "f1", "average_precision", "wrong")}
