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
