"""Two methods on their way down: the curves, and the report of a convergence study."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from steadfit.metrics.convergence import MEASURES, Convergence, Race, middle, summarise
from steadfit.reports.html import embedded, render
from steadfit.reports.methods import Mark, marks
from steadfit.reports.races import HEADS, Tests, convergence_frame, explained, factor, verdicts
from steadfit.reports.style import FAINT, house_style, legend_above, method_handles, new_figure, no_data, save
from steadfit.reports.values import DASH, as_text, bracketed, flat, seconds, short

Histories = Mapping[str, Sequence[pd.DataFrame]]
Array = NDArray[np.float64]


@house_style()
def convergence_figure(
    histories: Histories, *, measure: str = "median", within: float = 0.0, unit: str = "px"
) -> Figure:
    """Validation error by epoch and by time, and where each of two methods is first at the best of the first one.

    Lines are means over the seeds, in bands to the extremes, as far as every seed was trained. The dashed line is the
    level of the middle seed; a dot is the epoch in which a seed is first at or under the level of its own pair, the
    dotted lines are those of the middle seeds. A method that does not get there in most seeds has no dotted line.

    Args:
        histories, measure, within: as for :func:`steadfit.metrics.convergence.summarise`; without ``seconds`` there is
            no panel of times.
        unit: of the errors.
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
    panels[0].set(ylabel=f"{measure} validation error{bracketed(unit)}")
    _magnitude(panels[0], curves)
    legend_above(figure, method_handles(drawn))
    return figure


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
    axes.set(xlabel="epoch")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


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
    x, error = x[whole], error[whole]
    marker = mark.marker if len(x) == 1 else ""
    axes.plot(x, error.mean(axis=1), color=mark.colour, ls=mark.line, marker=marker)
    if error.shape[1] > 1:
        axes.fill_between(x, error.min(axis=1), error.max(axis=1), color=mark.colour, alpha=0.16, lw=0)


def _level(axes: Axes, race: Race, name: str = "") -> None:
    """A dashed line; its name is below, at the left, for curves come from above."""
    level = middle(race.level)
    if np.isnan(level):
        return
    axes.axhline(level, color=FAINT, ls="--", lw=1.2, zorder=1)
    axes.annotate(f"{name}: {short(level)}" if name else "", (0, level), (4, -3), xycoords=("axes fraction", "data"),
                  textcoords="offset points", va="top", color="#666666", fontsize=9, zorder=5,
                  bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.5} if name else None)  # fmt: skip


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
        axes.annotate(short(at) if at % 1 else f"{at:g}", (at, 1), (-3 if early else 3, -2), color=mark.colour,
                      xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
                      ha="right" if early else "left", fontsize=9.5, fontweight="bold")  # fmt: skip


def _magnitude(axes: Axes, curves: Mapping[str, _Curve]) -> None:
    """A logarithmic axis where the errors span more than one decade."""
    errors = np.concatenate([curve.error.ravel() for curve in curves.values()])
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        no_data(axes, "no validation error was recorded")
    elif errors.min() > 0 and errors.max() > 10 * errors.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")


def report_convergence(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    found: Convergence,
    histories: Histories,
    test: Tests | None = None,
    unit: str = "px",
) -> Path:
    """The figure (``convergence.png``) and ``report.html`` of a convergence study.

    Args:
        folder: the folder of the study.
        config: what both methods had in common.
        found: of :func:`steadfit.metrics.convergence.summarise`. histories: what it was found in.
        test: as for :func:`steadfit.reports.races.convergence_frame`.
        unit: of the errors.

    Returns: the path of the report.
    """
    figure = convergence_figure(histories, measure=found.measure, within=found.within, unit=unit)
    drawn = save(figure, Path(folder) / "convergence.png")
    return render(
        "classes.html",
        Path(folder) / "report.html",
        title="Convergence: " + " and ".join(mark.label for mark in marks(found.methods).values()),
        subtitle=", ".join(f"{key} {as_text(config[key])}" for key in SHOWN if config.get(key) is not None),
        lead=" ".join(verdicts(found, unit=unit, test=test)),
        cards=_cards(found.forward, found.backward),
        tables=[_methods(found, unit, test), _runs(found.runs)],
        figures=embedded({"Validation error": drawn}, {"Validation error": CAPTION}),
        metrics={},
        config={key: as_text(value) for key, value in flat(config).items()},
    )


SHOWN = ("data", "network", "protocol", "epochs", "seeds")
COLUMNS = (
    *("method", "seed", "epochs", "seconds", "best", "best_epoch"),
    *("level", "reached_epoch", "speed_up", "speed_up_seconds"),
)  # of every run; convergence.csv has more
CAPTION = (
    "After every epoch, and by the clock; the mean over the seeds in a band to the extremes. Marks: where each seed is "
    "first at or under the best of the first method in the same seed. Dotted: the middle seed's."
)


def _cards(forward: Race, backward: Race) -> list[dict[str, str]]:
    one, other = (mark.label for mark in marks([forward.reference, forward.method]).values())
    epochs = _places(forward, forward.epochs, forward.reference_epochs, lambda at: f"at epoch {at:g}")
    clock = _places(forward, forward.seconds, forward.reference_seconds, lambda at: f"after {seconds(at)}")
    there, back = (f"{race.reached} of {race.seeds}" for race in (forward, backward))
    cards = [("speed-up in epochs", factor(forward.speed_up), f"At the best validation error of {one}: {epochs}")]
    if np.isfinite(forward.reference_seconds).any():
        cards += [("speed-up in time", factor(forward.speed_up_seconds), f"By the clock: {clock}")]
    cards += [("seeds that get there", there, f"{other} reaches the best of {one}.")]
    cards += [("the other way round", back, f"{one} reaches the best of {other}.")]
    return [{"title": title, "value": value, "meaning": meaning} for title, value, meaning in cards]


def _places(race: Race, method: Array, reference: Array, words: Callable[[float], str]) -> str:
    """Where both are at the level."""
    ends = zip(marks([race.method, race.reference]).values(), (middle(method), middle(reference)), strict=True)
    return ", ".join(f"{mark.label} {'never' if np.isnan(at) else words(at)}" for mark, at in ends) + "."


def _methods(found: Convergence, unit: str, test: Tests | None) -> dict[str, Any]:
    frame = convergence_frame(found, unit=unit, test=test)
    return {
        "title": "Methods",
        "heads": [
            {"name": HEADS.get(name, name).replace("\n", " "), "right": name != "method"} for name in map(str, frame)
        ],
        "rows": [{"cells": list(row), "best": False} for row in frame.to_numpy()],
        "note": explained(found, tested=test is not None),
    }


def _runs(runs: pd.DataFrame) -> dict[str, Any]:
    """Every seed of both methods."""
    drawn, shown = marks(runs["method"]), [name for name in COLUMNS if not runs[name].isna().all()]
    cells = [
        [drawn[value].label if name == "method" else f"{value:.4g}" if value == value else DASH for name, value in row]
        for row in (zip(shown, values, strict=True) for values in runs[shown].itertuples(index=False))
    ]
    return {
        "title": "Every run",
        "heads": [{"name": name.replace("_", " "), "right": name != "method"} for name in shown],
        "rows": [{"cells": row, "best": False} for row in cells],
        "note": "Level: the best of the other method in the same seed. A dash is never. All numbers are in "
        "convergence.csv.",
    }
