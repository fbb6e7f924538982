"""Proper scores against torch's and SciPy's densities, closed forms and quadrature; the truth beats its rivals."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from predictions import NAN, PROPER, drawn, radial
from scipy import stats

from steadfit.metrics import Measure, energy_score, expected_error, negative_log_likelihood
from steadfit.metrics.scores import _draws, _pair_distance
from steadfit.penalties import Absolute, Charbonnier, Huber, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")
Z = torch.tensor([0.0, 1e-9, 0.3, 1.0, 2.5, 40.0], dtype=torch.float64)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_gaussian_likelihood_equals_torchs(dim):
    mean, root, target = drawn(15, 4, dim, Squared())
    twin = torch.distributions.MultivariateNormal(mean, torch.linalg.inv(root @ root))
    found = negative_log_likelihood(mean, root, target, Squared())
    torch.testing.assert_close(found, -twin.log_prob(target), rtol=1e-10, atol=1e-10)


def test_laplace_likelihood_equals_scipys_and_a_unit_shifts_it():
    mean, root, target = drawn(15, 4, 1, Absolute())
    twin = -stats.laplace.logpdf(target.numpy(), mean.numpy(), 1 / root.numpy()[..., 0])[..., 0]
    found = negative_log_likelihood(mean, root, target, Absolute())
    np.testing.assert_allclose(found, twin, rtol=1e-12)
    millimetres = negative_log_likelihood(10 * mean, root / 10, 10 * target, Absolute())
    torch.testing.assert_close(millimetres, found + math.log(10), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
def test_densities_integrate_to_one(penalty):
    x, w = np.polynomial.legendre.leggauss(300)
    grid = 40 * torch.from_numpy(x)  # far enough: the slowest tail is exp(-|a y|), a >= .8
    mean, root = torch.zeros(300, 300, 2), torch.tensor([[1.0, 0.2], [0.2, 1.3]]).expand(300, 300, 2, 2)
    nll = negative_log_likelihood(mean, root, torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1), penalty)
    weight = torch.from_numpy(w)
    assert float(40**2 * weight @ torch.exp(-nll) @ weight) == pytest.approx(1, abs=2e-3)  # Laplace has a cusp


def test_missing_labels_and_the_metric_over_batches_and_ranks():
    mean, root, target = drawn(30, 3, 2, Huber(1.0))
    target[4, 1, 0], target[:, 2] = NAN, NAN
    found = negative_log_likelihood(mean, root, target, Huber(1.0))
    assert int(found.isnan().sum()) == 31
    formula = partial(negative_log_likelihood, penalty=Huber(1.0))
    left, right = Measure(formula), Measure(formula)
    left.update(mean[:11], root[:11], target[:11])
    right.update(mean[11:], root[11:], target[11:])
    left.merge_state(right)
    assert float(left.compute()) == pytest.approx(float(found.nanmean()), rel=1e-12)
    points = Measure(formula, columns=3)
    points.update(mean, root, target)
    torch.testing.assert_close(points.compute(), found.nanmean(0), rtol=1e-12, atol=0, equal_nan=True)
    with pytest.raises(ValueError, match="Measure of negative_log_likelihood: expected 3 columns, got"):
        points.update(mean[:, :2], root[:, :2], target[:, :2])
    with pytest.raises(ValueError, match="Tukey: expected a penalty"):
        negative_log_likelihood(mean, root, target, Tukey())


def test_crps_of_the_gaussian_and_the_laplacian_by_their_closed_forms():
    mean, _, target = radial(Z.unsqueeze(0))
    root = torch.full((1, len(Z), 1, 1), 2.0)
    z = 2 * Z.numpy()
    gauss = (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)) / 2
    np.testing.assert_allclose(energy_score(mean, root, target, Squared())[0], gauss, rtol=1e-12)
    laplace = (z + np.exp(-z) - 0.75) / 2
    np.testing.assert_allclose(energy_score(mean, root, target, Absolute())[0], laplace, rtol=1e-12)


@pytest.mark.parametrize("penalty", [Huber(1.0), Absolute(), Charbonnier()], ids=repr)
def test_crps_equals_the_integral_of_the_squared_distribution_function(penalty):
    t = torch.linspace(0, 45, 9001)
    half = penalty.mass(t, 1) / 2  # F(t) - 1/2
    for i in (0, 140, 600):
        below, above = (0.5 - half) ** 2, torch.where(t < t[i], 0.5 + half, 0.5 - half) ** 2
        above[i] = (above[i] + (0.5 + half[i]) ** 2) / 2 if i else above[i]  # the middle of the jump
        exact = float(torch.trapezoid(below, t) + torch.trapezoid(above, t))
        found = energy_score(*radial(t[i : i + 1].unsqueeze(0)), penalty)
        assert float(found) == pytest.approx(exact, abs=1e-5)  # the step squared, and tails beyond 45


def gaussian_energy(mean, root, target):
    """Twin: E sqrt(Q) as an integral over E exp(-tQ), Q a non-central quadratic form."""
    value, basis = torch.linalg.eigh(torch.linalg.inv(root @ root))
    shift = (basis.mT @ (target - mean).unsqueeze(-1)).squeeze(-1)

    def root_mean(v, s):
        x, h = np.linspace(-75, 75, 600, retstep=True)
        t = torch.from_numpy(np.exp(x))[:, None, None, None]
        log = -0.5 * torch.log1p(2 * t * v).sum(-1) - (t * s**2 / (1 + 2 * t * v)).sum(-1)
        return -(torch.expm1(log) * t[..., 0] ** -0.5).sum(0) * h / (2 * math.sqrt(math.pi))

    return root_mean(value, shift) - root_mean(2 * value, 0 * shift) / 2


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_energy_score_equals_the_gaussians_to_the_stated_error(dim):
    mean, root, target = drawn(60, 2, dim, Squared())
    exact, unit = gaussian_energy(mean, root, target), expected_error(root, Squared())
    errors = torch.stack([(energy_score(mean, root, target, Squared(), seed=s) - exact) / unit for s in range(8)])
    assert float(errors.square().mean().sqrt()) < {2: 0.004, 3: 0.005, 5: 0.006}[dim]
    assert abs(float(errors.mean())) < 0.001  # unbiased over seeds
    fine = energy_score(mean, root, target, Squared(), samples=16384)
    torch.testing.assert_close(fine / unit, exact / unit, atol=1.5e-3, rtol=0)


def test_pair_distances_by_closed_forms_and_draws():
    for dim in (1, 2, 3, 40, 64, 65, 200):
        norm = math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))
        assert _pair_distance(Squared(), dim) == pytest.approx(math.sqrt(2) * norm, rel=1e-12)
    assert _pair_distance(Absolute(), 1) == pytest.approx(1.5, rel=1e-12)
    assert _pair_distance(Absolute(), 3) == pytest.approx(4.375, rel=1e-10)
    for penalty in (Absolute(), Huber(1.0)):
        first, second = _draws(penalty, 2, 4096, 1), _draws(penalty, 2, 4096, 2)
        mean = torch.cdist(first, second).mean()
        assert float(mean) == pytest.approx(_pair_distance(penalty, 2), rel=0.004)  # the draws' own error


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("dim", [1, 2])
def test_both_scores_are_proper(penalty, dim):
    mean, root, target = drawn(2500, 1, dim, penalty)
    generator = torch.Generator().manual_seed(1)
    moved = mean + torch.randn(mean.shape, generator=generator)
    round_root = root.diagonal(dim1=-2, dim2=-1).mean() * torch.eye(dim).expand_as(root)
    rivals = [(mean, root / 1.3), (mean, root * 1.3), (moved, root), (mean, round_root)]
    for score in (negative_log_likelihood, lambda *a: energy_score(*a, samples=256)):
        truth = score(mean, root, target, penalty)
        for rival in rivals:
            gain = score(*rival, target, penalty) - truth
            assert float(gain.mean()) > 2.5 * float(gain.std()) / math.sqrt(len(gain))


def test_energy_score_turns_scales_and_ends_at_the_error():
    mean, root, target = drawn(40, 2, 2, Huber(1.0))
    found = energy_score(mean, root, target, Huber(1.0), samples=4096)
    far = energy_score(mean, root * 1e9, target, Huber(1.0))
    torch.testing.assert_close(far, (target - mean).norm(dim=-1), rtol=1e-6, atol=0)
    torch.testing.assert_close(energy_score(3 * mean, root / 3, 3 * target, Huber(1.0), samples=4096), 3 * found)
    one = energy_score(mean[5:6], root[5:6], target[5:6], Huber(1.0), samples=4096)
    torch.testing.assert_close(one, found[5:6], rtol=1e-12, atol=0)  # a row is its own, whatever the batch
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    turned = energy_score(mean @ turn.T, turn @ root @ turn.T, target @ turn.T, Huber(1.0), samples=4096)
    unit = expected_error(root, Huber(1.0))
    torch.testing.assert_close(turned / unit, found / unit, atol=0.01, rtol=0)


def test_energy_score_of_missing_far_and_no_labels():
    mean, root, target = drawn(5, 2, 2, Squared())
    target[1, 0, 1] = NAN
    assert energy_score(mean, root, target, Squared()).isnan().nonzero().tolist() == [[1, 0]]
    huge = energy_score(mean, root, mean + 1e200, Squared())
    assert bool((huge / (math.sqrt(2) * 1e200) - 1).abs().max() < 1e-10)
    assert energy_score(mean[:0], root[:0], target[:0], Squared()).shape == (0, 2)
    assert bool(energy_score(mean, root, target * NAN, Squared()).isnan().all())
    assert energy_score(mean.float(), root.float(), target.float(), Squared()).dtype == torch.float32


@pytest.mark.parametrize("samples", [0, 2, 1000, True, 512.0])
def test_the_number_of_samples_is_checked(samples):
    with pytest.raises(ValueError, match=f"energy_score: expected samples to be a power of two >= 4, got {samples}"):
        energy_score(*radial(torch.ones(1, 1), 2), Squared(), samples=samples)
