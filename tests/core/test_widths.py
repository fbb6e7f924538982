"""Widths by counting, in any chunks: to the bit those of a sort."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steadfit.core import widths
from steadfit.core.scale import fences, innermost_from, innermost_scale, middle, nanmedian, trimmed_range
from steadfit.core.widths import Rows, Widths

NAN = math.nan


def counted(value: Tensor, cuts: list[int]) -> Widths:
    rows = [Rows.of(part) for part in value.tensor_split(cuts)]
    state = widths.begin(*value.shape[1:])
    rounds = 0
    while not widths.finished(state):
        first, *others = [widths.statistics(each, state) for each in rows]
        for other in others:
            first = first + other
        state, rounds = widths.update(first, state), rounds + 1
    assert rounds == 7  # six digits, then the ends inside the fences
    return Widths.named(state)


def draw(n: int) -> Tensor:
    """Two groups of three coordinates: usual, gross ones, half missing; all equal, one value, none."""
    draw = torch.Generator().manual_seed(n)
    value = torch.randn(n, 2, 3, generator=draw, dtype=torch.float64)
    value[: n // 50 + 1, 0, 1] = 1e9
    value[torch.rand(n, generator=draw) < 0.5, 0, 2] = NAN
    value[:, 1, 0], value[1:, 1, 1], value[:, 1, 2] = 2.0, NAN, NAN
    return value


@pytest.mark.parametrize("n", [1, 2, 5, 9, 40, 1000])
def test_counting_is_sorting(n: int) -> None:
    value = draw(n)
    wanted = Widths.of(value)
    for cuts in ([], [n // 3], [0, n // 3, n // 3, n // 2, n]):
        for name, found in vars(counted(value, cuts)).items():
            torch.testing.assert_close(found, getattr(wanted, name), rtol=0, atol=0, equal_nan=True, check_dtype=False)


@pytest.mark.parametrize("n", [1, 5, 40, 1000])
def test_widths_are_the_scales_by_other_names(n: int) -> None:
    value = draw(n)
    found = Widths.of(value)
    low, high = fences(value)
    pairs = {
        "trimmed": (found.trimmed, trimmed_range(value)),
        "low": (found.low, low),
        "high": (found.high, high),
        "median": (middle(*found.middle), nanmedian(value.abs())),
        "innermost": (innermost_from(found.innermost, found.count, 4.0), innermost_scale(value, 4.0)),
    }
    for one, other in pairs.values():
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert found.count.tolist()[1] == [n, 1, 0]
    assert found.range[1, 0] == 0
    assert found.size[1, 0] == 2
    assert found.range[1, 2] == -math.inf  # nobody annotated it
