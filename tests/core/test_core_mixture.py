"""GaussianUniform against a slow twin in plain loops, invariances, fixed points, the papers' figures, errors."""

from __future__ import annotations

import dataclasses
import math
import warnings

import mixture_twin as twin
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from steadfit import GaussianUniform, GaussianUniformResult
from steadfit.errors import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("float64")

KINDS = pytest.mark.parametrize("kind", ["full", "diagonal", "isotropic"])
VOLUMES = pytest.mark.parametrize("volume", ["trimmed", "range", "moments", 2000.0])


def contaminated(n: int = 90, d: int = 2, share: float = 0.3, width: float = 20.0, seed: int = 0) -> Tensor:
    """Correlated Gaussian inliers, then a share of uniform outliers; (n, d)."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.eye(d) + 0.3 * torch.randn(d, d, generator=generator)
    clean = torch.randn(n, d, generator=generator) @ mix
    wild = width * (2 * torch.rand(n, d, generator=generator) - 1)
    return torch.where((torch.arange(n) >= (1 - share) * n).unsqueeze(1), wild, clean)


def punched(value: Tensor, share: float = 0.2) -> Tensor:
    return value.masked_fill(torch.rand(value.shape, generator=torch.Generator().manual_seed(7)) < share, math.nan)


def same(a: GaussianUniformResult, b: GaussianUniformResult, tol: float) -> None:
    for name in ("inlier_share", "covariance", "log_density", "responsibility", "box"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=tol, atol=tol, equal_nan=True)


# Against the twin


@KINDS
@VOLUMES
@pytest.mark.parametrize("d", [1, 2, 3])
def test_equals_the_twin(kind: str, volume: str | float, d: int) -> None:
    residual = contaminated(d=d)
    found = GaussianUniform(covariance=kind, volume=volume, tol=1e-13).fit(residual)
    slow = twin.fit(residual.tolist(), kind, volume)
    assert found.converged
    assert float(found.inlier_share) == pytest.approx(slow.share, abs=1e-10)
    torch.testing.assert_close(found.covariance, torch.tensor(slow.covariance), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.responsibility, torch.tensor(slow.responsibility), rtol=0, atol=1e-10)
    assert float(found.log_density) == pytest.approx(-sum(map(math.log, slow.side)), abs=1e-9)
    assert float(found.density) == pytest.approx(1 / math.prod(slow.side), rel=1e-9)
    steps = min(5, len(slow.bounds))
    assert found.log_likelihood[:steps].tolist() == pytest.approx(slow.bounds[:steps], rel=1e-11)


@KINDS
def test_partly_missing_groups_equal_the_twin(kind: str) -> None:
    """Marginal Gaussian, marginal box, moments of the available pairs."""
    residual = punched(contaminated(d=3))
    assert bool(residual.isnan().all(dim=1).any())  # one sample without any label is among them
    found = GaussianUniform(covariance=kind, tol=1e-13).fit(residual)
    slow = twin.fit(residual.tolist(), kind, "trimmed")
    torch.testing.assert_close(found.covariance, torch.tensor(slow.covariance), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        found.responsibility, torch.tensor(slow.responsibility), rtol=0, atol=1e-10, equal_nan=True
    )


def test_a_partly_missing_row_by_hand() -> None:
    residual = contaminated(d=3)
    result = GaussianUniform().fit(residual)
    row = torch.tensor([[1.5, math.nan, -0.7]])
    marginal = result.covariance[[0, 2]][:, [0, 2]].numpy()
    inlier = float(result.inlier_share) * stats.multivariate_normal([0, 0], marginal).pdf([1.5, -0.7])
    span = result.box
    outlier = (1 - float(result.inlier_share)) / float(span[0] * span[2])
    assert float(result.responsibility_of(row)) == pytest.approx(inlier / (inlier + outlier), abs=1e-12)


def test_responsibility_of_new_data_by_hand() -> None:
    result = GaussianUniform().fit(contaminated())
    new = torch.tensor([[0.0, 0.0], [2.0, -1.0], [9.0, 9.0], [-500.0, 0.0]])
    inlier = stats.multivariate_normal([0, 0], result.covariance.numpy()).pdf(new.numpy()) * float(result.inlier_share)
    outlier = (1 - float(result.inlier_share)) * float(result.density)
    torch.testing.assert_close(
        result.responsibility_of(new), torch.from_numpy(inlier / (inlier + outlier)), rtol=0, atol=1e-12
    )
    assert math.isnan(float(result.responsibility_of(torch.full((1, 2), math.nan))))


@VOLUMES
@KINDS
def test_responsibility_of_the_training_data(kind: str, volume: str | float) -> None:
    for residual in (contaminated(d=3), punched(contaminated(d=3)), contaminated(d=4).view(90, 2, 2)):
        result = GaussianUniform(covariance=kind, volume=volume).fit(residual)
        again = result.responsibility_of(residual)
        torch.testing.assert_close(again, result.responsibility, rtol=0, atol=1e-11, equal_nan=True)


def test_a_double_mixture_judges_single_residuals_alike() -> None:
    """The inlier share 1 - 2e-16 of clean labels is 1 in float32, where no outlier would be left."""
    result = GaussianUniform().fit(0.1 * torch.randn(50, 2).clamp(-2, 2))
    new = torch.tensor([[0.0, 0.0], [0.1, 0.1], [40.0, 0.0]])
    found = result.responsibility_of(new.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), result.responsibility_of(new), rtol=0, atol=1e-6)
    assert float(found[2]) < 1e-6
    assert GaussianUniform().fit(contaminated().float()).responsibility_of(new).dtype == torch.float64


# Fixed points and invariances


@KINDS
def test_the_fixed_point_does_not_depend_on_the_start(kind: str) -> None:
    residual = contaminated(n=200, d=2)
    model = GaussianUniform(covariance=kind, tol=1e-12)
    reference = model.fit(residual)
    for start in (torch.ones(200), torch.full((200,), 0.5), torch.rand(200), (torch.arange(200) < 140).double()):
        same(model.fit(residual, start=start), reference, 1e-8)


@VOLUMES
@KINDS
def test_a_batch_of_groups_is_each_alone(kind: str, volume: str | float) -> None:
    groups = torch.stack([contaminated(seed=1), punched(contaminated(seed=2)), 50 * contaminated(seed=3)], dim=1)
    groups[:, 2, 1] /= 1000
    model = GaussianUniform(covariance=kind, volume=volume, tol=1e-12)
    batch = model.fit(groups)
    assert batch.inlier_share.shape == (3,)
    assert batch.covariance.shape == (3, 2, 2)
    assert batch.responsibility.shape == (90, 3)
    assert batch.density.shape == (3,)
    assert batch.log_likelihood.shape == (batch.n_iter,)
    for g in range(3):
        alone = model.fit(groups[:, g])
        assert alone.inlier_share.shape == ()
        torch.testing.assert_close(batch.inlier_share[g], alone.inlier_share, rtol=0, atol=1e-8)
        torch.testing.assert_close(batch.covariance[g], alone.covariance, rtol=1e-8, atol=0)
        torch.testing.assert_close(batch.density[g], alone.density, rtol=1e-8, atol=0)
        torch.testing.assert_close(batch.responsibility[:, g], alone.responsibility, atol=1e-8, rtol=0, equal_nan=True)
        assert model.fit(groups[:, g : g + 1]).responsibility.shape == (90, 1)


@pytest.mark.parametrize("volume", ["trimmed", "range", "moments"])
@pytest.mark.parametrize("factor", [1e-30, 1e-3, 1e30, 1e100])
def test_scale_equivariance(volume: str, factor: float) -> None:
    residual = contaminated()
    model = GaussianUniform(volume=volume, tol=1e-12)
    by = torch.tensor([factor, 1.0])
    plain, scaled = model.fit(residual), model.fit(residual * by)
    torch.testing.assert_close(scaled.inlier_share, plain.inlier_share, rtol=0, atol=1e-9)
    torch.testing.assert_close(scaled.responsibility, plain.responsibility, rtol=0, atol=1e-9)
    torch.testing.assert_close(scaled.covariance / by / by[:, None], plain.covariance, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(scaled.log_density, plain.log_density - math.log(factor), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(scaled.responsibility_of(residual * by), plain.responsibility, rtol=0, atol=1e-9)
    assert bool(scaled.log_likelihood.isfinite().all())


def test_a_known_volume_scales_with_the_unit() -> None:
    residual = contaminated()
    one, ten = GaussianUniform(volume=900.0).fit(residual), GaussianUniform(volume=90_000.0).fit(10 * residual)
    torch.testing.assert_close(one.responsibility, ten.responsibility, rtol=0, atol=1e-8)
    assert float(one.density) == pytest.approx(1 / 900.0, rel=1e-12)
    assert float(one.box.prod()) == pytest.approx(900.0, rel=1e-12)


def test_copies_and_missing_rows() -> None:
    residual = contaminated()
    model = GaussianUniform(tol=1e-12)
    plain, thrice = model.fit(residual), model.fit(residual.repeat(3, 1))
    same(dataclasses.replace(thrice, responsibility=thrice.responsibility[:90]), plain, 1e-9)
    holed = torch.cat([torch.full((5, 2), math.nan), residual, torch.full((7, 2), math.nan)])
    result = model.fit(holed)
    assert bool(result.responsibility[:5].isnan().all())
    assert bool(result.responsibility[95:].isnan().all())
    same(dataclasses.replace(result, responsibility=result.responsibility[5:95]), plain, 1e-9)
    torch.testing.assert_close(result.log_likelihood[:5], plain.log_likelihood[:5])


@given(
    values=st.lists(st.tuples(st.integers(-8, 8), st.floats(-100, 100), st.booleans()), min_size=1, max_size=12),
    volume=st.sampled_from(["trimmed", "range", "moments", 30.0]),
    kind=st.sampled_from(["full", "diagonal", "isotropic"]),
)
def test_anything_finite_gets_a_finite_answer(
    values: list[tuple[int, float, bool]], volume: str | float, kind: str
) -> None:
    residual = torch.tensor([[float(a), math.nan if hole else b] for a, b, hole in values])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = GaussianUniform(covariance=kind, volume=volume, max_iter=60).fit(residual)
    for value in (result.inlier_share, result.covariance, result.log_density, result.responsibility):
        assert bool(value.isfinite().all())
    assert bool(((result.responsibility >= 0) & (result.responsibility <= 1)).all())
    assert 0.01 <= float(result.inlier_share) < 1
    variance = result.covariance.diagonal()
    bound = 1e-12 * (variance[:, None] * variance).sqrt().sum()
    assert bool((torch.linalg.eigvalsh(result.covariance) >= -bound - 1e-300).all())


@KINDS
def test_moments_of_pairs_that_contradict_each_other_are_made_semidefinite(kind: str) -> None:
    """Pairs (0, 1) and (1, 2) are always equal, (0, 2) always opposite: no covariance has these correlations."""
    blocks = [(0, 1, 1.0), (1, 2, 1.0), (0, 2, -1.0)]
    x = torch.randn(40)
    residual = torch.full((120, 3), math.nan)
    for k, (i, j, sign) in enumerate(blocks):
        residual[40 * k : 40 * (k + 1), i], residual[40 * k : 40 * (k + 1), j] = x, sign * x
    result = GaussianUniform(covariance=kind, tol=1e-12, max_iter=20_000).fit(residual)
    values = torch.linalg.eigvalsh(result.covariance)
    assert bool((values >= -1e-12).all())
    weight = result.responsibility.unsqueeze(1)
    total, mass = (weight * residual.square()).nansum(0), (weight * ~residual.isnan()).sum(0)
    expected = (total.sum() / mass.sum()).expand(3) if kind == "isotropic" else total / mass
    torch.testing.assert_close(result.covariance.diagonal(), expected, rtol=1e-6, atol=0)


# The likelihood and the papers' figures


@KINDS
@pytest.mark.parametrize("volume", ["trimmed", "range", 500.0])
def test_the_likelihood_never_falls_with_a_fixed_volume(kind: str, volume: str | float) -> None:
    for seed in range(12):
        residual = contaminated(n=40 + 20 * seed, d=1 + seed % 4, share=0.05 * seed, seed=seed)
        result = GaussianUniform(covariance=kind, volume=volume, max_iter=5000).fit(residual)
        assert bool((result.log_likelihood.diff() >= -1e-11 * result.log_likelihood[-1].abs()).all()), seed


@pytest.mark.parametrize(
    ("volume", "d", "expected", "tolerance"),
    [
        ("moments", 2, 0.21, 0.10),
        ("moments", 4, 0.54, 0.10),
        ("moments", 8, 0.78, 0.03),
        ("moments", 16, 0.91, 0.03),
        ("trimmed", 1, 0.0, 0.001),
        ("trimmed", 2, 0.0, 0.001),
        ("trimmed", 4, 0.0, 0.001),
        ("trimmed", 16, 0.0, 0.001),
        ("range", 1, 0.002, 0.003),
        ("range", 2, 0.001, 0.002),
        ("range", 4, 0.0, 0.001),
        ("range", 16, 0.0, 0.001),
    ],
)
def test_share_of_clean_labels_flagged(volume: str, d: int, expected: float, tolerance: float) -> None:
    """PAPERS section 2: eq. 5 flags clean Gaussian residuals in more than one dimension.

    Mean of four sets of 2000; one set's share varies by .1 at D = 2, .06 at D = 4, .02 at D >= 8.
    """
    model = GaussianUniform(volume=volume, tol=1e-6, max_iter=5000)
    clean = [torch.randn(2000, d, generator=torch.Generator().manual_seed(100 * k + d)) for k in range(4)]
    flagged = [float((model.fit(c).responsibility < 0.5).double().mean()) for c in clean]
    assert sum(flagged) / 4 == pytest.approx(expected, abs=tolerance)


def test_it_finds_the_error_rate_and_the_covariance() -> None:
    torch.manual_seed(5)
    true = torch.tensor([[2.0, 0.8], [0.8, 1.0]])
    clean = torch.randn(20_000, 2) @ torch.linalg.cholesky(true).T
    wild = 60 * (torch.rand(20_000, 2) - 0.5)
    wrong = torch.rand(20_000) < 0.4
    result = GaussianUniform().fit(torch.where(wrong.unsqueeze(1), wild, clean))
    assert float(result.inlier_share) == pytest.approx(0.6, abs=0.015)  # 4 standard errors
    torch.testing.assert_close(result.covariance, true, rtol=0, atol=0.1)
    flagged = result.responsibility < 0.5
    assert float((flagged & wrong).sum() / flagged.sum()) > 0.98


# Results, precision, errors


def test_the_result_is_frozen() -> None:
    result = GaussianUniform().fit(contaminated())
    for name in ("inlier_share", "covariance", "converged", "density"):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
            setattr(result, name, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        GaussianUniform().tol = 1.0  # type: ignore[misc]


@KINDS
@VOLUMES
def test_float32_is_close_to_float64(kind: str, volume: str | float) -> None:
    residual = contaminated(n=500, d=3).float()
    model = GaussianUniform(covariance=kind, volume=volume)
    single, double = model.fit(residual), model.fit(residual.double())
    assert single.converged
    for name in ("inlier_share", "covariance", "responsibility", "log_density", "log_likelihood"):
        assert getattr(single, name).dtype == torch.float32
    # 20 eps to the fixed point and sums of 500: 1e-3 is a wide bound for all three volumes
    torch.testing.assert_close(single.inlier_share.double(), double.inlier_share, rtol=0, atol=1e-4)
    torch.testing.assert_close(single.covariance.double(), double.covariance, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(single.responsibility.double(), double.responsibility, rtol=0, atol=1e-3)


def test_not_converging_is_a_warning_with_its_numbers() -> None:
    residual = contaminated()
    text = r"GaussianUniform: not converged after 3 iterations; the last step was .*e[+-]\d\d \(tol 1\.0e-09\)\. Raise"
    with pytest.warns(ConvergenceWarning, match=text):
        result = GaussianUniform(max_iter=3).fit(residual)
    assert not result.converged
    assert result.n_iter == len(result.log_likelihood) == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"covariance": "spherical"}, "covariance to be one of 'full', 'diagonal', 'isotropic', got 'spherical'"),
        ({"volume": "box"}, r"volume \(if not a number\) to be one of 'trimmed', 'range', 'moments', got 'box'"),
        ({"volume": -3.0}, r"volume > 0 and finite, got -3\.0"),
        ({"max_iter": 0}, "max_iter to be an integer >= 1, got 0"),
        ({"max_iter": 2.5}, r"max_iter to be an integer >= 1, got 2\.5"),
        ({"tol": 0.0}, r"tol > 0 and finite, got 0\.0"),
        ({"min_inlier_share": 0.7}, r"0\.0 <= min_inlier_share <= 0\.5, got 0\.7"),
    ],
)
def test_wrong_options(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=f"GaussianUniform: expected {text}"):
        GaussianUniform(**options)  # type: ignore[arg-type]


def test_wrong_residuals_and_starts() -> None:
    model, result = GaussianUniform(), GaussianUniform().fit(contaminated())
    for shape in ((5,), (0, 2), (5, 0), (1, 2, 3, 4)):
        with pytest.raises(ValueError, match=rf"shape \(N, D\).* with at least one, got \({shape[0]},"):
            model.fit(torch.zeros(shape))
    with pytest.raises(TypeError, match=r"GaussianUniform: expected residual of a floating dtype, got torch\.int64"):
        model.fit(torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(TypeError, match="expected residual to be a tensor, got list"):
        model.fit([[1.0]])  # type: ignore[arg-type]
    bad = contaminated()
    bad[3, 1], bad[5, 0] = math.inf, -math.inf
    with pytest.raises(ValueError, match=r"got 2 infinite values, the first at \(3, 1\)"):
        model.fit(bad)
    with pytest.raises(ValueError, match=r"responsibility_of: expected residuals of \(2,\) a sample, got \(3,\)"):
        result.responsibility_of(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"shape \(N, D\) with at least one, got \(4, 1, 2\)"):
        result.responsibility_of(torch.zeros(4, 1, 2))
    with pytest.raises(ValueError, match=r"GaussianUniform: expected start of shape \(90,\), got \(89,\)"):
        model.fit(contaminated(), start=torch.ones(89))
    with pytest.raises(ValueError, match=r"GaussianUniform: expected start in \[0, 1\], got 1\.5"):
        model.fit(contaminated(), start=torch.full((90,), 1.5))
