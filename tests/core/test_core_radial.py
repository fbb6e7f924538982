"""Normalisers, covariances and masses of the proper penalties against adaptive quadrature and scipy.stats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

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

pytestmark = pytest.mark.usefixtures("float64")

DELTAS = (0.05, 0.5, 1.0, 1.345, 4.6851, 12.0)
ENERGIES: dict[Penalty, Callable[[float], float]] = {
    Squared(): lambda r: r * r / 2,
    Absolute(): lambda r: r,
    Charbonnier(): lambda r: math.sqrt(1 + r * r) - 1,
    **{
        Huber(k): (lambda r, k=k: r * r / 2 if r <= k else k * (r - k / 2))  # type: ignore[misc]
        for k in DELTAS
    },
}
PROPER = pytest.mark.parametrize("penalty", ENERGIES, ids=repr)
DIMS = range(1, 11)


def moment(penalty: Penalty, n: int, low: float = 0.0, high: float = math.inf) -> float:
    """The integral of r^n exp(-rho(r)), split at the knee and at the bulk so that quad resolves every piece."""
    energy = ENERGIES[penalty]
    slope = min(getattr(penalty, "delta", 1.0), 1.0)
    inner = (getattr(penalty, "delta", 1.0), 3.0, n / slope + 1, 40 * (n + 3) / slope)
    edges = sorted({low, high} | {c for c in inner if low < c < high})
    return math.fsum(
        integrate.quad(lambda r: r**n * math.exp(-energy(r)), a, b, epsabs=0, epsrel=1e-12, limit=200)[0]
        for a, b in itertools.pairwise(edges)
        if not (b == math.inf and a > 30 * (n + 3) / slope)  # below 1e-20 of the whole beyond
    )


def sphere(dim: int) -> float:
    return 2 * math.pi ** (dim / 2) / special.gamma(dim / 2)


@PROPER
@pytest.mark.parametrize("dim", DIMS)
def test_log_normalizer_and_covariance(penalty: Penalty, dim: int) -> None:
    inner, outer = moment(penalty, dim - 1), moment(penalty, dim + 1)
    assert penalty.log_normalizer(dim) == pytest.approx(math.log(sphere(dim) * inner), rel=1e-10, abs=1e-10)
    assert penalty.covariance_factor(dim) == pytest.approx(outer / inner / dim, rel=1e-9)


def test_the_papers_figures() -> None:
    assert math.exp(Huber(1.0).log_normalizer(2)) == pytest.approx(10.0941, abs=5e-5)
    assert Huber(1.0).covariance_factor(2) == pytest.approx(3.0765, abs=5e-5)
    assert Huber(1.0).log_normalizer(2) == pytest.approx(2.312, abs=5e-4)
    assert Charbonnier().log_normalizer(2) == pytest.approx(2.531, abs=5e-4)
    assert Squared().log_normalizer(2) == pytest.approx(1.838, abs=5e-4)
    assert Absolute().log_normalizer(2) == pytest.approx(1.838, abs=5e-4)


@pytest.mark.parametrize("dim", DIMS)
def test_closed_forms(dim: int) -> None:
    assert Squared().log_normalizer(dim) == pytest.approx(dim / 2 * math.log(2 * math.pi), rel=1e-14)
    assert Squared().covariance_factor(dim) == pytest.approx(1.0, rel=1e-13)
    assert Absolute().log_normalizer(dim) == pytest.approx(math.log(sphere(dim) * math.factorial(dim - 1)), rel=1e-13)
    assert Absolute().covariance_factor(dim) == pytest.approx(dim + 1.0, rel=1e-13)
    # Charbonnier, r = sinh t: c_d = |S| e 2^v Gamma(v + 1/2) K_v(1)/(sqrt(pi) d), v = (d + 1)/2 (DLMF 10.32.8)
    v = (dim + 1) / 2
    bessel = math.e * 2**v * special.gamma(v + 0.5) * special.kv(v, 1) / (math.sqrt(math.pi) * dim)
    assert Charbonnier().log_normalizer(dim) == pytest.approx(math.log(sphere(dim) * bessel), rel=1e-12)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("delta", [0.3, 1.0, 2.0])
def test_huber_by_the_corrected_recursions(dim: int, delta: float) -> None:
    """PAPERS section 3: c_d = |S| (a(d-1) + e^(delta²/2) b(d-1)), eqs 24, 30, 31 corrected."""

    def a(n: int) -> float:
        if n == 0:
            return math.sqrt(math.pi / 2) * math.erf(delta / math.sqrt(2))
        if n == 1:
            return 1 - math.exp(-(delta**2) / 2)
        return -(delta ** (n - 1)) * math.exp(-(delta**2) / 2) + (n - 1) * a(n - 2)

    def b(n: int) -> float:
        if n == 0:
            return math.exp(-(delta**2)) / delta
        return delta ** (n - 1) * math.exp(-(delta**2)) + n / delta * b(n - 1)

    c = sphere(dim) * (a(dim - 1) + math.exp(delta**2 / 2) * b(dim - 1))
    assert Huber(delta).log_normalizer(dim) == pytest.approx(math.log(c), rel=1e-11)  # the recursion cancels


@pytest.mark.parametrize("dim", [1, 2, 3, 10])
def test_huber_joins_gauss_and_laplace(dim: int) -> None:
    for delta in (30.0, 60.0, 1e3, 1e8):
        assert Huber(delta).log_normalizer(dim) == pytest.approx(Squared().log_normalizer(dim), rel=1e-13)
        assert Huber(delta).covariance_factor(dim) == pytest.approx(1.0, rel=1e-12)
    small = 1e-5  # rho = delta |r| up to delta²/2: c_d delta^d is Laplace's
    scaled = Huber(small).log_normalizer(dim) + dim * math.log(small)
    assert scaled == pytest.approx(Absolute().log_normalizer(dim), abs=1e-9)


@pytest.mark.parametrize("penalty", [Squared(), Absolute(), Huber(1.0), Charbonnier()], ids=repr)
@pytest.mark.parametrize("dim", [20, 64, 136])
def test_high_dimensions_stay_finite(penalty: Penalty, dim: int) -> None:
    assert math.isfinite(penalty.log_normalizer(dim))
    assert penalty.covariance_factor(dim) > 0
    # Twin in log space: the integrand about its maximum, on a fine grid
    r = np.linspace(1e-3, 12.0 * dim + 60, 400_001)
    log = np.log(r) * (dim - 1) - penalty.rho(torch.from_numpy(r)).numpy()
    whole = special.logsumexp(log) + math.log(r[1] - r[0])
    expected = math.log(2) + dim / 2 * math.log(math.pi) - special.gammaln(dim / 2) + whole
    assert penalty.log_normalizer(dim) == pytest.approx(expected, rel=1e-9)


@PROPER
@pytest.mark.parametrize("dim", [1, 2, 3, 5, 10])
def test_mass_against_quadrature(penalty: Penalty, dim: int) -> None:
    total = moment(penalty, dim - 1)
    scale = math.sqrt(penalty.covariance_factor(dim) * dim)
    radii = [0.0, 0.1 * scale, 0.7 * scale, scale, 2.5 * scale, getattr(penalty, "delta", 1.0), math.inf]
    expected = [moment(penalty, dim - 1, 0.0, r) / total if r else 0.0 for r in radii]
    found = penalty.mass(torch.tensor(radii), dim)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("dim", DIMS)
def test_mass_against_scipy_stats(dim: int) -> None:
    r = torch.linspace(0, 8, 50)
    np.testing.assert_allclose(Squared().mass(r, dim).numpy(), stats.chi(dim).cdf(r.numpy()), rtol=1e-11, atol=1e-16)
    np.testing.assert_allclose(Absolute().mass(r, dim).numpy(), stats.gamma(dim).cdf(r.numpy()), rtol=1e-11, atol=1e-16)


@PROPER
@pytest.mark.parametrize("dim", [1, 2, 7])
def test_radius_is_the_inverse_of_mass(penalty: Penalty, dim: int) -> None:
    m = torch.tensor([1e-12, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-9])
    r = penalty.radius(m, dim)
    assert bool((r.diff() > 0).all())
    torch.testing.assert_close(penalty.mass(r, dim), m, rtol=1e-12, atol=0)
    ends = penalty.radius(torch.tensor([0.0, 1.0]), dim)
    assert ends.tolist() == [0.0, math.inf]
    torch.testing.assert_close(penalty.mass(ends, dim), torch.tensor([0.0, 1.0]), rtol=1e-13, atol=0)


@given(delta=st.floats(0.01, 20), dim=st.integers(1, 12), m=st.floats(1e-6, 1 - 1e-6))
def test_huber_radius_property(delta: float, dim: int, m: float) -> None:
    penalty = Huber(delta)
    r = penalty.radius(m, dim)
    assert float(penalty.mass(r, dim)) == pytest.approx(m, rel=1e-9)
    assert float(penalty.mass(0.9 * r, dim)) < m


def test_two_dimensional_gauss_and_median_of_laplace() -> None:
    assert float(Squared().radius(0.5, 2)) == pytest.approx(math.sqrt(2 * math.log(2)), rel=1e-14)
    assert float(Absolute().radius(0.5, 1)) == pytest.approx(math.log(2), rel=1e-14)
    assert float(Squared().mass(math.sqrt(2 * math.log(4)), 2)) == pytest.approx(0.75, rel=1e-14)


def test_dtype_and_shape_are_kept() -> None:
    r = torch.rand(2, 3, dtype=torch.float32)
    for penalty in ENERGIES:
        m = penalty.mass(r, 3)
        assert (m.dtype, m.shape) == (torch.float32, (2, 3))
        torch.testing.assert_close(m, penalty.mass(r.double(), 3).float(), rtol=0, atol=0)
        assert penalty.radius(m, 3).dtype == torch.float32
    assert Squared().mass(1.0, 2).dtype == torch.float64


@pytest.mark.parametrize(
    "penalty", [Tukey(), Cauchy(), Welsch(), GemanMcClure(), StudentT(3.0), Barron(1.0), Barron(-2.0)], ids=repr
)
def test_improper_ones_raise(penalty: Penalty) -> None:
    name = type(penalty).__name__
    for call in (
        lambda: penalty.log_normalizer(2),
        lambda: penalty.covariance_factor(2),
        lambda: penalty.mass(1.0, 2),
        lambda: penalty.radius(0.5, 2),
    ):
        with pytest.raises(ValueError, match=f"{name}: expected a penalty whose .* Use Squared, Absolute, Huber or"):
            call()


@pytest.mark.parametrize("penalty", [Squared(), Absolute(), Huber(1.0), Charbonnier()], ids=repr)
def test_errors_say_who_and_the_number(penalty: Penalty) -> None:
    with pytest.raises(ValueError, match=r"mass: expected 0 <= radius <= inf, got -1\.0\."):
        penalty.mass(-1.0, 2)
    with pytest.raises(ValueError, match=r"radius: expected 0\.0 <= mass <= 1\.0, got 1\.5\."):
        penalty.radius(torch.tensor([0.5, 1.5]), 2)
    with pytest.raises(ValueError, match=r"mass: expected 0 <= radius <= inf, got nan\."):
        penalty.mass(torch.tensor([math.nan]), 2)
    with pytest.raises(TypeError, match=r"mass: expected radius of a floating dtype, got torch\.int64\."):
        penalty.mass(torch.tensor([1]), 2)
    for bad in (0, -1, 2.0, True):
        for name, call in (
            ("log_normalizer", penalty.log_normalizer),
            ("covariance_factor", penalty.covariance_factor),
            ("mass", lambda dim: penalty.mass(1.0, dim)),
            ("radius", lambda dim: penalty.radius(0.5, dim)),
        ):
            with pytest.raises(ValueError, match=rf"{name}: expected dim to be an integer >= 1, got {bad!r}\."):
                call(bad)  # type: ignore[operator]
