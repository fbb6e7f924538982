"""The Gaussian-uniform noise model: what each unit judges together, missing labels, weights, collapse."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from steadfit.noise import Chunk, GaussianUniformNoise, State, refit
from steadfit.noise.gum import from_groups, to_groups

NAN = math.nan
UNITS = ("sample", "point", "coordinate")


def clean(n: int = 400, points: int = 3, seed: int = 0) -> torch.Tensor:
    """Right labels: residuals of deviation 1 about an output of zeros."""
    return torch.randn(n, points, 2, generator=torch.Generator().manual_seed(seed))


def zeros(target: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(target), target[0].numel(), dtype=target.dtype)


def refitted(noise: GaussianUniformNoise, target: torch.Tensor) -> State:
    return refit(noise, [Chunk(zeros(target), target)], noise.initial_state(*target.shape[1:]))


def spoiled() -> torch.Tensor:
    """Wrong: all of samples 0 to 79, point 1 of samples 80 to 159, the y of point 2 of samples 160 to 239."""
    target = clean(n=800)
    generator = torch.Generator().manual_seed(1)
    target[:80] = 100 * torch.rand(80, 3, 2, generator=generator) - 50
    target[80:160, 1] = 100 * torch.rand(80, 2, generator=generator) - 50
    target[160:240, 2, 1] = 100 * torch.rand(80, generator=generator) - 50
    return target


def test_groups() -> None:
    residual = torch.arange(24.0).view(2, 3, 4)
    shapes = {unit: tuple(to_groups(residual, unit).shape) for unit in UNITS}
    assert shapes == {"sample": (2, 1, 12), "point": (2, 3, 4), "coordinate": (2, 12, 1)}
    assert to_groups(residual, "sample")[1, 0].tolist() == residual[1].flatten().tolist()
    assert from_groups(torch.tensor([[1.0], [2.0]]), "sample", 3, 4)[1].unique().tolist() == [2.0]
    points = from_groups(torch.tensor([[1.0, 2.0, 3.0]]), "point", 3, 4)
    assert points.shape == (1, 3, 4)
    assert points[0, 1].unique().tolist() == [2.0]
    coordinates = from_groups(torch.arange(12.0)[None], "coordinate", 3, 4)
    assert coordinates[0].tolist() == torch.arange(12.0).view(3, 4).tolist()


@pytest.mark.parametrize("unit", UNITS)
def test_which_labels_are_flagged(unit: str) -> None:
    noise, target = GaussianUniformNoise(unit=unit), spoiled()
    state = refitted(noise, target)
    outlier = noise.is_outlier(zeros(target), target, state)
    trust = noise.trust(zeros(target), target, state)
    assert ((trust >= 0) & (trust <= 1)).all()
    assert torch.equal(outlier, trust < 0.5)
    far = (target.abs() > 8).any(dim=-1)
    wrong = torch.zeros(800, 3, dtype=torch.bool)
    wrong[:80], wrong[80:160, 1], wrong[160:240, 2] = True, True, True
    if unit == "sample":
        wrong, far = wrong.any(1, keepdim=True).expand(-1, 3), far.any(1, keepdim=True).expand(-1, 3)
        assert torch.equal(outlier, outlier[:, :1].expand(-1, 3))  # a sample stands or falls as a whole
    assert outlier[far].all()
    assert float(outlier[~wrong].double().mean()) < 0.01
    rate = noise.error_rate(zeros(target), target, state)
    expected = {"sample": 0.3, "point": (0.1 + 0.2 + 0.2) / 3, "coordinate": (2 * 0.1 + 2 * 0.2 + 0.1 + 0.2) / 6}[unit]
    assert rate == pytest.approx(expected, abs=0.02)


def test_only_the_coordinate_unit_splits_a_point() -> None:
    target = spoiled()
    row = int((target[160:240, 2, 1].abs() > 20).nonzero()[0]) + 160
    for unit, x_weight in (("sample", 0.0), ("point", 0.0), ("coordinate", 1.0)):
        noise = GaussianUniformNoise(unit=unit)
        weight = noise.weight(zeros(target), target, refitted(noise, target))
        assert weight.shape == target.shape
        assert weight[row, 2, 1] < 1e-6
        assert abs(float(weight[row, 2, 0]) - x_weight) < 0.05
        assert abs(float(weight[row, 0, 0]) - (unit != "sample")) < 0.05


@pytest.mark.parametrize("unit", UNITS)
def test_missing_labels(unit: str) -> None:
    target = spoiled()
    target[300, 0] = NAN
    target[301] = NAN
    target[302, 1, 0] = NAN
    noise = GaussianUniformNoise(unit=unit)
    state = refitted(noise, target)
    assert all(value.isfinite().all() for value in state.values())
    trust, outlier = (f(zeros(target), target, state) for f in (noise.trust, noise.is_outlier))
    assert trust[300].isnan().tolist() == [True, False, False]
    assert trust[301].isnan().all()
    assert not trust[302].isnan().any()
    assert not outlier[300, 0]
    assert not outlier[301].any()
    weight = noise.weight(zeros(target), target, state)
    assert not weight.isnan().any()
    assert ((weight >= 0) & (weight <= 1)).all()
    output = zeros(target).requires_grad_()
    loss = noise.loss(output, target, state, weight)
    assert (loss[301] == 0).all()
    (gradient,) = torch.autograd.grad(loss.sum(), output)
    gradient = gradient.view_as(target)
    assert gradient.isfinite().all()
    assert (gradient[target.isnan()] == 0).all()


def test_a_sample_is_judged_by_what_is_annotated() -> None:
    target = spoiled()
    target[5, :2] = NAN
    target[5, 2] = torch.tensor([40.0, -40.0])
    target[400, :2] = NAN
    noise = GaussianUniformNoise(unit="sample")
    trust = noise.trust(zeros(target), target, refitted(noise, target))
    assert trust[5, 2] < 0.01
    assert trust[400, 2] > 0.9


def test_inner_losses() -> None:
    target = torch.tensor([[[3.0, -4.0], [NAN, 2.0]]], dtype=torch.float64)
    weight = torch.tensor([[[0.5, 0.25], [1.0, 0.1]]], dtype=torch.float64)
    absolute, squared = GaussianUniformNoise(), GaussianUniformNoise(inner="squared")
    state = absolute.initial_state(2, 2)
    torch.testing.assert_close(
        absolute.loss(zeros(target), target, state, weight), torch.tensor([[2.5, 0.2]], dtype=torch.float64)
    )
    torch.testing.assert_close(
        squared.loss(zeros(target), target, state, weight), torch.tensor([[4.25, 0.2]], dtype=torch.float64)
    )
    torch.testing.assert_close(
        squared.warmup_loss(zeros(target), target, state), torch.tensor([[7.0, 2.0]], dtype=torch.float64)
    )


def test_the_posterior_by_hand() -> None:
    """pi N(r; 0, inflation Sigma) / (pi N + (1 - pi)/box), D = 1."""
    noise = GaussianUniformNoise(unit="coordinate", inflation=2.0)
    state = {
        "inlier_share": torch.tensor([0.8]),
        "covariance": torch.tensor([[[0.5]]]),
        "box": torch.tensor([[20.0]]),
        "unit": torch.tensor([[20.0]]),
        "informative": torch.tensor([[True]]),
    }
    target = torch.tensor([[[0.0]], [[1.0]], [[3.0]]], dtype=torch.float64)
    density = [0.8 * math.exp(-(r**2) / 2) / math.sqrt(2 * math.pi) for r in (0.0, 1.0, 3.0)]
    wanted = torch.tensor([[p / (p + 0.2 / 20)] for p in density], dtype=torch.float64)
    torch.testing.assert_close(noise.trust(zeros(target), target, state), wanted, rtol=1e-6, atol=0)
    plain = GaussianUniformNoise(unit="coordinate", inflation=1.0).trust(zeros(target), target, state)
    assert plain[2] < wanted[2]  # inflation keeps right labels of hard images
    assert noise.error_rate(zeros(target), target, state) == pytest.approx(0.2)


def test_inflation_does_not_touch_the_estimate() -> None:
    target = spoiled()
    states = [refitted(GaussianUniformNoise(inflation=factor), target) for factor in (1.0, 3.0)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("floor", [0.01, 0.05, 0.1, 0.3])
def test_collapse(floor: float) -> None:
    noise = GaussianUniformNoise(unit="point", min_inlier_share=floor)
    state = noise.initial_state(3, 2)
    assert not noise.collapsed(state)
    state["inlier_share"] = torch.tensor([floor, 0.9, floor])
    assert not noise.collapsed(state)
    target = torch.full((2, 3, 2), 900.0)
    weight = noise.weight(zeros(target), target, state)
    assert (weight[:, [0, 2]] == 1).all()  # no inliers found there: these labels train as they are
    assert (weight[:, 1] < 1e-3).all()
    state["inlier_share"] = torch.full((3,), floor)
    assert noise.collapsed(state)


@pytest.mark.parametrize("floor", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("unit", UNITS)
def test_em_that_gives_up_lands_at_the_floor(unit: str, floor: float) -> None:
    """A volume so small that the uniform explains every residual better: everything is an outlier."""
    noise = GaussianUniformNoise(unit=unit, volume=1e-12, min_inlier_share=floor)
    target = clean(points=1)
    state = refitted(noise, target)
    assert noise.collapsed(state)
    assert (noise.weight(zeros(target), target, state) == 1).all()
    assert noise.is_outlier(zeros(target), target, state).all()


def _quiet() -> warnings.catch_warnings[None]:
    """EM on next to nothing may not converge."""
    return warnings.catch_warnings(action="ignore")


def test_refit_changes_nothing_in_place() -> None:
    noise, target = GaussianUniformNoise(), spoiled()
    state = noise.initial_state(3, 2)
    before = {name: value.clone() for name, value in state.items()}
    copy = target.clone()
    found = refit(noise, [Chunk(zeros(target), target)], state)
    assert all(torch.equal(state[name], before[name]) for name in before)
    assert torch.equal(target, copy)
    assert {name: (value.dtype, value.shape) for name, value in found.items()} == {
        name: (value.dtype, value.shape) for name, value in before.items()
    }


def test_degenerate_residuals() -> None:
    for target in (torch.zeros(20, 2, 2), torch.full((20, 2, 2), NAN), clean(n=1, points=2), clean(n=2, points=2)):
        noise = GaussianUniformNoise(unit="sample")
        with _quiet():
            state = refitted(noise, target)
        weight = noise.weight(zeros(target), target, state)
        assert weight.isfinite().all()
        trust = noise.trust(zeros(target), target, state)
        assert torch.equal(trust.isnan(), target.isnan().all(-1))


def test_the_dtype_of_the_labels_is_kept() -> None:
    target = spoiled().double()
    noise = GaussianUniformNoise()
    state = refitted(noise, target)
    assert noise.trust(zeros(target), target, state).dtype == torch.float64
    assert noise.weight(zeros(target), target, state).dtype == torch.float64
    assert state["covariance"].dtype == torch.float32  # as the state was


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "image"}, "expected unit to be one of 'sample', 'point', 'coordinate', got 'image'"),
        ({"inner": "l1"}, "expected inner to be one of 'absolute', 'squared', got 'l1'"),
        ({"inflation": 0.0}, "expected inflation > 0 and finite, got 0.0"),
        ({"warmup": "wide"}, "expected warmup to be one of 'l1', 'l2', got 'wide'"),
        ({"covariance": "round"}, "expected covariance to be one of"),
        ({"volume": "box"}, "expected volume"),
        ({"min_inlier_share": 2.0}, "min_inlier_share"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianUniformNoise(**options)  # type: ignore[arg-type]
