"""The distance of a label from its prediction, in the scale of each noise model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steadfit.noise import (
    L1,
    L2,
    Chunk,
    GaussianUniformNoise,
    HuberNoise,
    NoiseModel,
    PredictedNoise,
    TukeyNoise,
    refit,
)
from steadfit.penalties import Huber

N, K, D = 400, 3, 2
MIX = torch.tensor([[2.0, 0.0], [1.0, 0.5]], dtype=torch.float64)


def data() -> tuple[Tensor, Tensor]:
    """Residuals of the covariance MIX MIX^T, a tenth of them anywhere."""
    draw = torch.Generator().manual_seed(0)
    target = torch.randn(N, K, D, generator=draw, dtype=torch.float64) @ MIX.T
    target[: N // 10] = 80 * torch.rand(N // 10, K, D, generator=draw, dtype=torch.float64) - 40
    return torch.zeros(N, K * D, dtype=torch.float64), target


def fitted(noise: NoiseModel) -> dict[str, Tensor]:
    return refit(noise, [Chunk(*data())], noise.initial_state(K, D))


def test_without_a_scale_it_is_the_residual() -> None:
    output, target = data()
    torch.testing.assert_close(L2().distance(output, target, {}), target.norm(dim=-1))


@pytest.mark.parametrize("noise", [L1(), HuberNoise(), TukeyNoise()], ids=lambda noise: noise.name)
def test_penalties_measure_in_mads(noise: NoiseModel) -> None:
    output, target = data()
    state = fitted(noise)
    torch.testing.assert_close(noise.distance(output, target, state), (target / state["scale"]).norm(dim=-1))


@pytest.mark.parametrize("unit", ["sample", "point", "coordinate"])
def test_the_mixture_measures_by_the_covariance_of_right_labels(unit: str) -> None:
    """Mahalanobis by explicit inverses; right labels of D coordinates have a mean square of D."""
    noise = GaussianUniformNoise(unit=unit)
    state, (output, target) = fitted(noise), data()
    found = noise.distance(output, target, state)
    covariance = state["covariance"].double()
    for k in range(K):
        block = {
            "sample": lambda k=k: covariance[0, D * k : D * k + D, D * k : D * k + D],
            "point": lambda k=k: covariance[k],
            "coordinate": lambda k=k: torch.diag(covariance[D * k : D * k + D, 0, 0]),
        }[unit]()
        square = torch.einsum("ni,ij,nj->n", target[:, k], torch.linalg.inv(block), target[:, k])
        torch.testing.assert_close(found[:, k] ** 2, square, rtol=1e-9, atol=1e-9)
    right = slice(N // 10, None)
    assert float((found[right] ** 2).mean()) == pytest.approx(D, rel=0.2)
    assert float(found[: N // 10].median()) > 10


def test_predicted_deviations_are_the_unit() -> None:
    """With A = 2 I a label 3 px away is 6 deviations away."""
    noise = PredictedNoise(Huber(1.0), "identity", "mu")
    near = torch.zeros(1, noise.n_outputs(1, 2), dtype=torch.float64)
    target = torch.tensor([[[3.0, 4.0]]], dtype=torch.float64)
    doubled = noise.distance(near, target, {})
    torch.testing.assert_close(doubled, noise.distance(near, target / 2, {}) * 2)
    assert noise.trust(near, target, {}).item() == pytest.approx(float(noise.penalty.trust(doubled)[0, 0]))


@pytest.mark.parametrize(
    "noise",
    [L2(), L1(), TukeyNoise(), GaussianUniformNoise(), GaussianUniformNoise(unit="coordinate")],
    ids=lambda noise: f"{noise.name}-{getattr(noise, 'unit', '')}",
)
def test_what_is_missing_has_none_and_what_is_infinite_is_far(noise: NoiseModel) -> None:
    output, target = data()
    state = fitted(noise) if noise.needs_refit else {}
    target[0, 0, 1], target[1, 1], target[2, 2, 0] = math.nan, math.nan, math.inf
    output[3, :2] = math.nan  # the first label's prediction
    found = noise.distance(output, target, state)
    assert found.isnan().nonzero().tolist() == [[0, 0], [1, 1], [3, 0]]
    assert float(found[2, 2]) > 1e6
    columns = noise.judge(output, target, state)
    assert list(columns) == ["distance", "trust", "suspect"]
    assert all(tuple(values.shape) == (N, K) for values in columns.values())
    assert torch.equal(columns["suspect"], noise.is_outlier(output, target, state))
