"""A figure with its title and caption, as every figure function of the reports returns it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Panel:
    """One figure of a page.

    Args:
        figure: the drawing, on its own canvas.
        title: the heading of the figure.
        caption: one or two sentences that describe what is visible, with units.
        name: the stem of its PNG file, unique on a page.
    """

    figure: Figure
    title: str
    caption: str
    _: KW_ONLY
    name: str
