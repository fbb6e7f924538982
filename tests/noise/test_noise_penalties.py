"""L2, L1, Huber, Tukey and models of a user's own: losses, trust, outliers and scales by hand."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from scale_twin import robust_scale
from steadfit.core.penalties import Cauchy, Penalty
from steadfit.noise import (
    L1,
    L2,
    NOISE_MODELS,
    Chunk,
    HuberNoise,
    NoiseModel,
    PenaltyNoise,
    State,
    TukeyNoise,
    refit,
)
from steadfit.noise.residuals import masked_sum, penalized, residual_of

NAN = math.nan
C = 4.6851
PENALTIES = (L1, HuberNoise, TukeyNoise)
ALL = (L2, *PENALTIES)


def label(*values: float, points: int = 1) -> torch.Tensor:
    """(N, points, D) from rows, float64; the output is all zeros, so these are the residuals."""
    return torch.tensor(values, dtype=torch.float64).reshape(-1, points, 1)


def zeros(target: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(target), target[0].numel(), dtype=target.dtype)


def unit_state(noise: NoiseModel, points: int, dims: int, scale: float = 1.0) -> State:
    return {name: torch.full_like(value, scale) for name, value in noise.initial_state(points, dims).items()}


def tukey(u: float) -> float:
    return C**2 / 6 * (1 - (1 - min(abs(u) / C, 1) ** 2) ** 3)


def huber(u: float) -> float:
    return u * u / 2 if abs(u) <= C else C * (abs(u) - C / 2)


EXPECTED = {
    L2: lambda r: r * r / 2,
    L1: lambda r: abs(r),
    HuberNoise: lambda r: huber(r / 2),
    TukeyNoise: lambda r: tukey(r / 2),
}


@pytest.mark.parametrize("model", ALL)
def test_the_loss_of_a_scalar_label(model: type[NoiseModel]) -> None:
    """A scale of 2 counts for Huber and Tukey; L1 and L2 have no parameter."""
    residuals = (0.0, 0.5, -1.0, 3.0, 9.0, 9.5, -100.0)
    noise, target = model(), label(*residuals)
    loss = noise.loss(zeros(target), target, unit_state(noise, 1, 1, 2.0))
    wanted = torch.tensor([[EXPECTED[model](r)] for r in residuals], dtype=torch.float64)
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("model", ALL)
def test_the_loss_of_a_point_is_the_sum_of_its_coordinates(model: type[NoiseModel]) -> None:
    noise, target = model(), torch.tensor([[[1.0, -3.0], [NAN, 2.0], [NAN, NAN]]], dtype=torch.float64)
    loss = noise.loss(zeros(target), target, unit_state(noise, 3, 2, 2.0))
    of = EXPECTED[model]
    torch.testing.assert_close(loss, torch.tensor([[of(1.0) + of(3.0), of(2.0), 0.0]], dtype=torch.float64))


@pytest.mark.parametrize("model", ALL)
def test_weights_multiply_losses(model: type[NoiseModel]) -> None:
    noise, target = model(), torch.tensor([[[1.0, -3.0], [4.0, NAN]]], dtype=torch.float64)
    weight = torch.tensor([[[2.0, 0.5], [3.0, 7.0]]], dtype=torch.float64)
    loss = noise.loss(zeros(target), target, unit_state(noise, 2, 2, 2.0), weight)
    of = EXPECTED[model]
    torch.testing.assert_close(loss, torch.tensor([[2 * of(1.0) + 0.5 * of(3.0), 3 * of(4.0)]], dtype=torch.float64))


@pytest.mark.parametrize("warmup", ["l1", "l2", "wide"])
@pytest.mark.parametrize("model", ALL)
def test_missing_labels_have_no_loss_and_no_gradient(model: type[NoiseModel], warmup: str) -> None:
    if model in (L1, L2) and warmup == "wide":
        with pytest.raises(ValueError, match=rf"{model.__name__}: expected warmup to be one of 'l1', 'l2', got 'wide'"):
            model(warmup=warmup)
        return
    noise = model(warmup=warmup)
    target = torch.tensor([[[NAN, NAN], [1.0, NAN]], [[NAN, NAN], [NAN, NAN]]])
    output = torch.full((2, 4), 0.25, requires_grad=True)
    state = noise.initial_state(2, 2)
    for loss in (noise.loss(output, target, state), noise.warmup_loss(output, target, state)):
        assert loss[0, 0] == 0
        assert (loss[1] == 0).all()
        assert loss[0, 1] > 0
        (gradient,) = torch.autograd.grad(loss.sum(), output)
        assert gradient.isfinite().all()
        assert (gradient.flatten()[[0, 1, 3, 4, 5, 6, 7]] == 0).all()
        assert gradient.flatten()[2] < 0


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("residual", [0.0, C, 1e6, 1e-30])
def test_gradients_are_finite(model: type[NoiseModel], residual: float) -> None:
    noise, target = model(), torch.tensor([[[residual]]])
    output = torch.zeros(1, 1, requires_grad=True)
    noise.loss(output, target, noise.initial_state(1, 1)).sum().backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()


@pytest.mark.parametrize("model", ALL)
def test_trust_and_outliers(model: type[NoiseModel]) -> None:
    noise = model()
    target = torch.tensor([[[0.0, 0.0], [NAN, NAN], [9.36, 0.0], [9.38, 0.0], [NAN, -1e6]]])
    trust = noise.trust(zeros(target), target, state := unit_state(noise, 5, 2, 2.0))
    assert trust.shape == (1, 5)
    assert trust[0, 1].isnan()
    known = trust[0, [0, 2, 3, 4]]
    assert ((known >= 0) & (known <= 1)).all()
    assert known[0] == 1
    outlier = noise.is_outlier(zeros(target), target, state)
    assert outlier.dtype == torch.bool
    assert outlier.tolist() == [[False, False, False, model is not L2, model is not L2]]  # |u| > c, c = 4.6851
    rate = noise.error_rate(zeros(target), target, state)
    assert rate == (0.0 if model is L2 else 0.5)  # of the four labels that are there


def test_trust_is_that_of_the_worst_coordinate() -> None:
    target = torch.tensor([[[1.0, 3.0], [NAN, 2.0]]], dtype=torch.float64)
    trust = TukeyNoise().trust(zeros(target), target, unit_state(TukeyNoise(), 2, 2))
    wanted = [(1 - (3 / C) ** 2) ** 2, (1 - (2 / C) ** 2) ** 2]
    torch.testing.assert_close(trust, torch.tensor([wanted], dtype=torch.float64), rtol=1e-12, atol=0)
    l1 = L1().trust(zeros(target), target, unit_state(L1(), 2, 2))
    torch.testing.assert_close(l1, torch.tensor([[1 / 3, 1 / 2]], dtype=torch.float64))
    wide = HuberNoise(delta=2.0).trust(zeros(target), target, unit_state(HuberNoise(), 2, 2))
    torch.testing.assert_close(wide, torch.tensor([[2 / 3, 1.0]], dtype=torch.float64))


def test_the_cut_is_tukey_s_threshold_and_an_option_of_the_others() -> None:
    assert TukeyNoise(c=3.0).cut == 3.0
    assert dataclasses.replace(TukeyNoise(c=3.0), warmup="l2") == TukeyNoise(c=3.0, warmup="l2")
    with pytest.raises(TypeError):
        TukeyNoise(cut=3.0)  # type: ignore[call-arg]
    assert L1(cut=3.0).cut == HuberNoise(cut=3.0).cut == 3.0
    assert HuberNoise().cut == HuberNoise().delta == C


def test_a_small_knee_does_not_make_right_labels_suspects() -> None:
    """1.345 is the usual knee; of Gaussian residuals 18 % lie beyond it, and 3 in a million beyond the cut."""
    target = torch.randn(2000, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    usual, state = HuberNoise(delta=1.345), unit_state(L1(), 1, 1)
    assert not usual.is_outlier(zeros(target), target, state).any()
    assert usual.error_rate(zeros(target), target, state) == 0.0
    tight = HuberNoise(delta=1.345, cut=1.345).is_outlier(zeros(target), target, state)
    assert torch.equal(tight, target[..., 0].abs() > 1.345)
    assert 0.15 < float(tight.double().mean()) < 0.21  # .1786, six deviations of the mean of 2000


@pytest.mark.parametrize("build", [lambda: HuberNoise(delta=0.0), lambda: TukeyNoise(c=-1.0), lambda: L1(cut=math.inf)])
def test_thresholds_are_positive(build: object) -> None:
    with pytest.raises(ValueError, match="> 0 and finite, got"):
        build()  # type: ignore[operator]


@pytest.mark.parametrize("model", PENALTIES)
def test_refit_gives_a_new_state_and_changes_nothing(model: type[PenaltyNoise]) -> None:
    noise = model()
    target = torch.tensor([[[1.0, 10.0]], [[2.0, 20.0]], [[4.0, NAN]], [[8.0, 40.0]]])
    state, output = noise.initial_state(1, 2), torch.zeros(4, 2)
    before = target.clone()
    found = refit(noise, [Chunk(output, target)], state)
    assert found is not state
    assert state["scale"].tolist() == [[1.0, 1.0]]
    assert torch.equal(target.nan_to_num(), before.nan_to_num())
    torch.testing.assert_close(found["scale"], torch.tensor([[2.2239, 14.826]]))  # medians of an even count averaged
    assert found["scale"].dtype == state["scale"].dtype


def test_l2_needs_no_refit_and_has_no_state() -> None:
    noise, target = L2(), label(1.0, 2.0)
    assert noise.initial_state(3, 2) == {}
    state: State = {}
    assert refit(noise, [Chunk(zeros(target), target)], state) == {}
    assert noise.weight(zeros(target), target, {}) is None
    assert not noise.collapsed({})
    assert not noise.needs_refit


def test_dtypes_are_kept() -> None:
    for model in ALL:
        for dtype in (torch.float32, torch.float64):
            noise, target = model(), label(1.0, NAN, 9.0).to(dtype)
            state = {name: value.to(dtype) for name, value in noise.initial_state(1, 1).items()}
            assert noise.loss(zeros(target), target, state).dtype == dtype
            assert noise.trust(zeros(target), target, state).dtype == dtype
            found = refit(noise, [Chunk(zeros(target), target)], state)
            assert all(value.dtype == dtype for value in found.values())


def test_the_floor_of_the_scale() -> None:
    residual = torch.tensor(
        [[[0.0, 5.0, NAN]], [[0.0, 5.0, NAN]], [[0.0, 5.0, NAN]], [[8.0, 5.0, NAN]]], dtype=torch.float64
    )
    scale = robust_scale(residual)  # half equal: 1.2533 mean |r - median|; all equal: 1; nothing annotated: 1
    torch.testing.assert_close(scale, torch.tensor([[1.2533 * 2.0, 1.0, 1.0]], dtype=torch.float64))


def test_warm_ups() -> None:
    target = label(0.5, -30.0)
    for noise in (HuberNoise(warmup="l1"), TukeyNoise(warmup="l1"), L1()):
        loss = noise.warmup_loss(zeros(target), target, unit_state(noise, 1, 1, 2.0))
        torch.testing.assert_close(loss, label(0.5, 30.0)[..., 0])
    squared = TukeyNoise(warmup="l2").warmup_loss(zeros(target), target, unit_state(L1(), 1, 1, 2.0))
    torch.testing.assert_close(squared, label(0.125, 450.0)[..., 0])
    wide = TukeyNoise(warmup="wide").warmup_loss(zeros(target), target, unit_state(L1(), 1, 1, 2.0))
    torch.testing.assert_close(wide, label(tukey(0.5 / 14), tukey(30 / 14))[..., 0])
    with pytest.raises(ValueError, match=r"TukeyNoise: expected warmup to be one of 'l1', 'l2', 'wide', got 'l3'"):
        TukeyNoise(warmup="l3")


@dataclass(frozen=True, kw_only=True)
class CauchyNoise(PenaltyNoise):
    """The docstring's example."""

    name: ClassVar[str] = "cauchy"

    def penalty(self) -> Penalty:
        return Cauchy(1.0)


def test_a_model_of_ones_own() -> None:
    noise, target = CauchyNoise(), label(0.0, 2.0, 20.0)
    state = unit_state(noise, 1, 1, 2.0)
    loss = noise.loss(zeros(target), target, state)
    torch.testing.assert_close(loss, label(0.0, math.log(2.0) / 2, math.log(101.0) / 2)[..., 0])
    torch.testing.assert_close(noise.trust(zeros(target), target, state), label(1.0, 0.5, 1 / 101)[..., 0])
    assert noise.is_outlier(zeros(target), target, state).tolist() == [[False], [False], [True]]
    torch.testing.assert_close(refit(noise, [Chunk(zeros(target), target)], state)["scale"], torch.tensor([[2.9652]]))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"location and target of one shape, got \(2, 1\) and \(2, 2\)"):
        residual_of(torch.zeros(2, 1), torch.zeros(2, 2))
    assert masked_sum(torch.ones(1, 1, 2), None, torch.tensor([[[NAN, 1.0]]])).tolist() == [[1.0]]
    assert penalized(Cauchy(1.0), torch.zeros(1, 1, 1), torch.full((1, 1, 1), NAN)).tolist() == [[[0.0]]]


def test_names_on_the_command_line() -> None:
    assert list(NOISE_MODELS)[:5] == ["l2", "l1", "huber", "tukey", "gum"]
    assert all(name.startswith(model().name) for name, model in NOISE_MODELS.items())
    assert NOISE_MODELS["l2"]().n_outputs(5, 2) == 10
    assert NOISE_MODELS["l2"]().prediction(torch.arange(12.0).view(2, 6), 2).shape == (2, 3, 2)
