"""A run's judgement of the labels of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """What a run makes of every label of a table with N rows and K labels a row.

    Args:
        predicted: (N, K, D) in the user's units; of classes their numbers.
        trust: (N, K) in [0, 1], NaN where the label is missing; of classes the label's probability.
        suspect: (N, K) which labels are considered wrong.
        error_rate: the estimated share of wrong labels in the training set; NaN where nothing estimates it.
        fallen_back: whether EM declared everything an outlier, so that the warm-up network is the result.
        peaks: (N, K) peaks of each heatmap; None for other outputs.
        nll: (N, K) in nats, of labels in the user's units; None where no distributions are predicted.
        logits: (N, C) of the classes; None for other outputs.
    """

    predicted: Floats
    trust: Floats
    suspect: Flags
    error_rate: float
    fallen_back: bool = False
    peaks: Counts | None = None
    nll: Floats | None = None
    logits: Floats | None = None
