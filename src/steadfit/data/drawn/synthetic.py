"""Drawn faces for the demo: posed, lit, half hidden and photographed, with exact labels.

Labels are in pixels, with the centre of the first pixel at (0, 0). Image i depends on (seed, i) alone. "Left" and
"right" are as seen in the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from steadfit.data.drawn.drawing import SCALE, Image, paint
from steadfit.data.drawn.faces import Face, Floats, labels, mix, vary

__all__ = ["LIMBS", "PAIRS", "POINTS", "draw_faces", "write_dataset"]

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth", "left_ear", "right_ear")
PAIRS = ((0, 1), (3, 4), (5, 6))
LIMBS = ((5, 0), (0, 2), (2, 1), (1, 6), (2, 3), (2, 4), (3, 4))
FACE_WIDTH = 0.64  # mean distance of the ears of a frontal face, over the image's size


def draw_faces(n: int, *, size: int = 64, seed: int = 0) -> tuple[Image, Floats]:
    """Draw faces with exact labels.

        point = centre + scale·perspective(R(yaw, pitch, roll)·surface(longitude, latitude))

    Pose, shape, colours, light, background, occlusion, blur and noise vary; a hidden point keeps its label.

    Args:
        n: the number of images, >= 0.
        size: width and height in px, >= 16.
        seed: >= 0; image i depends on (seed, i) alone.

    Returns:
        Images ``(n, size, size, 3)`` RGB uint8, and points ``(n, 7, 2)`` as x, y in px in the order of ``POINTS``.

    Raises:
        ValueError: n, size or seed out of range.

    Numerics:
        Labels are float64 and exact; pixels may differ by a grey level between versions of OpenCV.

    >>> images, points = draw_faces(2, size=48)
    >>> images.shape, points.shape
    ((2, 48, 48, 3), (2, 7, 2))
    """
    _check("draw_faces", n, size, seed)
    images, points = np.empty((n, size, size, 3), dtype=np.uint8), np.empty((n, len(POINTS), 2))
    for i, (image, where) in enumerate(_faces(range(n), size, seed)):
        images[i], points[i] = image, where
    return images, points


def write_dataset(folder: Path | str, *, n_train: int, n_val: int, n_test: int, size: int = 64, seed: int = 0) -> Path:
    """Write PNG images, ``annotations.csv`` and ``dataset.yaml``: a data set as ``steadfit fit`` reads it.

    Args:
        folder: made if needed; files of an earlier call are overwritten.
        n_train: number of training images, >= 0, as are the next two.
        n_val: number of validation images.
        n_test: number of test images.
        size: width and height in px, >= 16.
        seed: >= 0; image i depends on (seed, i) alone, training images first.

    Returns:
        The path of ``annotations.csv``: columns image, split, x0, y0, … in px.

    Raises:
        ValueError: a number out of range.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_dataset(folder, n_train=2, n_val=1, n_test=1, size=16).read_text()[:32])
    image,split,x0,y0,x1,y1,x2,y2,x3
    """
    splits = ["train"] * n_train + ["val"] * n_val + ["test"] * n_test
    for count in (n_train, n_val, n_test):
        _check("write_dataset", count, size, seed)
    root = Path(folder)
    (root / "images").mkdir(parents=True, exist_ok=True)
    rows: list[list[Any]] = []
    for i, (image, points) in enumerate(_faces(range(len(splits)), size, seed)):
        name = f"images/{i:05d}.png"
        cv2.imwrite(str(root / name), image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        rows.append([name, splits[i], *points.ravel().round(4)])
    columns = [f"{axis}{k}" for k in range(len(POINTS)) for axis in "xy"]
    pd.DataFrame(rows, columns=["image", "split", *columns]).to_csv(root / "annotations.csv", index=False)
    (root / "dataset.yaml").write_text(_description(size), encoding="utf-8")
    return root / "annotations.csv"


def _check(who: str, n: int, size: int, seed: int) -> None:
    for name, value, low in (("the number of images", n, 0), ("size", size, 16), ("seed", seed, 0)):
        if value < low:
            raise ValueError(f"{who}: expected {name} >= {low}, got {value}.")


def _description(size: int) -> str:
    about = {
        "points": list(POINTS),
        "pairs": [list(pair) for pair in PAIRS],
        "limbs": [list(limb) for limb in LIMBS],
        "normalizer": round(FACE_WIDTH * size, 4),
        "units": "px",
    }
    return yaml.safe_dump(about, sort_keys=False, default_flow_style=None)


def _faces(indices: range, size: int, seed: int) -> Iterator[tuple[Image, Floats]]:
    for i in indices:
        rng = np.random.default_rng([seed, i])
        face = Face.draw(rng)
        canvas = _background(size * SCALE, rng)
        mask = paint(canvas, face, size)
        _occlude(canvas, mask, face, rng)
        yield _photograph(canvas, mask, face, size, rng), labels(face, size)


def _background(side: int, rng: np.random.Generator) -> Image:
    """A smooth random field with shapes in front of it."""
    cells = int(rng.integers(2, 9))
    base, spread = rng.uniform(50, 205, 3), rng.uniform(5, 80)
    colours = np.clip(base + rng.uniform(-spread, spread, (cells, cells, 3)), 0, 255)
    muted = (0.5 * colours + 0.5 * colours.mean(-1, keepdims=True)).astype(np.uint8)
    canvas = np.asarray(cv2.resize(muted, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    for _ in range(int(rng.integers(0, 9))):
        _clutter((canvas,), rng.uniform(0, side, 2), rng.uniform(0.05, 0.3) * side, rng)
    return canvas


def _clutter(layers: tuple[Image, ...], centre: Floats, radius: float, rng: np.random.Generator) -> None:
    """One disc, ring, bar or polygon, in a colour on the first layer and in black on the others."""
    kind, tilt, turn = rng.integers(4), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    corners = 16 if kind < 2 else 4 + int(rng.integers(4))
    reach = radius * np.array(((1.0, 1.0), (1.0, 1.0), (1.8, 0.3), rng.uniform(0.6, 1.2, 2))[kind])
    angles = turn + np.arange(corners) * (2 * np.pi / corners)
    cos, sin = np.cos(tilt), np.sin(tilt)
    shape = np.stack([np.cos(angles), np.sin(angles)], -1) * reach @ np.array([[cos, sin], [-sin, cos]])
    outline = [np.rint(centre + shape).astype(np.int32)]
    colour = vary((128, 128, 128), 127, rng)
    for layer, paint_in in zip(layers, (mix(colour, (128, 128, 128), 0.35), *[(0, 0, 0)] * 3), strict=False):
        if kind == 0:
            cv2.polylines(layer, outline, True, paint_in, max(1, int(radius / 4)))
        else:
            cv2.fillPoly(layer, outline, paint_in)


def _occlude(canvas: Image, mask: Image, face: Face, rng: np.random.Generator) -> None:
    """Put something in front of the face in every fourth picture; the labels stay the same."""
    if rng.uniform() < 0.25:
        side = len(canvas)
        middle = side * (0.5 + np.array(face.centre) + face.height * rng.uniform(-0.9, 0.9, 2))
        _clutter((canvas, mask), middle, side * face.height * rng.uniform(0.2, 0.5), rng)


def _photograph(canvas: Image, mask: Image, face: Face, size: int, rng: np.random.Generator) -> Image:
    """Turn the supersampled drawing into a picture: light, lens, sensor, compression."""
    head = _shrink(mask, size)[..., None] / 255
    lit = _shrink(canvas, size) * (1 + head * (_shading(face, size) - 1)) * _room_light(size, rng)
    if rng.uniform() < 0.1:
        lit = np.repeat(lit.mean(-1, keepdims=True), 3, axis=-1)
    if rng.uniform() < 0.5:
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.3, 0.9) * size / 64), dtype=np.float32)
    lit = lit + rng.uniform(0, 6) * rng.standard_normal(lit.shape, dtype=np.float32)
    picture = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    if rng.uniform() < 0.25:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])[1]
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return picture


def _shrink(image: Image, size: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _shading(face: Face, size: int) -> NDArray[np.float32]:
    """Lambert's law on the head's ellipsoid, (size, size, 1), about 1 on average."""
    cr, sr = np.cos(face.angles[2]), np.sin(face.angles[2])
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / size
    x, y = (axis - face.centre[0])[None] / face.height, (axis - face.centre[1])[:, None] / face.height
    across, down = (cr * x + sr * y) / 0.95, (cr * y - sr * x) / 1.1
    front = np.sqrt(np.maximum(1 - across**2 - down**2, 0))
    lambert = np.maximum(x * face.light[0] + y * face.light[1] + front * face.light[2], 0)
    return np.asarray(1 + face.contrast * (1.5 * lambert - 1), dtype=np.float32)[..., None]


def _room_light(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Exposure, a colour cast and a gradient across the picture."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    right, down = rng.uniform(-0.25, 0.25, 2)
    ramp = 1 + right * axis[None, :, None] + down * axis[:, None, None]
    return np.asarray(rng.uniform(0.7, 1.2) * rng.uniform(0.94, 1.06, 3) * ramp, dtype=np.float32)
