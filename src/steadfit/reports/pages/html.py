"""HTML report: one self-contained file, to be read in ten seconds and sent by mail.

Figures are embedded, text is escaped, there are no scripts, and a content security policy forbids loading anything.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

import steadfit
from steadfit._files import write_text
from steadfit.reports.panel import Panel
from steadfit.reports.style import save
from steadfit.reports.values import as_text, flat

SUBTITLE = ("data", "noise", "loss", "network", "seed", "epochs")


@dataclass(frozen=True)
class Card:
    """One large number with its meaning.

    Args:
        title: the name of the number.
        value: the number as text.
        meaning: one sentence.
    """

    title: str
    value: str
    meaning: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """A table of a page.

    Args:
        title: its heading.
        frame: text cells; the index is not shown. If it is empty, only the paragraphs are shown.
        before: a paragraph above.
        after: a paragraph below.
        left: columns that are aligned to the left; the others are aligned to the right.
        best: the index of a row to emphasise; None: no row.
        pictures: PNG or JPEG bytes for a first column, from the first row on.
    """

    title: str
    frame: pd.DataFrame
    before: str = ""
    after: str = ""
    left: Collection[str] = ("method", "loss", "")
    best: object = None
    pictures: Sequence[bytes] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Page:
    """A report.

    Args:
        title: its heading.
        lead: the first sentences: the result.
        sections: figures and tables, in the order of the page.
        subtitle: a line below the heading.
        cards: large numbers.
        metrics: all numbers, in nested mappings; collapsed on the page.
        config: the configuration, likewise collapsed.
    """

    title: str
    lead: str
    sections: Sequence[Panel | Table]
    subtitle: str = ""
    cards: Sequence[Card] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def write_page(page: Page, folder: str | os.PathLike[str], *, figures: str = "figures") -> Path:
    """Write ``report.html`` and the PNG of every panel, and clear the panels' figures.

    Args:
        page: the page to write.
        folder: the folder of the report.
        figures: the folder of the PNG files in it.

    Returns:
        The path of the report.

    Raises:
        ValueError: two panels of one name.
    """
    names = Counter(section.name for section in page.sections if isinstance(section, Panel))
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"write_page: expected panels of different names, got {names[twice[0]]} called {twice[0]!r}.")
    folded = {"All numbers": flat(page.metrics), "Configuration": flat(page.config)}
    environment = Environment(
        loader=PackageLoader("steadfit.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = environment.get_template("page.html").render(
        page=page,
        parts=_parts(page.sections, Path(folder) / figures),
        folded={title: {key: as_text(row) for key, row in rows.items()} for title, rows in folded.items() if rows},
        version=steadfit.__version__,
    )
    return write_text(content, Path(folder) / "report.html")


def _parts(sections: Sequence[Panel | Table], figures: Path) -> list[dict[str, Any]]:
    """The parts that the template shows: tables, and panels that follow each other under one heading."""
    parts: list[dict[str, Any]] = []
    for section in sections:
        if isinstance(section, Table):
            parts.append(_table(section))
            continue
        if not (parts and "figures" in parts[-1]):
            parts.append({"title": "Figures", "figures": []})
        parts[-1]["figures"].append(_figure(section, figures))
    return parts


def subtitle(config: Mapping[str, Any], keys: Sequence[str] = SUBTITLE) -> str:
    """The entries of a configuration that identify a run, as one line."""
    known = flat(config)
    found = {key: known.get(key, known.get(f"settings.{key}")) for key in keys}
    if found.get("noise") is not None:
        found.pop("loss", None)  # the loss of heatmaps, which every network's configuration has
    return ", ".join(f"{key} {as_text(value)}" for key, value in found.items() if value is not None)


def _figure(panel: Panel, folder: Path) -> dict[str, str]:
    """Save a panel's figure, and return what the template shows of it."""
    path = save(panel.figure, folder / f"{panel.name}.png")
    panel.figure.clear()
    return {"title": panel.title, "caption": panel.caption, "uri": _uri(path.read_bytes())}


def _table(table: Table) -> dict[str, Any]:
    heads = [{"name": name, "right": name not in table.left} for name in map(str, table.frame)]
    pictures = [_uri(content) for content in table.pictures] + [""] * len(table.frame)
    rows = [
        {"cells": [str(cell) for cell in cells], "best": label == table.best, "picture": picture}
        for label, cells, picture in zip(table.frame.index, table.frame.to_numpy(), pictures, strict=False)
    ]
    return {
        "title": table.title, "before": table.before, "after": table.after, "heads": heads, "rows": rows,
        "pictures": bool(table.pictures),
    }  # fmt: skip


def _uri(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
