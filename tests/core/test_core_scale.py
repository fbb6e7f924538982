"""The MAD against numpy and statistics, value by value."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import steadfit
from steadfit.core.scale import nanmedian

pytestmark = pytest.mark.usefixtures("float64")


def twin(values: list[float]) -> float:
    """1.4826 median|r - median r| by the standard library."""
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return math.nan
    middle = statistics.median(known)
    return 1.4826 * statistics.median([abs(v - middle) for v in known])


def test_the_papers_example() -> None:
    """Paper 1 with the erratum: the raw MAD of [1, 2, 4, 8] is 1.5, not the 1.0 of a lower median."""
    assert float(steadfit.mad(torch.tensor([1.0, 2.0, 4.0, 8.0]))) == pytest.approx(2.2239, abs=1e-15)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10, 11, 100, 101])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_numpy_to_the_last_bit(count: int, dtype: torch.dtype) -> None:
    value = torch.randn(count, 7, dtype=dtype) * torch.logspace(-5, 5, 7).to(dtype)
    value[torch.rand(count, 7) < 0.2] = torch.nan
    value[0] = 0.5
    found = nanmedian(value)
    assert found.dtype == dtype
    assert np.array_equal(found.numpy(), np.nanmedian(value.numpy(), axis=0))
    deviation = np.abs(value.numpy() - np.nanmedian(value.numpy(), axis=0))
    expected = np.nanmedian(deviation, axis=0).astype(np.float64) * 1.4826
    np.testing.assert_allclose(steadfit.mad(value).numpy(), expected, rtol=torch.finfo(dtype).eps)


@given(st.lists(st.one_of(st.floats(-1e300, 1e300), st.just(math.nan)), min_size=1, max_size=12))
def test_equals_the_standard_library(values: list[float]) -> None:
    expected, found = twin(values), float(steadfit.mad(torch.tensor(values)))
    assert (math.isnan(expected) and math.isnan(found)) or found == pytest.approx(expected, rel=4e-16, abs=5e-324)


def test_medians_do_not_overflow() -> None:
    for values in ([1.5e308, 1.7e308], [-1.7e308, 1.5e308], [-1.7e308, -1.5e308]):
        expected = values[0] / 2 + values[1] / 2
        assert float(nanmedian(torch.tensor(values))) == expected
    tiny = torch.tensor([5e-324, 1.5e-323])  # one and three times the smallest number
    assert float(nanmedian(tiny)) == 1e-323


def test_infinite_values_stay_at_the_ends() -> None:
    assert float(nanmedian(torch.tensor([-math.inf, 1.0, 3.0, math.inf]))) == 2.0
    assert float(nanmedian(torch.tensor([1.0, math.inf, math.inf]))) == math.inf


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_any_dimension(dim: int) -> None:
    value = torch.randn(4, 5, 6)
    value[0, 1, 2] = torch.nan
    expected = np.apply_along_axis(lambda v: twin(v.tolist()), dim, value.numpy())
    found = steadfit.mad(value, dim=dim)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)


def test_missing_labels_are_left_out_and_a_column_of_them_is_nan() -> None:
    value = torch.tensor([[1.0, math.nan], [2.0, math.nan], [math.nan, math.nan], [4.0, math.nan], [8.0, math.nan]])
    found = steadfit.mad(value)
    assert float(found[0]) == pytest.approx(2.2239, abs=1e-15)
    assert math.isnan(float(found[1]))


def test_location_and_scale() -> None:
    value = torch.randn(51, 3)
    torch.testing.assert_close(steadfit.mad(3 * value + 100), 3 * steadfit.mad(value), rtol=1e-12, atol=0)
    # Up to half of the residuals can be anything:
    value[:25] = 1e12
    assert float(steadfit.mad(value).max()) < 10


def test_half_equal_gives_zero_and_gaussian_gives_sigma() -> None:
    assert float(steadfit.mad(torch.tensor([0.0, 0.0, 0.0, 5.0, -9.0]))) == 0
    assert float(steadfit.mad(torch.tensor([3.0]))) == 0
    # Standard error of the MAD scale: 1.167 sigma/sqrt(N) = .005 here
    assert float(steadfit.mad(2.0 * torch.randn(200_000))) == pytest.approx(2.0, abs=0.025)


def test_gradients_are_those_of_the_middle_values() -> None:
    value = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], requires_grad=True)
    steadfit.mad(value).backward()
    # median 4, deviations 3 2 0 4 12, MAD = |1 - 4| = 3: slope -1 at 1 and +1 at 4
    expected = 1.4826 * torch.tensor([-1.0, 0.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(value.grad, expected)


def test_errors() -> None:
    with pytest.raises(TypeError, match=r"mad: expected residual of a floating dtype, got torch\.int64\."):
        steadfit.mad(torch.arange(4))
    with pytest.raises(TypeError, match=r"mad: expected residual to be a tensor, got list\."):
        steadfit.mad([1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"mad: expected at least one residual along dim 0, got shape \(0, 3\)\."):
        steadfit.mad(torch.zeros(0, 3))
    with pytest.raises(ValueError, match=r"mad: expected at least one residual along dim 1, got shape \(3, 0\)\."):
        steadfit.mad(torch.zeros(3, 0), dim=1)
    with pytest.raises(ValueError, match=r"got shape \(\)\."):
        steadfit.mad(torch.tensor(1.0))
    assert steadfit.mad(torch.zeros(3, 0)).shape == (0,)
