"""A copy of a data set with labels made wrong on purpose, and the truth."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steadfit import corrupt
from steadfit._files import atomic_path, write_text
from steadfit.data import SPLITS, Annotations
from steadfit.errors import ConfigError, RunError

KINDS = ("ngo", "l_ugo", "g_ugo", "swap", "gaussian", "symmetric")


def corrupt_dataset(
    annotations: Annotations,
    out: str | Path,
    *,
    kind: str,
    share: float,
    seed: int = 0,
    splits: Sequence[str] = ("train", "val"),
    width: float | None = None,
    std: float | None = None,
) -> tuple[Path, float]:
    """Write a data set whose labels are partly wrong.

    ``out`` gets ``annotations.csv``, ``truth.csv`` (line, split, and ``wrong_<name>`` for every target), a
    ``dataset.yaml`` with what is known about the columns (options included), and the images, linked where the file
    system can, otherwise copied.

    Args:
        annotations: the checked table.
        out: the folder of the new data set.
        kind: the kind of error, a key of :mod:`steadfit.corrupt`.
        share: the share of labels (for ``g_ugo`` and ``swap`` of rows) to make wrong, in [0, 1].
        seed: the seed of the errors.
        splits: the parts to corrupt; test labels stay right by default, so that errors have a meaning.
        width: for ngo, l_ugo and g_ugo the crop's width in the targets' units; None: each image's own width.
        std: for gaussian the standard deviation of the errors, in the targets' units.

    Returns:
        The written table, and the share of labels that are wrong in these splits.

    Raises:
        ConfigError: an option that the kind needs is missing, or one has no meaning.
        RunError: ``out`` contains files already.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RunError(f"{out}: expected a new or empty folder, got one with files. Choose another one with --out.")
    if annotations.schema.classes:
        raise ConfigError("corrupt: expected points or numbers, got classes, which cannot be moved.")
    if unknown := [name for name in splits if name not in SPLITS]:
        raise ConfigError(f"corrupt: expected splits of {', '.join(SPLITS)}, got {unknown[0]!r}.")
    rows = np.flatnonzero(np.isin(annotations.split, list(splits)))
    if not len(rows):
        raise ConfigError(f"corrupt: expected rows in {' or '.join(splits)}, got none.")
    try:
        moved, mask = _corrupted(annotations.take(rows), kind, share, seed, width, std)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"corrupt: {str(error).removeprefix('corrupt ')}") from None
    target, wrong = annotations.target.copy(), np.zeros(annotations.target.shape[:2], dtype=bool)
    target[rows], wrong[rows] = moved, mask
    if annotations.images is not None:
        _bring_images(annotations, out)
    write_text(dataclasses.replace(annotations.table_schema, sides="person").to_yaml(), out / "dataset.yaml")
    table, truth = annotations.with_target(target).to_frame(), _truth_frame(annotations, wrong)
    for frame, name in ((truth, "truth.csv"), (table, "annotations.csv")):
        with atomic_path(out / name) as path:
            frame.to_csv(path, index=False)
    labelled = ~np.isnan(annotations.target[rows]).any(axis=-1)
    return out / "annotations.csv", float(mask[labelled].mean()) if labelled.any() else 0.0


def _corrupted(
    part: Annotations, kind: str, share: float, seed: int, width: float | None, std: float | None
) -> tuple[Any, Any]:
    if kind in ("ngo", "l_ugo", "g_ugo"):
        displaced = {"ngo": corrupt.ngo, "l_ugo": corrupt.l_ugo, "g_ugo": corrupt.g_ugo}[kind]
        return displaced(part.target, share, width=_width(part, kind, width), seed=seed)
    if kind == "swap":
        if not part.schema.pairs:
            raise ConfigError("corrupt swap: expected left/right pairs, got none. Give --pairs 0-1,3-4.")
        return corrupt.swap(part.target, share, pairs=part.schema.pairs, seed=seed)
    if kind == "gaussian":
        if std is None:
            raise ConfigError("corrupt gaussian: expected the standard deviation of the errors. Give --std.")
        return corrupt.gaussian(part.target, share, std=std, seed=seed)
    return corrupt.symmetric(part.target, share, low=None, high=None, seed=seed)


def _width(part: Annotations, kind: str, width: float | None) -> Any:
    if width is not None:
        return width
    if part.size is None:
        raise ConfigError(f"corrupt {kind}: expected the width over which labels are moved. Give --width.")
    return part.size[:, 0]


def _truth_frame(annotations: Annotations, wrong: Any) -> pd.DataFrame:
    """The truth; its lines are those of the new table: row i is in line i + 2."""
    columns = {f"wrong_{name}": wrong[:, k].astype(int) for k, name in enumerate(annotations.schema.target_names)}
    return pd.DataFrame({"line": np.arange(len(wrong)) + 2, "split": annotations.split} | columns)


def _bring_images(annotations: Annotations, out: Path) -> None:
    for name in dict.fromkeys(annotations.images or ()):
        goal = out / name
        goal.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link((annotations.root / name).resolve(), goal)
        except OSError:
            shutil.copyfile(annotations.root / name, goal)
