"""The degenerate inputs of PAPERS section 2: every one has a finite answer, the one that the docstring states."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor

from steadfit import GaussianUniform, GaussianUniformResult
from steadfit.errors import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("float64")

EVERY = [
    pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"]),
    pytest.mark.parametrize("kind", ["full", "diagonal", "isotropic"]),
    pytest.mark.parametrize("volume", ["trimmed", "range", "moments", 50.0]),
]


def everywhere(test):  # type: ignore[no-untyped-def]
    for mark in EVERY:
        test = mark(test)
    return test


def fit(residual: Tensor, kind: str, volume: str | float, max_iter: int = 20_000) -> GaussianUniformResult:
    """Fit, and check what every answer must satisfy."""
    result = GaussianUniform(covariance=kind, volume=volume, max_iter=max_iter).fit(residual)
    present = ~residual.isnan().all(dim=-1)
    known = result.responsibility[present]
    assert bool(((known >= 0) & (known <= 1)).all())
    assert bool(result.responsibility[~present].isnan().all())
    for value in (result.inlier_share, result.covariance, result.log_density, result.box, result.log_likelihood):
        assert value.dtype == residual.dtype
        assert bool(value.isfinite().all())
    assert bool(((result.inlier_share >= 0.01) & (result.inlier_share < 1)).all())
    again = result.responsibility_of(residual)
    tolerance = 1e-9 if residual.dtype == torch.float64 else 2e-3
    torch.testing.assert_close(again, result.responsibility, rtol=0, atol=tolerance, equal_nan=True)
    return result


def top(dtype: torch.dtype) -> float:
    """The largest inlier share, 1 - eps."""
    return 1 - torch.finfo(dtype).eps


@everywhere
@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_all_residuals_equal(volume: str | float, kind: str, dtype: torch.dtype, constant: float) -> None:
    result = fit(torch.full((20, 2), constant, dtype=dtype), kind, volume)
    expected = constant**2 * (torch.ones(2, 2) if kind == "full" else torch.eye(2)).to(dtype)
    if isinstance(volume, str):  # says nothing: all are inliers
        assert bool((result.responsibility == 1).all())
        assert float(result.inlier_share) == top(dtype)
        assert not bool(result.informative.any())
        torch.testing.assert_close(result.covariance, expected)
    elif constant == 0:  # a known box says a lot: zeros are inliers
        assert bool((result.responsibility > 0.999).all())


@everywhere
@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_a_coordinate_without_variance(volume: str | float, kind: str, dtype: torch.dtype, constant: float) -> None:
    x = torch.cat([torch.randn(80, 1), torch.linspace(-30, 30, 20).unsqueeze(1)]).to(dtype)
    both = torch.cat([x, torch.full_like(x, constant)], dim=1)
    result = fit(both, kind, volume)
    if isinstance(volume, str) and kind != "isotropic":  # it is left out of the judgement, not of Sigma
        alone = fit(x, kind, volume)
        tolerance = 1e-6 if dtype == torch.float64 else 2e-3
        torch.testing.assert_close(result.responsibility, alone.responsibility, rtol=0, atol=tolerance)
        assert float(result.covariance[1, 1]) == pytest.approx(constant**2, rel=1e-6)
        assert result.informative.tolist() == [True, False]
        # New data with another value there is judged by the first coordinate alone:
        new = torch.tensor([[0.0, 77.0], [25.0, constant]], dtype=dtype)
        assert [round(v) for v in result.responsibility_of(new).tolist()] == [1, 0]


@everywhere
@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_samples_than_dimensions(volume: str | float, kind: str, dtype: torch.dtype, n: int) -> None:
    residual = torch.randn(n, 6, generator=torch.Generator().manual_seed(n)).to(dtype)
    result = fit(residual, kind, volume)
    if n == 1 and isinstance(volume, str):
        assert result.responsibility.tolist() == [1.0]


@everywhere
def test_proportional_coordinates(volume: str | float, kind: str, dtype: torch.dtype) -> None:
    x = torch.cat([torch.randn(90), torch.linspace(-20, 20, 10)]).to(dtype)
    fit(torch.stack([x, -2 * x, x / 1000], dim=1), kind, volume)


@everywhere
def test_a_group_without_labels(volume: str | float, kind: str, dtype: torch.dtype) -> None:
    groups = torch.randn(40, 3, 2, dtype=dtype)
    groups[:, 1] = math.nan
    groups[5, 0], groups[6, 2, 1] = math.nan, math.nan
    result = fit(groups, kind, volume)
    assert float(result.inlier_share[1]) == top(dtype)
    assert bool(result.responsibility[:, 1].isnan().all())
    assert bool(result.responsibility[:, 0].isnan().sum() == 1)
    assert not bool(result.responsibility[:, 2].isnan().any())
    nobody = fit(torch.full((4, 2), math.nan, dtype=dtype), kind, volume)
    assert float(nobody.inlier_share) == top(dtype)


@pytest.mark.parametrize(("n", "d"), [(100, 3), (1000, 3), (1000, 6)])
def test_strong_correlations_with_missing_coordinates(n: int, d: int) -> None:
    """Moments of available pairs draw EM to singular matrices: without their floor half of the right labels go."""
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        mix = torch.eye(d) + 0.8 * torch.randn(d, d, generator=generator)
        residual, right = torch.randn(n, d, generator=generator) @ mix, int(0.7 * n)
        residual[right:] = 20 * torch.rand(n - right, d, generator=generator) - 10
        residual[torch.rand(n, d, generator=generator) < 0.3] = math.nan
        result = fit(residual, "full", "range", max_iter=2000)
        assert result.converged
        assert float((result.responsibility[:right] < 0.5).double().mean()) < 0.08
        assert float(torch.linalg.eigvalsh(result.covariance)[0]) > 0


@everywhere
def test_a_single_gross_outlier(volume: str | float, kind: str, dtype: torch.dtype) -> None:
    residual = torch.randn(100, 2, dtype=dtype)
    residual[17] = 1e6
    if volume == "moments":  # the box swings between two sizes: a warning, while the judgement is settled
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            result = fit(residual, kind, volume, max_iter=300)
    else:
        result = fit(residual, kind, 1e12 if volume == 50.0 else volume)
        assert result.converged
    flagged = (result.responsibility < 0.5).nonzero().flatten().tolist()
    if volume == "trimmed":  # the box is that of the others, at whose edge one of a hundred may fall
        assert 17 in flagged
        assert len(flagged) <= 2
    else:
        assert flagged == [17]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_outliers_and_no_inliers(dtype: torch.dtype) -> None:
    """pi -> 1: bounded clean errors; pi -> 0: residuals far from zero and close to each other."""
    clean = torch.linspace(-1, 1, 101, dtype=dtype).unsqueeze(1)
    result = fit(clean, "full", 1000.0)
    assert float(result.inlier_share) > 0.999
    assert float(result.responsibility.min()) > 0.99
    wrong = 100 + torch.rand(200, 2, dtype=dtype)
    lost = fit(wrong, "full", "range")
    assert float(lost.inlier_share) == pytest.approx(0.01, rel=1e-6)
    assert float(lost.responsibility.max()) < 0.5
    # The floor keeps the way back open: with a floor of 0 the share may die out, and nothing is NaN.
    model = GaussianUniform(min_inlier_share=0.0, max_iter=20_000)
    dead = model.fit(wrong)
    assert bool(dead.responsibility.isfinite().all())
    assert bool(dead.covariance.isfinite().all())


@everywhere
def test_a_bias_of_the_inliers_is_part_of_the_covariance(volume: str | float, kind: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    residual = torch.randn(2000, 2, generator=generator) + 1.0
    residual[:400] = 200 * torch.rand(400, 2, generator=generator) - 100
    result = fit(residual.to(dtype), kind, 40_000.0 if volume == 50.0 else volume)
    # Second moment about zero: variance 1 plus bias squared 1, and 1 between the coordinates
    assert float(result.covariance[0, 0]) == pytest.approx(2.0, abs=0.25)
    if kind == "full":
        assert float(result.covariance[0, 1]) == pytest.approx(1.0, abs=0.25)
    assert float((result.responsibility[400:] > 0.5).double().mean()) > 0.99


@everywhere
def test_half_of_the_residuals_exactly_equal(volume: str | float, kind: str, dtype: torch.dtype) -> None:
    """A spike at zero draws Sigma to it, down to 1e-8 of the range; the answer is finite and the spike inliers."""
    residual = torch.cat([torch.zeros(60, 2), 10 * torch.randn(60, 2)]).to(dtype)
    result = fit(residual, kind, volume)
    assert bool((result.responsibility[:60] > 0.9).all())


@everywhere
def test_one_sample(volume: str | float, kind: str, dtype: torch.dtype) -> None:
    for value in (0.0, 4.0, 1e-8):
        result = fit(torch.full((1, 1), value, dtype=dtype), kind, volume)
        if isinstance(volume, str):
            assert result.responsibility.tolist() == [1.0]
            assert float(result.covariance) == pytest.approx(value**2, rel=1e-5)


@pytest.mark.parametrize("power", [-15, -6, 6, 15])
def test_float32_residuals_of_any_size(power: int) -> None:
    """Squares of 1e±15 still fit into float32's covariance."""
    generator = torch.Generator().manual_seed(1)
    residual = torch.cat([torch.randn(90, 2, generator=generator), 40 * torch.rand(10, 2, generator=generator) + 10])
    plain = fit(residual.float(), "full", "range")
    scaled = fit((residual * 10.0**power).float(), "full", "range")
    torch.testing.assert_close(scaled.responsibility, plain.responsibility, rtol=0, atol=1e-3)
    assert math.isfinite(float(scaled.log_density))


def test_half_precision_is_computed_in_single() -> None:
    residual = torch.cat([torch.randn(90, 2), torch.full((10, 2), 50.0)])
    for dtype in (torch.float16, torch.bfloat16):
        result = GaussianUniform().fit(residual.to(dtype))
        assert result.responsibility.dtype == torch.float32
        assert int((result.responsibility < 0.5).sum()) >= 10
