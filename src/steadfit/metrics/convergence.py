"""Convergence: epochs and seconds until one method reaches another one's best error, over several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from steadfit._checks import number, one_of

__all__ = ["MEASURES", "Convergence", "Race", "first_reach", "middle", "summarise"]

Vector = NDArray[np.float64]
Histories = Mapping[str, Sequence[pd.DataFrame]]

MEASURES = {"median": "val_error", "mean": "val_mean"}
"""The columns of a history that are errors of the validation labels: their median, their mean."""


def first_reach(errors: ArrayLike, level: float) -> int | None:
    """The first epoch whose error is at or below a level.

    min { e : v_e <= level }, e = 1 … E

    Args:
        errors: (E,) validation errors after every epoch; NaN reaches nothing.
        level: in the errors' unit; NaN is never reached.

    Returns:
        An epoch from 1 to E; None if there is none.

    Raises:
        ValueError: another shape.

    >>> first_reach([9.0, 5.0, 7.0, 4.0], 5.0), first_reach([9.0, 5.0, 7.0, 4.0], 3.0)
    (2, None)
    """
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"first_reach: expected errors of shape (E,), got {values.shape}.")
    reached = np.flatnonzero(values <= level)
    return int(reached[0]) + 1 if len(reached) else None


def middle(values: ArrayLike) -> float:
    """The upper median of epochs or seconds in which "never" (NaN) is later than all numbers; NaN if that is "never".

    With an even number of values it is the upper one of the two middle ones, so that more than half of the seeds
    decide.

    >>> middle([3.0, 9.0]), middle([3.0, 9.0, float("nan")]), middle([3.0, float("nan")])
    (9.0, 9.0, nan)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))  # NaN last
    return float(ordered[len(ordered) // 2]) if len(ordered) else float("nan")


@dataclass(frozen=True, eq=False)
class Race:
    """How soon ``method`` reaches a level of ``reference``, and how soon the reference did, seed by seed.

    S is the number of seeds in which the reference has a level.

    Attributes:
        method: the name of the method.
        reference: the name of the reference.
        level: (S,), in the unit of the errors.
        epochs: (S,), from the start to the method's first epoch at or below the level; NaN if it is never reached.
        seconds: (S,), the same in seconds, cumulated over the epochs.
        reference_epochs: (S,), as ``epochs``, of the reference.
        reference_seconds: (S,), as ``seconds``, of the reference.
        trained: (S,), the epochs for which the method was trained.
    """

    method: str
    reference: str
    level: Vector
    epochs: Vector
    seconds: Vector
    reference_epochs: Vector
    reference_seconds: Vector
    trained: Vector

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.level)

    @property
    def reached(self) -> int:
        """The number of seeds in which the method reaches the level."""
        return int((~np.isnan(self.epochs)).sum())

    @property
    def speed_up(self) -> float:
        """The reference's median epochs over the method's (:func:`middle`): above 1 it is sooner; NaN: never."""
        return _ratio(middle(self.reference_epochs), middle(self.epochs))

    @property
    def speed_up_seconds(self) -> float:
        """The same in seconds; NaN also where none were recorded."""
        return _ratio(middle(self.reference_seconds), middle(self.seconds))


@dataclass(frozen=True, eq=False)
class Convergence:
    """What :func:`summarise` found.

    Attributes:
        measure: as in :func:`summarise`.
        within: as in :func:`summarise`.
        forward: the second method's race to the best error of the first in the same seed.
        backward: the first method's race to the best error of the second.
        forward_common: as ``forward``, to one level for all seeds, the upper median of the bests.
        backward_common: as ``backward``, to one level for all seeds.
        runs: a row for each method and seed: ``method, seed, epochs, seconds`` (of the whole training), ``best,
            best_epoch, best_seconds``, and of the race that the method runs ``level, reached_epoch, reached_seconds,
            speed_up, speed_up_seconds, common_level, common_epoch, common_seconds``.
    """

    measure: str
    within: float
    forward: Race
    backward: Race
    forward_common: Race
    backward_common: Race
    runs: pd.DataFrame

    @property
    def methods(self) -> tuple[str, str]:
        """The reference and the other method."""
        return self.forward.reference, self.forward.method

    def best(self, method: str) -> Vector:
        """A method's best validation error in each seed, (S,); NaN where no epoch has one."""
        return self.runs.loc[self.runs["method"] == method, "best"].to_numpy(dtype=np.float64)


def summarise(
    histories: Histories, *, measure: str = "median", within: float = 0.0, first_seed: int = 0
) -> Convergence:
    """The epochs and seconds that each of two methods needs to reach the other's best validation error.

    level_s = (1 + within) min over e of v_se  of the reference,  reached_s = min { e : v'_se <= level_s }

    The best of a noisy curve is partly luck: of two equal methods each reaches the other's best in half of the seeds
    only, and where it does, often sooner. So consider both directions, ``reached`` out of ``seeds``, and ``within``.

    Args:
        histories: method to its histories, one for each seed in the same order, with the columns ``epoch``,
            ``MEASURES[measure]`` (NaN is no error) and, for times, ``seconds`` (of each epoch). The first of the two
            methods is the reference.
        measure: ``"median"`` or ``"mean"``, over the validation labels.
        within: how far above the best counts as reached, relative to it, >= 0: .02 is 2 %. The same level applies to
            the reference, whose last small gains then do not count.
        first_seed: number of the first seed, for ``runs``.

    Returns:
        The races. A level that is not reached is NaN, and counts in medians as later than every epoch: leaving it out
        would favour a method that is either fast or never there. Seeds in which the reference has no finite error have
        no level, and take no part in its race.

    Raises:
        ValueError: another number of methods than two, no or unequal numbers of seeds, an unknown measure, a history
            without its column, a negative or infinite ``within``.

    References:
        Belagiannis et al., Robust optimization for deep regression, ICCV 2015, Fig. 1 (the claim).

    >>> l2 = pd.DataFrame({"epoch": [1, 2, 3, 4], "val_error": [9.0, 7.0, 5.0, 6.0], "seconds": 2.0})
    >>> tukey = pd.DataFrame({"epoch": [1, 2, 3, 4], "val_error": [5.0, 4.0, 3.0, 3.0], "seconds": 3.0})
    >>> found = summarise({"l2": [l2], "tukey": [tukey]})
    >>> found.forward.speed_up, found.forward.speed_up_seconds, found.backward.reached
    (3.0, 2.0, 0)
    """
    _check(histories, measure, within)
    curves = {name: [_Curve.of(one, MEASURES[measure]) for one in found] for name, found in histories.items()}
    first, second = curves
    races = {
        (method, common): _race(method, reference, curves, within, common=common)
        for method, reference in ((second, first), (first, second))
        for common in (False, True)
    }
    runs = [_rows(name, curves[name], races[name, False], races[name, True], first_seed) for name in curves]
    return Convergence(
        measure=measure,
        within=float(within),
        forward=_with_level(races[second, False]),
        backward=_with_level(races[first, False]),
        forward_common=_with_level(races[second, True]),
        backward_common=_with_level(races[first, True]),
        runs=pd.concat(runs, ignore_index=True),
    )


@dataclass(frozen=True, eq=False)
class _Curve:
    epoch: Vector  # (E,)
    error: Vector  # (E,), NaN for none
    elapsed: Vector  # (E,) seconds from the start to the end of each epoch

    @classmethod
    def of(cls, history: pd.DataFrame, column: str) -> _Curve:
        error = history[column].to_numpy(dtype=np.float64)
        seconds = history["seconds"].to_numpy(dtype=np.float64) if "seconds" in history else np.full(len(error), np.nan)
        return cls(
            history["epoch"].to_numpy(dtype=np.float64), np.where(np.isfinite(error), error, np.nan), seconds.cumsum()
        )

    @property
    def best(self) -> float:
        return float(np.nanmin(self.error)) if np.isfinite(self.error).any() else float("nan")

    def reach(self, level: float) -> tuple[float, float]:
        """The epoch and seconds at which a level is reached; NaN for never."""
        place = first_reach(self.error, level)
        return (float("nan"),) * 2 if place is None else (float(self.epoch[place - 1]), float(self.elapsed[place - 1]))


def _race(method: str, reference: str, curves: Mapping[str, Sequence[_Curve]], within: float, *, common: bool) -> Race:
    """The race over all seeds; where the reference has no level, nothing is reached."""
    level = (1 + within) * np.array([curve.best for curve in curves[reference]])  # (S,)
    if common:
        known = level[~np.isnan(level)]
        level = np.full(len(level), middle(known))
    own, other = (
        np.array([curve.reach(at) for curve, at in zip(curves[name], level, strict=True)])
        for name in (method, reference)
    )  # (S, 2)
    trained = np.array([len(curve.error) for curve in curves[method]], dtype=np.float64)
    return Race(method, reference, level, own[:, 0], own[:, 1], other[:, 0], other[:, 1], trained)


def _with_level(race: Race) -> Race:
    """The race without the seeds in which the reference has no level."""
    keep = ~np.isnan(race.level)
    vectors = (race.level, race.epochs, race.seconds, race.reference_epochs, race.reference_seconds, race.trained)
    return Race(race.method, race.reference, *(vector[keep] for vector in vectors))


def _rows(name: str, curves: Sequence[_Curve], paired: Race, common: Race, first_seed: int) -> pd.DataFrame:
    at_best = np.array([curve.reach(curve.best) for curve in curves])  # (S, 2)
    seeds = range(len(curves))
    return pd.DataFrame({
        "method": name,
        "seed": [first_seed + k for k in seeds],
        "epochs": [len(curve.error) for curve in curves],
        "seconds": [float(curve.elapsed[-1]) if len(curve.elapsed) else 0.0 for curve in curves],
        "best": [curve.best for curve in curves],
        "best_epoch": at_best[:, 0],
        "best_seconds": at_best[:, 1],
        "level": paired.level,
        "reached_epoch": paired.epochs,
        "reached_seconds": paired.seconds,
        "speed_up": [_ratio(paired.reference_epochs[k], paired.epochs[k]) for k in seeds],
        "speed_up_seconds": [_ratio(paired.reference_seconds[k], paired.seconds[k]) for k in seeds],
        "common_level": common.level,
        "common_epoch": common.epochs,
        "common_seconds": common.seconds,
    })  # fmt: skip


def _ratio(reference: float, method: float) -> float:
    return float(reference / method) if method > 0 else float("nan")  # times are rounded, and may be 0


def _check(histories: Histories, measure: str, within: float) -> None:
    one_of("summarise", "measure", measure, MEASURES)
    if not 0 <= number("summarise", "within", within) < float("inf"):
        raise ValueError(f"summarise: expected within >= 0 and finite, got {within}.")
    if len(histories) != 2:
        raise ValueError(f"summarise: expected two methods, got {', '.join(histories) or 'none'}.")
    seeds = {name: len(found) for name, found in histories.items()}
    if len(set(seeds.values())) > 1 or not min(seeds.values()):
        raise ValueError(f"summarise: expected equally many histories of both methods, at least one, got {seeds}.")
    for name, found in histories.items():
        for column in ("epoch", MEASURES[measure]):
            if any(column not in history for history in found):
                raise ValueError(f"summarise: expected a column {column!r} in every history, got none of {name!r}.")
