"""Elliptical distributions as torch.distributions: Gauss, Huber, Laplace, Charbonnier."""

from steadfit.distributions.elliptical import Elliptical
from steadfit.distributions.families import (
    MultivariateCharbonnier,
    MultivariateGauss,
    MultivariateHuber,
    MultivariateLaplace,
)

__all__ = [
    "Elliptical",
    "MultivariateCharbonnier",
    "MultivariateGauss",
    "MultivariateHuber",
    "MultivariateLaplace",
]
