"""Radial integrals of the proper penalties, in float64: I_n = integral of r^n exp(-rho(r)) over r > 0.

A density exp(-rho(||y||))/c_d in R^d has c_d = |S^(d-1)| I_(d-1), E||y||^2 = I_(d+1)/I_(d-1), and
P(||y|| <= R) = (I_(d-1) up to R)/I_(d-1). Closed forms, except the Charbonnier mass, whose incomplete Bessel integral
has none for odd d and is done by Gauss-Legendre panels to about 1e-13.

Reference: Mohlin et al., BMVC 2021, section 3 and appendix (eqs 24, 30-31 corrected: here through incomplete gamma
functions, which need no recursion).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from steadfit import _checks


def check_dim(who: str, dim: int) -> None:
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
        raise ValueError(f"{who}: expected dim to be an integer >= 1, got {dim!r}.")


def log_sphere(dim: int) -> float:
    """log of the area of the unit sphere in R^dim, 2 pi^(dim/2) / Gamma(dim/2)."""
    return math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)


def log_gauss(n: int) -> float:
    """log I_n for rho = r^2/2: 2^((n-1)/2) Gamma((n+1)/2)."""
    return (n - 1) / 2 * math.log(2) + math.lgamma((n + 1) / 2)


def gauss_mass(r: Tensor, dim: int) -> Tensor:
    return _lower(dim / 2, 0.5 * r * r)


def laplace_mass(r: Tensor, dim: int) -> Tensor:
    return _lower(dim, r)


def log_huber(n: int, delta: float) -> float:
    """log I_n: a Gaussian core up to delta and an exponential tail beyond it."""
    core = log_gauss(n) + _log(_lower((n + 1) / 2, _tensor(delta**2 / 2)))
    tail = _huber_tail(n, delta) + _log(_upper(n + 1, _tensor(delta**2)))
    return float(np.logaddexp(core, tail))


def huber_mass(r: Tensor, dim: int, delta: float) -> Tensor:
    """P(||y|| <= r). Beyond delta as core + tail up to r, or, above 1/2, as 1 - (tail from r): exact near 0 and 1."""
    log_tail = _huber_tail(dim - 1, delta) - log_huber(dim - 1, delta)
    core = _lower(dim / 2, 0.5 * r.clamp(max=delta) ** 2) * math.exp(log_gauss(dim - 1) - log_huber(dim - 1, delta))
    x, knee = delta * r.clamp(min=delta), torch.full_like(r, delta**2)
    up_to = core + torch.exp(log_tail + (_lower(dim, x) - _lower(dim, knee)).clamp(min=0).log())
    above = 1 - torch.exp(log_tail + _upper(dim, x).log())
    return torch.where(r <= delta, core, torch.where(above < 0.5, up_to, above))


def _huber_tail(n: int, delta: float) -> float:
    """log of e^(delta^2/2) delta^-(n+1) Gamma(n+1): the tail's integral is this times Q(n+1, delta r)."""
    return delta**2 / 2 - (n + 1) * math.log(delta) + math.lgamma(n + 1)


def log_charbonnier(n: int) -> float:
    """log I_n = 1 + log( 2^v Gamma(v+1/2) K_v(1) / (sqrt(pi) (n+1)) ), v = (n+2)/2."""
    v = (n + 2) / 2
    return (
        1 + v * math.log(2) + math.lgamma(v + 0.5) + _log_bessel_k1(n + 2) - 0.5 * math.log(math.pi) - math.log(n + 1)
    )


@cache
def _log_bessel_k1(twice_order: int) -> float:
    """log K_v(1), v = twice_order/2: upward recurrence K_(v+1) = K_(v-1) + 2v K_v, stable for K."""
    half = math.sqrt(math.pi / 2) / math.e
    one = _tensor(1.0)
    v, before, here = (
        (0.5, half, half)  # K_(-1/2) = K_(1/2)
        if twice_order % 2
        else (1.0, float(torch.special.modified_bessel_k0(one)), float(torch.special.modified_bessel_k1(one)))
    )
    log_scale = 0.0
    while v < twice_order / 2:
        before, here, v = here, before + 2 * v * here, v + 1
        before, here, log_scale = before / here, 1.0, log_scale + math.log(here)
    return math.log(here) + log_scale


def charbonnier_mass(r: Tensor, dim: int) -> Tensor:
    """P(||y|| <= r) by 32-node Gauss-Legendre on 24 equal panels of [0, r], r capped where nothing is left."""
    far = 60.0 + 8.0 * dim  # exp(-sqrt(1 + r^2)) r^(d-1) is below 1e-20 of its integral there
    nodes, weights = np.polynomial.legendre.leggauss(32)
    panels = 24
    offsets = (np.arange(panels)[:, None] + (nodes + 1) / 2) / panels
    t = torch.from_numpy(offsets.ravel()).to(r.device)
    w = torch.from_numpy(np.tile(weights, panels) / (2 * panels)).to(r.device)
    capped = r.clamp(max=far)
    x = capped[..., None] * t
    energy = x * (x / (1 + torch.hypot(torch.ones_like(x), x)))
    density = torch.exp((dim - 1) * x.clamp(min=1e-300).log() - energy - log_charbonnier(dim - 1))
    return ((density * w).sum(-1) * capped).clamp(max=1.0)


def invert(mass: Callable[[Tensor], Tensor], target: Tensor) -> Tensor:
    """The r with mass(r) = target, by doubling and 200 bisections at most; relative error about 1e-15."""
    low = torch.zeros_like(target)
    high = torch.ones_like(target)
    reachable = target < 1
    while bool(((mass(high) < target) & reachable & (high < 1e9)).any()):
        high = torch.where(mass(high) < target, 2 * high, high)
    for _ in range(200):
        middle = 0.5 * (low + high)
        below = mass(middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        if bool((high - low <= 1e-16 * high).all()):
            break
    found = torch.where(target > 0, 0.5 * (low + high), 0.0)
    return torch.where(reachable, found, math.inf)


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


def _log(value: Tensor) -> float:
    return math.log(v) if (v := float(value)) > 0 else -math.inf


def _lower(a: float, x: Tensor) -> Tensor:
    """Regularised lower incomplete gamma P(a, x)."""
    value: Tensor = torch.special.gammainc(torch.full_like(x, a), x)
    return value


def _upper(a: float, x: Tensor) -> Tensor:
    """Regularised upper incomplete gamma Q(a, x)."""
    value: Tensor = torch.special.gammaincc(torch.full_like(x, a), x)
    return value
