from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steadfit.core.linalg.spd import spd_sqrt
from steadfit.core.views import map_view
from steadfit.data import inverse, jacobian, map_points, mirror_frame
from steadfit.data.images.maps import about, compose, frame_matrix, perspective, rotation, scaling, translation

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def warps() -> Tensor:
    """Five maps of a 224 px frame with all ingredients, w > 0 over the frame."""
    u = 2 * torch.rand(5, 7) - 1
    return compose(
        mirror_frame(224),
        about(perspective(0.3 / 224 * u[:, :2]), torch.tensor([111.5, 111.5])),
        about(compose(scaling(1.2 ** u[:, 2:4]), rotation(30 * u[:, 4])), torch.tensor([111.5, 111.5])),
        translation(11 * u[:, 5:]),
    )


@pytest.fixture
def points() -> Tensor:
    value = 224 * torch.rand(5, 6, 2)
    value[1, 2] = torch.nan
    value[3, 0] = torch.tensor([torch.nan, 5.0])
    return value


def spread(batch: tuple[int, ...]) -> Tensor:
    """Symmetric positive definite matrices (..., 2, 2)."""
    root = torch.randn(*batch, 2, 2)
    return root @ root.mT + 0.1 * torch.eye(2)


def test_points_equal_a_loop(warps: Tensor, points: Tensor) -> None:
    got = map_points(warps, points)
    for b in range(5):
        for k in range(6):
            x, y = points[b, k].tolist()
            u, v, w = (row[0] * x + row[1] * y + row[2] for row in warps[b].tolist())
            torch.testing.assert_close(got[b, k], torch.tensor([u / w, v / w]), rtol=1e-13, atol=1e-12, equal_nan=True)
    assert torch.isnan(got[1, 2]).all()
    assert torch.isnan(got[3, 0]).all()  # half a point is none
    assert int(torch.isnan(got).sum()) == 4


def test_there_and_back(warps: Tensor, points: Tensor) -> None:
    there = map_points(warps, points)
    back = map_points(inverse(warps), there)
    whole = torch.where(points.isnan().any(-1, keepdim=True), torch.nan, points)
    torch.testing.assert_close(back, whole, rtol=0, atol=1e-10, equal_nan=True)
    single = map_points(inverse(warps), map_points(warps, points.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), whole, rtol=0, atol=1e-4, equal_nan=True)  # float32: 224 * 2^-23


def test_one_matrix_maps_a_batch_as_each_alone(warps: Tensor, points: Tensor) -> None:
    stacked = torch.stack([map_points(warps[0], one) for one in points])
    torch.testing.assert_close(map_points(warps[0], points), stacked, rtol=0, atol=0, equal_nan=True)
    each = torch.stack([map_points(m, p) for m, p in zip(warps, points, strict=True)])
    torch.testing.assert_close(map_points(warps, points), each, rtol=1e-14, atol=1e-13, equal_nan=True)
    slopes = torch.stack([jacobian(m, p) for m, p in zip(warps, points, strict=True)])
    torch.testing.assert_close(jacobian(warps, points), slopes, rtol=1e-14, atol=1e-14, equal_nan=True)


def test_compose_applies_the_first_map_first(warps: Tensor) -> None:
    points = 224 * torch.rand(5, 6, 2)
    both = map_points(compose(warps, translation(torch.tensor([3.0, -2.0])), rotation(torch.tensor(20.0))), points)
    one_by_one = map_points(rotation(torch.tensor(20.0)), map_points(warps, points) + torch.tensor([3.0, -2.0]))
    torch.testing.assert_close(both, one_by_one, rtol=1e-13, atol=1e-11)


def test_builders_by_hand() -> None:
    point = torch.tensor([[3.0, 4.0]])
    assert map_points(translation(torch.tensor([1.0, -1.0])), point).tolist() == [[4.0, 3.0]]
    assert map_points(scaling(torch.tensor([2.0, 0.5])), point).tolist() == [[6.0, 2.0]]
    assert map_points(perspective(torch.tensor([0.25, 0.0])), point).tolist() == [[3 / 1.75, 4 / 1.75]]
    assert map_points(mirror_frame(10), point).tolist() == [[6.0, 4.0]]
    assert map_points(frame_matrix(torch.tensor([2.0, 4.0]), torch.tensor([1.0, -1.0])), point).tolist() == [
        [7.0, 15.0]
    ]
    turned = map_points(about(rotation(torch.tensor(90.0)), torch.tensor([3.0, 3.0])), point)
    torch.testing.assert_close(turned, torch.tensor([[2.0, 3.0]]), rtol=0, atol=1e-14)
    assert rotation(torch.zeros(2, 5)).shape == (2, 5, 3, 3)
    assert mirror_frame(10).dtype == torch.float64


def test_the_mirror_is_its_own_inverse() -> None:
    assert torch.equal(compose(mirror_frame(7), mirror_frame(7)), torch.eye(3))
    assert torch.equal(inverse(mirror_frame(7)), mirror_frame(7))


def test_behind_the_horizon_there_is_no_image() -> None:
    half = perspective(torch.tensor([0.5, 0.0]))  # w = 1 + x / 2
    points = torch.tensor([[-1.9, 1.0], [-2.0, 1.0], [-3.0, 1.0], [2.0, 1.0]])
    got = map_points(half, points)
    assert got.isnan().any(-1).tolist() == [False, True, True, False]
    assert got.isnan().all(-1).tolist() == [False, True, True, False]
    assert jacobian(half, points).isnan().flatten(1).all(1).tolist() == [False, True, True, False]
    assert got[3].tolist() == [1.0, 0.5]


def test_the_jacobian_is_the_derivative(warps: Tensor) -> None:
    points = 224 * torch.rand(5, 6, 2)
    got = jacobian(warps, points)
    for b in range(5):
        for k in range(6):
            slope = torch.autograd.functional.jacobian(lambda p, b=b: map_points(warps[b], p[None])[0], points[b, k])
            torch.testing.assert_close(got[b, k], slope, rtol=1e-12, atol=1e-13)


def test_an_affine_jacobian_needs_no_point() -> None:
    matrix = compose(rotation(torch.tensor(25.0)), scaling(torch.tensor([1.5, 0.5])))
    missing = torch.tensor([[torch.nan, 1.0], [2.0, 3.0]])
    assert torch.equal(jacobian(matrix, missing), matrix[:2, :2].expand(2, 2, 2))
    bent = perspective(torch.tensor([0.01, 0.0]))
    assert jacobian(bent, missing).isnan().flatten(1).all(1).tolist() == [True, False]


def test_gradients_reach_points_and_matrix() -> None:
    points = torch.rand(5, 2, 2).requires_grad_()
    matrix = compose(rotation(60 * torch.rand(5)), perspective(0.3 * torch.rand(5, 2) + 0.1)).requires_grad_()
    assert torch.autograd.gradcheck(map_points, (matrix, points))
    assert torch.autograd.gradcheck(jacobian, (matrix, points))


def carried(matrix: Tensor, points: Tensor, covariance: Tensor) -> Tensor:
    slope = jacobian(matrix, points)
    return slope @ covariance @ slope.mT


def test_covariances_go_as_samples_do() -> None:
    affine = compose(rotation(torch.tensor(40.0)), scaling(torch.tensor([-1.5, 0.4])), translation(torch.ones(2)))
    cloud = torch.randn(50, 2) @ torch.tensor([[2.0, 0.3], [0.0, 0.5]])
    got = carried(affine, cloud.mean(0)[None], cloud.T.cov()[None])[0]
    torch.testing.assert_close(got, map_points(affine, cloud).T.cov(), rtol=1e-12, atol=1e-13)


def test_a_small_cloud_goes_as_its_covariance_under_perspective(warps: Tensor) -> None:
    centre = torch.tensor([60.0, 150.0])
    cloud = torch.randn(400, 2) @ torch.tensor([[2.0, 0.3], [0.0, 0.5]])
    covariance = (cloud.T @ cloud) / 400
    for matrix in warps:
        step = 1e-4 * (cloud - cloud.mean(0))
        moved = map_points(matrix, centre + step).T.cov() / 1e-8
        got = carried(matrix, centre[None], (step.T.cov() / 1e-8)[None])[0]
        torch.testing.assert_close(moved, got, rtol=1e-4, atol=1e-5)  # first order: the rest is step / 224
    assert carried(warps, centre.expand(5, 1, 2), covariance.expand(5, 1, 2, 2)).shape == (5, 1, 2, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roots_go_as_covariances_do(warps: Tensor, dtype: torch.dtype) -> None:
    """The precision of ``map_view`` is the inverse of the covariance through the Jacobian."""
    points, covariance = 224 * torch.rand(5, 6, 2), spread((5, 6))
    _, root = map_view(points.to(dtype), spd_sqrt(covariance.inverse()).to(dtype), warps[:, None].to(dtype))
    moved = carried(warps, points, covariance)
    assert root.dtype == dtype
    tolerance = 1e-10 if dtype == torch.float64 else 1e-3  # float32: 2^-23 times a condition number of some hundreds
    precision = (root @ root).double()
    torch.testing.assert_close(precision, moved.inverse(), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(moved, moved.mT, rtol=1e-6, atol=1e-6)


def test_a_mirror_turns_the_sign_of_the_correlation() -> None:
    covariance = torch.tensor([[[4.0, 1.0], [1.0, 2.0]]])
    got = carried(mirror_frame(8), torch.tensor([[1.0, 2.0]]), covariance)
    assert got.tolist() == [[[4.0, -1.0], [-1.0, 2.0]]]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"map_points: expected matrices .* got \(3, 3\) and \(4, 3\)"):
        map_points(torch.eye(3), torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"jacobian: expected .* got \(2, 3\) and \(4, 2\)"):
        jacobian(torch.zeros(2, 3), torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"map_points: expected .* got \(3, 3\) and \(2,\)"):
        map_points(torch.eye(3), torch.zeros(2))
    singular = torch.stack((torch.eye(3), torch.ones(3, 3)))
    with pytest.raises(ValueError, match="inverse: expected invertible matrices, got 1 singular ones among 2"):
        inverse(singular)


def test_angles_turn_from_right_to_down() -> None:
    got = map_points(rotation(torch.tensor([30.0, -30.0])), torch.tensor([[[1.0, 0.0]]] * 2))
    half, root = 0.5, math.sqrt(3) / 2
    torch.testing.assert_close(got, torch.tensor([[[root, half]], [[root, -half]]]), rtol=0, atol=1e-15)
