"""Refits on sums: any chunks give what one gives, what Sums and Chunk promise, models with statistics of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from scale_twin import robust_scale
from steadfit.core.mixture import GaussianUniform
from steadfit.core.sums import stacked, unstacked
from steadfit.errors import ConvergenceWarning
from steadfit.noise import (
    NOISE_MODELS,
    Chunk,
    GaussianUniformNoise,
    Group,
    LabelNoise,
    NoiseModel,
    PenaltyNoise,
    Processes,
    State,
    Sums,
    TukeyNoise,
    largest,
    refit,
)
from steadfit.noise import sums as sums_module
from steadfit.noise.gum import to_groups
from steadfit.noise.residuals import masked_sum, penalized, residual_of, trust_of_labels
from steadfit.penalties import Absolute, Cauchy, Penalty

NAN = math.nan
N, K, D = 300, 3, 2


@dataclass(frozen=True, kw_only=True)
class CauchyNoise(PenaltyNoise):
    """A user's own penalty: the refit comes with the base."""

    name: ClassVar[str] = "cauchy"

    def penalty(self) -> Penalty:
        return Cauchy()


@dataclass(frozen=True, kw_only=True)
class MeanNoise(NoiseModel):
    """A user's own model with statistics of its own: |r| over its mean, as docs/noise-models.md has it."""

    name: ClassVar[str] = "mean"

    def initial_state(self, points: int, dims: int) -> State:
        return {"scale": torch.ones(points, dims)}

    def statistics(self, chunk: Chunk, state: State) -> Sums:
        size = residual_of(*self.located(chunk.output, chunk.target)).abs().double()
        return Sums({"size": size.nansum(dim=0), "count": (~size.isnan()).sum(dim=0)}, {"farthest": largest(size)})

    def update(self, sums: Sums, state: State) -> State:
        return state | {"scale": sums.added["size"] / sums.added["count"], "farthest": sums.largest["farthest"]}

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        location, target = self.located(output, target)
        return masked_sum(penalized(Absolute(), location, target, state["scale"], weight), weight, target)

    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        u = residual_of(*self.located(output, target)) / state["scale"]
        return trust_of_labels(1 / u.abs().clamp(min=1), target)

    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return self.trust(output, target, state) < 0.1


VOLUMES = ("trimmed", "moments")
GUMS = [
    *(
        GaussianUniformNoise(covariance=covariance, volume=volume)
        for covariance in ("full", "diagonal", "isotropic")
        for volume in ("trimmed", "range", "moments", 900.0)
    ),
    *(GaussianUniformNoise(unit=unit, volume=volume) for unit in ("sample", "coordinate") for volume in VOLUMES),
]
MODELS: list[NoiseModel] = [*(make() for make in NOISE_MODELS.values()), CauchyNoise(), MeanNoise(), *GUMS]


def data(noise: NoiseModel, n: int = N, seed: int = 0, missing: float = 0.1) -> tuple[Tensor, Tensor]:
    """Three in ten labels are wrong, one in ten coordinates is missing, one point is missing in half of the samples."""
    draw = torch.Generator().manual_seed(seed)
    target = torch.randn(n, K, D, generator=draw, dtype=torch.float64)
    wrong = torch.rand(n, K, generator=draw) < 0.3
    target[wrong] = 40 * torch.rand(int(wrong.sum()), D, generator=draw, dtype=torch.float64) - 20
    target[torch.rand(n, K, D, generator=draw) < missing] = NAN
    target[: n // 2, 1] = NAN
    return 0.1 * torch.randn(n, noise.n_outputs(K, D), generator=draw, dtype=torch.float64), target


def start(noise: NoiseModel, dtype: torch.dtype = torch.float64) -> State:
    state = noise.initial_state(K, D)
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}


@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_any_chunks_give_what_one_gives(noise: NoiseModel) -> None:
    """Sums over other parts differ by rounding, some 1e-16 each; EM passes it on unchanged in size."""
    output, target = data(noise)
    whole = refit(noise, [Chunk(output, target)], start(noise))
    for cuts in ([0, 1, 1, 150, 299, 300], [*range(0, 300, 20)]):
        chunks = [Chunk(*part) for part in zip(output.tensor_split(cuts), target.tensor_split(cuts), strict=True)]
        found = refit(noise, chunks, start(noise))
        assert found.keys() == whole.keys()
        for name in whole:
            torch.testing.assert_close(found[name], whole[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noise", GUMS, ids=repr)
def test_the_mixture_is_that_of_gaussian_uniform(noise: GaussianUniformNoise) -> None:
    """The same steps from the same functions; only the spread of the box by moments is summed in another order."""
    output, target = data(noise)
    options = {"covariance": noise.covariance, "volume": noise.volume, "tol": 1e-6}
    result = GaussianUniform(**options).fit(to_groups(target - output.view_as(target), noise.unit))  # type: ignore[arg-type]
    for name, value in refit(noise, [Chunk(output, target)], start(noise)).items():
        torch.testing.assert_close(value, getattr(result, name), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_nothing_annotated_and_next_to_nothing(noise: NoiseModel) -> None:
    """A process may have no sample, and a training set a point that nobody annotated: the state stays finite."""
    for n in (1, 2, 5):
        output, target = data(noise, n)
        target[:, 0] = NAN
        empty = Chunk(output[:0], target[:0])
        before = start(noise)
        found = refit(noise, [empty, Chunk(output, target), empty], before)
        alone = refit(noise, [Chunk(output, target)], before)
        for name, value in found.items():
            if not isinstance(noise, MeanNoise):
                assert value.isfinite().all(), name
            torch.testing.assert_close(value, alone[name], rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.filterwarnings("ignore:GaussianUniform. not converged")  # 40 samples of six dimensions
@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_the_state_keeps_its_names_and_dtypes_and_is_not_changed(noise: NoiseModel) -> None:
    output, target = data(noise, 40)
    for dtype in (torch.float32, torch.float64):
        state = start(noise, dtype)
        kept = {name: value.clone() for name, value in state.items()}
        found = refit(noise, [Chunk(output, target)], state)
        assert {n: (v.dtype, v.shape) for n, v in found.items()} == {n: (v.dtype, v.shape) for n, v in state.items()}
        assert all(torch.equal(state[name], kept[name]) for name in kept)


@pytest.mark.parametrize("missing", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 7, 64, 501])
def test_the_scale_is_the_mad_of_all_residuals(n: int, dtype: torch.dtype, missing: float) -> None:
    """To the bit in float64; float32 residuals differ by the rounding of the last product."""
    noise = TukeyNoise()
    output, target = (value.to(dtype) for value in data(noise, n, seed=n, missing=missing))
    target[:, 2, 1] = torch.where(torch.arange(n) % 2 == 0, 5.0, target[:, 2, 1])  # half of the labels are equal
    chunks = [Chunk(*part) for part in zip(output.tensor_split(3), target.tensor_split(3), strict=True)]
    found = refit(noise, chunks, start(noise))["scale"]
    wanted = robust_scale(target - output.view_as(target)).double()
    torch.testing.assert_close(found, wanted, rtol=1e-15 if dtype == torch.float64 else 2e-7, atol=0)


class Two:
    """The second of two processes, whose partner's sums are given."""

    rank = 1

    def __init__(self, partner: Sequence[Sums]) -> None:
        self.partner = list(partner)

    def reduce(self, sums: Sums) -> Sums:
        return sums + self.partner.pop(0) if self.partner else sums


def test_a_sample_of_two_processes_counts_in_one() -> None:
    """The higher rank has it; the lower one's samples are not looked at here."""
    noise = MeanNoise()
    tracker = LabelNoise(noise, n_samples=4, points=1, dims=1)
    theirs = Sums(largest={"owner": torch.tensor([0, 0, 0, -1])})
    ours: Processes = Two([theirs, Sums({"size": torch.tensor([[9.0]]), "count": torch.tensor([[1]])},
                             {"farthest": torch.tensor([[9.0]])})])  # fmt: skip
    tracker.refit(torch.zeros(2, 1), torch.tensor([[[1.0]], [[2.0]]]), torch.tensor([2, 3]), processes=ours)
    assert float(tracker.state["scale"]) == (9 + 1 + 2) / 3


def test_sums_add_and_take_the_largest() -> None:
    one = Sums({"a": torch.tensor([1, 2])}, {"b": torch.tensor([1.0, -math.inf])})
    two = Sums({"a": torch.tensor([10, 20])}, {"b": torch.tensor([-3.0, 5.0])})
    both = one + two
    assert both.added["a"].tolist() == [11, 22]
    assert both.largest["b"].tolist() == [1.0, 5.0]
    assert (Sums() + Sums()) == Sums()
    with pytest.raises(ValueError, match=r"Sums: expected the same names, got \['a'\] and \[\]"):
        one + Sums(largest=two.largest)


def test_sums_are_stacked_and_unstacked() -> None:
    """Stacked sums add up as their parts do."""
    parts = [Sums({"a": torch.tensor([i, 2])}, {"b": torch.tensor(float(i))}) for i in range(3)]
    both = stacked(*parts) + stacked(*parts[::-1])
    found = unstacked(both, 3)
    assert [part.added["a"].tolist() for part in found] == [[2, 4]] * 3
    assert [float(part.largest["b"]) for part in found] == [2.0, 1.0, 2.0]


def test_the_largest_value() -> None:
    value = torch.tensor([[1.0, NAN, -7.0], [3.0, NAN, -9.0]])
    assert largest(value).tolist() == [3.0, -math.inf, -7.0]
    assert largest(value[:0]).tolist() == [-math.inf] * 3


def test_once_is_once_a_key() -> None:
    chunk, calls = Chunk(torch.zeros(1, 1), torch.zeros(1, 1, 1)), []

    def make(value: float) -> Any:
        def made() -> Tensor:
            calls.append(value)
            return torch.tensor(value)

        return made

    assert [float(chunk.once("a", make(v))) for v in (1.0, 2.0)] == [1.0, 1.0]
    assert float(chunk.once(("a", "b"), make(3.0))) == 3.0
    assert calls == [1.0, 3.0]


def test_a_model_that_never_settles_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Restless(MeanNoise):
        def settled(self, state: State) -> bool:
            return False

    monkeypatch.setattr(sums_module, "MAX_ROUNDS", 3)
    noise = Restless()
    with pytest.warns(ConvergenceWarning, match="refit: Restless is not settled after 3 rounds"):
        refit(noise, [Chunk(*data(noise))], start(noise))


def test_a_group_needs_processes() -> None:
    with pytest.raises(RuntimeError, match=r"Group: expected a torch.distributed group, got none. Call torch"):
        Group()


def test_gradients_are_not_kept() -> None:
    noise = GaussianUniformNoise()
    output, target = data(noise)
    found = refit(noise, [Chunk(output.requires_grad_(), target)], start(noise))
    assert not any(value.requires_grad for value in found.values())
