"""Quantiles by counting: to the bit those of a sort, whatever the chunks, the values and their order."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from steadfit.core.counting import FIRST_SHIFT, Search, order_key, value_of
from steadfit.core.scale import nanmedian

NAN, INF = math.nan, math.inf
TINY = 5e-324


def counted(value: Tensor, levels: list[float], chunks: int = 1) -> Tensor:
    search, rounds = Search.start(levels, columns=value.shape[1]), 0
    while not search.done:
        search = search.narrowed(sum((search.counts(part) for part in value.tensor_split(chunks)), torch.tensor(0)))
        rounds += 1
    assert rounds == 6
    return search.quantiles()


def slow(column: list[float], level: float) -> float:
    """Sorted, in Python's floats; the middle of two is exact by fractions of two."""
    known = sorted(v for v in column if not math.isnan(v))
    if not known:
        return NAN
    at = level * (len(known) - 1)
    low, high = known[math.floor(at)], known[math.ceil(at)]
    part = at - math.floor(at)
    if low == high:
        return low
    if part == 0.5:
        return (low + high) / 2 if math.isfinite(low + high) else low / 2 + high / 2
    return low * (1 - part) + high * part


def same(found: Tensor, wanted: Tensor) -> bool:
    return torch.equal(found.nan_to_num(nan=-7.0), wanted.nan_to_num(nan=-7.0)) and torch.equal(
        found.isnan(), wanted.isnan()
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 501, 1000])
def test_the_median_is_that_of_a_sort_to_the_bit(n: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(n)
    value = torch.randn(n, 5, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 1e-3, 50.0, 1e4, 0.0])
    value[torch.rand(n, 5, generator=generator) < 0.2] = NAN
    value = value.to(dtype)
    assert same(counted(value, [0.5])[0], nanmedian(value.double()))


@pytest.mark.parametrize("chunks", [1, 2, 7, 300])
def test_the_result_does_not_depend_on_the_chunks(chunks: int) -> None:
    """300 chunks of 200 rows: a third of them are empty."""
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    value[::3, 1] = NAN
    levels = [0.0, 0.025, 0.25, 0.5, 0.9, 1.0]
    found = counted(value, levels, chunks)
    wanted = [[slow(value[:, c].tolist(), level) for c in range(3)] for level in levels]
    assert found.tolist() == wanted
    np.testing.assert_allclose(found.numpy(), np.nanquantile(value.numpy(), levels, axis=0), rtol=1e-14)
    order = torch.randperm(200, generator=generator)
    assert torch.equal(counted(value[order], levels, chunks), found)


@pytest.mark.parametrize(
    "column",
    [
        [0.0],
        [NAN, NAN],
        [-0.0, 0.0, -0.0],
        [TINY, -TINY, 0.0, 2 * TINY],
        [TINY, 3 * TINY],
        [1.7e308, 1.7e308],
        [1.7e308, 1.6e308],
        [-1.7e308, 1.7e308, NAN],
        [INF, 1.0, 2.0, -INF],
        [INF, INF, INF],
        [-INF, INF],
        [1.0, math.nextafter(1.0, 2.0), math.nextafter(1.0, 0.0)],
        [5.0] * 9 + [7.0],
        [2.0**k for k in range(-1000, 1000, 37)],
        [-(2.0**k) for k in range(-1000, 1000, 37)],
    ],
)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_values_at_the_ends_of_the_range(column: list[float], level: float) -> None:
    value = torch.tensor(column, dtype=torch.float64)[:, None]
    found, wanted = float(counted(value, [level])), slow(column, level)
    assert found == wanted or (math.isnan(found) and math.isnan(wanted))
    if level == 0.5:
        assert same(counted(value, [level])[0], nanmedian(value))


def test_columns_are_searched_on_their_own() -> None:
    value = torch.tensor([[1.0, NAN, 1e300], [2.0, NAN, -1e300], [4.0, 3.0, 0.0], [8.0, NAN, NAN]], dtype=torch.float64)
    assert counted(value, [0.5, 1.0]).tolist() == [[3.0, 3.0, 0.0], [8.0, 3.0, 1e300]]


def test_keys_have_the_order_of_the_values_and_give_them_back() -> None:
    value = torch.tensor([-INF, -1e308, -1.0, -TINY, 0.0, TINY, 1e-300, 1.0, 1e308, INF], dtype=torch.float64)
    key = order_key(value)
    assert (key.diff() > 0).all()
    assert torch.equal(value_of(key), value)
    assert torch.equal(order_key(torch.tensor([-0.0])), order_key(torch.tensor([0.0])))


def test_a_search_is_tensors_by_name() -> None:
    search = Search.start([0.5], columns=2)
    assert search.first
    assert int(search.shift) == FIRST_SHIFT
    again = Search.of(vars(search) | {"other": torch.zeros(1)})
    assert all(torch.equal(value, vars(again)[name]) for name, value in vars(search).items())
    after = search.narrowed(search.counts(torch.zeros(3, 2)))
    assert not after.first
    assert after.count.tolist() == [3, 3]
