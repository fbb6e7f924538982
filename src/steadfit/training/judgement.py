"""A run's verdict on the labels of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """What a run makes of every label of a table with N rows and K labels per row.

    Args:
        predicted: (N, K, D), the predictions in the user's units; for classes the number of the class.
        trust: (N, K) in [0, 1], NaN where the label is missing; for classes the probability of the label.
        suspect: (N, K), which labels are considered wrong.
        error_rate: the estimated share of wrong labels in the training set; NaN where nothing estimates it.
        fallen_back: whether EM declared everything an outlier, so that the warm-up network is the result.
        peaks: (N, K), the number of peaks of each heatmap; None for other outputs.
        nll: (N, K), the negative log-likelihood in nats of the labels in the user's units; None where no distributions
            are predicted.
        logits: (N, C), the logits of the classes; None for other outputs.
    """

    predicted: Floats
    trust: Floats
    suspect: Flags
    error_rate: float
    fallen_back: bool = False
    peaks: Counts | None = None
    nll: Floats | None = None
    logits: Floats | None = None
