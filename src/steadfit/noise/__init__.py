"""Noise models: what training believes about label errors. The interface is in :mod:`steadfit.noise.base`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from steadfit.core.sums import Sums, largest
from steadfit.noise.base import NoiseModel, State
from steadfit.noise.chunk import Chunk
from steadfit.noise.gum import GaussianUniformNoise
from steadfit.noise.penalties import L1, L2, HuberNoise, TukeyNoise
from steadfit.noise.predicted import FAMILIES, PredictedMixtureNoise, PredictedNoise
from steadfit.noise.processes import Group
from steadfit.noise.scaled import PenaltyNoise
from steadfit.noise.sums import Processes, refit
from steadfit.noise.tracker import LabelNoise

NOISE_MODELS: dict[str, Callable[..., NoiseModel]] = {
    "l2": L2,
    "l1": L1,
    "huber": HuberNoise,
    "tukey": TukeyNoise,
    "gum": GaussianUniformNoise,
    "predicted-gauss": partial(PredictedNoise, FAMILIES["gauss"]),
    "predicted-laplace": partial(PredictedNoise, FAMILIES["laplace"]),
    "predicted-huber": partial(PredictedNoise, FAMILIES["huber"]),
    "predicted-charbonnier": partial(PredictedNoise, FAMILIES["charbonnier"]),
    "predicted-mixture": PredictedMixtureNoise,
}
"""The noise models by their names on the command line; keyword arguments are their fields."""

__all__ = [
    "L1",
    "L2",
    "NOISE_MODELS",
    "Chunk",
    "GaussianUniformNoise",
    "Group",
    "HuberNoise",
    "LabelNoise",
    "NoiseModel",
    "PenaltyNoise",
    "PredictedMixtureNoise",
    "PredictedNoise",
    "Processes",
    "State",
    "Sums",
    "TukeyNoise",
    "largest",
    "refit",
]
