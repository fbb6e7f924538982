"""Mahalanobis radii and expected errors: SciPy's elliptic integrals, Monte Carlo, rotations, degenerate ellipses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from predictions import NAN, PROPER, drawn, spd, standard
from scipy import special

from steadfit.metrics import expected_error, mahalanobis
from steadfit.metrics.elliptical import mean_radius, mean_stretch
from steadfit.penalties import Absolute, Huber, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_radius_equals_the_quadratic_form(dim):
    mean, root, target = drawn(20, 3, dim, Squared())
    target[2, 1, -1] = NAN
    d = (target - mean).numpy()
    slow = np.sqrt(np.einsum("nki,nkij,nkj->nk", d, (root @ root).numpy(), d))
    np.testing.assert_allclose(mahalanobis(mean, root, target), slow, rtol=1e-11)  # NaN where a coordinate is
    assert mahalanobis(mean, root, target).isnan().sum() == 1


def test_radius_keeps_the_dtype_and_is_computed_in_double():
    mean = torch.full((1, 1, 2), 1e4, dtype=torch.float32)
    target = mean + torch.tensor([3e-3, 0.0], dtype=torch.float32)
    found = mahalanobis(mean, torch.eye(2, dtype=torch.float32).expand(1, 1, 2, 2), target)
    assert found.dtype == torch.float32
    assert float(found) == float((target.double() - mean.double())[0, 0, 0])


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e30, 1e200])
def test_far_and_near_labels_are_finite(size):
    root = torch.eye(2).expand(1, 1, 2, 2)
    target = torch.tensor([[[3.0, 4.0]]]) * size
    assert float(mahalanobis(torch.zeros(1, 1, 2), root, target)) == pytest.approx(5 * size, rel=1e-14)


@pytest.mark.parametrize("ratio", [1.0, 1 + 1e-12, 1.5, 10.0, 1e3, 1e6])
def test_plane_equals_the_complete_elliptic_integral(ratio):
    axes = torch.tensor([0.3, 0.3 / ratio])
    exact = 0.3 * 2 / math.pi * special.ellipe(1 - ratio**-2)
    assert float(mean_stretch(torch.diag(1 / axes))) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("axes", [(1.0, 1.0, 1.0), (3.0, 2.0, 0.5), (1.0, 1e-3, 1e-6), (5.0, 5.0, 0.01)])
def test_space_equals_carlsons_integral(axes):
    exact = special.elliprg(*(a * a for a in axes))
    assert float(mean_stretch(torch.diag(1 / torch.tensor(axes)))) == pytest.approx(exact, rel=1e-12)


def test_line_and_many_dimensions():
    assert float(mean_stretch(torch.tensor([[4.0]]))) == 0.25
    for dim in (2, 8, 9, 50, 300):
        assert float(mean_stretch(0.5 * torch.eye(dim))) == pytest.approx(2.0, rel=1e-12)


def test_expected_error_turns_with_the_frame_and_scales_with_the_unit():
    generator = torch.Generator().manual_seed(0)
    root = spd((40,), 3, generator)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    found = expected_error(root, Huber(1.0))
    torch.testing.assert_close(expected_error(turn @ root @ turn.T, Huber(1.0)), found, rtol=1e-11, atol=0)
    torch.testing.assert_close(expected_error(root / 7, Huber(1.0)), 7 * found, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.stack([expected_error(r, Huber(1.0)) for r in root]), found, rtol=1e-13, atol=0)


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("dim", [1, 3])
def test_expected_error_equals_the_mean_of_draws(penalty, dim):
    generator = torch.Generator().manual_seed(dim)
    root = spd((), dim, generator)
    error = torch.linalg.solve(root, standard((40_000,), dim, penalty, generator).T).norm(dim=0)
    found, sampling = float(expected_error(root, penalty)), float(error.std()) / math.sqrt(4e4)
    assert abs(float(error.mean()) - found) < 4 * sampling + 1e-3 * found  # the table of quantiles ends at .9995


def test_closed_forms_of_the_mean_radius():
    assert mean_radius(Squared(), 2) == pytest.approx(math.sqrt(math.pi / 2), rel=1e-14)
    assert mean_radius(Squared(), 1) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-14)
    for dim in (1, 2, 3, 7):
        assert mean_radius(Absolute(), dim) == pytest.approx(dim, rel=1e-13)


def test_almost_singular_roots_have_an_answer():
    for small in (1e-3, 1e-10, 1e-16, 1e-300):
        found = expected_error(torch.diag(torch.tensor([1.0, small])), Squared())
        assert bool(found.isfinite())
        assert float(found) > 0.5
    assert expected_error(torch.eye(2, dtype=torch.float32), Squared()).dtype == torch.float32
    assert expected_error(torch.zeros(0, 3, 2, 2), Squared()).shape == (0, 3)


ZERO, ONE = torch.zeros(1, 1, 2), torch.eye(2).expand(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((ZERO, ONE, ZERO[0]), ValueError, r"mean and target of one shape, got \(1, 1, 2\) and \(1, 2\)"),
        ((ZERO[0], ONE, ZERO[0]), ValueError, r"mean of shape \(N, K, D\), got \(1, 2\)"),
        ((ZERO, ONE[0], ZERO), ValueError, r"root of shape \(1, 1, 2, 2\), got \(1, 2, 2\)"),
        ((ZERO, torch.zeros(1, 1, 2), ZERO), ValueError, r"root of shape \(..., D, D\), got \(1, 1, 2\)"),
        ((ZERO, ONE, ZERO + math.inf), ValueError, "finite target"),
        ((ZERO + NAN, ONE, ZERO), ValueError, r"finite mean, got 2 values that are not, first at \(0, 0, 0\)"),
        ((ZERO, ONE * NAN, ZERO), ValueError, "finite root, got 4 values"),
        ((ZERO, -ONE, ZERO), ValueError, r"root to be positive definite, got 1 matrices that are not.* \(0, 0\)"),
        ((ZERO, ONE.triu() + torch.ones(2, 2).triu(), ZERO), ValueError, "root to be symmetric, got 1 .*Cholesky"),
        ((ZERO.long(), ONE, ZERO), TypeError, "mean of a floating dtype, got torch.int64"),
        ((ZERO, ONE, [1.0]), TypeError, "target to be a tensor, got list"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=f"^mahalanobis: expected {text}"):
        mahalanobis(*(a.double() if torch.is_tensor(a) and a.is_floating_point() else a for a in arguments))


def test_an_improper_penalty_is_refused():
    with pytest.raises(ValueError, match="^Tukey: expected a penalty whose"):
        expected_error(torch.eye(2), Tukey())
