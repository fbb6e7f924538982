"""What the formats of MPII Human Pose share: the box of a person, whose size they give in units of 200 px."""

from __future__ import annotations

from steadfit.data.formats.instances import Box

FIRST = -1.0
"""All of them count pixels from 1, as MATLAB does."""
_UNIT, _LARGER, _LOWER = 200.0, 1.25, 15.0


def person_box(x: float, y: float, scale: float) -> Box | None:
    """The box in which networks for this set see a person: 1.25 times as large, and lower by 15 px of the scale.

    Without that, feet and raised hands would be outside.

    Args:
        x: the rough middle of the person, where the first pixel is 1.
        y: the same.
        scale: the height of the person in units of 200 px.

    Returns:
        Left, top, width and height, where the centre of the first pixel is (0, 0); None for a scale that is not
        positive, or a middle of (-1, -1), by which files say that there is none.

    References:
        Newell et al., Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016 (the authors' program).

    >>> person_box(101, 86, 1)
    (-24.5, -24.5, 250.0, 250.0)
    """
    if not scale > 0 or (x, y) == (-1, -1):
        return None
    side = _UNIT * _LARGER * scale
    half = (side - 1) / 2
    return x + FIRST - half, y + _LOWER * scale + FIRST - half, side, side
