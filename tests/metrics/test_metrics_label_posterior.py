"""Posterior probabilities of being right: against the true ones, on clean labels, and where nothing can be told."""

from __future__ import annotations

import math

import pytest
import torch
from predictions import NAN, PROPER, drawn, radial

from steadfit.errors import ConvergenceWarning
from steadfit.metrics import ConformalRadius, fit_temperature, mahalanobis, right_labels
from steadfit.penalties import Huber, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")


def contaminated(penalty, share, factor=1.0, n=600, k=3, seed=0):
    mean, root, target = drawn(n, k, 2, penalty, factor=factor, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    wrong = torch.rand(n, k, generator=generator) < share
    far = mean + 200 * (torch.rand(n, k, 2, generator=generator) - 0.5)
    return mean, root, torch.where(wrong.unsqueeze(-1), far, target), wrong


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize(("share", "factor"), [(0.1, 1.0), (0.4, 2.0), (0.6, 0.5)])
def test_share_and_temperature_are_found(penalty, share, factor):
    mean, root, target, wrong = contaminated(penalty, share, factor)
    found = right_labels(mean, root, target, penalty)
    assert found.converged
    assert found.share == pytest.approx(1 - float(wrong.double().mean()), abs=0.02)
    assert found.share == pytest.approx(float(found.probability.mean()), abs=1e-5)  # EM's own fixed point
    assert math.log(found.tau / factor) == pytest.approx(0, abs=0.1)
    weighted = fit_temperature(mean, root, target, penalty, weight=found.probability)
    assert weighted.tau == pytest.approx(found.tau, rel=1e-4)
    assert float(((found.probability < 0.5) == wrong).double().mean()) > 0.98


def test_probabilities_are_the_true_posterior():
    mean, root, target, wrong = contaminated(Huber(1.0), 0.3, n=3000, k=2)
    found = right_labels(mean, root, target, Huber(1.0))
    r, log_det = mahalanobis(mean, root, target), torch.linalg.slogdet(root).logabsdet
    right = 0.7 * torch.exp(log_det - Huber(1.0).rho(r) - Huber(1.0).log_normalizer(2))
    exact = right / (right + 0.3 / 200**2)
    assert float((found.probability - exact).abs().mean()) < 2e-3
    for low, high in ((0.05, 0.5), (0.5, 0.95)):  # of labels with these probabilities, so many are right
        some = (found.probability > low) & (found.probability < high)
        assert float((~wrong[some]).double().mean()) == pytest.approx(float(found.probability[some].mean()), abs=0.15)


def test_with_them_conformal_radii_cover_right_labels():
    covered, plain = [], []
    for seed in range(20):
        mean, root, target, _ = contaminated(Huber(1.0), 0.3, factor=1.5, n=200, k=2, seed=10 * seed)
        weight = right_labels(mean, root, target, Huber(1.0)).probability
        for weights, into in ((weight, covered), (None, plain)):
            radius = ConformalRadius(("a", "b"), mahalanobis(mean, root, target), weights).radius(0.9)
            into.append(Huber(1.0).mass(radius / 1.5, 2).mean())
    assert float(torch.stack(covered).mean()) == pytest.approx(0.9, abs=0.02)
    assert float(torch.stack(plain).mean()) > 0.99


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
def test_clean_labels_are_all_right(penalty):
    for seed in range(5):
        mean, root, target = drawn(100, 3, 2, penalty, factor=1.7, seed=seed)
        found = right_labels(mean, root, target, penalty)
        assert bool((found.probability == 1).all())
        assert found.share == 1
        assert found.tau == fit_temperature(mean, root, target, penalty).tau


def test_missing_labels_and_dtype():
    mean, root, target, _ = contaminated(Squared(), 0.2)
    gone = torch.cat([target, torch.full_like(target[:5], NAN)])
    gone[600, 0, 0] = 3.0  # half missing
    found = right_labels(torch.cat([mean, mean[:5]]), torch.cat([root, root[:5]]), gone, Squared())
    assert bool(found.probability[600:].isnan().all())
    torch.testing.assert_close(found.probability[:600], right_labels(mean, root, target, Squared()).probability)
    assert right_labels(mean.float(), root.float(), target.float(), Squared()).probability.dtype == torch.float32


@pytest.mark.parametrize("radius", [torch.zeros(4, 2), torch.full((4, 2), NAN), torch.zeros(0, 2), torch.ones(1, 1)])
def test_where_nothing_can_be_told_all_are_right(radius):
    found = right_labels(*radial(radius.double(), 2), Squared())
    assert (found.share, found.converged) == (1.0, True)
    torch.testing.assert_close(found.probability, torch.where(radius.isnan(), NAN, 1.0), equal_nan=True)


def test_labels_that_equal_their_predictions_are_no_collapse():
    radius = torch.cat([torch.zeros(70, 1), torch.rand(30, 1) + 0.5])
    found = right_labels(*radial(radius, 2), Squared())
    assert found.tau > 1e-3
    assert bool(found.probability.isfinite().all())


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
def test_labels_at_the_ends_of_the_numbers(penalty):
    for factor in (1e-150, 1.0, 1e150):
        radius = factor * torch.tensor([[1.0], [0.5], [1.5], [1.2], [0.7]])
        found = right_labels(*radial(radius, 2), penalty)
        assert (found.share, found.probability.min()) == (1, 1)
        assert found.tau / factor == pytest.approx(right_labels(*radial(radius / factor, 2), penalty).tau, rel=1e-9)
    mean, root, target = drawn(100, 1, 2, penalty)
    target[0] = 1e200
    found = right_labels(mean, root, target, penalty)
    assert float(found.probability[0]) == 0
    assert float(found.probability[1:].min()) > 0.8  # the farthest right one, at the edge of the box of the others
    assert found.tau == pytest.approx(1, rel=0.3)


def test_wrong_arguments_and_slow_convergence_are_named():
    mean, root, target, _ = contaminated(Squared(), 0.3, n=50)
    with pytest.warns(ConvergenceWarning, match="right_labels: not converged after 2 iterations. Raise max_iter"):
        assert not right_labels(mean, root, target, Squared(), max_iter=2).converged
    with pytest.raises(ValueError, match="right_labels: expected tol > 0"):
        right_labels(mean, root, target, Squared(), tol=0.0)
    with pytest.raises(ValueError, match="right_labels: expected max_iter to be an integer >= 1, got 0"):
        right_labels(mean, root, target, Squared(), max_iter=0)
    with pytest.raises(ValueError, match="Tukey: expected a penalty whose"):
        right_labels(mean, root, target, Tukey())
