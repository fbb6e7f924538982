"""FocalLoss: eq. 7 by hand for classes and heatmaps, alpha, class weights, what anchor loss has in common, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import anchor_twin as twin
import pytest
import torch

from steadfit.losses import AnchorLoss, FocalLoss

pytestmark = pytest.mark.usefixtures("float64")


def term(z: float, p: float, gamma: float, alpha: float | None) -> float:
    """Eq. 7 as printed, with the balance of Lin et al., eq. 5."""
    rise, fall = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    up = rise * p * twin.q_of(-z) ** gamma * twin.minus_log_q(z)
    return up + fall * (1 - p) * twin.q_of(z) ** gamma * twin.minus_log_q(-z)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_classes_and_pixels_by_hand(gamma: float, alpha: float | None) -> None:
    z, p, index = 3 * torch.randn(4, 5), torch.rand(4, 5), torch.randint(0, 5, (4,))
    for target, rows in ((p, p), (index, torch.eye(5)[index])):
        loss = FocalLoss(gamma, "none", alpha=alpha)(z, target)
        wanted = [
            sum(term(a, b, gamma, alpha) for a, b in zip(x, y, strict=True))
            for x, y in zip(z.tolist(), rows.tolist(), strict=True)
        ]
        assert loss.tolist() == pytest.approx(wanted, rel=1e-13)
    pixels = FocalLoss(gamma, "none", alpha=alpha)(z.view(1, 1, 4, 5), p.view(1, 1, 4, 5))
    flat = zip(z.flatten().tolist(), p.flatten().tolist(), strict=True)
    assert pixels.flatten().tolist() == pytest.approx([term(a, b, gamma, alpha) for a, b in flat], rel=1e-13)
    mean = FocalLoss(gamma, alpha=alpha)(z.view(1, 1, 4, 5), p.view(1, 1, 4, 5))
    torch.testing.assert_close(mean, pixels.mean())


@pytest.mark.parametrize("shape", [(3, 4), (1, 2, 3, 3)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_gradcheck(shape: tuple[int, ...], reduction: str) -> None:
    """Nothing is detached in focal loss: finite differences see the whole gradient."""
    z, p = torch.randn(shape, requires_grad=True), torch.rand(shape)
    weight = torch.rand(shape[:1] if len(shape) == 2 else shape[:2], requires_grad=True)
    loss = FocalLoss(1.5, reduction, alpha=0.3)
    assert torch.autograd.gradcheck(lambda x, w: loss(x, p, w), (z, weight))


def test_a_static_anchor_of_one_is_its_background_side() -> None:
    """q_neg = 1 modulates by q^gamma, as focal loss does; the target's sides differ."""
    z = torch.randn(4, 3)
    nothing = torch.zeros(4, 3)
    anchored = AnchorLoss(2.0, anchor=1.0, reduction="none")(z, nothing)
    torch.testing.assert_close(FocalLoss(2.0, "none")(z, nothing), anchored)


def test_class_weights() -> None:
    z, target = torch.randn(4, 3), torch.tensor([0, 2, 1, -100])
    factor = torch.tensor([0.5, 0.0, 3.0])
    one = torch.stack([FocalLoss(reduction="none", class_weight=row)(z, target) for row in torch.eye(3)])
    found = FocalLoss(reduction="none", class_weight=factor)(z, target)
    torch.testing.assert_close(found, (factor[:, None] * one).sum(0))
    assert found[3] == 0


def test_an_invisible_joint_is_left_out() -> None:
    z, p = torch.randn(1, 2, 3, 3), torch.rand(1, 2, 3, 3)
    p[0, 1] = 0.0
    torch.testing.assert_close(FocalLoss()(z, p), FocalLoss()(z[:, :1], p[:, :1]))


def test_text() -> None:
    assert repr(FocalLoss(0.5, alpha=0.25)) == "FocalLoss(gamma=0.5, alpha=0.25, reduction='mean')"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: FocalLoss(gamma=math.inf), ValueError, "FocalLoss: expected 0.0 <= gamma .* got inf"),
        (lambda: FocalLoss(alpha=1.5), ValueError, "0.0 <= alpha <= 1.0, got 1.5"),
        (lambda: FocalLoss(reduction="avg"), ValueError, "FocalLoss: expected reduction"),
        (
            lambda: FocalLoss()(torch.zeros(2, 3), torch.tensor([0, 1]), visible=torch.ones(2, 3)),
            ValueError,
            "visible with heatmaps only",
        ),
        (
            lambda: FocalLoss(class_weight=torch.ones(3))(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)),
            ValueError,
            "class_weight with class scores only",
        ),
        (lambda: FocalLoss()(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)), ValueError, r"got \(2, 3, 4\)"),
    ],
)
def test_errors(make: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
