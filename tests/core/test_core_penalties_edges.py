"""Penalties at infinity and NaN, in half precision, with extreme parameters, and custom ones with declarations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from steadfit import fuse
from steadfit.core.fusion import fuse_views
from steadfit.core.sampling import sample_radius
from steadfit.distributions import Elliptical
from steadfit.losses import EllipticalLoss, RobustLoss
from steadfit.penalties import (
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

INF = math.inf

# rho(inf), psi(inf), weight(inf): the limits of the formulas, by hand
LIMITS: list[tuple[Penalty, tuple[float, float, float]]] = [
    (Squared(), (INF, INF, 1.0)),
    (Absolute(), (INF, 1.0, 0.0)),
    (Huber(1.345), (INF, 1.345, 0.0)),
    (Tukey(2.0), (4 / 6, 0.0, 0.0)),
    (Charbonnier(), (INF, 1.0, 0.0)),
    (Cauchy(2.5), (INF, 0.0, 0.0)),
    (Cauchy(0.25), (INF, 0.0, 0.0)),
    (Welsch(3.0), (4.5, 0.0, 0.0)),
    (GemanMcClure(1.5), (1.125, 0.0, 0.0)),
    (GemanMcClure(0.5), (0.125, 0.0, 0.0)),
    (StudentT(3.0), (INF, 0.0, 0.0)),
    (StudentT(0.7), (INF, 0.0, 0.0)),
    (Barron(4.0, 2.0), (INF, INF, INF)),
    (Barron(2.0, 0.5), (INF, INF, 4.0)),
    (Barron(1.7), (INF, INF, 0.0)),
    (Barron(1.0, 2.0), (INF, 0.5, 0.0)),
    (Barron(0.5), (INF, 0.0, 0.0)),
    (Barron(0.001), (INF, 0.0, 0.0)),
    (Barron(0.0), (INF, 0.0, 0.0)),
    (Barron(-2.0), (2.0, 0.0, 0.0)),
    (Barron(-0.001), (2001.0, 0.0, 0.0)),
    (Barron(-INF, 1.5), (1.0, 0.0, 0.0)),
]
PENALTIES = [penalty for penalty, _ in LIMITS]
EVERY = pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
DTYPES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)


@DTYPES
@pytest.mark.parametrize(("penalty", "limits"), LIMITS, ids=map(repr, PENALTIES))
def test_every_method_has_its_limit_at_infinity(
    penalty: Penalty, limits: tuple[float, float, float], dtype: torch.dtype
) -> None:
    ends = torch.tensor([INF, -INF], dtype=dtype)
    rho, psi, weight = (torch.tensor([value, value], dtype=dtype) for value in limits)
    psi = psi * torch.tensor([1, -1], dtype=dtype)
    for method, wanted in ((penalty.rho, rho), (penalty.psi, psi), (penalty.weight, weight)):
        # 0 is reached up to what the largest number leaves of it, 1/c of it here
        torch.testing.assert_close(method(ends), wanted, rtol=1e-5, atol=8 * torch.finfo(dtype).tiny)
    trust = penalty.trust(ends)
    assert bool(((trust >= 0) & (trust <= 1)).all())


@DTYPES
@EVERY
def test_nan_gives_nan_and_touches_nothing_else(penalty: Penalty, dtype: torch.dtype) -> None:
    r = torch.tensor([0.5, math.nan, 3.0], dtype=dtype)
    for method in (penalty.rho, penalty.psi, penalty.weight, penalty.trust):
        found = method(r)
        assert found.dtype == dtype
        assert found.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("penalty", [penalty for penalty, limits in LIMITS if limits[0] < INF], ids=repr)
def test_where_rho_ends_its_gradient_at_infinity_is_zero(penalty: Penalty) -> None:
    r = torch.tensor([INF, -INF, 1e30], requires_grad=True)
    (slope,) = torch.autograd.grad(penalty.rho(r).sum(), r)
    assert slope.abs().max() < 1e-20


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@EVERY
def test_half_precision_is_float32_rounded_once(penalty: Penalty, dtype: torch.dtype) -> None:
    r = torch.cat([torch.linspace(-20, 20, 81), torch.tensor([1e-4, 250.0, 300.0, 6e4])]).to(dtype)
    for method in (penalty.rho, penalty.psi, penalty.weight, penalty.trust):
        assert torch.equal(method(r), method(r.float()).to(dtype))
    leaf, wide = r.clone().requires_grad_(), r.float().requires_grad_()
    (slope,) = torch.autograd.grad(penalty.rho(leaf).float().sum(), leaf)
    (wanted,) = torch.autograd.grad(penalty.rho(wide).sum(), wide)
    assert torch.equal(slope, wanted.to(dtype))


@DTYPES
@pytest.mark.parametrize("kind", [Huber, Tukey, Cauchy, Welsch, GemanMcClure, StudentT], ids=lambda k: k.__name__)
@pytest.mark.parametrize("parameter", [1e5, 1e10, 1e15])
def test_parameters_beyond_the_largest_half(kind: type[Penalty], parameter: float, dtype: torch.dtype) -> None:
    """All of them are half the square of residuals this small beside them."""
    r = torch.tensor([-3.0, 0.5, 2.0], dtype=dtype)
    penalty = kind(parameter)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(penalty.rho(r), 0.5 * r**2, rtol=2 * eps + 1e-4, atol=0)  # 1e-4: (r/c)² and 1/dof
    torch.testing.assert_close(penalty.psi(r), r, rtol=2 * eps + 1e-4, atol=0)


def exact_barron(u: float, alpha: float) -> float:
    with localcontext() as context:
        context.prec = 320  # 1 + u² for u = 1e-140
        a = Decimal(alpha)
        b = abs(a - 2)
        return float(b / a * (((Decimal(u) ** 2 / b + 1).ln() * a / 2).exp() - 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("alpha", [1.999999, 2.000001, 2 - 1e-12, 2 + 1e-9, 1.99, 2.5, 1.7, 1.0, 0.3, 1e-3, 1e-9, -1.5])
def test_barron_is_exact_over_the_documented_range(alpha: float, dtype: torch.dtype) -> None:
    """Where |alpha - 2| is small the power overflows, not the value: 1e34 at u = 1e17 in float32."""
    top = 17 if dtype == torch.float32 else 140
    top = min(top, int(top * 2 / alpha)) if alpha > 2 else top  # |u|^alpha itself overflows beyond
    u = torch.logspace(-top if dtype == torch.float64 else -15, top, 97, dtype=torch.float64).to(dtype)
    wanted = torch.tensor([exact_barron(x, alpha) for x in u.double().tolist()], dtype=torch.float64)
    leaf = u.clone().requires_grad_()
    rho = Barron(alpha).rho(leaf)
    # 32 ulp: below h^alpha = e a logarithm's rounding, above a power's; for alpha near 0 the logarithm's over alpha
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(rho.detach().double(), wanted, rtol=32 * eps, atol=torch.finfo(dtype).tiny)
    (slope,) = torch.autograd.grad(rho.sum(), leaf)
    assert bool(slope.isfinite().all())
    # psi takes a logarithm of up to 640 (90 in float32) times alpha/2 - 1; autograd of expm1 adds 1 to its result
    torch.testing.assert_close(slope, Barron(alpha).psi(u), rtol=1e4 * eps, atol=4 * eps if alpha < 0 else 0)


# Custom penalties: what they are is declared, never guessed


@dataclass(frozen=True)
class LogCosh(Penalty):
    """log cosh u: convex, with psi = tanh u."""

    convex: ClassVar[bool] = True

    def rho(self, r: Tensor) -> Tensor:
        return torch.logaddexp(r, -r) - math.log(2)

    def psi(self, r: Tensor) -> Tensor:
        return r.tanh()

    def weight(self, r: Tensor) -> Tensor:
        return torch.where(r.abs() > 1e-8, r.tanh() / torch.where(r == 0, 1.0, r), 1.0)


@dataclass(frozen=True)
class Taxi(Penalty):
    """|u|, written again: its weight at 0 is infinite."""

    convex: ClassVar[bool] = True

    def rho(self, r: Tensor) -> Tensor:
        return r.abs()

    def psi(self, r: Tensor) -> Tensor:
        return r.sign()

    def weight(self, r: Tensor) -> Tensor:
        return r.abs().reciprocal()


class Undeclared(Taxi):
    """The same without the word."""

    convex: ClassVar[bool] = False


@dataclass(frozen=True)
class Quarter(Penalty):
    """2 sqrt|u|: proper, not convex. With density r^(d-1) exp(-2 sqrt r) of the radius, 2 sqrt r is Gamma(2 d)."""

    proper: ClassVar[bool] = True

    def rho(self, r: Tensor) -> Tensor:
        return 2 * r.abs().sqrt()

    def psi(self, r: Tensor) -> Tensor:
        return r.sign() / r.abs().sqrt()

    def weight(self, r: Tensor) -> Tensor:
        return r.abs() ** -1.5

    def _log_moment(self, n: int) -> float:
        return math.lgamma(2 * n + 2) - (2 * n + 1) * math.log(2)

    def _expected_rho(self, dim: int) -> float:
        return 2.0 * dim

    def _mass(self, r: Tensor, dim: int) -> Tensor:
        return torch.special.gammainc(torch.full_like(r, 2.0 * dim), 2 * r.sqrt())


def test_what_the_built_in_ones_declare() -> None:
    declared = {repr(p): (p.proper, p.convex) for p in PENALTIES}
    for penalty in PENALTIES:
        r = torch.linspace(0, 20, 2001, dtype=torch.float64)
        rises = bool((penalty.psi(r).diff() >= -1e-12).all())  # psi rises where rho is convex
        named = isinstance(penalty, (Squared, Absolute, Huber, Charbonnier))
        assert declared[repr(penalty)] == (named, rises)


def views(n: int) -> tuple[Tensor, Tensor]:
    """Views that disagree: two camps, 6 apart."""
    nu = torch.randn(n, 40, 2, dtype=torch.float64) + 6 * (torch.arange(n) % 2)[:, None, None]
    return nu, torch.eye(2, dtype=torch.float64).expand(n, 40, 2, 2)


def test_a_custom_convex_penalty_takes_the_convex_road() -> None:
    """Kinked optima lie in views' own modes; only the convex road looks there."""
    nu, root = views(5)
    found, twin = fuse_views(nu, root, Taxi()), fuse_views(nu, root, Absolute())
    torch.testing.assert_close(found.mode, twin.mode, rtol=0, atol=0)
    assert torch.equal(found.n_iter, twin.n_iter)
    other = fuse_views(nu, root, Undeclared(), max_iter=5000, tol=1e-9)
    assert not torch.equal(other.n_iter, twin.n_iter)  # the other road, which descends


@pytest.mark.parametrize("penalty", [LogCosh(), Barron(1.0), Barron(1.5, 2.0), Barron(3.0)], ids=repr)
def test_the_mode_of_convex_penalties_is_the_minimum(penalty: Penalty) -> None:
    nu, root = views(4)
    mode, _ = fuse(nu, root, penalty)
    residual = (mode - nu).requires_grad_()
    energy = penalty.rho(residual.norm(dim=-1)).sum()
    (pull,) = torch.autograd.grad(energy, residual)
    # the pulls cancel, to the tolerance of a Newton step in units of the largest pull
    assert float((pull.sum(0).norm(dim=-1) / pull.norm(dim=-1).amax(0)).max()) < 1e-9


def test_barron_one_fuses_as_charbonnier() -> None:
    nu, root = views(3)
    for one, other in zip(fuse(nu, root, Barron(1.0)), fuse(nu, root, Charbonnier()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_a_custom_penalty_has_trust_and_a_loss() -> None:
    torch.testing.assert_close(Taxi().trust(torch.tensor([0.0, 0.5, 4.0])), torch.tensor([1.0, 1.0, 0.25]))
    value = RobustLoss(LogCosh())(torch.zeros(2), torch.tensor([0.0, 300.0]))
    assert float(value) == pytest.approx((300 - math.log(2)) / 2, rel=1e-6)


def test_a_custom_proper_penalty_has_a_density_and_samples_where_it_is_not_convex() -> None:
    penalty = Quarter()
    for dim in (1, 2):
        # integral of r^(d-1) exp(-2 sqrt r) times the sphere: 2 * 1/2 and 2 pi * 3/4
        assert penalty.log_normalizer(dim) == pytest.approx(math.log({1: 1.0, 2: 1.5 * math.pi}[dim]), rel=1e-12)
        radius = sample_radius(penalty, dim, torch.Size([4000]), torch.float64, torch.device("cpu"))
        uniform = penalty.mass(radius, dim).sort().values
        gap = (uniform - (torch.arange(4000) + 0.5) / 4000).abs().max()
        assert float(gap) < 1.95 / math.sqrt(4000)  # Kolmogorov's bound at .1 %
    y = Elliptical(torch.zeros(2), torch.eye(2), penalty)
    assert float(y.log_prob(torch.zeros(2))) == pytest.approx(-math.log(1.5 * math.pi), rel=1e-6)
    assert y.sample(torch.Size([7])).shape == (7, 2)


@pytest.mark.parametrize("build", [EllipticalLoss, lambda p: Elliptical(torch.zeros(2), torch.eye(2), p)])
@pytest.mark.parametrize("penalty", [LogCosh(), Cauchy(), Barron(1.0)], ids=repr)
def test_densities_refuse_what_is_not_declared_proper(build: object, penalty: Penalty) -> None:
    name = type(penalty).__name__
    with pytest.raises(ValueError, match=f"{name}: expected a penalty whose exp\\(-rho\\) can be normalised"):
        build(penalty)  # type: ignore[operator]
    with pytest.raises(ValueError, match=f"{name}: expected a penalty whose"):
        penalty.log_normalizer(2)


def test_a_proper_penalty_without_its_integrals_says_which() -> None:
    class Empty(LogCosh):
        proper: ClassVar[bool] = True

    with pytest.raises(NotImplementedError, match="Empty: expected a proper penalty to have _log_moment, got none"):
        Empty().log_normalizer(1)
