"""Corruptions: exact counts, laws of the displacements, nestedness, and what must never be touched."""

from __future__ import annotations

import inspect
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from steadfit import corrupt

WIDTH = 96.0
CASES = {
    "ngo": partial(corrupt.ngo, width=WIDTH),
    "l_ugo": partial(corrupt.l_ugo, width=WIDTH),
    "g_ugo": partial(corrupt.g_ugo, width=WIDTH),
    "swap": partial(corrupt.swap, pairs=[(0, 1), (3, 4)]),
    "gaussian": partial(corrupt.gaussian, std=5.0),
    "symmetric": corrupt.symmetric,
}
every = pytest.mark.parametrize("name", sorted(CASES))


def labels(n=200, k=5, d=2, missing=0.1, seed=0):
    rng = np.random.default_rng(seed)
    out = rng.uniform(0, WIDTH, (n, k, d))
    out[rng.uniform(size=(n, k)) < missing] = np.nan
    return out


def test_every_public_name_has_a_case():
    assert set(CASES) == set(corrupt.__all__)


@every
def test_same_seed_same_labels_other_seed_other_labels(name):
    first, again, other = (CASES[name](labels(), 0.4, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).any()


@every
def test_wrong_labels_are_nested_with_their_values(name):
    small, large = (CASES[name](labels(), share, seed=1) for share in (0.4, 0.6))
    assert not (small[1] & ~large[1]).any()
    assert large[1].sum() > small[1].sum()
    np.testing.assert_array_equal(small[0][small[1]], large[0][small[1]])


@every
def test_missing_labels_stay_missing_and_the_rest_keeps_its_bits(name):
    truth = labels()
    moved, wrong = CASES[name](truth, 1.0)
    np.testing.assert_array_equal(np.isnan(moved), np.isnan(truth))
    assert not wrong[np.isnan(truth).any(-1)].any()
    moved, wrong = CASES[name](truth, 0.4)
    np.testing.assert_array_equal(moved[~wrong], truth[~wrong])
    assert (moved[wrong] != truth[wrong]).any(-1).all()


@every
def test_half_missing_point_counts_as_missing(name):
    truth = labels(missing=0.0)
    truth[:, 2, 1] = np.nan
    moved, wrong = CASES[name](truth, 1.0)
    np.testing.assert_array_equal(moved[:, 2], truth[:, 2])
    assert not wrong[:, 2].any()


@every
def test_share_zero_changes_nothing_and_global_state_is_left_alone(name):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    moved, wrong = CASES[name](labels(), 0.0)
    np.testing.assert_array_equal(moved, labels())
    assert not wrong.any()
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kind_and_dtype_are_kept_and_input_is_not_changed(name, dtype):
    array = labels().astype(dtype)
    tensor = torch.from_numpy(array.copy())
    moved, wrong = CASES[name](array, 0.5)
    moved_t, wrong_t = CASES[name](tensor, 0.5)
    assert (moved.dtype, wrong.dtype) == (np.dtype(dtype), np.dtype(bool))
    assert (moved_t.dtype, wrong_t.dtype) == (tensor.dtype, torch.bool)
    np.testing.assert_array_equal(moved, moved_t.numpy())
    np.testing.assert_array_equal(wrong, wrong_t.numpy())
    np.testing.assert_array_equal(array, labels().astype(dtype))
    np.testing.assert_array_equal(tensor.numpy(), array)
    np.testing.assert_array_equal(CASES[name](array[::-1], 0.5)[0].shape, array.shape)  # negative strides


@pytest.mark.parametrize("name", ["ngo", "l_ugo", "gaussian", "symmetric"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.333, 0.5, 1.0])
def test_exact_count_of_annotated_points(name, share):
    truth = labels()
    assert CASES[name](truth, share)[1].sum() == round(share * int((~np.isnan(truth).any(-1)).sum()))


def test_g_ugo_moves_all_points_of_exactly_a_share_of_the_annotated_images():
    truth = labels()
    truth[:20] = np.nan
    wrong = corrupt.g_ugo(truth, 0.4, width=WIDTH)[1]
    annotated = ~np.isnan(truth).any(-1)
    hit = wrong.any(1)
    assert hit.sum() == round(0.4 * int(annotated.any(1).sum()))
    np.testing.assert_array_equal(wrong[hit], annotated[hit])


def test_ngo_length_is_normal_and_direction_uniform():
    truth = labels(4000, missing=0.0)
    moved, wrong = corrupt.ngo(truth, 0.5, width=WIDTH, seed=2)
    step = (moved - truth)[wrong]
    length = np.linalg.norm(step, axis=-1)
    assert stats.kstest(length, stats.norm(25 / 224 * WIDTH, 2 / 224 * WIDTH).cdf).pvalue > 0.01
    angle = np.arctan2(step[:, 1], step[:, 0])
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
    assert abs(stats.pearsonr(length, np.cos(angle)).statistic) < 0.03  # 3 standard errors of 10,000


@pytest.mark.parametrize("name", ["l_ugo", "g_ugo"])
def test_ugo_length_is_uniform_up_to_each_width(name):
    truth = labels(4000, missing=0.0)
    width = np.random.default_rng(0).uniform(50, 150, 4000)
    moved, wrong = getattr(corrupt, name)(truth, 0.5, width=width, seed=2)
    part = np.linalg.norm(moved - truth, axis=-1) / width[:, None]
    assert stats.kstest(part[wrong], stats.uniform(0, 1).cdf).pvalue > 0.01
    assert part.max() <= 1 + 1e-12


@pytest.mark.parametrize("dims", [1, 2, 3, 5])
def test_direction_is_uniform_on_the_sphere_of_any_dimension(dims):
    step, _ = corrupt.ngo(np.zeros((20000, 1, dims)), 1.0, width=1.0, mean=1.0, std=0.0)
    np.testing.assert_allclose(np.linalg.norm(step, axis=-1), 1.0, atol=1e-12)
    unit = step[:, 0]
    assert np.abs(unit.mean(0)).max() < 4 / np.sqrt(20000 * dims)  # the variance of each coordinate is 1/D
    np.testing.assert_allclose(unit.T @ unit / 20000, np.eye(dims) / dims, atol=0.02)
    if dims == 1:
        assert set(np.unique(unit)) == {-1.0, 1.0}


def test_gaussian_and_symmetric_follow_their_laws():
    truth = labels(4000, missing=0.0)
    moved, wrong = corrupt.gaussian(truth, 0.5, std=3.0, seed=1)
    assert stats.kstest((moved - truth)[wrong].ravel(), stats.norm(0, 3.0).cdf).pvalue > 0.01
    moved, wrong = corrupt.symmetric(truth, 0.5, low=-10.0, high=30.0, seed=1)
    assert stats.kstest(moved[wrong].ravel(), stats.uniform(-10, 40).cdf).pvalue > 0.01


def test_symmetric_takes_the_range_of_each_column():
    truth = labels() * np.array([1.0, 100.0])
    truth[:, 4] = np.nan  # a column without labels has no range, and needs none
    moved, wrong = corrupt.symmetric(truth, 1.0)
    assert wrong.sum() == (~np.isnan(truth).any(-1)).sum()
    for k in range(4):
        assert (np.nanmin(moved[:, k], 0) >= np.nanmin(truth[:, k], 0)).all()
        assert (np.nanmax(moved[:, k], 0) <= np.nanmax(truth[:, k], 0)).all()
    assert np.isfinite(corrupt.symmetric(truth, 1.0, low=0.0)[0][wrong]).all()


def test_swap_marks_what_really_moved():
    truth = labels(missing=0.0)
    truth[:100, 0] = truth[:100, 1]  # exchanging equal points changes nothing
    truth[150:, 3] = np.nan
    moved, wrong = corrupt.swap(truth, 1.0, pairs=[(0, 1), (3, 4)])
    np.testing.assert_array_equal(wrong[:, 0], np.arange(200) >= 100)
    np.testing.assert_array_equal(wrong[:, 3], np.arange(200) < 150)
    np.testing.assert_array_equal(moved[:150][:, [1, 0, 2, 4, 3]], truth[:150])
    assert not wrong[:, 2].any()
    assert corrupt.swap(truth, 0.3, pairs=[(3, 4)])[1].any(1).sum() == 45


def test_nothing_annotated_and_no_samples_are_fine():
    for shape in ((0, 5, 2), (4, 5, 2)):
        for function in CASES.values():
            moved, wrong = function(np.full(shape, np.nan), 0.5)
            assert moved.shape == shape
            assert not wrong.any()


def test_labels_of_a_network_lose_their_gradient():
    moved, _ = corrupt.ngo(torch.zeros(3, 2, 2, requires_grad=True), 0.5, width=1.0)
    assert not moved.requires_grad


def test_data_arguments_are_positional_and_the_rest_keyword_only():
    for name in corrupt.__all__:
        kinds = [p.kind for p in inspect.signature(getattr(corrupt, name)).parameters.values()]
        assert kinds[2:] == [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 2)


@every
@pytest.mark.parametrize(
    ("value", "share", "error", "text"),
    [
        ([[[1.0]]], 0.5, TypeError, "labels to be a tensor or an array, got list"),
        (np.zeros((2, 5, 2), dtype=int), 0.5, TypeError, "floating dtype, got int64"),
        (torch.zeros(2, 5, 2, dtype=torch.int32), 0.5, TypeError, "floating dtype, got torch.int32"),
        (np.zeros((2, 10)), 0.5, ValueError, r"shape \(N, K, D\), got \(2, 10\)"),
        (np.full((2, 5, 2), np.inf), 0.5, ValueError, "got 20 infinite values, the first at"),
        (np.zeros((2, 5, 2)), 1.5, ValueError, "0.0 <= share <= 1.0, got 1.5"),
        (np.zeros((2, 5, 2)), float("nan"), ValueError, "share <= 1.0, got nan"),
    ],
)
def test_wrong_arguments_are_named(name, value, share, error, text):
    with pytest.raises(error, match=f"^{name}: expected .*{text}"):
        CASES[name](value, share)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (partial(corrupt.ngo, width=0.0), ValueError, "width > 0 and finite, got 1 that are not, the first 0.0"),
        (partial(corrupt.l_ugo, width=[1.0, -2.0]), ValueError, "the first -2.0"),
        (partial(corrupt.l_ugo, width=[1.0]), ValueError, r"a number or \(2,\), got shape \(1,\)"),
        (partial(corrupt.ngo, width=1.0, std=-1.0), ValueError, "std <= .*, got -1.0"),
        (partial(corrupt.ngo, width=1.0, std=float("inf")), ValueError, "std <= .*, got inf"),
        (partial(corrupt.ngo, width=1.0, mean=float("inf")), ValueError, "mean <= .*, got inf"),
        (partial(corrupt.ngo, width=1.0, seed=-1), ValueError, "seed >= 0, got -1"),
        (partial(corrupt.ngo, width=1.0, seed=0.5), TypeError, "seed to be an int, got float"),
        (partial(corrupt.gaussian, std=float("inf")), ValueError, "got inf"),
        (partial(corrupt.symmetric, low=2.0, high=1.0), ValueError, "low <= high, got 2 > 1"),
        (partial(corrupt.swap, pairs=[]), ValueError, "at least one .* pair, got none"),
        (partial(corrupt.swap, pairs=[(0, 5)]), ValueError, r"indices in \[0, 4\], got 5"),
        (partial(corrupt.swap, pairs=[(0, 1), (1, 2)]), ValueError, "got 1 more than once"),
        (partial(corrupt.swap, pairs=[(0, 1, 2)]), ValueError, r"two indices, got \(0, 1, 2\)"),
    ],
)
def test_wrong_options_are_named(call, error, text):
    with pytest.raises(error, match=text):
        call(np.zeros((2, 5, 2)), 0.5)
