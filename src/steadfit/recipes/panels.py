"""The panels of a command's page: keypoints, poses, body parts, classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from steadfit.data import Annotations, Schema
from steadfit.data.images.files import read_image
from steadfit.evaluation.classes import confusion
from steadfit.evaluation.measures import poses
from steadfit.metrics import body_limbs, body_pairs, body_parts, normalised_error, pck_curve, pcp_curve
from steadfit.metrics.thresholds import PCK_ALPHA, PCP_ALPHA
from steadfit.outputs import Classes
from steadfit.reports.class_confusions import confusion_figure
from steadfit.reports.hard_examples import excess_maps, hardest_gallery
from steadfit.reports.keypoint_figures import confusion_bars, pck_curves, pck_joints, pcp_curves, pcp_parts
from steadfit.reports.keypoint_tables import joint_groups, part_groups
from steadfit.reports.panel import Panel
from steadfit.reports.stick_figures import stick_figures
from steadfit.reports.training_curves import TOP1, validation_curves
from steadfit.training import Judgement, Run
from steadfit.training.callbacks.excess import Excess
from steadfit.training.folder import read_history

SHOWN = 6  # images that are shown with their poses
MEASURE = f"PCK@{PCK_ALPHA:g}"
VALIDATION = f"share of the validation points within {PCK_ALPHA:g} of the normalising length"
PARTS_MEASURE = f"strict PCP@{PCP_ALPHA:g}"

Rows = npt.NDArray[np.int64]
Pairs = tuple[tuple[int, int], ...]


def run_figures(run: Run, annotations: Annotations, judgement: Judgement) -> list[Panel]:
    """Panels of one run: those of :func:`pose_figures` and, for a heatmap network, where its loss exceeded BCE.

    Args:
        run: the run.
        annotations: its table.
        judgement: the verdict on the table's labels.
    """
    panels = pose_figures(annotations, {run.settings.method: judgement})
    seen = Excess.load(run.folder)
    if seen is not None:
        panels.append(excess_maps(seen.frames, seen.points, seen.modulator, names=annotations.schema.points))
    return panels


def pose_figures(annotations: Annotations, judgements: Mapping[str, Judgement]) -> list[Panel]:
    """Panels of one or more methods: poses on a few test (or validation) images, and PCP of bodies on all of these."""
    shown, judged = shown_rows(annotations), _judged_rows(annotations)
    panels = [] if shown is None else [_poses(annotations, judgements, shown)]
    if len(judged):
        part = annotations.take(judged)
        results = {method: poses(one.predicted[judged], part) for method, one in judgements.items()}
        panels += _part_figures(annotations, results, judgements, judged)
    return panels


def comparison_figures(
    annotations: Annotations,
    results: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Judgement],
    histories: Mapping[str, Any],
) -> list[Panel]:
    """Panels of several runs; empty without a normalising length and without a body's parts.

    They show PCK by joint, over its threshold and over the epochs, PCP by part and over its threshold, confusions,
    poses.

    Args:
        annotations: the table.
        results: the numbers of each method.
        judgements: the verdicts of each method.
        histories: the history of each method.
    """
    test = annotations.rows("test")
    panels = _point_figures(annotations, results, judgements, histories, test)
    panels += _part_figures(annotations, results, judgements, test)
    rows = shown_rows(annotations)
    return panels if rows is None or not panels else [*panels, _poses(annotations, judgements, rows)]


def _point_figures(
    annotations: Annotations,
    results: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Judgement],
    histories: Mapping[str, Any],
    rows: Rows,
) -> list[Panel]:
    """PCK and confusions of points with a normalising length."""
    schema = annotations.schema
    if annotations.length is None or schema.dims != 2:
        return []
    alphas = torch.linspace(0, 2.5 * PCK_ALPHA, 101)
    target, length = (torch.from_numpy(array[rows]) for array in (annotations.target, annotations.length))
    curves = {
        method: pck_curve(normalised_error(torch.from_numpy(one.predicted[rows]).double(), target, length), alphas)
        for method, one in judgements.items()
    }
    return [
        pck_joints(results, joint_groups(schema.points, schema.pairs), what=MEASURE),
        pck_curves(curves, alphas, alpha=PCK_ALPHA, length="normalising"),
        validation_curves(histories, "val_pck", label=f"validation {MEASURE}", what=VALIDATION),
        *([confusion_bars(results)] if schema.pairs else []),
    ]


def _part_figures(
    annotations: Annotations,
    results: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Judgement],
    rows: Rows,
) -> list[Panel]:
    """PCP of a body's parts."""
    parts = body_parts(annotations.schema.points)
    if not parts:
        return []
    alphas, target = torch.linspace(0, 2 * PCP_ALPHA, 101), torch.from_numpy(annotations.target[rows])
    strict, loose = (
        {
            method: pcp_curve(torch.from_numpy(one.predicted[rows]).double(), target, parts, alphas, strict=kind)
            for method, one in judgements.items()
        }
        for kind in (True, False)
    )
    return [
        pcp_parts(results, part_groups(parts), what=PARTS_MEASURE),
        pcp_curves(strict, alphas, loose=loose, alpha=PCP_ALPHA),
    ]


def _judged_rows(annotations: Annotations) -> Rows:
    """The test rows (the validation rows where there are none)."""
    test = annotations.rows("test")
    return test if len(test) else annotations.rows("val")


def shown_rows(annotations: Annotations) -> Rows | None:
    """A few of the judged rows, spread over them; None for anything but points in images."""
    rows = _judged_rows(annotations)
    if annotations.images is None or not annotations.schema.has_points or not len(rows):
        return None
    picked: Rows = rows[:: max(len(rows) // SHOWN, 1)][:SHOWN]
    return picked


def _poses(annotations: Annotations, judgements: Mapping[str, Judgement], rows: Rows) -> Panel:
    schema, images = annotations.schema, annotations.images
    assert images is not None
    given = annotations.target[rows]
    shown = {method: one.predicted[rows] for method, one in judgements.items()}
    missed = None
    if annotations.length is not None:
        limit = PCK_ALPHA * annotations.length[rows, None]
        missed = {method: np.linalg.norm(pose - given, axis=-1) > limit for method, pose in shown.items()}
    load = image_loader(annotations)
    assert load is not None
    pictures = [load(images[row]) for row in rows]
    limbs, pairs = sticks(schema)
    return stick_figures(pictures, {"annotated": given, **shown}, limbs=limbs, pairs=pairs, missed=missed)


def sticks(schema: Schema) -> tuple[Pairs, Pairs]:
    """Limbs, and left and right points, to draw; those of a body where the schema has none."""
    return schema.limbs or body_limbs(schema.points), schema.pairs or body_pairs(schema.points)


def class_panels(run: Run, annotations: Annotations, judgement: Judgement, hardest: pd.DataFrame) -> list[Panel]:
    """Panels of a run on classes: accuracy and loss over the epochs, confusions, the hardest images.

    Args:
        run: the run.
        annotations: its images.
        judgement: the verdict on their labels.
        hardest: the table from :func:`steadfit.evaluation.classes.hardest_images`.
    """
    output = run.regressor.output
    assert isinstance(output, Classes)
    shown = "test" if len(annotations.rows("test")) else "val"
    history, warm_up = {run.settings.method: read_history(run.folder)}, output.warmup_epochs(run.settings.plan.epochs)
    table, load = confusion(annotations, judgement, annotations.rows(shown)), image_loader(annotations)
    assert load is not None  # only images have classes
    return [
        validation_curves(history, "val_top1", label="validation top-1", what=TOP1, warm_up=warm_up),
        validation_curves(history, "val_loss", label="validation loss", percentages=False, warm_up=warm_up),
        confusion_figure(table, annotations.schema.classes, split=shown),
        hardest_gallery(hardest, load),
    ]


def image_loader(annotations: Annotations) -> Callable[[str], Any] | None:
    """A function that opens the RGB image (H, W, 3) of a name in the table; None for a table of features."""
    if annotations.images is None:
        return None
    if annotations.pixels is None:
        return lambda name: read_image(annotations.root / name, 3, annotations.schema.exif)
    pixels, row = annotations.pixels, {name: k for k, name in enumerate(annotations.images)}
    return lambda name: np.asarray(pixels[row[name]].permute(1, 2, 0).numpy())
