"""Images with classes opened, and a trained classifier at work: its predictions as CSV, its accuracy on a set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from steadfit._console import say
from steadfit._files import write_csv, write_json
from steadfit.data import Annotations, Framing, load_classes
from steadfit.errors import ConfigError, DataError
from steadfit.recipes.fitting import checking
from steadfit.recipes.prediction import image_paths
from steadfit.reports.values import percent
from steadfit.training.classification import accuracy, load_classifier


def open_classes(
    path: str | Path,
    *,
    label: str | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    framing: Framing | None = None,
    console: Console | None = None,
) -> Annotations:
    """:func:`steadfit.data.load_classes`, with a bar while images are checked.

    Raises: DataError for what cannot be read; ConfigError for a label that CIFAR does not have.
    """
    with checking(console) as progress:
        try:
            return load_classes(path, label=label, seed=seed, skip_bad=skip_bad, framing=framing, progress=progress)
        except DataError:
            raise
        except ValueError as error:
            raise ConfigError(f"--label: {error}") from None


def predict_classes(run_folder: str | Path, inputs: str | Path, out: str | Path, *, skip_bad: bool = False) -> Path:
    """Write ``predictions.csv``: of every image the class, its probability, and the second one with its own.

    Args: inputs: an image or a folder of images. skip_bad: leave out images that cannot be read, with a warning.

    Raises: DataError for images that cannot be read, or none.
    """
    run, paths = load_classifier(run_folder), image_paths(inputs, skip_bad=skip_bad)
    probability = run.predict(paths).probability  # (N, C)
    order = np.argsort(-probability, axis=1)[:, :2]
    columns: dict[str, Any] = {"image": [str(path) for path in paths]}
    for place, names in enumerate((("predicted", "probability"), ("second", "second_probability"))[: order.shape[1]]):
        columns[names[0]] = [run.names[k] for k in order[:, place]]
        columns[names[1]] = np.take_along_axis(probability, order[:, place : place + 1], axis=1)[:, 0]
    target = Path(out) / "predictions.csv"
    return write_csv(pd.DataFrame(columns), target)


def evaluate_classifier(
    run_folder: str | Path,
    data: str | Path,
    *,
    split: str = "test",
    label: str | None = None,
    skip_bad: bool = False,
    out: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Top-1 and top-5 on a split (``"all"``: every image) of a set with the run's classes.

    Args:
        label: the column of the classes, as :func:`open_classes`.
        out: where the numbers are written as JSON. console: where they are shown.

    Raises: ConfigError where the split has no images; DataError for other classes than the run's.
    """
    run = load_classifier(run_folder)
    classes = open_classes(data, label=label, seed=run.settings.seed, skip_bad=skip_bad, console=console)
    _check_names(run.names, classes.schema.classes, data)
    rows = np.arange(len(classes)) if split == "all" else classes.rows(split)
    if not len(rows):
        raise ConfigError(f"evaluate: expected images in the split {split!r} of {data}, got none. Use --split all.")
    logits, target = run.logits(classes)[rows], torch.from_numpy(classes.label[rows])
    found = {"images": len(rows), "top1": accuracy(logits, target), "top5": accuracy(logits, target, top=5)}
    if out is not None:
        write_json(found, out)
    if console is not None:
        for name, value in found.items():
            shown = value if name == "images" else percent(value)
            say(console, f"{name:>12}  {shown}")
    return found


def _check_names(wanted: Sequence[str], got: Sequence[str], data: str | Path) -> None:
    if tuple(wanted) != tuple(got):
        other = next((name for name in got if name not in wanted), None) or next(n for n in wanted if n not in got)
        raise DataError(f"{data}: expected the {len(wanted)} classes of the run, got {len(got)}; {other!r} differs.")
