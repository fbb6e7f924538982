"""What the paper claims of the map from v to A and of the loss on it: equivariance, isometry, bounds, convexity."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spd_twin import from_eigenvalues, rotation, vectors
from torch import Tensor

from steadfit.core.linalg import eigen
from steadfit.core.linalg.spd import spd_from_vector

pytestmark = pytest.mark.usefixtures("float64")


@given(st.integers(0, 10**6), st.sampled_from([2, 3, 5]), st.floats(0.1, 10.0))
def test_rotating_the_frame_rotates_the_matrix(seed: int, dim: int, floor: float) -> None:
    torch.manual_seed(seed)
    v, frame = vectors(dim, 1)[0], rotation(dim)
    turned = eigen.vector_of(frame @ eigen.matrix_of(v, dim) @ frame.T)
    root, log_det = spd_from_vector(v, dim, floor)
    found, found_log = spd_from_vector(turned, dim, floor)
    torch.testing.assert_close(found, frame @ root @ frame.T, rtol=0, atol=1e-13 * (10 + floor))
    torch.testing.assert_close(found_log, log_det, rtol=1e-12, atol=1e-12 * (1 + float(v.norm()) / floor))


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 5]))
def test_v_is_an_isometric_image_and_g_shrinks_distances(seed: int, dim: int) -> None:
    torch.manual_seed(seed)
    v, w = vectors(dim, 2)
    distance = (v - w).norm()
    torch.testing.assert_close((eigen.matrix_of(v, dim) - eigen.matrix_of(w, dim)).norm(), distance)
    torch.testing.assert_close(eigen.vector_of(eigen.matrix_of(v, dim)), v)
    assert (spd_from_vector(v, dim)[0] - spd_from_vector(w, dim)[0]).norm() <= distance * (1 + 1e-12)


def huber(residual: Tensor, delta: float) -> Tensor:
    r = residual.norm(dim=-1)
    return torch.where(r <= delta, r.square() / 2, delta * (r - delta / 2))


def nll(nu: Tensor, v: Tensor, target: Tensor, floor: float, delta: float) -> Tensor:
    root, log_det = spd_from_vector(v, target.shape[-1], floor)
    return huber((root @ target.unsqueeze(-1)).squeeze(-1) - nu, delta) - log_det


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 5]), st.floats(0.2, 5.0), st.floats(0.1, 5.0))
def test_the_gradient_is_bounded(seed: int, dim: int, floor: float, delta: float) -> None:
    torch.manual_seed(seed)
    nu, target = 10 * torch.randn(20, dim).requires_grad_(), 10 * torch.randn(20, dim)
    v = vectors(dim, 20, 5.0).requires_grad_()
    in_nu, in_v = torch.autograd.grad(nll(nu, v, target, floor, delta).sum(), (nu, v))
    assert bool((in_nu.norm(dim=-1) <= delta * (1 + 1e-12)).all())
    bound = math.sqrt(dim) / floor + delta * target.norm(dim=-1)
    assert bool((in_v.norm(dim=-1) <= bound * (1 + 1e-12)).all())


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 5]))
def test_the_loss_is_jointly_convex_above_the_knee(seed: int, dim: int) -> None:
    torch.manual_seed(seed)
    floor, target = 0.3, 3 * torch.randn(dim)
    nus = torch.randn(2, dim)
    vs = torch.stack([from_eigenvalues(floor + torch.rand(dim) * 3) for _ in range(2)])
    share = torch.rand(9, 1)
    between = nll(
        share * nus[0] + (1 - share) * nus[1], share * vs[0] + (1 - share) * vs[1], target.expand(9, dim), floor, 1.0
    )
    ends = nll(nus, vs, target.expand(2, dim), floor, 1.0)
    chord = share[:, 0] * ends[0] + (1 - share[:, 0]) * ends[1]
    assert bool((between <= chord + 1e-12 * (1 + chord.abs())).all())


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 4]))
def test_the_hessian_is_bounded_above_the_knee(seed: int, dim: int) -> None:
    """Of -log|A| it lies in [0, 1/theta^2]; Huber's adds what ||A y - nu||^2/2 has at most, 1 + ||y||^2."""
    torch.manual_seed(seed)
    floor, target = 0.5, 2 * torch.randn(dim)
    numbers = torch.cat([torch.randn(dim), from_eigenvalues(floor + 0.01 + torch.rand(dim))])
    hessian = torch.autograd.functional.hessian(lambda x: nll(x[:dim], x[dim:], target, floor, 1.0), numbers)  # type: ignore[arg-type]
    values = torch.linalg.eigvalsh(hessian)
    assert float(values.min()) > -1e-10
    assert float(values.max()) <= (1 / floor**2 + 1 + float(target.square().sum())) * (1 + 1e-10)
