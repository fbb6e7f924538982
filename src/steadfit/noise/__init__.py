"""Noise models: what training believes about label errors. The interface is in :mod:`steadfit.noise.base`."""

from __future__ import annotations

from steadfit.noise.base import NoiseModel, PenaltyNoise, State
from steadfit.noise.gum import GaussianUniformNoise
from steadfit.noise.penalties import L1, L2, HuberNoise, TukeyNoise
from steadfit.noise.tracker import LabelNoise

NOISE_MODELS: dict[str, type[NoiseModel]] = {
    model.name: model for model in (L2, L1, HuberNoise, TukeyNoise, GaussianUniformNoise)
}
"""The names on the command line."""

__all__ = [
    "L1",
    "L2",
    "NOISE_MODELS",
    "GaussianUniformNoise",
    "HuberNoise",
    "LabelNoise",
    "NoiseModel",
    "PenaltyNoise",
    "State",
    "TukeyNoise",
]
