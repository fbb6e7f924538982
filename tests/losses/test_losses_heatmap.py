"""HeatmapAnchorLoss and HeatmapMSELoss: a slow twin, masks, weights, extremes, compiling, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import anchor_twin as twin
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from steadfit.losses import FocalLoss, HeatmapAnchorLoss, HeatmapMSELoss

pytestmark = pytest.mark.usefixtures("float64")

EVERY = pytest.mark.parametrize("loss", [HeatmapAnchorLoss, FocalLoss, HeatmapMSELoss], ids=lambda c: c.__name__)


def gaussians(batch: int = 2, joints: int = 3, size: int = 8) -> Tensor:
    """Targets with exact zeros beyond 3 sigma."""
    center = 2 + (size - 4) * torch.rand(batch, joints, 2)
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    distance = (x - center[..., :1, None]) ** 2 + (y - center[..., 1:, None]) ** 2
    return torch.where(distance <= 9, torch.exp(-distance / 2), 0.0)


def gradient(loss: nn.Module, logits: Tensor, target: Tensor, *more: Tensor, **masks: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target, *more, **masks)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_against_the_twin(gamma: float, margin: float) -> None:
    z, p = 3 * torch.randn(2, 3, 8, 8), gaussians()
    p[0, 1] = 0.0  # invisible
    p[1, 0] *= 0.5 / p[1, 0].max()  # its highest pixel is 1/2: no anchor
    wanted = torch.zeros_like(p)
    for b in range(2):
        for k in range(3):
            if p[b, k].any():
                losses = twin.joint(z[b, k].flatten().tolist(), p[b, k].flatten().tolist(), gamma, margin)
                wanted[b, k] = torch.tensor(losses).view(8, 8)
    found = HeatmapAnchorLoss(gamma, margin, "none")(z, p)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(HeatmapAnchorLoss(gamma, margin, "sum")(z, p), wanted.sum())
    torch.testing.assert_close(HeatmapAnchorLoss(gamma, margin)(z, p), wanted.sum() / (5 * 64))


def test_gradients_are_those_of_the_naive_formula() -> None:
    z, p = (2 * torch.randn(2, 3, 8, 8)).requires_grad_(), gaussians()
    q = torch.sigmoid(z)
    best = torch.where(p > 0.5, q, 0.0).amax((2, 3), keepdim=True).detach() - 0.05
    plain = binary_cross_entropy_with_logits(z, p, reduction="none")
    for gamma in (0.5, 2.0):
        naive = torch.where(p == 0, (1 + q - best) ** gamma, 1.0) * plain
        for reduction, wanted in (("mean", naive.mean()), ("sum", naive.sum())):
            found = HeatmapAnchorLoss(gamma, 0.05, reduction)(z, p)
            torch.testing.assert_close(found, wanted)
            torch.testing.assert_close(
                torch.autograd.grad(found, z)[0], torch.autograd.grad(wanted, z, retain_graph=True)[0]
            )


def test_gamma_zero_is_binary_cross_entropy() -> None:
    z, p = 3 * torch.randn(2, 3, 8, 8), gaussians()
    for loss in (HeatmapAnchorLoss(gamma=0.0), FocalLoss(gamma=0.0)):
        torch.testing.assert_close(loss(z, p), binary_cross_entropy_with_logits(z, p))


def test_squared_errors() -> None:
    z, p = torch.randn(2, 3, 8, 8), gaussians()
    value, slope = gradient(HeatmapMSELoss(), z, p)
    torch.testing.assert_close(value, mse_loss(z, p))
    torch.testing.assert_close(slope, 2 * (z - p) / z.numel())


@EVERY
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_joints_left_out(loss: Callable[..., nn.Module], reduction: str) -> None:
    """All zero, NaN, not visible, or of weight 0: neither loss nor gradient, nor a pixel in the mean."""
    z, p = torch.randn(2, 3, 8, 8), gaussians()
    holed = p.clone()
    holed[0, 0], holed[0, 1, 3, 4] = 0.0, math.nan
    visible = torch.ones(2, 3, dtype=torch.bool)
    visible[1, 2] = False
    weight = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    value, slope = gradient(loss(reduction=reduction), z, holed, weight, visible=visible)
    kept = torch.tensor([[False, False, True], [False, True, False]])
    wanted, apart = gradient(loss(reduction=reduction), z[kept][None], p[kept][None])
    if reduction == "none":
        assert bool((value[~kept] == 0).all())
        value, wanted = value[kept], wanted[0]
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(slope[kept], apart[0])
    assert bool((slope[~kept] == 0).all())


@EVERY
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_weights_are_copies(loss: Callable[..., nn.Module], reduction: str) -> None:
    z, p = torch.randn(3, 2, 6, 6), gaussians(3, 2, 6)
    weight = torch.tensor([2.0, 0.0, 1.0]).unsqueeze(1)  # one a sample
    copies = torch.tensor([0, 0, 2])
    wanted, apart = gradient(loss(reduction=reduction), z[copies], p[copies])
    for given in (weight, weight.expand(3, 2), weight[..., None, None], weight[..., None, None].expand_as(z)):
        value, slope = gradient(loss(reduction=reduction), z, p, given)
        torch.testing.assert_close(value, wanted)
        torch.testing.assert_close(slope, torch.zeros_like(z).index_add(0, copies, apart))


def test_weights_of_pixels_and_their_gradient() -> None:
    z, p = torch.randn(1, 2, 4, 4), gaussians(1, 2, 4)
    pixels = torch.rand(1, 2, 4, 4, requires_grad=True)
    joints = torch.rand(1, 2, requires_grad=True)
    loss = HeatmapAnchorLoss()
    each = HeatmapAnchorLoss(reduction="none")(z, p)
    torch.testing.assert_close(loss(z, p, pixels), (pixels * each).sum() / pixels.sum())
    torch.testing.assert_close(loss(z, p, joints), (joints * each.mean((2, 3))).sum() / joints.sum())
    for weight in (pixels, joints):
        assert torch.autograd.gradcheck(lambda w: loss(z, p, w), (weight,))
    along_a_row = torch.rand(4)
    torch.testing.assert_close(loss(z, p, along_a_row), loss(z, p, along_a_row.expand(1, 2, 4, 4)))


@EVERY
def test_nothing_visible_is_zero(loss: Callable[..., nn.Module]) -> None:
    for target in (torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), math.nan)):
        value, slope = gradient(loss(), torch.randn(2, 3, 4, 4), target)
        assert value == 0
        assert bool((slope == 0).all())


@EVERY
def test_the_batch_is_its_joints(loss: Callable[..., nn.Module]) -> None:
    z, p = torch.randn(2, 3, 6, 6), gaussians(2, 3, 6)
    whole = loss(reduction="none")(z, p)
    for b in range(2):
        for k in range(3):
            one = loss(reduction="none")(z[b : b + 1, k : k + 1], p[b : b + 1, k : k + 1])
            torch.testing.assert_close(whole[b, k], one[0, 0], rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0, 5.0])
def test_finite_at_the_extremes(dtype: torch.dtype, gamma: float) -> None:
    p = gaussians(2, 4, 6).to(dtype)
    for size in (0.0, 88.0, 1e4, torch.finfo(dtype).max):
        z = ((torch.randint(-1, 2, p.shape) * size).to(dtype)).requires_grad_()
        for loss in (HeatmapAnchorLoss(gamma), HeatmapAnchorLoss(gamma, 0.05), FocalLoss(gamma), HeatmapMSELoss()):
            value = loss(z, p)
            (slope,) = torch.autograd.grad(value, z)
            assert value.isfinite()
            assert slope.isfinite().all()
            assert slope.dtype == dtype
            if isinstance(loss, HeatmapAnchorLoss):
                assert value >= 0


@EVERY
def test_half_precision_is_computed_in_float32(loss: Callable[..., nn.Module]) -> None:
    z, p = torch.randn(2, 3, 8, 8).half(), gaussians().float()
    with torch.autocast("cpu", torch.bfloat16):
        value, slope = gradient(loss(), z, p)
    wanted, wide = gradient(loss(), z.float(), p)
    assert value.dtype == torch.float32
    assert value == wanted
    assert torch.equal(slope, wide.half())


@EVERY
def test_it_compiles(loss: Callable[..., nn.Module]) -> None:
    z, p = torch.randn(2, 3, 8, 8), gaussians()
    p[0, 0], p[1, 1, 2, 2] = 0.0, math.nan
    weight = torch.rand(2, 3)
    compiled = torch.compile(loss(), fullgraph=True, backend="aot_eager")
    for a, b in zip(gradient(compiled, z, p, weight), gradient(loss(), z, p, weight), strict=True):
        torch.testing.assert_close(a, b)


def test_targets_and_logits_are_left_alone() -> None:
    z, p = torch.randn(2, 3, 8, 8), gaussians()
    before = z.clone(), p.clone()
    for loss in (HeatmapAnchorLoss(), FocalLoss(), HeatmapMSELoss()):
        gradient(loss, z, p)
    assert torch.equal(z, before[0])
    assert torch.equal(p, before[1])


Z = torch.zeros(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: HeatmapAnchorLoss(gamma=-1.0), ValueError, "HeatmapAnchorLoss: expected 0.0 <= gamma"),
        (lambda: HeatmapAnchorLoss(margin=-0.1), ValueError, "0.0 <= margin <= 1.0, got -0.1"),
        (lambda: HeatmapAnchorLoss(reduction="avg"), ValueError, "reduction to be one of"),
        (lambda: HeatmapMSELoss("avg"), ValueError, "HeatmapMSELoss: expected reduction"),
        (lambda: HeatmapAnchorLoss()(Z, Z.long()), TypeError, "target of a floating dtype, got torch.int64"),
        (lambda: HeatmapAnchorLoss()(Z, Z[:1]), ValueError, r"logits and target of one shape, got \(2, 3, 4, 4\)"),
        (lambda: HeatmapMSELoss()(Z[0], Z[0]), ValueError, r"heatmaps \(B, K, H, W\) .* got \(3, 4, 4\)"),
        (lambda: HeatmapMSELoss()(Z[..., :0], Z[..., :0]), ValueError, r"at least a pixel, got \(2, 3, 4, 0\)"),
        (lambda: HeatmapAnchorLoss()(Z, Z + 1.5), ValueError, r"target in \[0, 1\], got 1.5"),
        (lambda: HeatmapAnchorLoss()(Z, Z - 0.5), ValueError, r"target in \[0, 1\], got -0.5"),
        (lambda: HeatmapAnchorLoss()(Z, Z + math.inf), ValueError, r"target in \[0, 1\], got inf"),
        (lambda: HeatmapAnchorLoss()(Z, Z, -torch.ones(2, 3)), ValueError, "weights >= 0, got -1.0"),
        (lambda: HeatmapAnchorLoss()(Z, Z, torch.ones(3, 3)), ValueError, r"weight to broadcast to \(2, 3\)"),
        (lambda: HeatmapAnchorLoss()(Z, Z, torch.ones(2, 3, 1)), ValueError, r"broadcast to \(2, 3, 4, 4\)"),
        (lambda: HeatmapAnchorLoss()(Z, Z, visible=torch.ones(3) > 0), None, ""),
        (lambda: HeatmapAnchorLoss()(Z, Z, visible=torch.ones(2) > 0), ValueError, r"visible to broadcast to \(2, 3\)"),
    ],
)
def test_errors(make: Callable[[], object], error: type[Exception] | None, text: str) -> None:
    if error is None:
        make()
        return
    with pytest.raises(error, match=text):
        make()
