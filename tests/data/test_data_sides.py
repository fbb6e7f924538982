"""Left and right by the observer: whole persons, whatever is missing, once and for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from steadfit.data import Schema, load_annotations, observer_centric
from steadfit.errors import DataError

PAIRS = ((0, 1), (2, 3))
FRONT = np.array([[10.0, 5.0], [30.0, 5.0], [12.0, 50.0], [28.0, 50.0], [20.0, 0.0]])
BACK = FRONT[[1, 0, 3, 2, 4]]


def test_a_person_seen_from_behind_is_exchanged() -> None:
    found, seen, swapped = observer_centric(np.stack([FRONT, BACK]), PAIRS)
    np.testing.assert_array_equal(found, np.stack([FRONT, FRONT]))
    assert seen is None
    assert swapped.tolist() == [False, True]


def test_crossed_legs_go_with_the_person() -> None:
    crossed = FRONT.copy()
    crossed[[2, 3], 0] = [22.0, 18.0]
    np.testing.assert_array_equal(observer_centric(crossed[None], PAIRS)[0][0], crossed)


def test_twice_is_once_and_mirroring_commutes() -> None:
    target = np.random.default_rng(0).uniform(0, 60, (50, 5, 2))
    once = observer_centric(target, PAIRS)[0]
    np.testing.assert_array_equal(observer_centric(once, PAIRS)[0], once)
    mirrored = once[:, [1, 0, 3, 2, 4]] * [-1, 1] + [59, 0]
    np.testing.assert_array_equal(observer_centric(mirrored, PAIRS)[0], mirrored)


def test_visibility_goes_along_and_missing_points_do_not_vote() -> None:
    visible = np.array([[True, False, True, True, False]])
    target = BACK.copy()[None]
    target[0, 2] = np.nan
    found, seen, swapped = observer_centric(target, PAIRS, visible)
    assert swapped.all()
    assert seen is not None
    assert seen.tolist() == [[False, True, True, True, False]]
    assert np.isnan(found[0, 3]).all()
    blind = np.full((1, 5, 2), np.nan)
    assert not observer_centric(blind, PAIRS)[2].any()
    assert observer_centric(target, ())[0] is target


def test_tables_are_read_by_the_observer(rows: list[str], write: Callable[..., Path]) -> None:
    path = write(rows)
    plain = load_annotations(path, Schema(points=("a", "b"), pairs=((0, 1),)))
    seen = load_annotations(path, Schema(points=("a", "b"), pairs=((0, 1),), sides="observer"))
    np.testing.assert_array_equal(seen.target, observer_centric(plain.target, ((0, 1),))[0])
    assert (seen.target[:, 0, 0] <= seen.target[:, 1, 0]).all()
    with pytest.raises(DataError, match="sides 'person' or 'observer', got 'viewer'"):
        Schema(sides="viewer")
