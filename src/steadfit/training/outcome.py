"""What a finished run says: predictions, errors, and the trust in every label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit.data import Annotations
from steadfit.metrics import (
    PCK,
    PCP,
    DoubleCounts,
    FailureRate,
    MeanAbsoluteError,
    PCKArea,
    PointError,
    RootMeanSquareError,
    SwapRate,
    body_parts,
    normalised_error,
    outlier_scores,
)
from steadfit.noise import NoiseModel, State

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
FAILURE = 0.05
"""A failure is an error above this share of the normalising length (paper 2)."""
PCK_ALPHA = 0.2
"""A point is right within this share of the normalising length (PCK@.2, as on LSP)."""
PCP_ALPHA = 0.5
"""A part is right if its ends are within this share of its own length."""


@dataclass(frozen=True)
class Judgement:
    """A run's word on every label of a table with N rows and K labels a row."""

    predicted: Floats  # (N, K, D) in the user's units
    trust: Floats  # (N, K) in [0, 1], NaN where the label is missing
    suspect: Flags  # (N, K)
    error_rate: float  # the estimated share of wrong labels in the training set
    fallen_back: bool = False  # EM declared everything an outlier: the warm-up network is the result
    peaks: Counts | None = None  # (N, K) peaks of each heatmap; of heatmap networks
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
        measure.set_dtype(torch.float64).update(prediction, target)
    found = {name: float(measure.compute()) for name, measure in measures.items()}
    if annotations.length is not None:
        failure, length = FailureRate(threshold), torch.from_numpy(annotations.length)
        known = ~length.isnan()  # the two points whose distance it is may be missing
        failure.set_dtype(torch.float64).update(prediction[known], target[known], length[known])
        found["failure_rate"] = float(failure.compute())
    return found


def keypoints(
    predicted: Floats, annotations: Annotations, *, alpha: float = PCK_ALPHA, peaks: Counts | None = None
) -> dict[str, Any]:
    """PCK, the area under its curve, left/right swaps and double counts of points with a normalising length.

    Args:
        predicted: (N, K, 2) in the user's units. peaks: (N, K), how many peaks each heatmap has.
        alpha: the part of the length within which a point is right.

    Returns: ``pck``, ``pck_area`` (from 0 to alpha), ``pck_by_point``; with pairs ``swaps``; with peaks ``double``, the
        share of points with several, and ``double_right``, the right ones among these. Shares are in [0, 1]. Empty for
        targets that are no points or have no length.
    """
    if annotations.length is None or annotations.schema.dims != 2:
        return {}
    names, pairs = annotations.schema.points, annotations.schema.pairs
    prediction, target = torch.from_numpy(predicted).double(), torch.from_numpy(annotations.target)
    length = torch.from_numpy(annotations.length)
    each, area = PCK(alpha, points=len(names)), PCKArea(alpha)
    whole, swaps = PCK(alpha), SwapRate(pairs, alpha) if pairs else None
    for measure in (each, area, whole, *([] if swaps is None else [swaps])):
        measure.set_dtype(torch.float64).update(prediction, target, length)
    found: dict[str, Any] = {"alpha": alpha, "pck": float(whole.compute()), "pck_area": float(area.compute())}
    if swaps is not None:
        found["swaps"] = float(swaps.compute())
    if peaks is not None:
        found |= _double_counts(torch.from_numpy(peaks), normalised_error(prediction, target, length), alpha)
    return found | {"pck_by_point": dict(zip(names, each.compute().tolist(), strict=True))}


def poses(predicted: Floats, annotations: Annotations, *, alpha: float = PCP_ALPHA) -> dict[str, Any]:
    """PCP of a body's ten parts and the mean error of each joint; neither needs a normalising length.

    Args:
        predicted: (N, K, 2) in the user's units.
        alpha: the share of a part's own length that its ends may be off.

    Returns: ``pcp`` (strict), ``pcp_loose``, ``pcp_alpha``, ``pcp_by_part`` (strict), ``point_error_by_point`` in the
        user's units. Empty for points that are no body, see :func:`steadfit.metrics.body_parts`.
    """
    names, parts = annotations.schema.points, body_parts(annotations.schema.points)
    if not parts:
        return {}
    strict, loose, each = PCP(parts, alpha), PCP(parts, alpha, strict=False), PCP(parts, alpha, per_part=True)
    error = PointError(points=len(names))
    for measure in (strict, loose, each, error):
        measure.set_dtype(torch.float64)
        measure.update(torch.from_numpy(predicted).double(), torch.from_numpy(annotations.target))
    by_part = dict(zip((part.name for part in parts), each.compute().tolist(), strict=True))
    by_point = dict(zip(names, error.compute().tolist(), strict=True))
    found = {"pcp": float(strict.compute()), "pcp_loose": float(loose.compute()), "pcp_alpha": alpha}
    return found | {"pcp_by_part": by_part, "point_error_by_point": by_point}


def _double_counts(peaks: Tensor, error: Tensor, alpha: float) -> dict[str, float]:
    counted = DoubleCounts()
    counted.set_dtype(torch.float64).update(peaks, error <= alpha, ~error.isnan())
    return {name: float(value) for name, value in counted.compute().items()}


def summarize(judgement: Judgement, annotations: Annotations, wrong: Flags | None = None) -> dict[str, Any]:
    """metrics.json: errors of every split, and what is known about wrong labels in the training set."""
    content: dict[str, Any] = by_split(judgement, annotations)
    train = annotations.rows("train")
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


def by_split(judgement: Judgement, annotations: Annotations) -> dict[str, dict[str, Any]]:
    """All measures of every split that has rows, and their number."""
    splits = {name: annotations.rows(name) for name in ("train", "val", "test")}
    return {
        name: {"rows": len(rows)} | measured(judgement, annotations, rows) for name, rows in splits.items() if len(rows)
    }


def measured(judgement: Judgement, annotations: Annotations, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """All measures of some rows."""
    part, predicted = annotations.take(rows), judgement.predicted[rows]
    peaks = None if judgement.peaks is None else judgement.peaks[rows]
    points = keypoints(predicted, part, peaks=peaks) | poses(predicted, part)
    return errors(predicted, part) | points | nll(judgement, rows)


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
