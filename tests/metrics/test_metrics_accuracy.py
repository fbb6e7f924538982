"""Top-k accuracy, and its exact paired test: against enumeration, McNemar's test, and its own symmetries."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torchmetrics.classification import MulticlassAccuracy

from steadfit.metrics import Measure
from steadfit.metrics.accuracy import compare_accuracy, sign_flip, top_k


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [1, 2, 3])
def test_it_is_an_enumeration_of_all_signs(seed: int, most: int) -> None:
    d = np.random.default_rng(seed).integers(-most, most + 1, 11)
    sums = [abs(int(np.dot(signs, d))) for signs in itertools.product((-1, 1), repeat=11)]
    expected = np.mean(np.array(sums) >= abs(int(d.sum())))
    assert sign_flip(d) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (3, 9), (40, 21), (200, 260), (0, 60)])
def test_one_seed_is_mcnemars_exact_test(b: int, c: int) -> None:
    d = np.repeat([1, -1, 0], [b, c, 300])
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert sign_flip(d) == pytest.approx(expected, rel=1e-9)


def test_many_images_and_seeds() -> None:
    """Near the normal approximation with a continuity correction: the sum of N(0, sum d²), a lattice of step 2."""
    d = np.random.default_rng(0).integers(-3, 4, 4000)
    d[:30] = 3
    expected = 2 * stats.norm.sf((abs(int(d.sum())) - 1) / np.sqrt((d.astype(float) ** 2).sum()))
    assert sign_flip(d) == pytest.approx(expected, rel=0.01)
    assert sign_flip(d) == sign_flip(-d) == sign_flip(np.random.default_rng(1).permutation(d))


def test_small_p_values_are_not_lost() -> None:
    assert sign_flip(np.ones(200)) == pytest.approx(2.0**-199, rel=1e-9)
    assert sign_flip(np.zeros(5)) == sign_flip([]) == 1.0
    assert sign_flip([3, -3]) == 1.0


def test_it_rejects_as_often_as_it_says() -> None:
    """Under no difference p <= .05 in at most 5 % of cases; 2,000 of them, 5 deviations of .0049."""
    rng = np.random.default_rng(0)
    share = np.mean([sign_flip(rng.integers(-2, 3, 60)) <= 0.05 for _ in range(2000)])
    assert 0.02 < share < 0.05 + 0.0244


def test_comparisons_of_several_methods() -> None:
    rng = np.random.default_rng(0)
    base = rng.random((3, 400)) < 0.6
    right = {"a": base, "b": base | (rng.random((3, 400)) < 0.15), "c": base & (rng.random((3, 400)) < 0.99)}
    found = compare_accuracy(right)
    assert [(one.method, one.reference) for one in found] == [("a", "b"), ("c", "b")]
    for one in found:
        d = right[one.method].sum(0).astype(int) - right["b"].sum(0)
        assert one.difference == pytest.approx(right[one.method].mean() - right["b"].mean(), abs=1e-12)
        assert (one.p, one.discordant, one.images) == (sign_flip(d), int((d != 0).sum()), 400)
        assert one.accuracy == pytest.approx(right[one.method].mean())
        assert one.p <= one.adjusted <= 1
        assert one.stars == "***"
    reverse = compare_accuracy(right, reference="a")
    assert reverse[0].p == found[0].p
    assert reverse[0].difference == -found[0].difference
    assert compare_accuracy({"a": base}) == []


@pytest.mark.parametrize(
    ("right", "reference", "message"),
    [
        ({}, None, "expected at least one method, got none"),
        ({"a": [1, 0], "b": [1, 0, 1]}, None, r"expected flags of one shape \(seeds, images\), got"),
        ({"a": [1, 2], "b": [1, 0]}, None, "expected flags 0 and 1, got others for 'a'"),
        ({"a": [1, 0]}, "b", "expected reference among a, got 'b'"),
    ],
)
def test_wrong_arguments(right: dict[str, list[int]], reference: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=f"compare_accuracy: {message}"):
        compare_accuracy(right, reference=reference)


def test_differences_are_whole() -> None:
    for value in ([0.5], [[1]], [np.nan]):
        with pytest.raises(ValueError, match=r"sign_flip: expected whole differences of shape \(N,\)"):
            sign_flip(value)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_equals_torchmetrics_over_batches(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(300, 5, generator=generator), torch.randint(5, (300,), generator=generator)
    twin, own = MulticlassAccuracy(5, top_k=k, average="micro"), Measure(partial(top_k, k=k))
    for rows in torch.arange(300).split(70):
        twin.update(logits[rows], target[rows])
        own.update(logits[rows], target[rows])
    assert float(own.compute()) == pytest.approx(float(twin.compute()), abs=1e-6)  # both divide in float32
    assert float(own.compute()) == pytest.approx(float(top_k(logits, target, k=k).double().mean()), abs=1e-6)


def test_top_k_at_its_edges() -> None:
    ties, nan = torch.zeros(1, 3), torch.tensor([[0.0, float("nan"), 1.0]])
    assert [top_k(ties, torch.tensor([c])).item() for c in range(3)] == [1.0, 0.0, 0.0]
    assert top_k(nan, torch.tensor([2])).item() == 0.0  # a diverged network is not right
    assert top_k(torch.randn(2, 3), torch.tensor([0, 2]), k=9).tolist() == [1.0, 1.0]
    assert top_k(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).shape == (0,)
    with pytest.raises(ValueError, match=r"top_k: expected logits \(N, C\) and targets \(N,\), got \(3,\) and \(1,\)"):
        top_k(torch.zeros(3), torch.zeros(1))
    with pytest.raises(ValueError, match="top_k: expected k >= 1, got 0"):
        top_k(ties, torch.tensor([0]), k=0)
