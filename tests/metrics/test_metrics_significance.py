"""Paired tests: enumerated by hand, against SciPy, Holm's own numbers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from steadfit.metrics import best_stars, compare_errors, holm, stars, wilcoxon


def enumerated(difference):
    """Slow twin: the share of all 2^n signs whose rank sum is as far from its mean as ours."""
    ranks = stats.rankdata(np.abs(difference))
    middle = ranks.sum() / 2
    seen = abs(ranks[np.asarray(difference) > 0].sum() - middle)
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product((0, 1), repeat=len(ranks))]
    return np.mean([abs(total - middle) >= seen - 1e-9 for total in sums])


@pytest.mark.parametrize("n", [1, 3, 6, 10])
def test_small_samples_equal_the_enumeration(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n)) + np.array([[0.5], [0.0]])
    assert wilcoxon(a, b) == pytest.approx(enumerated(a - b), abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 6, 7, 12])
def test_ties_in_small_samples_equal_the_enumeration(n):
    rng = np.random.default_rng(n)
    assert wilcoxon(np.ones(n), np.zeros(n)) == 2 / 2**n  # all equal: .0625 for five, which the normal puts at .025
    for _ in range(20):
        difference = rng.integers(-3, 4, size=n).astype(float)
        difference[difference == 0] = 1.0
        assert wilcoxon(difference, np.zeros(n)) == pytest.approx(min(1.0, enumerated(difference)), abs=1e-12)


def test_ties_in_larger_samples_approach_the_normal():
    rng = np.random.default_rng(0)
    difference = rng.integers(1, 6, size=50) * rng.choice([-1.0, 1.0], size=50)
    normal = stats.wilcoxon(difference, method="approx").pvalue
    assert wilcoxon(difference, np.zeros(50)) == pytest.approx(
        normal, abs=0.01
    )  # no continuity correction there: 1/50 of a deviation


def test_a_failed_prediction_never_helps():
    """inf ranks behind every number: the more failures, the better the other method looks."""
    rng = np.random.default_rng(0)
    ours, theirs = rng.exponential(size=(2, 60))
    before = compare_errors({"ours": ours, "theirs": theirs}, reference="ours")[0]
    for count in (1, 10, 40):
        failed = theirs.copy()
        failed[np.argsort(-theirs)[:count]] = np.inf  # on the hard images
        row = compare_errors({"ours": ours, "theirs": failed}, reference="ours")[0]
        assert row.rank_biserial > before.rank_biserial
        assert (row.images, row.dropped, row.mean) == (60, 0, np.inf)
        assert compare_errors({"theirs": failed, "ours": ours})[0].reference == "ours"
        before = row
    assert row.stars == "***"
    assert row.median_difference == np.inf


def test_failures_of_both_are_ties_and_the_fewest_are_best():
    a, b = np.array([np.inf, 1.0, 2.0, 3.0]), np.array([np.inf, 2.0, 3.0, 4.0])
    assert wilcoxon(a, b) == wilcoxon(a[1:], b[1:])
    worse = np.array([np.inf, np.inf, 0.0, 0.0])
    assert best_stars({"worse": worse, "a": a, "b": b})[0] == "a"
    assert best_stars({"x": [np.inf, np.inf], "y": [np.inf, np.inf]})[0] == "x"


@pytest.mark.parametrize("n", [20, 50, 51, 500])
def test_equals_scipy_and_does_not_depend_on_the_order(n):
    rng = np.random.default_rng(n)
    a, b = rng.exponential(size=(2, n)) * [[1.1], [1.0]]
    assert wilcoxon(a, b) == pytest.approx(stats.wilcoxon(a, b).pvalue, rel=1e-12)
    assert wilcoxon(b, a) == pytest.approx(wilcoxon(a, b), rel=1e-12)


def test_zeros_and_nan_pairs_are_left_out():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30))
    plain = wilcoxon(a, b)
    assert wilcoxon(np.append(a, [1.0, 2.0]), np.append(b, [1.0, 2.0])) == plain
    assert wilcoxon(np.append(a, [np.nan, 2.0]), np.append(b, [1.0, np.nan])) == plain
    assert wilcoxon([1.0, 2.0], [1.0, 2.0]) == 1.0


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(1)
    p = [wilcoxon(*rng.normal(size=(2, 200))) for _ in range(400)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(given, expected):
    np.testing.assert_allclose(holm(given), expected, atol=1e-15)


def test_holm_keeps_order_never_lowers_and_never_beats_bonferroni():
    p = np.random.default_rng(0).uniform(0, 0.1, 50)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(50 * p, 1) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    shuffle = np.random.default_rng(1).permutation(50)
    np.testing.assert_array_equal(holm(p[shuffle]), adjusted[shuffle])


def test_stars_at_their_borders():
    table = {0.0: "***", 0.00099: "***", 0.001: "**", 0.0099: "**", 0.01: "*", 0.049: "*", 0.05: "", 1.0: ""}
    assert {p: stars(p) for p in table} == table


def errors(n=200, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.exponential(size=n)
    made = {"l2": base + 0.3, "gum": base, "huber": base + 0.05 * rng.normal(size=n), "l1": base + 0.1}
    return {name: values + 0.01 * rng.normal(size=n) for name, values in made.items()}


def test_comparison_equals_its_parts():
    table = errors()
    table["l2"][:5] = np.nan
    table["gum"][3:8] = np.nan
    rows = compare_errors(table, reference="gum")
    assert [row.method for row in rows] == ["l2", "huber", "l1"]
    np.testing.assert_allclose([row.adjusted for row in rows], holm([row.p for row in rows]))
    first = rows[0]
    assert (first.images, first.dropped, first.reference) == (192, 8, "gum")
    assert first.p == wilcoxon(table["l2"], table["gum"])
    assert first.mean == pytest.approx(table["l2"][8:].mean())
    assert first.reference_mean == pytest.approx(table["gum"][8:].mean())
    assert first.median_difference == pytest.approx(np.median((table["l2"] - table["gum"])[8:]))
    assert first.rank_biserial == pytest.approx(1.0)
    assert first.stars == "***"
    assert abs(rows[1].rank_biserial) < 0.2


def test_reference_defaults_to_the_best_mean_over_common_images():
    table = errors()
    table["l2"][table["l2"] > 0.8] = np.nan  # would look best on the easy images that it has
    assert {row.reference for row in compare_errors({"l2": table["l2"], "gum": table["gum"]})} == {"gum"}


def test_best_stars_need_every_comparison_and_the_ranks():
    table = errors()
    del table["huber"]
    assert best_stars(table) == ("gum", "***")
    noise = 1e-3 * np.random.default_rng(5).normal(size=200)
    table["twin"] = table["gum"] + noise - noise.mean() + 1e-5
    assert best_stars(table) == ("gum", "")
    assert best_stars({"only": [1.0, 2.0]}) == ("only", "")
    ranks_differ = {"a": np.zeros(50), "b": np.append(np.full(45, -0.01), np.full(5, 9.0))}
    assert best_stars(ranks_differ) == ("a", "")


def test_equal_methods_have_no_effect():
    row = compare_errors({"a": [1.0, 2.0], "b": [1.0, 2.0]})[0]
    assert (row.p, row.rank_biserial, row.median_difference, row.stars) == (1.0, 0.0, 0.0, "")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: wilcoxon([1.0], [1.0, 2.0]), r"one length, got shapes \(1,\) and \(2,\)"),
        (lambda: wilcoxon([np.nan], [1.0]), "at least one pair, got none in 1 rows"),
        (lambda: wilcoxon([-np.inf], [1.0]), "errors above -inf, got 1 of -inf"),
        (lambda: holm([0.1, np.nan]), r"in \[0, 1\], got nan at 1"),
        (lambda: holm([[0.1]]), r"shape \(m,\), got \(1, 1\)"),
        (lambda: compare_errors({}), "at least one method, got none"),
        (lambda: compare_errors({"a": [1.0]}, reference="b"), "one of a, got 'b'"),
        (lambda: compare_errors({"a": [1.0], "b": [1.0, 2.0]}), "errors of one shape"),
        (lambda: compare_errors({"a": [1.0, np.nan], "b": [np.nan, 2.0]}), "all methods have, got none"),
    ],
)
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
