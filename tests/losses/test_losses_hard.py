"""OHEMLoss and OHKMLoss: sorting by hand, quotas, weights, masks, gradients, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import cross_entropy

from steadfit.losses import OHEMLoss, OHKMLoss

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(("keep", "kept"), [(1.0, 10), (0.8, 8), (0.71, 8), (0.05, 1), (0.3, 3)])
def test_the_largest_losses_count(keep: float, kept: int) -> None:
    z, target = 3 * torch.randn(10, 4), torch.randint(0, 4, (10,))
    each = cross_entropy(z, target, reduction="none")
    hard = each.sort(descending=True).values[:kept]
    torch.testing.assert_close(OHEMLoss(keep)(z, target), hard.mean())
    torch.testing.assert_close(OHEMLoss(keep, "sum")(z, target), hard.sum())
    none = OHEMLoss(keep, "none")(z, target)
    torch.testing.assert_close(none, torch.where(each >= hard[-1], each, 0.0))


def test_the_gradient_is_that_of_the_hard_samples() -> None:
    z, target = torch.randn(5, 3, requires_grad=True), torch.randint(0, 3, (5,))
    each = cross_entropy(z, target, reduction="none")
    hard = each.argsort(descending=True)[:2]
    found = torch.autograd.grad(OHEMLoss(0.4)(z, target), z)[0]
    torch.testing.assert_close(found, torch.autograd.grad(each[hard].mean(), z)[0])


def test_a_quota_is_not_off_by_a_rounding() -> None:
    """.55 of 100 is 55, although .55 * 100 is 55.00000000000001."""
    z = torch.randn(100, 2)
    assert int((OHEMLoss(0.55, "none")(z, torch.zeros(100, dtype=torch.long)) > 0).sum()) == 55


def test_the_share_is_one_of_the_annotated_samples() -> None:
    z, target = torch.randn(6, 3), torch.tensor([0, -100, 1, -100, 2, 0])
    known = target >= 0
    weight = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    torch.testing.assert_close(OHEMLoss(0.5)(z, target), OHEMLoss(0.5)(z[known], target[known]))
    kept = torch.tensor([0, 2, 4])
    torch.testing.assert_close(OHEMLoss(0.5)(z, target, weight), OHEMLoss(0.5)(z[kept], target[kept]))


def test_weighted_losses_are_ranked() -> None:
    z, target = torch.tensor([[0.0, 3.0], [0.0, 2.0], [0.0, 1.0]]), torch.zeros(3, dtype=torch.long)
    weight = torch.tensor([0.1, 1.0, 3.0])
    each = cross_entropy(z, target, reduction="none")
    found = OHEMLoss(0.6)(z, target, weight)
    torch.testing.assert_close(found, (weight[1:] * each[1:]).sum() / 4)
    assert OHEMLoss(0.6, "none")(z, target, weight)[0] == 0


def test_equal_losses_keep_the_first() -> None:
    found = OHEMLoss(0.5, "none")(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    assert found.tolist() == pytest.approx([math.log(2), math.log(2), 0, 0])


def test_joints_by_hand() -> None:
    z, p = torch.randn(3, 5, 4, 4), torch.rand(3, 5, 4, 4)
    p[1, 2] = 0.0  # four visible joints: two count
    p[2, :4] = math.nan  # one visible joint: it counts
    each = (z - p).square().mean((2, 3))
    kept = [each[0].sort().values[-3:], each[1][[0, 1, 3, 4]].sort().values[-2:], each[2, 4:]]
    wanted = torch.cat(kept)
    torch.testing.assert_close(OHKMLoss(0.5)(z, p), wanted.mean())
    torch.testing.assert_close(OHKMLoss(0.5, "sum")(z, p), wanted.sum())
    none = OHKMLoss(0.5, "none")(z, p)
    assert none.shape == (3, 5)
    torch.testing.assert_close(none.flatten().sort().values[-6:], wanted.sort().values)
    assert int((none > 0).sum()) == 6


def test_gradients_weights_and_visibility_of_joints() -> None:
    z, p = torch.randn(2, 4, 3, 3, requires_grad=True), torch.rand(2, 4, 3, 3)
    weight = torch.tensor([[0.2, 1.0, 0.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
    visible = torch.tensor([[True, True, True, True], [True, False, True, False]])
    loss = OHKMLoss(0.5)
    assert torch.autograd.gradcheck(lambda x: loss(x, p, weight, visible=visible), (z,))
    slope = torch.autograd.grad(loss(z, p, weight, visible=visible), z)[0]
    reached = (slope != 0).flatten(2).any(-1)
    assert not reached[0, 2]
    assert not reached[1, [1, 3]].any()
    assert reached.sum(1).tolist() == [2, 1]  # half of three and of two joints, rounded up


def test_nothing_visible_is_zero() -> None:
    assert OHKMLoss()(torch.randn(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)) == 0
    assert OHEMLoss()(torch.randn(2, 3), torch.tensor([-100, -100])) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_finite_at_the_extremes(dtype: torch.dtype) -> None:
    for size in (0.0, 88.0, torch.finfo(dtype).max):
        z = (torch.randint(-1, 2, (6, 4)) * size).to(dtype).requires_grad_()
        maps = z.view(1, 6, 2, 2)
        for value in (OHEMLoss()(z, torch.randint(0, 4, (6,))), OHKMLoss()(maps, torch.rand(1, 6, 2, 2))):
            assert value.dtype == torch.float32
            assert value.isfinite()
            assert torch.autograd.grad(value, z)[0].isfinite().all()


def test_they_compile() -> None:
    z, target, p = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, -100, 1]), torch.rand(1, 6, 2, 2)
    for loss, *data in ((OHEMLoss(0.5), z, target), (OHKMLoss(), z.view(1, 6, 2, 2), p)):
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(*data), loss(*data))


def test_text() -> None:
    assert repr(OHEMLoss(0.9)) == "OHEMLoss(keep=0.9, reduction='mean')"
    assert repr(OHKMLoss(0.25, "sum")) == "OHKMLoss(keep=0.25, reduction='sum')"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: OHEMLoss(0.0), "OHEMLoss: expected 0 < keep <= 1, got 0.0"),
        (lambda: OHKMLoss(1.5), "OHKMLoss: expected 0 < keep <= 1, got 1.5"),
        (lambda: OHEMLoss(reduction="avg"), "OHEMLoss: expected reduction"),
        (lambda: OHKMLoss(reduction="avg"), "OHKMLoss: expected reduction"),
        (
            lambda: OHKMLoss()(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3)),
            r"weight \(B, K\), one a joint, got \(1, 2, 3, 3\)",
        ),
        (lambda: OHEMLoss()(torch.zeros(2, 3), torch.tensor([0, 3])), "OHEMLoss: expected class indices in 0 ... 2"),
    ],
)
def test_errors(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
