"""Tables of text cells for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def text_table(
    frame: pd.DataFrame,
    *,
    title: str = "",
    caption: str = "",
    heads: Mapping[str, str] | None = None,
    left: Collection[str] = ("method", "loss", ""),
    wrap: Collection[str] = (),
    bold: pd.DataFrame | None = None,
    gap: int = 1,
    dense: bool = False,
) -> Table:
    """A frame of text cells as a rich table; its index is not shown, and no text in it is markup.

    Args:
        frame: text cells.
        title: a line above the table.
        caption: a line below the table.
        heads: heads of columns, where they are not the column's name; None: all are.
        left: columns that are aligned to the left; the others are aligned to the right.
        wrap: columns whose cells may be broken into lines.
        bold: booleans of the frame's shape; None: nothing is bold.
        gap: the number of blanks between columns.
        dense: True: only one blank between columns.
    """
    table = Table(
        title=Text(title) if title else None, caption=Text(caption) if caption else None, title_justify="left",
        caption_justify="left", box=SIMPLE_HEAD, padding=0 if dense else (0, 0, 0, gap), pad_edge=False,
        collapse_padding=dense,
    )  # fmt: skip
    for name in map(str, frame):
        head, side = (heads or {}).get(name, name), "left" if name in left else "right"
        table.add_column(Text(head), justify=side, no_wrap=name not in wrap)  # type: ignore[arg-type]
    flags = [[False] * frame.shape[1]] * len(frame) if bold is None else bold.to_numpy().tolist()
    for cells, strong in zip(frame.to_numpy(), flags, strict=True):
        table.add_row(*(Text(str(cell), "bold" if flag else "") for cell, flag in zip(cells, strong, strict=True)))
    return table
