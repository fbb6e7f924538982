"""The look of every figure: sizes, legends, files.

Nothing global is changed: the style is set by a ``matplotlib.rc_context`` around each function, and figures are built
on :class:`matplotlib.figure.Figure` without pyplot.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from steadfit._files import atomic_path
from steadfit.reports.methods import Mark
from steadfit.reports.palette import INK, NOTE, WHISKER

RC: Any = {  # newer versions of matplotlib type each key
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": NOTE,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E6E8",
    "grid.linewidth": 0.8,
    "xtick.color": WHISKER,
    "ytick.color": WHISKER,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": "standard",
    "svg.hashsalt": "steadfit",
    "text.parse_math": False,  # a dollar in a name is not a formula
}


@contextmanager
def house_style() -> Iterator[None]:
    """Apply the style inside the block (or the decorated function) only."""
    with matplotlib.rc_context(RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure with constrained layout, on its own Agg canvas.

    Args:
        width: in inches.
        height: in inches.
    """
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
    """Write a figure atomically, in the format of the path's suffix (png, svg, pdf).

    Args:
        figure: the figure.
        path: the file.
        dpi: the resolution in dots per inch.

    Returns:
        The path.
    """
    with house_style(), atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")  # file names in any script
        figure.savefig(temporary, dpi=dpi)
    return Path(path)


def legend_above(figure: Figure, handles: Iterable[Any], *, columns: int = 7) -> None:
    """Add one legend for the whole figure, above the panels.

    Args:
        figure: the figure.
        handles: the entries.
        columns: the largest number of columns.
    """
    handles = list(handles)
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(columns, len(handles)))


def method_handles(methods: Mapping[str, Mark], *, markers: bool = False) -> list[Line2D]:
    """Legend entries of the methods."""
    return [
        Line2D([], [], color=mark.colour, ls=mark.line, marker=mark.marker if markers else "", label=mark.label)
        for mark in methods.values()
    ]
