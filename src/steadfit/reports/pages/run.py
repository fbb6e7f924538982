"""Report of one run: its large numbers, its figures, and the labels to review."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from steadfit.audit import suspects
from steadfit.audit.labels import AXES
from steadfit.reports.overlays import Load
from steadfit.reports.pages.html import Page, Table, subtitle, write_page
from steadfit.reports.pages.summary import cards, run_lead
from steadfit.reports.panel import Panel
from steadfit.reports.residual_histogram import residual_histogram
from steadfit.reports.suspects_gallery import gallery
from steadfit.reports.thumbnails import thumbnails
from steadfit.reports.training_curves import training_curves
from steadfit.reports.values import DASH, as_text, believed, short

ROWS = 50  # the most rows of a table of labels
JOINED = {"given": (*AXES, "value"), "predicted": (*(f"predicted_{axis}" for axis in AXES), "predicted")}


def write_run_page(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    panels: Sequence[Panel],
    listed: Table,
    title: str = "",
    unit: str = "",
) -> Path:
    """Write ``report.html`` and ``figures/`` of a run, whatever its network predicts.

    Args:
        folder: the run folder.
        config: the run's configuration, nested mappings allowed.
        metrics: the run's numbers; :data:`steadfit.reports.pages.summary.CARDS` determines which are shown large.
            Groups such as ``test`` may be nested mappings.
        panels: the figures, in the order of the page, e.g. :func:`label_panels` and others.
        listed: the labels to review: :func:`suspects_table` or :func:`hardest_table`.
        title: the heading; empty: the folder's name.
        unit: the unit of errors and residuals.

    Returns:
        The path of the report.
    """
    page = Page(
        title=title or f"Run {Path(folder).resolve().name}",
        subtitle=subtitle(config),
        lead=run_lead(metrics, unit),
        cards=cards(metrics, unit),
        sections=[*panels, listed],
        metrics=metrics,
        config=config,
    )
    return write_page(page, folder)


def label_panels(
    histories: Mapping[str, pd.DataFrame], table: pd.DataFrame, load: Load | None = None, *, unit: str = ""
) -> list[Panel]:
    """The figures of a run that judges labels: the worst suspects, training, residuals.

    Args:
        histories: the run's history, by the name of its noise model; for a run in several stages one per stage.
        table: the run's table of labels.
        load: gives the image (RGB or grey, uint8) of a path in ``table``; None for tables without images.
        unit: the unit of errors and residuals.
    """
    judged = table[table["split"] == "val"] if "split" in table else table
    truth = float(judged["wrong"].mean()) if "wrong" in table and len(judged) else None
    first = [gallery(table, load, unit=unit)] if load is not None and _pictured(suspects(table)) else []
    curves = training_curves(histories, unit=unit, truth=truth)
    return [*first, curves, *([residual_histogram(table, unit=unit)] if len(table) else [])]


def suspects_table(table: pd.DataFrame, load: Load | None = None) -> Table:
    """The worst suspects of a table of labels, with a thumbnail of each where there are images.

    Args:
        table: a table of labels.
        load: gives the image (RGB or grey, uint8) of a path in ``table``; None for tables without images.
    """
    listed = suspects(table)
    frame, left = _readable(listed.head(ROWS))
    count = f"The worst {ROWS} of {len(listed)}; the" if len(listed) > ROWS else "The"
    found = f"{count} full list is suspects.csv. Look at them from the top: trust 0 means certainly wrong, 1 certainly "
    found += "right."
    pictures = thumbnails(listed, load, count=ROWS) if load is not None and _pictured(listed) else []
    before = found if len(listed) else "No label is suspect."
    return Table(title="Suspect labels", frame=frame, left=left, before=before, pictures=pictures)


def hardest_table(hardest: pd.DataFrame) -> Table:
    """The training images whose labels are least probable to a classifier, the worst first."""
    frame, left = _readable(hardest.head(ROWS))
    note = f"The first {len(frame)} of {len(hardest)} in hardest.csv, by the probability of their label."
    return Table(title="The hardest training images", frame=frame, left=left, before=note)


def _pictured(listed: pd.DataFrame) -> bool:
    return "image" in listed and len(listed) > 0


def _readable(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Text cells, and which columns are words.

    Coordinates and scalars become the texts ``given`` and ``predicted``; ``suspect``, which is true for all, is left
    out.
    """
    rows = rows.drop(columns="suspect", errors="ignore")
    numeric = [name for name in rows if pd.api.types.is_numeric_dtype(rows[name].dtype)]
    left = [str(name) for name in rows if name not in numeric]
    for name, columns in JOINED.items():
        present = [column for column in columns if column in numeric]
        if present:
            values, place = rows[present].to_numpy(dtype=float), list(rows).index(present[0])
            rows = rows.drop(columns=present)
            rows.insert(place, name, [", ".join(short(v) for v in row if v == v) or DASH for row in values])
    cells = {name: [_cell(str(name), value) for value in rows[name]] for name in rows}
    return pd.DataFrame(cells, columns=list(rows)), left


def _cell(name: str, value: Any) -> str:
    if name == "trust":
        return believed(float(value))
    return short(float(value)) if isinstance(value, float) else as_text(value)
