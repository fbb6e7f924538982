"""The separators of the cells of a table in text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

OTHERS = (";", "\t", "|")
_SEP_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


def separator(text: str) -> str:
    r"""The separator of a table, by its first two rows: commas wherever these give more than one column.

    Semicolons, tabs or bars are taken for a header that is a single cell with commas; and for one with commas in its
    names, where the next row has as many cells as the header only with them. No table with commas is read in another
    way.

    Args:
        text: the first lines.

    >>> separator("image;x0;y0\na.png;1,5;2\n"), separator("image,size;px\n"), separator("image\na;b.png\n")
    (';', ',', ',')
    >>> separator("angle, deg;x, px\n1.5;2\n"), separator("a;b,c\n1;2,3\n")
    (';', ',')
    """
    columns = {mark: _widths(text, mark) for mark in (",", *OTHERS)}
    best = max(OTHERS, key=lambda mark: columns[mark][0])
    even = {mark: width > 1 and width == next_width for mark, (width, next_width) in columns.items()}
    if columns[best][0] > 1 and (columns[","][0] == 1 or (even[best] and not even[","])):
        return best
    return ","


def told(line: str) -> str | None:
    """The separator that the first line of a spreadsheet's export tells, ``sep=;``; None for any other line."""
    match = _SEP_LINE.fullmatch(line)
    return match[1] if match else None


@contextmanager
def long_cells(size: int) -> Iterator[None]:
    """Let the reader of the standard library read cells of this length; its limit applies to the whole process."""
    before = csv.field_size_limit(max(size, 131_072))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _widths(text: str, mark: str) -> tuple[int, int]:
    """The numbers of cells in the first two rows that are not empty; 0 where one cannot be read with this mark."""
    found: list[int] = []
    try:
        with long_cells(len(text)):
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True):
                found += [len(row)] if row else []
                if len(found) == 2:
                    break
    except csv.Error:
        pass
    first, second, *_ = [*found, 0, 0]
    return first, second
