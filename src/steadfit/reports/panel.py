"""A figure with its words, as every figure function of the reports returns it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Panel:
    """One figure of a page.

    Attributes:
        figure: the drawing, on its own canvas.
        title: heading of the figure.
        caption: one or two sentences that say what is seen, with units.
        name: stem of its PNG file; unique on a page.
    """

    figure: Figure
    title: str
    caption: str
    _: KW_ONLY
    name: str
