"""The default regions of bodies with 14 joints and of faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steadfit.data import Region
from steadfit.errors import ConfigError
from steadfit.metrics.parts import body_joints

BODY: Mapping[str, tuple[str, ...]] = {
    "head-shoulders": ("headtop", "neck", "shoulder", "elbow"),
    "torso-hips": ("shoulder", "elbow", "wrist", "hip"),
    "knees-ankles": ("hip", "knee", "ankle"),
}
"""Paper 1 has these three crops; which joints each of them regresses is our reconstruction."""

FACES: Mapping[int, Mapping[str, tuple[int, ...]]] = {
    5: {"eyes": (0, 1), "nose": (2,), "mouth": (3, 4)},
    68: {"eyes": (*range(17, 27), *range(36, 48)), "nose": tuple(range(27, 36)), "mouth": tuple(range(48, 68))},
    98: {
        "eyes": (*range(33, 51), *range(60, 76), 96, 97),
        "nose": tuple(range(51, 60)),
        "mouth": tuple(range(76, 96)),
    },
}
"""Faces by their number of points: eyes, nose and corners of the mouth; iBUG's (300-W) 68; WFLW's 98.

Brows belong to the eyes; the jaw keeps the first stage's estimate.
"""
NAMED: Mapping[str, tuple[str, ...]] = {
    "eyes": ("eye", "brow", "pupil"),
    "nose": ("nose", "nostril"),
    "mouth": ("mouth", "lip"),
}
"""Words in the names of a face's points."""
LEAST_OF_FACE = 0.5


def default_regions(names: Sequence[str]) -> tuple[Region, ...]:
    """Regions for points of these names.

    A body of 14 joints (see :func:`steadfit.metrics.body_parts` for their names; without names in the order of LSP) has
    head-shoulders, torso-hips and knees-ankles, which overlap at shoulders, elbows and hips. A face, recognised by the
    names of its points or, without such names, by 5, 68 or 98 points, has eyes, nose and mouth.

    Args:
        names: the names of the points, in order.

    Raises:
        ConfigError: other points.

    >>> [(region.name, region.points) for region in default_regions(["chin", "left_eye", "right_eye", "upper_lip"])]
    [('eyes', (1, 2)), ('mouth', (3,))]
    >>> [(region.name, region.points) for region in default_regions("abcde")]
    [('eyes', (0, 1)), ('nose', (2,)), ('mouth', (3, 4))]
    """
    joints = body_joints(names)
    if joints:
        return tuple(Region(name=name, points=_members(roles, joints)) for name, roles in BODY.items())
    parts = _named(names) or FACES.get(len(names))
    if parts is None:
        raise ConfigError(
            f"cascade: expected the 14 joints of a body or a face of 5, 68 or 98 points, got {len(names)} others. "
            "Name regions with --regions FILE."
        )
    return tuple(Region(name=name, points=points, least=LEAST_OF_FACE) for name, points in parts.items())


def _named(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The parts of a face that the points' names show; none unless there are at least two."""
    found = {
        part: tuple(k for k, name in enumerate(names) if any(word in name.lower() for word in words))
        for part, words in NAMED.items()
    }
    there = {part: points for part, points in found.items() if points}
    return there if len(there) > 1 else {}


def _members(roles: Sequence[str], joints: Mapping[str, int]) -> tuple[int, ...]:
    """The points of these roles, of both sides, in the order of the points."""
    return tuple(sorted(k for joint, k in joints.items() if joint.removeprefix("r_").removeprefix("l_") in roles))
