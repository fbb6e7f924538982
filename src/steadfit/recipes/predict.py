"""The predictions of a run as CSV, and pictures with the points drawn into them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from torch import Tensor

from steadfit._console import say
from steadfit._files import shortened, shown_path, write_csv
from steadfit.audit import row_of
from steadfit.data import WRITERS, Annotations, Schema, is_source, pose_source, read_annotations, read_image, write
from steadfit.errors import ConfigError, DataError
from steadfit.recipes.opening import image_paths, open_for_run, warn_whole
from steadfit.recipes.panels import sticks
from steadfit.reports.overlays import draw_points, write_image
from steadfit.training import Prediction, Run
from steadfit.training.opening import Predictor, load


def predict_to(
    run_folder: str | Path,
    inputs: str | Path,
    out: str | Path,
    *,
    overlays: int = 24,
    views: Sequence[str] = (),
    coverage: float | None = None,
    skip_bad: bool = False,
    format: str | None = None,
    images: str | Path | None = None,
    to: str | None = None,
    console: Console | None = None,
) -> Path:
    """Write ``predictions.csv`` and, for points in images, overlay pictures.

    Where the noise model predicts distributions the CSV has their covariances, and the pictures an ellipse around every
    point: the region of ``coverage``, or one standard deviation without it.

    Args:
        run_folder: the folder of a finished run.
        inputs: an image, a folder of images, or annotations in any format (their images, or feature columns).
        out: the folder for the predictions.
        overlays: the number of pictures in ``overlays/``, of the first images; -1: all.
        views: test-time augmentation, as in :meth:`steadfit.training.Run.predict`.
        coverage: the probability of the regions, as in :meth:`steadfit.training.Run.predict`; None: no regions.
        skip_bad: whether rows and images that cannot be read are left out, with a warning.
        format: the name of the format of annotations; None: found by content.
        images: the folder of the images of annotations; None: what the format specifies.
        to: the format in which the predictions are written as annotations, too, into a folder of its name; None: not.
        console: where progress is shown; None: nowhere.

    Returns:
        The path of the CSV: ``image`` (for features ``row``, from 0, and ``line``), then one column per coordinate, in
            the
        run's units.

    Raises:
        RunError: there is no finished run.
        DataError: inputs that cannot be read or are not what the run takes.
        ConfigError: views or a coverage that the run does not support.
    """
    run, inputs, out = load(run_folder), Path(inputs), Path(out)
    if not inputs.exists():
        raise DataError(f"{inputs}: expected an image, a folder of images or a table, got nothing of that name.")
    if isinstance(run, Run) and run.schema.classes:
        if views or coverage is not None:
            raise ConfigError("predict: expected no views or coverage with classes, got some. Leave them out.")
        return _predict_classes(run, inputs, out, skip_bad)
    check_format(run, to)
    opened = None
    if format is not None or is_source(inputs):
        schema = dataclasses.replace(run.schema, normalizer=None)  # its column need not be there
        opened = open_for_run(run, inputs, schema, skip_bad, format=format, images=images)
        prediction, columns, paths = _predict_table(run, opened, views, coverage)
    else:
        prediction, columns, paths = _predict_images(run, inputs, skip_bad, views, coverage)
    frame = prediction.to_frame()
    for place, (name, column) in enumerate(columns.items()):
        frame.insert(place, name, column)
    write_csv(frame, out / "predictions.csv")
    if paths and run.schema.has_points:
        pixels = None if opened is None else opened.pixels
        _draw(run, paths if overlays < 0 else paths[:overlays], prediction, out / "overlays", console, pixels)
    if to is not None:
        data = annotations_of(paths, run.schema) if opened is None else opened
        written = write(predicted(data, prediction), out / to, format=to)
        if console is not None:
            say(console, f"As {to}: {written}; read it with --images {shown_path(data.root)}")
    return out / "predictions.csv"


def check_format(run: Predictor, to: str | None) -> None:
    """Check that predictions of a run can be written in a format.

    Args:
        run: the run.
        to: the name of the format; None for none.

    Raises:
        ConfigError: an unknown format, or a run whose targets are not points.
    """
    if to is not None and to not in WRITERS:
        raise ConfigError(f"--to: expected one of {', '.join(WRITERS)}, got {to!r}.")
    if to is not None and not run.schema.points:
        raise ConfigError("--to: expected a run on points, got one on numbers. Leave it out.")


def annotations_of(paths: Sequence[Path], schema: Schema) -> Annotations:
    """Images without labels as annotations, relative to the folder that contains all of them.

    Args:
        paths: the images.
        schema: of the points.
    """
    root = Path(os.path.commonpath([os.path.abspath(path.parent) for path in paths]))
    names = [Path(os.path.abspath(path)).relative_to(root).as_posix() for path in paths]
    shape = (len(paths), len(schema.points))
    return read_annotations(
        pose_source(
            path=root,
            root=root,
            format="",
            points=schema.points,
            images=names,
            xy=np.full((*shape, 2), np.nan),
            visible=np.zeros(shape, dtype=np.int8),
            box=np.full((len(paths), 4), np.nan),
            size=np.full((len(paths), 2), np.nan),
            split=[""] * len(paths),
            group=[""] * len(paths),
            at=None,
            pairs=schema.pairs,
            limbs=schema.limbs,
        )
    )


def predicted(data: Annotations, prediction: Prediction) -> Annotations:
    """Annotations whose labels are predictions.

    Args:
        data: N rows.
        prediction: of these rows.
    """
    visible = np.full(data.target.shape[:2], 2, dtype=np.int8)
    return dataclasses.replace(data.with_target(prediction.mean), visible=visible)


def _predict_classes(run: Run, inputs: Path, out: Path, skip_bad: bool) -> Path:
    """Write the most probable class of every image with its probability, and the second one."""
    paths = image_paths(inputs, skip_bad=skip_bad)
    probability = run.predict_classes(paths).probability  # (N, C)
    order = np.argsort(-probability, axis=1)[:, :2]
    columns: dict[str, Any] = {"image": [str(path) for path in paths]}
    for place, names in enumerate((("predicted", "probability"), ("second", "second_probability"))[: order.shape[1]]):
        columns[names[0]] = [run.schema.classes[k] for k in order[:, place]]
        columns[names[1]] = np.take_along_axis(probability, order[:, place : place + 1], axis=1)[:, 0]
    return write_csv(pd.DataFrame(columns), out / "predictions.csv")


def _predict_table(
    run: Predictor, annotations: Annotations, views: Sequence[str], coverage: float | None
) -> tuple[Prediction, dict[str, Sequence[Any]], list[Path]]:
    prediction = run.predict_positions(annotations, views=views, coverage=coverage)
    if annotations.images is None:
        return prediction, {"row": row_of(annotations).tolist(), "line": annotations.line.tolist()}, []
    columns: dict[str, Sequence[Any]] = {"image": annotations.images}
    if len(set(annotations.images)) < len(annotations):  # several persons in an image
        columns["line"] = annotations.line.tolist()
    return prediction, columns, [annotations.root / name for name in annotations.images]


def _predict_images(
    run: Predictor, inputs: Path, skip_bad: bool, views: Sequence[str], coverage: float | None
) -> tuple[Prediction, dict[str, Sequence[Any]], list[Path]]:
    if not run.takes_images:
        raise DataError(
            f"{inputs}: expected a CSV or Parquet table, which this run was trained on, got something else."
        )
    paths = image_paths(inputs, skip_bad=skip_bad, other=" or annotations.csv")
    if run.schema.box is not None:
        warn_whole(inputs, len(paths), "image has" if len(paths) == 1 else "images have")
    return run.predict_positions(paths, views=views, coverage=coverage), {"image": [str(path) for path in paths]}, paths


def _draw(
    run: Predictor,
    paths: list[Path],
    prediction: Prediction,
    folder: Path,
    console: Console | None,
    pixels: Tensor | None,
) -> None:
    ellipses = prediction.covariance if prediction.ellipsoids is None else prediction.ellipsoids
    limbs, pairs = sticks(run.schema)
    shown = track(paths, "drawing", console=console, transient=True) if console and console.is_terminal else paths
    for number, path in enumerate(shown):
        around = None if ellipses is None else ellipses[number]
        stored = None if pixels is None else np.ascontiguousarray(pixels[number].permute(1, 2, 0).numpy())
        image = read_image(path, 3, run.schema.exif) if stored is None else stored
        picture = draw_points(image, prediction.mean[number], ellipses=around, limbs=limbs, pairs=pairs)
        write_image(picture, folder / f"{number:05d}-{shortened(path.stem)}.png")
