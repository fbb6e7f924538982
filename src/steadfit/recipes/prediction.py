"""Predictions of a run as CSV and pictures, and its errors on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from steadfit.data import Annotations, load_annotations
from steadfit.data.files import atomic_path, write_json
from steadfit.data.images import read_image
from steadfit.errors import ConfigError, DataError
from steadfit.reports.overlays import draw_points, write_image
from steadfit.training import Run, load
from steadfit.training.outcome import errors
from steadfit.training.run import as_images

TABLES = {".csv", ".parquet"}


def predict_to(
    run_folder: str | Path, inputs: str | Path, out: str | Path, *, overlays: int = 24, console: Console | None = None
) -> Path:
    """Write ``predictions.csv`` and, for points in images, overlay pictures.

    Args:
        inputs: an image, a folder of images, or a table (its ``image`` column, or its feature columns).
        overlays: pictures of the first so many images, in ``overlays/``; -1 for all.

    Returns: the path of the CSV: ``image`` (or the row's line), then one column a coordinate, in the run's units.
    """
    run, inputs, out = load(run_folder), Path(inputs), Path(out)
    if not inputs.exists():
        raise DataError(f"{inputs}: no such image, folder or table.")
    if inputs.suffix.lower() in TABLES or (inputs / "annotations.csv").is_file():
        annotations = load_annotations(inputs, run.schema, need_splits=())
        prediction = run.predict(annotations)
        names = list(annotations.images) if annotations.images is not None else [str(n) for n in annotations.line]
        paths = [annotations.root / name for name in names] if annotations.images is not None else []
    else:
        paths = [Path(path) for path in as_images(inputs)]
        if not paths:
            raise DataError(f"{inputs}: no images here (jpg, png, bmp, webp, tif).")
        prediction, names = run.predict(paths), [str(path) for path in paths]
    frame = prediction.to_frame()
    frame.insert(0, "image" if paths else "line", names)
    with atomic_path(out / "predictions.csv") as path:
        frame.to_csv(path, index=False, float_format="%.6g")
    if paths and run.schema.dims == 2:
        _draw(run, paths if overlays < 0 else paths[:overlays], prediction.mean, out / "overlays", console)
    return out / "predictions.csv"


def _draw(run: Run, paths: list[Path], means: Any, folder: Path, console: Console | None) -> None:
    shown = track(paths, "drawing", console=console, transient=True) if console and console.is_terminal else paths
    for number, path in enumerate(shown):
        picture = draw_points(read_image(path, 3), means[number], limbs=run.schema.limbs)
        write_image(picture, folder / f"{number:05d}-{path.stem}.png")


def evaluate_run(
    run_folder: str | Path, table: str | Path, *, split: str = "test", threshold: float = 0.05, out: Path | None = None
) -> dict[str, float]:
    """Errors of a run on a split (``"all"``: every row) of a table, in the run's units.

    Raises: ConfigError where the split has no rows.
    """
    run = load(run_folder)
    annotations = load_annotations(table, run.schema, need_splits=())
    part: Annotations = annotations if split == "all" else annotations.take(annotations.rows(split))
    if not len(part):
        raise ConfigError(f"evaluate: expected rows in the split {split!r} of {table}, got none. Use --split all.")
    found = {"rows": float(len(part))} | errors(run.predict(part).mean, part, threshold)
    if out is not None:
        write_json(found, out)
    return found
