"""The joint mode against SciPy's minimisers and closed forms, flat optima, shapes and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fusion_twin import ENERGY, by_scipy, energy, gradient, views

from steadfit.core import joint_mode
from steadfit.core.fusion import Fusion, fuse, fuse_views
from steadfit.errors import ConvergenceWarning
from steadfit.penalties import Absolute, Cauchy, Charbonnier, Huber, Penalty, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")

CONVEX = pytest.mark.parametrize("penalty", ENERGY, ids=repr)


@CONVEX
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_equals_scipys_minimiser(penalty: Penalty, dim: int) -> None:
    for count in (2, 3, 6):
        for kind in ({}, {"outlying": 50.0}, {"condition": 1e4, "outlying": 20.0}):
            mu, root = views(count, 1, dim, **kind)
            mode, _ = fuse(mu, root, penalty, location="mu")
            m, a, y = mu[:, 0].numpy(), root[:, 0].numpy(), mode[0].numpy()
            expected, lowest = by_scipy(m, a, penalty)
            assert energy(y, m, a, penalty)[0] <= lowest + 1e-11 * (1 + lowest)
            gap = np.linalg.norm(np.einsum("vij,j->vi", a, y - expected))  # in joint standard deviations
            assert gap < 1e-6, (count, kind)
            assert np.abs(y - expected).max() < 1e-6 * max(1.0, kind.get("condition", 1.0) ** 0.5)


@pytest.mark.parametrize("penalty", [p for p in ENERGY if p != Absolute()], ids=repr)
def test_thousands_of_cases_are_stationary(penalty: Penalty) -> None:
    """Far views, condition 1e4, far-flung coordinates: the gradient vanishes but for rounding, in few steps."""
    for dim in (1, 2, 5):
        for count in (2, 5):
            mu, root = views(count, 200, dim, condition=1e4, outlying=1e3)
            found = fuse_views(mu, root, penalty, location="mu", max_iter=40)
            slope, pulls = gradient(found.mode, mu, root, penalty)
            assert bool(found.converged.all())
            assert int(found.n_iter.max()) <= 25  # 14 at most; a step more or less is another machine's rounding
            # a mean at 1e3 under a root of 1e2 leaves residuals rounded at 1e-11, where pulls are as small as 1e-4
            assert float((slope.norm(dim=-1) / pulls).max()) < 1e-5


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("outlying", [0.0, 1e3])
def test_absolute_satisfies_the_condition_of_the_geometric_median(dim: int, outlying: float) -> None:
    """Either the pulls cancel, or the mode is a view's own and the others pull by no more than it holds."""
    mu, root = views(4, 1000, dim, condition=100.0, outlying=outlying)
    found = fuse_views(mu, root, Absolute(), location="mu", max_iter=40)
    assert bool(found.converged.all())
    residual = joint_mode.product(root, found.mode - mu)  # (V, B, D)
    r = residual.norm(dim=-1)
    at = r < 1e-9 * (1 + outlying)
    pull = joint_mode.product(root, torch.where(at[..., None], 0.0, residual / r[..., None].clamp(min=1e-300)))
    own = torch.linalg.solve(root, pull.sum(0).expand_as(pull)).norm(dim=-1)  # (V, B)
    held = torch.where(at, own, torch.inf).amin(0) < 1 + 1e-9
    slope, pulls = gradient(found.mode, mu, root, Absolute())
    cancels = slope.norm(dim=-1) < 1e-8 * pulls
    assert bool((held | cancels).all())
    assert bool(held.any())
    assert dim == 1 or bool((cancels & ~held).any())


def test_leaves_a_mean_that_is_a_views_own_mode_but_not_the_minimum() -> None:
    """Weiszfeld's trap: the mean is the third view; the median of five on a line is elsewhere."""
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [4.0, 0.0], [1.0, 2.0], [2.0, -2.0]])
    points = torch.cat([points, 7 * torch.tensor([[2.0, 0.0]]) - points.sum(0, keepdim=True)])  # mean (2, 0)
    points = torch.cat([points, torch.tensor([[2.0, 0.0]])])
    mode, _ = fuse(points[:, None], torch.eye(2).expand(8, 1, 2, 2), Absolute(), location="mu")
    expected, _ = by_scipy(points.numpy(), np.tile(np.eye(2), (8, 1, 1)), Absolute())
    np.testing.assert_allclose(mode[0].numpy(), expected, atol=1e-7)
    collinear = torch.tensor([0.0, 1.0, 4.0, 4.0, 11.0])[:, None, None]  # mean 4, median 4; then mean 3 at a view
    assert float(fuse(collinear, torch.ones(5, 1, 1, 1), Absolute())[0]) == 4
    skewed = torch.tensor([0.0, 1.0, 3.0, 2.0, 9.0])[:, None, None]
    assert float(fuse(skewed, torch.ones(5, 1, 1, 1), Absolute())[0]) == pytest.approx(2, abs=1e-14)


def test_squared_is_the_precision_weighted_mean() -> None:
    mu, root = views(4, 50, 3, condition=100.0)
    precision = (root @ root).sum(0)
    expected = torch.linalg.solve(precision, joint_mode.product(root @ root, mu).sum(0))
    found = fuse_views(joint_mode.product(root, mu), root, Squared())
    torch.testing.assert_close(found.mode, expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found.precision, precision, rtol=1e-13, atol=1e-13)
    assert int(found.n_iter.max()) <= 1
    wide = fuse(mu, root, Huber(1e6), location="mu")[0]  # a knee that nobody reaches
    torch.testing.assert_close(wide, expected, rtol=1e-9, atol=1e-11)


def test_precision_is_the_sum_of_weighted_squares_at_the_mode() -> None:
    mu, root = views(5, 40, 2, outlying=30.0)
    for penalty in (Huber(0.5), Charbonnier(), Cauchy()):
        found = fuse_views(mu, root, penalty, location="mu")
        r = joint_mode.product(root, found.mode - mu).norm(dim=-1)
        weight = penalty.psi(r) / r
        torch.testing.assert_close(found.weight, weight, rtol=1e-9, atol=0)
        expected = torch.einsum("vb,vbij,vbjk->bik", weight, root, root)
        torch.testing.assert_close(found.precision, expected, rtol=1e-9, atol=1e-12)


def test_both_locations_give_one_answer_and_mu_keeps_large_coordinates() -> None:
    mu, root = views(4, 30, 2, outlying=10.0)
    a = fuse(mu, root, Huber(1.0), location="mu")
    b = fuse(joint_mode.product(root, mu), root, Huber(1.0))
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)
    shifted = fuse(mu + 2.0**40, root, Huber(1.0), location="mu")[0] - 2.0**40
    torch.testing.assert_close(
        shifted, fuse((mu + 2.0**40) - 2.0**40, root, Huber(1.0), location="mu")[0], rtol=0, atol=3e-4
    )


# Flat optima


@pytest.mark.parametrize("penalty", [Absolute(), Huber(0.5)], ids=repr)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_two_equal_views_meet_in_the_middle(penalty: Penalty, dim: int) -> None:
    mu = 9 * torch.randn(2, 20, dim)
    mode, _ = fuse(mu, 0.7 * torch.eye(dim).expand(2, 20, dim, dim), penalty, location="mu")
    torch.testing.assert_close(mode, mu.mean(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
def test_a_flat_segment_gives_its_point_nearest_to_the_mean(turned: bool) -> None:
    """Views at 0, 1, 3, 100: every y in [1, 3] is a median; the mean, 26, is nearest to 3. Also on a line in 3-D."""
    axis = torch.nn.functional.normalize(torch.tensor([1.0, -2.0, 0.5]), dim=0) if turned else torch.ones(1)
    place = torch.tensor([[0.0, 1.0, 3.0, 100.0], [-100.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]]).T  # (V, 3 cases)
    mu, root = place.unsqueeze(-1) * axis, torch.eye(len(axis)).expand(4, 3, len(axis), len(axis))
    expected = torch.tensor([3.0, 1.0, 3.0])
    mode, _ = fuse(mu, root, Absolute(), location="mu")
    torch.testing.assert_close(mode, expected.unsqueeze(-1) * axis, rtol=0, atol=1e-10)
    # Huber(k): flat where the two inner residuals are beyond k, so [1 + k, 3 - k]
    mode, _ = fuse(mu, root, Huber(0.25), location="mu")
    expected = torch.tensor([2.75, 1.25, 3.0])
    torch.testing.assert_close(mode[:2], expected[:2, None] * axis, rtol=0, atol=1e-10)
    torch.testing.assert_close(mode[2], 3.0 * axis, rtol=0, atol=1e-10)


def test_flat_answers_are_continuous_in_the_views() -> None:
    """The middle pair's segment clamps the mean: moving one view moves the answer by no more than that."""
    step = torch.linspace(-50, 50, 4001)
    mu = torch.stack([torch.zeros_like(step), torch.ones_like(step), torch.full_like(step, 3.0), step])[..., None]
    mode, _ = fuse(mu, torch.ones(*mu.shape, 1), Absolute(), location="mu")
    middle = mu.squeeze(-1).sort(dim=0).values[1:3]
    expected = mu.mean(0).squeeze(-1).clamp(middle[0], middle[1])
    torch.testing.assert_close(mode.squeeze(-1), expected, rtol=0, atol=1e-10)
    assert float(mode.diff(dim=0).abs().max()) < 1.1 * float(step[1] - step[0])


def test_roundings_of_the_roots_do_not_tip_the_balance() -> None:
    mu = torch.tensor([[[0.0, 0.0]], [[8.0, 6.0]]])
    for dtype in (torch.float32, torch.float64):
        root = torch.eye(2, dtype=dtype).repeat(2, 1, 1, 1)
        root[1] *= 1 + torch.finfo(dtype).eps
        mode, _ = fuse(mu.to(dtype), root, Absolute(), location="mu")
        torch.testing.assert_close(mode, torch.tensor([[4.0, 3.0]], dtype=dtype), rtol=1e-6, atol=0)
        root[1] *= 1.01  # that does
        mode, _ = fuse(mu.to(dtype), root, Absolute(), location="mu")
        torch.testing.assert_close(mode, mu[1].to(dtype), rtol=1e-6, atol=0)


@pytest.mark.parametrize("penalty", [Absolute(), Huber(0.3), Charbonnier(), Tukey(), Squared()], ids=repr)
def test_the_order_of_the_views_is_nothing(penalty: Penalty) -> None:
    mu, root = views(4, 60, 2, outlying=20.0)
    line = torch.tensor([0.0, 2.0, 5.0, 60.0]).reshape(4, 1, 1) * torch.tensor([0.6, 0.8])
    mu, root = torch.cat([mu, line], dim=1), torch.cat([root, torch.eye(2).expand(4, 1, 2, 2)], dim=1)
    mode, precision = fuse(mu, root, penalty, location="mu")
    order = [2, 0, 3, 1]
    again = fuse(mu[order], root[order], penalty, location="mu", resolution=1e-6)
    torch.testing.assert_close(again[0], mode, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(again[1], precision, rtol=1e-5, atol=1e-6)


def test_affine_maps_carry_the_answer_along() -> None:
    """y' = T y with roots A T^-1 (any factor of T^-T A^2 T^-1 leaves the residuals' norms alone)."""
    mu, root = views(3, 20, 2, outlying=8.0)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    mode, precision = fuse(mu, root, Huber(1.0), location="mu")
    turned = fuse(mu @ turn.T * 5, turn @ root @ turn.T / 5, Huber(1.0), location="mu")
    torch.testing.assert_close(turned[0], mode @ turn.T * 5, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(turned[1], turn @ precision @ turn.T / 25, rtol=1e-8, atol=1e-9)


# Shapes, dtypes, errors


def test_a_batch_is_its_cases() -> None:
    mu, root = views(3, 12, 2, outlying=20.0)
    for penalty in (Absolute(), Huber(0.2), Cauchy()):
        whole = fuse_views(mu.reshape(3, 4, 3, 2), root.reshape(3, 4, 3, 2, 2), penalty, location="mu")
        assert whole.mode.shape == (4, 3, 2)
        assert whole.precision.shape == (4, 3, 2, 2)
        assert whole.weight.shape == (3, 4, 3)
        assert whole.n_iter.shape == whole.converged.shape == (4, 3)
        for i in range(12):
            mode, precision = fuse(mu[:, i], root[:, i], penalty, location="mu")
            torch.testing.assert_close(whole.mode.reshape(12, 2)[i], mode, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(whole.precision.reshape(12, 2, 2)[i], precision, rtol=1e-6, atol=1e-9)
    empty = fuse(mu[:, :0], root[:, :0], Huber(1.0))
    assert (empty[0].shape, empty[1].shape) == ((0, 2), (0, 2, 2))


def test_dtype_is_kept_and_gradients_end() -> None:
    mu, root = views(3, 8, 2)
    low = fuse(mu.float().requires_grad_(), root.float(), Huber(1.0), location="mu")
    high = fuse(mu.float().double(), root.float().double(), Huber(1.0), location="mu")
    for a, b in zip(low, high, strict=True):
        assert a.dtype == torch.float32
        assert not a.requires_grad
        torch.testing.assert_close(a, b.float(), rtol=1e-5, atol=1e-5)
    with torch.inference_mode():
        again = fuse(mu, root, Charbonnier(), location="mu")[0]
    torch.testing.assert_close(again.clone(), fuse(mu, root, Charbonnier(), location="mu")[0], rtol=1e-9, atol=1e-9)


def test_a_pair_and_a_report() -> None:
    mu, root = views(2, 3, 2)
    found = fuse_views(mu, root, Huber(1.0))
    assert isinstance(found, Fusion)
    result = fuse(mu, root, Huber(1.0))
    assert type(result) is tuple
    assert len(result) == 2
    torch.testing.assert_close(result[0], found.mode, rtol=0, atol=0)


def test_not_converging_is_a_warning_with_remedies() -> None:
    mu, root = views(4, 20, 2, outlying=50.0)
    with pytest.warns(
        ConvergenceWarning, match=r"fuse: \d+ of 20 cases not converged after 1 steps\. Raise max_iter"
    ) as w:
        fuse(mu, root, Huber(0.1), location="mu", max_iter=1)
    assert w[0].filename == __file__


def test_errors() -> None:
    nu, root, penalty = torch.zeros(2, 3, 2), torch.eye(2).expand(2, 3, 2, 2), Huber(1.0)
    with pytest.raises(TypeError, match=r"fuse: expected nu of a floating dtype, got torch\.int64\."):
        fuse(nu.long(), root, penalty)
    with pytest.raises(TypeError, match=r"fuse: expected root to be a tensor, got list\."):
        fuse(nu, [1.0], penalty)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"fuse: expected penalty to be a penalty, got float\. Pass Huber"):
        fuse(nu, root, 1.0)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"fuse: expected nu of shape \(V, \.\.\., D\) with V, D >= 1, got \(0, 3, 2\)\."
    ):
        fuse(nu[:0], root[:0], penalty)
    with pytest.raises(ValueError, match=r"got \(2,\)\."):
        fuse(nu[0, 0], root, penalty)
    with pytest.raises(ValueError, match=r"fuse: expected root of shape \(2, 3, 2, 2\), got \(2, 2\)\."):
        fuse(nu, torch.eye(2), penalty)
    with pytest.raises(ValueError, match=r"expected finite nu .* got 1 infinite values, the first at \(1, 0, 1\)\."):
        fuse(torch.where(torch.arange(12).reshape(2, 3, 2) == 7, math.inf, nu), root, penalty)
    with pytest.raises(ValueError, match=r"fuse: expected location to be one of 'nu', 'mu', got 'mean'\."):
        fuse(nu, root, penalty, location="mean")
    with pytest.raises(ValueError, match=r"fuse: expected weight of shape \(2, 3\), got \(2,\)\."):
        fuse(nu, root, penalty, weight=torch.ones(2))
    with pytest.raises(ValueError, match=r"fuse_views: expected weight >= 0, got -1\.0\."):
        fuse_views(nu, root, penalty, weight=-torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"fuse: expected resolution > 0 and finite, got 0\."):
        fuse(nu, root, penalty, resolution=0)
    with pytest.raises(ValueError, match=r"fuse: expected tol > 0 and finite, got -1\."):
        fuse(nu, root, penalty, tol=-1)
    with pytest.raises(ValueError, match=r"fuse: expected max_iter to be an integer >= 1, got 0\."):
        fuse(nu, root, penalty, max_iter=0)
