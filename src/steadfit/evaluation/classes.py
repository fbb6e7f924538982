"""Measures of a run on classes: predictions, accuracy by class, confusions, the hardest images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from steadfit.data import SPLITS, Annotations
from steadfit.metrics import top_k
from steadfit.outputs import Classes
from steadfit.training.judgement import Judgement

HARDEST = 200
"""The largest number of images that are listed."""


def prediction_table(annotations: Annotations, judgement: Judgement, output: Classes) -> pd.DataFrame:
    """One row per image: row, image, line, split, label, predicted, probability (of the label), loss.

    Args:
        annotations: N rows with classes.
        judgement: the verdict on these rows, with their logits.
        output: the output to which the logits belong.

    Returns:
        The table; ``loss`` is -log of the label's probability, in nats, and orders images whose probabilities are the
        same after rounding.
    """
    logits, label = _logits(judgement), torch.from_numpy(annotations.label)
    chosen = output.log_probability(logits).gather(1, label.clamp(min=0)[:, None])[:, 0]
    log_p = chosen.masked_fill(label < 0, torch.nan).numpy()
    names = np.array([*annotations.schema.classes, ""], dtype=object)  # -1, no class, takes the last
    return pd.DataFrame(
        {
            "row": np.arange(len(annotations)) if annotations.row is None else annotations.row,
            "image": list(annotations.images or ()),
            "line": annotations.line,
            "split": annotations.split.astype(object),
            "label": names[annotations.label],
            "predicted": names[logits.argmax(1).numpy()],
            "probability": np.exp(log_p),
            "loss": -log_p,
        }
    )


def hardest_images(table: pd.DataFrame, *, count: int = HARDEST) -> pd.DataFrame:
    """The training images whose labels are the least probable, worst first: hard ones, or wrong labels.

    Args:
        table: the table from :func:`prediction_table`.
        count: the largest number of images.
    """
    train = table[table["split"] == "train"]
    worst = train.sort_values("loss", ascending=False, kind="stable").head(count)
    return worst[["image", "line", "label", "predicted", "probability", "loss"]].reset_index(drop=True)


def by_split(annotations: Annotations, judgement: Judgement) -> dict[str, dict[str, Any]]:
    """The content of metrics.json: the scores of every split that has rows."""
    return {
        split: scores(annotations, judgement, annotations.rows(split))
        for split in SPLITS
        if len(annotations.rows(split))
    }


def scores(annotations: Annotations, judgement: Judgement, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The number of images, top-1 and top-5 of some rows, and top-1 of each class in them.

    Args:
        annotations: the table.
        judgement: the verdict on its rows.
        rows: which rows are scored.
    """
    logits, label = _logits(judgement)[rows], torch.from_numpy(annotations.label[rows])
    table = confusion(annotations, judgement, rows)
    counts, names = table.sum(axis=1), annotations.schema.classes
    return {
        "images": len(rows),
        "top1": accuracy(logits, label),
        "top5": accuracy(logits, label, top=5),
        "per_class": {name: int(hit) / int(n) for name, hit, n in zip(names, np.diag(table), counts, strict=True) if n},
    }


def accuracy(logits: Tensor, label: Tensor, *, top: int = 1) -> float:
    """The share of images whose class is among the greatest logits; NaN without images.

    Args:
        logits: (N, C).
        label: (N,), the numbers of the classes.
        top: the number of logits that count.
    """
    return float(top_k(logits, label, k=top).double().mean())


def confusion(annotations: Annotations, judgement: Judgement, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers of images, (C, C), by label (row) and predicted class (column).

    Args:
        annotations: the table.
        judgement: the verdict on its rows.
        rows: which rows are counted.
    """
    found, label = _logits(judgement)[rows].argmax(1), torch.from_numpy(annotations.label[rows])
    counts = multiclass_confusion_matrix(found, label, num_classes=len(annotations.schema.classes))
    return np.asarray(counts.numpy(), dtype=np.int64)


def _logits(judgement: Judgement) -> Tensor:
    if judgement.logits is None:
        raise ValueError("evaluation: expected the judgement of a run on classes, got one without logits.")
    return torch.from_numpy(judgement.logits)
