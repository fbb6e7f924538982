"""Validation curves of two methods, and where each reaches the other's best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from steadfit.metrics.convergence import MEASURES, Race, middle, summarise
from steadfit.reports.axes import band, epoch_axis, error_axis, remark
from steadfit.reports.methods import Mark, marks
from steadfit.reports.palette import FAINT
from steadfit.reports.panel import Panel
from steadfit.reports.style import house_style, legend_above, method_handles, new_figure
from steadfit.reports.values import Array, short, with_unit

Histories = Mapping[str, Sequence[pd.DataFrame]]


@house_style()
def convergence_figure(histories: Histories, *, measure: str = "median", within: float = 0.0, unit: str = "") -> Panel:
    """Validation error by epoch and by time, and where each of two methods first reaches the best of the first one.

    Lines are means over the seeds, in bands to the extremes, as far as every seed was trained. The dashed line is the
    level of the middle seed. A dot is the epoch in which a seed is first at or below the level of its pair, and the
    dotted lines are those of the middle seeds. A method that does not reach the level in most seeds has no dotted line.

    Args:
        histories: the histories of each method, as for :func:`steadfit.metrics.convergence.summarise`; without
            ``seconds`` there is no panel of times.
        measure: ``"median"`` or ``"mean"``, the measure of the errors.
        within: the tolerance above a best within which it counts as reached, relative to it.
        unit: the unit of the errors.
    """
    race, drawn = summarise(histories, measure=measure, within=within).forward, marks(histories)
    curves = {name: _Curve.of(found, MEASURES[measure]) for name, found in histories.items()}
    timed = all(len(curve.elapsed) and np.isfinite(curve.elapsed).all() for curve in curves.values())
    figure = new_figure(10.0 if timed else 6.5, 4.4)
    panels = figure.subplots(1, 1 + timed, sharey=True, squeeze=False)[0]
    _by_epoch(panels[0], curves, race, drawn)
    _level(panels[0], race, f"best of {drawn[race.reference].label}" + (f" + {100 * within:g} %" if within else ""))
    if timed:
        _by_time(panels[1], curves, race, drawn)
        _level(panels[1], race)
    panels[0].set(ylabel=with_unit(f"{measure} validation error", unit))
    error_axis(panels[0], np.concatenate([curve.error.ravel() for curve in curves.values()]))
    legend_above(figure, method_handles(drawn))
    caption = (
        f"{with_unit('Validation error', unit)} after every epoch{', and by the clock' if timed else ''}: the "
        "mean over the seeds in a band to the extremes. A mark shows where a seed is first at or under the best of the "
        "first method in the same seed, a dotted line where the middle seed is."
    )
    return Panel(figure, "Validation error", caption, name="convergence")


@dataclass(frozen=True, eq=False)
class _Curve:
    """One method over its seeds, as far as all of them were trained."""

    epoch: Array  # (E,)
    elapsed: Array  # (E,) seconds, mean over the seeds; NaN where none were recorded
    error: Array  # (E, S)

    @classmethod
    def of(cls, found: Sequence[pd.DataFrame], column: str) -> _Curve:
        length = min(len(one) for one in found)
        part = [one.iloc[:length] for one in found]
        seconds = [one["seconds"].cumsum() if "seconds" in one else np.full(length, np.nan) for one in part]
        error = np.stack([one[column].to_numpy(dtype=np.float64) for one in part], axis=1)
        return cls(
            part[0]["epoch"].to_numpy(dtype=np.float64),
            np.mean(seconds, axis=0, dtype=np.float64),
            np.where(np.isfinite(error), error, np.nan),
        )


def _by_epoch(axes: Axes, curves: Mapping[str, _Curve], race: Race, drawn: Mapping[str, Mark]) -> None:
    for name, curve in curves.items():
        _line(axes, curve.epoch, curve.error, drawn[name])
    _finish(axes, race, drawn, race.reference_epochs, race.epochs)
    epoch_axis(axes)
    axes.set_xlim(left=0)


def _by_time(axes: Axes, curves: Mapping[str, _Curve], race: Race, drawn: Mapping[str, Mark]) -> None:
    longest = max(curve.elapsed[-1] for curve in curves.values())
    size, unit = (1, "s") if longest < 200 else (60, "min") if longest < 12000 else (3600, "h")
    for name, curve in curves.items():
        _line(axes, curve.elapsed / size, curve.error, drawn[name])
    _finish(axes, race, drawn, race.reference_seconds / size, race.seconds / size)
    axes.set(xlabel=f"time ({unit})")
    axes.set_xlim(left=0)


def _line(axes: Axes, x: Array, error: Array, mark: Mark) -> None:
    """Mean and extremes where every seed has an error."""
    whole = ~np.isnan(error).any(axis=1)
    band(axes, x[whole], error[whole].T, mark)


def _level(axes: Axes, race: Race, name: str = "") -> None:
    """A dashed line; its name is below, at the left, for curves come from above."""
    level = middle(race.level)
    if np.isnan(level):
        return
    axes.axhline(level, color=FAINT, ls="--", lw=1.2, zorder=1)
    if name:
        remark(
            axes, f"{name}: {short(level)}", (0, level), (4, -3), xycoords=("axes fraction", "data"), va="top",
            zorder=5, bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.5},
        )  # fmt: skip


def _finish(axes: Axes, race: Race, drawn: Mapping[str, Mark], reference: Array, method: Array) -> None:
    """A dot for each seed, and a dotted line with its place for the middle one; the earlier one's is on its left."""
    ends = {race.reference: reference, race.method: method}
    order = sorted(ends, key=lambda name: (np.isnan(middle(ends[name])), middle(ends[name])))
    for name, x in ends.items():
        mark, at = drawn[name], middle(x)
        axes.plot(x, race.level, color=mark.colour, ls="", marker=mark.marker, ms=6.5, mec="white", mew=0.7, zorder=4)
        if np.isnan(at):
            continue
        axes.axvline(at, color=mark.colour, ls=":", lw=1.4, zorder=1)
        early = name == order[0]
        text, aside = short(at) if at % 1 else f"{at:g}", (-3, "right") if early else (3, "left")
        remark(axes, text, (at, 1), (aside[0], -2), color=mark.colour, va="top", ha=aside[1], fontsize=9.5,
               fontweight="bold")  # fmt: skip
