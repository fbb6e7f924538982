"""Drawing a face with OpenCV, from back to front, on a supersampled canvas."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from steadfit.data.drawn.faces import COS, SIN, Colour, Face, Floats, ear, ellipse, lips, mix, patch, project, shell

__all__ = ["SCALE", "Image", "paint"]

Image = NDArray[np.uint8]

SCALE = 3  # supersampling
_SHIFT = 4  # fractional bits of OpenCV's coordinates
_BLACK = (0.0, 0.0, 0.0)


def paint(canvas: Image, face: Face, size: int) -> Image:
    """Draw the person on a canvas.

    Args:
        canvas: the canvas of ``SCALE * size`` px, changed in place.
        face: the person.
        size: the size of the picture in px.

    Returns:
        The mask of the head, 0 or 255.
    """
    mask, brush = np.zeros(canvas.shape[:2], np.uint8), _Brush(face, size)
    if face.style == "long":
        top, drop = shell(face, 0.1, 1.12, back=True), np.array([0.0, face.long_hair, 0.0])
        brush.fill(np.vstack([top, top[-9:] + drop]), mix(face.hair, _BLACK, 0.3), hull=True)
        brush.draw(canvas, mask)
    _body(canvas, face, size)
    _head(brush)
    brush.draw(canvas, mask)
    return mask


@dataclass
class _Stroke:
    outline: Floats  # (P, 3) in head units
    colour: Colour
    hull: bool = False
    width: float | None = None  # of a line; None fills


@dataclass
class _Brush:
    """Collects strokes in head units and paints them together, which needs one projection."""

    face: Face
    size: int
    strokes: list[_Stroke] = field(default_factory=list)

    def fill(self, outline: Floats, colour: Colour, *, hull: bool = False) -> None:
        self.strokes.append(_Stroke(outline, colour, hull))

    def line(self, path: Floats, colour: Colour, width: float) -> None:
        self.strokes.append(_Stroke(path, colour, width=width))

    def faces_camera(self, side: int) -> bool:
        """Whether this side of the head is turned towards the camera."""
        return bool(side * self.face.rotation[2, 0] > 0)

    def draw(self, canvas: Image, mask: Image) -> None:
        """Paint the strokes in their order, also on the mask, and forget them."""
        unit = self.face.height * self.size * SCALE
        pixels = _fixed(project(self.face, np.concatenate([stroke.outline for stroke in self.strokes]), self.size))
        start = 0
        for stroke in self.strokes:
            points = pixels[start : start + len(stroke.outline)]
            start += len(stroke.outline)
            if stroke.width is not None:
                cv2.polylines(canvas, [points], False, stroke.colour, max(1, round(stroke.width * unit)), shift=_SHIFT)
                continue
            points = np.asarray(cv2.convexHull(points), dtype=np.int32) if stroke.hull else points
            cv2.fillPoly(canvas, [points], stroke.colour, shift=_SHIFT)
            cv2.fillPoly(mask, [points], 255, shift=_SHIFT)
        self.strokes.clear()


def _fixed(pixels: Floats) -> NDArray[np.int32]:
    """Pixels to the canvas's fixed-point coordinates; pixel centres stay pixel centres."""
    return np.asarray(np.rint(((pixels + 0.5) * SCALE - 0.5) * 2**_SHIFT), dtype=np.int32)


def _body(canvas: Image, face: Face, size: int) -> None:
    """Draw neck and shoulders, which stay upright."""
    unit, middle = face.height * size, (size - 1) / 2 + size * np.array(face.centre)
    shoulders = _fixed(middle + unit * (np.array([0.0, 2.0]) + np.stack([COS, SIN], -1) * (1.6, 0.8)))
    neck = _fixed(middle + unit * np.array([[-0.42, 0.4], [0.42, 0.4], [0.5, 1.5], [-0.5, 1.5]]))
    cv2.fillPoly(canvas, [shoulders], face.clothes, shift=_SHIFT)
    cv2.fillPoly(canvas, [neck], mix(face.skin, (40, 20, 20), 0.4), shift=_SHIFT)


def _head(brush: _Brush) -> None:
    face = brush.face
    near, far = (1, -1) if brush.faces_camera(1) else (-1, 1)
    if face.style == "short":
        brush.fill(shell(face, 0.2, 1.07, back=True), mix(face.hair, _BLACK, 0.2), hull=True)
    _ear(brush, far)
    brush.fill(shell(face, 1.5, 1.0), face.skin, hull=True)
    for side in (-1, 1):
        brush.fill(ellipse(face, side * 0.6, 0.36, 0.2, 0.13), mix(face.skin, face.lips, 0.25))
    _beard(brush)
    _mouth(brush)
    for side in (-1, 1):
        _eye(brush, side)
    _nose(brush)
    _hair(brush, near)
    _ear(brush, near)
    _glasses(brush)


def _ear(brush: _Brush, side: int) -> None:
    outline, skin = ear(brush.face, side), brush.face.skin
    brush.fill(outline, mix(skin, (200, 80, 70), 0.15))
    middle = outline.mean(0)
    brush.fill(middle + 0.55 * (outline - middle), mix(skin, (90, 30, 30), 0.4))


def _eye(brush: _Brush, side: int) -> None:
    face, (lon, lat, width) = brush.face, brush.face.eye
    lon, height = side * lon, width * face.opening
    white = ellipse(face, lon, lat, width, height)
    brush.fill(white, (240, 238, 232))
    iris, (right, down) = min(height, 0.55 * width), face.gaze
    brush.fill(ellipse(face, lon + right, lat + down, 1.1 * iris, iris), face.iris)
    brush.fill(ellipse(face, lon + right, lat + down, 0.55 * iris, 0.5 * iris), (15, 12, 12))
    brush.line(white[8:], mix(face.skin, (20, 10, 10), 0.75), 0.035)
    t = np.linspace(-1.25, 1.25, 7)
    arch = lat - height - 0.1 - 0.06 * (1 - t**2)
    brush.line(patch(face, lon + width * t, arch), mix(face.hair, (20, 15, 10), 0.4), face.brow)


def _nose(brush: _Brush) -> None:
    """Draw a ridge, a tip and two wings, of which the side away from the light is darker."""
    face, (lat, length, width) = brush.face, brush.face.nose
    lon, lats = np.array([0, -width, width, 0, 0]), np.array([-0.05, lat + 0.05, lat + 0.05, lat + 0.12, lat])
    bridge, left, right, base, tip = patch(face, lon, lats, np.array([0.04, 0.04, 0.04, 0.04, length]))
    shades = (0.32, 0.06) if face.light[0] > 0 else (0.06, 0.32)
    for wing, shade in zip((left, right), shades, strict=True):
        brush.fill(np.stack([bridge, tip, base, wing]), mix(face.skin, (70, 20, 10), shade))
    brush.fill(np.stack([left, tip, right, base]), mix(face.skin, (60, 15, 10), 0.42))
    ball = np.stack([0.085 * COS, 0.075 * SIN, np.zeros_like(COS)], -1)
    brush.fill(tip + ball, mix(face.skin, (255, 235, 220), 0.3))


def _mouth(brush: _Brush) -> None:
    face, opening = brush.face, brush.face.mouth[3]
    brush.fill(lips(face, 0.075 + opening / 2, 0.095 + opening), face.lips)
    if opening > 0:
        brush.fill(lips(face, opening / 2, opening), (70, 20, 25))
    if opening > 0.05:
        brush.fill(lips(face, opening / 2, 0.0), (235, 232, 225))
    brush.line(lips(face, 0.0, 0.0)[:9], mix(face.lips, (30, 0, 0), 0.6), 0.02)


def _beard(brush: _Brush) -> None:
    face, (lat, width, _, opening) = brush.face, brush.face.mouth
    colour, t = mix(face.hair, face.skin, 0.15), np.linspace(-1, 1, 13)
    if face.beard == "moustache":
        brush.line(patch(face, 0.9 * width * t, lat - 0.17 - opening / 2 + 0.1 * t**2), colour, 0.09)
    if face.beard == "full":
        top, bottom = lat - 0.16 - opening / 2 + 0.08 * t**2 - 0.5 * t**8, np.full_like(t, 1.45)
        brush.fill(patch(face, np.append(1.3 * t, 1.2 * t[::-1]), np.append(top, bottom)), colour)


def _hair(brush: _Brush, near: int) -> None:
    face, line = brush.face, brush.face.hairline
    if face.style == "hat":
        _hat(brush)
    elif face.style != "bald":
        brush.fill(shell(face, line, 1.08), face.hair, hull=True)
        reach, nape = (0.75, 0.9) if face.style == "long" else (0.05, 0.35)
        edge = np.linspace(nape, line - 0.1, 5)  # of the head seen from the camera: it bulges, so in small steps
        lon = near * np.concatenate([[0.8, 1.1, 1.18, 1.16, 1.7], np.full(5, 3.0)])  # sideburn, ear, back of the head
        lat = np.concatenate([[line - 0.1, -0.3, 0.5 * reach, reach, reach], edge])
        brush.fill(1.05 * patch(face, lon, lat), face.hair)


def _hat(brush: _Brush) -> None:
    face, line = brush.face, brush.face.hairline
    brush.fill(shell(face, line + 0.05, 1.14), face.clothes, hull=True)
    lon = np.linspace(-1.2, 1.2, 9)
    rim = patch(face, lon, np.full(9, line + 0.02), 0.45 * np.cos(lon))
    brim = np.vstack([rim, 1.1 * patch(face, lon[::-1], np.full(9, line))])
    brush.fill(brim, mix(face.clothes, _BLACK, 0.35))


def _glasses(brush: _Brush) -> None:
    face, (lon, lat, width) = brush.face, brush.face.eye
    if face.glasses == "none":
        return
    for side in (-1, 1):
        rim = ellipse(face, side * lon, lat, 1.5 * width, 1.25 * width, 0.08)
        if face.glasses == "dark":
            brush.fill(rim, (25, 25, 30))
        brush.line(np.append(rim, rim[:1], 0), (30, 25, 30), 0.045)
    inner = lon - 1.5 * width
    brush.line(patch(face, np.array([-inner, inner]), np.full(2, lat), 0.1), (30, 25, 30), 0.045)
