"""Modulated cross entropy: eqs 13-14 against autograd, identities, extremes of the logits, gamma and dtype."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from steadfit.core.anchor import anchor_loss, focal_loss, heatmap_modulator
from steadfit.core.modulated import Modulator, background, one_hot, two_sided, with_slope

pytestmark = pytest.mark.usefixtures("float64")

GAMMAS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
GAMMA = pytest.mark.parametrize("gamma", GAMMAS)
EPS = torch.finfo(torch.float64).eps


def q_of(z: float) -> float:
    return 1 / (1 + math.exp(-z))


@GAMMA
@pytest.mark.parametrize("anchor", [0.0, 0.3, 0.9])
def test_equations_13_and_14(gamma: float, anchor: float) -> None:
    """With respect to q, as printed; dq/dz = q (1 - q)."""
    q = torch.linspace(0.02, 0.98, 49, requires_grad=True)
    naive = -((1 + q - anchor) ** gamma) * torch.log(1 - q)  # eq. 13
    (slope,) = torch.autograd.grad(naive.sum(), q)
    base = 1 + q - anchor
    printed = -(base ** (gamma - 1)) * (gamma * torch.log(1 - q) - base / (1 - q))  # eq. 14
    torch.testing.assert_close(printed, slope)
    loss, derivative = background(torch.logit(q.detach()), Modulator(1 - anchor, gamma))
    torch.testing.assert_close(loss, naive.detach())
    torch.testing.assert_close(derivative, (printed * q * (1 - q)).detach())


@pytest.mark.parametrize("anchor", ["background", "target", "both", 0.1])
@pytest.mark.parametrize("soft", [False, True])
@GAMMA
def test_the_naive_formula_away_from_its_singularities(gamma: float, soft: bool, anchor: str | float) -> None:
    z = (2 * torch.randn(6, 5)).requires_grad_()
    index = torch.randint(0, 5, (6,))
    p = torch.eye(5)[index]
    q = torch.sigmoid(z)
    true = (q * p).sum(1, keepdim=True).detach()
    wrong = (q * (1 - p)).amax(1, keepdim=True).detach()
    rise = gamma if anchor in ("target", "both") else 0.0
    fall = 0.0 if anchor == "target" else gamma
    q_neg = true - 0.05 if isinstance(anchor, str) else anchor
    terms = p * (1 - q + wrong + 0.05) ** rise * q.log() + (1 - p) * (1 + q - q_neg) ** fall * (1 - q).log()
    wanted = -terms.sum(1)
    found = anchor_loss(z, p if soft else index, gamma=gamma, anchor=anchor)
    torch.testing.assert_close(found, wanted)
    up = torch.randn(6)
    torch.testing.assert_close(torch.autograd.grad(found, z, up)[0], torch.autograd.grad(wanted, z, up)[0])


@pytest.mark.parametrize("soft", [False, True])
def test_gamma_zero_is_binary_cross_entropy(soft: bool) -> None:
    z = (3 * torch.randn(4, 6)).requires_grad_()
    index = torch.randint(0, 6, (4,))
    p = torch.rand(4, 6) if soft else torch.eye(6)[index]
    wanted = binary_cross_entropy_with_logits(z, p, reduction="none").sum(1)
    for anchor in ("background", "target", "both", 0.5):
        found = anchor_loss(z, p if soft else index, gamma=0.0, anchor=anchor)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(*(torch.autograd.grad(x.sum(), z, retain_graph=True)[0] for x in (found, wanted)))


@GAMMA
def test_q_pos_zero_and_q_neg_one_is_focal_loss(gamma: float) -> None:
    """Eq. A-1 with q* = 1 - p; eq. 11 as printed exchanges q and 1 - q."""
    z = (3 * torch.randn(4, 6)).requires_grad_()
    index = torch.randint(0, 6, (4,))
    p = torch.eye(6)[index]
    q_t = p * torch.sigmoid(z) + (1 - p) * torch.sigmoid(-z)
    wanted = -((1 - q_t) ** gamma * q_t.log()).sum(1)  # eq. 9
    for labels in (index, p):
        found = focal_loss(z, labels, gamma=gamma)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(*(torch.autograd.grad(x.sum(), z, retain_graph=True)[0] for x in (found, wanted)))


@GAMMA
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivative_by_central_differences(gamma: float, dtype: torch.dtype) -> None:
    """Of -(q + gap)^gamma log(1 - q) in float64, over the whole range in which a double resolves it."""
    z = torch.linspace(-30, 30, 241)
    for gap in (0.0, 1e-6, 0.05, 1.0):
        slope = background(z.to(dtype), Modulator(gap, gamma))[1].double()

        def f(x: Tensor, gap: float = gap) -> Tensor:
            return (torch.sigmoid(x) + gap) ** gamma * softplus(x, threshold=500)

        h = 1e-5
        wanted = (f(z + h) - f(z - h)) / (2 * h)
        unit = torch.finfo(dtype)
        rough = 50 * unit.eps * wanted.abs() + unit.tiny  # gamma z eps at z = 17, where 1 - q is eps
        assert ((slope - wanted).abs() <= rough + 1e-9 * (wanted.abs() + f(z))).all()


@GAMMA
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [0.0, 1e-30, 0.05, 1.05])
def test_finite_for_every_finite_logit(gamma: float, dtype: torch.dtype, gap: float) -> None:
    top = torch.finfo(dtype).max
    sizes = torch.tensor([0.0, 1e-30, 1.0, 17.0, 88.0, 104.0, 745.0, 1e4, 1e19, top / 2, top], dtype=dtype)
    z = torch.cat([-sizes.flip(0), sizes])
    loss, slope = background(z, Modulator(gap, gamma))
    assert loss.isfinite().all()
    assert slope.isfinite().all()
    assert (loss >= 0).all()
    assert (slope >= 0).all()
    assert loss[0] == 0
    assert slope[0] == 0  # the limit for q to 0, for every gamma
    assert (loss.diff() >= 0).all()


@pytest.mark.parametrize("gamma", [0.1, 0.5])
def test_where_the_naive_gradient_is_nan(gamma: float) -> None:
    """All bases are 0: a sure right answer, margin 0. The naive power makes 0 times infinity."""
    z = torch.tensor([[200.0, -200.0]], dtype=torch.float32, requires_grad=True)
    q = torch.sigmoid(z)
    naive = (1 + q[:, 1] - q[:, 0].detach()) ** gamma * softplus(z[:, 1])
    assert torch.autograd.grad(naive.sum(), z)[0].isnan().any()
    loss = anchor_loss(z, torch.tensor([0]), gamma=gamma, margin=0.0)
    (slope,) = torch.autograd.grad(loss.sum(), z)
    assert slope.tolist() == [[0.0, 0.0]]


def test_the_base_does_not_cancel() -> None:
    """1 + q - q* of a sure right answer: 2 e^-30 in float32, where 1 - q* is 0 by subtraction."""
    z = torch.tensor([[30.0, -30.0]], dtype=torch.float32)
    loss = anchor_loss(z, torch.tensor([0]), gamma=0.1, margin=0.0)
    wanted = (2 * q_of(-30.0)) ** 0.1 * math.log1p(math.exp(-30)) + math.log1p(math.exp(-30))
    assert float(loss) == pytest.approx(wanted, rel=1e-6)


def test_the_anchor_is_detached_and_the_modulator_is_not() -> None:
    z = torch.tensor([[0.4, -0.3]], requires_grad=True)
    (slope,) = torch.autograd.grad(anchor_loss(z, torch.tensor([0]), gamma=2.0, margin=0.0).sum(), z)
    q_t, q = q_of(0.4), q_of(-0.3)
    base, log = 1 + q - q_t, math.log1p(-q)
    through_modulator = -2 * base * q * (1 - q) * log
    assert float(slope[0, 1]) == pytest.approx(base**2 * q + through_modulator, rel=1e-13)
    assert float(slope[0, 0]) == pytest.approx(q_t - 1, rel=1e-13)  # nothing through q*


def test_one_hot_is_two_sided_with_hard_labels() -> None:
    z, index = torch.randn(5, 4), torch.randint(0, 4, (5,))
    sides = Modulator(torch.rand(5, 1), 1.7), Modulator(0.3, 0.4, scale=2.5)
    for a, b in zip(one_hot(z, index, *sides), two_sided(z, torch.eye(4)[index], *sides), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=4 * EPS)


def test_plain_entries_are_not_modulated() -> None:
    z, plain = torch.randn(3, 4), torch.tensor([[1.0], [0.0], [1.0]])
    found = background(z, Modulator(0.2, 1.5, plain=plain))
    for a, b, c in zip(found, background(z, Modulator(0.2, 1.5)), background(z, None), strict=True):
        torch.testing.assert_close(a, torch.where(plain > 0, c, b), rtol=4 * EPS, atol=0)


@pytest.mark.parametrize("modulator", [None, Modulator(0.3, 0.7)], ids=repr)
def test_large_tensors_are_worked_on_in_halves(modulator: Modulator | None) -> None:
    z = torch.randn(3, 40_000)
    whole = background(z, modulator)
    rows = [background(row, modulator) for row in z.split(1)]
    for k in range(2):
        torch.testing.assert_close(whole[k], torch.cat([pair[k] for pair in rows]), rtol=4 * EPS, atol=0)


@pytest.mark.parametrize("labels", ["index", "soft"])
def test_any_memory_layout(labels: str) -> None:
    z, p = torch.randn(4, 3), torch.rand(4, 3)
    target = p if labels == "soft" else torch.tensor([0, 2, 1, 0])
    wanted = anchor_loss(z, target, anchor="both")
    for layout in (z.T.contiguous().T, torch.cat([z, z], dim=1)[:, 3:]):
        torch.testing.assert_close(anchor_loss(layout, target, anchor="both"), wanted, rtol=4 * EPS, atol=0)
    one = z[:1].expand(4, 3)
    torch.testing.assert_close(anchor_loss(one, target), anchor_loss(one.clone(), target), rtol=4 * EPS, atol=0)


def test_inputs_are_left_alone() -> None:
    z, p, index = torch.randn(3, 4), torch.rand(3, 4), torch.tensor([0, 1, 2])
    before = z.clone(), p.clone()
    for labels in (p, index):
        anchor_loss(z, labels, anchor="both", term_weight=torch.rand(4))
        focal_loss(z, labels)
    heatmap_modulator(z[None, None], p[None, None])
    assert torch.equal(z, before[0])
    assert torch.equal(p, before[1])


def test_a_second_derivative_is_refused() -> None:
    z = torch.randn(2, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(anchor_loss(z, torch.tensor([0, 1])).sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="with_slope: expected one derivative, got a second"):
        torch.autograd.grad(slope.square().sum(), z)


def test_a_known_slope_can_be_used_twice() -> None:
    z = torch.ones(2, 3, requires_grad=True)
    slope = torch.arange(6.0).view(2, 3)
    value = with_slope(z, torch.tensor([7.0, 8.0]), slope)
    assert value.tolist() == [7.0, 8.0]
    for _ in range(2):
        (found,) = torch.autograd.grad(value, z, torch.tensor([1.0, -2.0]), retain_graph=True)
        assert found.tolist() == [[0.0, 1.0, 2.0], [-6.0, -8.0, -10.0]]


def test_the_map_of_the_modulator() -> None:
    z, p = 2 * torch.randn(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    p[:, :, 1, 1], p[:, :, 1, 2], p[0, 0, 2, 2] = 1.0, 0.4, 0.7
    p[1, 2] = 0.0  # invisible
    p[1, 0, 1, 1] = 0.5  # no pixel above 1/2
    found = heatmap_modulator(z, p, gamma=1.5, margin=0.1)
    for b in range(2):
        for k in range(3):
            pixels = list(zip(z[b, k].flatten().tolist(), p[b, k].flatten().tolist(), strict=True))
            best = max((q_of(x) for x, height in pixels if height > 0.5), default=None)
            wanted = [1.0 if height or best is None else (1 + q_of(x) - best + 0.1) ** 1.5 for x, height in pixels]
            assert found[b, k].flatten().tolist() == pytest.approx(wanted, rel=1e-12)
    assert (found[p > 0] == 1).all()
    assert (found[1, 0] == 1).all()
    assert (found[1, 2] == 1).all()
    assert (heatmap_modulator(z, p, gamma=0.0) == 1).all()
    half = heatmap_modulator(z.half(), p, gamma=1.5)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, heatmap_modulator(z.half().float(), p.float(), gamma=1.5), rtol=0, atol=0)
