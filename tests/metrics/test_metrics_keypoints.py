"""PCK, its curve and its area against slow twins; halves merge to the whole; what is missing stays out."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from steadfit.metrics import (
    Measure,
    double_counts,
    failure,
    head_length,
    normalised_error,
    pck,
    pck_area,
    pck_curve,
    swaps,
    torso_length,
)

NAN = float("nan")
PAIRS = [(0, 1), (2, 4)]  # point 3 has no partner


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def data(n=31, k=5, seed=0):
    """Points of spread 1 predicted to about .3, some of them at their partner's place; missing points and lengths."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(n, k, 2, generator=generator)
    source = torch.where(torch.rand(n, k, 1, generator=generator) < 0.3, target[:, [1, 0, 4, 3, 2]], target)
    prediction = source + 0.3 * torch.randn(n, k, 2, generator=generator)
    length = 1 + torch.rand(n, generator=generator)
    target[torch.rand(n, k, generator=generator) < 0.2] = NAN
    target[0, 0, 0], target[0, 0, 1] = NAN, 1.0  # half missing
    target[1] = NAN
    target[2, 3], prediction[2, 3] = 0.5, NAN  # annotated, not predicted
    length[3] = NAN
    return prediction, target, length


def judged(prediction, target, length):
    """Slow twin: (image, point, error in parts of the length) of what is judged."""
    for n, (f, y, size) in enumerate(zip(prediction.tolist(), target.tolist(), length.tolist(), strict=True)):
        for k in range(len(y)):
            if not any(math.isnan(v) for v in (*y[k], size)):
                error = math.dist(f[k], y[k]) / size
                yield n, k, math.inf if math.isnan(error) else error


def share(values):
    values = list(values)
    return sum(values) / len(values) if values else NAN


def test_normalised_error_equals_a_loop():
    prediction, target, length = data()
    error = normalised_error(prediction, target, length)
    expected = torch.full_like(error, NAN)
    for n, k, e in judged(prediction, target, length):
        expected[n, k] = e
    torch.testing.assert_close(error, expected, rtol=1e-12, atol=0, equal_nan=True)
    assert error[2, 3] == math.inf
    assert error[[1, 3]].isnan().all()


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5])
def test_pck_equals_a_loop_overall_and_per_point(alpha):
    prediction, target, length = data()
    errors = list(judged(prediction, target, length))
    formula = partial(pck, alpha=alpha)
    overall, each = Measure(formula), Measure(formula, columns=5)
    assert float(overall(prediction, target, length)) == pytest.approx(share(e <= alpha for *_, e in errors), abs=1e-12)
    for k, value in enumerate(each(prediction, target, length).tolist()):
        assert value == pytest.approx(share(e <= alpha for _, point, e in errors if point == k), abs=1e-12)


def test_pck_is_what_is_no_failure():
    prediction, target, length = data()
    right, failed = pck(prediction, target, length, alpha=0.3), failure(prediction, target, length, threshold=0.3)
    assert right.isnan().any()
    torch.testing.assert_close(failed, 1 - right, rtol=0, atol=0, equal_nan=True)
    known = ~length.isnan()
    rate = failure(prediction[known], target[known], length[known], threshold=0.3).nanmean()
    assert float(right.nanmean()) == pytest.approx(1 - float(rate), abs=1e-12)


def test_curve_equals_pck_at_every_threshold():
    prediction, target, length = data()
    error, alphas = normalised_error(prediction, target, length), [0.0, 0.1, 0.25, 0.8]
    together, each = pck_curve(error, alphas), pck_curve(error, torch.tensor(alphas), per_point=True)
    assert together.shape == (4,)
    assert each.shape == (4, 5)
    assert (together.diff() >= 0).all()
    for i, alpha in enumerate(alphas[1:], 1):
        right = pck(prediction, target, length, alpha=alpha)
        assert float(together[i]) == pytest.approx(float(right.nanmean()), abs=1e-12)
        torch.testing.assert_close(each[i], right.nanmean(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_area_equals_the_integral_of_the_steps(alpha):
    """Twin: the curve is constant between neighbouring errors; its rectangles are summed."""
    prediction, target, length = data()
    errors = sorted(e for *_, e in judged(prediction, target, length))
    edges = np.array([0.0, *[e for e in errors if e < alpha], alpha])
    heights = [np.searchsorted(errors, left, side="right") / len(errors) for left in edges[:-1]]
    expected = float(np.sum(np.diff(edges) * heights)) / alpha
    assert float(pck_area(prediction, target, length, alpha=alpha).nanmean()) == pytest.approx(expected, rel=1e-12)


def test_area_against_sampled_curves_and_per_point():
    prediction, target, length = data()
    error = normalised_error(prediction, target, length)
    alphas = torch.linspace(0, 0.5, 51)
    sampled = float(torch.trapezoid(pck_curve(error, alphas), alphas)) / 0.5
    exact = float(pck_area(prediction, target, length, alpha=0.5).nanmean())
    assert abs(sampled - exact) <= 0.01 / 2 / 0.5  # half a step over alpha, as promised
    each = pck_area(prediction, target, length, alpha=0.5).nanmean(0)
    counts = (~error.isnan()).sum(0)
    assert float((each * counts).sum() / counts.sum()) == pytest.approx(exact, rel=1e-12)


def test_lengths_in_closed_form():
    target = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [NAN, 1.0]]]).repeat(2, 1, 1)
    assert torso_length(target, 1, 0).tolist() == [5.0, 5.0]
    assert head_length(target, 0, 1, factor=0.6).tolist() == [3.0, 3.0]
    assert torso_length(target, 0, 2).isnan().all()
    assert torso_length(target.float(), 0, 1).dtype == torch.float32
    right = pck(target.nan_to_num(0) + 1.5, target, head_length(target, 0, 1), alpha=0.5)  # 2.12 of 5 px
    assert float(right.nanmean()) == 1.0


def test_a_ratio_that_is_alpha_is_right_in_both_precisions():
    """29 px of 100 at alpha = .29, where .29 * 100 rounds to less than 29."""
    for dtype in (torch.float32, torch.float64):
        prediction, target = torch.zeros(1, 1, 2, dtype=dtype), torch.tensor([[[29.0, 0.0]]], dtype=dtype)
        assert float(pck(prediction, target, 100.0, alpha=0.29)) == 1.0
        assert float(pck(prediction, target, torch.tensor([100.0], dtype=dtype), alpha=0.29)) == 1.0
        assert pck_curve(normalised_error(prediction, target, 100.0), [0.28, 0.29]).tolist() == [0.0, 1.0]


def test_a_number_as_length_keeps_the_errors_precision():
    torch.set_default_dtype(torch.float32)
    zero = torch.zeros(1, 1, 2, dtype=torch.float64)
    error = normalised_error(zero, zero + 0.1, 0.1)
    assert error.dtype == torch.float64
    assert float(error) == pytest.approx(math.sqrt(2), rel=1e-12)


def test_extreme_errors_are_finite_or_wrong_but_never_nan():
    for big in (1e30, 1e300):
        prediction, target = torch.tensor([[[big, -big]]]), torch.zeros(1, 1, 2)
        assert float(pck(prediction, target, 1e-30)) == 0.0
        assert float(pck_area(prediction, target, 1e-30)) == 0.0
    infinite = torch.tensor([[[math.inf, -math.inf]]])
    assert float(pck_area(infinite, torch.zeros(1, 1, 2), 1.0)) == 0.0


def swaps_by_loop(prediction, target, length, alpha):
    partner = {a: b for left, right in PAIRS for a, b in ((left, right), (right, left))}
    errors = {(n, k): e for n, k, e in judged(prediction, target, length)}
    found = {}
    for n, k in errors:
        if k in partner and (n, partner[k]) in errors:
            away = math.dist(prediction[n, k].tolist(), target[n, partner[k]].tolist()) / float(length[n])
            found[n, k] = errors[n, k] > alpha and away <= alpha
    return found


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_swaps_equal_a_loop(alpha):
    prediction, target, length = data(200)
    found = swaps_by_loop(prediction, target, length, alpha)
    formula = partial(swaps, pairs=PAIRS, alpha=alpha)
    flags = formula(prediction, target, length)
    assert sum(found.values()) > 5  # the data hold some
    for n in range(len(target)):
        for k in range(5):
            assert float(flags[n, k]) == pytest.approx(float(found.get((n, k), NAN)), abs=0, nan_ok=True)
    overall, each = Measure(formula), Measure(formula, columns=5)
    assert float(overall(prediction, target, length)) == pytest.approx(share(found.values()), abs=1e-12)
    rates = each(prediction, target, length)
    assert rates[3].isnan()  # no partner
    for k in (0, 1, 2, 4):
        mine = [value for (_, point), value in found.items() if point == k]
        assert float(rates[k]) == pytest.approx(share(mine), abs=1e-12)


def test_exchanged_pairs_are_swaps_and_other_misses_are_not():
    target = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]])
    assert swaps(target.flip(1), target, 10.0, [(0, 1)]).tolist() == [[1.0, 1.0]]
    assert swaps(target + 100, target, 10.0, [(0, 1)]).tolist() == [[0.0, 0.0]]
    assert swaps(target, target, 10.0, [(0, 1)]).tolist() == [[0.0, 0.0]]
    assert swaps(target.flip(1), target, 10.0, []).isnan().all()  # without partners nothing is judged
    one = torch.tensor([[[10.0, 0.0], [10.0, 0.0]]])  # both at the right one's place: one swap, one hit
    assert swaps(one, target, 10.0, [(1, 0)]).tolist() == [[1.0, 0.0]]
    near = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])  # exchanging these changes nothing that PCK sees
    assert swaps(near.flip(1), near, 10.0, [(0, 1)]).tolist() == [[0.0, 0.0]]


def test_a_swap_is_nearer_to_the_partner():
    prediction, target, length = data(200, seed=3)
    flags = swaps(prediction, target, length, PAIRS, alpha=0.4) == 1
    own, other = (prediction - target).norm(dim=-1), (prediction - target[:, [1, 0, 4, 3, 2]]).norm(dim=-1)
    assert flags.any()
    assert (other[flags] < own[flags]).all()


def test_double_counts_equal_a_loop():
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 4, (40, 6), generator=generator)
    right, known = torch.rand(2, 40, 6, generator=generator) < 0.6
    metric = Measure(double_counts, columns=2)
    for rows in torch.arange(40).split(7):
        metric.update(counts[rows], right[rows], known[rows])
    cells = list(zip(counts.flatten().tolist(), right.flatten().tolist(), known.flatten().tolist(), strict=True))
    double, double_right = metric.compute().tolist()
    assert double == pytest.approx(share(c > 1 for c, _, k in cells if k), abs=1e-12)
    assert double_right == pytest.approx(share(r for c, r, k in cells if k and c > 1), abs=1e-12)
    assert double_counts(counts, right, known).nanmean((0, 1)).tolist() == pytest.approx([double, double_right])


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_double_counts_without_any():
    metric = Measure(double_counts, columns=2)
    assert metric.compute().isnan().all()
    metric.update(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool))
    double, double_right = metric.compute()
    assert float(double) == 0.0
    assert double_right.isnan()
    metric.update(torch.full((1, 3), 2), torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3, dtype=torch.bool))
    assert float(metric.compute()[0]) == 0.0  # unknown points are left out


CASES = [
    (pck, {}),
    (partial(pck, alpha=0.5), {"columns": 5}),
    (pck_area, {}),
    (pck_area, {"columns": 5}),
    (partial(swaps, pairs=PAIRS), {}),
    (partial(swaps, pairs=PAIRS), {"columns": 5}),
]


@pytest.mark.parametrize(("formula", "options"), CASES)
def test_batches_and_merged_ranks_equal_the_whole(formula, options):
    prediction, target, length = data()
    whole, batches, left, right = (Measure(formula, **options) for _ in range(4))
    whole.update(prediction, target, length)
    for rows in torch.arange(31).split(6):
        batches.update(prediction[rows], target[rows], length[rows])
    left.update(prediction[:11], target[:11], length[:11])
    right.update(prediction[11:], target[11:], length[11:])
    left.merge_state(right)
    torch.testing.assert_close(batches.compute(), whole.compute(), rtol=1e-12, atol=0, equal_nan=True)
    torch.testing.assert_close(left.compute(), whole.compute(), rtol=1e-12, atol=0, equal_nan=True)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize(("formula", "options"), CASES)
def test_nothing_judged_is_nan(formula, options):
    assert Measure(formula, **options).compute().isnan().all()
    for target, length in ((torch.full((2, 5, 2), NAN), 1.0), (torch.zeros(2, 5, 2), torch.full((2,), NAN))):
        metric = Measure(formula, **options)
        metric.update(torch.zeros(2, 5, 2), target, length)
        assert metric.compute().isnan().all()
    metric = Measure(formula, **options)
    metric.update(torch.zeros(0, 5, 2), torch.zeros(0, 5, 2), torch.zeros(0))
    assert metric.compute().isnan().all()


@pytest.mark.parametrize(("formula", "options"), CASES)
def test_scaling_everything_changes_nothing(formula, options):
    prediction, target, length = data()
    before = Measure(formula, **options)(prediction, target, length)
    torch.testing.assert_close(
        Measure(formula, **options)(8 * prediction, 8 * target, 8 * length), before, equal_nan=True
    )


def test_nothing_is_kept_for_the_backward_pass():
    prediction, target, length = data()
    metric = Measure(pck_area)
    metric.update(prediction.requires_grad_(), target, length.requires_grad_())
    assert not pck_area(prediction, target, length).requires_grad
    assert not metric.compute().requires_grad


ONE, TWO = torch.zeros(1, 2, 2), torch.zeros(2, 2, 2)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: pck(ONE, ONE, 1.0, alpha=0.0), ValueError, r"pck: expected alpha > 0 and finite, got 0.0"),
        (lambda: pck(ONE, ONE, 1.0, alpha="a"), TypeError, "pck: expected alpha to be a number, got str"),
        (lambda: pck_area(ONE, ONE, 1.0, alpha=-1.0), ValueError, "pck_area: expected alpha > 0 and finite, got -1.0"),
        (lambda: Measure(pck, columns=3).update(ONE, ONE, 1.0), ValueError, "Measure of pck: expected 3 columns, got"),
        (lambda: pck(ONE, torch.zeros(1, 3, 2), 1.0), ValueError, "pck: expected prediction and target of"),
        (lambda: pck_area(ONE, ONE[0], 1.0), ValueError, "pck_area: expected prediction and target of one"),
        (lambda: pck(TWO, TWO, torch.ones(3)), ValueError, r"a number or \(2,\), got shape \(3,\)"),
        (
            lambda: pck(TWO, TWO, torch.tensor([0.0, 1.0])),
            ValueError,
            r"pck: expected length > 0 and finite \(NaN leaves an image out\), got 1 of 2 that are not, the first 0.0",
        ),
        (lambda: swaps(ONE, ONE, -2.0, [(0, 1)]), ValueError, "swaps: .* got 1 of 1 .* the first -2.0"),
        (lambda: pck(ONE, ONE + math.inf, 1.0), ValueError, "got 4 infinite values, the first at"),
        (lambda: swaps(ONE, ONE, 1.0, [(0, 2)]), ValueError, r"points 0 to 1 in at most one pair, got \[\(0, 2\)\]"),
        (lambda: swaps(ONE, ONE, 1.0, [(0, 1), (1, 0)]), ValueError, "in at most one pair"),
        (lambda: swaps(ONE, ONE, 1.0, [(0, 0)]), ValueError, "in at most one pair"),
        (lambda: swaps(ONE, ONE, 1.0, [(0, 1)], alpha=-1.0), ValueError, "swaps: expected alpha > 0"),
        (lambda: torso_length(ONE, 0, 2), ValueError, "torso_length: expected points 0 to 1, got 2"),
        (lambda: head_length(ONE[0], 0, 1), ValueError, r"head_length: .* \(N, K, D\), got \(2, 2\)"),
        (lambda: head_length(ONE, 0, 1, factor=0.0), ValueError, "head_length: expected factor > 0"),
        (lambda: head_length([1.0], 0, 1), TypeError, "target to be a tensor, got list"),
        (lambda: pck_curve(ONE, [0.1]), ValueError, r"error of shape \(N, K\), got \(1, 2, 2\)"),
        (lambda: pck_curve(ONE[0], []), ValueError, r"a row of finite alphas >= 0, got \[\]"),
        (lambda: pck_curve(ONE[0], [0.1, -0.5]), ValueError, "got .*-0.5"),
        (lambda: pck_curve(ONE[0], [NAN]), ValueError, "got .nan"),
        (
            lambda: double_counts(torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool)),
            TypeError,
            "counts to be whole numbers, got torch.float64",
        ),
        (
            lambda: double_counts(torch.ones(1, 2, dtype=torch.long), torch.ones(1, 2)),
            TypeError,
            "right to be boolean, got torch.float64",
        ),
        (
            lambda: double_counts(torch.ones(1, 2, dtype=torch.long), torch.ones(2, 1, dtype=torch.bool)),
            ValueError,
            r"counts and right of one shape, got \(1, 2\) and \(2, 1\)",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
