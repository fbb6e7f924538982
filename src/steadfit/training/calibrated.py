"""The calibration of a run, stored in its folder: the temperature and the conformal scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from steadfit._files import atomic_path, write_json
from steadfit.core.penalties import Penalty
from steadfit.metrics import ConformalRadius, Temperature, fit_temperature, mahalanobis
from steadfit.training.folder import FORMAT_VERSION, opened, read_json

SUMMARY = "calibration.json"
SCORES = "calibration.parquet"
AGAIN = "Run 'steadfit calibrate' again."


@dataclass(frozen=True)
class Calibrated:
    """How a run's distributions are corrected.

    Args:
        temperature: the factor on the standard deviations.
        per_point: whether each point has its own factor; otherwise all share one.
        conformal: radii of held-out labels in units of the distributions as predicted.
        views: the test-time augmentation with which all this was measured.
    """

    temperature: Temperature
    per_point: bool
    conformal: ConformalRadius
    views: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        mean: Tensor,
        root: Tensor,
        target: Tensor,
        penalty: Penalty,
        *,
        names: tuple[str, ...],
        weight: Tensor | None = None,
        per_point: bool = False,
        views: tuple[str, ...] = (),
    ) -> Calibrated:
        """Calibrate on labels that the network was not trained on.

        Args:
            mean: (N, K, D), the predicted means.
            root: (N, K, D, D), A of the predicted distributions.
            target: (N, K, D), the labels, NaN where they are missing.
            penalty: rho of the distributions.
            names: K names of the points.
            weight: (N, K), the probability of each label to be right; None: 1.
            per_point: whether each point has its own temperature.
            views: the test-time augmentation of these predictions.
        """
        temperature = fit_temperature(mean, root, target, penalty, weight=weight)
        return cls(temperature, per_point, ConformalRadius(names, mahalanobis(mean, root, target), weight), views)

    def apply(self, root: Tensor) -> Tensor:
        """The corrected roots, (N, K, D, D)."""
        return self.temperature.apply(root, per_point=self.per_point)

    def save(self, folder: Path) -> None:
        """Write calibration.parquet (one row per label), then calibration.json."""
        with atomic_path(folder / SCORES) as path:
            self.conformal.to_frame().to_parquet(path, index=False)
        about = {
            "format_version": FORMAT_VERSION,
            "temperature": self.temperature.to_dict(),
            "per_point": self.per_point,
            "views": list(self.views),
        }
        write_json(about, folder / SUMMARY)

    @classmethod
    def load(cls, folder: Path) -> Calibrated | None:
        """Read what :meth:`save` wrote; None where the run is not calibrated.

        Raises:
            RunError: a file that is damaged.
        """
        if not (folder / SUMMARY).is_file():
            return None
        keys = {"temperature": dict, "per_point": bool, "views": list}
        about = read_json(folder / SUMMARY, "a calibration", keys, remedy=AGAIN)
        with opened(folder / SUMMARY, "a calibration", remedy=AGAIN):
            temperature = Temperature.from_dict(about["temperature"])
            for tau in (temperature.tau, *temperature.point_tau):
                if not (math.isfinite(tau) and tau > 0):
                    raise ValueError(f"the temperature {tau}")
            if not all(isinstance(view, str) for view in about["views"]):
                raise TypeError(f"the views {about['views']}")
        with opened(folder / SCORES, "the scores of a calibration", remedy=AGAIN):
            conformal = ConformalRadius.from_frame(pd.read_parquet(folder / SCORES))
            if len(conformal.points) != len(temperature.point_tau):
                raise ValueError(f"{len(conformal.points)} points, where {SUMMARY} has {len(temperature.point_tau)}")
        return cls(temperature, about["per_point"], conformal, tuple(about["views"]))

    def region(self, coverage: float) -> Tensor:
        """Radii (K,) of the regions that contain a label with this probability; inf with too few labels.

        The region is ||A (y - mean)|| <= radius, with the corrected root A.
        """
        tau = self.temperature
        factor = torch.tensor(tau.point_tau if self.per_point else [tau.tau], dtype=torch.float64)
        return self.conformal.radius(coverage).double() / factor
