"""Temperature: closed forms, SciPy's minimiser, known factors, weights, points that can't be fitted."""

from __future__ import annotations

import json
import math

import pytest
import torch
from predictions import NAN, PROPER, drawn, radial
from scipy import optimize

from steadfit.metrics import Temperature, fit_temperature, mahalanobis, negative_log_likelihood
from steadfit.penalties import Absolute, Huber, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")


def test_closed_forms_of_gauss_and_laplace():
    mean, root, target = drawn(60, 3, 2, Squared(), factor=3.0)
    weight = torch.rand(60, 3)
    r = mahalanobis(mean, root, target)
    gauss = fit_temperature(mean, root, target, Squared(), weight=weight)
    assert gauss.tau == pytest.approx(float(((weight * r**2).sum() / weight.sum() / 2).sqrt()), rel=1e-13)
    laplace = fit_temperature(mean, root, target, Absolute(), weight=weight)
    assert laplace.tau == pytest.approx(float((weight * r).sum() / weight.sum() / 2), rel=1e-13)
    own = ((weight * r**2).sum(0) / weight.sum(0) / 2).sqrt()
    torch.testing.assert_close(torch.tensor(gauss.point_tau), own, rtol=1e-13, atol=0)


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
def test_equals_a_minimiser_and_reports_the_likelihoods(penalty):
    mean, root, target = drawn(50, 2, 2, penalty, factor=0.4)
    target[3, 0, 1] = NAN

    def nll(log_tau):
        return float(negative_log_likelihood(mean, root / math.exp(log_tau), target, penalty).nanmean())

    twin = optimize.minimize_scalar(nll, bracket=(-2, 1), tol=1e-12)
    found = fit_temperature(mean, root, target, penalty)
    assert found.tau == pytest.approx(math.exp(twin.x), rel=1e-6)  # half of the digits, at a minimum
    assert found.nll_before == pytest.approx(nll(0.0), rel=1e-12)
    assert found.nll_after == pytest.approx(nll(math.log(found.tau)), rel=1e-12)
    per_point = negative_log_likelihood(mean, found.apply(root, per_point=True), target, penalty)
    assert found.nll_point == pytest.approx(float(per_point.nanmean()), rel=1e-12)
    assert found.nll_point <= found.nll_after <= found.nll_before
    again = fit_temperature(mean, found.apply(root), target, penalty)
    assert again.tau == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_known_factor_is_found(penalty, factor):
    found = fit_temperature(*drawn(1500, 2, 2, penalty, factor=factor), penalty)
    assert math.log(found.tau / factor) == pytest.approx(0, abs=4 / math.sqrt(3000))  # 1/sqrt(4 n) for Gauss
    for tau in found.point_tau:
        assert math.log(tau / factor) == pytest.approx(0, abs=4 / math.sqrt(1500))


def test_weight_zero_is_no_label_and_wrong_labels_do_no_harm_with_weights():
    mean, root, target = drawn(300, 2, 2, Huber(1.0), factor=1.5)
    clean = fit_temperature(mean[:200], root[:200], target[:200], Huber(1.0))
    target[200:] += 1e6
    weight = torch.ones(300, 2)
    weight[200:] = 0.0
    assert fit_temperature(mean, root, target, Huber(1.0), weight=weight).tau == pytest.approx(clean.tau, rel=1e-12)
    assert fit_temperature(mean, root, target, Huber(1.0)).tau > 1000
    target[200:] = NAN
    assert fit_temperature(mean, root, target, Huber(1.0)).tau == pytest.approx(clean.tau, rel=1e-12)


def test_points_without_enough_labels_keep_the_common_factor():
    radius = torch.ones(40, 4)
    radius[:, 0] *= 2.0
    radius[30:, 1] = NAN  # 30 are left
    radius[5:, 2] = NAN
    radius[:, 3] = 0.0
    found = fit_temperature(*radial(radius), Absolute())
    assert found.fitted == (True, True, False, False)
    common = (40 * 2 + 30 + 5) / (40 + 30 + 5 + 40)
    assert found.point_tau == pytest.approx((2.0, 1.0, common, common), rel=1e-13)
    assert fit_temperature(*radial(radius), Absolute(), min_labels=5).fitted == (True, True, True, False)


@pytest.mark.parametrize("radius", [torch.zeros(3, 2), torch.full((3, 2), NAN), torch.zeros(0, 2)])
def test_without_information_nothing_is_changed(radius):
    found = fit_temperature(*radial(radius.double()), Squared(), min_labels=0)
    assert (found.tau, found.point_tau, found.fitted) == (1.0, (1.0, 1.0), (False, False))
    assert math.isnan(found.nll_before) == (not (radius == 0).any())


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_any_unit(penalty, scale):
    radius = torch.tensor([[0.5], [1.0], [4.0], [0.0]])
    one = fit_temperature(*radial(radius), penalty)
    assert fit_temperature(*radial(scale * radius), penalty).tau / scale == pytest.approx(one.tau, rel=1e-12)


def test_one_label_that_counts_almost_nothing():
    radius, weight = torch.tensor([[1e8], [0.0]]), torch.tensor([[1e-12], [1.0]])
    found = fit_temperature(*radial(radius), Squared(), weight=weight)
    assert found.tau == pytest.approx(100.0, rel=1e-9)


def test_apply_and_json():
    mean, root, target = drawn(40, 3, 2, Squared())
    found = fit_temperature(mean, root, target, Squared())
    torch.testing.assert_close(found.apply(root), root / found.tau, rtol=0, atol=0)
    scaled = found.apply(root.float(), per_point=True)
    assert scaled.dtype == torch.float32
    torch.testing.assert_close(scaled[:, 2], root[:, 2].float() / found.point_tau[2])
    assert Temperature.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ValueError, match=r"Temperature: expected root of shape \(N, 3, D, D\), got \(40, 2, 2, 2\)"):
        found.apply(root[:, :2], per_point=True)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="fit_temperature: expected 0 <= min_labels <= inf, got -1"):
        fit_temperature(*radial(torch.ones(2, 1)), Squared(), min_labels=-1)
    with pytest.raises(ValueError, match="Tukey: expected a penalty whose"):
        fit_temperature(*radial(torch.ones(2, 1)), Tukey())
