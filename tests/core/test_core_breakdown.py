"""Breakdown points: what one gross label, two sentinels, small clean sets and long tails do to every estimate of the
whole set: shares and lists, not finiteness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from steadfit import GaussianUniform, mad
from steadfit.core.scale import gross, innermost_scale, trimmed_range
from steadfit.noise import Chunk, GaussianUniformNoise, PredictedMixtureNoise, refit
from steadfit.noise.residuals import robust_scale
from steadfit.penalties import Squared

pytestmark = pytest.mark.usefixtures("float64")

SPOILED = {"1e2": (1, 1e2), "1e4": (1, 1e4), "1e12": (1, 1e12), "two sentinels": (2, -9999.0), "1 %": (10, 1e6)}
GROSS = pytest.mark.parametrize(("count", "size"), list(SPOILED.values()), ids=list(SPOILED))
DIMS = pytest.mark.parametrize("dim", [1, 2, 4])


def clean(tail: str, n: int, dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(1000 * n + 10 * dim + seed)
    normal, flat = torch.randn(n, dim, generator=generator), torch.rand(n, dim, generator=generator) - 0.5
    return {"gauss": normal, "uniform": flat, "laplace": -flat.sign() * torch.log1p(-2 * flat.abs())}[tail]


def contaminated(dim: int, share: float = 0.3, n: int = 1000, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    residual, wrong = torch.randn(n, dim, generator=generator), torch.arange(n) < share * n
    residual[wrong] = 30 * torch.rand(int(wrong.sum()), dim, generator=generator) - 15
    return residual, wrong


def spoil(residual: Tensor, count: int, size: float) -> Tensor:
    spoiled = residual.clone()
    spoiled[:count] = size
    return spoiled


@GROSS
@DIMS
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_gross_labels_change_nothing_in_the_mixture(dim: int, share: float, count: int, size: float) -> None:
    """They are wrong ones moved farther out: the share stays, and so does the list but for a few at the border."""
    residual, _ = contaminated(dim, share)
    plain, spoiled = GaussianUniform().fit(residual), GaussianUniform().fit(spoil(residual, count, size))
    assert float(spoiled.inlier_share) == pytest.approx(float(plain.inlier_share), abs=0.011)  # 10 of 1,000, if inside
    torch.testing.assert_close(spoiled.covariance, plain.covariance, rtol=0.05, atol=0.02)
    assert bool((spoiled.responsibility[:count] < 0.5).all())
    differ = (spoiled.responsibility < 0.5) != (plain.responsibility < 0.5)
    assert int(differ[count:].sum()) <= 5


@GROSS
@pytest.mark.parametrize("volume", [900.0, "trimmed", "range", "moments"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore::steadfit.errors.ConvergenceWarning")  # "moments" may swing
def test_the_judgement_of_the_same_data_is_the_same(
    volume: str | float, count: int, size: float, dtype: torch.dtype
) -> None:
    residual = spoil(contaminated(2, 0.05)[0], count, size).to(dtype)
    found = GaussianUniform(volume=volume, max_iter=300).fit(residual)
    tolerance = 1e-9 if dtype == torch.float64 else 2e-3
    torch.testing.assert_close(found.responsibility_of(residual), found.responsibility, rtol=0, atol=tolerance)
    if isinstance(volume, float):
        assert float((found.responsibility[50:] < 0.5).double().mean()) < 0.01


@DIMS
@pytest.mark.parametrize("tail", ["gauss", "uniform", "laplace"])
@pytest.mark.parametrize("n", [20, 50, 100, 200, 2000])
def test_clean_sets_are_clean(tail: str, n: int, dim: int) -> None:
    """At most 1 % flagged over ten sets, of Laplace's long tails in small sets 5 % (the spread of one set of ten)."""
    found = GaussianUniform(tol=1e-6).fit(torch.stack([clean(tail, n, dim, s) for s in range(10)], dim=1))
    most = 0.05 if tail == "laplace" and n < 200 else 0.01
    assert float((found.responsibility < 0.5).double().mean()) <= most
    assert 1 - float(found.inlier_share.mean()) <= 1.5 * most


@DIMS
@pytest.mark.parametrize("n", [20, 50, 200])
@pytest.mark.parametrize(("count", "size"), [(1, 1e3), (2, -9999.0)])
def test_gross_labels_of_small_clean_sets_are_the_list(n: int, dim: int, count: int, size: float) -> None:
    residual = torch.stack([spoil(clean("gauss", n, dim, s), count, size) for s in range(10)], dim=1)
    found = GaussianUniform(tol=1e-6).fit(residual)
    flagged = found.responsibility < 0.5
    assert bool(flagged[:count].all())
    assert float(flagged[count:].double().mean()) < 0.01
    torch.testing.assert_close(1 - found.inlier_share, torch.full((10,), count / n), rtol=0, atol=0.03)


@GROSS
def test_scales_do_not_move(count: int, size: float) -> None:
    residual = torch.randn(1000, 3, 2)
    for scale in (mad, robust_scale, innermost_scale, trimmed_range):
        torch.testing.assert_close(scale(spoil(residual, count, size)), scale(residual), rtol=0.1, atol=0)


@GROSS
@pytest.mark.parametrize("unit", ["sample", "point", "coordinate"])
def test_the_noise_model_keeps_its_list(unit: str, count: int, size: float) -> None:
    residual, wrong = contaminated(2)
    noise = GaussianUniformNoise(unit=unit)
    output, target = torch.zeros(1000, 2), spoil(residual, count, size).unsqueeze(1)
    state = refit(noise, [Chunk(output, target)], noise.initial_state(1, 2))
    suspect = noise.is_outlier(output, target, state).squeeze(1)
    assert noise.error_rate(output, target, state) == pytest.approx(0.3, abs=0.03)
    assert bool(suspect[:count].all())
    assert float(suspect[wrong].double().mean()) > 0.9
    assert float(suspect[~wrong].double().mean()) < 0.02


@GROSS
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_predicted_mixture_keeps_its_share(share: float, count: int, size: float) -> None:
    residual, wrong = contaminated(2, share)
    noise = PredictedMixtureNoise(Squared())
    start = noise.initial_output(1, 2)
    assert start is not None
    output, target = start.double().expand(1000, -1), spoil(residual, count, size).unsqueeze(1)
    wrong[:count] = True
    state = refit(noise, [Chunk(output, target)], noise.initial_state(1, 2))
    suspect = noise.is_outlier(output, target, state).squeeze(1)
    assert noise.error_rate(output, target, state) == pytest.approx(float(wrong.double().mean()), abs=0.02)
    assert bool(suspect[:count].all())
    assert float(suspect[wrong].double().mean()) > 0.9
    assert float(suspect[~wrong].double().mean()) < 0.02


@pytest.mark.parametrize("n", [20, 50, 100, 200])
def test_the_predicted_mixture_finds_nothing_wrong_in_clean_sets(n: int) -> None:
    noise = PredictedMixtureNoise(Squared())
    start = noise.initial_output(10, 2)
    assert start is not None
    output, target = start.double().expand(n, -1), torch.stack([clean("gauss", n, 2, s) for s in range(10)], dim=1)
    state = refit(noise, [Chunk(output, target)], noise.initial_state(10, 2))
    assert noise.error_rate(output, target, state) < 0.01
    assert float(noise.is_outlier(output, target, state).double().mean()) < 0.01


@pytest.mark.parametrize("factor", [1e-170, 1e-20, 1e20, 1e170])
@pytest.mark.parametrize("volume", ["trimmed", "range"])
def test_an_isotropic_mixture_knows_no_unit(volume: str, factor: float) -> None:
    residual, _ = contaminated(2)
    model = GaussianUniform(covariance="isotropic", volume=volume, tol=1e-12)
    plain, scaled = model.fit(residual), model.fit(factor * residual)
    torch.testing.assert_close(scaled.inlier_share, plain.inlier_share, rtol=0, atol=1e-9)
    torch.testing.assert_close(scaled.responsibility, plain.responsibility, rtol=0, atol=1e-9)


def test_gross_values_are_counted_and_said() -> None:
    value = torch.stack([torch.linspace(-1, 1, 500), torch.linspace(-1, 1, 500)], dim=1)
    assert (gross(value).count, str(gross(value))) == (0, "no label is gross")
    value[3, 0], value[7, 1], value[8, 1] = 1e4, torch.nan, -9999.0
    found = gross(value)
    assert found.count == 2
    assert found.mask.nonzero().tolist() == [[3, 0], [8, 1]]
    assert str(found).startswith("2 labels are up to 10,081 times farther")
    twenty = spoil(torch.randn(20, 1), 2, -9999.0)
    assert gross(twenty).mask.flatten().nonzero().flatten().tolist() == [0, 1]
    assert gross(spoil(torch.zeros(20, 1), 1, 1e9)).count == 0  # a spike tells no distance


@pytest.mark.parametrize("n", [10, 100, 1000])
@pytest.mark.parametrize("share", [0.1, 0.02])
@pytest.mark.parametrize(("size", "repeated"), [(1e3, False), (50.0, True)])
def test_gross_values_beyond_a_gap_are_found_up_to_a_tenth(n: int, share: float, size: float, repeated: bool) -> None:
    value, count = torch.linspace(-1, 1, n).unsqueeze(1), max(int(share * n), 2)
    wrong = value.clone()
    wrong[:count, 0] = -size if repeated else -size * torch.arange(1, count + 1)
    assert gross(wrong).mask.flatten().nonzero().flatten().tolist() == list(range(count))
    farthest = size if repeated else count * size
    assert gross(wrong).farthest == pytest.approx(farthest, rel=0.3)  # in units of the rest's reach, about 1
    assert torch.equal(gross(1e-12 * wrong).mask, gross(wrong).mask)
    assert gross(value).count == 0


def test_no_gap_is_seen_among_few_values_in_a_spike_or_below_ten_times() -> None:
    def count(*value: float) -> int:
        return gross(torch.tensor(value).unsqueeze(1)).count

    some = torch.linspace(-1, 1, 18).tolist()
    assert count(0.0, 0.001, 1.0) == 0
    assert count(*some[:7], 90.0, 90.0) == 0
    assert count(*[0.0] * 18, 0.001, 90.0) == 0
    assert (count(*some, 9.0, 9.0), count(*some, 12.0, 12.0)) == (0, 2)
    assert (count(*some, 12.0, 13.0), count(*some, 90.0), count(*some, 120.0)) == (0, 0, 1)
    assert count(*some, *[torch.nan] * 20, 120.0, torch.nan) == 1
