"""The gate of every noise model and of LabelNoise: shapes, dtypes, indices; what is absent, and what has no verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from steadfit.noise import NOISE_MODELS, Chunk, GaussianUniformNoise, LabelNoise, NoiseModel, PredictedNoise, refit
from steadfit.penalties import Squared

NAN, INF = math.nan, math.inf
N, K, D = 60, 3, 2
UNITS = [GaussianUniformNoise(unit=unit) for unit in ("sample", "coordinate")]
MODELS: list[NoiseModel] = [*(make() for make in NOISE_MODELS.values()), *UNITS]
EACH = pytest.mark.parametrize("noise", MODELS, ids=lambda noise: f"{noise.name}-{getattr(noise, 'unit', '')}")
METHODS = ("loss", "warmup_loss", "trust", "is_outlier", "distance", "weight", "error_rate", "observe")


def data(noise: NoiseModel, n: int = N, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    target = torch.randn(n, K, D, generator=draw, dtype=torch.float64)
    target[: n // 5] *= 20
    return (0.1 * torch.randn(n, noise.n_outputs(K, D), generator=draw, dtype=torch.float64)).to(dtype), target.to(
        dtype
    )


def tracker(noise: NoiseModel, **options: Any) -> LabelNoise:
    made = LabelNoise(noise, n_samples=N, points=K, dims=D, **options)
    made.refit(*data(noise))
    return made


def calls(noise: NoiseModel) -> dict[str, Callable[[Tensor, Tensor], Any]]:
    """Everything that takes an output and a target."""
    made = tracker(noise)
    state = made.state
    found: dict[str, Callable[[Tensor, Tensor], Any]] = {
        name: lambda output, target, name=name: getattr(noise, name)(output, target, state) for name in METHODS
    }
    if noise.observe(*data(noise), state) is state:
        del found["observe"]  # the model observes nothing
    if noise.weight(*data(noise), made.state) is None:
        del found["weight"]
    if type(noise).error_rate is not NoiseModel.error_rate:
        del found["error_rate"]  # it is the state's
    found["call"] = lambda output, target: made(output, target, torch.arange(len(target)))
    found["held out"] = made.held_out_loss
    found["refit"] = lambda output, target: made.refit(output, target, torch.arange(len(target)))
    return found


@EACH
def test_nothing_is_broadcast(noise: NoiseModel) -> None:
    output, target = data(noise)
    width = output.shape[1]
    wrong = {
        "a column less": (output[:, :-1], target),
        "one column": (output[:, :1], target),
        "one sample for all": (output[:1], target),
        "one target for all": (output, target[:1]),
        "no points": (output, target[:, 0]),
        "flat targets": (output, target.flatten(1)),
        "points in the output": (output.unflatten(1, (-1, 1)), target),
    }
    for call in calls(noise).values():
        for o, t in wrong.values():
            with pytest.raises(ValueError, match=r"expected (output|target) of shape .*, got \("):
                call(o, t)
    message = re.escape(f"expected output of shape (60, {width}) for target (60, 3, 2), got (60, {width - 1})")
    with pytest.raises(ValueError, match=message):
        noise.trust(output[:, 1:], target, noise.initial_state(K, D))


@EACH
def test_targets_of_other_points_are_refused_even_if_the_numbers_are_as_many(noise: NoiseModel) -> None:
    made = tracker(noise)
    output = torch.zeros(N, noise.n_outputs(D, K))
    if output.shape[1] == noise.n_outputs(K, D):
        with pytest.raises(ValueError, match=r"expected target of shape \('B', 3, 2\), got \(60, 2, 3\)"):
            made(output, torch.zeros(N, D, K), torch.arange(N))
    if "scale" in made.state:
        with pytest.raises(
            ValueError, match=r"expected target of shape \(N, 3, 2\), as the state has it, got \(60, 1, 2\)"
        ):
            noise.trust(torch.zeros(N, D), torch.zeros(N, 1, D), made.state)


@EACH
def test_only_floating_point_tensors(noise: NoiseModel) -> None:
    output, target = data(noise)
    for call in calls(noise).values():
        with pytest.raises(
            TypeError, match=r"expected target of a floating dtype, got torch.int64. Call .float\(\) on it"
        ):
            call(output, target.long())
        with pytest.raises(TypeError, match="expected output of a floating dtype, got torch.int64"):
            call(output.long(), target)
        with pytest.raises(TypeError, match="expected target to be a tensor, got ndarray"):
            call(output, target.numpy())  # type: ignore[arg-type]


@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(noise: NoiseModel, dtype: torch.dtype) -> None:
    output, target = data(noise, dtype=dtype)
    half, single = (LabelNoise(noise, n_samples=N, points=K, dims=D) for _ in range(2))
    half.refit(output, target)
    single.refit(output.float(), target.float())
    for name, value in single.state_dict().items():
        assert torch.equal(half.state_dict()[name], value)
        assert value.dtype in (torch.float32, torch.bool)
    for name in ("trust", "is_outlier", "loss"):
        found, wanted = (
            getattr(noise, name)(o, t, single.state) for o, t in ((output, target), (output.float(), target.float()))
        )
        assert torch.equal(found, wanted)
    loss = half(output, target, torch.arange(N))
    assert loss.dtype == torch.float32
    assert torch.equal(loss, single(output.float(), target.float(), torch.arange(N)))


@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_module_in_half_precision_keeps_the_labels_in_single(noise: NoiseModel, dtype: torch.dtype) -> None:
    made = tracker(noise)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    after = torch.nn.Sequential(made).to(dtype)[0].state_dict()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())
    wide = made.double().state_dict()
    assert all(value.dtype == torch.float64 for value in wide.values() if value.is_floating_point())


@EACH
def test_an_empty_batch_has_loss_0(noise: NoiseModel) -> None:
    made = tracker(noise)
    for _ in range(2):
        before = {name: value.clone() for name, value in made.state_dict().items()}
        output, target = (value[:0] for value in data(noise))
        output.requires_grad_()
        loss = made(output, target, torch.arange(0))
        loss.backward()
        assert float(loss.detach()) == float(made.held_out_loss(output.detach(), target)) == 0.0
        assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
        for name in ("trust", "is_outlier"):
            assert getattr(noise, name)(output, target, made.state).shape == (0, K)
        made.warming_up.fill_(True)
    with pytest.raises(ValueError, match=r"LabelNoise.refit: expected at least one sample, got none"):
        made.refit(output, target, torch.arange(0))


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (torch.tensor([0, -1]), ValueError, r"expected sample indices in \[0, 60\), got -1. n_samples is the size"),
        (torch.tensor([60, 0]), ValueError, r"expected sample indices in \[0, 60\), got 60"),
        (torch.tensor([0]), ValueError, "expected an index of 2 samples, got 1"),
        (torch.tensor([[0, 1]]), ValueError, r"expected index of shape \(B,\), got \(1, 2\)"),
        (torch.tensor([0.0, 1.0]), TypeError, "expected index to be a tensor of integers, got torch.float32"),
        (torch.tensor([True, False]), TypeError, "expected index to be a tensor of integers, got torch.bool"),
        ([0, 1], TypeError, "expected index to be a tensor of integers, got list"),
    ],
)
@pytest.mark.parametrize("warming", [False, True])
def test_indices(index: Any, error: type[Exception], message: str, warming: bool) -> None:
    noise = GaussianUniformNoise()
    made = tracker(noise)
    made.warming_up.fill_(warming)
    output, target = (value[:2] for value in data(noise))
    for call in (made, made.refit):
        with pytest.raises(error, match=message):
            call(output, target, index)
    if "index of 2" not in message:
        with pytest.raises(error, match=message):
            made.weights(index)
    made(output, target, torch.tensor([59, 0], dtype=torch.int32))


def test_the_whole_set_has_all_samples() -> None:
    noise = GaussianUniformNoise()
    with pytest.raises(ValueError, match="LabelNoise: expected an index of 59 samples, got 60"):
        tracker(noise).refit(*(value[:59] for value in data(noise)))
    output, target = data(noise)
    target[3, 1, 0] = INF
    with pytest.raises(ValueError, match=r"LabelNoise.refit: expected finite targets .*, the first at \(3, 1, 0\)"):
        tracker(noise).refit(output, target)


@EACH
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_prediction_that_is_not_finite_gives_no_verdict(noise: NoiseModel, bad: float, dtype: torch.dtype) -> None:
    """Trust 0, and never full trust; no suspect; no part in an estimate. A missing label is still a missing one."""
    output, target = data(noise, dtype=dtype)
    target[0], target[1, 0], target[2, 0, 1] = NAN, NAN, NAN
    spoiled, width = output.clone(), noise.n_outputs(1, D)
    spoiled[[0, 1, 4]] = bad  # whole images
    spoiled[5, width : width + 1] = bad  # one number of point 1
    left_out = target.clone()
    left_out[[1, 4]], left_out[5, 1, 0] = NAN, NAN
    state = refit(noise, [Chunk(output, left_out)], noise.initial_state(K, D))
    found = refit(noise, [Chunk(spoiled, target)], noise.initial_state(K, D))
    if noise.name != "predicted-mixture":  # its box is where labels lie, whatever is predicted
        assert all(torch.equal(found[name], value) for name, value in state.items())
    assert all(value.isfinite().all() for value in found.values())
    trust, suspect = noise.trust(spoiled, target, found), noise.is_outlier(spoiled, target, found)
    missing = target.isnan().any(-1) if noise.predicts_covariance else target.isnan().all(-1)
    assert torch.equal(trust.isnan(), missing)
    known = trust[~missing]
    assert ((known >= 0) & (known <= 1)).all()
    unjudged = torch.zeros(N, K, dtype=torch.bool)
    unjudged[[1, 4]], unjudged[5, 1] = True, True
    assert (trust[unjudged & ~missing] == 0).all()
    assert not suspect[4].any()
    assert not suspect[missing].any()
    assert 0 <= noise.error_rate(spoiled, target, found) <= 1
    weight = noise.weight(spoiled, target, found)
    if weight is not None:
        assert weight.isfinite().all()
        assert (weight[4] == 0).all()
    by_trust = tracker(noise, by_trust=True)
    by_trust.refit(spoiled, target)
    assert (by_trust.label_weight[4] == 0).all() or bool(by_trust.warming_up)


@EACH
def test_an_infinite_label_is_a_far_one(noise: NoiseModel) -> None:
    output, target = data(noise)
    target[7, 2, 0] = INF
    state = tracker(noise).state
    trust, suspect = noise.trust(output, target, state), noise.is_outlier(output, target, state)
    squared = noise.name == "l2" or getattr(noise, "penalty", None) == Squared()  # counts every label in full
    assert float(trust[7, 2]) == 1 if squared else float(trust[7, 2]) < 1e-6
    assert bool(suspect[7, 2]) == (noise.name != "l2")


@EACH
def test_weight_0_keeps_a_label_out_of_the_gradient(noise: NoiseModel) -> None:
    """Whatever the row's numbers are; the others' losses are what they were."""
    output, target = data(noise)
    state, weight = tracker(noise).state, torch.ones(N, K, D, dtype=torch.float64)
    weight[3] = 0
    spoiled = output.clone()
    spoiled[3] = NAN
    spoiled.requires_grad_()
    loss = noise.loss(spoiled, target, state, weight)
    assert (loss[3] == 0).all()
    plain = noise.loss(output, target, state, weight)
    torch.testing.assert_close(loss[4:], plain[4:])
    (gradient,) = torch.autograd.grad(loss.sum(), spoiled)
    assert gradient[4:].isfinite().all()
    if not noise.predicts_covariance:
        assert (gradient[3] == 0).all()


def test_the_predicted_distribution_of_nan_has_no_eigenvalues_to_fail() -> None:
    noise = PredictedNoise()
    output = torch.full((2, noise.n_outputs(1, 5)), NAN)
    assert noise.trust(output, torch.zeros(2, 1, 5), {}).tolist() == [[0.0], [0.0]]
