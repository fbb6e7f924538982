"""The separators of a table in text: between its cells, and in front of the decimals of its numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

OTHERS = (";", "\t")
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")


def separator(text: str) -> str:
    r"""The separator of a table, by its header: commas wherever these give more than one column.

    Semicolons or tabs are taken only for a header that is a single cell with commas, so that no table with commas is
    read in another way.

    >>> separator("image;x0;y0\na.png;1,5;2\n"), separator("image,size;px\n"), separator("image\na;b.png\n")
    (';', ',', ',')
    """
    columns = {mark: _header(text, mark) for mark in (",", *OTHERS)}
    best = max(OTHERS, key=columns.__getitem__)
    return best if columns[","] == 1 and columns[best] > 1 else ","


def decimal_comma(rows: Iterable[list[str]]) -> bool | None:
    """Whether numbers have a decimal comma, in a table whose cells are not separated by commas.

    Args:
        rows: the cells.

    Returns:
        True where at least one number can be read with a decimal comma only, and none has a point; None where all
        numbers with a comma may be thousands as well (``1,234``); else False.

    >>> decimal_comma([["1,5", "1,234"]]), decimal_comma([["1,234"]]), decimal_comma([["1,5", "2.5"]])
    (True, None, False)
    """
    comma = thousands = False
    for row in rows:
        for cell in map(str.strip, row):
            if _POINT.fullmatch(cell):
                return False
            either = bool(_THOUSANDS.fullmatch(cell))
            thousands |= either
            comma |= not either and bool(_COMMA.fullmatch(cell))
    return True if comma else (None if thousands else False)


def with_point(cell: str) -> str:
    """A number with a decimal comma as one with a point; any other cell as it is."""
    return cell.replace(",", ".") if _COMMA.fullmatch(cell.strip()) else cell


def is_ambiguous(cell: str) -> bool:
    """Whether a number's comma may separate thousands as well as decimals."""
    return bool(_THOUSANDS.fullmatch(cell.strip()))


@contextmanager
def long_cells(text: str) -> Iterator[None]:
    """Let the reader of the standard library read cells of any length; its limit applies to the whole process."""
    before = csv.field_size_limit(max(len(text), 131_072))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header(text: str, mark: str) -> int:
    """The number of cells in the first row that is not empty; 0 where it cannot be read with this mark."""
    try:
        with long_cells(text):
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
            return len(next((row for row in rows if row), []))
    except csv.Error:
        return 0
