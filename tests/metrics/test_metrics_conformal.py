"""Conformal radii: ranks by hand, the finite-sample promise by simulation, wrong labels, files."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from predictions import NAN, standard

from steadfit.errors import DataWarning
from steadfit.metrics import ConformalRadius
from steadfit.penalties import Huber, Squared

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("n", [1, 9, 10, 19, 99, 100])
@pytest.mark.parametrize("level", [0.05, 0.5, 0.55, 0.7, 0.9, 0.95, 0.99])
@pytest.mark.filterwarnings("ignore::steadfit.errors.DataWarning")
def test_the_radius_is_the_ranked_score(n, level):
    score = torch.rand(n, 1)
    rank = math.ceil(round((n + 1) * level, 9))  # .55·20 is 11, whatever floating point makes of it
    expected = float(score.sort(0).values[rank - 1, 0]) if rank <= n else math.inf
    assert float(ConformalRadius(("a",), score).radius(level)) == expected


def weighted(score, weight, level):
    """Slow twin: add up weights in the order of the scores."""
    total, reached = sum(weight) + 1, 0.0
    for s, w in sorted(zip(score, weight, strict=True)):
        reached += w
        if reached >= level * total:
            return s
    return math.inf


@pytest.mark.filterwarnings("ignore::steadfit.errors.DataWarning")
def test_weights_missing_labels_and_ties_equal_a_loop():
    rng = np.random.default_rng(0)
    score = np.round(rng.exponential(size=(60, 5)), 1)
    weight = rng.uniform(size=(60, 5))
    weight[:, 4] *= 0.02
    score[rng.uniform(size=(60, 5)) < 0.2] = np.nan
    rule = ConformalRadius(tuple("abcde"), torch.from_numpy(score), torch.from_numpy(weight))
    for level in (0.1, 0.5, 0.8, 0.95):
        for k, radius in enumerate(rule.radius(level).tolist()):
            kept = ~np.isnan(score[:, k])
            assert radius == weighted(score[kept, k], weight[kept, k], level)
        mass = weight / np.maximum((~np.isnan(score)).sum(1, keepdims=True), 1)
        kept = ~np.isnan(score)
        assert set(rule.radius(level, pooled=True).tolist()) == {weighted(score[kept], mass[kept], level)}


def test_pooling_counts_a_row_once():
    score = torch.rand(30, 1)
    alone = ConformalRadius(("a",), score)
    copies = ConformalRadius(tuple("abcd"), score.expand(30, 4))
    assert copies.radius(0.9, pooled=True).tolist() == alone.radius(0.9).tolist() * 4


def test_too_few_labels_are_everything_with_a_warning():
    score = torch.rand(8, 3)
    score[4:, 1] = NAN
    rule = ConformalRadius(tuple("abc"), score)
    with pytest.warns(DataWarning, match=r"at least 9 for a coverage of 90 %, got 4 for 3 of 3 points: their region"):
        assert rule.radius(0.9).tolist() == [math.inf] * 3
    with pytest.warns(DataWarning, match=r"labels with a weight of at least 4 for .* 80 %, got 3.999 for"):
        ConformalRadius(("a",), torch.rand(4, 1), torch.tensor([[1.0], [1.0], [1.0], [0.999]])).radius(0.8)
    with pytest.warns(DataWarning, match=r"rows with a weight of at least 19 .* got 8 for the pooled points"):
        rule.radius(0.95, pooled=True)
    with pytest.warns(DataWarning, match="got 0 for 1 of 1 points"):
        assert ConformalRadius(("a",), torch.zeros(0, 1)).radius(0.5).tolist() == [math.inf]


@pytest.mark.parametrize(("n", "level"), [(9, 0.9), (30, 0.9), (200, 0.95), (7, 0.5)])
def test_the_promise_holds_for_few_labels_and_any_distribution(n, level):
    """Coverage is Beta(k, n + 1 - k) for continuous scores: its mean k/(n + 1) is never below the level."""
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(n, 4000, generator=generator)  # the scores' own distribution function: coverage of radius q is q
    radius = ConformalRadius(tuple(map(str, range(4000))), u).radius(level)
    rank = math.ceil(round((n + 1) * level, 9))
    spread = math.sqrt(rank * (n + 1 - rank) / (n + 2)) / (n + 1)
    assert float(radius.mean()) == pytest.approx(rank / (n + 1), abs=4 * spread / math.sqrt(4000))
    assert rank / (n + 1) >= level
    assert float(radius.std()) == pytest.approx(spread, rel=0.1)


def test_pooled_points_keep_it_although_they_depend_on_each_other():
    """One score a row, repeated at a random number of points; a new row's random point is covered."""
    generator = torch.Generator().manual_seed(1)
    covered = []
    for _ in range(1500):
        row = torch.rand(21, 1, generator=generator)
        score = row.expand(21, 6).clone()
        score[torch.rand(21, 6, generator=generator) < 0.5 * row] = NAN  # hard rows have fewer labels
        score[:, 0] = row[:, 0]
        radius = ConformalRadius(tuple("abcdef"), score[:20]).radius(0.9, pooled=True)[0]
        covered.append(float(row[20, 0] <= radius))
    assert np.mean(covered) == pytest.approx(19 / 21, abs=0.03)
    assert np.mean(covered) > 0.88


SHARE, BOX = 0.3, 60.0


def contaminated(repeats, n=300):
    """Radii (n, repeats), which are wrong, and the posterior of being right; wrong labels are anywhere in a box."""
    generator = torch.Generator().manual_seed(2)
    wrong = torch.rand(n, repeats, generator=generator) < SHARE
    far = BOX * (torch.rand(n, repeats, 2, generator=generator) - 0.5)
    near = standard((n, repeats), 2, Huber(1.0), generator)
    radius = torch.where(wrong, far.norm(dim=-1), near.norm(dim=-1))
    right = (1 - SHARE) * torch.exp(-Huber(1.0).rho(radius) - Huber(1.0).log_normalizer(2))
    return radius, wrong, right / (right + SHARE / BOX**2)


def test_posterior_weights_keep_the_promise_with_wrong_labels():
    radius, wrong, posterior = contaminated(400)
    names = tuple(map(str, range(400)))

    def covered(weight):
        return float(Huber(1.0).mass(ConformalRadius(names, radius, weight).radius(0.9), 2).mean())

    assert covered(None) > 0.999  # the radius is that of the wrong labels
    assert covered(posterior) == pytest.approx(0.9, abs=0.006)
    assert covered((~wrong).double()) == pytest.approx(0.9, abs=0.006)
    assert covered((posterior > 0.5).double()) == pytest.approx(0.9, abs=0.02)
    assert covered(Huber(1.0).trust(radius)) < 0.86  # a penalty's trust is no probability


def test_check_on_other_labels():
    generator = torch.Generator().manual_seed(3)
    calibration = standard((500, 2), 2, Squared(), generator).norm(dim=-1)
    other = standard((2000, 2), 2, Squared(), generator).norm(dim=-1)
    rule = ConformalRadius(("a", "b"), calibration)
    found = rule.coverage(other, [0.5, 0.9])
    for i, level in enumerate((0.5, 0.9)):
        by_hand = (other <= rule.radius(level)).double()
        torch.testing.assert_close(found.point_share[i], by_hand.mean(0))
        assert float(found.share[i]) == pytest.approx(float(by_hand.mean()))
        assert float(found.share[i]) == pytest.approx(level, abs=0.05)
    other[:, 1] = NAN
    assert rule.coverage(other, [0.5], pooled=True).point_share.isnan().tolist() == [[False, True]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a curve may reach levels that the labels are too few for
        assert float(rule.coverage(calibration, [0.9999]).share) == 1.0


def test_writer_then_reader_gives_the_same_bits(tmp_path):
    scores, weights = torch.rand(7, 3), torch.rand(7, 3)
    scores[2, 1] = NAN
    rule = ConformalRadius(("eye", "nose", "chin"), scores, weights)
    rule.to_frame().to_parquet(tmp_path / "conformal.parquet")
    back = ConformalRadius.from_frame(pd.read_parquet(tmp_path / "conformal.parquet"))
    assert back.points == rule.points
    torch.testing.assert_close(back.scores, rule.scores, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(back.weights, rule.weights, rtol=0, atol=0)
    assert back.weights[2, 1] == 0
    shuffled = rule.to_frame().iloc[[i for row in (3, 0, 6, 1, 5, 2, 4) for i in range(3 * row, 3 * row + 3)]]
    torch.testing.assert_close(ConformalRadius.from_frame(shuffled).weights, rule.weights, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ConformalRadius(("a",), torch.ones(3)), ValueError, r"scores of shape \(N, 1\), got \(3,\)"),
        (lambda: ConformalRadius(("a", "a"), torch.ones(3, 2)), ValueError, r"different points, got \['a', 'a'\]"),
        (lambda: ConformalRadius(("a",), -torch.ones(3, 1)), ValueError, "scores >= 0, got -1.0"),
        (lambda: ConformalRadius(("a",), torch.ones(3, 1) * math.inf), ValueError, "finite scores .* got 3 infinite"),
        (lambda: ConformalRadius(("a",), torch.ones(3, 1).int()), TypeError, "scores of a floating dtype"),
        (lambda: ConformalRadius(("a",), torch.ones(3, 1), 2 * torch.ones(3, 1)), ValueError, r"weights in \[0, 1\]"),
        (lambda: ConformalRadius(("a",), torch.ones(3, 1), torch.ones(3)), ValueError, "weight and labels of one"),
        (lambda: ConformalRadius(("a",), torch.ones(3, 1)).radius(1.0), ValueError, "levels between 0 and 1, got 1.0"),
        (
            lambda: ConformalRadius.from_frame(ConformalRadius(("a", "b"), torch.ones(2, 2)).to_frame()[1:]),
            ValueError, "every point once in every row",
        ),
        (
            lambda: ConformalRadius.from_frame(ConformalRadius(("a",), torch.ones(2, 1)).to_frame()[["row", "point"]]),
            ValueError, r"got none named \['score', 'weight'\]",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error, match=f"^ConformalRadius: expected .*{text}"):
        call()
