"""One look for every figure: readable sizes, no chart junk.

Nothing global is touched: the style lives in a ``matplotlib.rc_context`` around each
function, and figures are built on `matplotlib.figure.Figure` without pyplot.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from steadfit._files import atomic_path
from steadfit.reports.methods import Mark

RIGHT, WRONG, FAINT, INK = "#0072B2", "#D55E00", "#9AA0A6", "#222222"
GIVEN, PREDICTED = "#E5133A", "#00B36B"

RC: Any = {  # newer matplotlib types the keys one by one
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#666666",
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E6E8",
    "grid.linewidth": 0.8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": "standard",
    "svg.hashsalt": "steadfit",
    "text.parse_math": False,  # a dollar in a file name is no formula
}


@contextmanager
def house_style() -> Iterator[None]:
    """The style, inside the block (or the decorated function) only."""
    with matplotlib.rc_context(RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches with constrained layout, on an Agg canvas of its own."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
    """Write a figure atomically, in the format of the path's suffix (png, svg, pdf); returns the path."""
    with house_style(), atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")  # file names in any script
        figure.savefig(temporary, dpi=dpi)
    return Path(path)


def legend_above(figure: Figure, handles: Iterable[Any], *, columns: int = 7) -> None:
    """One legend for the whole figure, over the panels."""
    handles = list(handles)
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(columns, len(handles)))


def method_handles(methods: Mapping[str, Mark], *, markers: bool = False) -> list[Line2D]:
    """Legend entries of the methods."""
    return [
        Line2D([], [], color=mark.colour, ls=mark.line, marker=mark.marker if markers else "", label=mark.label)
        for mark in methods.values()
    ]


def percent_axis(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """Ticks of a share in [0, 1] as percentages."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def no_data(axes: Axes, text: str) -> None:
    """Say that there is nothing to draw, instead of an empty frame."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#666666")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
