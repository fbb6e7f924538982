"""Radial integrals of the proper penalties, in float64: I_n = integral of r^n exp(-rho(r)) over r > 0.

A density exp(-rho(||y||))/c_d in R^d has c_d = |S^(d-1)| I_(d-1), E||y||^2 = I_(d+1)/I_(d-1), and
P(||y|| <= R) = (I_(d-1) up to R)/I_(d-1). Closed forms, except the Charbonnier mass, whose incomplete Bessel integral
has none for odd d and is done by Gauss-Legendre panels to about 1e-13.

What depends on the dimension and the penalty alone is computed with Python's floats: it costs microseconds, and
torch.compile folds it into a constant. The incomplete gamma functions, of whole and half orders only, are the finite
sums and the series below, because torch.special's are wrong in the tenth digit for orders above 20 (torch 2.13).

References:
    Mohlin et al., BMVC 2021, section 3 and appendix (eqs 24, 30-31 corrected: here through incomplete gamma functions,
    which need no recursion).
    DLMF 8.4.7-8.4.11, 8.7.1 (incomplete gamma), 10.29.1, 10.32.8 (Bessel K).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from steadfit import _checks

Number = TypeVar("Number", float, Tensor)
BESSEL_K0_1, BESSEL_K1_1 = 0.42102443824070833, 0.60190723019723457
"""K_0(1) and K_1(1)."""


def check_dim(who: str, dim: int) -> None:
    """Refuse a dimension that is not a whole number above 0."""
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
        raise ValueError(f"{who}: expected dim to be an integer >= 1, got {dim!r}.")


def log_sphere(dim: int) -> float:
    """log of the area of the unit sphere in R^dim, 2 pi^(dim/2) / Gamma(dim/2)."""
    return math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)


def log_gauss(n: int) -> float:
    """log I_n for rho = r^2/2: 2^((n-1)/2) Gamma((n+1)/2)."""
    return (n - 1) / 2 * math.log(2) + math.lgamma((n + 1) / 2)


def gauss_mass(r: Tensor, dim: int) -> Tensor:
    """P(||y|| <= r) for rho = r^2/2."""
    return _gamma_tails(dim / 2, 0.5 * r * r)[0]


def laplace_mass(r: Tensor, dim: int) -> Tensor:
    """P(||y|| <= r) for rho = r."""
    return _gamma_tails(dim, r)[0]


def log_huber(n: int, delta: float) -> float:
    """log I_n: a Gaussian core up to delta and an exponential tail beyond it."""
    core, tail = _huber_parts(n, delta)
    return max(core, tail) + math.log1p(math.exp(-abs(core - tail)))


def huber_mass(r: Tensor, dim: int, delta: float) -> Tensor:
    """P(||y|| <= r). Beyond delta: core + tail up to r, or, above 1/2, 1 - (tail from r), exact near 0 and 1."""
    whole = log_huber(dim - 1, delta)
    log_tail = _huber_tail(dim - 1, delta) - whole
    core = _gamma_tails(dim / 2, 0.5 * r.clamp(max=delta) ** 2)[0] * math.exp(log_gauss(dim - 1) - whole)
    lower, upper = _gamma_tails(dim, delta * r.clamp(min=delta))
    knee, _ = _gamma_tails(dim, torch.full_like(r, delta**2))
    up_to = core + torch.exp(log_tail + (lower - knee).clamp(min=0).log())
    above = 1 - torch.exp(log_tail + upper.log())
    return torch.where(r <= delta, core, torch.where(above < 0.5, up_to, above))


def _huber_parts(n: int, delta: float) -> tuple[float, float]:
    """log of the integrals up to delta and from delta, whose sum is I_n."""
    return (
        log_gauss(n) + _log_gamma_p((n + 1) / 2, delta**2 / 2),
        _huber_tail(n, delta) + _log_gamma_q(n + 1, delta**2),
    )


def huber_energy(dim: int, delta: float) -> float:
    """E rho = d - E[r^2; core]/2 - P(tail) delta^2/2.

    By parts E[r psi(r)] = d, and rho is r psi/2 in the core, r psi - delta^2/2 in the tail.
    """
    whole = log_huber(dim - 1, delta)
    core, _ = _huber_parts(dim + 1, delta)
    _, tail = _huber_parts(dim - 1, delta)
    return dim - math.exp(core - whole) / 2 - math.exp(tail - whole) * delta**2 / 2


def _huber_tail(n: int, delta: float) -> float:
    """log of e^(delta^2/2) delta^-(n+1) Gamma(n+1): the tail's integral is this times Q(n+1, delta r)."""
    return delta**2 / 2 - (n + 1) * math.log(delta) + math.lgamma(n + 1)


def log_charbonnier(n: int) -> float:
    """log I_n = 1 + log( 2^v Gamma(v+1/2) K_v(1) / (sqrt(pi) (n+1)) ), v = (n+2)/2."""
    v = (n + 2) / 2
    return (
        1 + v * math.log(2) + math.lgamma(v + 0.5) + _log_bessel_k1(n + 2) - 0.5 * math.log(math.pi) - math.log(n + 1)
    )


def charbonnier_energy(dim: int) -> float:
    """E rho = d - 1 + K_((d-1)/2)(1) / K_((d+1)/2)(1); r = sinh t in DLMF 10.32.8."""
    return dim - 1 + math.exp(_log_bessel_k1(dim - 1) - _log_bessel_k1(dim + 1))


def _log_bessel_k1(twice_order: int) -> float:
    """log K_v(1), v = twice_order/2 >= 0: upward recurrence K_(v+1) = K_(v-1) + 2v K_v, stable for K."""
    half = math.sqrt(math.pi / 2) / math.e  # K_(1/2) = K_(-1/2)
    v, before, here = (0.5, half, half) if twice_order % 2 else (0.0, BESSEL_K1_1, BESSEL_K0_1)
    log_scale = 0.0
    while v < twice_order / 2:
        before, here, v = here, before + 2 * v * here, v + 1
        before, here, log_scale = before / here, 1.0, log_scale + math.log(here)
    return math.log(here) + log_scale


def charbonnier_mass(r: Tensor, dim: int) -> Tensor:
    """P(||y|| <= r) by 32-node Gauss-Legendre on 24 equal panels of [0, r], r capped where the rest is negligible."""
    far = 60.0 + 8.0 * dim  # exp(-sqrt(1 + r^2)) r^(d-1) is below 1e-20 of its integral there
    nodes, weights = (torch.from_numpy(a).to(r.device) for a in np.polynomial.legendre.leggauss(32))
    width = (r.clamp(max=far) / 24)[..., None]
    mass = torch.zeros_like(r)
    for panel in range(24):  # one panel at a time: each needs the memory of 32 radii
        x = width * (panel + (nodes + 1) / 2)
        energy = x * (x / (1 + torch.hypot(torch.ones_like(x), x)))
        log = (dim - 1) * x.clamp(min=1e-300).log() - energy - log_charbonnier(dim - 1)
        mass = mass + (log.exp() * weights / 2 * width).sum(-1)
    return mass.clamp(max=1.0)


def invert(mass: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor], target: Tensor) -> Tensor:
    """The r with mass(r) = target, to about 1e-15 of r.

    Newton on log mass over log r, bisection where that leaves the bracket. For small r the mass is a power of r, a
    straight line there.
    """
    low, high = torch.zeros_like(target), torch.ones_like(target)
    inner = (target > 0) & (target < 1)
    while bool(((mass(high) < target) & inner & (high < 1e9)).any()):
        low, high = torch.where(mass(high) < target, high, low), torch.where(mass(high) < target, 2 * high, high)
    r = 0.5 * (low + high)
    for _ in range(200):
        here = mass(r)
        low, high = torch.where(here < target, r, low), torch.where(here < target, high, r)
        newton = r * torch.exp((target / here).log() * here / (r * slope(r)))
        step = torch.where((newton > low) & (newton < high), newton, 0.5 * (low + high))
        settled = ((step - r).abs() <= 2e-16 * r) | (high - low <= 4e-16 * high) | ~inner
        r = step
        if bool(settled.all()):
            break
    return torch.where(target > 0, torch.where(target < 1, r, math.inf), 0.0)


def in_float64(
    function: Callable[[Tensor], Tensor], value: Tensor | float, who: str, name: str, low: float, high: float
) -> Tensor:
    """Apply a float64 function to a number or tensor; the result has the input's dtype (a number gives float64)."""
    given = value if isinstance(value, Tensor) else _tensor(float(value))
    _checks.floating(who, name, given)
    if bool(((given < low) | (given > high) | given.isnan()).any()):
        bad = float(given[~((given >= low) & (given <= high))].flatten()[0])
        raise ValueError(f"{who}: expected {low} <= {name} <= {high}, got {bad}.")
    return function(given.double()).to(given.dtype)


def _tensor(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _gamma_tails(a: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Regularised incomplete gammas P(a, x) and Q(a, x) = 1 - P, 2a whole; the smaller one is exact to rounding."""
    near = x < a
    inner, outer = torch.where(near, x, a), torch.where(near, a, x.clamp(max=1e300))
    lower = torch.exp(a * inner.log() - inner - math.lgamma(a + 1)) * _lower_sum(a, inner)
    upper = torch.zeros_like(x) if a % 1 == 0 else torch.erfc(outer.sqrt())
    if a > 0.5:
        upper = upper + torch.exp((a - 1) * outer.log() - outer - math.lgamma(a)) * _upper_sum(a, outer)
    return torch.where(near, lower, 1 - upper), torch.where(near, 1 - lower, upper)


def _log_gamma_p(a: float, x: float) -> float:
    """log P(a, x) of a number x > 0, 2a whole."""
    if x < a:
        return a * math.log(x) - x - math.lgamma(a + 1) + math.log(_lower_sum(a, x))
    upper = 0.0 if a % 1 == 0 else math.erfc(math.sqrt(x))
    if a > 0.5:
        upper += math.exp((a - 1) * math.log(x) - x - math.lgamma(a)) * _upper_sum(a, x)
    return math.log1p(-upper)


def _log_gamma_q(a: int, x: float) -> float:
    """log Q(a, x) of a number x > 0, a whole; does not underflow."""
    if x < a:
        return math.log1p(-math.exp(_log_gamma_p(a, x)))
    return (a - 1) * math.log(x) - x - math.lgamma(a) + math.log(_upper_sum(a, x))


def _lower_sum(a: float, x: Number) -> Number:
    """P(a, x) Gamma(a+1) x^-a e^x = 1 + x/(a+1) + x^2/((a+1)(a+2)) + ..., x <= a (DLMF 8.7.1)."""
    term = total = 1 + 0 * x
    for k in range(1, _factors(a) + 1):
        term = term * (x / (a + k))
        total = total + term
        if not isinstance(term, Tensor) and term < 1e-17 * total:
            break
    return total


def _upper_sum(a: float, x: Number) -> Number:
    """1 + (a-1)/x (1 + (a-2)/x (1 + ...)), x >= a > 1/2.

    It is Q(a, x) Gamma(a) x^(1-a) e^x for whole a, and the same without erfc(sqrt(x)) in Q for half ones (DLMF
    8.4.8-8.4.15).
    """
    total = 1 + 0 * x
    for k in range(min(int(a - 1), _factors(a)), 0, -1):
        total = 1 + total * ((a - k) / x)
    return total


def _factors(a: float) -> int:
    """The number of factors a/(a + k), or (a - k)/a, after which their product is below 1e-17."""
    return 24 + math.ceil(9 * math.sqrt(a))
