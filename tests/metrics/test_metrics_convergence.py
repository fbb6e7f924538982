"""How soon one method is where another one's best is: levels, first epochs, medians that know "never"."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadfit.metrics.convergence import MEASURES, Convergence, first_reach, middle, summarise

NAN = math.nan


def history(*errors: float, seconds: float = 2.0) -> pd.DataFrame:
    error = np.array(errors, dtype=float)
    epoch = np.arange(1, len(error) + 1)
    return pd.DataFrame({"epoch": epoch, "val_error": error, "val_mean": 2 * error, "seconds": seconds})


def study(first: list[pd.DataFrame], second: list[pd.DataFrame], within: float = 0.0) -> Convergence:
    return summarise({"l2": first, "tukey": second}, within=within)


@given(st.lists(st.floats(0, 10) | st.just(NAN), max_size=8), st.floats(0, 10) | st.just(NAN))
def test_first_reach_is_a_loop(errors: list[float], level: float) -> None:
    slow = None
    for number, error in enumerate(errors, start=1):
        if error <= level:
            slow = number
            break
    assert first_reach(errors, level) == slow


def test_a_study_by_hand() -> None:
    found = study([history(9, 7, 5, 6), history(8, 4, 4, 5)], [history(6, 5, 2, 3, seconds=3), history(9, 9, 4.5, 5)])
    forward, backward = found.forward, found.backward
    assert (forward.method, forward.reference, found.methods) == ("tukey", "l2", ("l2", "tukey"))
    assert forward.level.tolist() == [5, 4]
    assert forward.reference_epochs.tolist() == [3, 2]  # the first of two equal ones
    np.testing.assert_array_equal(forward.epochs, [2, NAN])
    np.testing.assert_array_equal(forward.seconds, [6, NAN])
    assert (forward.reached, forward.seeds) == (1, 2)
    assert np.isnan([forward.speed_up, forward.speed_up_seconds]).all()  # half of the seeds are no majority
    np.testing.assert_array_equal(backward.epochs, [NAN, 2])
    assert backward.level.tolist() == [2, 4.5]
    common = found.forward_common
    assert common.level.tolist() == [5, 5]  # the upper one of 4 and 5
    assert common.epochs.tolist() == [2, 3]
    assert common.reference_epochs.tolist() == [3, 2]
    assert common.speed_up == 1  # 3 by 3
    assert common.speed_up_seconds == 1  # 6 s by 6 s
    assert found.backward_common.level.tolist() == [4.5, 4.5]
    assert found.best("tukey").tolist() == [2, 4.5]


def test_the_runs_are_a_table() -> None:
    found = summarise(
        {"l2": [history(9, 7, 5, 6)], "tukey": [history(6, 5, 2, seconds=4)]}, measure="mean", first_seed=7
    )
    l2, tukey = found.runs.to_dict(orient="records")
    assert tukey == {
        "method": "tukey", "seed": 7, "epochs": 3, "seconds": 12, "best": 4, "best_epoch": 3, "best_seconds": 12,
        "level": 10, "reached_epoch": 2, "reached_seconds": 8, "speed_up": 1.5, "speed_up_seconds": 0.75,
        "common_level": 10, "common_epoch": 2, "common_seconds": 8,
    }  # fmt: skip
    assert (l2["best"], l2["level"]) == (10, 4)
    assert np.isnan([l2["reached_epoch"], l2["speed_up"], l2["common_seconds"]]).all()


def test_a_method_ties_with_itself() -> None:
    rng = np.random.default_rng(0)
    runs = [history(*rng.uniform(1, 9, 20)) for _ in range(4)]
    found = study(runs, runs)
    for race in (found.forward, found.backward, found.forward_common, found.backward_common):
        assert race.speed_up == race.speed_up_seconds == 1
    assert found.forward.reached == 4
    assert found.forward_common.reached == 3  # the upper median of four is reached by three


def test_never_is_later_than_everything() -> None:
    """A method that is fast in one seed and never there in two is not fast."""
    found = study([history(9, 8, 7, 6)] * 3, [history(5, 5, 5, 5), history(7, 7, 7, 7), history(7, 7, 7, 7)]).forward
    assert (found.reached, found.seeds) == (1, 3)
    assert np.isnan(found.speed_up)
    assert found.trained.tolist() == [4, 4, 4]
    found = study([history(9, 8, 7, 6)] * 3, [history(5, 5), history(9, 5), history(7, 7)]).forward
    assert (found.reached, found.speed_up) == (2, 2.0)  # the middle one of 1, 2, never


@given(st.lists(st.integers(1, 99), min_size=1, max_size=9), st.integers(0, 9))
def test_middle_is_the_upper_median(numbers: list[int], never: int) -> None:
    values = [*map(float, numbers), *[NAN] * never]
    padded = sorted([*map(float, numbers), *[math.inf] * never])
    wanted = min(x for x in padded if 2 * sum(y <= x for y in padded) > len(padded))
    assert middle(values[::-1]) == pytest.approx(wanted if wanted < math.inf else NAN, nan_ok=True)


def test_within_counts_for_both() -> None:
    """A last gain of a hair is no convergence: 1 % above its best the reference is there at once, too."""
    slow, quick = history(5.0, 5.0, 5.0, 4.99), history(9, 4.98)
    assert study([slow], [quick]).forward.speed_up == 2
    near = study([slow], [quick], within=0.01).forward
    assert near.level.tolist() == [1.01 * 4.99]
    assert (near.reference_epochs.tolist(), near.speed_up) == ([1], 0.5)


def test_nan_is_no_error() -> None:
    found = study([history(NAN, 5, 4, NAN)], [history(NAN, NAN, 4)])
    assert found.forward.epochs.tolist() == [3]
    assert found.runs["best_epoch"].tolist() == [3, 3]
    diverged = study([history(9, 4), history(NAN, math.inf)], [history(3, 3), history(3, 3)])
    assert (diverged.forward.seeds, diverged.forward.reached) == (1, 1)  # nothing to reach in the other seed
    assert (diverged.backward.seeds, diverged.backward.reached) == (2, 0)
    assert diverged.forward_common.seeds == 2  # the level of all seeds is there
    nothing = study([history(NAN)], [history(3)])
    assert (nothing.forward.seeds, nothing.forward.reached) == (0, 0)
    assert np.isnan(nothing.forward.speed_up)
    assert study([history()], [history()]).forward.seeds == 0


def test_one_epoch() -> None:
    found = study([history(3)], [history(2)])
    assert (found.forward.speed_up, found.backward.reached) == (1, 0)
    assert found.forward.reference_epochs.tolist() == [1]


def test_times_may_be_zero_or_missing() -> None:
    zero = study([history(3, 2)], [history(3, 2, seconds=0)])
    assert (zero.forward.speed_up, zero.forward.seconds.tolist()) == (1, [0])
    assert np.isnan(zero.forward.speed_up_seconds)
    bare = study([history(3, 2).drop(columns="seconds")], [history(3, 2)])
    assert bare.forward.speed_up == 1
    assert np.isnan(bare.forward.speed_up_seconds)
    assert np.isnan(bare.forward.reference_seconds).all()


def test_equal_methods_are_found_equal() -> None:
    """Noise on a plateau: leaving out the seeds that never get there would find speed where there is none."""
    rng = np.random.default_rng(3)

    def runs() -> list[pd.DataFrame]:
        epoch = np.arange(1, 41)
        return [history(*(10 + 20 * np.exp(-0.4 * epoch) + rng.normal(0, 0.3, 40))) for _ in range(3)]

    reached, told, without = [], [], []
    for _ in range(120):
        race = study(runs(), runs()).forward
        reached.append(race.reached / 3)
        told.append(race.speed_up)
        ratios = race.reference_epochs / race.epochs
        without += [float(np.nanmedian(ratios))] if race.reached else []
    assert np.mean(reached) == pytest.approx(0.5, abs=0.08)  # exactly 1/2 by symmetry; deviation .026 over 360 seeds
    assert np.mean(np.nan_to_num(told) > 1.5) < 0.1
    assert np.mean(np.array(without) > 1.5) > 0.2


@pytest.mark.parametrize(
    ("histories", "options", "text"),
    [
        ({"l2": [history(1)]}, {}, "expected two methods, got l2"),
        ({}, {}, "expected two methods, got none"),
        ({name: [history(1)] for name in "abc"}, {}, "expected two methods, got a, b, c"),
        ({"a": [history(1)], "b": []}, {}, r"equally many histories .* got {'a': 1, 'b': 0}"),
        ({"a": [], "b": []}, {}, "at least one"),
        ({"a": [history(1)] * 2, "b": [history(1)]}, {}, r"{'a': 2, 'b': 1}"),
        (
            {"a": [history(1)], "b": [history(1).drop(columns="val_mean")]},
            {"measure": "mean"},
            "a column 'val_mean' in every history, got none of 'b'",
        ),
        (
            {"a": [history(1)], "b": [history(1)]},
            {"measure": "mode"},
            "measure to be one of 'median', 'mean', got 'mode'",
        ),
        ({"a": [history(1)], "b": [history(1)]}, {"within": -0.1}, "within >= 0 and finite, got -0.1"),
        ({"a": [history(1)], "b": [history(1)]}, {"within": NAN}, "within >= 0 and finite, got nan"),
    ],
)
def test_wrong_arguments(histories: dict[str, list[pd.DataFrame]], options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        summarise(histories, **options)  # type: ignore[arg-type]


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match=r"errors of shape \(E,\), got \(1, 2\)"):
        first_reach([[1.0, 2.0]], 1.0)
    assert list(MEASURES) == ["median", "mean"]
