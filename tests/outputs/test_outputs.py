"""Outputs: how many numbers, which first, how they are read, how a batch is trained on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from output_models import Identity, Weighed
from torch import Tensor, nn

from steadfit.outputs import (
    HEATMAP_LOSSES,
    Classes,
    Distributions,
    HeatmapReader,
    Heatmaps,
    Output,
    Positions,
    output_layer,
    start_output,
)
from steadfit.penalties import Huber, Squared, Tukey


@pytest.mark.parametrize(
    ("output", "count"),
    [
        (Positions(), 10),
        (Distributions(), 25),
        (Distributions(covariance="diagonal"), 20),
        (Distributions(covariance="identity"), 10),
        (Heatmaps(), 10),
        (Classes(n_classes=7), 7),
    ],
)
def test_how_many_numbers(output: Output, count: int) -> None:
    assert output.n_outputs(points=5, dims=2) == count


def test_positions_are_the_numbers() -> None:
    numbers = torch.arange(12.0).view(2, 6)
    assert torch.equal(Positions().prediction(numbers, 2), numbers.view(2, 3, 2))
    assert torch.equal(Positions().prediction(numbers, 1), numbers.view(2, 6, 1))
    assert Positions().distribution(numbers, 2) is None
    assert Positions().initial_output(3, 2) is None
    goal = torch.zeros(2, 3, 2)
    step = Positions().step(Identity(Positions()), None, numbers, goal, Weighed())
    assert float(step.loss or 0) == float(numbers.sum())
    assert Positions().held_out(Identity(Positions()), None, numbers, goal).loss is None


def test_distributions_start_as_the_standard_member_of_their_family() -> None:
    output = Distributions(Squared())
    found = output.distribution(output.initial_output(3, 2).expand(4, -1), 2)
    torch.testing.assert_close(found.mean, torch.zeros(4, 3, 2))
    torch.testing.assert_close(found.covariance_matrix, torch.eye(2).expand(4, 3, 2, 2))
    assert output.predicts_covariance
    assert torch.equal(output.prediction(output.initial_output(3, 2)[None], 2), torch.zeros(1, 3, 2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"penalty": Tukey()}, "Tukey"),
        ({"covariance": "round"}, "expected covariance to be one of 'identity', 'diagonal', 'full', got 'round'"),
        ({"location": "pi"}, "expected location to be one of .*, got 'pi'"),
        ({"floor": 0.0}, "expected floor > 0 and finite, got 0.0"),
    ],
)
def test_distributions_that_are_none(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distributions(**given)
    with pytest.raises(TypeError, match="expected penalty to be a Penalty, got str"):
        Distributions("huber")  # type: ignore[arg-type]
    assert Distributions(Huber(2.0)).penalty == Huber(2.0)


def reader(logits: Tensor, score: str = "sigmoid") -> HeatmapReader:
    found = HeatmapReader(nn.Identity(), score=score)
    found.network.stride = 4  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("loss", HEATMAP_LOSSES)
def test_a_step_of_heatmaps(loss: str) -> None:
    """Numbers are the decoded points, the loss is the objective of the goal's heatmaps, trust multiplies it."""
    torch.manual_seed(0)
    output, logits = Heatmaps(loss=loss), torch.randn(3, 1, 2, 8, 8, requires_grad=True)
    network = reader(logits, output.choice.score)
    goal = torch.rand(3, 2, 2) * 31
    criterion, model = output.criterion(10), Identity(output, network)
    full = output.step(model, criterion, logits, goal, Weighed())
    assert torch.equal(full.numbers, network.points(network.scores(logits)).flatten(1).detach())
    assert not full.numbers.requires_grad
    assert full.loss is not None
    assert torch.equal(full.loss, criterion(network, logits, goal))
    held_out = output.held_out(model, criterion, logits, goal)
    assert held_out.loss is not None
    assert torch.equal(held_out.loss, full.loss)
    none = output.step(model, criterion, logits, goal, Weighed(torch.zeros(3, 2)))
    assert float(none.loss or 0) == 0


def test_heatmaps_need_a_reader() -> None:
    with pytest.raises(TypeError, match="expected the network to be a HeatmapReader, got Linear"):
        Heatmaps().raw(nn.Linear(2, 2), torch.zeros(1, 2))


def test_the_output_layer_is_the_last_one_that_fits() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4))
    assert output_layer(network, 4) is network[2]
    assert output_layer(network, 5) is None
    start_output(network, torch.arange(4.0))
    assert network(torch.randn(2, 3)).tolist() == [[0, 1, 2, 3]] * 2
    start_output(network, None)  # nothing to do
    start_output(network, torch.zeros(7))  # no layer of that size: left alone
