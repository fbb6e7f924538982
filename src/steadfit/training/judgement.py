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
        predicted: (N, K, D) in the user's units; for classes their numbers.
        labels: the columns of the labels table, (N, K) each: ``trust`` in [0, 1], NaN where the label is missing (for
            classes the label's probability); ``suspect``, which labels are considered wrong; ``distance`` of
            :meth:`steadfit.noise.NoiseModel.distance`; ``nll`` in nats and the user's units where distributions are
            predicted; ``peaks``, the peaks of each heatmap; whatever else a noise model says in ``judge``.
        error_rate: the estimated share of wrong labels in the training set; NaN where nothing estimates it.
        fallen_back: whether EM declared everything an outlier, so that the warm-up network is the result.
        logits: (N, C) of the classes; None for other outputs.
    """

    predicted: Floats
    labels: Mapping[str, npt.NDArray[Any]]
    error_rate: float
    fallen_back: bool = False
    logits: Floats | None = None

    @property
    def trust(self) -> Floats:
        """(N, K) in [0, 1], NaN where the label is missing."""
        return self.labels["trust"]

    @property
    def suspect(self) -> Flags:
        """(N, K), which labels are considered wrong."""
        return self.labels["suspect"]

    @property
    def nll(self) -> Floats | None:
        """(N, K) in nats; None where no distributions are predicted."""
        return self.labels.get("nll")

    @property
    def peaks(self) -> Counts | None:
        """(N, K); None for other outputs than heatmaps."""
        return self.labels.get("peaks")
