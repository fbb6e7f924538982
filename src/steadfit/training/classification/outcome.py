"""What a classifier's run says of every image: predictions, accuracy by class, confusions, the hardest images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from steadfit.data import Annotations
from steadfit.training.classification.module import accuracy
from steadfit.training.classification.run import log_probability

HARDEST = 200
"""Images that are listed at most."""


def prediction_table(classes: Annotations, logits: Tensor, output: str) -> pd.DataFrame:
    """One row an image: row, image, line, split, label, predicted, probability (of the label), loss.

    Args: logits: (N, C). output: what they are logits of, ``"softmax"`` or ``"sigmoid"``.

    Returns: the table; ``loss`` is -log of the label's probability, in nats, and orders images whose probabilities are
        the same after rounding.
    """
    label = torch.from_numpy(classes.label)
    log_p = log_probability(logits.double(), output).gather(1, label[:, None])[:, 0].numpy()
    names = np.array(classes.schema.classes, dtype=object)
    return pd.DataFrame(
        {
            "row": np.arange(len(classes)),
            "image": list(classes.images or ()),
            "line": classes.line,
            "split": classes.split.astype(object),
            "label": names[classes.label],
            "predicted": names[logits.argmax(1).numpy()],
            "probability": np.exp(log_p),
            "loss": -log_p,
        }
    )


def hardest_images(table: pd.DataFrame, *, count: int = HARDEST) -> pd.DataFrame:
    """The training images whose labels are the least probable, worst first: hard ones, or wrong labels."""
    train = table[table["split"] == "train"]
    worst = train.sort_values("loss", ascending=False, kind="stable").head(count)
    return worst[["image", "line", "label", "predicted", "probability", "loss"]].reset_index(drop=True)


def scores(classes: Annotations, logits: Tensor, split: str) -> dict[str, Any]:
    """Number of images, top-1 and top-5 of a split, and top-1 of each class that it has."""
    rows = torch.from_numpy(classes.rows(split))
    value, target = logits[rows], torch.from_numpy(classes.label)[rows]
    right = np.diag(confusion(classes, logits, split))
    counts, names = classes.counts(split), classes.schema.classes
    return {
        "images": len(rows),
        "top1": accuracy(value, target),
        "top5": accuracy(value, target, top=5),
        "per_class": {name: int(hit) / int(n) for name, hit, n in zip(names, right, counts, strict=True) if n},
    }


def confusion(classes: Annotations, logits: Tensor, split: str) -> npt.NDArray[np.int64]:
    """(C, C): how many images of each label (row) are taken for each class (column)."""
    rows = torch.from_numpy(classes.rows(split))
    target = torch.from_numpy(classes.label)[rows]
    counts = multiclass_confusion_matrix(logits[rows].argmax(1), target, num_classes=len(classes.schema.classes))
    return np.asarray(counts.numpy(), dtype=np.int64)
