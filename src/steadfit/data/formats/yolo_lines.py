"""Lines of YOLO's label files: class, box and points as shares of the image, exact in both directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np
import numpy.typing as npt

from steadfit.data.formats import expect
from steadfit.data.formats.expect import Misfit

Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
SLACK = 0.01
"""How far outside the image points and boxes may be, as a share of it; Ultralytics allows the same."""
_LONG = 21
"""From this length on a number has more digits than a float64 holds, and is multiplied as a decimal number."""


@dataclass(frozen=True)
class Line:
    """An instance of a label file.

    Args:
        number: the number of its class.
        xyv: (K, 3) points in px, the centre of the first pixel is 0, and v of 0, 1 or 2; NaN where v is 0.
        box: left, top, width and height in px; None for a box without extent.
    """

    number: int
    xyv: Floats
    box: Box | None


def read_line(line: str, size: tuple[float, float], count: int, dimensions: int) -> Line:
    """The instance in a line.

    Args:
        line: the text.
        size: width and height of the image in px.
        count: the number K of points.
        dimensions: values a point: 2 for x, y, where 0, 0 is missing, 3 for x, y, v.

    Raises:
        Misfit: another number of values, or a value that does not fit.
    """
    words = line.split()
    wanted = 5 + count * dimensions
    if len(words) != wanted:
        what = f"a class, a box and {count} points of {dimensions} values"
        raise Misfit(f"expected {wanted} values ({what}), got {len(words)}.")
    values = _numbers(line, words)
    if not (values[0].is_integer() and values[0] >= 0):
        raise Misfit(f"expected the number of a class, got {words[0]}.", "value 1")
    points = values[5:].reshape(count, dimensions)
    codes = points[:, 2] if dimensions == 3 else np.where((points == 0).all(axis=1), 0.0, 2.0)
    known = (codes == 0) | (codes == 1) | (codes == 2)
    if not known.all():
        k = int((~known).argmax())
        raise Misfit(f"expected a visibility of 0, 1 or 2, got {words[7 + 3 * k]}.", f"value {8 + 3 * k}")
    _check_shares(words, values, codes > 0, dimensions)
    xy = points[:, :2] * size
    if max(map(len, words)) >= _LONG:
        for k, d in np.argwhere(_long(words[5:]).reshape(count, dimensions)[:, :2]):
            xy[k, d] = float(_times(words[5 + k * dimensions + d], size[d]))
    xyv = np.column_stack([np.where(codes[:, None] > 0, xy, np.nan), codes])
    return Line(int(values[0]), xyv, _box(words[1:5], values[1:5], size))


def _numbers(line: str, words: Sequence[str]) -> Floats:
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all() or "_" in line:
        for k, word in enumerate(words):
            expect.number(word, f"value {k + 1}")
    return values


def _check_shares(words: Sequence[str], values: Floats, labelled: npt.NDArray[np.bool_], dimensions: int) -> None:
    """Refuse boxes and labelled points that are not shares of the image."""
    far = (values < -SLACK) | (values > 1 + SLACK)
    points = far[5:].reshape(len(labelled), dimensions)
    points[:, 2:] = False
    points &= labelled[:, None]
    far[0] = False
    if far.any():
        k = int(far.argmax())
        raise Misfit(
            f"expected a share of the image's width or height from 0 to 1, got {words[k]}. Ultralytics leaves out the "
            "whole image without a word.",
            f"value {k + 1}",
        )


def _box(words: Sequence[str], values: Floats, size: tuple[float, float]) -> Box | None:
    x, y, width, height = values.tolist()
    if width < 0 or height < 0:
        raise Misfit(f"expected a width and a height of at least 0, got {words[2]} and {words[3]}.", "value 4")
    if width == 0 or height == 0:
        return None
    if not _long(words).any():
        return (x - width / 2) * size[0], (y - height / 2) * size[1], width * size[0], height * size[1]
    sides = [_times(word, size[d % 2]) for d, word in enumerate(words)]
    left, top = float(sides[0] - sides[2] / 2), float(sides[1] - sides[3] / 2)
    return left, top, float(sides[2]), float(sides[3])


def _long(words: Sequence[str]) -> npt.NDArray[np.bool_]:
    return np.array([len(word) >= _LONG for word in words], dtype=bool)


def _times(word: str, size: float) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        return Decimal(word) * Decimal(size)


def line_of(number: int, box: Sequence[float], points: Floats, codes: npt.NDArray[np.int8], size: Floats) -> str:
    """A line with points x, y, v that :func:`read_line` reads back as the same numbers.

    Args:
        number: the number of the class.
        box: left, top, width and height in px.
        points: (K, 2) in px, inside the image.
        codes: (K,) 0, 1 or 2; a point with 0 is written as 0 0 0.
        size: (2,) width and height of the image in px.
    """
    words = [str(number), *_box_words(box, size)]
    for point, code in zip(points, codes.tolist(), strict=True):
        words += point_words(point, code, size)
    return " ".join(words)


def point_words(point: Floats, code: int, size: Floats, dimensions: int = 3) -> list[str]:
    """The values of one point.

    Args:
        point: (2,) in px.
        code: 0, 1 or 2.
        size: (2,) width and height of the image in px.
        dimensions: 2 for x, y; 3 for x, y, v.
    """
    shares = [share(value, total) for value, total in zip(point.tolist(), size.tolist(), strict=True)] if code else []
    return [*(shares or ["0", "0"]), *[str(code)][: dimensions - 2]]


def share(value: float, total: float) -> str:
    """A number of px as a share, as short as it can be read back exactly.

    Args:
        value: px.
        total: px of the whole, > 0.

    >>> share(320.0, 640.0), share(100.0, 640.0), float(share(0.1, 3.0)) * 3.0
    ('0.5', '0.15625', 0.1)
    """
    quotient = value / total
    for near in (quotient, math.nextafter(quotient, -math.inf), math.nextafter(quotient, math.inf)):
        word = np.format_float_positional(near, trim="-")
        if near * total == value and len(word) < _LONG:
            return word
    return _decimal(Decimal(value), total)


def _decimal(value: Decimal, total: float, digits: int = 22) -> str:
    """A share with so many digits that reading multiplies it as a decimal number, which gives the value again."""
    with localcontext() as context:
        context.prec = digits
        word = format(value / Decimal(total), "f")
    return word if len(word) >= _LONG else (word if "." in word else f"{word}.").ljust(_LONG, "0")


def _box_words(box: Sequence[float], size: Floats) -> list[str]:
    """Centre and extent of a box; short where that is exact, else with more digits, which are read as decimals."""
    left, top, width, height = (float(side) for side in box)
    across, down = size.tolist()
    short = [share(left + width / 2, across), share(top + height / 2, down), share(width, across), share(height, down)]
    shares = [float(word) for word in short]
    if not _long(short).any() and _box(short, np.array(shares), (across, down)) == (left, top, width, height):
        return short
    with localcontext() as context:
        context.prec = 60
        centre = Decimal(left) + Decimal(width) / 2, Decimal(top) + Decimal(height) / 2
    sides = (*centre, Decimal(width), Decimal(height))  # left may be much smaller than the centre
    return [_decimal(side, float(size[k % 2]), digits=40) for k, side in enumerate(sides)]
