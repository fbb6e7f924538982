"""Marginal Gaussian densities of rows with missing coordinates: against SciPy, in blocks, near singular matrices."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from steadfit import GaussianUniform
from steadfit.core import gaussian, marginal

pytestmark = pytest.mark.usefixtures("float64")


def drawn(groups: int, n: int, dim: int, share: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.eye(dim) + 0.3 * torch.randn(groups, dim, dim, generator=generator) / math.sqrt(dim)
    value = torch.randn(groups, n, dim, generator=generator) @ mix
    observed = torch.rand(groups, n, dim, generator=generator) >= share
    observed[0, 0], observed[0, 1] = False, True
    return value * observed, mix.transpose(1, 2) @ mix, observed


def by_scipy(value: Tensor, covariance: Tensor, observed: Tensor) -> Tensor:
    found = torch.zeros(value.shape[:2])
    for g, n in ((g, n) for g in range(value.shape[0]) for n in range(value.shape[1])):
        seen = observed[g, n]
        if bool(seen.any()):
            normal = stats.multivariate_normal(torch.zeros(int(seen.sum())), covariance[g][seen][:, seen])
            found[g, n] = float(normal.logpdf(value[g, n][seen]))
    return found


@pytest.mark.parametrize(("dim", "share"), [(2, 0.3), (5, 0.2), (20, 0.1), (20, 0.6), (40, 0.3)])
def test_equals_scipy_row_by_row(dim: int, share: float) -> None:
    value, covariance, observed = drawn(2, 40, dim, share)
    found = gaussian.log_density(value, covariance, observed)
    # the ridge of 64 eps on correlation matrices with eigenvalues above .1
    torch.testing.assert_close(found, by_scipy(value, covariance, observed), rtol=1e-11, atol=1e-11)
    assert float(found[0, 0]) == 0


@pytest.mark.parametrize("block", [1, 5000, 2**21])
def test_blocks_of_any_size_give_the_same(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    value, covariance, observed = drawn(3, 200, 20, 0.1)
    observed[:, 50:120] = True  # a pattern that many rows share
    whole = gaussian.log_density(value, covariance, observed)
    monkeypatch.setattr(marginal, "BLOCK", block)
    torch.testing.assert_close(gaussian.log_density(value, covariance, observed), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [16, 40])
def test_the_short_way_is_the_long_way(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    value, covariance, observed = drawn(2, 60, dim, 0.15)
    short = gaussian.log_density(value, covariance, observed)
    monkeypatch.setattr(marginal, "MANY", 1000)
    torch.testing.assert_close(gaussian.log_density(value, covariance, observed), short, rtol=1e-12, atol=1e-12)


def test_near_singular_matrices_go_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    value, _, observed = drawn(1, 30, 20, 0.2)
    covariance = (torch.ones(20, 20) + 1e-9 * torch.eye(20)).unsqueeze(0)
    found = gaussian.log_density(value, covariance, observed)
    monkeypatch.setattr(marginal, "MANY", 1000)
    assert torch.equal(gaussian.log_density(value, covariance, observed), found)


@pytest.mark.parametrize("kind", ["full", "diagonal", "isotropic"])
def test_one_sample_with_missing_coordinates_in_single_precision(kind: str) -> None:
    """Moments of rank 1, on which LAPACK's eigenvalues do not converge in one of 300 draws in float32."""
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        residual = torch.randn(1, 32, generator=generator, dtype=torch.float32)
        residual[torch.rand(1, 32, generator=generator) < 0.3] = math.nan
        result = GaussianUniform(covariance=kind).fit(residual)
        assert bool(result.covariance.isfinite().all())
        assert result.responsibility.tolist() == [1.0]
        assert float(result.inlier_share) == 1 - torch.finfo(torch.float32).eps
