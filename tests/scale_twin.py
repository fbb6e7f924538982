"""The scale of penalties in one step, as a twin of the one by counting."""

from __future__ import annotations

from torch import Tensor

from steadfit.noise.scaled import spread, with_floor


def robust_scale(residual: Tensor) -> Tensor:
    """:func:`spread` with a floor."""
    return with_floor(spread(residual))
