from __future__ import annotations

import numpy as np
import pytest
import torch

from steadfit.data import Standardizer


def values(dims: int) -> torch.Tensor:
    value = torch.randn(200, 3, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = value * torch.arange(1, 3 * dims + 1).view(3, dims) + 50
    value[::7, 1] = torch.nan
    return value


def slow(value: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    array = value.numpy()
    center = np.nanmedian(array, axis=0)
    return center, 1.4826 * np.nanmedian(np.abs(array - center), axis=0)


def test_scalars_have_a_scale_each() -> None:
    fitted = Standardizer.fit(values(1))
    center, scale = slow(values(1))
    np.testing.assert_allclose(fitted.center, center, rtol=1e-15)
    np.testing.assert_allclose(fitted.scale, scale, rtol=1e-15)


def test_points_share_one_scale() -> None:
    fitted = Standardizer.fit(values(2))
    center, scale = slow(values(2))
    np.testing.assert_allclose(fitted.center, center, rtol=1e-15)
    np.testing.assert_allclose(fitted.scale, np.full((3, 2), np.sqrt((scale**2).mean())), rtol=1e-14)
    assert fitted.scale.is_contiguous()


def test_forty_percent_wrong_labels_hardly_move_it() -> None:
    clean = values(1)[1::7]  # the rows without missing labels
    wrong = clean.clone()
    wrong[::5] += 1e6
    wrong[1::5] -= 1e6
    assert float(Standardizer.fit(wrong).scale.max()) < 3 * float(Standardizer.fit(clean).scale.max())


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_apply_and_invert(dims: int, dtype: torch.dtype) -> None:
    value = values(dims).to(dtype)
    fitted = Standardizer.fit(value)
    assert fitted.center.dtype == fitted.scale.dtype == torch.float64
    standard = fitted.apply(value)
    assert standard.dtype == dtype
    assert torch.equal(standard.isnan(), value.isnan())
    tolerance = 8 * torch.finfo(dtype).eps * 100  # a few roundings of values up to 100
    torch.testing.assert_close(fitted.invert(standard), value, rtol=0, atol=tolerance, equal_nan=True)


def test_equal_labels_fall_back() -> None:
    value = torch.full((10, 2, 1), 4.0, dtype=torch.float64)
    value[0, 0] = 14.0  # MAD 0, standard deviation 3
    fitted = Standardizer.fit(value)
    assert fitted.scale[:, 0].tolist() == [3.0, 1.0]
    assert fitted.center[:, 0].tolist() == [4.0, 4.0]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"expected target \(n, K, D\) with n > 0, got \(0, 2, 1\)"):
        Standardizer.fit(torch.zeros(0, 2, 1))
    value = values(2)
    value[:, 1, 0] = torch.nan
    with pytest.raises(ValueError, match="expected a label in every coordinate, got none at target 1, axis 0"):
        Standardizer.fit(value)
    value[3, 2, 1] = torch.inf
    with pytest.raises(ValueError, match=r"got 1 infinite values, the first at \(3, 2, 1\)"):
        Standardizer.fit(value)
    with pytest.raises(TypeError, match=r"floating dtype, got torch\.int64"):
        Standardizer.fit(torch.zeros(2, 2, 1, dtype=torch.int64))
