"""Well-known layouts of points in faces, whose files number the points: names, mirror pairs, lines, normaliser.

Sides are the person's: the right eye is the one on the left of the picture. A left and its right point have names that
differ in their sides only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.pairs import pairs_of_names

Floats = npt.NDArray[np.float64]
Lines = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The points of a face in the order of the files.

    Args:
        title: what the layout is called.
        points: K names.
        limbs: points to join by a line, as indices.
        normalizer: the two points whose distance is the usual normalising length, as indices.
    """

    title: str
    points: tuple[str, ...]
    limbs: Lines
    normalizer: tuple[int, int]

    @property
    def pairs(self) -> Lines:
        """Left and right points, as indices, the left one first."""
        return pairs_of_names(self.points)


def layout_of(count: int, category: str) -> Layout | None:
    """The layout of faces whose points have no names.

    Args:
        count: K.
        category: what the points belong to, such as the name of COCO's category; only faces have a layout.

    Returns:
        None where none is known.

    >>> layout_of(68, "face").points[36], layout_of(68, "person")
    ('right_eye_outer', None)
    """
    return {68: IBUG, 98: WFLW}.get(count) if "face" in category.lower() else None


def asymmetry(shapes: Floats, pairs: Sequence[tuple[int, int]]) -> float:
    """How far shapes are from their mirror images, which exchange the pairs; tells one layout from another.

    Each mirror image is placed on its shape by translation, rotation and scale. Faces that look straight ahead have
    about .1, half profiles up to .5, faces with the pairs of another layout .6, points without any symmetry 1.

    Args:
        shapes: (N, K, 2), NaN for missing points.
        pairs: left and right points, as indices.

    Returns:
        The median of the root mean square distances, as shares of the shapes' root mean square size; NaN where no shape
        has all of its points.
    """
    order = np.arange(shapes.shape[1])
    for left, right in pairs:
        order[left], order[right] = right, left
    whole = shapes[~np.isnan(shapes).any(axis=(1, 2))]
    points = whole[:, :, 0] + 1j * whole[:, :, 1]  # (N, K)
    points = points - points.mean(axis=1, keepdims=True)
    size = (np.abs(points) ** 2).sum(axis=1)  # (N,)
    points, size = points[size > 0], size[size > 0]
    if not len(points):
        return float("nan")
    turned = np.abs((points[:, order] * points).sum(axis=1)) / size  # the mirror image is the conjugate
    return float(np.median(np.sqrt(np.clip(1 - turned**2, 0, 1))))


def _sided(side: str, names: str) -> list[str]:
    return [f"{side}_{name}" for name in names.split()]


def _run(name: str, count: int) -> list[str]:
    return [f"{name}_{k}" for k in range(count)]


def _mirrored(names: Sequence[str]) -> list[str]:
    """The names of the other side, from the last to the first one."""
    return [name.replace("right", "left") for name in reversed(names)]


def _lines(*chains: Sequence[int], closed: Sequence[Sequence[int]] = ()) -> Lines:
    """The lines along chains of points, and around closed ones."""
    return tuple(line for chain in (*chains, *([*ring, ring[0]] for ring in closed)) for line in pairwise(chain))


_CONTOUR_8 = _run("right_contour", 8)
_BROW_5 = _run("right_eyebrow", 5)
_NOSE = [*_run("right_nose", 2), "nose_base", *_mirrored(_run("right_nose", 2))]
_LIPS = [
    *("right_mouth_corner", "right_mouth_upper_0", "right_mouth_upper_1", "mouth_upper"),
    *("left_mouth_upper_1", "left_mouth_upper_0", "left_mouth_corner", "left_mouth_lower_0", "left_mouth_lower_1"),
    *("mouth_lower", "right_mouth_lower_1", "right_mouth_lower_0"),
]
_INNER_LIPS = [
    *("right_mouth_inner_corner", "right_mouth_inner_upper", "mouth_inner_upper", "left_mouth_inner_upper"),
    *("left_mouth_inner_corner", "left_mouth_inner_lower", "mouth_inner_lower", "right_mouth_inner_lower"),
]

IBUG = Layout(
    title="iBUG's 68 points",
    points=(
        *(*_CONTOUR_8, "chin", *_mirrored(_CONTOUR_8)),
        *(*_BROW_5, *_mirrored(_BROW_5)),
        *(*_run("nose_bridge", 4), *_NOSE),
        *_sided("right", "eye_outer eye_upper_0 eye_upper_1 eye_inner eye_lower_1 eye_lower_0"),
        *_sided("left", "eye_inner eye_upper_1 eye_upper_0 eye_outer eye_lower_0 eye_lower_1"),
        *(*_LIPS, *_INNER_LIPS),
    ),
    limbs=_lines(
        *(range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36)),
        closed=(range(36, 42), range(42, 48), range(48, 60), range(60, 68)),
    ),
    normalizer=(36, 45),
)
"""300-W, 300-VW, AFW, HELEN, LFPW as annotated by iBUG; the length is that between the outer corners of the eyes."""

_CONTOUR_16 = _run("right_contour", 16)
_BROW_9 = _run("eyebrow", 9)

WFLW = Layout(
    title="WFLW's 98 points",
    points=(
        *(*_CONTOUR_16, "chin", *_mirrored(_CONTOUR_16)),
        *(f"right_{name}" for name in _BROW_9),
        *(f"left_{name}" for name in (*_BROW_9[4::-1], *_BROW_9[:4:-1])),
        *(*_run("nose_bridge", 4), *_NOSE),
        *_sided("right", "eye_outer eye_upper_0 eye_upper_1 eye_upper_2 eye_inner"),
        *_sided("right", "eye_lower_2 eye_lower_1 eye_lower_0"),
        *_sided("left", "eye_inner eye_upper_2 eye_upper_1 eye_upper_0 eye_outer"),
        *_sided("left", "eye_lower_0 eye_lower_1 eye_lower_2"),
        *(*_LIPS, *_INNER_LIPS, "right_pupil", "left_pupil"),
    ),
    limbs=_lines(
        *(range(33), range(51, 55), range(55, 60)),
        closed=(range(33, 42), range(42, 51), range(60, 68), range(68, 76), range(76, 88), range(88, 96)),
    ),
    normalizer=(60, 72),
)
"""WFLW; the length is that between the outer corners of the eyes."""

_CONTOUR_7 = _run("right_contour", 7)
_BROW_6 = _run("eyebrow", 6)

FGNET = Layout(
    title="FG-NET's 68 points",
    points=(
        *(*_CONTOUR_7, "chin", *_mirrored(_CONTOUR_7)),
        *(f"left_{name}" for name in _BROW_6),
        *(f"right_{name}" for name in _BROW_6),
        *_sided("right", "eye_outer eye_upper eye_inner eye_lower pupil"),
        *_sided("left", "eye_outer eye_upper eye_inner eye_lower pupil"),
        *(*_run("right_nose", 4), "nose_base", *_mirrored(_run("right_nose", 4)), "right_nostril", "left_nostril"),
        *_LIPS,
        *("right_mouth_inner_lower", "mouth_inner_lower", "left_mouth_inner_lower"),
        *("left_mouth_inner_upper", "mouth_inner_upper", "right_mouth_inner_upper", "mouth", "nose_tip"),
    ),
    limbs=_lines(
        *(range(15), range(37, 46)),
        closed=(range(15, 21), range(21, 27), range(27, 31), range(32, 36), range(48, 60), range(60, 66)),
    ),
    normalizer=(27, 32),
)
"""FG-NET, whose 68 points are others than iBUG's; the length is that between the outer corners of the eyes."""
