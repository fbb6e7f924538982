"""Predicted distributions and their mixture as noise models: numbers by hand, EM against a loop, degenerate data."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steadfit.losses import EllipticalLoss
from steadfit.metrics import fit_temperature, pit, right_labels
from steadfit.noise import NOISE_MODELS, Chunk, LabelNoise, PredictedMixtureNoise, PredictedNoise, refit
from steadfit.outputs import Distributions
from steadfit.penalties import Absolute, Charbonnier, Huber, Penalty, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")

NAN = math.nan
ONE = torch.zeros(1, 1, 2), torch.eye(2).expand(1, 1, 2, 2), torch.ones(1, 1, 2)  # mean, root, target
FAMILY = pytest.mark.parametrize("penalty", [Squared(), Absolute(), Huber(1.0), Charbonnier()], ids=repr)


def standard(n: int, points: int = 1, dims: int = 2) -> Tensor:
    """Outputs that say mean 0 and A = I, (n, n_outputs)."""
    start = PredictedNoise().initial_output(points, dims)
    assert start is not None
    return start.to(torch.float64).expand(n, -1)


@FAMILY
@pytest.mark.parametrize("covariance", ["identity", "diagonal", "full"])
@pytest.mark.parametrize("location", ["nu", "mu"])
def test_the_loss_is_the_loss_module(penalty: Penalty, covariance: str, location: str) -> None:
    noise = PredictedNoise(penalty, covariance, location, floor=0.5)
    output, target = torch.randn(6, noise.n_outputs(3, 2)), torch.randn(6, 3, 2)
    target[2, 1, 0] = NAN
    found = noise.loss(output, target, {})
    module = EllipticalLoss(penalty, covariance, location, floor=0.5, reduction="none")
    torch.testing.assert_close(found, module(output.view(6, 3, -1), target))
    assert float(found[2, 1]) == 0
    weight = torch.rand(6, 3, 1).expand(6, 3, 2)
    torch.testing.assert_close(noise.loss(output, target, {}, weight), found * weight[..., 0])


@FAMILY
@pytest.mark.parametrize("covariance", ["identity", "diagonal", "full"])
@pytest.mark.parametrize("location", ["nu", "mu"])
def test_the_distribution_has_the_density_of_the_loss(penalty: Penalty, covariance: str, location: str) -> None:
    noise = PredictedNoise(penalty, covariance, location)
    output, target = torch.randn(5, noise.n_outputs(2, 3)), torch.randn(5, 2, 3)
    found = noise.distribution(output, 3)
    torch.testing.assert_close(-found.log_prob(target), noise.loss(output, target, {}))
    torch.testing.assert_close(noise.prediction(output, 3), found.mean)
    torch.testing.assert_close(found.mode, found.mean)


def test_trust_and_suspects_by_hand() -> None:
    """At A = I the residual in predicted units is the distance; Huber trusts 1/r beyond 1."""
    noise = PredictedNoise(Huber(1.0), level=0.9)
    target = torch.tensor([[[0.0, 0.5]], [[3.0, 4.0]], [[NAN, 1.0]], [[40.0, 0.0]]])
    trust = noise.trust(standard(4), target, {})
    torch.testing.assert_close(trust, torch.tensor([[1.0], [0.2], [NAN], [1 / 40]]), equal_nan=True)
    cut = float(Huber(1.0).radius(0.9, 2))
    assert 3 < cut < 5
    assert noise.is_outlier(standard(4), target, {}).flatten().tolist() == [False, True, False, True]


@pytest.mark.parametrize("name", [n for n in NOISE_MODELS if n.startswith("predicted")])
@pytest.mark.parametrize("covariance", ["identity", "diagonal", "full"])
def test_every_family_starts_as_its_standard_member(name: str, covariance: str) -> None:
    noise = NOISE_MODELS[name](covariance=covariance)
    assert name.startswith(noise.name)
    start = noise.initial_output(4, 2)
    assert start is not None
    assert start.shape == (noise.n_outputs(4, 2),)
    found = noise.distribution(start[None].double(), 2)
    assert found is not None
    torch.testing.assert_close(found.mean, torch.zeros(1, 4, 2))
    torch.testing.assert_close(found.root, torch.eye(2).expand(1, 4, 2, 2))


def mixture_data(wrong_share: float, n: int = 4000) -> tuple[Tensor, Tensor]:
    """Standard normal labels of two points, a share of them uniform over a box of 40, and which are."""
    target = torch.randn(n, 2, 2)
    wrong = torch.rand(n, 2) < wrong_share
    target[wrong] = 40 * (torch.rand(int(wrong.sum()), 2) - 0.5)
    return target, wrong


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
def test_the_error_rate_is_found(share: float) -> None:
    noise, (target, wrong) = PredictedMixtureNoise(Squared()), mixture_data(share)
    output = standard(len(target), points=2)
    state = refit(noise, [Chunk(output, target)], noise.initial_state(2, 2))
    assert noise.error_rate(output, target, state) == pytest.approx(float(wrong.double().mean()), abs=0.02)
    suspect = noise.is_outlier(output, target, state)
    far = wrong & (target.norm(dim=-1) > 6)
    assert float((suspect & far).double().sum()) >= 0.999 * float(far.double().sum())
    assert float((suspect & ~wrong).double().mean()) < 0.01  # the tail of the right ones, thinner than the box
    trust = noise.trust(output, target, state)
    torch.testing.assert_close(noise.weight(output, target, state)[..., 0], trust)


def test_the_share_is_the_maximum_of_the_likelihood() -> None:
    """A grid over pi of sum log(pi p + (1 - pi) u), the densities written out."""
    noise, (target, _) = PredictedMixtureNoise(Squared()), mixture_data(0.3, n=500)
    output = standard(500, points=2)
    state = refit(noise, [Chunk(output, target)], noise.initial_state(2, 2))
    grid = torch.linspace(0.01, 0.999, 4001)
    for k in range(2):
        p = torch.exp(-target[:, k].square().sum(-1) / 2) / (2 * math.pi)
        u = 1 / float((target[:, k].amax(0) - target[:, k].amin(0)).prod())
        likelihood = torch.log(grid * p[:, None] + (1 - grid) * u).sum(0)
        assert float(state["inlier_share"][k]) == pytest.approx(float(grid[likelihood.argmax()]), abs=5e-4)
        r = 0.7 * p / (0.7 * p + 0.3 * u)
        fixed = {"inlier_share": torch.full((2,), 0.7), "box": state["box"]}
        plain = PredictedMixtureNoise(Squared(), inflation=1.0)
        torch.testing.assert_close(plain.trust(output, target, fixed)[:, k], r)


def test_inflation_trusts_more() -> None:
    target, _ = mixture_data(0.3)
    output = standard(len(target), points=2)
    trust = []
    for inflation in (1.0, 1.5, 4.0):
        noise = PredictedMixtureNoise(Squared(), inflation=inflation)
        state = refit(noise, [Chunk(output, target)], noise.initial_state(2, 2))
        trust.append(noise.trust(output, target, state)[target.norm(dim=-1) > 3])
    assert bool((trust[0] <= trust[1] + 1e-12).all())
    assert bool((trust[1] <= trust[2] + 1e-12).all())


def test_degenerate_labels_have_an_answer() -> None:
    noise = PredictedMixtureNoise()
    target = torch.zeros(6, 3, 2)
    target[:, 0] = NAN  # nothing annotated
    target[:, 1] = 2.0  # all equal
    target[0, 2] = 1e6  # one gross outlier
    output = standard(6, points=3)
    state = refit(noise, [Chunk(output, target)], noise.initial_state(3, 2))
    assert all(value.isfinite().all() for value in state.values())
    trust = noise.trust(output, target, state)
    assert trust[:, 0].isnan().all()
    assert trust[:, 1:].isfinite().all()
    assert float(trust[0, 2]) < 1e-3 < 0.9 < float(trust[1, 2])
    assert noise.weight(output, target, state).isfinite().all()


def test_nothing_but_outliers_collapses() -> None:
    """Labels nowhere near their predictions: pi falls to its floor, and the model says so."""
    noise, target = PredictedMixtureNoise(Squared()), 30 + torch.rand(200, 1, 2)
    output = standard(200)
    state = refit(noise, [Chunk(output, target)], noise.initial_state(1, 2))
    assert float(state["inlier_share"]) == pytest.approx(noise.min_inlier_share)
    assert noise.collapsed(state)
    torch.testing.assert_close(noise.weight(output, target, state), torch.ones(200, 1, 2))


def test_training_ignores_what_the_mixture_distrusts() -> None:
    """One constant output learned for 30 % wrong labels: the mean and the covariance are those of the right ones."""
    target, _ = mixture_data(0.3, n=3000)
    target = 0.5 * target[:, :1] + torch.tensor([2.0, -1.0])
    noise = PredictedMixtureNoise(Squared(), inflation=1.0)
    tracker = LabelNoise(noise, n_samples=3000, points=1, dims=2).double()
    start = noise.initial_output(1, 2)
    assert start is not None
    numbers = start.double().clone().requires_grad_()
    optimizer = torch.optim.Adam([numbers], lr=0.05)
    for step in range(400):
        if step >= 100 and step % 25 == 0:
            tracker.refit(numbers.detach().expand(3000, -1), target)
        optimizer.zero_grad()
        tracker(numbers.expand(3000, -1), target, torch.arange(3000)).backward()
        optimizer.step()
    found = noise.distribution(numbers.detach()[None], 2)
    torch.testing.assert_close(found.mean[0, 0], torch.tensor([2.0, -1.0]), rtol=0, atol=0.05)
    covariance = found.covariance_matrix[0, 0]
    torch.testing.assert_close(covariance, 0.25 * torch.eye(2), rtol=0, atol=0.03)
    plain = PredictedNoise(Squared())
    assert plain.n_outputs(1, 2) == noise.n_outputs(1, 2) == 5


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: PredictedNoise(Tukey()), ValueError, "Tukey: expected a penalty whose exp"),
        (lambda: PredictedNoise("huber"), TypeError, "PredictedNoise: expected penalty to be a Penalty, got str"),
        (lambda: PredictedNoise(covariance="round"), ValueError, "covariance to be one of 'identity'"),
        (lambda: PredictedNoise(location="mean"), ValueError, "location to be one of 'nu', 'mu', got 'mean'"),
        (lambda: PredictedNoise(floor=-1.0), ValueError, "floor > 0 and finite, got -1.0"),
        (lambda: PredictedNoise(level=1.0), ValueError, "0 < level < 1, got 1.0"),
        (lambda: PredictedMixtureNoise(inflation=0.0), ValueError, "inflation > 0 and finite, got 0.0"),
        (lambda: PredictedMixtureNoise(min_inlier_share=0.0), ValueError, "0 < min_inlier_share < 1, got 0.0"),
    ],
)
def test_errors(make: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()  # type: ignore[operator]


class Undeclared(Squared):
    """Has a normaliser, but does not claim one."""

    proper = False


@pytest.mark.parametrize(
    "use",
    [
        PredictedNoise,
        PredictedMixtureNoise,
        Distributions,
        EllipticalLoss,
        lambda penalty: fit_temperature(*ONE, penalty),
        lambda penalty: right_labels(*ONE, penalty),
        lambda penalty: pit(*ONE, penalty),
    ],
    ids=["PredictedNoise", "PredictedMixtureNoise", "Distributions", "EllipticalLoss", "temperature", "right", "pit"],
)
def test_what_a_penalty_declares_decides_whether_it_has_a_density(use: Callable[[Penalty], object]) -> None:
    use(Squared())
    with pytest.raises(ValueError, match="^Undeclared: expected a penalty whose exp"):
        use(Undeclared())
