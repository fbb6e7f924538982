"""E rho of the proper penalties, and all radial quantities over dimensions 1 to 200 and knees 1e-3 to 1e3."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from steadfit.core import radial
from steadfit.penalties import Absolute, Cauchy, Charbonnier, Huber, Penalty, Squared

pytestmark = pytest.mark.usefixtures("float64")

DIMS = (1, 2, 3, 8, 50, 200)
PENALTIES = (Squared(), Absolute(), Charbonnier(), *(Huber(k) for k in (1e-3, 0.1, 1.0, 5.0, 14.0, 30.0, 1e3)))
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)


def grid(penalty: Penalty, dim: int, top: float = math.inf) -> tuple[np.ndarray, np.ndarray]:
    """r and log of its unnormalised density times dr: Gauss-Legendre on panels that end at the knee and at ``top``.

    Panels cover 40 standard deviations about the radius' mean, each a quarter of one; the density is log-concave.
    """
    knee = getattr(penalty, "delta", 1.0)
    mean = math.sqrt(dim * penalty.covariance_factor(dim))
    spread = mean / math.sqrt(dim)
    low, high = max(0.0, mean - 40 * spread), min(mean + 60 * spread, top)
    edges = np.linspace(low, high, 401)
    edges = np.unique(np.concatenate([edges, [knee] if low < knee < high else []]))
    half = np.diff(edges)[:, None] / 2
    r = (edges[:-1, None] + half * (1 + NODES)).ravel()
    weights = (half * WEIGHTS).ravel()
    log = (dim - 1) * np.log(r) - penalty.rho(torch.from_numpy(r)).numpy()
    return r, log + np.log(weights)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("dim", DIMS)
def test_moments_and_mass_in_low_and_high_dimension(penalty: Penalty, dim: int) -> None:
    r, log = grid(penalty, dim)
    whole = special.logsumexp(log)
    sphere = math.log(2) + dim / 2 * math.log(math.pi) - special.gammaln(dim / 2)
    assert penalty.log_normalizer(dim) == pytest.approx(sphere + whole, rel=1e-11, abs=1e-11)
    p = np.exp(log - whole)
    assert penalty.covariance_factor(dim) == pytest.approx(float((p * r * r).sum()) / dim, rel=1e-10)
    rho = penalty.rho(torch.from_numpy(r)).numpy()
    assert penalty.expected_rho(dim) == pytest.approx(float((p * rho).sum()), rel=1e-10)
    mean = math.sqrt(dim * penalty.covariance_factor(dim))
    for factor in (0.8, 1.0, 1.3):
        inside = math.exp(special.logsumexp(grid(penalty, dim, factor * mean)[1]) - whole)
        assert float(penalty.mass(factor * mean, dim)) == pytest.approx(inside, rel=1e-10, abs=1e-15)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("dim", DIMS)
def test_radius_inverts_mass_in_low_and_high_dimension(penalty: Penalty, dim: int) -> None:
    mass = torch.tensor([1e-6, 0.05, 0.5, 0.9, 0.999])
    torch.testing.assert_close(penalty.mass(penalty.radius(mass, dim), dim), mass, rtol=1e-11, atol=0)


@pytest.mark.parametrize("dim", DIMS)
def test_closed_points_of_expected_rho(dim: int) -> None:
    assert Squared().expected_rho(dim) == dim / 2
    assert Absolute().expected_rho(dim) == dim
    assert Huber(1e3).expected_rho(dim) == pytest.approx(dim / 2, rel=1e-13)
    assert Huber(1e-4).expected_rho(dim) == pytest.approx(dim, rel=1e-8)  # E rho = d - delta²/2 + ...
    ratio = special.kve((dim - 1) / 2, 1) / special.kve((dim + 1) / 2, 1)
    assert Charbonnier().expected_rho(dim) == pytest.approx(dim - 1 + ratio, rel=1e-13)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_expected_rho_is_minus_the_slope_of_the_log_integral(penalty: Penalty) -> None:
    """E rho = -d/ds log of the integral of r^(d-1) exp(-s rho) at s = 1: by central differences of the grid."""
    r, log = grid(penalty, 3)
    rho = penalty.rho(torch.from_numpy(r)).numpy()
    step = 1e-4
    up, down = (special.logsumexp(log - h * rho) for h in (step, -step))
    assert penalty.expected_rho(3) == pytest.approx((down - up) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("a", [0.5, 1.0, 1.5, 2.0, 4.5, 20.0, 20.5, 100.0, 400.5])
def test_incomplete_gammas_against_scipy(a: float) -> None:
    x = a * torch.tensor([1e-6, 0.01, 0.3, 0.7, 0.95, 1.0, 1.05, 1.3, 2.0, 6.0])
    lower, upper = radial._gamma_tails(a, x)
    np.testing.assert_allclose(lower.numpy(), special.gammainc(a, x.numpy()), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(upper.numpy(), special.gammaincc(a, x.numpy()), rtol=1e-12, atol=1e-300)
    for k in (0.3, 0.95, 1.05, 2.0):
        assert math.exp(radial._log_gamma_p(a, k * a)) == pytest.approx(special.gammainc(a, k * a), rel=1e-12)
        if a % 1 == 0:
            assert math.exp(radial._log_gamma_q(int(a), k * a)) == pytest.approx(special.gammaincc(a, k * a), rel=1e-12)
    ends = torch.stack(radial._gamma_tails(a, torch.tensor([0.0, math.inf])))
    assert ends.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("dim", [25, 100])
def test_masses_beyond_the_tenth_digit_in_high_dimension(dim: int) -> None:
    r = torch.linspace(0.5 * math.sqrt(dim), 1.5 * math.sqrt(dim), 30)
    np.testing.assert_allclose(Squared().mass(r, dim), stats.chi(dim).cdf(r.numpy()), rtol=1e-12)
    np.testing.assert_allclose(Absolute().mass(r * r, dim), stats.gamma(dim).cdf((r * r).numpy()), rtol=1e-12)


def test_charbonnier_mass_in_two_dimensions() -> None:
    """s = sqrt(1 + r²): the integral of s exp(1 - s) from 1 is 2 - (1 + s) exp(1 - s)."""
    r = torch.linspace(0.1, 20, 40)
    s = torch.hypot(torch.ones_like(r), r)
    torch.testing.assert_close(Charbonnier().mass(r, 2), 1 - (1 + s) * torch.exp(1 - s) / 2, rtol=1e-12, atol=0)


def test_expected_rho_of_an_improper_penalty_raises() -> None:
    with pytest.raises(ValueError, match=r"Cauchy: expected a penalty whose .* Use Squared, Absolute, Huber or"):
        Cauchy().expected_rho(2)
    with pytest.raises(ValueError, match=r"expected_rho: expected dim to be an integer >= 1, got 0\."):
        Squared().expected_rho(0)
