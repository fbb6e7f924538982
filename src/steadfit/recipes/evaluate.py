"""The evaluation of a run: its errors on a table, or its accuracy on classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from steadfit._console import say
from steadfit._files import write_json
from steadfit.data import Annotations, Schema
from steadfit.errors import ConfigError, DataError, DataWarning, SchemaError
from steadfit.evaluation import classes
from steadfit.evaluation.measures import errors, keypoints, poses
from steadfit.metrics.thresholds import FAILURE, PCK_ALPHA, PCP_ALPHA
from steadfit.recipes.opening import open_classes, open_for_run
from steadfit.reports.keypoint_tables import body_table
from steadfit.reports.values import amount, percent, short
from steadfit.training import Run
from steadfit.training.known import as_in_run, warn_trained
from steadfit.training.opening import Predictor, load


def evaluate_run(
    run_folder: str | Path,
    table: str | Path,
    *,
    split: str = "test",
    threshold: float = FAILURE,
    alpha: float = PCK_ALPHA,
    pcp: float = PCP_ALPHA,
    views: Sequence[str] = (),
    normalizer: str | None = None,
    label: str | None = None,
    skip_bad: bool = False,
    format: str | None = None,
    images: str | Path | None = None,
    out: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Errors of a run on a split of a table, in the run's units; PCK of points with a length, PCP of a body's parts.

    A run on classes has top-1 and top-5 accuracy instead.

    The run's schema determines what the columns mean. The normalising length is the option's, else the run's, else that
    of the ``dataset.yaml`` next to the table. In a table without a split column the rows that the run knows are in its
    own splits, and all others are test rows. Rows that were trained on are reported in a warning.

    Args:
        run_folder: the folder of a finished run.
        table: labels to compare with; for classes whatever :func:`open_classes` takes.
        split: the rows; ``"all"``: every row.
        threshold: an error above this share of the normalising length is a failure.
        alpha: a point is right (PCK@alpha) within this share of the length.
        pcp: a part is right (PCP@pcp) if its ends are within this share of its own length.
        views: test-time augmentation, as in :meth:`steadfit.training.Run.predict`.
        normalizer: the normalising length; None: see above.
        label: the column of the classes; None: ``label`` or ``class``.
        skip_bad: whether bad rows are left out, with a warning.
        format: the name of the format; None: found by content.
        images: the folder of the images; None: what the format specifies.
        out: the JSON file for the numbers; None: none is written.
        console: where the numbers are shown; None: nowhere.

    Raises:
        ConfigError: the split has no rows, or a threshold or normalizer has no meaning.
        DataError: a table without labels, or with other classes than the run's.
    """
    for name, value in (("threshold", threshold), ("pck", alpha), ("pcp", pcp)):
        if not (np.isfinite(value) and value > 0):
            raise ConfigError(f"evaluate: expected {name} > 0, got {value}.")
    run = load(run_folder)
    if isinstance(run, Run) and run.schema.classes:
        return _evaluate_classes(run, table, split=split, label=label, skip_bad=skip_bad, out=out, console=console)
    schema = _with_length(run.schema, Path(table), normalizer)
    opened = open_for_run(run, Path(table), schema, skip_bad, format=format, images=images)
    part = _part(opened, run, table, split, what="rows")
    if np.isnan(part.target).all():
        raise DataError(f"{table}: expected labels in columns {', '.join(part.schema.columns)}, got none.")
    seen = run.predict_positions(part, views=views)
    points = keypoints(seen.mean, part, alpha=alpha, peaks=seen.peaks) | poses(seen.mean, part, alpha=pcp)
    found = {"rows": len(part)} | errors(seen.mean, part, threshold) | points
    if out is not None:
        write_json(found, out)
    if console is not None:
        _show(found, run.schema.units, console)
    return found


def _evaluate_classes(
    run: Run,
    data: str | Path,
    *,
    split: str,
    label: str | None,
    skip_bad: bool,
    out: str | Path | None,
    console: Console | None,
) -> dict[str, Any]:
    """Top-1 and top-5 on a split of a data set with the run's classes."""
    opened = open_classes(
        data, label=label, exif=run.schema.exif, seed=run.settings.seed, skip_bad=skip_bad, console=console
    )
    _check_names(run.schema.classes, opened.schema.classes, data)
    part = _part(opened, run, data, split, what="images")
    measured = classes.scores(part, run.judge(part), np.arange(len(part)))
    found = {name: measured[name] for name in ("images", "top1", "top5")}
    if out is not None:
        write_json(found, out)
    if console is not None:
        for name, value in found.items():
            say(console, f"{name:>12}  {value if name == 'images' else percent(value)}")
    return found


def _part(opened: Annotations, run: Predictor, path: str | Path, split: str, *, what: str) -> Annotations:
    """The rows of a split of a table, in the run's splits where it has none; ``what`` names them in the message."""
    annotations, before = as_in_run(opened, run.folder)
    rows = np.arange(len(annotations)) if split == "all" else annotations.rows(split)
    if not len(rows):
        raise ConfigError(f"evaluate: expected {what} in the split {split!r} of {path}, got none. Use --split all.")
    part = annotations.take(rows)
    if split != "train":
        warn_trained("evaluate", part, before[rows])
    return part


def _check_names(wanted: Sequence[str], got: Sequence[str], data: str | Path) -> None:
    if tuple(wanted) != tuple(got):
        odd = [*(name for name in got if name not in wanted), *(name for name in wanted if name not in got)]
        differs = f"{len(got)}; {odd[0]!r} differs" if odd else f"them in another order: {', '.join(got)}"
        raise DataError(f"{data}: expected the {len(wanted)} classes of the run, got {differs}.")


IN_UNITS = ("mae", "rmse", "point_error")


def _show(found: dict[str, Any], units: str, console: Console) -> None:
    numbers = {name: value for name, value in found.items() if not isinstance(value, dict)}
    for name, value in numbers.items():
        text = str(value) if name == "rows" else short(value, 5)
        say(console, f"{name:>12}  {amount(text, units if name in IN_UNITS else '')}")
    if "pcp_by_part" in found:
        say(console, body_table(found, units))
    else:
        for name, value in found.get("pck_by_point", {}).items():
            say(console, f"{name:>16}  {percent(value)}")
    if "failure_rate" not in found:
        say(console, "No failure rate: give the normalising length with --normalizer.")


def _with_length(schema: Schema, table: Path, normalizer: str | None) -> Schema:
    """The run's schema with a normalising length, and a warning where the table's own file means something else."""
    found = Schema.discover(table)
    for key, here in (("units", found.units), ("targets", found.targets)):
        there = getattr(schema, key)
        if here not in (there, (), ""):
            warnings.warn(f"{table}: its dataset.yaml has {key} {here}, the run {there}.", DataWarning, stacklevel=3)
    length = found.normalizer
    if isinstance(length, tuple) and schema.has_names and set(found.points) == set(schema.points):
        length = found.renumbered(schema.points).normalizer  # in the run's numbers
    try:
        return schema.with_options(normalizer=normalizer or (length if schema.normalizer is None else None))
    except SchemaError as error:
        raise ConfigError(f"--normalizer: {error.rule}") from None
