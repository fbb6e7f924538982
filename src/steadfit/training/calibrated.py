"""What ``steadfit calibrate`` found, kept in the run folder: the temperature and the conformal scores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from steadfit.core.penalties import Penalty
from steadfit.data.files import atomic_path, write_json
from steadfit.errors import RunError
from steadfit.metrics import ConformalRadius, Temperature, fit_temperature, mahalanobis

SUMMARY = "calibration.json"
SCORES = "calibration.parquet"


@dataclass(frozen=True)
class Calibrated:
    """How a run's distributions are corrected.

    Args:
        temperature: the factor on the standard deviations. per_point: one for each point rather than one for all.
        conformal: radii of held-out labels in units of the distributions as predicted.
        views: the test-time augmentation that all this holds for.
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
        """From labels (N, K, D) that were not trained on; ``weight`` (N, K) is their probability of being right."""
        temperature = fit_temperature(mean, root, target, penalty, weight=weight)
        return cls(temperature, per_point, ConformalRadius(names, mahalanobis(mean, root, target), weight), views)

    def apply(self, root: Tensor) -> Tensor:
        """The corrected roots, (N, K, D, D)."""
        return self.temperature.apply(root, per_point=self.per_point)

    def save(self, folder: Path) -> None:
        """calibration.parquet (a row a label), then calibration.json."""
        with atomic_path(folder / SCORES) as path:
            self.conformal.to_frame().to_parquet(path, index=False)
        about = {"temperature": self.temperature.to_dict(), "per_point": self.per_point, "views": list(self.views)}
        write_json(about, folder / SUMMARY)

    @classmethod
    def load(cls, folder: Path) -> Calibrated | None:
        """What was saved; None where the run is not calibrated."""
        if not (folder / SUMMARY).is_file():
            return None
        try:
            about = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
            return cls(
                Temperature.from_dict(about["temperature"]),
                bool(about["per_point"]),
                ConformalRadius.from_frame(pd.read_parquet(folder / SCORES)),
                tuple(about["views"]),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder}: expected a calibration, got {error}. Run 'steadfit calibrate' again.") from None

    def region(self, coverage: float) -> Tensor:
        """(K,): ||A (y - mean)|| <= region holds a label so often, A corrected; inf with too few labels."""
        tau = self.temperature
        factor = torch.tensor(tau.point_tau if self.per_point else [tau.tau], dtype=torch.float64)
        return self.conformal.radius(coverage).double() / factor
