"""A run's verdict on the labels of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        labels: the columns of the table of labels, (N, K) each: ``trust`` in [0, 1], NaN where the label is missing
            (for classes the label's probability); ``suspect``, which labels are considered wrong; ``distance``, see
            :meth:`steadfit.noise.NoiseModel.distance`; ``nll``, the negative log-likelihood in nats and the user's
            units, where distributions are predicted; ``peaks``, the number of peaks of each heatmap; and whatever
            columns a noise model adds in ``judge``.
        error_rate: the estimated share of wrong labels in the training set; NaN where nothing estimates it.
        fallen_back: whether EM declared everything an outlier, so that the warm-up network is the result.
        logits: (N, C), the logits of the classes; None for other outputs.
    """

    predicted: Floats
    labels: Mapping[str, npt.NDArray[Any]]
    error_rate: float
    fallen_back: bool = False
    logits: Floats | None = None

    @property
    def trust(self) -> Floats:
        """The trust in each label, (N, K) in [0, 1], NaN where the label is missing."""
        return self.labels["trust"]

    @property
    def suspect(self) -> Flags:
        """Which labels are considered wrong, (N, K)."""
        return self.labels["suspect"]

    @property
    def nll(self) -> Floats | None:
        """The negative log-likelihood of each label, (N, K) in nats; None where no distributions are predicted."""
        return self.labels.get("nll")

    @property
    def peaks(self) -> Counts | None:
        """The number of peaks of each heatmap, (N, K); None for other outputs."""
        return self.labels.get("peaks")
