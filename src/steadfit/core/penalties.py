"""The penalties: functions of one scaled residual, and the radial densities that the proper ones define.

:class:`steadfit.core.penalty.Penalty` says what a penalty is and does.

Numerics:
    All methods are elementwise, keep dtype and device, and have finite gradients at 0, at the knee and at any residual
    whose value is finite. Squares never overflow where the result does not: float64 is exact to a few ulp over |u| in
    [1e-150, 1e150], float32 over [1e-18, 1e18] (beyond that a tiny value may round to 0, as u^2 does; where a logarithm
    of 1e36 is taken and multiplied, as by StudentT, a few ulp are up to 100). float16 and bfloat16 are computed in
    float32 and rounded once. At +-inf every method has its limit, NaN gives NaN.

References:
    Belagiannis et al., ICCV 2015, eqs 3-5 (Tukey).
    Mohlin et al., BMVC 2021 (radial densities).
    Barron, CVPR 2019, eqs 8, 13 (Barron).
    Huber, "Robust Statistics", 1981.
    Holland & Welsch, 1977 (tuning constants).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core import radial
from steadfit.core.penalty import Penalty
from steadfit.core.stable import bounded, constant, hypot1, log1p_square

__all__ = [
    "TUKEY_C",
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

TUKEY_C = 4.6851
"""95 % efficiency of Tukey's biweight under N(0, 1)."""


@dataclass(frozen=True)
class Squared(Penalty):
    """The Gaussian's penalty, u^2/2.

    >>> Squared().rho(torch.tensor(3.0))
    tensor(4.5000)
    """

    proper: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def rho(self, r: Tensor) -> Tensor:
        return 0.5 * r * r

    def psi(self, r: Tensor) -> Tensor:
        return 1.0 * r

    def weight(self, r: Tensor) -> Tensor:
        return constant(r, 1.0)

    def _log_moment(self, n: int) -> float:
        return radial.log_gauss(n)

    def _expected_rho(self, dim: int) -> float:
        return dim / 2

    def _mass(self, r: Tensor, dim: int) -> Tensor:
        return radial.gauss_mass(r, dim)


@dataclass(frozen=True)
class Absolute(Penalty):
    """Laplace's penalty, |u|. The weight's limit at 0 is inf; psi(0) = 0.

    >>> Absolute().trust(torch.tensor([0.5, 4.0]))
    tensor([1.0000, 0.2500])
    """

    proper: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def rho(self, r: Tensor) -> Tensor:
        return r.abs()

    def psi(self, r: Tensor) -> Tensor:
        return torch.where(r.isnan(), r, r.sign())  # the sign of NaN is 0

    def weight(self, r: Tensor) -> Tensor:
        return r.abs().reciprocal()

    def trust(self, r: Tensor) -> Tensor:
        return r.abs().clamp(min=1.0).reciprocal()

    def _log_moment(self, n: int) -> float:
        return math.lgamma(n + 1)

    def _expected_rho(self, dim: int) -> float:
        return float(dim)

    def _mass(self, r: Tensor, dim: int) -> Tensor:
        return radial.laplace_mass(r, dim)


@dataclass(frozen=True)
class Huber(Penalty):
    """Huber's penalty, u^2/2 up to delta, then delta(|u| - delta/2).

    Args:
        delta: the knee, in units of the scaled residual, > 0 (1.345: 95 % efficiency; 4.6851 in paper 2).

    >>> Huber(1.0).rho(torch.tensor([0.5, 3.0]))
    tensor([0.1250, 2.5000])
    """

    proper: ClassVar[bool] = True
    convex: ClassVar[bool] = True
    delta: float = 1.345

    def __post_init__(self) -> None:
        _checks.positive("Huber", "delta", self.delta)

    def rho(self, r: Tensor) -> Tensor:
        core = r.clamp(-self.delta, self.delta)
        return core * torch.sub(r, core, alpha=0.5)

    def psi(self, r: Tensor) -> Tensor:
        return r.clamp(-self.delta, self.delta)

    def weight(self, r: Tensor) -> Tensor:
        return self.delta / r.abs().clamp(min=self.delta)

    def _log_moment(self, n: int) -> float:
        return radial.log_huber(n, self.delta)

    def _expected_rho(self, dim: int) -> float:
        return radial.huber_energy(dim, self.delta)

    def _mass(self, r: Tensor, dim: int) -> Tensor:
        return radial.huber_mass(r, dim, self.delta)


@dataclass(frozen=True)
class Tukey(Penalty):
    """Tukey's biweight, c^2/6 (1 - (1 - (u/c)^2)^3), constant c^2/6 beyond c. Paper 1, eq. 3.

    Args:
        c: where it becomes constant, in units of the scaled residual, > 0 (4.6851: 95 % efficiency).

    >>> Tukey(2.0).rho(torch.tensor([0.0, 2.0, 9.0]))
    tensor([0.0000, 0.6667, 0.6667])
    """

    c: float = TUKEY_C

    def __post_init__(self) -> None:
        _checks.positive("Tukey", "c", self.c)

    def _square(self, r: Tensor) -> Tensor:
        return (r / self.c).clamp(-1.0, 1.0) ** 2

    def rho(self, r: Tensor) -> Tensor:
        s = self._square(r)
        return self.c**2 / 6 * s * (3 - s * (3 - s))

    def psi(self, r: Tensor) -> Tensor:
        return r.clamp(-self.c, self.c) * self.weight(r)

    def weight(self, r: Tensor) -> Tensor:
        return (1 - self._square(r)) ** 2


@dataclass(frozen=True)
class Charbonnier(Penalty):
    """Charbonnier's penalty, sqrt(1 + u^2) - 1: between Gauss and Laplace, smooth everywhere.

    >>> Charbonnier().psi(torch.tensor(0.75))
    tensor(0.6000)
    """

    proper: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def rho(self, r: Tensor) -> Tensor:
        return r * (r / (1 + hypot1(r).clamp(max=torch.finfo(r.dtype).max)))  # inf/inf would be NaN

    def psi(self, r: Tensor) -> Tensor:
        finite = bounded(r)
        return finite / hypot1(finite)

    def weight(self, r: Tensor) -> Tensor:
        return hypot1(r).reciprocal()

    def _log_moment(self, n: int) -> float:
        return radial.log_charbonnier(n)

    def _expected_rho(self, dim: int) -> float:
        return radial.charbonnier_energy(dim)

    def _mass(self, r: Tensor, dim: int) -> Tensor:
        return radial.charbonnier_mass(r, dim)


@dataclass(frozen=True)
class Cauchy(Penalty):
    """Cauchy's penalty, c^2/2 ln(1 + (u/c)^2).

    Args:
        c: in units of the scaled residual, > 0 (2.3849: 95 % efficiency).

    >>> Cauchy(1.0).weight(torch.tensor(2.0))
    tensor(0.2000)
    """

    c: float = 2.3849

    def __post_init__(self) -> None:
        _checks.positive("Cauchy", "c", self.c)

    def rho(self, r: Tensor) -> Tensor:
        return self.c**2 / 2 * log1p_square(r / self.c)

    def psi(self, r: Tensor) -> Tensor:
        h = hypot1(r / self.c)
        return bounded(r) / h / h

    def weight(self, r: Tensor) -> Tensor:
        return hypot1(r / self.c).reciprocal() ** 2


@dataclass(frozen=True)
class Welsch(Penalty):
    """Welsch's penalty, c^2/2 (1 - exp(-(u/c)^2)).

    Args:
        c: in units of the scaled residual, > 0 (2.9846: 95 % efficiency).

    >>> Welsch(1.0).rho(torch.tensor(0.0))
    tensor(0.)
    """

    c: float = 2.9846

    def __post_init__(self) -> None:
        _checks.positive("Welsch", "c", self.c)

    def rho(self, r: Tensor) -> Tensor:
        return -(self.c**2) / 2 * torch.expm1(-(bounded(r / self.c) ** 2))

    def psi(self, r: Tensor) -> Tensor:
        return bounded(r) * self.weight(r)

    def weight(self, r: Tensor) -> Tensor:
        return torch.exp(-((r / self.c) ** 2))


@dataclass(frozen=True)
class GemanMcClure(Penalty):
    """Geman and McClure's penalty, (u^2/2)/(1 + (u/c)^2).

    Args:
        c: in units of the scaled residual, > 0.

    >>> GemanMcClure(1.0).rho(torch.tensor(1.0))
    tensor(0.2500)
    """

    c: float = 1.0

    def __post_init__(self) -> None:
        _checks.positive("GemanMcClure", "c", self.c)

    def rho(self, r: Tensor) -> Tensor:
        x = bounded(r / self.c)
        return self.c**2 / 2 * (x / hypot1(x)) ** 2

    def psi(self, r: Tensor) -> Tensor:
        h = hypot1(r / self.c)
        return bounded(r) / h / h / h / h

    def weight(self, r: Tensor) -> Tensor:
        return hypot1(r / self.c).reciprocal() ** 4


@dataclass(frozen=True)
class StudentT(Penalty):
    """Student's t as a penalty, (dof + 1)/2 ln(1 + u^2/dof): its negative log-likelihood, up to a constant.

    Args:
        dof: degrees of freedom, > 0.

    >>> StudentT(3.0).weight(torch.tensor(0.0))
    tensor(1.3333)
    """

    dof: float = 3.0

    def __post_init__(self) -> None:
        _checks.positive("StudentT", "dof", self.dof)

    def rho(self, r: Tensor) -> Tensor:
        return (self.dof + 1) / 2 * log1p_square(r / math.sqrt(self.dof))

    def psi(self, r: Tensor) -> Tensor:
        h = hypot1(r / math.sqrt(self.dof))
        return bounded((self.dof + 1) / self.dof * r) / h / h

    def weight(self, r: Tensor) -> Tensor:
        return (self.dof + 1) / self.dof * hypot1(r / math.sqrt(self.dof)).reciprocal() ** 2


@dataclass(frozen=True)
class Barron(Penalty):
    """Barron's general penalty, |alpha-2|/alpha (((u/c)^2/|alpha-2| + 1)^(alpha/2) - 1).

    At alpha = 2, 0 and -inf it is the limit: half the square of u/c, Cauchy's and Welsch's penalty. alpha = 1 is
    Charbonnier's, -2 Geman and McClure's.

    Args:
        alpha: any finite number, or -inf; below -1e15 the limit at -inf is used, from which it differs by less than
            rounding.
        c: in units of the scaled residual, > 0.

    >>> Barron(alpha=1.0).rho(torch.tensor(0.75))
    tensor(0.2500)
    """

    alpha: float = 1.0
    c: float = 1.0

    def __post_init__(self) -> None:
        _checks.positive("Barron", "c", self.c)
        _checks.between("Barron", "alpha", self.alpha, -math.inf, math.inf)
        if self.alpha == math.inf:
            raise ValueError(f"Barron: expected alpha to be finite or -inf, got {self.alpha}.")

    @property
    def convex(self) -> bool:
        """Whether rho is convex: from alpha = 1 on."""
        return self.alpha >= 1

    def rho(self, r: Tensor) -> Tensor:
        x = r / self.c
        if self.alpha == 2:
            return 0.5 * x * x
        if self.alpha < -1e15:
            x = bounded(x)
            return -torch.expm1(-0.5 * x * x)
        if abs(self.alpha) < 1e-15:
            return abs(self.alpha - 2) / 2 * self._log_base(x)
        return self._power(x)

    def _log_base(self, x: Tensor) -> Tensor:
        return log1p_square(x / math.sqrt(abs(self.alpha - 2)))

    def _power(self, x: Tensor) -> Tensor:
        """b/alpha (h^alpha - 1), h = sqrt(x^2/b + 1), b = |alpha - 2|.

        Up to h^alpha = e it is computed as expm1 of a logarithm, which does not cancel; beyond, the logarithm would
        multiply its own rounding. For alpha > 1 the factor goes into the power: where b is small, h^alpha overflows
        long before rho.
        """
        b = abs(self.alpha - 2)
        factor, exponent = b / self.alpha, self.alpha / 2 * self._log_base(x)
        near = factor * torch.expm1(exponent.clamp(max=1.0))
        if self.alpha < 0:  # h^alpha <= 1
            return near
        inner, outer = (factor ** (1 / self.alpha), 1.0) if self.alpha > 1 else (1.0, factor)
        h = torch.hypot(x * (inner / math.sqrt(b)), x.new_full((), inner))
        return torch.where(exponent > 1, outer * h**self.alpha - factor, near)

    def psi(self, r: Tensor) -> Tensor:
        limit = 0.0 if self.alpha < 1 else r.sign() / self.c if self.alpha == 1 else r
        return torch.where(r.isinf(), limit, r * self.weight(r))

    def weight(self, r: Tensor) -> Tensor:
        x = r / self.c
        if self.alpha == 2:
            return constant(x, self.c**-2)
        if self.alpha < -1e15:
            return torch.exp(-0.5 * x * x) / self.c**2
        return torch.exp((self.alpha / 2 - 1) * self._log_base(x)) / self.c**2
