"""Predictions in the user's units, with distributions where the noise model predicts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from steadfit.core.penalties import Penalty
from steadfit.distributions import Elliptical

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """Predictions in the user's units. ``numpy.asarray(prediction)`` is the mean.

    Where the noise model predicts distributions, p(y) = |A|/c_d exp(-rho(||A (y - mean)||)) with A the ``root``; after
    ``steadfit calibrate`` its temperature is in the root.
    """

    mean: Floats  # (N, K, D)
    names: tuple[str, ...]
    units: str
    root: Floats | None = None  # (N, K, D, D), in 1/units
    penalty: Penalty | None = None
    region: Floats | None = None  # (K,): ||A (y - mean)|| <= region holds the target with probability ``coverage``
    coverage: float | None = None
    peaks: npt.NDArray[np.int64] | None = None  # (N, K) peaks of each heatmap, averaged over the views; of heatmaps

    def __len__(self) -> int:
        return len(self.mean)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.mean, dtype=dtype, copy=True if copy is None else copy)

    @property
    def distribution(self) -> Elliptical | None:
        """The predicted distributions, of batch shape (N, K); None where positions only are predicted."""
        if self.root is None or self.penalty is None:
            return None
        mean, root = torch.from_numpy(self.mean), torch.from_numpy(self.root)
        return Elliptical.from_mean(mean, root, self.penalty, validate_args=False)

    @property
    def covariance(self) -> Floats | None:
        """(N, K, D, D) in squared units; None where positions only are predicted."""
        found = self.distribution
        return None if found is None else np.asarray(found.covariance_matrix.numpy())

    @property
    def ellipsoids(self) -> Floats | None:
        """(N, K, D, D) in squared units: the regions of ``coverage`` are {y: (y - mean)^T E^-1 (y - mean) <= 1}."""
        if self.root is None or self.region is None:
            return None
        inverse = np.linalg.inv(self.root)
        shape: Floats = inverse @ inverse * np.square(self.region)[:, None, None]
        return shape

    def to_frame(self) -> pd.DataFrame:
        """One column a coordinate: ``x0, y0, …`` for points, the targets' names otherwise.

        With distributions also the covariances: ``var_x0, cov_xy0, var_y0, …`` (``var_<name>`` for scalars), and with a
        coverage the half-widths of its region along the axes, ``reach_x0, reach_y0, …``.
        """
        k, d = self.mean.shape[1:]
        names = [f"{axis}{i}" for i in range(k) for axis in "xy"] if d == 2 else list(self.names)
        frame = pd.DataFrame(self.mean.reshape(len(self.mean), k * d), columns=names)
        return pd.concat([frame, *self._spreads(names)], axis=1)

    def _spreads(self, names: list[str]) -> list[pd.DataFrame]:
        covariance, ellipsoids = self.covariance, self.ellipsoids
        n, (k, d) = len(self.mean), self.mean.shape[1:]
        parts = []
        if covariance is not None:
            rows, columns = np.triu_indices(d)
            labels = [f"var_{names[i]}" for i in range(k)]
            if d == 2:
                labels = [label for i in range(k) for label in (f"var_x{i}", f"cov_xy{i}", f"var_y{i}")]
            parts.append(pd.DataFrame(covariance[:, :, rows, columns].reshape(n, -1), columns=labels))
        if ellipsoids is not None:
            reach = np.sqrt(np.diagonal(ellipsoids, axis1=-2, axis2=-1)).reshape(n, -1)
            parts.append(pd.DataFrame(reach, columns=[f"reach_{name}" for name in names]))
        return parts


@dataclass(frozen=True)
class ClassPrediction:
    """The classes of N images.

    Args:
        probability: (N, C) in [0, 1]. A softmax's sum to 1 for each image; those of losses with a sigmoid a class
            (``bce``, ``focal``, ``anchor`` ...) are each class's own and do not.
        names: C.
    """

    probability: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """(N,): the most probable class of each image, the first one where several are."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.int64)

    @property
    def class_names(self) -> list[str]:
        """N names of the most probable classes."""
        return [self.names[k] for k in self.label]

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """For each image its ``count`` most probable classes with their probabilities, the most probable first."""
        order = np.argsort(-self.probability, axis=1, kind="stable")[:, :count]
        return [
            [(self.names[k], float(row[k])) for k in best] for row, best in zip(self.probability, order, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """Columns ``predicted``, ``probability`` and one a class, ``probability_<name>``."""
        frame = pd.DataFrame({"predicted": self.class_names, "probability": self.probability.max(axis=1, initial=0)})
        columns = pd.DataFrame(self.probability, columns=[f"probability_{name}" for name in self.names])
        return pd.concat([frame, columns], axis=1)
