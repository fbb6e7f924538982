"""Option strings and YAML values, turned into the fields of a schema."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from steadfit.errors import DataError, SchemaError

NAME_LISTS = ("points", "targets", "classes", "features", "categories")
PAIR_LISTS = ("pairs", "limbs")


def parse_pairs(text: str, points: Sequence[str] = ()) -> tuple[tuple[int, int], ...]:
    """Pairs of points from an option string, by names or indices.

    Args:
        text: pairs joined by ``-`` and separated by commas.
        points: the points' names; without them only indices are understood.

    Raises:
        DataError: a pair whose two ends are not both known.

    >>> parse_pairs("0-1,3-4")
    ((0, 1), (3, 4))
    >>> parse_pairs("left_eye-right_eye", ("left_eye", "right_eye"))
    ((0, 1),)
    """
    return tuple(_parse_pair(item.strip(), points) for item in text.split(",") if item.strip())


def did_you_mean(name: str, known: Collection[str]) -> str:
    """A closing sentence that suggests the nearest known name, or lists the known ones if they are few."""
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known: {', '.join(known)}." if 0 < len(known) <= 20 else ""


def _parse_pair(text: str, points: Sequence[str]) -> tuple[int, int]:
    parts = text.split("-")
    for cut in range(1, len(parts)):  # names may contain a hyphen
        ends = ["-".join(parts[:cut]).strip(), "-".join(parts[cut:]).strip()]
        if all(end in points or end.isdecimal() for end in ends):
            return _index(ends[0], points), _index(ends[1], points)
    raise wrong(f"a pair of points such as '0-1', got {text!r}", did_you_mean(text, points))


def _index(value: object, points: Sequence[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if value in points:
        return points.index(str(value))
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    raise wrong(f"a point's name or index, got {value!r}", did_you_mean(str(value), points))


def coerce(key: str, value: Any, points: Sequence[str]) -> Any:
    """The value of a schema's field, from plain containers or an option string.

    Args:
        key: the name of the field.
        value: the value.
        points: the points' names, for pairs by name.

    Raises:
        SchemaError: a value of another kind.
    """
    if key in NAME_LISTS:
        return names_of(key, value)
    if key in PAIR_LISTS:
        return _pairs(key, value, points)
    if key == "normalizer":
        return _normalizer(value, points)
    if key == "box":
        return _box(value)
    if key == "box_margin":
        return _margin(key, value)
    if key in _OTHERS:
        return _OTHERS[key](key, value)
    if not isinstance(value, str):
        raise wrong(f"{key} to be a word, got {value!r}")
    return value


def names_of(key: str, value: Any) -> tuple[str, ...]:
    """Names from a list, or from a string with commas."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    if not isinstance(value, Sequence) or not all(isinstance(name, str | int) for name in value):
        raise wrong(f"{key} to be a list of names, got {value!r}")
    return tuple(str(name) for name in value)


def _pairs(key: str, value: Any, points: Sequence[str]) -> tuple[tuple[int, int], ...]:
    if isinstance(value, str):
        return parse_pairs(value, points)
    if not isinstance(value, Sequence):
        raise wrong(f"{key} to be a list of pairs of points, got {value!r}")
    return tuple(_pair(key, item, points) for item in value)


def _pair(key: str, item: Any, points: Sequence[str]) -> tuple[int, int]:
    if isinstance(item, str):
        return _parse_pair(item, points)
    if not isinstance(item, Sequence) or len(item) != 2:
        raise wrong(f"every one of {key} to be two points, got {item!r}")
    return _index(item[0], points), _index(item[1], points)


def _normalizer(value: Any, points: Sequence[str]) -> float | str | tuple[int, int]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return _pair("normalizer", value, points)
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return _parse_pair(value, points)
    except DataError:
        return value


def _box(value: Any) -> str | tuple[str, ...] | None:
    """Four columns, ``"points"``, or None for ``"image"``."""
    names = names_of("box", value)
    return None if names == ("image",) else names[0] if names == ("points",) else names


def _margin(key: str, value: Any) -> float | tuple[float, float]:
    """A share, or a pair in px; as a string ``"20,10"``."""
    parts = value.split(",") if isinstance(value, str) and "," in value else value
    if not isinstance(parts, list | tuple):
        return _number(key, value)
    if len(parts) != 2:
        raise wrong(f"{key} to be a share or two numbers of px, got {value!r}")
    return _number(key, parts[0]), _number(key, parts[1])


def _number(key: str, value: Any) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise wrong(f"{key} to be a number, got {value!r}")


def _numbers(key: str, value: Any) -> tuple[float, ...]:
    """Finite numbers from a list, one number, or a string with commas."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    found = tuple(_number(key, part) for part in parts)
    if not all(map(math.isfinite, found)):
        raise wrong(f"{key} to be finite numbers, got {value!r}")
    return found


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(f"{key} to be true or false, got {value!r}")
    return value


def _by_name(key: str, value: Any) -> tuple[tuple[str, float], ...]:
    """Numbers by name, from a list of pairs."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, list | tuple) and len(one) == 2 for one in value):
        raise wrong(f"{key} to be a list of names with numbers, got {value!r}")
    return tuple((str(name), _number(key, number)) for name, number in value)


def _whole(key: str, value: Any) -> int:
    number = _number(key, value)
    if not number.is_integer():
        raise wrong(f"{key} to be a whole number, got {value!r}")
    return int(number)


_OTHERS: Mapping[str, Callable[[str, Any], Any]] = {
    "missing": _numbers,
    "impute": _flag,
    "medians": _by_name,
    "origin": _whole,
}


def wrong(fact: str, remedy: str = "") -> SchemaError:
    """The error for a value that a schema cannot have."""
    return SchemaError(f"expected {fact}.{remedy}")
