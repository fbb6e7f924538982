"""The interface of every penalty: an M-estimator's loss, influence and weight, and perhaps a radial density.

A penalty is an M-estimator's loss (:meth:`Penalty.rho`), an influence curve (``psi = rho'``) and a weight
(``psi(u)/u``); :meth:`Penalty.trust` scales the weight to [0, 1]. Where exp(-rho(||y||)) can be normalised in R^d the
penalty also describes the standard member (A = I, nu = 0) of an elliptical family.

References:
    Huber, "Robust Statistics", 1981.
    Mohlin et al., BMVC 2021 (radial densities).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import torch
from torch import Tensor

from steadfit.core import radial

Formula = Callable[[Any, Tensor], Tensor]


def _in_float32(formula: Formula) -> Formula:
    """A method whose half-precision argument is computed in float32: squares overflow float16 from 256 on."""

    @wraps(formula)
    def method(self: Any, r: Tensor) -> Tensor:
        if r.dtype in (torch.float16, torch.bfloat16):
            return formula(self, r.float()).to(r.dtype)
        return formula(self, r)

    return method


class Penalty(ABC):
    """A symmetric function rho of one scaled residual ``u = residual / scale``, with rho(0) = 0, that rises with |u|.

    A custom penalty overrides :meth:`rho`, :meth:`psi` and :meth:`weight`, which never see half precision, and declares
    what it is, as class attributes or properties:

    ``convex``: rho is convex. Fusion then starts anywhere and searches along lines, and of several minima takes the
    best; otherwise it descends to a local minimum from the precision-weighted mean. Sampling uses tangents.

    ``proper``: exp(-rho(||y||)) can be normalised in every dimension. Densities, their loss and their samples need it,
    and the methods ``_log_moment``, ``_expected_rho`` and ``_mass``.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("rho", "psi", "weight", "trust"):
            if name in vars(cls):
                setattr(cls, name, _in_float32(vars(cls)[name]))

    @property
    def convex(self) -> bool:
        """Whether rho is convex."""
        return False

    @property
    def proper(self) -> bool:
        """Whether exp(-rho(||y||)) can be normalised in every dimension."""
        return False

    @abstractmethod
    def rho(self, r: Tensor) -> Tensor:
        """The loss of each residual, >= 0."""

    @abstractmethod
    def psi(self, r: Tensor) -> Tensor:
        """The influence, d rho / d r."""

    @abstractmethod
    def weight(self, r: Tensor) -> Tensor:
        """psi(r)/r, at 0 its limit: the factor of each residual in iteratively reweighted least squares."""

    @_in_float32
    def trust(self, r: Tensor) -> Tensor:
        """min(1, weight(r)/weight(0)), in [0, 1]; min(1, weight(r)) where weight(0) is infinite."""
        whole = self.weight(r.new_zeros(()))
        return (self.weight(r) / torch.where(whole.isinf(), 1.0, whole)).clamp(max=1.0)

    def require_proper(self) -> None:
        """Raise ValueError for a penalty that is not ``proper``."""
        if not self.proper:
            raise ValueError(
                f"{type(self).__name__}: expected a penalty whose exp(-rho) can be normalised in every dimension, got "
                "one that cannot. Use Squared, Absolute, Huber or Charbonnier."
            )

    # The standard member of the elliptical family, p(y) = exp(-rho(||y||)) / c_d. Only proper penalties have one.

    def log_normalizer(self, dim: int) -> float:
        """log c_d, c_d the integral of exp(-rho(||y||)) over R^dim."""
        radial.check_dim("log_normalizer", dim)
        return radial.log_sphere(dim) + self._log_moment(dim - 1)

    def covariance_factor(self, dim: int) -> float:
        """k in Cov(y) = k I: E||y||^2 / dim."""
        radial.check_dim("covariance_factor", dim)
        return math.exp(self._log_moment(dim + 1) - self._log_moment(dim - 1)) / dim

    def expected_rho(self, dim: int) -> float:
        """E rho(||y||): the entropy is log c_d plus this."""
        radial.check_dim("expected_rho", dim)
        return self._expected_rho(dim)

    def mass(self, radius: Tensor | float, dim: int) -> Tensor:
        """P(||y|| <= radius), float64 inside; radius >= 0, inf allowed. Shape of ``radius``."""
        radial.check_dim("mass", dim)
        return radial.in_float64(lambda r: self._mass(r, dim), radius, "mass", "radius", 0, math.inf)

    def radius(self, mass: Tensor | float, dim: int) -> Tensor:
        """The radius with that mass: the inverse of :meth:`mass`, in float64. 0 at 0, inf at 1."""
        radial.check_dim("radius", dim)
        return radial.in_float64(lambda m: self._radius(m, dim), mass, "radius", "mass", 0.0, 1.0)

    def _radius(self, mass: Tensor, dim: int) -> Tensor:
        whole = self._log_moment(dim - 1)
        return radial.invert(
            lambda r: self._mass(r, dim), lambda r: torch.exp((dim - 1) * r.log() - self.rho(r) - whole), mass
        )

    def _log_moment(self, n: int) -> float:
        """log of the integral of r^n exp(-rho(r)) over r > 0."""
        self._absent("_log_moment")

    def _expected_rho(self, dim: int) -> float:
        """E rho(||y||)."""
        self._absent("_expected_rho")

    def _mass(self, r: Tensor, dim: int) -> Tensor:
        """P(||y|| <= r), for float64 r."""
        self._absent("_mass")

    def _absent(self, method: str) -> NoReturn:
        self.require_proper()
        raise NotImplementedError(
            f"{type(self).__name__}: expected a proper penalty to have {method}, got none. Define it."
        )
