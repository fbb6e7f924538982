"""The scale of Huber and Tukey from batches: their MAD, its running average, and how the tracker observes them."""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import Any

import pytest
import torch

from steadfit.noise import (
    L1,
    L2,
    NOISE_MODELS,
    Chunk,
    GaussianUniformNoise,
    HuberNoise,
    LabelNoise,
    PenaltyNoise,
    PredictedNoise,
    State,
    TukeyNoise,
    refit,
)
from steadfit.noise.base import SCALES
from steadfit.noise.residuals import robust_scale, spread

NAN = math.nan
N, K, D = 11, 3, 2
OBSERVED = ("batch", "running")
MODELS = (HuberNoise, TukeyNoise)


def draw(seed: int, n: int = N, missing: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Output (n, K D) and target (n, K, D) of a batch, coordinates of different scales, some labels missing."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    target = torch.randn(n, K, D, **options) * torch.tensor([[1.0, 3.0], [0.1, 2.0], [5.0, 1e-3]]).double()  # type: ignore[call-overload]
    target[torch.rand(n, K, D, **options) < missing] = NAN  # type: ignore[call-overload]
    return torch.randn(n, K * D, **options), target  # type: ignore[call-overload]


def state_of(noise: PenaltyNoise, points: int = K, dims: int = D) -> State:
    return {name: value.double() for name, value in
            noise.initial_state(points, dims).items()}  # fmt: skip


def mad_of(residuals: list[float]) -> float | None:
    """1.4826 MAD, by the standard library; None where it tells nothing."""
    known = [r for r in residuals if not math.isnan(r)]
    if len(set(known)) < 2:
        return None
    center = statistics.median(known)
    size = [abs(r - center) for r in known]
    return 1.4826 * statistics.median(size) or 1.2533 * statistics.fmean(size)


def twin(noise: PenaltyNoise, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> list[float]:
    """The scale of every coordinate after these batches: all MADs kept, the weights momentum^(n - k) written out."""
    found = []
    for k in range(K):
        for d in range(D):
            told = [
                mad
                for output, target in batches
                if (mad := mad_of((target[:, k, d] - output.view(-1, K, D)[:, k, d]).tolist())) is not None
            ]
            if noise.scale == "batch":
                found.append(told[-1] if told else 1.0)
            else:
                weights = [noise.momentum ** (len(told) - 1 - i) for i in range(len(told))]
                terms = [weight * mad for weight, mad in zip(weights, told, strict=True)]
                found.append(math.fsum(terms) / math.fsum(weights) if told else 1.0)
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("options", [{"scale": "batch"}, {"scale": "running"}, {"scale": "running", "momentum": 0.5}])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.85])
def test_the_scale_is_that_of_a_slow_twin(model: Any, options: dict[str, Any], missing: float) -> None:
    """At 85 % missing of 11 labels many batches have no label of a coordinate, or one."""
    noise = model(**options)
    batches, state = [draw(seed, missing=missing) for seed in range(25)], state_of(noise)
    for count, batch in enumerate(batches, start=1):
        state = noise.observe(*batch, state)
        if count in (1, 2, 7, 25):
            wanted = torch.tensor(twin(noise, batches[:count]), dtype=torch.float64).view(K, D)
            torch.testing.assert_close(state["scale"], wanted, rtol=1e-12, atol=0)  # 25 sums of rounded terms


@pytest.mark.parametrize("model", MODELS)
def test_a_running_scale_begins_at_the_first_batch_and_without_momentum_is_the_batch_s(model: Any) -> None:
    batch, running, forgetful = (model(scale="batch"), model(scale="running"), model(scale="running", momentum=0.0))
    first, second = draw(0), draw(1)
    one = batch.observe(*first, state_of(batch))
    begun = running.observe(*first, state_of(running))["scale"]
    torch.testing.assert_close(begun, one["scale"], rtol=1e-14, atol=0)  # rounding of the average
    two = forgetful.observe(*second, forgetful.observe(*first, state_of(forgetful)))
    torch.testing.assert_close(two["scale"], batch.observe(*second, one)["scale"], rtol=1e-14, atol=0)


def test_a_long_running_average_of_equal_batches_stays_there() -> None:
    noise, batch = TukeyNoise(scale="running", momentum=0.999), draw(3, missing=0.0)
    state = first = noise.observe(*batch, state_of(noise))
    for _ in range(500):
        state = noise.observe(*batch, state)
    torch.testing.assert_close(state["scale"], first["scale"], rtol=1e-13, atol=0)
    wanted = (1 - 0.999**501) / (1 - 0.999)  # momentum^0 + ... + momentum^500
    torch.testing.assert_close(state["batches"], torch.full((K, D), wanted, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", OBSERVED)
def test_what_tells_no_scale_changes_none(scale: str) -> None:
    """One label, equal residuals, none: the scale stays what it was, and does not count as a batch."""
    noise = TukeyNoise(scale=scale)
    start = noise.observe(torch.zeros(4, 3), torch.tensor([[[1.0], [2.0], [3.0]]]) * torch.arange(4.0).view(4, 1, 1),
                          noise.initial_state(3, 1))  # fmt: skip
    target = torch.tensor([[[5.0], [7.0], [NAN]], [[NAN], [7.0], [NAN]]])
    found = noise.observe(torch.zeros(2, 3), target, start)
    assert torch.equal(found["scale"], start["scale"])
    if scale == "running":
        assert found["batches"].tolist() == [[1], [1], [1]]
    before = noise.observe(torch.zeros(2, 3), target, noise.initial_state(3, 1))
    assert before["scale"].tolist() == [[1.0], [1.0], [1.0]]  # before anything is known
    overflowing = noise.observe(torch.zeros(2, 3), torch.tensor([3e38, -3e38]).view(2, 1, 1).expand(2, 3, 1), start)
    assert torch.equal(overflowing["scale"], start["scale"])
    one = noise.observe(torch.zeros(1, 3), torch.ones(1, 3, 1), start)
    assert torch.equal(one["scale"], start["scale"])


@pytest.mark.parametrize("scale", OBSERVED)
def test_half_of_the_residuals_equal(scale: str) -> None:
    noise = HuberNoise(scale=scale)
    target = torch.tensor([0.0, 0.0, 0.0, 8.0], dtype=torch.float64).view(4, 1, 1)
    found = noise.observe(torch.zeros(4, 1).double(), target, state_of(noise, 1, 1))
    torch.testing.assert_close(found["scale"], torch.full((1, 1), 1.2533 * 2.0).double())  # mean |r - median| is 2


def test_spread_and_its_floor() -> None:
    residual = torch.tensor([[0.0, 5.0, NAN, 1.0], [4.0, 5.0, NAN, NAN]], dtype=torch.float64)
    assert spread(residual).nan_to_num(nan=-1.0).tolist() == [1.4826 * 2, 0.0, -1.0, 0.0]
    assert robust_scale(residual).tolist() == [1.4826 * 2, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("scale", SCALES)
def test_observing_changes_nothing_that_it_was_given(scale: str) -> None:
    noise, (output, target) = TukeyNoise(scale=scale), draw(0)
    state = state_of(noise)
    kept = {name: value.clone() for name, value in state.items()}, output.clone(), target.clone()
    found = noise.observe(output, target, state)
    assert (found is state) == (scale == "epoch")
    assert all(torch.equal(state[name], kept[0][name]) for name in kept[0])
    assert torch.equal(output, kept[1])
    assert torch.equal(target.nan_to_num(), kept[2].nan_to_num())
    assert found.keys() == state.keys()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scale", OBSERVED)
def test_the_scale_is_a_constant_in_backpropagation(model: Any, scale: str) -> None:
    """The gradient is -psi(u)/s, as for a given s; with the scale's own derivative it would not be."""
    noise, (output, target) = model(scale=scale), draw(5)
    output.requires_grad_()
    state = noise.observe(output, target, state_of(noise))
    assert not state["scale"].requires_grad
    (found,) = torch.autograd.grad(noise.loss(output, target, state).sum(), output)
    u = (target - output.detach().view(-1, K, D)) / state["scale"]
    wanted = (-noise.penalty().psi(u) / state["scale"]).nan_to_num(nan=0.0).flatten(1)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(lambda o: noise.loss(o, target, state), output)


@pytest.mark.parametrize("scale", OBSERVED)
def test_order_and_unit(scale: str) -> None:
    noise, (output, target) = HuberNoise(scale=scale), draw(6)
    state = noise.observe(output, target, state_of(noise))["scale"]
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    assert torch.equal(noise.observe(output[order], target[order], state_of(noise))["scale"], state)
    eightfold = noise.observe(8 * output, 8 * target, state_of(noise))["scale"]
    assert torch.equal(eightfold, 8 * state)


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_less_than_half_of_a_batch_cannot_carry_the_scale_away(share: float) -> None:
    noise, (output, target) = TukeyNoise(scale="batch"), draw(7, n=200, missing=0.0)
    wrong = int(share * 200)
    clean = noise.observe(output, target, state_of(noise))["scale"]
    far = target.clone()
    far[:wrong] += 1e6 * torch.rand(wrong, K, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = noise.observe(output, far, state_of(noise))["scale"]
    assert bool((found < 20 * clean).all()) == (share < 0.5)


@pytest.mark.parametrize("scale", OBSERVED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_the_state_s(scale: str, dtype: torch.dtype) -> None:
    noise, (output, target) = TukeyNoise(scale=scale), draw(0)
    state = {name: value.to(dtype) for name, value in noise.initial_state(K, D).items()}
    for _ in range(3):
        state = noise.observe(output, target, state)
        assert state["scale"].dtype == dtype
    small = noise.observe(output.to(dtype) * 1e-6, target.to(dtype) * 1e-6, noise.initial_state(K, D))
    wanted = noise.observe(output, target, state_of(noise))["scale"] * 1e-6
    torch.testing.assert_close(
        small["scale"].double(), wanted, rtol=1e-5, atol=0
    )  # the 1 that was there leaves nothing


def test_a_refit_takes_the_place_of_the_average_which_goes_on_from_there() -> None:
    noise = TukeyNoise(scale="running")
    state = noise.observe(*draw(0), state_of(noise))
    whole = draw(1, n=500, missing=0.0)
    refitted = refit(noise, [Chunk(*whole)], state)
    wanted = robust_scale(whole[1] - whole[0].view(-1, K, D))
    assert torch.equal(refitted["scale"], wanted)
    assert torch.equal(refitted["batches"], state["batches"])
    after = noise.observe(*(batch := draw(2, missing=0.0)), refitted)["scale"]
    mad = spread(batch[1] - batch[0].view(-1, K, D))
    torch.testing.assert_close(after, wanted + (mad - wanted) * 0.1 / (1 - 0.9**2), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: TukeyNoise(scale="set"), ValueError,
         "TukeyNoise: expected scale to be one of 'epoch', 'batch', 'running', got 'set'"),
        (lambda: HuberNoise(momentum=1.0), ValueError, "HuberNoise: expected 0 <= momentum < 1, got 1.0"),
        (lambda: HuberNoise(momentum=-0.1), ValueError, "HuberNoise: expected 0 <= momentum < 1, got -0.1"),
        (lambda: HuberNoise(momentum=NAN), ValueError, "HuberNoise: expected 0 <= momentum < 1, got nan"),
        (lambda: HuberNoise(momentum="0.9"), TypeError, "HuberNoise: expected momentum to be a number, got str"),  # type: ignore[arg-type]
        (lambda: L1(scale="batch"), ValueError, "L1: expected scale to be one of 'epoch', got 'batch'"),
    ],
)  # fmt: skip
def test_options_are_checked(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_which_models_need_no_refit_for_their_loss() -> None:
    assert [model().refits_once for model in (L2, L1, HuberNoise, TukeyNoise, GaussianUniformNoise)] == [
        False, True, False, False, False
    ]  # fmt: skip
    assert all(model(scale=scale).refits_once for model in MODELS for scale in OBSERVED)
    by_trust = LabelNoise(L1(), n_samples=2, points=1, dims=1, by_trust=True)
    assert not by_trust.refits_once  # labels are weighted by their trust, which refits give
    assert LabelNoise(L1(), n_samples=2, points=1, dims=1).refits_once


@pytest.mark.parametrize("name", NOISE_MODELS)
def test_by_default_nothing_is_observed(name: str) -> None:
    """The state is handed back as it is, so that nothing has changed for these models."""
    noise = NOISE_MODELS[name]()
    state = noise.initial_state(K, D)
    output = torch.zeros(N, noise.n_outputs(K, D))
    assert noise.observe(output, torch.randn(N, K, D), state) is state
    tracker = LabelNoise(noise, n_samples=N, points=K, dims=D)
    before = {key: value.clone() for key, value in tracker.state_dict().items()}
    tracker(output, torch.randn(N, K, D), torch.arange(N))
    assert all(torch.equal(value, before[key]) for key, value in tracker.state_dict().items())
    assert [key for key in before if key.startswith("state_")] == [f"state_{key}" for key in state]


def test_states_of_the_default_are_what_they_were() -> None:
    for model in (L1, *MODELS):
        assert list(model().initial_state(K, D)) == ["scale"]
    assert PredictedNoise().initial_state(K, D) == {}


def tracker_of(noise: PenaltyNoise, n: int = N) -> LabelNoise:
    return LabelNoise(noise, n_samples=n, points=K, dims=D).double()


@pytest.mark.parametrize("model", MODELS)
def test_the_tracker_observes_a_batch_before_its_loss(model: Any) -> None:
    made, noise, (output, target) = tracker_of(model(scale="batch")), model(scale="batch"), draw(8)
    made.end_warmup()
    loss = made(output, target, torch.arange(N))
    residual = target - output.view(-1, K, D)
    scale = robust_scale(residual)
    wanted = noise.penalty().rho(residual / scale).nansum() / N
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=0)
    assert torch.equal(made.state["scale"], scale)


@pytest.mark.parametrize("scale", OBSERVED)
def test_evaluation_observes_nothing_and_uses_what_was_observed(scale: str) -> None:
    made, (output, target) = tracker_of(TukeyNoise(scale=scale)), draw(9)
    made.end_warmup()
    made(*draw(8), torch.arange(N))
    before = {name: value.clone() for name, value in made.state_dict().items()}
    held_out = made.held_out_loss(output, target)  # in training mode: held-out samples are never observed
    made.eval()
    assert float(made(output, target, torch.arange(N))) == float(held_out)
    assert float(held_out) == pytest.approx(float(made.noise.loss(output, target, made.state).sum() / N), rel=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    made.train()
    made(output, target, torch.arange(N))
    assert not torch.equal(made.state["scale"], before["state_scale"])


@pytest.mark.parametrize("warmup", ["l1", "l2", "wide"])
@pytest.mark.parametrize("scale", OBSERVED)
def test_the_warm_up_observes_too(scale: str, warmup: str) -> None:
    noise = TukeyNoise(scale=scale, warmup=warmup)
    made, (output, target) = tracker_of(noise), draw(8)
    loss = made(output, target, torch.arange(N))
    residual = target - output.view(-1, K, D)
    wide = noise.penalty().rho(residual / (7 * robust_scale(residual)))
    wanted = {"l1": residual.abs(), "l2": residual**2 / 2, "wide": wide}[warmup]
    torch.testing.assert_close(loss, wanted.nansum() / N, rtol=1e-12, atol=0)
    torch.testing.assert_close(made.state["scale"], robust_scale(residual), rtol=1e-14, atol=0)
    assert bool(made.warming_up)


@pytest.mark.parametrize("scale", OBSERVED)
def test_two_batches_before_one_backward_pass(scale: str) -> None:
    """Accumulated gradients: observing the second batch must not touch what the first one's derivative needs."""
    made = tracker_of(TukeyNoise(scale=scale))
    made.end_warmup()
    (output, target), (other, target2) = draw(0), draw(1)
    output.requires_grad_()
    loss = made(output, target, torch.arange(N)) + made(other, target2, torch.arange(N))
    (found,) = torch.autograd.grad(loss, output)
    alone = tracker_of(TukeyNoise(scale=scale))
    alone.end_warmup()
    (wanted,) = torch.autograd.grad(alone(output, target, torch.arange(N)), output)
    assert torch.equal(found, wanted)
    assert float(found.abs().max()) > 0


def test_a_checkpoint_continues_the_average_to_the_bit() -> None:
    made, again = (tracker_of(HuberNoise(scale="running")) for _ in range(2))
    for seed in range(4):
        made(*draw(seed), torch.arange(N))
    again.load_state_dict(made.state_dict())
    for seed in range(4, 8):
        losses = [float(one(*draw(seed), torch.arange(N))) for one in (made, again)]
        assert losses[0] == losses[1]
    assert all(torch.equal(value, again.state[name]) for name, value in made.state.items())


def test_weights_multiply_losses_whatever_the_scale() -> None:
    made, (output, target) = tracker_of(TukeyNoise(scale="batch")), draw(2)
    made.end_warmup()
    plain = made(output, target, torch.arange(N))
    made.label_weight.mul_(0.25)
    assert float(made(output, target, torch.arange(N))) == pytest.approx(float(plain) / 4, rel=1e-12)


def test_a_model_of_ones_own_may_observe() -> None:
    """The interface by itself: a model that counts what it has seen."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Counting(L2):
        def initial_state(self, points: int, dims: int) -> State:
            return {"seen": torch.zeros((), dtype=torch.long)}

        def observe(self, output: torch.Tensor, target: torch.Tensor, state: State) -> State:
            assert not output.requires_grad
            return {"seen": state["seen"] + len(target)}

    made = LabelNoise(Counting(), n_samples=4, points=1, dims=1)
    output = torch.zeros(3, 1, requires_grad=True)
    made(output, torch.ones(3, 1, 1), torch.arange(3)).backward()
    made(output[:1], torch.ones(1, 1, 1), torch.arange(1))
    assert int(made.state["seen"]) == 4
    made.eval()(output, torch.ones(3, 1, 1), torch.arange(3))
    assert int(made.state["seen"]) == 4
