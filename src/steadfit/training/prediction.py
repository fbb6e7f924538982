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
    ``steadfit calibrate`` the root includes the temperature.

    Args:
        mean: (N, K, D), in ``units``.
        names: K names of the targets.
        units: the unit of the targets.
        root: (N, K, D, D), A in 1/units; None where only positions are predicted.
        penalty: rho of the distributions; None where only positions are predicted.
        region: (K,), ||A (y - mean)|| <= region contains the target with probability ``coverage``; None without
            coverage.
        coverage: the probability of the regions, in (0, 1); None: no regions.
        peaks: (N, K), the number of peaks of each heatmap, averaged over the views; None for other outputs.
    """

    mean: Floats
    names: tuple[str, ...]
    units: str
    root: Floats | None = None
    penalty: Penalty | None = None
    region: Floats | None = None
    coverage: float | None = None
    peaks: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.mean, dtype=dtype, copy=True if copy is None else copy)

    @property
    def distribution(self) -> Elliptical | None:
        """The predicted distributions, of batch shape (N, K); None where only positions are predicted."""
        if self.root is None or self.penalty is None:
            return None
        mean, root = torch.from_numpy(self.mean), torch.from_numpy(self.root)
        return Elliptical.from_mean(mean, root, self.penalty, validate_args=False)

    @property
    def covariance(self) -> Floats | None:
        """The covariances, (N, K, D, D) in squared units; None where only positions are predicted."""
        found = self.distribution
        return None if found is None else np.asarray(found.covariance_matrix.numpy())

    @property
    def ellipsoids(self) -> Floats | None:
        """The regions of ``coverage`` as {y: (y - mean)^T E^-1 (y - mean) <= 1}: E, (N, K, D, D) in squared units."""
        if self.root is None or self.region is None:
            return None
        inverse = np.linalg.inv(self.root)
        shape: Floats = inverse @ inverse * np.square(self.region)[:, None, None]
        return shape

    def to_frame(self) -> pd.DataFrame:
        """One column per coordinate: ``x0, y0, …`` for points, the targets' names otherwise.

        Distributions add the covariances: ``var_x0, cov_xy0, var_y0, …`` (``var_<name>`` for scalars), and a coverage
        adds the half-widths of its region along the axes, ``reach_x0, reach_y0, …``.
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
        probability: (N, C) in [0, 1]. Those of a softmax sum to 1 for each image; losses with one sigmoid per class
            (``bce``, ``focal``, ``anchor`` …) give independent probabilities, which do not.
        names: C names of the classes.
    """

    probability: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """The most probable class of each image, (N,); the first one where several are equal."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.int64)

    @property
    def class_names(self) -> list[str]:
        """The N names of the most probable classes."""
        return [self.names[k] for k in self.label]

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """The most probable classes of each image with their probabilities, the most probable first.

        Args:
            count: the number of classes per image.
        """
        order = np.argsort(-self.probability, axis=1, kind="stable")[:, :count]
        return [
            [(self.names[k], float(row[k])) for k in best] for row, best in zip(self.probability, order, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """Columns ``predicted``, ``probability``, and one per class, ``probability_<name>``."""
        frame = pd.DataFrame({"predicted": self.class_names, "probability": self.probability.max(axis=1, initial=0)})
        columns = pd.DataFrame(self.probability, columns=[f"probability_{name}" for name in self.names])
        return pd.concat([frame, columns], axis=1)
