"""Numbers as people and spreadsheets write them: thousands, decimal commas, units, yes and no."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

MISSING = (
    *("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "nan", "NaN", "NAN", "-nan", "-NaN", "null", "NULL", "None"),
)
"""The cells that are no number: those that pandas reads as missing, too."""
WRONG = -np.inf
"""Stands for a cell that is not a number."""
NEARLY_ALL = 0.9
"""The share of a column's cells that must have the same unit."""

_BOOLEANS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_GROUP = "['\u2019 \u00a0\u202f]"
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_SPELLED = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<before>[$€£¥₹]?)\s*(?P<body>[+-]?(?:\d(?:[\d.,'\u2019 \u00a0\u202f]*\d)?[.,]?|[.,]\d+)"
    + _EXPONENT
    + r")\s*(?P<after>[%‰$€£¥₹]|°?[^\W\d_]{0,8}[²³]?(?:/[^\W\d_]{1,8}[²³]?)?)"
)
_DATE = re.compile(
    r"\d{4}([-/.])\d{1,2}\1\d{1,2}(?:[T ].*)?|\d{1,2}([-/.])(?:\d{1,2}|[A-Za-z]{3})\2(?:\d{4}|\d{2})(?: .*)?"
)
_BOTH = {  # unmistakable with a decimal point, and with a decimal comma
    ".": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d*|[+-]?\d{1,3}(?:,\d{3}){2,}"),
    ",": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d*|[+-]?\d{1,3}(?:\.\d{3}){2,}"),
}
_POINT = re.compile(rf"[+-]?\d*\.\d*{_EXPONENT}")
_GROUPED = {
    mark: re.compile(rf"[+-]?\d{{1,3}}(?:{re.escape(other)}\d{{3}})+(?:{re.escape(mark)}\d*)?")
    for mark, other in ((".", ","), (",", "."))
}
_SPACED = re.compile(rf"[+-]?\d{{1,3}}(?:{_GROUP}\d{{3}})+(?:[.,]\d*)?{_EXPONENT}")
_COMMA = re.compile(rf"[+-]?\d*,\d+{_EXPONENT}")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_DOLLARS = ("$", "£")  # are written with a decimal point


@dataclass(frozen=True)
class Reading:
    """A column of text as numbers.

    Args:
        value: (N,), NaN for missing cells, ``WRONG`` for those that are not numbers.
        unit: the unit that (nearly) all cells have; empty for none.
        bare: the number of cells without this unit.
        units: the number of cells of each unit, where these differ.
    """

    value: npt.NDArray[np.float64]
    unit: str = ""
    bare: int = 0
    units: dict[str, int] = field(default_factory=dict)


def read_column(cells: Sequence[str], decimal_comma: bool | None) -> Reading:
    """Numbers, correctly rounded as by Python's ``float``, from the cells of one column.

    Where not all cells are plain numbers, the column as a whole decides how they are written:

    * yes and no, true and false in any case are 1 and 0, if the column has nothing else;
    * thousands are separated by spaces or apostrophes, or by the mark that is not the decimal one: a decimal comma is
      that of the table, and a comma separates thousands if one cell of the column has both marks (``1,234.5``), several
      commas (``1,234,567``), decimals after a point, or ``$``;
    * a unit in front or behind belongs to all cells, if at least nine tenths have it and none has another one.

    Args:
        cells: N cells.
        decimal_comma: whether the table has decimal commas; None where they may be thousands.

    >>> read_column(["12.5 px", "3 px"], False)
    Reading(value=array([12.5,  3. ]), unit='px', bare=0, units={})
    >>> read_column(["1,234.5", "1'000", "1,000"], False).value.tolist()
    [1234.5, 1000.0, 1000.0]
    """
    stripped = [cell.strip() for cell in cells]
    read = partial(_grouped, mark=",") if decimal_comma else number
    value = np.array([read(cell) for cell in stripped], dtype=np.float64)
    bad = np.flatnonzero(value == WRONG).tolist()
    if not bad:
        return Reading(value)
    known = [cell for cell in stripped if cell not in MISSING]
    if all(cell.lower() in _BOOLEANS for cell in known):
        return Reading(np.array([_BOOLEANS.get(cell.lower(), np.nan) for cell in stripped], dtype=np.float64))
    return _spelled(stripped, known, value, bad, bool(decimal_comma))


def _spelled(
    cells: list[str], known: list[str], value: npt.NDArray[np.float64], bad: list[int], comma: bool
) -> Reading:
    found = {k: match for k in bad if (match := _SPELLED.fullmatch(cells[k]))}
    counts = Counter(unit for match in found.values() if (unit := match["before"] + match["after"]))
    unit, count = counts.most_common(1)[0] if counts else ("", 0)
    shared = count > 1 and count >= NEARLY_ALL * len(known)
    bodies = {
        k: match["sign"] + match["body"]
        for k, match in found.items()
        if (own := match["before"] + match["after"]) == "" or (shared and own == unit)
    }
    mark = _decimal_mark([*bodies.values(), *(cell for k, cell in enumerate(cells) if k not in bodies)], comma, unit)
    for k, body in bodies.items():
        value[k] = _grouped(body, mark)
    if mark == "," and not comma:  # 1.234 beside 1.234.567 is a number of thousands
        for k, cell in enumerate(cells):
            value[k] = _grouped(cell, mark) if _GROUPED[","].fullmatch(cell) else value[k]
    bare = len(known) - count if shared else 0
    return Reading(value, unit if shared else "", bare, {} if shared else dict(counts))


def _decimal_mark(bodies: list[str], comma: bool, unit: str) -> str | None:
    """The decimal mark of a column's numbers; None where commas and points in it may mean both."""
    if comma:
        return ","
    points = unit in _DOLLARS or any(map(_BOTH["."].fullmatch, bodies))
    commas = any(map(_BOTH[","].fullmatch, bodies))
    decimals = any(_POINT.fullmatch(body) and not _GROUPED[","].fullmatch(body) for body in bodies)
    if commas:
        return None if points or decimals else ","
    return "." if points or decimals else None


def _grouped(body: str, mark: str | None) -> float:
    """A number whose thousands may be separated."""
    if _SPACED.fullmatch(body):
        body = re.sub(_GROUP, "", body)
    elif mark and _GROUPED[mark].fullmatch(body):
        body = body.replace("," if mark == "." else ".", "")
    return number(with_point(body) if mark == "," else body)


def decimal_comma(cells: Iterable[str]) -> bool | None:
    """Whether numbers have a decimal comma, in a table whose cells are not separated by commas.

    Args:
        cells: the table's cells, at least those with a comma or a point.

    Returns:
        True where at least one number can be read with a decimal comma only, and none has a decimal point; None where
        all numbers with a comma may be thousands as well (``1,234``); else False.

    >>> decimal_comma(["1,5", "1,234"]), decimal_comma(["1,234"]), decimal_comma(["1,5", "2.5"])
    (True, None, False)
    """
    comma = thousands = point = both = False
    for cell in cells:
        body = match["body"] if (match := _SPELLED.fullmatch(cell.strip())) else ""
        if _POINT.fullmatch(body) and "." in body:
            if not _GROUPED[","].fullmatch(body):
                return False
            point = True
        either = bool(_THOUSANDS.fullmatch(body))
        thousands |= either
        both |= bool(_BOTH[","].fullmatch(body))
        comma |= not either and bool(_COMMA.fullmatch(body))
    if point and not both:  # 1.234 has decimals or thousands, and no 1.234,5 says which
        return False
    return True if comma or both else (None if thousands else False)


def with_point(cell: str) -> str:
    """A number with a decimal comma as one with a point; any other cell as it is."""
    return cell.replace(",", ".") if _COMMA.fullmatch(cell.strip()) else cell


def is_ambiguous(cell: str) -> bool:
    """Whether a number's comma may separate thousands as well as decimals."""
    return bool(_THOUSANDS.fullmatch(cell.strip()))


def number(cell: str) -> float:
    """A plain number, NaN for a missing one, ``WRONG`` for anything else."""
    if cell in MISSING:
        return np.nan
    try:
        return float(cell) if "_" not in cell else WRONG  # Python reads 1_000, a table must not
    except ValueError:
        return WRONG


def is_date(cell: str) -> bool:
    """Whether a cell has the form of a date, with or without a time.

    >>> is_date("2024-02-29"), is_date("1.2.2024 10:30"), is_date("1.25")
    (True, True, False)
    """
    return bool(_DATE.fullmatch(cell.strip()))
