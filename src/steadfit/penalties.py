"""Penalties: ``rho``, ``psi``, ``weight`` and ``trust`` of one scaled residual. See :mod:`steadfit.core.penalties`."""

from steadfit.core.penalties import (
    Absolute,
    Barron,
    Cauchy,
    Charbonnier,
    GemanMcClure,
    Huber,
    Penalty,
    Squared,
    StudentT,
    Tukey,
    Welsch,
)

__all__ = [
    "Absolute",
    "Barron",
    "Cauchy",
    "Charbonnier",
    "GemanMcClure",
    "Huber",
    "Penalty",
    "Squared",
    "StudentT",
    "Tukey",
    "Welsch",
]
