"""Reliability, coverage and PIT: by hand, against SciPy, on data whose miscalibration is known."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch
from predictions import NAN, PROPER, drawn, radial
from scipy import stats

from steadfit.metrics import calibration, coverage, expected_error, mahalanobis, pit, reliability
from steadfit.penalties import Absolute, Charbonnier, Huber, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")


def same(first, second, **tolerance):
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), equal_nan=True, **tolerance)


# Reliability


def test_bins_equal_a_loop():
    mean, root, target = drawn(50, 4, 2, Huber(1.0))
    target[3, 2, 0] = NAN
    weight = torch.rand(50, 4)
    weight[7] = 0.0
    found = reliability(mean, root, target, Huber(1.0), bin_size=40, weight=weight)
    kept = [(n, k) for n in range(50) for k in range(4) if weight[n, k] > 0 and not math.isnan(target[n, k, 0])]
    expected = expected_error(root, Huber(1.0))
    kept.sort(key=lambda i: float(expected[i]))
    assert found.labels.tolist() == [39] * 5  # 195 labels in round(195/40) bins
    for b, rows in enumerate(np.array_split(np.array(kept), 5)):
        w = np.array([float(weight[n, k]) for n, k in rows])
        error = np.array([math.dist(target[n, k], mean[n, k]) for n, k in rows])
        real = float((w * error).sum() / w.sum())
        assert float(found.empirical[b]) == pytest.approx(real, rel=1e-12)
        means = sum(float(expected[n, k]) * v for (n, k), v in zip(rows, w, strict=True)) / w.sum()
        assert float(found.expected[b]) == pytest.approx(means, rel=1e-12)
        spread = (w * (error - real) ** 2).sum() / w.sum() / (w.sum() ** 2 / (w**2).sum() - 1)
        assert float(found.standard_error[b]) == pytest.approx(math.sqrt(spread), rel=1e-12)


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_known_factor_shows_in_every_bin(penalty, factor):
    mean, root, target = drawn(600, 10, 2, penalty, factor=factor)
    found = reliability(mean, root, target, penalty)
    assert found.labels.tolist() == [750] * 8  # 734 a bin are nearest to 8
    assert bool((found.expected.diff() > 0).all())
    gap = (found.empirical - factor * found.expected) / found.standard_error
    assert float(gap.abs().max()) < 4
    assert found.calibration_error == pytest.approx(factor - 1, abs=0.05)


def test_standard_error_without_weights_is_the_usual_one():
    radius = torch.tensor([[1.0], [2.0], [4.0]])
    found = reliability(*radial(radius), Squared())
    assert float(found.standard_error[0]) == pytest.approx(float(radius.std()) / math.sqrt(3), rel=1e-12)
    assert reliability(*radial(radius[:1]), Squared()).standard_error.isnan().tolist() == [True]


# Coverage


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_calibrated_predictions_cover_what_they_say(penalty, dim):
    found = coverage(*drawn(800, 5, dim, penalty), penalty)
    for level, share, low, high in zip(found.levels, found.share, found.low, found.high, strict=True):
        assert low <= share <= high
        assert abs(float(share - level)) < 4 * math.sqrt(float(level * (1 - level)) / 4000) + 1e-3  # the table's step
    assert found.point_share.shape == (3, 5)
    torch.testing.assert_close(found.point_share.mean(1), found.share)


def test_overconfident_gaussians_cover_by_their_closed_form():
    found = coverage(*drawn(4000, 1, 2, Squared(), factor=2.0), Squared(), levels=[0.5, 0.9])
    for level, share in zip((0.5, 0.9), found.share.tolist(), strict=True):
        exact = 1 - (1 - level) ** 0.25  # the 2-D Gaussian's mass is 1 - exp(-r²/2)
        assert share == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 4000))


def test_intervals_are_wilsons():
    radius = torch.tensor([0.1] * 13 + [9.0] * 7).reshape(-1, 1)
    found = coverage(*radial(radius), Squared(), levels=[0.5])
    twin = stats.binomtest(13, 20).proportion_ci(method="wilson")
    for low, high in ((found.low, found.high), (found.point_low[0], found.point_high[0])):
        assert float(low[0]) == pytest.approx(twin.low, rel=1e-9)
        assert float(high[0]) == pytest.approx(twin.high, rel=1e-9)
    everything = coverage(*radial(radius[:13]), Squared(), levels=[0.5])
    assert float(everything.high[0]) == pytest.approx(1.0, rel=1e-14)
    assert float(everything.low[0]) == pytest.approx(stats.binomtest(13, 13).proportion_ci(method="wilson").low)


def test_points_of_one_row_are_no_independent_labels():
    radius = torch.tensor([0.1] * 30 + [9.0] * 20).reshape(-1, 1)
    alone = coverage(*radial(radius), Squared(), levels=[0.5])
    same_rows = coverage(*radial(radius.expand(50, 8)), Squared(), levels=[0.5])  # every point as the first
    torch.testing.assert_close(same_rows.low, alone.low)
    torch.testing.assert_close(same_rows.high, alone.high)
    shuffled = torch.stack([radius[torch.randperm(50), 0] for _ in range(8)], 1)
    wide, narrow = (float(c.high - c.low) for c in (alone, coverage(*radial(shuffled), Squared(), levels=[0.5])))
    assert narrow == pytest.approx(wide / math.sqrt(8), rel=0.2)


def test_weights_count_labels_and_intervals_hold_their_promise():
    mean, root, target = drawn(40, 3, 2, Squared())
    weight = (torch.rand(40, 3) < 0.6).double()
    dropped = target.masked_fill(weight.unsqueeze(-1) == 0, NAN)
    same(coverage(mean, root, target, Squared(), weight=weight), coverage(mean, root, dropped, Squared()))
    half = coverage(mean, root, target, Squared(), weight=torch.full((40, 3), 0.5))
    same(half, coverage(mean, root, target, Squared()))  # only ratios matter
    found = coverage(*drawn(60, 400, 1, Squared()), Squared(), levels=[0.9])  # 400 points, each on its own
    held = (found.point_low <= 0.9) & (found.point_high >= 0.9)
    assert float(held.double().mean()) == pytest.approx(0.95, abs=0.035)


# PIT


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
def test_pit_is_uniform_and_its_distance_is_scipys(penalty):
    mean, root, target = drawn(1000, 3, 2, penalty)
    target[5, 1, 0] = NAN
    found = pit(mean, root, target, penalty)
    u = penalty.mass(mahalanobis(mean, root, target).nan_to_num(nan=0.0), 2).numpy()
    for k in range(3):
        mine = np.delete(u[:, k], 5) if k == 1 else u[:, k]
        assert float(found.point_ks[k]) == pytest.approx(stats.kstest(mine, "uniform").statistic, rel=1e-9)
        twin = np.histogram(mine, bins=20, range=(0, 1), density=True)[0]
        np.testing.assert_allclose(found.point_density[k], twin, atol=1e-12)
    assert found.ks < 1.63 / math.sqrt(2999)  # one in a hundred
    assert float(found.density.mean()) == pytest.approx(1, rel=1e-12)


def test_pit_shows_over_and_underconfidence_by_closed_forms():
    tight = pit(*drawn(3000, 1, 2, Squared(), factor=2.0), Squared(), bins=10)
    assert float(tight.density[-1]) == pytest.approx(10 * 0.1**0.25, rel=0.05)  # u is 1 - v⁴, v uniform
    timid = pit(*drawn(3000, 1, 2, Squared(), factor=0.5), Squared(), bins=10)
    assert float(timid.density[0]) == pytest.approx(10 * (1 - 0.9**4), rel=0.05)  # u is 1 - v^(1/4)
    assert tight.ks == pytest.approx(0.4725, abs=0.03)  # max of v^(1/4) - v is 3/4^(4/3)


def test_pit_with_weights_equals_copies():
    radius = torch.tensor([[0.2], [0.9], [1.4], [3.0]])
    weight = torch.tensor([[1.0], [0.5], [0.25], [0.0]])
    copies = radius[[0, 0, 0, 0, 1, 1, 2]]
    same(pit(*radial(radius), Absolute(), weight=weight), pit(*radial(copies), Absolute()))


def test_charbonniers_mass_goes_in_blocks():
    radius = torch.rand(10_000, 1) * 3
    density = pit(*radial(radius), Charbonnier(), bins=4).density
    assert float(density.sum()) == pytest.approx(4, rel=1e-12)


# All three


def calls(mean, root, target, penalty, weight=None):
    yield reliability(mean, root, target, penalty, weight=weight)
    yield coverage(mean, root, target, penalty, weight=weight)
    yield pit(mean, root, target, penalty, weight=weight)


def test_missing_labels_change_nothing_else():
    mean, root, target = drawn(30, 3, 2, Huber(1.0))
    gone = target.clone()
    gone[::2, 1, 0] = NAN
    weight = torch.ones(30, 3)
    weight[::2, 1] = 0.0
    for missing, weightless in zip(
        calls(mean, root, gone, Huber(1.0)), calls(mean, root, target, Huber(1.0), weight), strict=True
    ):
        same(missing, weightless)


@pytest.mark.parametrize("rows", [0, 3])
def test_without_a_label_there_are_nans_and_no_bins(rows):
    mean, root, target = radial(torch.full((rows, 2), NAN), 2)
    bins, shares, ranks = calls(mean, root, target, Squared())
    assert len(bins.labels) == 0
    assert math.isnan(bins.calibration_error)
    assert bool(shares.share.isnan().all())
    assert shares.low.tolist() == shares.point_low[:, 0].tolist() == [0, 0, 0]
    assert shares.high.tolist() == [1, 1, 1]
    assert math.isnan(ranks.ks)
    assert bool(ranks.point_density.isnan().all())


def test_an_unannotated_point_is_nan_alone():
    mean, root, target = drawn(20, 2, 2, Squared())
    target[:, 1] = NAN
    shares = coverage(mean, root, target, Squared())
    assert shares.point_share.isnan().any(0).tolist() == [False, True]
    assert pit(mean, root, target, Squared()).point_ks.isnan().tolist() == [False, True]


def test_calibration_is_its_three_parts_with_ten_bins_at_least():
    given = drawn(50, 4, 2, Huber(1.0))
    found = calibration(*given, Huber(1.0))
    assert len(found.reliability.labels) == 10
    same(found.reliability, reliability(*given, Huber(1.0), bin_size=20))
    same(found.pit, pit(*given, Huber(1.0)))
    same(found.coverage, coverage(*given, Huber(1.0), levels=found.coverage.levels.tolist()))
    with pytest.raises(FrozenInstanceError):
        found.pit = None


def test_results_are_float64_whatever_the_inputs():
    given = drawn(50, 2, 2, Squared())
    narrow = [x.float() for x in given]
    for wide, found in zip(calls(*given, Squared()), calls(*narrow, Squared()), strict=True):
        for field in fields(found):
            value = getattr(found, field.name)
            assert not isinstance(value, torch.Tensor) or value.dtype in (torch.float64, torch.int64)
        assert type(wide) is type(found)


GIVEN = radial(torch.ones(2, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: reliability(*GIVEN, Squared(), bin_size=0), ValueError, "reliability: expected bin_size .* got 0"),
        (lambda: coverage(*GIVEN, Squared(), levels=[]), ValueError, "coverage: expected at least one level, got none"),
        (lambda: coverage(*GIVEN, Squared(), levels=[90]), ValueError, "levels between 0 and 1, got 90. Give .9"),
        (lambda: coverage(*GIVEN, Squared(), levels=["a"]), TypeError, "coverage: expected a level to be a number"),
        (lambda: pit(*GIVEN, Squared(), bins=True), ValueError, "pit: expected bins to be an integer >= 1, got True"),
        (lambda: pit(*GIVEN, Tukey()), ValueError, "Tukey: expected a penalty whose exp"),
        (
            lambda: pit(*GIVEN, Squared(), weight=torch.tensor([[0.5], [2.0]])),
            ValueError, r"pit: expected weights in \[0, 1\], got 1 others, the first 2.0 at \(1, 0\)",
        ),
        (lambda: pit(*GIVEN, Squared(), weight=torch.ones(2)), ValueError, "expected weight and labels of one shape"),
        (lambda: pit(*GIVEN, Squared(), weight=torch.ones(2, 1) * NAN), ValueError, "got 2 others, the first nan"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
