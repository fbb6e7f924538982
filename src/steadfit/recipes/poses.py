"""Keypoints in run folders and comparisons: PCK, PCP, confusions, poses in images, where loss exceeds BCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from steadfit.data import Annotations, Schema, read_image
from steadfit.metrics import body_limbs, body_pairs, body_parts, normalised_error, pck_curve, pcp_curve
from steadfit.reports.hard import excess_maps, validation_curves
from steadfit.reports.joints import joint_groups
from steadfit.reports.parts import part_groups, pcp_curves, pcp_parts
from steadfit.reports.poses import confusion_bars, pck_curves, pck_joints, stick_figures
from steadfit.training import Judgement, Run
from steadfit.training.excess import Excess
from steadfit.training.outcome import PCK_ALPHA, PCP_ALPHA, poses

SHOWN = 6  # images with their poses
MEASURE = f"PCK@{PCK_ALPHA:g}"
PARTS_MEASURE = f"strict PCP@{PCP_ALPHA:g}"

Rows = npt.NDArray[np.int64]
Pairs = tuple[tuple[int, int], ...]


def run_figures(run: Run, annotations: Annotations, judgement: Judgement) -> dict[str, Figure]:
    """Of one run: those of :func:`pose_figures` and, of a heatmap network, where its loss exceeded BCE."""
    figures = pose_figures(annotations, {run.settings.method: judgement})
    seen = Excess.load(run.folder)
    if seen is not None:
        figures["excess"] = excess_maps(seen.frames, seen.points, seen.modulator, names=annotations.schema.points)
    return figures


def pose_figures(annotations: Annotations, judgements: Mapping[str, Judgement]) -> dict[str, Figure]:
    """Of one or more methods: poses on test (or validation) images, PCP of bodies on all of these."""
    shown, judged = shown_rows(annotations), _judged_rows(annotations)
    figures = {} if shown is None else {"poses": _poses(annotations, judgements, shown)}
    if len(judged):
        part = annotations.take(judged)
        results = {method: poses(one.predicted[judged], part) for method, one in judgements.items()}
        figures |= _part_figures(annotations, results, judgements, judged)
    return figures


def comparison_figures(
    annotations: Annotations,
    results: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Judgement],
    histories: Mapping[str, Any],
) -> dict[str, Figure]:
    """Of several runs: PCK by joint, over its threshold and over the epochs, PCP by part and over its threshold,
    confusions, poses; empty without a normalising length and without a body's parts."""
    test = annotations.rows("test")
    figures = _point_figures(annotations, results, judgements, histories, test)
    figures |= _part_figures(annotations, results, judgements, test)
    rows = shown_rows(annotations)
    return figures if rows is None or not figures else figures | {"poses": _poses(annotations, judgements, rows)}


def _point_figures(
    annotations: Annotations,
    results: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Judgement],
    histories: Mapping[str, Any],
    rows: Rows,
) -> dict[str, Figure]:
    """PCK and confusions of points with a normalising length."""
    schema = annotations.schema
    if annotations.length is None or not schema.has_points:
        return {}
    alphas = torch.linspace(0, 2.5 * PCK_ALPHA, 101)
    target, length = (torch.from_numpy(array[rows]) for array in (annotations.target, annotations.length))
    curves = {
        method: pck_curve(normalised_error(torch.from_numpy(one.predicted[rows]).double(), target, length), alphas)
        for method, one in judgements.items()
    }
    figures = {
        "pck_joints": pck_joints(results, joint_groups(schema.points, schema.pairs), measure=MEASURE),
        "pck_curves": pck_curves(curves, alphas, alpha=PCK_ALPHA, length="normalising"),
        "pck_epochs": validation_curves(histories, "val_pck", label=f"validation {MEASURE}"),
    }
    return figures | ({"confusions": confusion_bars(results)} if schema.pairs else {})


def _part_figures(
    annotations: Annotations,
    results: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Judgement],
    rows: Rows,
) -> dict[str, Figure]:
    """PCP of a body's parts."""
    parts = body_parts(annotations.schema.points)
    if not parts:
        return {}
    alphas, target = torch.linspace(0, 2 * PCP_ALPHA, 101), torch.from_numpy(annotations.target[rows])
    strict, loose = (
        {
            method: pcp_curve(torch.from_numpy(one.predicted[rows]).double(), target, parts, alphas, strict=kind)
            for method, one in judgements.items()
        }
        for kind in (True, False)
    )
    return {
        "pcp_parts": pcp_parts(results, part_groups(parts), measure=PARTS_MEASURE),
        "pcp_curves": pcp_curves(strict, alphas, loose=loose, alpha=PCP_ALPHA),
    }


def _judged_rows(annotations: Annotations) -> Rows:
    """The test rows (the validation rows where there are none)."""
    test = annotations.rows("test")
    return test if len(test) else annotations.rows("val")


def shown_rows(annotations: Annotations) -> Rows | None:
    """A few of the judged rows, spread over them, of points in images."""
    rows = _judged_rows(annotations)
    if annotations.images is None or not annotations.schema.has_points or not len(rows):
        return None
    picked: Rows = rows[:: max(len(rows) // SHOWN, 1)][:SHOWN]
    return picked


def _poses(annotations: Annotations, judgements: Mapping[str, Judgement], rows: Rows) -> Figure:
    schema, images = annotations.schema, annotations.images
    assert images is not None
    given = annotations.target[rows]
    shown = {method: one.predicted[rows] for method, one in judgements.items()}
    missed = None
    if annotations.length is not None:
        limit = PCK_ALPHA * annotations.length[rows, None]
        missed = {method: np.linalg.norm(pose - given, axis=-1) > limit for method, pose in shown.items()}
    pictures = [read_image(annotations.root / images[row], 3) for row in rows]
    limbs, pairs = sticks(schema)
    return stick_figures(pictures, {"annotated": given, **shown}, limbs=limbs, pairs=pairs, missed=missed)


def sticks(schema: Schema) -> tuple[Pairs, Pairs]:
    """Limbs, and left and right points, to draw; those of a body where the schema has none of its own."""
    return schema.limbs or body_limbs(schema.points), schema.pairs or body_pairs(schema.points)
