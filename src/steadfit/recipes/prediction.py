"""Predictions of a run as CSV and pictures, and its errors on a table."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from steadfit._console import say
from steadfit._files import shortened, write_csv, write_json
from steadfit.data import IMAGE_SUFFIXES, Annotations, Schema, load_annotations, read_image, scan
from steadfit.errors import ConfigError, DataError, DataWarning, SchemaError
from steadfit.recipes.fitting import row_of
from steadfit.recipes.poses import sticks
from steadfit.reports.overlays import draw_points, write_image
from steadfit.reports.parts import body_table
from steadfit.reports.values import behind, percent, short
from steadfit.training import Prediction
from steadfit.training.images import as_images
from steadfit.training.known import as_in_run, warn_trained
from steadfit.training.opening import Predictor, load_predictor
from steadfit.training.outcome import FAILURE, PCK_ALPHA, PCP_ALPHA, errors, keypoints, poses

TABLES = {".csv", ".parquet", ".pq"}


def predict_to(
    run_folder: str | Path,
    inputs: str | Path,
    out: str | Path,
    *,
    overlays: int = 24,
    views: Sequence[str] = (),
    coverage: float | None = None,
    skip_bad: bool = False,
    console: Console | None = None,
) -> Path:
    """Write ``predictions.csv`` and, for points in images, overlay pictures.

    Where the noise model predicts distributions the CSV has their covariances, and the pictures an ellipse round every
    point: the region of ``coverage``, or one standard deviation without it.

    Args:
        inputs: an image, a folder of images, or a table (its ``image`` column, or its feature columns).
        overlays: pictures of the first so many images, in ``overlays/``; -1 for all.
        views, coverage: as :meth:`steadfit.training.Run.predict`.
        skip_bad: leave out rows and images that cannot be read, with a warning.

    Returns: the path of the CSV: ``image`` (of features ``row``, from 0, and ``line``), then one column a coordinate,
        in the run's units.

    Raises: RunError without a finished run; DataError for inputs that cannot be read or are not what the run takes.
    """
    run, inputs, out = load_predictor(run_folder), Path(inputs), Path(out)
    if not inputs.exists():
        raise DataError(f"{inputs}: no such image, folder or table.")
    if is_table(inputs):
        prediction, columns, paths = _predict_table(run, inputs, skip_bad, views, coverage)
    else:
        prediction, columns, paths = _predict_images(run, inputs, skip_bad, views, coverage)
    frame = prediction.to_frame()
    for place, (name, column) in enumerate(columns.items()):
        frame.insert(place, name, column)
    write_csv(frame, out / "predictions.csv")
    if paths and run.schema.has_points:
        _draw(run, paths if overlays < 0 else paths[:overlays], prediction, out / "overlays", console)
    return out / "predictions.csv"


def is_table(inputs: Path) -> bool:
    """Whether it is a table rather than an image or a folder of images."""
    return inputs.suffix.lower() in TABLES or any((inputs / f"annotations{suffix}").is_file() for suffix in TABLES)


def _predict_table(
    run: Predictor, table: Path, skip_bad: bool, views: Sequence[str], coverage: float | None
) -> tuple[Prediction, dict[str, Sequence[Any]], list[Path]]:
    schema = dataclasses.replace(run.schema, normalizer=None)  # a length is not needed, so its column need not be there
    annotations = _open(run, table, schema, skip_bad)
    prediction = run.predict(annotations, views=views, coverage=coverage)
    if annotations.images is None:
        return prediction, {"row": row_of(annotations).tolist(), "line": annotations.line.tolist()}, []
    return prediction, {"image": annotations.images}, [annotations.root / name for name in annotations.images]


def _predict_images(
    run: Predictor, inputs: Path, skip_bad: bool, views: Sequence[str], coverage: float | None
) -> tuple[Prediction, dict[str, Sequence[Any]], list[Path]]:
    if not run.takes_images:
        raise DataError(
            f"{inputs}: expected a CSV or Parquet table, which this run was trained on, got something else."
        )
    paths = image_paths(inputs, skip_bad=skip_bad, other=" or annotations.csv")
    if run.schema.box is not None:
        _warn_whole(inputs, len(paths), "images have")
    return run.predict(paths, views=views, coverage=coverage), {"image": [str(path) for path in paths]}, paths


def image_paths(inputs: str | Path, *, skip_bad: bool = False, other: str = "") -> list[Path]:
    """An image, or the images of a folder; with ``skip_bad`` those that can be read, and a warning.

    Raises: DataError where there is none; ``other`` is what else was expected.
    """
    if not Path(inputs).exists():
        raise DataError(f"{inputs}: expected an image or a folder of images, got nothing of that name.")
    paths = [Path(str(path)) for path in as_images(inputs)]
    if skip_bad:
        paths = _readable(paths)
    if not paths:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise DataError(f"{inputs}: expected images ({kinds}){other} in this folder, got none.")
    return paths


def _readable(paths: list[Path]) -> list[Path]:
    _, _, reasons = scan(paths[0].parent, [path.name for path in paths]) if paths else (None, None, [])
    bad = [f"{path}: {reason}" for path, reason in zip(paths, reasons, strict=True) if reason]
    if bad:
        warnings.warn(f"left out {len(bad)} of {len(paths)} images:\n  " + "\n  ".join(bad), DataWarning, stacklevel=4)
    return [path for path, reason in zip(paths, reasons, strict=True) if not reason]


def _draw(run: Predictor, paths: list[Path], prediction: Prediction, folder: Path, console: Console | None) -> None:
    ellipses = prediction.covariance if prediction.ellipsoids is None else prediction.ellipsoids
    limbs, pairs = sticks(run.schema)
    shown = track(paths, "drawing", console=console, transient=True) if console and console.is_terminal else paths
    for number, path in enumerate(shown):
        around = None if ellipses is None else ellipses[number]
        picture = draw_points(read_image(path, 3), prediction.mean[number], ellipses=around, limbs=limbs, pairs=pairs)
        write_image(picture, folder / f"{number:05d}-{shortened(path.stem)}.png")


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
    skip_bad: bool = False,
    out: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Errors of a run on a split (``"all"``: every row) of a table, in the run's units; PCK of points with a length,
    PCP of a body's parts.

    The run's schema says what the columns mean. The normalising length is the option's, else the run's, else that of
    the ``dataset.yaml`` beside the table. In a table without a split column the rows that the run knows are in its own
    splits, and all others are test rows. Rows that were trained on are reported in a warning.

    Args:
        threshold: a failure is an error above this share of the normalising length.
        alpha: a point is right (PCK@alpha) within this share of it. views: test-time augmentation.
        pcp: a part is right (PCP@pcp) if its ends are within this share of its own length.
        out: where the numbers are written as JSON. console: where they are shown.

    Raises: ConfigError where the split has no rows, or for a threshold or normalizer without meaning.
    """
    for name, value in (("threshold", threshold), ("pck", alpha), ("pcp", pcp)):
        if not (np.isfinite(value) and value > 0):
            raise ConfigError(f"evaluate: expected {name} > 0, got {value}.")
    run = load_predictor(run_folder)
    opened = _open(run, Path(table), _with_length(run.schema, Path(table), normalizer), skip_bad)
    annotations, before = as_in_run(opened, run.folder)
    rows = np.arange(len(annotations)) if split == "all" else annotations.rows(split)
    part = annotations.take(rows)
    if split != "train":
        warn_trained("evaluate", part, before[rows])
    if not len(part):
        raise ConfigError(f"evaluate: expected rows in the split {split!r} of {table}, got none. Use --split all.")
    if np.isnan(part.target).all():
        raise DataError(f"{table}: expected labels in columns {', '.join(part.schema.columns)}, got none.")
    seen = run.predict(part, views=views)
    points = keypoints(seen.mean, part, alpha=alpha, peaks=seen.peaks) | poses(seen.mean, part, alpha=pcp)
    found = {"rows": len(part)} | errors(seen.mean, part, threshold) | points
    if out is not None:
        write_json(found, out)
    if console is not None:
        _show(found, run.schema.units, console)
    return found


IN_UNITS = ("mae", "rmse", "point_error")


def _show(found: dict[str, Any], units: str, console: Console) -> None:
    numbers = {name: value for name, value in found.items() if not isinstance(value, dict)}
    for name, value in numbers.items():
        unit = behind(units) if name in IN_UNITS else ""
        say(console, f"{name:>12}  {value if name == 'rows' else short(value, 5)}{unit}")
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


def _warn_whole(inputs: Path, count: int, which: str) -> None:
    warnings.warn(
        f"{inputs}: {count} {which} no box. The run was trained on boxes and now sees these images whole.",
        DataWarning,
        stacklevel=4,
    )


def load_by_name(table: Path, schema: Schema, *, seed: int, skip_bad: bool = False) -> Annotations:
    """A table with the points of a run's schema in their order, which are found by name.

    The names are those of the ``dataset.yaml`` beside the table; where it, or the run, has none, number k is point k.

    Raises:
        DataError: the table has points of other names.
    """
    names = Schema.discover(table).points
    if not (schema.has_names and names):
        return load_annotations(table, schema, need_splits=(), skip_bad=skip_bad, seed=seed)
    if odd := sorted(set(names) ^ set(schema.points)):
        raise DataError(
            f"{table}: expected the points of the run, {', '.join(schema.points)}, got {', '.join(names)} in its "
            f"dataset.yaml; {odd[0]!r} differs."
        )
    here = schema.renumbered(names)
    found = load_annotations(table, here, need_splits=(), skip_bad=skip_bad, seed=seed)
    return found.renumbered(schema.points)


def _open(run: Predictor, table: Path, schema: Schema, skip_bad: bool) -> Annotations:
    """A table for a trained run, split with the run's seed; only what predicting needs has to be there."""
    annotations = load_by_name(table, schema, skip_bad=skip_bad, seed=run.settings.seed)
    if schema.box == "points" and (bare := int(np.isnan(annotations.target).all(axis=(1, 2)).sum())):
        _warn_whole(table, bare, "rows have no points and so")
    if (annotations.images is not None) != run.takes_images:
        wanted, got = ("images", "features") if annotations.images is None else ("features", "images")
        raise DataError(f"{table}: expected {wanted}, which the run was trained on, got a table of {got}.")
    return annotations
