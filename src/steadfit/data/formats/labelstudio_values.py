"""The values of a Label Studio result: percents of the image as px."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steadfit.data.formats import expect
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.instances import Box, Floats

DIGITS = 9
"""Decimals of a px to which percents are converted: a percent has about 16 digits."""
_LARGEST = 2**31


@dataclass(frozen=True)
class Mark:
    """A key point.

    Args:
        name: its label.
        value: the mapping with ``x`` and ``y`` in percent.
        entry: the result that contains it, with its sizes, ``meta`` and ``id``.
        siblings: the list that contains the result.
        where: its place in the annotation, such as ``result[3]``.
        also: other mappings of the same result with ``x`` and ``y``.
    """

    name: str
    value: dict[str, Any]
    entry: dict[str, Any]
    siblings: list[Any]
    where: str
    also: tuple[dict[str, Any], ...] = ()

    @property
    def visible(self) -> int:
        """1 where our own writer noted that the point is occluded, else 2."""
        meta = self.entry.get("meta")
        return 1 if isinstance(meta, dict) and meta.get("visible") == 1 else 2


@dataclass(frozen=True)
class Frame:
    """The rectangle of an instance.

    Args:
        value: the mapping with ``x``, ``y``, ``width``, ``height`` and perhaps ``rotation``.
        entry: the result that contains it.
        where: its place in the annotation, such as ``result[3]``.
    """

    value: dict[str, Any]
    entry: dict[str, Any]
    where: str


def size_of(entry: Mapping[str, Any], usual: tuple[float, float] | None) -> tuple[float, float]:
    """Width and height in px by which percents are multiplied.

    Args:
        entry: a result.
        usual: the size of the image's file, for old exports without sizes; None for unknown.

    Raises:
        Misfit: there is no size, or the image was turned in Label Studio.
    """
    width, height, turned = (entry.get(key) for key in ("original_width", "original_height", "image_rotation"))
    if type(width) is int and type(height) is int and not turned and 0 < width < _LARGEST and 0 < height < _LARGEST:
        return width, height
    if expect.number(turned or 0, "image_rotation") % 360:
        raise Misfit(
            f"expected an image as it is in its file, got one turned by {entry['image_rotation']} degrees in Label "
            "Studio. Turn it back there and correct its points, or leave it out.",
            "image_rotation",
        )
    if width is None and height is None:
        if usual is None:
            raise Misfit(
                "expected original_width and original_height, got none, and the image was not found. Name the folder "
                "of the images with --images (images=...)."
            )
        return usual
    sides = expect.number(width, "original_width"), expect.number(height, "original_height")
    if min(sides) < 1:
        raise Misfit(f"expected a size above 0, got {expect.fact(min(sides))}.", "original_width")
    return sides


def place_of(mark: Mark, usual: tuple[float, float] | None) -> tuple[float, float]:
    """A key point in px.

    Args:
        mark: the key point.
        usual: as for :func:`size_of`.

    Raises:
        Misfit: it has no finite coordinates, or its image no size.
    """
    width, height = size_of(mark.entry, usual)
    x, y = mark.value.get("x"), mark.value.get("y")
    if not (type(x) is float and type(y) is float and math.isfinite(x) and math.isfinite(y)):
        x, y = (expect.number(mark.value.get(key), f"{mark.where}.value.{key}") for key in "xy")
    return round(x * width / 100, DIGITS), round(y * height / 100, DIGITS)


def box_of(frame: Frame | None, usual: tuple[float, float] | None) -> Box | None:
    """The box of a rectangle; None for none, and for one that our own writer made of points alone.

    A turned rectangle gives the upright one around it.

    Args:
        frame: the rectangle.
        usual: as for :func:`size_of`.

    Raises:
        Misfit: its sides are not above 0, or a value is no number.
    """
    if frame is None:
        return None
    meta = frame.entry.get("meta")
    if isinstance(meta, dict) and meta.get("box") == "points":
        return None
    width, height = size_of(frame.entry, usual)
    where = f"{frame.where}.value"
    x, y, w, h = (expect.number(frame.value.get(key), f"{where}.{key}") for key in ("x", "y", "width", "height"))
    left, top, w, h = x * width / 100, y * height / 100, w * width / 100, h * height / 100
    if turn := math.radians(expect.number(frame.value.get("rotation") or 0, f"{where}.rotation")):
        c, s = math.cos(turn), math.sin(turn)  # around the left upper corner
        across, down = (0, w * c, -h * s, w * c - h * s), (0, w * s, h * c, w * s + h * c)
        left, top, w, h = left + min(across), top + min(down), max(across) - min(across), max(down) - min(down)
    return expect.box([round(side, DIGITS) for side in (left, top, w, h)], where)


def percents(xy: Sequence[float] | Floats, size: Sequence[float] | Floats) -> tuple[float, float]:
    """A length in px along both axes as percents of the image, so that reading gives the same px again.

    Args:
        xy: two lengths in px.
        size: width and height of the image in px.

    >>> percents((12.0, 5.0), (24.0, 20.0))
    (50.0, 25.0)
    """
    return round(float(xy[0]), DIGITS) / float(size[0]) * 100, round(float(xy[1]), DIGITS) / float(size[1]) * 100
