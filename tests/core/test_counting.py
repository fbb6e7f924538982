"""Order statistics by counting: to the bit those of a sort, whatever the chunks, the values and their order."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steadfit.core.counting import Search, middle_ranks, order_key, value_of
from steadfit.core.scale import middle, nanmedian

NAN, INF = math.nan, math.inf
TINY = 5e-324


def at(*levels: float) -> Callable[[Tensor], Tensor]:
    """The ranks next to these shares of the values."""
    return lambda count: torch.stack([(level * (count - 1)).floor().long() for level in levels])


def found_ranks(value: Tensor, ranks: Callable[[Tensor], Tensor], many: int, chunks: int = 1) -> Tensor:
    search, rounds = Search.start(many, columns=value.shape[1]), 0
    while not search.done:
        counts = sum((search.counts(order_key(part)) for part in value.tensor_split(chunks)), torch.tensor(0))
        search = search.narrowed(counts, ranks)
        rounds += 1
    assert rounds == 6
    return search.values()


def median(value: Tensor) -> Tensor:
    return middle(*found_ranks(value, middle_ranks, 2))


def slow(column: list[float], level: float) -> float:
    """The value of that rank, by sorting."""
    known = sorted(v for v in column if not math.isnan(v))
    return known[math.floor(level * (len(known) - 1))] if known else NAN


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
    assert same(median(value), nanmedian(value.double()))


@pytest.mark.parametrize("chunks", [1, 2, 7, 300])
def test_the_result_does_not_depend_on_the_chunks(chunks: int) -> None:
    """300 chunks of 200 rows: a third of them are empty."""
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    value[::3, 1] = NAN
    levels = [0.0, 0.025, 0.25, 0.5, 0.9, 1.0]
    found = found_ranks(value, at(*levels), 6, chunks)
    wanted = [[slow(value[:, c].tolist(), level) for c in range(3)] for level in levels]
    assert found.tolist() == wanted
    order = torch.randperm(200, generator=generator)
    assert torch.equal(found_ranks(value[order], at(*levels), 6, chunks), found)


@pytest.mark.parametrize(
    "column",
    [
        [0.0],
        [1.7e308, NAN, -NAN, 1.6e308, INF],
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
    found, wanted = float(found_ranks(value, at(level), 1)), slow(column, level)
    assert found == wanted or (math.isnan(found) and math.isnan(wanted))
    if level == 0.5:
        assert same(median(value), nanmedian(value))


def test_columns_are_searched_on_their_own() -> None:
    value = torch.tensor([[1.0, NAN, 1e300], [2.0, NAN, -1e300], [4.0, 3.0, 0.0], [8.0, NAN, NAN]], dtype=torch.float64)
    assert median(value).tolist() == [3.0, 3.0, 0.0]
    assert found_ranks(value, at(1.0), 1).tolist() == [[8.0, 3.0, 1e300]]
    assert found_ranks(value, lambda count: torch.full((1, 3), 99), 1).tolist() == [[8.0, 3.0, 1e300]]


def test_keys_have_the_order_of_the_values_and_give_them_back() -> None:
    value = torch.tensor([-INF, -1e308, -1.0, -TINY, 0.0, TINY, 1e-300, 1.0, 1e308, INF], dtype=torch.float64)
    key = order_key(value)
    assert (key.diff() > 0).all()
    assert torch.equal(value_of(key), value)
    assert torch.equal(order_key(torch.tensor([-0.0])), order_key(torch.tensor([0.0])))


def test_a_search_is_tensors_by_name() -> None:
    search = Search.start(2, columns=2)
    again = Search.of(search.named("a_") | {"other": torch.zeros(1)}, "a_")
    assert all(torch.equal(value, again.named()[name]) for name, value in search.named().items())
    after = search.narrowed(search.counts(order_key(torch.zeros(3, 2))), middle_ranks)
    assert not after.done
    assert after.count.tolist() == [3, 3]
