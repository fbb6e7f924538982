"""Points that data sets of bodies and faces share: their names, limbs and the length by which errors are divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from steadfit.data.tables.pairs import pairs_of_names


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The K points of a data set, in the order of its files.

    Args:
        points: their names.
        limbs: points to join by a line, as indices.
        pairs: left and right points, as indices; None: by their names.
        normalizer: the two points, as indices, whose distance is the normalising length; None for none.
    """

    points: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] | None = None
    normalizer: tuple[int, int] | None = None

    @property
    def mirrored(self) -> tuple[tuple[int, int], ...]:
        """Left and right points, as indices."""
        return pairs_of_names(self.points) if self.pairs is None else self.pairs


def _chain(ends: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise(ends))


BODY_14 = Layout(
    points=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
        *("neck", "head_top"),
    ),
    limbs=(*_chain(range(6)), *_chain(range(6, 12)), (12, 13)),
    normalizer=(9, 2),
)
"""The joints of Leeds Sports Pose, sides as the person has them; the torso is from the left shoulder to the right hip.

References:
    Johnson and Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation, BMVC 2010.
"""

BODY_16 = Layout(
    points=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ),
    limbs=(
        *((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5)),
        *((6, 7), (7, 8), (8, 9)),
        *((10, 11), (11, 12), (12, 7), (7, 13), (13, 14), (14, 15)),
    ),
    normalizer=(8, 9),
)
"""The joints of MPII Human Pose by their ids, sides as the person has them; the head is from upper neck to head top.

References:
    Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014.
"""

FACE_5 = Layout(
    points=("left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner"),
    normalizer=(0, 1),
)
"""Eyes, nose and corners of the mouth, left and right as seen in the image.

References:
    Sun, Wang and Tang, Deep Convolutional Network Cascade for Facial Point Detection, CVPR 2013.
"""
