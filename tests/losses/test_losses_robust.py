"""RobustLoss against plain loops: reductions, weights as copies, missing targets, scale, errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from steadfit.losses import RobustLoss
from steadfit.penalties import Absolute, Cauchy, Charbonnier, Huber, Penalty, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")

SOME = pytest.mark.parametrize("penalty", [Squared(), Absolute(), Huber(1.0), Tukey(), Cauchy(2.0)], ids=repr)
TUKEY_TOP = 4.6851**2 / 6


def tukey(u: float) -> float:
    return TUKEY_TOP * (1 - (1 - (u / 4.6851) ** 2) ** 3) if abs(u) <= 4.6851 else TUKEY_TOP


def data(n: int = 6, k: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(n, k), 3 * torch.randn(n, k)


def gradient(
    loss: nn.Module, prediction: Tensor, target: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    leaf = prediction.clone().requires_grad_()
    value = loss(leaf, target, weight)
    value.sum().backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


def test_against_a_plain_loop() -> None:
    prediction, target = data()
    weight, scale = torch.rand(6, 3), torch.tensor([0.5, 1.0, 4.0])
    target[1, 2] = math.nan
    rows = [
        (float(weight[i, j]), tukey((float(target[i, j]) - float(prediction[i, j])) / float(scale[j])))
        for i in range(6)
        for j in range(3)
        if (i, j) != (1, 2)
    ]
    total = math.fsum(w * x for w, x in rows)
    value = {r: RobustLoss(Tukey(), scale, reduction=r)(prediction, target, weight) for r in ("none", "sum", "mean")}
    assert float(value["sum"]) == pytest.approx(total, rel=1e-13)
    assert float(value["mean"]) == pytest.approx(total / math.fsum(w for w, _ in rows), rel=1e-13)
    assert value["none"].shape == (6, 3)
    assert float(value["none"][1, 2]) == 0
    kept = [float(v) for k, v in enumerate(value["none"].flatten()) if k != 5]
    assert kept == pytest.approx([w * x for w, x in rows], rel=1e-13)
    unweighted = RobustLoss(Tukey(), scale)(prediction, target)
    assert float(unweighted) == pytest.approx(math.fsum(x for _, x in rows) / len(rows), rel=1e-13)


def test_sign_and_scale_of_the_gradient() -> None:
    """residual = target - prediction, so d/d prediction = -psi(u)/scale: paper 1's corrected gradient."""
    loss = RobustLoss(Huber(1.0), scale=2.0, reduction="sum")
    _, slope = gradient(loss, torch.tensor([0.0, 0.0]), torch.tensor([1.0, -9.0]))
    assert slope.tolist() == [-0.25, 0.5]


@SOME
def test_gradcheck(penalty: Penalty) -> None:
    prediction, target = data(3, 2)
    target[0, 0] = math.nan
    loss = RobustLoss(penalty, scale=torch.tensor([0.7, 3.0]))
    weight = torch.rand(3, 2)
    leaves = (prediction.requires_grad_(), weight.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, w: loss(p, target, w), leaves)


@SOME
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_weight_two_is_the_row_twice_and_zero_no_row(penalty: Penalty, reduction: str) -> None:
    prediction, target = data()
    loss = RobustLoss(penalty, scale=1.5, reduction=reduction)
    weight = torch.tensor([2.0, 1.0, 0.0, 1.0, 3.0, 0.0]).unsqueeze(1)
    copies = torch.tensor([0, 0, 1, 3, 4, 4, 4])
    value, slope = gradient(loss, prediction, target, weight)
    repeated, repeated_slope = gradient(loss, prediction[copies], target[copies])
    torch.testing.assert_close(value, repeated)
    summed = torch.zeros_like(slope).index_add(0, copies, repeated_slope)
    torch.testing.assert_close(slope, summed)
    assert bool((slope[[2, 5]] == 0).all())


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_weight_zero_is_absence_whatever_the_row(reduction: str) -> None:
    """Even where the loss overflows, or the label is infinite: 0 x inf would be NaN."""
    prediction = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float32)
    target = torch.tensor([1e30, math.inf, 3.0], dtype=torch.float32)
    weight = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float32)
    value, slope = gradient(RobustLoss(Squared(), reduction=reduction), prediction, target, weight)
    assert value.sum().item() == 2.0
    assert slope.tolist() == [0.0, 0.0, -2.0]


@SOME
def test_missing_targets_have_neither_loss_nor_gradient(penalty: Penalty) -> None:
    prediction, target = data()
    missing = torch.rand(6, 3) < 0.4
    holed = target.masked_fill(missing, math.nan)
    loss = RobustLoss(penalty)
    value, slope = gradient(loss, prediction, holed)
    present, present_slope = gradient(loss, prediction[~missing], target[~missing])
    torch.testing.assert_close(value, present)
    torch.testing.assert_close(slope[~missing], present_slope)
    assert bool((slope[missing] == 0).all())


def test_nothing_present_gives_zero() -> None:
    for target, weight in ((torch.full((4, 2), math.nan), None), (torch.ones(4, 2), torch.zeros(4, 2))):
        for reduction in ("mean", "sum", "none"):
            value, slope = gradient(RobustLoss(Huber(1.0), reduction=reduction), torch.zeros(4, 2), target, weight)
            assert bool((value == 0).all())
            assert bool((slope == 0).all())
    assert float(RobustLoss(Squared())(torch.zeros(0, 3), torch.zeros(0, 3))) == 0


def test_weights_broadcast_and_may_be_learned() -> None:
    prediction, target = data()
    by_sample = torch.rand(6, 1)
    loss = RobustLoss(Charbonnier(), reduction="sum")
    assert torch.equal(loss(prediction, target, by_sample), loss(prediction, target, by_sample.expand(6, 3)))
    by_output = torch.rand(3, requires_grad=True)
    loss(prediction, target, by_output).backward()
    expected = RobustLoss(Charbonnier(), reduction="none")(prediction, target).sum(dim=0)
    torch.testing.assert_close(by_output.grad, expected)


def test_scale_is_a_constant_buffer_per_output() -> None:
    prediction, target = data()
    scale = torch.tensor([0.1, 1.0, 10.0], requires_grad=True)
    loss = RobustLoss(Huber(1.0), scale)
    assert not loss.scale.requires_grad
    assert list(loss.state_dict()) == ["scale"]
    one_by_one = [RobustLoss(Huber(1.0), s)(prediction[:, j], target[:, j]) for j, s in enumerate(scale.tolist())]
    torch.testing.assert_close(loss(prediction, target), torch.stack(one_by_one).mean())
    other = RobustLoss(Huber(1.0), torch.ones(3))
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(prediction, target), loss(prediction, target))


def test_dtype_is_kept_and_float32_close() -> None:
    prediction, target = data()
    loss = RobustLoss(Tukey(), scale=0.3)
    narrow = loss(prediction.float(), target.float())
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), loss(prediction, target), rtol=1e-5, atol=0)


def test_compiles_in_one_graph() -> None:
    prediction, target = data()
    target[0, 0] = math.nan
    loss = RobustLoss(Tukey(), scale=0.3)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    weight = torch.rand(6, 3)
    torch.testing.assert_close(compiled(prediction, target, weight), loss(prediction, target, weight))


def test_says_what_it_is() -> None:
    assert repr(RobustLoss(Huber(1.0), 2.0)) == "RobustLoss(Huber(delta=1.0), scale=2.0, reduction='mean')"


# Errors


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_none(scale: float) -> None:
    with pytest.raises(ValueError, match=rf"RobustLoss: expected scale > 0 and finite, got {scale}\. Put a floor"):
        RobustLoss(Huber(1.0), scale)
    with pytest.raises(ValueError, match=rf"got {scale}\."):
        RobustLoss(Huber(1.0), torch.tensor([1.0, scale]))


def test_wrong_kinds_and_words() -> None:
    with pytest.raises(TypeError, match=r"RobustLoss: expected penalty to be a Penalty, got str\."):
        RobustLoss("huber")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected reduction to be one of 'none', 'mean', 'sum', got 'average'\."):
        RobustLoss(Squared(), reduction="average")
    with pytest.raises(TypeError, match=r"RobustLoss: expected target of a floating dtype, got torch\.int64\."):
        RobustLoss(Squared())(torch.zeros(3), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4), (4, 4), ()])
def test_shapes_must_be_equal(shape: tuple[int, ...]) -> None:
    target = torch.zeros(4, 2) if shape != (4, 1) else torch.zeros(4)
    with pytest.raises(ValueError, match=r"RobustLoss: expected prediction and target of one shape, got \("):
        RobustLoss(Squared())(torch.zeros(shape), target)


def test_negative_weights_and_weights_and_scales_that_do_not_fit() -> None:
    prediction, target = data(4, 2)
    with pytest.raises(ValueError, match=r"RobustLoss: expected weights >= 0, got -0\.5\."):
        RobustLoss(Squared())(prediction, target, torch.full((4, 2), -0.5))
    with pytest.raises(ValueError, match=r"RobustLoss: expected weight to broadcast to \(4, 2\), got \(4,\)\."):
        RobustLoss(Squared())(prediction, target, torch.ones(4))
    with pytest.raises(ValueError, match=r"RobustLoss: expected scale to broadcast to \(4, 2\), got \(3,\)\."):
        RobustLoss(Squared(), torch.ones(3))(prediction, target)
    with pytest.raises(ValueError, match=r"RobustLoss: expected scale to broadcast to \(2,\), got \(4, 2\)\."):
        RobustLoss(Squared(), torch.ones(4, 2), reduction="none")(prediction[0], target[0])
