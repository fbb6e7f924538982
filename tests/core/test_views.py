"""Predictions through maps of the plane, against finite differences, sampling and scipy's matrix square root."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor

from steadfit.core.fusion import fuse
from steadfit.core.views import map_view, positive_factor, project
from steadfit.penalties import Huber

pytestmark = pytest.mark.usefixtures("float64")

PERSPECTIVE = torch.tensor([[0.9, -0.3, 12.0], [0.2, 1.1, -5.0], [3e-4, -5e-4, 1.0]], dtype=torch.float64)
MIRROR = torch.tensor([[-1.0, 0.0, 223.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def predictions(count: int, condition: float = 5.0) -> tuple[Tensor, Tensor]:
    q, _ = torch.linalg.qr(torch.randn(count, 2, 2))
    root = (q * (condition ** (torch.rand(count, 2) - 0.5)).unsqueeze(-2)) @ q.mT
    return 200 * torch.rand(count, 2), 0.5 * (root + root.mT)


def by_hand(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    lifted = matrix @ np.append(x, 1.0)
    return np.asarray(lifted[:2] / lifted[2])


def test_project_is_the_homography_and_its_jacobian() -> None:
    point, _ = predictions(20)
    image, jacobian = project(point, PERSPECTIVE)
    for x, h, j in zip(point.numpy(), image.numpy(), jacobian.numpy(), strict=True):
        np.testing.assert_allclose(h, by_hand(x, PERSPECTIVE.numpy()), rtol=1e-14)
        step = 1e-4
        columns = [
            (by_hand(x + step * e, PERSPECTIVE.numpy()) - by_hand(x - step * e, PERSPECTIVE.numpy())) / (2 * step)
            for e in np.eye(2)
        ]
        np.testing.assert_allclose(j, np.stack(columns, axis=1), atol=1e-9)  # h^2 and rounding/h


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e6])
def test_positive_factor_is_the_root_of_the_square(condition: float) -> None:
    left, _ = torch.linalg.qr(torch.randn(200, 2, 2))
    right, _ = torch.linalg.qr(torch.randn(200, 2, 2))
    left[::2, 0] *= -1  # reflections too
    values = torch.stack([torch.ones(200), torch.full((200,), 1 / condition)], dim=-1)
    given = (left * values.unsqueeze(-2)) @ right.mT
    assert bool((torch.linalg.det(given) < 0).any() & (torch.linalg.det(given) > 0).any())
    expected = (right * values.unsqueeze(-2)) @ right.mT
    found = positive_factor(given)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)  # rounding of the entries
    assert bool((found == found.mT).all())
    if condition < 100:
        for p, c in zip(found[:5].numpy(), given[:5].numpy(), strict=True):
            np.testing.assert_allclose(p, linalg.sqrtm(c.T @ c).real, atol=1e-12)


def test_positive_factor_of_nothing_and_of_singular_matrices() -> None:
    assert float(positive_factor(torch.zeros(2, 2)).abs().max()) == 0
    torch.testing.assert_close(
        positive_factor(torch.tensor([[0.0, 0.0], [3.0, 4.0]])) * 5, torch.tensor([[9.0, 12.0], [12.0, 16.0]])
    )
    torch.testing.assert_close(positive_factor(1e-160 * torch.eye(2)), 1e-160 * torch.eye(2), rtol=1e-14, atol=0)


@pytest.mark.parametrize("matrix", [PERSPECTIVE, MIRROR], ids=["perspective", "mirror"])
def test_precision_goes_through_the_jacobian(matrix: Tensor) -> None:
    mean, root = predictions(50)
    image, mapped = map_view(mean, root, matrix)
    _, jacobian = project(mean, matrix)
    inverse = torch.linalg.inv(jacobian)
    torch.testing.assert_close(mapped @ mapped, inverse.mT @ root @ root @ inverse, rtol=1e-11, atol=1e-12)
    assert bool((torch.linalg.eigvalsh(mapped) > 0).all())
    assert bool((mapped == mapped.mT).all())
    torch.testing.assert_close(image, project(mean, matrix)[0], rtol=0, atol=0)


def test_samples_mapped_one_by_one_have_the_mapped_moments() -> None:
    mean, root = predictions(1)
    root = 2 * root  # deviations of half a pixel or so: the map is all but linear there
    samples = mean + (torch.linalg.inv(root) @ torch.randn(400_000, 2, 1)).squeeze(-1)
    moved, _ = project(samples, PERSPECTIVE)
    image, mapped = map_view(mean, root, PERSPECTIVE)
    covariance = torch.linalg.inv(mapped @ mapped)[0]
    spread = float(covariance.diagonal().max())
    torch.testing.assert_close(moved.mean(0), image[0], rtol=0, atol=5e-3 * spread**0.5)  # 3 standard errors
    torch.testing.assert_close(torch.cov(moved.T), covariance, rtol=0, atol=1e-2 * spread)


def test_there_and_back_is_nothing() -> None:
    mean, root = predictions(100)
    back = map_view(*map_view(mean, root, PERSPECTIVE), torch.linalg.inv(PERSPECTIVE))
    torch.testing.assert_close(back[0], mean, rtol=1e-11, atol=1e-10)
    torch.testing.assert_close(back[1], root, rtol=1e-10, atol=1e-11)
    mirrored = map_view(*map_view(mean, root, MIRROR), MIRROR)
    torch.testing.assert_close(mirrored[1], root, rtol=1e-13, atol=1e-14)
    scaled = map_view(mean, root, 7.0 * PERSPECTIVE)  # the same homography
    torch.testing.assert_close(scaled, map_view(mean, root, PERSPECTIVE), rtol=1e-12, atol=1e-12)


def test_a_mirrored_equal_prediction_fuses_to_itself() -> None:
    mean, root = predictions(30)
    there = map_view(mean, root, MIRROR)
    back = map_view(*there, MIRROR)
    mode, precision = fuse(torch.stack([mean, back[0]]), torch.stack([root, back[1]]), Huber(1.0), location="mu")
    torch.testing.assert_close(mode, mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(precision, 2 * root @ root, rtol=1e-11, atol=1e-12)


def test_matrices_are_broadcast_over_points() -> None:
    mean, root = predictions(6)
    mean, root = mean.reshape(2, 3, 2), root.reshape(2, 3, 2, 2)
    matrix = torch.stack([PERSPECTIVE, MIRROR]).unsqueeze(1)
    image, mapped = map_view(mean, root, matrix)
    for i, one in enumerate((PERSPECTIVE, MIRROR)):
        expected = map_view(mean[i], root[i], one)
        torch.testing.assert_close((image[i], mapped[i]), expected, rtol=1e-14, atol=0)


def test_what_has_no_image_is_missing() -> None:
    mean, root = predictions(4)
    horizon = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, -1.0]])
    mean[1] = torch.tensor([1.0, 3.0])  # sent to infinity
    mean[2, 0] = torch.nan
    image, mapped = map_view(mean, root, horizon)
    assert image.isnan().all(-1).tolist() == [False, True, True, False]
    assert mapped.flatten(1).isnan().all(-1).tolist() == [False, True, True, False]
    mean[3] = torch.tensor([0.5, 3.0])  # behind the horizon, w = x - 1 < 0
    assert bool(map_view(mean, root, horizon)[0][3].isnan().all())
    flat = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert bool(map_view(mean, root, flat)[1].isnan().all())


def test_gradients() -> None:
    mean, root = predictions(3)

    def free(m: Tensor, half: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
        return map_view(m, half @ half.mT + torch.eye(2), matrix)

    inputs = (mean / 50, root, PERSPECTIVE.clone())
    assert torch.autograd.gradcheck(free, tuple(v.requires_grad_() for v in inputs))


def test_dtype_is_kept() -> None:
    mean, root = predictions(5)
    low = map_view(mean.float(), root.float(), PERSPECTIVE.float())
    high = map_view(mean.float().double(), root.float().double(), PERSPECTIVE.float().double())
    for a, b in zip(low, high, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b.float(), rtol=0, atol=0)  # float64 inside


def test_errors() -> None:
    mean, root = predictions(3)
    with pytest.raises(ValueError, match=r"map_view: expected mean .* got \(3, 2\) and \(2, 2\)\."):
        map_view(mean, root[0], MIRROR)
    with pytest.raises(ValueError, match=r"map_view: expected matrix of shape \(\.\.\., 3, 3\), got \(2, 3\)\."):
        map_view(mean, root, MIRROR[:2])
    with pytest.raises(TypeError, match=r"map_view: expected matrix of a floating dtype, got torch\.int64\."):
        map_view(mean, root, MIRROR.long())
