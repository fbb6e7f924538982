"""The report: one HTML file with everything in it, to be read in ten seconds and mailed.

Figures are embedded, text is escaped, there are no scripts, and a content security policy forbids loading anything.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

import steadfit
from steadfit._files import write_text
from steadfit.audit.suspects import AXES
from steadfit.errors import RunError
from steadfit.reports.headlines import CAPTIONS, Card, cards, compare_lead, run_lead
from steadfit.reports.tables import Results, best_method, comparison_frame
from steadfit.reports.values import DASH, as_text, flat, short

Figures = Mapping[str, str | os.PathLike[str]]

ROWS = 50
JOINED = {"given": (*AXES, "value"), "predicted": (*(f"predicted_{axis}" for axis in AXES), "predicted")}
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


def write_run_report(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    figures: Figures,
    suspects: pd.DataFrame,
    title: str | None = None,
    unit: str = "px",
    captions: Mapping[str, str] | None = None,
    thumbnails: Sequence[bytes] = (),
) -> Path:
    """Write ``report.html`` of a run.

    Args:
        folder: the run folder.
        config: the run's configuration, nested mappings allowed.
        metrics: the run's numbers; `headlines.CARDS` says which are shown large. Groups such as ``test`` may be
            nested mappings.
        figures: title to image file (png, jpg, svg), in the order of the page.
        suspects: the table of `steadfit.audit.suspects`; the first 50 rows are shown.
        title: the heading; by default the folder's name.
        unit: unit of errors and residuals.
        captions: title to a sentence under the figure; by default that of the figure's file name.
        thumbnails: PNG or JPEG bytes for the first rows of ``suspects``.

    Returns:
        The path of the report.

    Raises:
        RunError: a figure is no image file.
    """
    rows = _readable(suspects.head(ROWS))
    return render(
        "run.html",
        Path(folder) / "report.html",
        title=title or f"Run {Path(folder).resolve().name}",
        subtitle=_subtitle(config),
        lead=run_lead(metrics, unit),
        cards=_visible(cards(metrics, unit)),
        figures=embedded(figures, captions or {}),
        heads=_heads(rows, bool(thumbnails)),
        rows=_rows(rows, thumbnails),
        total=len(suspects),
        metrics={key: as_text(value) for key, value in flat(metrics).items()},
        config={key: as_text(value) for key, value in flat(config).items()},
    )


def write_compare_report(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    results: Results,
    figures: Figures,
    title: str | None = None,
    unit: str = "px",
    captions: Mapping[str, str] | None = None,
    against: str = "the best",
    failure: str = "",
) -> Path:
    """Write ``report.html`` of a comparison: which method is best, the table, the figures.

    Args:
        folder: the folder of the comparison.
        config: what all methods had in common.
        results: method to numbers, as for `steadfit.reports.tables.comparison_frame`.
        figures: title to image file, in the order of the page.
        title: the heading.
        unit: unit of the errors.
        captions: title to a sentence under the figure.
        against: what the stars are relative to.
        failure: what a failure is, in words.

    Returns:
        The path of the report.
    """
    frame, best = comparison_frame(results, unit=unit), best_method(results)
    note = (
        "Mean error: the distance of prediction and label, averaged over the test images, ± half of a 95 % interval; "
        f"* p < .05, ** p < .01, *** p < .001 (Wilcoxon signed-rank on per-image errors, Holm's correction) against "
        f"{against}{' (its own stars: better than every other one)' if against == 'the best' else ''}. "
    )
    note += f"Failures: test labels with an {failure}. " if failure else ""
    note += "RMSE: of single coordinates. Suspects: share of the training labels. "
    if "precision" in frame:
        note += (
            "Precision: how many of the suspects are truly wrong. Recall: how many of the wrong labels are among the "
            "suspects; those that are hardly wrong cannot be found."
        )
    return render(
        "compare.html",
        Path(folder) / "report.html",
        title=title or "Comparison of methods",
        subtitle=_subtitle(config),
        lead=compare_lead(results, unit, against),
        heads=[{"name": str(name), "right": name not in ("method", "")} for name in frame],
        rows=[{"cells": list(row), "best": method == best} for method, row in frame.iterrows()],
        note=note,
        figures=embedded(figures, captions or {}),
        config={key: as_text(value) for key, value in flat(config).items()},
    )


def render(template: str, path: Path, **values: Any) -> Path:
    """Write a template of this package, with what it asks for, and the version."""
    environment = Environment(
        loader=PackageLoader("steadfit.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return write_text(environment.get_template(template).render(version=steadfit.__version__, **values), path)


def embedded(figures: Figures, captions: Mapping[str, str]) -> list[dict[str, str]]:
    """Figures for the template ``parts.html``: title, data URI, caption."""
    return [
        {
            "title": title,
            "uri": _embed(Path(path)),
            "caption": captions.get(title) or CAPTIONS.get(Path(path).stem, ""),
        }
        for title, path in figures.items()
    ]


def _embed(path: Path) -> str:
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise RunError(f"report: expected a figure of {', '.join(KINDS)}, got {path}.")
    try:
        return _uri(path.read_bytes(), kind)
    except OSError as error:
        raise RunError(f"report: expected a readable figure, got {path} ({error.strerror}).") from error


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _thumbnail(content: bytes) -> str:
    return _uri(content, "image/png" if content.startswith(b"\x89PNG") else "image/jpeg")


def _visible(items: list[Card]) -> list[dict[str, str]]:
    return [{"title": card.title, "value": card.value, "meaning": card.meaning} for card in items]


def _heads(rows: pd.DataFrame, pictures: bool) -> list[dict[str, Any]]:
    heads = [
        {"name": str(name), "right": name in JOINED or pd.api.types.is_numeric_dtype(rows[name].dtype)} for name in rows
    ]
    return [{"name": "", "right": False}, *heads] if pictures else heads


def _rows(rows: pd.DataFrame, thumbnails: Sequence[bytes]) -> list[list[dict[str, str]]]:
    cells = [
        [{"uri": "", "text": _cell(str(name), row[name])} for name in rows] for row in rows.to_dict(orient="records")
    ]
    if not thumbnails:
        return cells
    pictures = [{"uri": _thumbnail(content), "text": ""} for content in thumbnails[: len(cells)]]
    pictures += [{"uri": "", "text": ""}] * (len(cells) - len(pictures))
    return [[picture, *row] for picture, row in zip(pictures, cells, strict=True)]


def _readable(rows: pd.DataFrame) -> pd.DataFrame:
    """Coordinates and scalars as the texts ``given`` and ``predicted``; ``suspect``, which all are, left out."""
    rows = rows.drop(columns="suspect", errors="ignore")
    for name, columns in JOINED.items():
        present = [column for column in columns if column in rows]
        if present:
            values, place = rows[present].to_numpy(dtype=float), list(rows).index(present[0])
            rows = rows.drop(columns=present)
            rows.insert(place, name, [", ".join(short(v) for v in row if v == v) or DASH for row in values])
    return rows


def _cell(name: str, value: Any) -> str:
    if name == "trust":
        return "< .01" if 0 <= value < 0.01 else f"{value:.2f}"
    return short(float(value)) if isinstance(value, float) else as_text(value)


def _subtitle(config: Mapping[str, Any]) -> str:
    known = flat(config)
    keys = ("data", "noise", "seed", "epochs")
    found = {key: known.get(key, known.get(f"settings.{key}")) for key in keys}
    return ", ".join(f"{key} {as_text(value)}" for key, value in found.items() if value is not None)
