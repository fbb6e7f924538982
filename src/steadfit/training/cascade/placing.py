"""The places of training crops: by estimates that are as wrong as those at prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save

from steadfit._files import write_bytes
from steadfit.core.scale import mad
from steadfit.data import Annotations, Region, crop_errors
from steadfit.training.folder import opened
from steadfit.training.judgement import Judgement
from steadfit.training.run import Run

Floats = npt.NDArray[np.float64]
FILE = "estimates.safetensors"
PLACINGS = ("jitter", "folds")


def estimates(
    coarse: Run, annotations: Annotations, folder: Path, refit: Callable[[int], Judgement] | None, folds: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The first stage's estimates of all rows, and which labels it does not suspect.

    They are stored in ``folder``, so that a resumed cascade places its crops where it placed them before.

    Args:
        coarse: the first stage.
        annotations: the table.
        folder: the cascade's folder.
        refit: gives the verdict on all rows of a network that was not trained on fold i; None: the first stage's
            estimates of its own training images are taken.
        folds: the number of folds.

    Returns:
        Estimates (N, K, 2) in px, and which labels (N, K) are not suspect.

    Raises:
        RunError: the stored file is damaged, or belongs to another table.
    """
    path = folder / FILE
    if not path.is_file():
        judged = coarse.judge(annotations)
        found = judged.predicted.copy()
        if refit is not None:
            for fold in range(folds):
                rows = fold_rows(annotations, fold, folds, coarse.settings.seed)
                found[rows] = refit(fold).predicted[rows]
        write_bytes(save({"estimate": found, "trusted": ~judged.suspect}), path)
    with opened(path, "the first stage's estimates of this table", remedy="Delete it and continue with --resume."):
        tensors = load_file(path)
        estimate, trusted = tensors["estimate"], tensors["trusted"].astype(bool)
        if estimate.shape != annotations.target.shape or trusted.shape != estimate.shape[:2]:
            raise ValueError(f"those of {len(estimate)} rows, {estimate.shape}")
        return estimate, trusted


def fold_rows(annotations: Annotations, fold: int, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The training rows of one of several folds, drawn by the seed.

    Args:
        annotations: the table.
        fold: the number of the fold, from 0.
        folds: the number of folds.
        seed: the seed of the draw.
    """
    order = np.random.default_rng(seed).permutation(annotations.rows("train"))
    return np.sort(order[fold::folds])


def observed_errors(
    region: Region, annotations: Annotations, estimate: Floats, trusted: npt.NDArray[np.bool_]
) -> Floats:
    """How much farther a region's crops are from their places on new images than on training images: (M, 3).

        e = e_val · sqrt(max(0, 1 - (s_train/s_val)²)),  s the MAD of each component

    The network's estimates of its training images place crops too well. Errors drawn in addition make them as wrong as
    on validation images. The right places are those by the labels; only rows count in which every label is there and
    none is suspect.

    Args:
        region: the region.
        annotations: the table.
        estimate: (N, K, 2), the first stage's estimates in px.
        trusted: (N, K), which labels are not suspect.
    """
    errors = {split: _errors(region, annotations, estimate, trusted, split) for split in ("train", "val")}
    if not len(errors["val"]):
        return errors["val"]
    train, val = (_scale(errors[split]) for split in ("train", "val"))
    share = np.divide(train, val, out=np.ones_like(val), where=val > 0)
    found: Floats = errors["val"] * np.sqrt(np.clip(1 - share**2, 0, None))
    return found


def _errors(
    region: Region, annotations: Annotations, estimate: Floats, trusted: npt.NDArray[np.bool_], split: str
) -> Floats:
    size, box = annotations.size, annotations.box
    assert size is not None  # cascades are of images
    good = trusted & ~np.isnan(annotations.target).any(axis=-1)  # (N, K)
    needed = list({*region.points, *region.anchors})
    rows = annotations.rows(split)
    rows = rows[good[rows][:, needed].all(axis=1)]
    within = None if box is None else box[rows]
    placed, wanted = (region.boxes(points[rows], size[rows], within) for points in (estimate, annotations.target))
    return crop_errors(placed, wanted)


def _scale(errors: Floats) -> Floats:
    """The MAD (3,) of the columns; 0 without rows."""
    return mad(torch.from_numpy(errors)).numpy() if len(errors) else np.zeros(3)
