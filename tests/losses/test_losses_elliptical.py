"""EllipticalLoss against densities written out by hand, its masks and weights, its gradient bounds, its errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steadfit.losses import EllipticalLoss
from steadfit.penalties import Absolute, Charbonnier, Huber, Penalty, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")

PROPER = (Squared(), Absolute(), Huber(1.0), Charbonnier())
FAMILY = pytest.mark.parametrize("penalty", PROPER, ids=repr)
COVARIANCE = pytest.mark.parametrize("covariance", ["identity", "diagonal", "full"])
LOCATION = pytest.mark.parametrize("location", ["nu", "mu"])
ENERGY: dict[Penalty, Callable[[float], float]] = {
    Squared(): lambda r: r * r / 2,
    Absolute(): lambda r: r,
    Huber(1.0): lambda r: r * r / 2 if r <= 1 else r - 0.5,
    Charbonnier(): lambda r: math.sqrt(r * r + 1) - 1,
}
LOG_C2 = {Squared(): 1.837877, Absolute(): 1.837877, Huber(1.0): 2.311953, Charbonnier(): 2.531024}


def g(value: float, floor: float) -> float:
    return value if value > floor else floor * math.exp(value / floor - 1)


def spectral(v: Tensor, floor: float) -> Tensor:
    """A by an eigen-decomposition of B, matrix by matrix (eqs 7-10)."""
    dim = int((math.sqrt(8 * len(v) + 1) - 1) / 2)
    b, n = torch.zeros(dim, dim), 0
    for i in range(dim):
        for j in range(i, dim):
            b[i, j] = b[j, i] = v[n] if i == j else v[n] / math.sqrt(2)
            n += 1
    values, vectors = torch.linalg.eigh(b)
    return vectors @ torch.diag(torch.tensor([g(float(x), floor) for x in values])) @ vectors.T


def by_hand(numbers: Tensor, target: Tensor, penalty: Penalty, covariance: str, location: str, floor: float) -> float:
    """The loss of one 2-D label, with the constants of the four families in the plane."""
    place, rest = numbers[:2], numbers[2:]
    root = torch.eye(2)
    if covariance == "diagonal":
        root = torch.diag(torch.tensor([g(float(x), floor) for x in rest]))
    elif covariance == "full":
        root = spectral(rest, floor)
    residual = root @ target - place if location == "nu" else root @ (target - place)
    return LOG_C2[penalty] - math.log(float(torch.linalg.det(root))) + ENERGY[penalty](float(residual.norm()))


@FAMILY
@COVARIANCE
@LOCATION
def test_the_loss_of_each_label(penalty: Penalty, covariance: str, location: str) -> None:
    size = {"identity": 2, "diagonal": 4, "full": 5}[covariance]
    numbers, target = 2 * torch.randn(7, 3, size), 2 * torch.randn(7, 3, 2)
    loss = EllipticalLoss(penalty, covariance, location, floor=0.7, reduction="none")(numbers, target)
    for i in range(7):
        for k in range(3):
            wanted = by_hand(numbers[i, k], target[i, k], penalty, covariance, location, 0.7)
            assert float(loss[i, k]) == pytest.approx(wanted, abs=2e-6)  # the constants have seven digits


@FAMILY
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_dimensions_and_gradients(penalty: Penalty, dim: int) -> None:
    numbers = torch.randn(4, dim + dim * (dim + 1) // 2, requires_grad=True)
    target = torch.randn(4, dim)
    for location in ("nu", "mu"):
        loss = EllipticalLoss(penalty, location=location, reduction="none")
        assert torch.autograd.gradcheck(lambda n, loss=loss: loss(n, target), (numbers,))


@COVARIANCE
def test_at_the_start_every_family_is_its_standard_member(covariance: str) -> None:
    from steadfit.core.predicted import start

    for floor in (0.25, 1.0, 3.0):
        for penalty in PROPER:
            numbers = start(2, covariance, floor).to(torch.float64).expand(1, -1)
            loss = EllipticalLoss(penalty, covariance, floor=floor)(numbers, torch.tensor([[3.0, 4.0]]))
            assert float(loss) == pytest.approx(penalty.log_normalizer(2) + ENERGY[penalty](5.0), abs=1e-12)


def test_missing_and_invisible_labels_add_nothing() -> None:
    numbers, target = torch.randn(5, 5, requires_grad=True), torch.randn(5, 2)
    target[1, 0] = math.nan
    visible = torch.tensor([True, True, False, True, True])
    loss = EllipticalLoss(Huber(1.0))
    (found,) = torch.autograd.grad(loss(numbers, target, visible=visible), numbers)
    kept = [0, 3, 4]
    wanted = torch.autograd.grad(loss(numbers[kept], target[kept]), numbers)[0]
    torch.testing.assert_close(found, wanted)
    assert float(loss(numbers.detach(), torch.full((5, 2), math.nan))) == 0.0


def test_weights_are_copies() -> None:
    numbers, target = torch.randn(3, 5), torch.randn(3, 2)
    loss = EllipticalLoss(Absolute())
    weighted = loss(numbers, target, torch.tensor([2.0, 0.0, 1.0]))
    torch.testing.assert_close(weighted, loss(numbers[[0, 0, 2]], target[[0, 0, 2]]))
    none = EllipticalLoss(Absolute(), reduction="none")
    summed = EllipticalLoss(Absolute(), reduction="sum")(numbers, target, torch.tensor([2.0, 0.0, 1.0]))
    torch.testing.assert_close(summed, 2 * none(numbers, target)[0] + none(numbers, target)[2])


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6, 1e18])
@FAMILY
def test_gradients_are_finite(penalty: Penalty, scale: float) -> None:
    for dtype in (torch.float64, torch.float32):
        numbers = (scale * torch.randn(50, 5, dtype=dtype)).requires_grad_()
        loss = EllipticalLoss(penalty, reduction="none")(numbers, scale * torch.randn(50, 2, dtype=dtype))
        finite = loss.isfinite()  # a square may overflow in float32; then the loss says so
        assert finite.all() or (penalty == Squared() and dtype == torch.float32)
        if bool(finite.all()):
            loss.sum().backward()
            assert numbers.grad is not None
            assert numbers.grad.isfinite().all()


@pytest.mark.parametrize("delta", [0.3, 1.0, 4.0])
def test_the_bounds_of_the_paper(delta: float) -> None:
    """||dL/dnu|| <= delta and ||dL/dv|| <= sqrt(d)/theta + delta ||y||, however wrong the label is."""
    theta, d = 0.5, 2
    numbers = (10 * torch.randn(400, 5)).requires_grad_()
    target = torch.randn(400, d) * torch.logspace(-2, 3, 400)[:, None]
    EllipticalLoss(Huber(delta), floor=theta, reduction="sum")(numbers, target).backward()
    assert numbers.grad is not None
    assert (numbers.grad[:, :d].norm(dim=1) <= delta * (1 + 1e-9)).all()
    bound = math.sqrt(d) / theta + delta * target.norm(dim=1)
    assert (numbers.grad[:, d:].norm(dim=1) <= bound * (1 + 1e-9)).all()


def test_the_log_determinant_survives_an_underflow() -> None:
    """g(-1e5) is 0 in any dtype; log g is not."""
    numbers = torch.tensor([[0.0, 0.0, -1e5, 0.0, -1e5]], requires_grad=True)
    loss = EllipticalLoss(Squared())(numbers, torch.tensor([[1.0, 2.0]]))
    assert float(loss.detach()) == pytest.approx(2e5 + 2 + math.log(2 * math.pi))
    loss.backward()
    assert numbers.grad is not None
    torch.testing.assert_close(numbers.grad[0, 2:], torch.tensor([-1.0, 0.0, -1.0]))


def test_half_precision_is_computed_in_float32() -> None:
    numbers, target = torch.randn(64, 5, dtype=torch.float32), torch.randn(64, 2, dtype=torch.float32)
    loss = EllipticalLoss(Huber(1.0))
    wanted = loss(numbers.bfloat16().float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(numbers.bfloat16(), target)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_it_compiles() -> None:
    loss = EllipticalLoss(Huber(1.0))
    numbers, target = torch.randn(64, 5, requires_grad=True), torch.randn(64, 2)
    compiled = torch.compile(loss, fullgraph=True)
    torch.testing.assert_close(compiled(numbers, target), loss(numbers, target))
    found = torch.autograd.grad(compiled(numbers, target), numbers)[0]
    torch.testing.assert_close(found, torch.autograd.grad(loss(numbers, target), numbers)[0])


def test_rotating_the_frame_rotates_the_loss() -> None:
    """Full covariance has no preferred axes: rotated targets and parameters give the same loss."""
    angle = 0.7
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    numbers, target = torch.randn(20, 5), torch.randn(20, 2)
    b = torch.stack([numbers[:, 2], numbers[:, 3] / math.sqrt(2), numbers[:, 3] / math.sqrt(2), numbers[:, 4]], 1)
    turned = turn @ b.view(-1, 2, 2) @ turn.T
    v = torch.stack([turned[:, 0, 0], turned[:, 0, 1] * math.sqrt(2), turned[:, 1, 1]], 1)
    loss = EllipticalLoss(Charbonnier(), reduction="none")
    rotated = loss(torch.cat([numbers[:, :2] @ turn.T, v], 1), target @ turn.T)
    torch.testing.assert_close(rotated, loss(numbers, target))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: EllipticalLoss(Tukey()), ValueError, "Tukey: expected a penalty whose exp"),
        (lambda: EllipticalLoss("huber"), TypeError, "expected penalty to be a Penalty, got str"),  # type: ignore[arg-type]
        (lambda: EllipticalLoss(Squared(), "spherical"), ValueError, "covariance to be one of 'identity', 'diagonal'"),
        (lambda: EllipticalLoss(Squared(), location="mean"), ValueError, "location to be one of 'nu', 'mu'"),
        (lambda: EllipticalLoss(Squared(), floor=0.0), ValueError, "floor > 0 and finite, got 0.0"),
        (lambda: EllipticalLoss(Squared(), reduction="avg"), ValueError, "reduction to be one of"),
        (
            lambda: EllipticalLoss(Squared())(torch.zeros(3, 4), torch.zeros(3, 2)),
            ValueError,
            r"expected prediction \(3, 5\) for target \(3, 2\) and covariance 'full', got \(3, 4\)",
        ),
        (lambda: EllipticalLoss(Squared())(torch.zeros(3, 5), torch.zeros(1, 2)), ValueError, r"\(1, 5\)"),
        (lambda: EllipticalLoss(Squared())(torch.zeros(1, 5), torch.tensor([[1, 2]])), TypeError, "torch.int64"),
        (
            lambda: EllipticalLoss(Squared())(torch.zeros(3, 5), torch.zeros(3, 2), torch.tensor([1.0, -2.0, 0.0])),
            ValueError,
            "weights >= 0, got -2.0",
        ),
        (
            lambda: EllipticalLoss(Squared())(torch.zeros(3, 5), torch.zeros(3, 2), torch.ones(2)),
            ValueError,
            "weight to broadcast",
        ),
    ],
)
def test_errors(make: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
