"""A person in a pose, and the place of every part of the face in the picture.

The head is a surface ``(longitude, latitude) -> (x, y, z)`` in head units: half its height is 1, x to the right of the
image, y down, z towards the camera. Features are outlines on that surface, so they move with the pose, and the labels
are projections of the same points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Colour",
    "Face",
    "Floats",
    "ear",
    "ellipse",
    "labels",
    "lips",
    "mix",
    "patch",
    "project",
    "shell",
    "vary",
]

Floats = NDArray[np.float64]
Colour = tuple[float, float, float]

_SKINS = ((255, 219, 190), (241, 194, 155), (224, 172, 125), (198, 134, 92), (141, 92, 62), (92, 60, 44))
_HAIRS = ((35, 25, 20), (80, 50, 30), (150, 100, 50), (220, 185, 110), (165, 70, 35), (150, 150, 155), (50, 45, 80))
_IRISES = ((70, 45, 25), (60, 90, 140), (70, 110, 70), (110, 90, 50), (40, 40, 45))
_STYLES = ("bald", "short", "short", "long", "long", "hat")
_BEARDS = ("none", "none", "none", "full", "moustache")
_GLASSES = ("none", "none", "none", "none", "none", "clear", "clear", "dark")
_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
COS, SIN = np.cos(_TURN), np.sin(_TURN)
_ARC = np.linspace(-1, 1, 9)
_LATITUDES = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 12))  # denser at both ends, where the outline bends
_AROUND = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_LIMB = 1.45  # longitudes beyond this, seen from the camera, are behind the outline


@dataclass(frozen=True)
class Face:
    """Everything that is drawn of one person; lengths in head units, angles in radians, colours RGB in [0, 255]."""

    angles: tuple[float, float, float]  # yaw, pitch, roll
    centre: tuple[float, float]  # in units of the image's size, from its middle
    height: float  # half the head's height in units of the image's size
    distance: float  # of the camera
    radii: tuple[float, float]  # half width, half depth
    jaw: float  # narrowing downwards
    eye: tuple[float, float, float]  # longitude, latitude, half width
    opening: float  # of the eyes, height over width
    gaze: tuple[float, float]
    nose: tuple[float, float, float]  # latitude, length, half width
    mouth: tuple[float, float, float, float]  # latitude, half width, smile, opening
    ear: tuple[float, float]  # half height, how far they stand out
    brow: float  # thickness
    hairline: float  # latitude of the front edge
    long_hair: float  # how far below the ears it falls
    style: str  # bald, short, long, hat
    beard: str  # none, full, moustache
    glasses: str  # none, clear, dark
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    light: tuple[float, float, float]  # unit vector towards the light
    contrast: float  # of the shading

    @cached_property
    def rotation(self) -> Floats:
        """Head to camera (3, 3): yaw about y, then pitch about x, then roll about z."""
        (cy, cp, cr), (sy, sp, sr) = np.cos(self.angles), np.sin(self.angles)
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        turned: Floats = roll @ pitch @ yaw
        return turned

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Face:
        """A random person in a random pose."""
        u = rng.uniform
        skin = vary(_SKINS[rng.integers(len(_SKINS))], 12, rng)
        side, up = u(-1.2, 1.2), u(-1.0, 0.3)
        light = np.array([np.sin(side), up, np.cos(side) + 0.2])
        return cls(
            angles=(u(-0.5, 0.5), u(-0.25, 0.25), float(np.clip(rng.normal(0, 0.15), -0.4, 0.4))),
            centre=(u(-0.07, 0.07), u(-0.07, 0.05)),
            height=u(0.34, 0.43),
            distance=u(3.5, 8.0),
            radii=(u(0.70, 0.84), u(0.78, 0.92)),
            jaw=u(0.12, 0.42),
            eye=(u(0.40, 0.52), u(-0.16, 0.0), u(0.13, 0.19)),
            opening=u(0.35, 0.75),
            gaze=(u(-0.06, 0.06), u(-0.02, 0.02)),
            nose=(u(0.26, 0.36), u(0.16, 0.32), u(0.12, 0.2)),
            mouth=(u(0.6, 0.7), u(0.3, 0.48), u(-0.06, 0.12), max(0.0, u(-0.12, 0.14))),
            ear=(u(0.18, 0.27), u(0.04, 0.16)),
            brow=u(0.03, 0.075),
            hairline=u(-0.75, -0.5),
            long_hair=u(0.7, 1.4),
            style=_STYLES[rng.integers(len(_STYLES))],
            beard=_BEARDS[rng.integers(len(_BEARDS))],
            glasses=_GLASSES[rng.integers(len(_GLASSES))],
            skin=skin,
            hair=vary(_HAIRS[rng.integers(len(_HAIRS))], 15, rng),
            iris=vary(_IRISES[rng.integers(len(_IRISES))], 12, rng),
            lips=mix(skin, (190, 50, 70), u(0.25, 0.7)),
            clothes=vary((120, 120, 125), 85, rng),
            light=tuple(light / np.linalg.norm(light)),
            contrast=u(0.15, 0.65),
        )


def vary(colour: Colour, by: float, rng: np.random.Generator) -> Colour:
    """A colour near another one.

    Args:
        colour: RGB.
        by: the size of the difference.
        rng: where the difference is drawn from.
    """
    r, g, b = np.clip(np.asarray(colour) + rng.uniform(-by, by, 3), 0, 255)
    return float(r), float(g), float(b)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """A mixture of two colours.

    Args:
        a: the first colour.
        b: the second colour.
        share: the share of the second one.
    """
    keep = 1 - share
    return keep * a[0] + share * b[0], keep * a[1] + share * b[1], keep * a[2] + share * b[2]


def project(face: Face, points: Floats, size: int) -> Floats:
    """Head units to px; what is nearer to the camera is larger.

    Args:
        face: the person.
        points: (P, 3) in head units.
        size: the size of the picture in px.

    Returns:
        (P, 2) in px.
    """
    turned = points @ face.rotation.T
    zoom = face.height * face.distance / (face.distance - turned[:, 2:])
    pixels: Floats = (size - 1) / 2 + size * (np.array(face.centre) + zoom * turned[:, :2])
    return pixels


def labels(face: Face, size: int) -> Floats:
    """The labelled points (7, 2) in px: eyes, tip of the nose, corners of the mouth, ears; left before right."""
    (eye, eye_lat, _), (nose_lat, nose, _), (mouth_lat, mouth, smile, _) = face.eye, face.nose, face.mouth
    lon = np.array([-eye, eye, 0, -mouth, mouth])
    lat = np.array([eye_lat, eye_lat, nose_lat, mouth_lat - smile, mouth_lat - smile])
    on_face = _surface(face, lon, lat, np.array([0, 0, nose, 0, 0]))
    return project(face, np.vstack([on_face, ear(face, -1).mean(0), ear(face, 1).mean(0)]), size)


def _surface(face: Face, lon: Floats, lat: Floats, lift: float | Floats = 0.0) -> Floats:
    """Points (P, 3) on the head: an ellipsoid that narrows to the chin; ``lift`` moves them to the front."""
    sine = np.sin(lat)
    square, down = sine * sine, np.maximum(sine, 0) ** 2
    ring = np.sqrt(1 - square * (0.8 + 0.2 * square))  # a little fuller than an ellipse
    points = np.empty((len(lon), 3))
    points[:, 0] = face.radii[0] * ring * np.sin(lon) * (1 - face.jaw * down)
    points[:, 1] = sine
    points[:, 2] = face.radii[1] * ring * np.cos(lon) + 0.1 * down + lift
    return points


def patch(face: Face, lon: Floats, lat: Floats, lift: float | Floats = 0.0) -> Floats:
    """The part of an outline on the head that faces the camera; the rest is pulled to the head's edge."""
    yaw = face.angles[0]
    return _surface(face, np.clip(lon, -_LIMB - yaw, _LIMB - yaw), lat, lift)


def ellipse(face: Face, lon: float, lat: float, width: float, height: float, lift: float = 0.0) -> Floats:
    """A round patch; its size is in radians."""
    return patch(face, lon + width * COS, lat + height * SIN, lift)


def ear(face: Face, side: int) -> Floats:
    """An upright ellipse at the side of the head (-1 left, 1 right) that stands out at its back edge."""
    height, out = face.ear
    points = np.empty((len(COS), 3))
    points[:, 0] = side * (face.radii[0] * 0.97 + out * (1 - COS))
    points[:, 1] = 0.12 + height * SIN
    points[:, 2] = -0.12 + 0.75 * height * COS
    return points


def shell(face: Face, low: float, grow: float, *, back: bool = False) -> Floats:
    """Points of an enlarged head, whose hull is hair.

    Args:
        face: the person.
        low: the latitude above which points are taken.
        grow: the enlargement.
        back: whether only the back half is taken.
    """
    turn = np.pi / 2 * (2 + _ARC) if back else _AROUND
    lat = -1.5 + (low + 1.5) * _LATITUDES
    return grow * _surface(face, np.tile(turn, len(lat)), np.repeat(lat, len(turn)))


def lips(face: Face, above: float, below: float) -> Floats:
    """The outline between two arcs that meet in the corners of the mouth."""
    lat, width, smile, _ = face.mouth
    middle, bulge = lat - smile * _ARC**2, 1 - _ARC**2
    lon = np.append(width * _ARC, width * _ARC[::-1])
    return patch(face, lon, np.append(middle - above * bulge, (middle + below * bulge)[::-1]))
