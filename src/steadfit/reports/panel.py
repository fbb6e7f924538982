"""A figure with its words, as every figure function of the reports returns it."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """One figure of a page.

    Attributes:
        name: stem of its PNG file; unique on a page.
        title: heading of the figure.
        caption: one or two sentences that say what is seen, with units.
        figure: the drawing, on a canvas of its own.
    """

    name: str
    title: str
    caption: str
    figure: Figure
