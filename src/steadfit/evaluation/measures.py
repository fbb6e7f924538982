"""Measures of a run on a table, by split: errors, keypoints, poses, likelihood, detection of wrong labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit._files import write_json
from steadfit.data import Annotations
from steadfit.metrics import (
    absolute_error,
    body_parts,
    double_counts,
    failure,
    outlier_scores,
    pck,
    pck_area,
    pcp,
    point_error,
    square_error,
    swaps,
)
from steadfit.metrics.thresholds import FAILURE, PCK_ALPHA, PCP_ALPHA
from steadfit.training.judgement import Judgement

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Judge(Protocol):
    """Something that judges labels: a run, or a cascade of several."""

    @property
    def folder(self) -> Path: ...

    def judge(self, annotations: Annotations, *, batch_size: int = 128) -> Judgement: ...


def write_metrics(run: Judge, annotations: Annotations, wrong: Flags | None = None) -> Judgement:
    """Judge the whole table and write metrics.json.

    Args:
        run: the run.
        annotations: the table.
        wrong: (N, K), which labels are known to be wrong; None: unknown.

    Returns:
        The verdict on all labels.
    """
    judgement = run.judge(annotations)
    write_json(summarize(judgement, annotations, wrong), run.folder / "metrics.json")
    return judgement


def errors(predicted: Floats, annotations: Annotations, threshold: float = FAILURE) -> dict[str, float]:
    """MAE, RMSE and mean point error in the user's units, and the failure rate where there is a normalising length.

    Args:
        predicted: (N, K, D) in the user's units.
        annotations: the labels.
        threshold: an error above this share of the length is a failure; only rows with a length count.
    """
    prediction, target = torch.from_numpy(predicted).double(), torch.from_numpy(annotations.target)
    found = {"mae": _mean(absolute_error(prediction, target))}
    found["rmse"] = math.sqrt(_mean(square_error(prediction, target)))
    if annotations.schema.dims > 1:
        found["point_error"] = _mean(point_error(prediction, target))
    if annotations.length is not None:
        length = torch.from_numpy(annotations.length)
        found["failure_rate"] = _mean(failure(prediction, target, length, threshold=threshold))
    return found


def keypoints(
    predicted: Floats, annotations: Annotations, *, alpha: float = PCK_ALPHA, peaks: npt.NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """PCK, the area under its curve, left/right swaps and double counts of points with a normalising length.

    Args:
        predicted: (N, K, 2) in the user's units.
        annotations: the labels.
        alpha: the share of the length within which a point is right.
        peaks: (N, K), the number of peaks of each heatmap; None without heatmaps.

    Returns:
        ``pck``, ``pck_area`` (from 0 to alpha), ``pck_by_point``; with pairs ``swaps``; with peaks ``double``, the
        share of points with several, and ``double_right``, the right ones among these. Shares are in [0, 1]. Empty for
        targets that are not points or have no length.
    """
    if annotations.length is None or annotations.schema.dims != 2:
        return {}
    names, pairs = annotations.schema.points, annotations.schema.pairs
    prediction, target = torch.from_numpy(predicted).double(), torch.from_numpy(annotations.target)
    length = torch.from_numpy(annotations.length)
    right = pck(prediction, target, length, alpha=alpha)  # (N, K)
    area = pck_area(prediction, target, length, alpha=alpha)
    found: dict[str, Any] = {"alpha": alpha, "pck": _mean(right), "pck_area": _mean(area)}
    if pairs:
        found["swaps"] = _mean(swaps(prediction, target, length, pairs, alpha=alpha))
    if peaks is not None:
        double = double_counts(torch.from_numpy(peaks), right == 1, ~right.isnan())
        found |= dict(zip(("double", "double_right"), double.double().nanmean((0, 1)).tolist(), strict=True))
    return found | {"pck_by_point": _by_column(names, right)}


def poses(predicted: Floats, annotations: Annotations, *, alpha: float = PCP_ALPHA) -> dict[str, Any]:
    """PCP of a body's ten parts and the mean error of each joint; neither needs a normalising length.

    Args:
        predicted: (N, K, 2) in the user's units.
        annotations: the labels.
        alpha: the share of a part's own length within which its ends are right.

    Returns:
        ``pcp`` (strict), ``pcp_loose``, ``pcp_alpha``, ``pcp_by_part`` (strict), ``point_error_by_point`` in the user's
        units. Empty for points that are not a body's, see :func:`steadfit.metrics.body_parts`.
    """
    names, parts = annotations.schema.points, body_parts(annotations.schema.points)
    if not parts:
        return {}
    prediction, target = torch.from_numpy(predicted).double(), torch.from_numpy(annotations.target)
    strict, loose = (pcp(prediction, target, parts, alpha=alpha, strict=kind) for kind in (True, False))  # (N, P)
    return {
        "pcp": _mean(strict),
        "pcp_loose": _mean(loose),
        "pcp_alpha": alpha,
        "pcp_by_part": _by_column([part.name for part in parts], strict),
        "point_error_by_point": _by_column(names, point_error(prediction, target)),
    }


def _mean(value: Tensor) -> float:
    return float(value.nanmean())


def _by_column(names: Sequence[str], value: Tensor) -> dict[str, float]:
    """The mean of every column of (N, K) by its name."""
    return dict(zip(names, value.nanmean(0).tolist(), strict=True))


def summarize(judgement: Judgement, annotations: Annotations, wrong: Flags | None = None) -> dict[str, Any]:
    """The content of metrics.json: errors of every split, and what is known about wrong labels in the training set.

    Args:
        judgement: the verdict on all labels.
        annotations: the table.
        wrong: (N, K), which labels are known to be wrong; None: unknown.
    """
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
    """All measures of every split that has rows, and the number of its rows."""
    splits = {name: annotations.rows(name) for name in ("train", "val", "test")}
    return {
        name: {"rows": len(rows)} | measured(judgement, annotations, rows) for name, rows in splits.items() if len(rows)
    }


def measured(judgement: Judgement, annotations: Annotations, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """All measures of some rows.

    Args:
        judgement: the verdict on all labels.
        annotations: the table.
        rows: which rows are measured.
    """
    part, predicted = annotations.take(rows), judgement.predicted[rows]
    peaks = None if judgement.peaks is None else judgement.peaks[rows]
    points = keypoints(predicted, part, peaks=peaks) | poses(predicted, part)
    return errors(predicted, part) | points | nll(judgement, rows)


def nll(judgement: Judgement, rows: npt.NDArray[np.int64]) -> dict[str, float]:
    """The mean negative log-likelihood of the labels in some rows, in nats; empty without predicted distributions."""
    if judgement.nll is None or np.isnan(judgement.nll[rows]).all():
        return {}
    return {"nll": float(np.nanmean(judgement.nll[rows]))}


def detection(judgement: Judgement, annotations: Annotations, wrong: Flags) -> dict[str, float]:
    """How well the suspects among the training labels agree with the truth.

    Args:
        judgement: the verdict on all labels.
        annotations: the table.
        wrong: (N, K), which labels are wrong.
    """
    rows = annotations.rows("train")
    labelled = ~np.isnan(judgement.trust[rows])
    suspect, truth, trust = (array[rows][labelled] for array in (judgement.suspect, wrong, judgement.trust))
    scores = outlier_scores(suspect, truth, trust)
    return {name: getattr(scores, name) for name in ("precision", "recall", "f1", "average_precision", "wrong")}
