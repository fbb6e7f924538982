"""Thumbnails of suspect labels, and the part of an image that shows one."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

from steadfit.reports.overlays import GREEN, RED, WHITE, Image, Load, arrow, as_rgb, cross, encode, line, ring
from steadfit.reports.palette import OUTSIDE, rgb
from steadfit.reports.values import Array

Box = tuple[float, float, float, float]

SMALL = 160  # px: images up to this side are shown whole
BEYOND = 0.5  # image sides: a label farther outside than this is shown by an arrow, not in its place
MARGIN = 0.3  # image sides: the part of the way to such a label that is shown


def thumbnails(suspects: pd.DataFrame, load: Load, *, count: int = 50, side: int = 152) -> list[bytes]:
    """JPEG pictures of the first suspects: given label as a red cross or arrow, predicted one as a green ring.

    Args:
        suspects: the table from :func:`steadfit.audit.suspects`, with ``image``.
        load: gives the image (RGB or grey, uint8) of a path in the table.
        count: the number of pictures.
        side: width and height in px.
    """
    rows = suspects.head(count)
    given, predicted = label_values(rows)
    return [
        encode(thumbnail(load(name), given[i], predicted[i], side=side), ".jpg") for i, name in enumerate(rows["image"])
    ]


def thumbnail(image: Image, given: Array, predicted: Array, *, side: int = 152) -> Image:
    """One square picture around a label; a scalar label shows the whole image.

    Args:
        image: (H, W, 3) RGB or (H, W) grey, uint8.
        given: (2,) in px, or (1,) for a scalar.
        predicted: the prediction, of the same shape.
        side: width and height in px.

    Returns:
        (side, side, 3) RGB, uint8.
    """
    box = view(image, given, predicted)
    left, right, top, _ = box
    scale = side / (right - left)
    # output pixel p shows the input at left + (p + 1/2)/scale
    to_output = np.array([[scale, 0.0, -left * scale - 0.5], [0.0, scale, -top * scale - 0.5]])
    source = as_rgb(image)
    if scale < 0.5:  # averaging before a strong reduction, as a warp alone would skip pixels
        cv2.blur(source, (round(1 / scale), round(1 / scale)), dst=source)
    canvas = np.asarray(
        cv2.warpAffine(source, to_output, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        dtype=np.uint8,
    )
    steps = (np.arange(side) + 0.5) / scale
    canvas[:, (left + steps < -0.5) | (left + steps > image.shape[1] - 0.5)] = rgb(OUTSIDE)
    canvas[(top + steps < -0.5) | (top + steps > image.shape[0] - 0.5)] = rgb(OUTSIDE)
    if len(given) == 2:
        where, inside = in_view(given, predicted, box)
        a, b = (np.asarray(p, dtype=float) * scale + to_output[:, 2] for p in (where, predicted))
        line(canvas, a, b, WHITE, 1.0)
        ring(canvas, b, 0.05 * side, GREEN, 2.0)
        if inside:
            cross(canvas, a, 0.04 * side, RED, 2.0)
        else:
            arrow(canvas, a, np.asarray(given, dtype=float) - where, 0.06 * side, RED)
    return canvas


def label_values(table: pd.DataFrame) -> tuple[Array, Array]:
    """Given and predicted values of a table of labels: (M, 2) points or (M, 1) scalars."""
    given, predicted = (["x", "y"], ["predicted_x", "predicted_y"]) if "x" in table else (["value"], ["predicted"])
    return np.asarray(table[given], dtype=float), np.asarray(table[predicted], dtype=float)


def view(image: Image, given: Array, predicted: Array) -> Box:
    """Left, right, top, bottom of the view in pixels: a square with both labels; small images are shown whole.

    It extends beyond the image for a label outside, but by no more than half the image; :func:`in_view` gives the place
    where a label beyond that is marked.

    Args:
        image: (H, W, 3) RGB or (H, W) grey.
        given: (2,) in px.
        predicted: (2,) in px.
    """
    size = np.array([image.shape[1], image.shape[0]], dtype=float)
    corners = [np.array([-0.5, -0.5]), size - 0.5]
    labels = [_reached(label, size) for label in (given, predicted) if len(label) == 2 and np.isfinite(label).all()]
    whole = size.max() <= SMALL or not labels
    room = 0.05 * size.max()
    reach = np.stack([*(corners if whole else []), *(label + room for label in labels), *(p - room for p in labels)])
    if whole:  # no margin on a side where nothing is outside
        reach = np.where((reach > -0.5 - room) & (reach < size - 0.5 + room), np.clip(reach, -0.5, size - 0.5), reach)
    low, high = reach.min(axis=0), reach.max(axis=0)
    middle, half = (low + high) / 2, float((high - low).max()) / 2
    half = half if whole else max(1.5 * half, 0.16 * float(size.max()))
    x, y = float(middle[0]), float(middle[1])
    return x - half, x + half, y - half, y + half


def _reached(label: Array, size: Array) -> Array:
    """The label, or the end of the part of the way from the image's centre to it that is shown."""
    low, high = -BEYOND * size, (1 + BEYOND) * size
    if ((label >= low) & (label <= high)).all():
        return label
    return _cut(label, size / 2, -MARGIN * size, (1 + MARGIN) * size)


def in_view(point: Array, other: Array, box: Box) -> tuple[Array, bool]:
    """Where a point is marked: in its place or, out of view, at the border on the way from the other point.

    Args:
        point: (2,) in px.
        other: (2,) in px.
        box: the view, as :func:`view` gives it.

    Returns:
        The place, and whether it is the point's own.
    """
    point, other = np.asarray(point, dtype=float), np.asarray(other, dtype=float)
    low, high = np.array([box[0], box[2]]), np.array([box[1], box[3]])
    if not np.isfinite(point).all() or ((point >= low) & (point <= high)).all():
        return point, True
    start = other if ((other >= low) & (other <= high)).all() else (low + high) / 2
    inset = 0.06 * (high - low)
    return _cut(point, start, low + inset, high - inset), False


def _cut(point: Array, start: Array, low: Array, high: Array) -> Array:
    """The last place in [low, high] on the way from ``start`` to ``point``."""
    step = point - start
    room = np.where(step > 0, high - start, low - start)
    share = np.divide(room, step, out=np.ones(2), where=step != 0)
    return np.asarray(start + float(np.clip(share.min(), 0, 1)) * step)
