"""The calibration of a run: how reliable its distributions are, and the temperature and radii that correct them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from steadfit import _checks
from steadfit._console import say
from steadfit._files import write_csv
from steadfit.core.penalties import Penalty
from steadfit.data import Annotations
from steadfit.errors import ConfigError, DataError
from steadfit.metrics import calibration, calibration_table, mahalanobis, right_labels
from steadfit.noise.predicted import PredictedMixtureNoise
from steadfit.recipes.opening import load_by_name
from steadfit.reports.calibration_figure import calibration_figure
from steadfit.reports.style import save
from steadfit.reports.values import one_line
from steadfit.training import Run, load
from steadfit.training.calibrated import Calibrated
from steadfit.training.folder import fingerprint, read_config
from steadfit.training.known import as_in_run, warn_trained

WEIGHTS = ("auto", "estimate", "none")
FEW = 100  # a calibration with fewer labels is not reliable


def calibrate_run(
    run_folder: str | Path,
    table: str | Path | None = None,
    *,
    split: str = "val",
    views: Sequence[str] = (),
    per_point: bool = False,
    weigh: str = "auto",
    format: str | None = None,
    images: str | Path | None = None,
    console: Console | None = None,
) -> pd.DataFrame:
    """Fit a temperature and conformal radii on labels that were not trained on, and measure them on test labels.

    Writes into the run folder: ``calibration.json`` and ``calibration.parquet``, which predictions use from then on,
    ``calibration.csv`` (one row for all points and one for each) and ``calibration.png``, both measured on the test
    rows where some are labelled, otherwise on the rows that were fitted.

    Args:
        run_folder: the folder of a finished run.
        table: a table whose rows of ``split`` were not trained on; None: the run's own.
        split: the rows to fit on; ``"all"``: every row of another table.
        views: test-time augmentation, as in :meth:`steadfit.training.Run.predict`; the calibration is valid for
            predictions with these views.
        per_point: True: one temperature for each point; False: one for all.
        weigh: the weight of a label, so that wrong ones don't widen the regions. ``"auto"``: the mixture's
            responsibility where the run has a mixture, else 1. ``"estimate"``: a probability of being right that is
            estimated from these labels (:func:`steadfit.metrics.right_labels`). ``"none"``: 1.
        format: the name of the table's format; None: found by content.
        images: the folder of the table's images; None: what the format specifies.
        console: where the result is shown; None: nowhere.

    Returns:
        The content of ``calibration.csv``.

    Raises:
        ConfigError: a run that predicts no distributions, or training rows.
        DataError: a table that cannot be used or has no labels in the split.
    """
    _checks.one_of("calibrate", "weigh", weigh, WEIGHTS)
    run = load(run_folder)
    if run.schema.classes:
        raise ConfigError(
            f"{run.folder}: expected a run that predicts distributions, got one on classes. Its probabilities stay as "
            "they are."
        )
    if not run.noise.predicts_covariance:
        raise ConfigError(
            f"{run.folder}: expected a run that predicts distributions, got one with --noise {run.settings.noise}. "
            "Train with --noise predicted-huber or predicted-mixture."
        )
    annotations = _open(run, table, format, images)
    annotations, before = as_in_run(annotations, run.folder)
    fitted_on = _rows(annotations, split, own=table is None)
    if split != "train":
        warn_trained("calibrate", fitted_on, before if split == "all" else before[annotations.rows(split)])
    run.calibrated = None  # the new one is measured on uncorrected predictions
    names = run.schema.target_names
    mean, root, target, penalty = _predict(run, fitted_on, views)
    weight = _weight(run, fitted_on, weigh, mean, root, target, penalty)
    found = Calibrated.fit(
        mean, root, target, penalty, names=names, weight=weight, per_point=per_point, views=tuple(views)
    )
    test = annotations.rows("test") if split != "all" else np.arange(0)
    shown = annotations.take(test) if len(test) and not np.isnan(annotations.target[test]).all() else None
    measured = (mean, root, target) if shown is None else _predict(run, shown, views)[:3]
    frame = _write(run, found, *measured, weight if shown is None else None, penalty)
    if console is not None:
        labels = int((~target.isnan().any(dim=-1)).sum())
        _tell(run, frame, labels, weight, "the same labels" if shown is None else "test labels", console)
    return frame


def _weight(
    run: Run, rows: Annotations, weigh: str, mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty
) -> Tensor | None:
    """The weight of each label, (N, K) in [0, 1]; None where all count in full."""
    if weigh == "estimate":
        return right_labels(mean, root, target, penalty).probability.nan_to_num(nan=0.0)
    if weigh == "auto" and isinstance(run.noise, PredictedMixtureNoise):
        return torch.from_numpy(run.judge(rows).trust).nan_to_num(nan=0.0)
    return None


def _open(run: Run, table: str | Path | None, format: str | None, images: str | Path | None) -> Annotations:
    _, config = read_config(run.folder)
    if table is None:
        format, images = format or config.get("format"), images or config.get("root")
    path = Path(config["data"]) if table is None else Path(table)
    if not path.exists():
        raise DataError(f"{path}: the run's table is no longer there. Name a table with rows that were not trained on.")
    annotations = load_by_name(path, run.schema, seed=run.settings.seed, format=format, images=images)
    if table is None and fingerprint(annotations) != config["fingerprint"]:
        raise DataError(
            f"{path}: the table has changed since the run was trained, so that its splits may be others. Name a table "
            "with rows that were not trained on."
        )
    return annotations


def _rows(annotations: Annotations, split: str, *, own: bool) -> Annotations:
    if own and split in ("train", "all"):
        raise ConfigError("calibrate: expected rows that were not trained on, got the training rows. Use --split val.")
    part = annotations if split == "all" else annotations.take(annotations.rows(split))
    if not len(part) or np.isnan(part.target).all():
        remedy = "" if own else " Rows that the run does not know are test rows: use --split test or all."
        raise DataError(f"{annotations.path}: expected labels in the split {split!r}, got none.{remedy}")
    return part


def _predict(run: Run, rows: Annotations, views: Sequence[str]) -> tuple[Tensor, Tensor, Tensor, Penalty]:
    """Mean, root and label of every point of some rows, in float64, and rho."""
    prediction = run.predict_positions(rows, views=views)
    assert prediction.root is not None  # it was checked that the run predicts covariances
    assert prediction.penalty is not None
    mean, root, target = (torch.from_numpy(part) for part in (prediction.mean, prediction.root, rows.target))
    return mean, root, target.double(), prediction.penalty


def _write(
    run: Run, found: Calibrated, mean: Tensor, root: Tensor, target: Tensor, weight: Tensor | None, penalty: Penalty
) -> pd.DataFrame:
    """Write all files, the calibration itself last: a run is calibrated when its numbers and picture are there."""
    frame = calibration_table(
        mean, root, target, penalty, points=run.schema.target_names, temperature=found.temperature,
        conformal=found.conformal, per_point=found.per_point, weight=weight,
    )  # fmt: skip
    write_csv(frame, run.folder / "calibration.csv")
    levels = torch.linspace(0.05, 0.95, 19).tolist()
    inside = found.conformal.coverage(mahalanobis(mean, root, target), levels, weight=weight)
    results = {
        "as predicted": calibration(mean, root, target, penalty, weight=weight),
        "with temperature": calibration(mean, found.apply(root), target, penalty, weight=weight),
    }
    save(calibration_figure(results, unit=run.schema.units, conformal=inside).figure, run.folder / "calibration.png")
    found.save(run.folder)
    return frame


def _tell(
    run: Run, frame: pd.DataFrame, labels: int, weight: Tensor | None, measured_on: str, console: Console
) -> None:
    row = frame.iloc[0]
    right = "" if weight is None else f", {100 * float(weight.sum()) / labels:.1f} % of them considered right"
    unit = one_line(run.schema.units)
    lines = [
        f"Temperature {row['tau']:.3f}: the factor on the standard deviations, from {labels} labels{right}.",
        f"On {measured_on} ({int(row['labels'])}):",
        f"  NLL {row['nll']:.3f} before, {row['nll_after']:.3f} after, nats per label",
        f"  mean error {row['mean_error']:.3f}, expected {row['expected_error']:.3f} before, "
        f"{row['expected_error_after']:.3f} after{f', {unit}' if unit else ''}",
        *(
            f"  {level} % ellipses contain {100 * row[f'cover_{level}']:.1f} % before, "
            f"{100 * row[f'cover_{level}_after']:.1f} % after"
            for level in (50, 90, 95)
        ),
        f"  90 % conformal regions contain {100 * row['conformal_cover']:.1f} %",
        *([f"{labels} labels are few; a reliable calibration takes {FEW} or more."] if labels < FEW else []),
        f"Table and figure: {run.folder / 'calibration.csv'}, {run.folder / 'calibration.png'}",
        "Predictions of this run use the temperature from now on; 'steadfit predict --coverage 0.9' gives regions.",
    ]
    for line in lines:
        say(console, line)
