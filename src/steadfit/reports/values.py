"""Numbers for readers: three significant digits, units, and a dash where there is nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DASH = "\N{EN DASH}"
STARS = "* p < .05, ** p < .01, *** p < .001"

Array = NDArray[np.float64]
Results = Mapping[str, Mapping[str, Any]]  # method to its numbers


def number(result: Mapping[str, Any], key: str) -> float:
    """A number of a result; NaN where it is absent or None."""
    value = result.get(key)
    return float("nan") if value is None else float(value)


def short(value: float, digits: int = 3) -> str:
    """Three significant digits without exponents where they would surprise; a dash for NaN.

    >>> short(0.012345), short(3.14159), short(1234.5), short(float("nan"))
    ('0.0123', '3.14', '1234', '–')
    """
    if math.isnan(value):
        return DASH
    if math.isinf(value) or value == 0:
        return "0" if value == 0 else ("∞" if value > 0 else "-∞")
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 <= magnitude <= 9:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(digits - 1 - magnitude, 0)}f}"


def percent(value: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage.

    >>> percent(0.1234), percent(1.0), percent(float("nan"))
    ('12.3 %', '100 %', '–')
    """
    if math.isnan(value):
        return DASH
    return f"{100 * value:.{0 if value in (0, 1) else digits}f} %"


def believed(trust: float) -> str:
    """A trust or probability in [0, 1], to two decimals.

    >>> believed(0.25), believed(0.004)
    ('0.25', '< .01')
    """
    return "< .01" if 0 <= trust < 0.01 else f"{trust:.2f}"


def seconds(value: float) -> str:
    """A duration in the unit that suits it.

    >>> seconds(4.21), seconds(71.2), seconds(754.0), seconds(7900.0)
    ('4.2 s', '71 s', '13 min', '2.2 h')
    """
    if math.isnan(value):
        return DASH
    size, unit = (1, "s") if value < 100 else (60, "min") if value < 6000 else (3600, "h")
    return f"{value / size:.{1 if value < 10 * size else 0}f} {unit}"


def count(value: int) -> str:
    """A whole number with thin groups of three.

    >>> count(1234567)
    '1 234 567'
    """
    return f"{value:,}".replace(",", " ")


def mean_interval(result: Mapping[str, Any]) -> float:
    """Half of the 95 % interval of the mean error over images, by the normal approximation; NaN if unknown."""
    error = np.asarray(result.get("error", ()), dtype=float)
    error = error[np.isfinite(error)]
    return float(1.96 * error.std(ddof=1) / np.sqrt(error.size)) if error.size > 1 else float("nan")


def rate_interval(result: Mapping[str, Any]) -> float:
    """Half of the 95 % interval of the failure rate over images, by the normal approximation; NaN if unknown."""
    rate, count = number(result, "failure_rate"), np.isfinite(np.asarray(result.get("error", ()), dtype=float)).sum()
    return float(1.96 * np.sqrt(max(rate * (1 - rate), 0.0) / count)) if count and np.isfinite(rate) else float("nan")


def star_text(result: Mapping[str, Any]) -> str:
    """The significance stars of a result, empty where there are none."""
    return str(result.get("stars") or "").strip()


def p_value(value: float) -> str:
    """A p-value.

    >>> p_value(0.0004), p_value(0.0312), p_value(float("nan"))
    ('< .001', '.031', '–')
    """
    if math.isnan(value):
        return DASH
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def with_unit(quantity: str, unit: str) -> str:
    """A quantity with its unit, as axes and columns name it; without a unit the quantity alone.

    >>> with_unit("error", "px"), with_unit("error", " ")
    ('error (px)', 'error')
    """
    unit = one_line(unit)
    return f"{quantity} ({unit})" if unit else quantity


def amount(value: float | str, unit: str) -> str:
    """A number with its unit; without a unit the number alone.

    >>> amount(1.404, "mm"), amount("1.40 ± .02", "")
    ('1.40 mm', '1.40 ± .02')
    """
    return f"{value if isinstance(value, str) else short(value)} {one_line(unit)}".rstrip()


def capital(text: str) -> str:
    """The text with a capital first letter, the others as they are.

    >>> capital("strict PCP")
    'Strict PCP'
    """
    return text[:1].upper() + text[1:]


def one_line(text: str) -> str:
    r"""A name as one line: control characters such as line ends become spaces, and the ends are stripped.

    >>> one_line(" eye\n")
    'eye'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def as_text(value: Any) -> str:
    """Any value of a configuration or of metrics as one short line."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return short(float(value), 4)
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(as_text(item) for item in value) or DASH
    return str(value)


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one level, keys joined by a dot.

    >>> flat({"a": 1, "b": {"c": 2}})
    {'a': 1, 'b.c': 2}
    """
    rows: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            rows.update(flat(item, f"{prefix}{key}."))
        else:
            rows[f"{prefix}{key}"] = item
    return rows
