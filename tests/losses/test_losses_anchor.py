"""AnchorLoss and CrossEntropyLoss: the three designs against a slow twin, weights, masks, dtypes, compiling, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import anchor_twin as twin
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadfit.losses import AnchorLoss, CrossEntropyLoss, FocalLoss, OHEMLoss

pytestmark = pytest.mark.usefixtures("float64")

ANCHOR = pytest.mark.parametrize("anchor", ["background", "target", "both", 0.1, 0.8])
GAMMAS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)


def gradient(loss: nn.Module, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target, weight)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


@ANCHOR
@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_designs_against_the_twin(anchor: str | float, clamp: bool, gamma: float) -> None:
    z, index = 3 * torch.randn(12, 5), torch.randint(0, 5, (12,))
    z[0, index[0]], z[1, index[1]] = -6.0, 9.0  # q* below 0, q_pos above 1 without the clamp
    z[1, (index[1] + 1) % 5] = 7.0
    p = torch.rand(12, 5)
    p[p < 0.3], p[p > 0.8], p[7], p[8], p[9] = 0.0, 1.0, 0.4, 0.9, 0.0  # also: no true class, no wrong one, nothing
    p[3, 2] = math.nan
    p[4, :4] = math.nan
    loss = AnchorLoss(gamma, 0.05, anchor, clamp, "none")
    for target, rows in ((index, torch.eye(5)[index]), (p, p)):
        wanted = [twin.sample(a, b, gamma, 0.05, anchor, clamp) for a, b in zip(z.tolist(), rows.tolist(), strict=True)]
        assert loss(z, target).tolist() == pytest.approx(wanted, rel=1e-12)


def test_the_clamp_does_something() -> None:
    z, target = torch.tensor([[-6.0, 1.0]]), torch.tensor([0])
    free, clamped = (float(AnchorLoss(2.0, clamp=c)(z, target)) for c in (False, True))
    easy = math.log1p(math.exp(6.0))
    ratio = (free - easy) / (clamped - easy)
    base = 1 + twin.q_of(1.0)
    assert ratio == pytest.approx(((base - twin.q_of(-6.0) + 0.05) / base) ** 2, rel=1e-12)


@ANCHOR
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_gradients_of_logits_and_weights(anchor: str | float, reduction: str) -> None:
    """By finite differences; with respect to the logits where the anchor is a constant there too."""
    z, weight = torch.randn(4, 3), torch.rand(4, requires_grad=True)
    target = torch.tensor([0, 2, -100, 1])
    loss = AnchorLoss(0.7, anchor=anchor, reduction=reduction, class_weight=torch.tensor([1.0, 0.5, 2.0]))
    assert torch.autograd.gradcheck(lambda w: loss(z, target, w), (weight,))
    if not isinstance(anchor, str):
        assert torch.autograd.gradcheck(lambda x: loss(x, target, weight.detach()), (z.requires_grad_(),))


@pytest.mark.parametrize("soft", [False, True])
def test_class_weights_multiply_terms(soft: bool) -> None:
    z, index = torch.randn(6, 4), torch.randint(0, 4, (6,))
    target = torch.rand(6, 4) if soft else index
    factor = torch.tensor([0.0, 1.0, 2.5, 0.5])
    one = [AnchorLoss(reduction="none", class_weight=row)(z, target) for row in torch.eye(4)]
    total = AnchorLoss(reduction="none")(z, target)
    torch.testing.assert_close(torch.stack(one).sum(0), total)
    weighted = AnchorLoss(reduction="none", class_weight=factor)(z, target)
    torch.testing.assert_close(weighted, (factor[:, None] * torch.stack(one)).sum(0))


@pytest.mark.parametrize("loss", [AnchorLoss, CrossEntropyLoss, FocalLoss], ids=lambda c: c.__name__)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_weights_are_copies_and_missing_labels_no_rows(
    loss: Callable[..., nn.Module], soft: bool, reduction: str
) -> None:
    z, target = torch.randn(5, 4), torch.tensor([0, 1, -100, 3, 2])
    if soft:
        target = torch.rand(5, 4)
        target[2] = math.nan
    weight = torch.tensor([2.0, 1.0, 1.0, 0.0, 3.0])
    copies = torch.tensor([0, 0, 1, 4, 4, 4])
    value, slope = gradient(loss(reduction=reduction), z, target, weight)
    repeated, apart = gradient(loss(reduction=reduction), z[copies], target[copies])
    torch.testing.assert_close(value, repeated)
    torch.testing.assert_close(slope, torch.zeros_like(z).index_add(0, copies, apart))
    assert bool((slope[[2, 3]] == 0).all())


@pytest.mark.parametrize("loss", [AnchorLoss(), CrossEntropyLoss(), FocalLoss(), OHEMLoss()], ids=repr)
def test_nothing_annotated_is_zero(loss: nn.Module) -> None:
    for target in (torch.tensor([-100, -100]), torch.full((2, 3), math.nan)):
        value, slope = gradient(loss, torch.randn(2, 3), target)
        assert value == 0
        assert bool((slope == 0).all())
    assert loss(torch.randn(0, 3), torch.zeros(0, dtype=torch.long)) == 0


def test_a_single_missing_soft_label_leaves_the_others() -> None:
    """It is in no anchor either: the missing class scores highest."""
    z = torch.tensor([[1.0, 5.0, -0.5]])
    holed, smaller = torch.tensor([[1.0, math.nan, 0.0]]), torch.tensor([[1.0, 0.0]])
    for anchor in ("background", "target", "both"):
        loss = AnchorLoss(1.5, anchor=anchor)
        value, slope = gradient(loss, z, holed)
        wanted, apart = gradient(loss, z[:, [0, 2]], smaller)
        torch.testing.assert_close(value, wanted)
        torch.testing.assert_close(slope[:, [0, 2]], apart)
        assert slope[0, 1] == 0


@ANCHOR
def test_smoothed_labels_keep_both_sides(anchor: str | float) -> None:
    """No class has p = 0 then; the anchors are those of the hard labels, and the loss tends to theirs."""
    z, index = 2 * torch.randn(9, 5), torch.randint(0, 5, (9,))
    loss = AnchorLoss(1.5, anchor=anchor, reduction="none")
    hard = torch.eye(5)[index]
    for share in (0.3, 0.1, 1e-9):
        p = (1 - share) * hard + share / 5
        wanted = [twin.sample(a, b, 1.5, 0.05, anchor, False) for a, b in zip(z.tolist(), p.tolist(), strict=True)]
        found = loss(z, p)
        assert found.tolist() == pytest.approx(wanted, rel=1e-12)
        assert not torch.allclose(found, AnchorLoss(0.0, reduction="none")(z, p), rtol=1e-6)  # plain cross entropy
    torch.testing.assert_close(found, loss(z, index), rtol=1e-7, atol=0)


@pytest.mark.parametrize("anchor", ["background", "target", "both"])
def test_a_half_is_neither_right_nor_wrong(anchor: str) -> None:
    """As a class that is missing: its score, the highest, is no anchor; but it has a term."""
    z = torch.tensor([[1.0, 5.0, -0.5]])
    whole = AnchorLoss(1.5, anchor=anchor)(z, torch.tensor([[0.9, 0.5, 0.1]]))
    missing = AnchorLoss(1.5, anchor=anchor)(z, torch.tensor([[0.9, math.nan, 0.1]]))
    assert float(whole) == pytest.approx(twin.sample(z[0].tolist(), [0.9, 0.5, 0.1], 1.5, 0.05, anchor, False))
    assert float(missing) == pytest.approx(twin.sample(z[0].tolist(), [0.9, math.nan, 0.1], 1.5, 0.05, anchor, False))


def test_a_single_class() -> None:
    """No rival: the target's side is plain, in both kinds of labels."""
    z = torch.tensor([[0.3], [-2.0]])
    for target in (torch.tensor([0, 0]), torch.ones(2, 1)):
        found = AnchorLoss(2.0, anchor="both", reduction="none")(z, target)
        assert found.tolist() == pytest.approx([twin.minus_log_q(0.3), twin.minus_log_q(-2.0)])


@ANCHOR
def test_the_batch_is_its_rows(anchor: str | float) -> None:
    z, target = torch.randn(6, 5), torch.randint(0, 5, (6,))
    loss = AnchorLoss(0.5, anchor=anchor, reduction="none")
    rows = torch.cat([loss(z[i : i + 1], target[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(loss(z, target), rows, rtol=1e-14, atol=0)
    shuffled = torch.randperm(5)
    moved = torch.argsort(shuffled)[target]
    torch.testing.assert_close(loss(z[:, shuffled], moved), rows, rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_finite_at_the_extremes(dtype: torch.dtype, gamma: float, margin: float) -> None:
    largest = torch.finfo(dtype).max
    target, soft = torch.randint(0, 5, (40,)), torch.rand(40, 5).round()
    losses = [AnchorLoss(gamma, margin, anchor) for anchor in ("background", "target", "both", 0.5, 1.0)]
    for size in (0.0, 1.0, 88.0, 1e4, largest):
        z = ((torch.randint(-1, 2, (40, 5)) * size).to(dtype)).requires_grad_()
        for loss in (*losses, FocalLoss(gamma), CrossEntropyLoss()):
            for labels in (target, soft):
                value = loss(z, labels)
                (slope,) = torch.autograd.grad(value, z)
                assert value.isfinite()
                assert slope.isfinite().all()
                assert slope.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("soft", [False, True])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, soft: bool) -> None:
    z = torch.randn(8, 6).to(dtype).requires_grad_()
    target = torch.rand(8, 6).to(dtype) if soft else torch.randint(0, 6, (8,))
    wide = z.detach().float().requires_grad_()
    for loss in (AnchorLoss(anchor="both"), FocalLoss()):
        with torch.autocast("cpu", dtype):
            found = loss(z, target)
        wanted = loss(wide, target.float() if soft else target)
        assert found.dtype == torch.float32
        assert found == wanted
        (slope,) = torch.autograd.grad(found, z)
        assert torch.equal(slope, torch.autograd.grad(wanted, wide)[0].to(dtype))


def test_float32_against_float64() -> None:
    z, target = 8 * torch.randn(50, 20), torch.randint(0, 20, (50,))
    for anchor in ("background", "both"):
        loss = AnchorLoss(0.5, anchor=anchor, reduction="none")
        exact, slope = gradient(loss, z.float().double(), target)
        found, single = gradient(loss, z.float(), target)
        torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=0)  # ten roundings a term
        torch.testing.assert_close(single.double(), slope, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("soft", [False, True])
def test_it_compiles(soft: bool) -> None:
    z, index = torch.randn(9, 6, requires_grad=True), torch.randint(0, 6, (9,))
    target = torch.rand(9, 6) if soft else index
    target[3] = math.nan if soft else -100
    loss = AnchorLoss(0.5, anchor="both", class_weight=torch.rand(6))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    weight = torch.rand(9)
    torch.testing.assert_close(compiled(z, target, weight), loss(z, target, weight))
    found, wanted = (torch.autograd.grad(f(z, target, weight), z)[0] for f in (compiled, loss))
    torch.testing.assert_close(found, wanted)


def test_cross_entropy_is_torchs() -> None:
    z, target = 4 * torch.randn(7, 5), torch.tensor([0, 1, 2, -100, 4, 3, 2])
    torch.testing.assert_close(gradient(CrossEntropyLoss(), z, target)[0], cross_entropy(z, target))
    assert gradient(CrossEntropyLoss("none"), z, target)[0][3] == 0
    soft = torch.rand(7, 5)
    torch.testing.assert_close(CrossEntropyLoss("sum")(z, soft), cross_entropy(z, soft, reduction="sum"))


def test_small_integers_are_indices() -> None:
    z = torch.randn(3, 4)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        found = AnchorLoss()(z, torch.tensor([0, 3, 1], dtype=dtype))
        assert found == AnchorLoss()(z, torch.tensor([0, 3, 1]))


def test_state_and_text() -> None:
    loss = AnchorLoss(anchor=0.1, class_weight=torch.ones(3))
    assert list(loss.state_dict()) == ["class_weight"]
    assert not AnchorLoss().state_dict()
    assert repr(loss) == "AnchorLoss(gamma=0.5, margin=0.05, anchor=0.1, clamp=False)"


Z, T = torch.zeros(3, 4), torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: AnchorLoss(gamma=-0.5), ValueError, "AnchorLoss: expected 0.0 <= gamma .* got -0.5"),
        (lambda: AnchorLoss(gamma=math.nan), ValueError, "gamma .* got nan"),
        (lambda: AnchorLoss(gamma="2"), TypeError, "gamma to be a number, got str"),  # type: ignore[arg-type]
        (lambda: AnchorLoss(margin=1.5), ValueError, "0.0 <= margin <= 1.0, got 1.5"),
        (lambda: AnchorLoss(anchor="foreground"), ValueError, "anchor .* one of 'background', 'target', 'both', got"),
        (lambda: AnchorLoss(anchor=1.2), ValueError, "0.0 <= anchor <= 1.0, got 1.2"),
        (lambda: AnchorLoss(anchor=True), TypeError, "anchor to be a number, got bool"),
        (lambda: AnchorLoss(reduction="avg"), ValueError, "reduction to be one of 'none', 'mean', 'sum', got 'avg'"),
        (lambda: AnchorLoss(class_weight=torch.tensor([1.0, -2.0])), ValueError, "class_weight >= 0 .* got -2.0"),
        (lambda: AnchorLoss(class_weight=torch.ones(2, 2)), ValueError, r"class_weight \(C,\), got \(2, 2\)"),
        (lambda: AnchorLoss(class_weight=torch.ones(5))(Z, T), ValueError, r"class_weight \(4,\) .* got \(5,\)"),
        (lambda: AnchorLoss()(Z.long(), T), TypeError, "logits of a floating dtype, got torch.int64"),
        (lambda: AnchorLoss()(Z[0], T), ValueError, r"logits \(B, C\), C >= 1, got \(4,\)"),
        (lambda: AnchorLoss()(Z, T[:2]), ValueError, r"target \(3,\) for logits \(3, 4\), got \(2,\)"),
        (lambda: AnchorLoss()(Z, Z[:1]), ValueError, r"target \(3, 4\) for logits \(3, 4\), got \(1, 4\)"),
        (
            lambda: AnchorLoss()(Z, T.double()),
            ValueError,
            r"target \(3, 4\) .* got \(3,\)\. Class indices are integers",
        ),
        (lambda: AnchorLoss()(Z, T > 0), TypeError, "class indices or of a floating dtype, got torch.bool"),
        (lambda: AnchorLoss()(Z, T + 2), ValueError, r"class indices in 0 ... 3 \(or -100\), got 4 at \(2,\); 1 such"),
        (lambda: AnchorLoss()(Z, T - 1), ValueError, r"got -1 at \(0,\)"),
        (lambda: AnchorLoss()(Z, Z + 1.5), ValueError, r"p in \[0, 1\] .* got 1.5 at \(0, 0\); 12 such values"),
        (lambda: FocalLoss()(Z, Z - 0.5), ValueError, r"FocalLoss: expected p in \[0, 1\] .* got -0.5"),
        (lambda: AnchorLoss()(Z, T, -torch.ones(3)), ValueError, "weights >= 0, got -1.0"),
        (lambda: AnchorLoss()(Z, T, torch.ones(2)), ValueError, r"weight to broadcast to \(3,\), got \(2,\)"),
        (lambda: CrossEntropyLoss("avg"), ValueError, "CrossEntropyLoss: expected reduction"),
        (lambda: CrossEntropyLoss()(Z, T + 2), ValueError, "CrossEntropyLoss: expected class indices"),
    ],
)
def test_errors(make: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
