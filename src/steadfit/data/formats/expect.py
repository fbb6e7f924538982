"""Values of JSON, YAML and XML documents, checked for their kind, with errors that say where."""

from __future__ import annotations

import math
from typing import Any

from steadfit.data.tables.cells import shorten


class Misfit(ValueError):
    """A value that a format does not allow.

    Args:
        reason: ``expected <rule>, got <fact>.``
        where: the place of the value below that of its row, such as ``keypoints[3]``; empty for the row itself.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason)
        self.reason, self.where = reason, where

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


def mapping(value: Any, where: str = "") -> dict[str, Any]:
    """A mapping whose keys are text.

    Args:
        value: the value.
        where: its place, for the message.

    Raises:
        Misfit: anything else.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise Misfit(f"expected keys and values, got {fact(value)}.", where)
    return value


def sequence(value: Any, where: str = "") -> list[Any]:
    """A list.

    Args:
        value: the value.
        where: its place, for the message.

    Raises:
        Misfit: anything else.
    """
    if not isinstance(value, list):
        raise Misfit(f"expected a list, got {fact(value)}.", where)
    return value


def text(value: Any, where: str = "") -> str:
    """Text that is not empty; whole numbers are taken as their digits.

    Args:
        value: the value.
        where: its place, for the message.

    Raises:
        Misfit: anything else.
    """
    found = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(found, str) or not found.strip():
        raise Misfit(f"expected text, got {fact(value)}.", where)
    return found


def number(value: Any, where: str = "", *, missing: bool = False) -> float:
    """A finite number, as such or as text.

    Args:
        value: the value.
        where: its place, for the message.
        missing: whether NaN, null and empty text are allowed; they give NaN.

    Raises:
        Misfit: anything else.

    >>> number("2.5"), number(None, missing=True)
    (2.5, nan)
    """
    if type(value) is float and math.isfinite(value):
        return value  # most of them, at once
    absent = value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan"))
    if missing and absent:
        return math.nan
    try:
        plain = isinstance(value, int | float | str) and not isinstance(value, bool) and "_" not in str(value)
        found = float(value) if plain else math.inf
    except (ValueError, OverflowError):
        found = math.inf
    if math.isfinite(found) or (missing and math.isnan(found)):
        return found
    raise Misfit(f"expected a finite number, got {fact(value)}.", where)


def whole(value: Any, where: str = "") -> int:
    """A whole number.

    Args:
        value: the value.
        where: its place, for the message.

    Raises:
        Misfit: anything else.
    """
    found = number(value, where)
    if not found.is_integer():
        raise Misfit(f"expected a whole number, got {fact(value)}.", where)
    return int(found)


def box(value: Any, where: str = "") -> tuple[float, float, float, float]:
    """Left, top, width and height, the last two above 0.

    Args:
        value: a list of four numbers.
        where: its place, for the message.

    Raises:
        Misfit: anything else.
    """
    found = [number(side, where) for side in sequence(value, where)]
    if len(found) != 4 or not (found[2] > 0 and found[3] > 0):
        raise Misfit(f"expected left, top, width > 0 and height > 0, got {fact(value)}.", where)
    return found[0], found[1], found[2], found[3]


def fact(value: Any) -> str:
    """A value as it is shown in a message."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return f"a mapping of {len(value)} keys"
    if isinstance(value, list) and len(value) > 6:
        return f"a list of {len(value)} values"
    return shorten(value) if isinstance(value, str) else shorten(str(value)).strip("'\"")
