"""Keypoints in run folders and comparisons: PCK of every joint, confusions, poses in images, where loss exceeds BCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from steadfit.data import Annotations
from steadfit.data.images import read_image
from steadfit.metrics import normalised_error, pck_curve
from steadfit.reports.hard import excess_maps, validation_curves
from steadfit.reports.joints import joint_groups
from steadfit.reports.poses import confusion_bars, pck_curves, pck_joints, stick_figures
from steadfit.training import Judgement, Run
from steadfit.training.excess import Excess
from steadfit.training.outcome import PCK_ALPHA

SHOWN = 6  # images with their poses
MEASURE = f"PCK@{PCK_ALPHA:g}"


def run_figures(run: Run, annotations: Annotations, judgement: Judgement) -> dict[str, Figure]:
    """Of one run: poses on test (or validation) images and, of a heatmap network, where its loss exceeded BCE."""
    rows = _shown_rows(annotations)
    figures = {} if rows is None else {"poses": _poses(annotations, {run.settings.method: judgement}, rows)}
    seen = Excess.load(run.folder)
    if seen is not None:
        figures["excess"] = excess_maps(seen.frames, seen.points, seen.modulator, names=annotations.schema.points)
    return figures


def comparison_figures(
    annotations: Annotations,
    results: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Judgement],
    histories: Mapping[str, Any],
) -> dict[str, Figure]:
    """Of several runs: PCK by joint, over its threshold and over the epochs, confusions, poses; empty without a
    normalising length."""
    schema, test = annotations.schema, annotations.rows("test")
    if annotations.length is None or schema.dims != 2:
        return {}
    alphas = torch.linspace(0, 2.5 * PCK_ALPHA, 101)
    target, length = (torch.from_numpy(array[test]) for array in (annotations.target, annotations.length))
    curves = {
        method: pck_curve(normalised_error(torch.from_numpy(one.predicted[test]).double(), target, length), alphas)
        for method, one in judgements.items()
    }
    figures = {
        "pck_joints": pck_joints(results, joint_groups(schema.points, schema.pairs), measure=MEASURE),
        "pck_curves": pck_curves(curves, alphas, alpha=PCK_ALPHA, length="normalising"),
        "pck_epochs": validation_curves(histories, "val_pck", label=f"validation {MEASURE}"),
    }
    if schema.pairs:
        figures["confusions"] = confusion_bars(results)
    rows = _shown_rows(annotations)
    return figures if rows is None else figures | {"poses": _poses(annotations, judgements, rows)}


def _shown_rows(annotations: Annotations) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """A few rows with images and points, spread over the test set (the validation set where there is none)."""
    rows = annotations.rows("test") if len(annotations.rows("test")) else annotations.rows("val")
    if annotations.images is None or annotations.schema.dims != 2 or not len(rows):
        return None
    picked: np.ndarray[Any, np.dtype[np.int64]] = rows[:: max(len(rows) // SHOWN, 1)][:SHOWN]
    return picked


def _poses(annotations: Annotations, judgements: Mapping[str, Judgement], rows: np.ndarray[Any, Any]) -> Figure:
    schema, images = annotations.schema, annotations.images
    assert images is not None
    given = annotations.target[rows]
    poses = {method: one.predicted[rows] for method, one in judgements.items()}
    missed = None
    if annotations.length is not None:
        limit = PCK_ALPHA * annotations.length[rows, None]
        missed = {method: np.linalg.norm(pose - given, axis=-1) > limit for method, pose in poses.items()}
    pictures = [read_image(annotations.root / images[row], 3) for row in rows]
    return stick_figures(pictures, {"annotated": given, **poses}, limbs=schema.limbs, pairs=schema.pairs, missed=missed)
