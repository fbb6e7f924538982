"""Colours with a meaning, one constant each: hex for figures, :func:`rgb` for drawing into images."""

from __future__ import annotations

from collections.abc import Sequence

RIGHT, WRONG, INK = "#0072B2", "#D55E00", "#222222"
FAINT, NOTE, SHADE = "#9AA0A6", "#666666", "#EEF1F4"  # reference lines, remarks, shaded epochs
WHISKER = "#444444"
GIVEN, PREDICTED, PREDICTED_TEXT = "#E5133A", "#00B36B", "#007A4D"
MISSED = GIVEN
OUTSIDE = "#ECEEF0"  # around an image
SIDES, MIDDLE, EDGE = ("#56B4E9", "#E69F00"), "#F2F2F2", "#111111"  # SIDES: first and second point of each pair
REGIONS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#D55E00")


def rgb(colour: str) -> tuple[int, int, int]:
    """The channels of a hex colour, in 0 to 255.

    >>> rgb("#E5133A")
    (229, 19, 58)
    """
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def side_colours(count: int, pairs: Sequence[tuple[int, int]]) -> list[str]:
    """The colour of each of ``count`` points: one for each side of a person, a third for the points of neither.

    >>> side_colours(3, [(0, 2)])
    ['#56B4E9', '#F2F2F2', '#E69F00']
    """
    side = {end: colour for pair in pairs for end, colour in zip(pair, SIDES, strict=True)}
    return [side.get(k, MIDDLE) for k in range(count)]


def limb_colour(limb: tuple[int, int], points: Sequence[str]) -> str:
    """The colour of a limb: that of its side; a limb from one side to the other has the neutral one.

    Args:
        limb: two points, as indices.
        points: the colour of every point, from :func:`side_colours`.

    >>> limb_colour((0, 1), side_colours(3, [(0, 2)])), limb_colour((0, 2), side_colours(3, [(0, 2)]))
    ('#56B4E9', '#F2F2F2')
    """
    sides = {points[k] for k in limb} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE
