"""Report of a convergence study: which of two methods reaches the other's best sooner."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steadfit.metrics.convergence import Convergence, Race, middle
from steadfit.reports.convergence_curves import Histories, convergence_figure
from steadfit.reports.convergence_tables import HEADS, convergence_frame, explained, factor, verdicts
from steadfit.reports.methods import marks
from steadfit.reports.pages.html import Card, Page, Table, subtitle, write_page
from steadfit.reports.values import DASH, Array, Results, seconds

SHOWN = ("data", "network", "protocol", "epochs", "seeds")
COLUMNS = (
    *("method", "seed", "epochs", "seconds", "best", "best_epoch"),
    *("level", "reached_epoch", "speed_up", "speed_up_seconds"),
)  # the columns of every run; convergence.csv has more


def write_convergence_page(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    found: Convergence,
    histories: Histories,
    test: Results | None = None,
    unit: str = "",
) -> Path:
    """Write ``report.html`` and ``convergence.png`` of a convergence study.

    Args:
        folder: the folder of the study.
        config: what both methods have in common.
        found: the result of :func:`steadfit.metrics.convergence.summarise`.
        histories: the histories from which it was computed.
        test: the test errors, as for :func:`steadfit.reports.convergence_tables.convergence_frame`; None without test
            images.
        unit: the unit of the errors.

    Returns:
        The path of the report.
    """
    page = Page(
        title="Convergence: " + " and ".join(mark.label for mark in marks(found.methods).values()),
        subtitle=subtitle(config, SHOWN),
        lead=" ".join(verdicts(found, unit=unit, test=test)),
        cards=_cards(found.forward, found.backward),
        sections=[
            convergence_figure(histories, measure=found.measure, within=found.within, unit=unit),
            _methods(found, unit, test),
            _runs(found.runs),
        ],
        config=config,
    )
    return write_page(page, folder, figures=".")


def _cards(forward: Race, backward: Race) -> list[Card]:
    one, other = (mark.label for mark in marks([forward.reference, forward.method]).values())
    epochs = _places(forward, forward.epochs, forward.reference_epochs, lambda at: f"at epoch {at:g}")
    clock = _places(forward, forward.seconds, forward.reference_seconds, lambda at: f"after {seconds(at)}")
    there, back = (f"{race.reached} of {race.seeds}" for race in (forward, backward))
    in_epochs = f"At the best validation error of {one}: {epochs}"
    timed = np.isfinite(forward.reference_seconds).any()
    return [
        Card("speed-up in epochs", factor(forward.speed_up), in_epochs),
        *([Card("speed-up in time", factor(forward.speed_up_seconds), f"By the clock: {clock}")] if timed else []),
        Card("seeds that get there", there, f"{other} reaches the best of {one}."),
        Card("the other way round", back, f"{one} reaches the best of {other}."),
    ]


def _places(race: Race, method: Array, reference: Array, words: Callable[[float], str]) -> str:
    """Where both methods reach the level."""
    ends = zip(marks([race.method, race.reference]).values(), (middle(method), middle(reference)), strict=True)
    return ", ".join(f"{mark.label} {'never' if np.isnan(at) else words(at)}" for mark, at in ends) + "."


def _methods(found: Convergence, unit: str, test: Results | None) -> Table:
    frame = convergence_frame(found, unit=unit, test=test)
    frame.columns = pd.Index([HEADS.get(name, name).replace("\n", " ") for name in map(str, frame)])
    return Table(title="Methods", frame=frame, after=explained(found, tested=test is not None))


def _runs(runs: pd.DataFrame) -> Table:
    """Every seed of both methods."""
    drawn, shown = marks(runs["method"]), [name for name in COLUMNS if not runs[name].isna().all()]
    frame = runs[shown].map(
        lambda value: value if isinstance(value, str) else DASH if value != value else f"{value:.4g}"
    )
    frame["method"] = [drawn[name].label for name in runs["method"]]
    return Table(
        title="Every run",
        frame=frame.rename(columns=lambda name: name.replace("_", " ")),
        after="Level: the best of the other method in the same seed. A dash means never. All numbers are in "
        "convergence.csv.",
    )
