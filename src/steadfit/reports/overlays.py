"""Points drawn into images, for the pictures of ``predict`` and the thumbnails of the report.

The centre of the first pixel is (0, 0). An image enlarged ``s`` times therefore shows the point (x, y) at ((x + 1/2)·s
- 1/2, (y + 1/2)·s - 1/2), to a fraction of a pixel.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from steadfit._files import write_bytes
from steadfit.errors import DataError
from steadfit.reports.palette import EDGE, GIVEN, MIDDLE, PREDICTED, limb_colour, rgb, side_colours

Image = NDArray[np.uint8]
Load = Callable[[str], Image]  # gives the image, RGB or grey, of a path in a table
Colour = tuple[int, int, int]

SIDE = 384  # px, the least longer side of an enlarged image
SHIFT = 4  # OpenCV draws at 1/16 px
RED, GREEN, WHITE, DARK = rgb(GIVEN), rgb(PREDICTED), rgb("#FFFFFF"), rgb(EDGE)
PALETTE: tuple[Colour, ...] = (
    (0, 200, 120), (86, 180, 233), (255, 176, 0), (204, 121, 167), (240, 228, 66), (120, 94, 240), (0, 158, 115),
    (254, 97, 0),
)  # fmt: skip


def draw_points(
    image: Image,
    predicted: ArrayLike,
    *,
    given: ArrayLike | None = None,
    ellipses: ArrayLike | None = None,
    limbs: Sequence[tuple[int, int]] = (),
    pairs: Sequence[tuple[int, int]] = (),
    scale: float | None = None,
) -> Image:
    """The image, enlarged if it is small, with predicted points as dots and given ones as red crosses.

    With limbs and pairs it is a stick figure whose two sides have two colours, so that exchanged sides are visible.

    Args:
        image: (H, W, 3) RGB or (H, W) grey, uint8.
        predicted: (K, 2) in pixels of ``image``; rows with NaN, and points far outside, are left out.
        given: (K, 2), annotated points; each is joined to its prediction by a thin line. None: none are drawn.
        ellipses: (K, 2, 2) in square pixels: around a point p the ellipse (y - p)^T E^-1 (y - p) = 1 is drawn. A
            covariance gives the ellipse of one standard deviation. None: none are drawn.
        limbs: pairs of point indices joined by lines.
        pairs: left and right points, as indices; without limbs they change nothing.
        scale: the enlargement; None: the smallest whole number that brings the longer side to 384 px.

    Returns:
        (round(H·scale), round(W·scale), 3) RGB, uint8; the input is not changed.

    Raises:
        TypeError: the image is not uint8.
        ValueError: a shape or the scale is wrong.
    """
    canvas = as_rgb(image)
    points = _points("predicted", predicted, None)
    height, width = canvas.shape[:2]
    scale = max(1.0, float(math.ceil(SIDE / max(height, width)))) if scale is None else float(scale)
    canvas = enlarge(canvas, scale)
    points = to_enlarged(points, scale)
    pen = max(1.0, max(canvas.shape[:2]) / SIDE)
    sided = bool(limbs and pairs)
    sides = side_colours(len(points), pairs)
    palette = [rgb(colour) for colour in sides] if sided else colours(len(points))
    if sided:
        _sticks(canvas, points, limbs, sides, pen)
    else:
        for a, b in limbs:
            line(canvas, points[a], points[b], (230, 230, 230), 1.5 * pen)
    if given is not None:
        labels = to_enlarged(_points("given", given, points.shape), scale)
        for label, point in zip(labels, points, strict=True):
            line(canvas, label, point, WHITE, 1.0 * pen)
            cross(canvas, label, 5.0 * pen, RED, 1.8 * pen)
    if ellipses is not None:
        shapes = np.asarray(ellipses, dtype=np.float64)
        if shapes.shape != (len(points), 2, 2):
            raise ValueError(f"draw_points: expected ellipses of shape {(len(points), 2, 2)}, got {shapes.shape}.")
        for point, shape, colour in zip(points, shapes * scale**2, palette, strict=True):
            ellipse(canvas, point, shape, colour, 1.6 * pen)
    for point, colour in zip(points, palette, strict=True):
        _dot(canvas, point, 4.8 * pen, DARK if sided else WHITE)
        _dot(canvas, point, 3.6 * pen, colour)
    return canvas


def _sticks(
    canvas: Image, points: NDArray[np.float64], limbs: Sequence[tuple[int, int]], sided: Sequence[str], pen: float
) -> None:
    """Draw limbs with dark edges, in place; a limb of one side has its colour, one across has none and is below."""
    drawn = [(limb, limb_colour(limb, sided)) for limb in limbs]
    for (a, b), colour in sorted(drawn, key=lambda one: one[1] != MIDDLE):
        for paint, width in ((DARK, 5.0), (rgb(colour), 3.0)):
            line(canvas, points[a], points[b], paint, width * pen)


def colours(count: int) -> list[Colour]:
    """The colour of each of ``count`` points; a point keeps its colour in every image."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    ramp = np.linspace(20, 235, count).round().astype(np.uint8)[:, None]
    table = cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO)[:, 0, ::-1]  # BGR to RGB
    return [(int(r), int(g), int(b)) for r, g, b in table]


def to_enlarged(points: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Pixel coordinates in the enlarged image: the edges of pixels are scaled, not their centres."""
    return (points + 0.5) * scale - 0.5


def enlarge(image: Image, scale: float) -> Image:
    """The image enlarged, by cubic interpolation (by area means when it shrinks).

    Args:
        image: (H, W, 3) RGB, uint8.
        scale: the factor, > 0.

    Raises:
        ValueError: a scale that is not positive and finite.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"draw_points: expected scale > 0 and finite, got {scale}.")
    if scale == 1:
        return image.copy()
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.ascontiguousarray(
        cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA), dtype=np.uint8
    )


def as_rgb(image: NDArray[Any]) -> Image:
    """A new (H, W, 3) uint8 image from a grey or RGB one.

    Raises:
        TypeError: the image is not uint8.
        ValueError: another shape.
    """
    if image.dtype != np.uint8:
        raise TypeError(f"draw_points: expected an image of uint8, got {image.dtype}. Scale it to 0 to 255.")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"draw_points: expected an image of shape (H, W, 3) or (H, W), got {image.shape}.")
    return np.ascontiguousarray(image).copy()


def encode(image: Image, suffix: str = ".png") -> bytes:
    """The bytes of an RGB image in the format of ``suffix``.

    Raises:
        DataError: a format that OpenCV does not write.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 88] if suffix in (".jpg", ".jpeg") else []
    if not cv2.haveImageWriter(f"x{suffix}"):
        raise DataError(f"write_image: expected an image format that OpenCV writes, got {suffix!r}. Use .png or .jpg.")
    _, content = cv2.imencode(suffix, np.ascontiguousarray(image[:, :, ::-1]), options)
    return bytes(content.tobytes())


def write_image(image: Image, path: str | os.PathLike[str]) -> Path:
    """Write an RGB image atomically, in the format of the path's suffix; return the path."""
    return write_bytes(encode(image, Path(path).suffix.lower()), path)


def _points(name: str, value: ArrayLike, shape: tuple[int, ...] | None) -> NDArray[np.float64]:
    points = np.asarray(value, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"draw_points: expected {name} of shape (K, 2), got {points.shape}.")
    if shape is not None and points.shape != shape:
        raise ValueError(f"draw_points: expected {name} of shape {shape} like predicted, got {points.shape}.")
    return points


def _fixed(canvas: Image, point: NDArray[np.float64]) -> tuple[int, int] | None:
    """OpenCV's fixed-point numbers; None for a missing point or one farther away than the image is large."""
    reach = 2.0 * max(canvas.shape[:2])
    if not np.isfinite(point).all() or np.abs(point).max() > reach:
        return None
    x, y = np.round(point * (1 << SHIFT)).astype(int)
    return int(x), int(y)


def _dot(canvas: Image, point: NDArray[np.float64], radius: float, colour: Colour) -> None:
    centre = _fixed(canvas, point)
    if centre is not None:
        cv2.circle(canvas, centre, round(radius * (1 << SHIFT)), colour, cv2.FILLED, cv2.LINE_AA, SHIFT)


def ring(canvas: Image, point: NDArray[np.float64], radius: float, colour: Colour, width: float) -> None:
    """Draw a circle with a white edge, in place.

    Args:
        canvas: the image, (H, W, 3) uint8.
        point: (2,), its centre in px.
        radius: in px.
        colour: RGB.
        width: the width of the line in px.
    """
    centre = _fixed(canvas, point)
    if centre is not None:
        for paint, pen in ((WHITE, width + 2.0), (colour, width)):
            cv2.circle(canvas, centre, round(radius * (1 << SHIFT)), paint, max(1, round(pen)), cv2.LINE_AA, SHIFT)


def ellipse(
    canvas: Image, point: NDArray[np.float64], shape: NDArray[np.float64], colour: Colour, width: float
) -> None:
    """Draw the curve (y - point)^T shape^-1 (y - point) = 1 with a white edge, in place; nothing if it isn't finite.

    Args:
        canvas: the image, (H, W, 3) uint8.
        point: (2,), its centre in px.
        shape: (2, 2), in square px.
        colour: RGB.
        width: the width of the line in px.
    """
    centre = _fixed(canvas, point)
    if centre is None or not np.isfinite(shape).all():
        return
    squares, axes = np.linalg.eigh(shape)
    reach = 2.0 * max(canvas.shape[:2])  # longer half-axes leave the picture anyway
    half = np.minimum(np.sqrt(np.maximum(squares, 0.0)), reach)
    angle = math.degrees(math.atan2(axes[1, 1], axes[0, 1]))
    size = round(half[1] * (1 << SHIFT)), round(half[0] * (1 << SHIFT))
    for paint, pen in ((WHITE, width + 1.6), (colour, width)):
        cv2.ellipse(canvas, centre, size, angle, 0, 360, paint, max(1, round(pen)), cv2.LINE_AA, SHIFT)


def line(canvas: Image, a: NDArray[np.float64], b: NDArray[np.float64], colour: Colour, width: float) -> None:
    """Draw a line, in place.

    Args:
        canvas: the image, (H, W, 3) uint8.
        a: (2,), one end in px.
        b: (2,), the other end in px.
        colour: RGB.
        width: the width of the line in px.
    """
    start, end = _fixed(canvas, a), _fixed(canvas, b)
    if start is not None and end is not None:
        cv2.line(canvas, start, end, colour, max(1, round(width)), cv2.LINE_AA, SHIFT)


def cross(canvas: Image, point: NDArray[np.float64], arm: float, colour: Colour, width: float) -> None:
    """Draw a diagonal cross with a white edge, in place.

    Args:
        canvas: the image, (H, W, 3) uint8.
        point: (2,), its centre in px.
        arm: the length of its arms in px.
        colour: RGB.
        width: the width of the lines in px.
    """
    for tilt in (1.0, -1.0):
        step = np.array([arm, arm * tilt])
        line(canvas, point - step, point + step, WHITE, width + 2.0)
    for tilt in (1.0, -1.0):
        step = np.array([arm, arm * tilt])
        line(canvas, point - step, point + step, colour, width)


def arrow(
    canvas: Image, tip: NDArray[np.float64], direction: NDArray[np.float64], length: float, colour: Colour
) -> None:
    """Draw an arrow's head with a white edge, in place.

    Args:
        canvas: the image, (H, W, 3) uint8.
        tip: (2,), in px.
        direction: (2,), of any length.
        length: the length of the head in px.
        colour: RGB.
    """
    norm = float(np.linalg.norm(direction))
    if not (np.isfinite(norm) and norm > 0):
        return
    ahead = length * direction / norm
    aside = np.array([-ahead[1], ahead[0]]) * 0.6
    corners = np.stack([tip + 0.6 * ahead, tip - 0.6 * ahead + aside, tip - 0.6 * ahead - aside])
    outline = [np.round(corners * (1 << SHIFT)).astype(np.int32)]
    cv2.polylines(canvas, outline, True, WHITE, 3, cv2.LINE_AA, SHIFT)
    cv2.fillPoly(canvas, outline, colour, cv2.LINE_AA, SHIFT)
