"""The joint mode of penalties that are not convex, of missing and singular views, of everything degenerate."""

from __future__ import annotations

import warnings

import pytest
import torch
from fusion_twin import ENERGY, views
from torch import Tensor

from steadfit.core import joint_mode
from steadfit.core.fusion import fuse, fuse_views
from steadfit.errors import ConvergenceWarning
from steadfit.penalties import (
    Absolute,
    Barron,
    Cauchy,
    Charbonnier,
    GemanMcClure,
    Huber,
    Penalty,
    Squared,
    StudentT,
    Tukey,
    Welsch,
)

pytestmark = pytest.mark.usefixtures("float64")

NOT_CONVEX = pytest.mark.parametrize(
    "penalty", [Tukey(), Cauchy(), Welsch(), GemanMcClure(), StudentT(3.0), Barron(-1.0, 2.0)], ids=repr
)


# Penalties that are not convex


@NOT_CONVEX
def test_a_local_minimum_below_the_start(penalty: Penalty) -> None:
    mu, root = views(5, 200, 2, spread=1.0, outlying=20.0)
    found = fuse_views(mu, root, penalty, location="mu")
    assert bool(found.converged.all())
    mean = fuse(mu, root, Squared(), location="mu")[0]

    def total(y: Tensor) -> Tensor:
        return penalty.rho(joint_mode.product(root, y - mu).norm(dim=-1)).sum(0)

    assert bool((total(found.mode) <= total(mean) + 1e-12).all())
    for _ in range(20):
        assert bool((total(found.mode + 1e-4 * torch.randn_like(found.mode)) >= total(found.mode) - 1e-11).all())


@NOT_CONVEX
def test_stays_in_the_basin_of_plain_majorise_minimise(penalty: Penalty) -> None:
    mu, root = views(4, 60, 2, spread=1.0, outlying=10.0)
    y = fuse(mu, root, Squared(), location="mu")[0]
    square = root @ root
    for _ in range(1000):
        weight = penalty.weight(joint_mode.product(root, y - mu).norm(dim=-1))[..., None, None] * square
        moved, _ = torch.linalg.solve_ex(weight.sum(0), joint_mode.product(weight, mu).sum(0))
        y = torch.where(moved.isfinite(), moved, y)  # no weight left: stays
    found = fuse(mu, root, penalty, location="mu")[0]
    same = (found - y).norm(dim=-1) < 1e-6
    assert float(same.double().mean()) == 1.0


def test_zero_trust_gives_the_mean_and_no_precision() -> None:
    mu = torch.tensor([[[0.0, 0.0]], [[100.0, 0.0]]])
    found = fuse_views(mu, torch.eye(2).expand(2, 1, 2, 2), Tukey(), location="mu")
    assert found.mode.tolist() == [[50.0, 0.0]]
    assert float(found.precision.abs().max()) == 0
    assert bool(found.converged)
    far = fuse_views(1e6 * mu, torch.eye(2).expand(2, 1, 2, 2), Welsch(0.01), location="mu")  # weights underflow
    assert bool(far.mode.isfinite().all())
    assert float(far.precision.abs().max()) == 0


# Missing and degenerate views


@pytest.mark.parametrize("penalty", [*ENERGY, Tukey(), Cauchy()], ids=repr)
def test_one_view_is_itself(penalty: Penalty) -> None:
    mu, root = views(1, 30, 3, condition=50.0)
    mode, precision = fuse(joint_mode.product(root, mu), root, penalty)
    torch.testing.assert_close(mode, mu[0], rtol=1e-11, atol=1e-12)
    at_zero = min(float(penalty.weight(torch.zeros(()))), 1e6)
    torch.testing.assert_close(precision, at_zero * (root @ root)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("penalty", [Huber(1.0), Absolute(), Tukey()], ids=repr)
def test_missing_views_take_no_part(penalty: Penalty) -> None:
    mu, root = views(4, 10, 2)
    with_gaps, roots = mu.clone(), root.clone()
    with_gaps[1, :, 0] = torch.nan
    roots[3, :, 1, 1] = torch.nan
    for location in ("nu", "mu"):
        found = fuse_views(with_gaps, roots, penalty, location=location)
        expected = fuse(mu[[0, 2]], root[[0, 2]], penalty, location=location)
        torch.testing.assert_close(found.mode, expected[0], rtol=1e-10, atol=1e-11)
        torch.testing.assert_close(found.precision, expected[1], rtol=1e-8, atol=1e-10)
        assert float(found.weight[[1, 3]].abs().max()) == 0
    with_gaps[:, 4] = torch.nan
    found = fuse_views(with_gaps, roots, penalty)
    assert bool(found.mode[4].isnan().all())
    assert float(found.precision[4].abs().max()) == 0
    assert bool(found.mode[[0, 1, 2, 3, 5, 6, 7, 8, 9]].isfinite().all())


def test_weights_count_views() -> None:
    mu, root = views(3, 25, 2, outlying=10.0)
    weight = torch.tensor([2.0, 0.0, 1.0])[:, None].expand(3, 25)
    twice = [0, 0, 2]
    for penalty in (Huber(0.7), Charbonnier(), Squared(), Absolute(), Cauchy()):
        found = fuse(mu, root, penalty, location="mu", weight=weight)
        expected = fuse(mu[twice], root[twice], penalty, location="mu")
        torch.testing.assert_close(found[0], expected[0], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(found[1], expected[1], rtol=1e-6, atol=1e-8)


def test_resolution_bounds_the_precision_at_a_views_own_mode() -> None:
    mu = torch.tensor([[[0.0]], [[5.0]]])
    root = torch.tensor([[[[2.0]]], [[[1.0]]]])
    for resolution in (1e-6, 1e-3, 1.0):
        mode, precision = fuse(mu, root, Absolute(), location="mu", resolution=resolution)
        assert float(mode) == 0
        assert float(precision) == pytest.approx(4 / resolution + 1 / 5, rel=1e-12)
    near = torch.tensor([[[0.0]], [[0.5]], [[2.0]]])
    found = fuse_views(near, torch.ones(3, 1, 1, 1), Absolute(), location="mu", resolution=1.0)
    assert found.mode.tolist() == [[0.5]]
    assert found.weight.flatten().tolist() == pytest.approx([1.0, 1.0, 2 / 3])


@pytest.mark.parametrize("penalty", [*ENERGY, Tukey(), Cauchy(), Welsch(), Barron(-1.0, 2.0)], ids=repr)
def test_no_nan_for_finite_input(penalty: Penalty) -> None:
    size = torch.tensor([0.0, 1e-200, 1e-30, 1e-9, 1.0, 1e9, 1e30])
    scale = torch.cartesian_prod(size, size)[:, [0, 1, 1]].T  # (3, 49)
    mu = torch.tensor([[1.0, -2.0], [3.0, 4.0], [3.0, 4.0]]).unsqueeze(1).expand(3, 49, 2)
    root = scale[..., None, None] * torch.eye(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = fuse_views(mu, root, penalty, location="mu", max_iter=50)
    assert bool(found.mode.isfinite().all())
    assert not bool(found.precision.isnan().any())
    flat = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).expand(2, 1, 2, 2)  # nothing is known across
    mode, precision = fuse(torch.tensor([[[1.0, 5.0]], [[2.0, 7.0]]]), flat, penalty)
    assert bool(mode.isfinite().all() & precision.isfinite().all())
    equal = fuse(torch.ones(3, 1, 2), torch.eye(2).expand(3, 1, 2, 2), penalty)
    torch.testing.assert_close(equal[0], torch.ones(1, 2), rtol=1e-14, atol=0)
