"""Left and right as an observer sees them: the same side of a person first, from whichever side it is seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Visible = npt.NDArray[np.int8]


def observer_centric(
    target: Floats, pairs: Sequence[tuple[int, int]], visible: Visible | None = None
) -> tuple[Floats, Visible | None, Flags]:
    """Exchange the sides of every person whose first side is farther right in the image than the second.

        sum over pairs of x_first - x_second > 0: exchanged

    A network that looks at a person cannot distinguish left from right where it does not see whether it looks at the
    front or the back. Named by the observer, sides are where they seem to be, and mirroring with exchanged pairs
    preserves that. A person is exchanged as a whole, or not at all.

    Args:
        target: (N, K, 2) in px, NaN = not annotated.
        pairs: left and right points, as indices; every pair names the same side first.
        visible: (N, K) codes, exchanged along with the points; None: there is none.

    Returns:
        The points (N, K, 2), their visibility, and which rows (N,) were exchanged. A row without a whole pair stays.

    References:
        Eichner and Ferrari, ACCV 2012 (observer-centric joints of LSP, by hand; ours are by this rule).

    >>> back = np.array([[[30.0, 5.0], [10.0, 5.0]]])
    >>> observer_centric(back, [(0, 1)])[0].tolist()
    [[[10.0, 5.0], [30.0, 5.0]]]
    """
    if not pairs:
        return target, visible, np.zeros(len(target), dtype=bool)
    first, second = (list(side) for side in zip(*pairs, strict=True))
    swapped: Flags = np.nansum(target[:, first, 0] - target[:, second, 0], axis=1) > 0
    order = np.arange(target.shape[1])
    order[first], order[second] = second, first
    found = np.where(swapped[:, None, None], target[:, order], target)
    seen = None if visible is None else np.where(swapped[:, None], visible[:, order], visible)
    return found, seen, swapped
