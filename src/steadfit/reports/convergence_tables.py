"""Convergence of two methods as sentences and as a table: which one reaches the other's best sooner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from steadfit.metrics.convergence import Convergence, Race, middle
from steadfit.reports.methods import marks
from steadfit.reports.terminal import text_table
from steadfit.reports.values import DASH, Results, amount, p_value, short, with_unit

HEADS = {
    "epoch": "at\nepoch", "reached": "other's\nbest at", "seeds": "in\nseeds", "epochs": "sooner\nepochs",
    "seconds": "sooner\ntime",
}  # fmt: skip


def verdict(race: Race, *, unit: str = "", within: float = 0.0) -> str:
    """One race as a sentence: when the method reaches the reference's best, and how much sooner or later.

    Args:
        race: a race from :func:`steadfit.metrics.convergence.summarise`.
        unit: the unit of the errors.
        within: the tolerance above the best within which it counts as reached, relative to it.
    """
    drawn = marks([race.reference, race.method])
    one, other = drawn[race.method].label, drawn[race.reference].label
    if not race.seeds:
        return f"{other} has no validation error that {one} could reach."
    goal = f"{100 * within:g} % above the best validation error" if within else "the best validation error"
    goal += f" of {other} ({amount(middle(race.level), unit)}, epoch {middle(race.reference_epochs):g})"
    counted = f"{race.reached} of {race.seeds} seed{'s' if race.seeds > 1 else ''}"
    if np.isnan(race.speed_up):
        most = " in most seeds" if race.reached else ""
        return f"{one} does not reach {goal} in {race.trained.max():g} epochs{most}; {counted}."
    return f"{one} reaches {goal} at epoch {middle(race.epochs):g}, {_sooner(race.speed_up)}; {counted}."


def verdicts(found: Convergence, *, unit: str = "", test: Results | None = None) -> list[str]:
    """The races of both methods to the other's best, and the errors on the test images, one sentence each.

    Args:
        found: the result of :func:`steadfit.metrics.convergence.summarise`.
        unit: the unit of the errors.
        test: the test errors of each method; None without test images.
    """
    said = [verdict(race, unit=unit, within=found.within) for race in (found.forward, found.backward)]
    if test is None:
        return said
    errors = [
        f"{mark.label} {amount(spread(test[name]['test_error']), unit)}" for name, mark in marks(found.methods).items()
    ]
    p = test[found.methods[1]]["p"]
    sure = "" if p is None else f"; p {p_value(p) if p < 0.001 else '= ' + p_value(p)}"
    return [*said, f"Mean error of the test images: {', '.join(errors)}{sure}."]


def convergence_frame(found: Convergence, *, unit: str = "", test: Results | None = None) -> pd.DataFrame:
    """A convergence study as text cells, one row for each of the two methods, indexed by its name.

    Args:
        found: the result of :func:`steadfit.metrics.convergence.summarise`.
        unit: the unit of the errors.
        test: for each method ``test_error`` (S,), ``p`` (None for the reference) and ``stars``; None without test
            images.
    """
    rows = []
    for race, mark in zip((found.backward, found.forward), marks(found.methods).values(), strict=True):
        own = found.runs[found.runs["method"] == race.method]
        row = {
            "method": mark.label,
            with_unit("best", unit): spread(own["best"]),
            "epoch": epoch(middle(own["best_epoch"])),
            "reached": epoch(middle(race.epochs)),
            "seeds": f"{race.reached}/{race.seeds}",
            "epochs": factor(race.speed_up),
            "seconds": factor(race.speed_up_seconds),
        }
        if test is not None:
            result = test[race.method]
            p = DASH if result["p"] is None else f"{p_value(result['p'])} {result['stars']}".strip()
            row |= {with_unit("test", unit): spread(result["test_error"]), "p": p}
        rows.append(row)
    return pd.DataFrame(rows, index=list(found.methods), dtype=object)


def convergence_table(found: Convergence, *, unit: str = "", test: Results | None = None) -> Table:
    """The cells of :func:`convergence_frame` for a terminal of 80 columns, without p, which :func:`verdicts` has.

    Args:
        found: the result of :func:`steadfit.metrics.convergence.summarise`.
        unit: the unit of the errors.
        test: the test errors, as for :func:`convergence_frame`; None without test images.
    """
    frame = convergence_frame(found, unit=unit, test=test).drop(columns="p", errors="ignore")
    heads = {name: HEADS.get(name, name.replace(" ", "\n", 1)) for name in map(str, frame)}
    return text_table(frame, heads=heads, wrap=("method",))


def spread(values: Any) -> str:
    """Mean ± standard deviation over the seeds that have a number.

    >>> spread([4.0, 6.0]), spread([4.0]), spread([float("nan")])
    ('5.00 ± 1.4', '4.00', '–')
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    text = short(float(known.mean())) if len(known) else DASH
    return f"{text} ± {short(float(known.std(ddof=1)), 2)}" if len(known) > 1 else text


def explained(found: Convergence, *, tested: bool) -> str:
    """The meaning of the columns of :func:`convergence_frame`, below a table that has room for it.

    Args:
        found: the result of :func:`steadfit.metrics.convergence.summarise`.
        tested: whether there are test errors.
    """
    near = f"{100 * found.within:g} % above " if found.within else ""
    text = (
        f"Best: the lowest {found.measure} error of the validation labels, mean over the seeds ± standard deviation, "
        f"and the epoch of it. The other's best: the first epoch at or under {near}the best of the other method in "
        "the same seed, and in how many seeds. Sooner: the other's own epochs (time) to there, divided by these; "
        "above 1 is sooner. Epochs and times are the middle seed's, where a seed that does not get there is later than "
        "all that do. Of two equal methods each reaches the other's best in about half of the seeds."
    )
    if not tested:
        return text
    return text + (
        " Test: mean error of the test images, mean over the seeds ± standard deviation; p of Wilcoxon's signed-rank "
        "test over the images, each with its mean error over the seeds."
    )


def factor(speed_up: float) -> str:
    """How many times sooner.

    >>> factor(1.857), factor(0.5), factor(20.0), factor(float("nan"))
    ('1.86 x', '0.50 x', '20 x', '–')
    """
    return DASH if np.isnan(speed_up) else f"{_times(speed_up)} x"


def epoch(value: float) -> str:
    """An epoch, or never.

    >>> epoch(31.0), epoch(float("nan"))
    ('31', 'never')
    """
    return "never" if np.isnan(value) else f"{value:g}"


def _sooner(speed_up: float) -> str:
    times, word = (speed_up, "sooner") if speed_up >= 1 else (1 / speed_up, "later")
    return "as soon" if speed_up == 1 else f"{_times(times)} times {word}"


def _times(value: float) -> str:
    return f"{value:.2f}" if value < 2 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
