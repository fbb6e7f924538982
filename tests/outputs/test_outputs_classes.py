"""Classes as an output: the paper's losses and values, a step of training, probabilities, the start."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from output_models import Identity, Weighed
from torch import nn

from steadfit.losses import CrossEntropyLoss
from steadfit.losses.labels import IGNORED
from steadfit.outputs import CLASS_LOSSES, Classes
from steadfit.outputs.classes import class_numbers


def test_the_papers_values() -> None:
    """Tables 1, 3 and A-1 on CIFAR-100: gamma .5, 2 after the warm-up; OHEM keeps .9; margin .05; q* = .5."""
    losses = {name: Classes(loss=name).criterion(30) for name in CLASS_LOSSES}
    assert set(losses) == {
        "ce", "bce", "ohem", "focal", "anchor", "anchor-target", "anchor-both", "anchor-static", "anchor-warmup",
    }  # fmt: skip
    assert {name: losses[name].anchor for name in ("anchor", "anchor-target", "anchor-both", "anchor-static")} == {
        "anchor": "background", "anchor-target": "target", "anchor-both": "both", "anchor-static": 0.5,
    }  # fmt: skip
    assert {losses[name].gamma for name in ("focal", "anchor", "anchor-target", "anchor-both", "anchor-static")} == {
        0.5
    }
    assert (losses["bce"].gamma, losses["ohem"].keep, losses["anchor"].margin) == (0.0, 0.9, 0.05)
    warmed = losses["anchor-warmup"]
    assert isinstance(warmed.first, CrossEntropyLoss)
    assert (warmed.then.gamma, warmed.epochs) == (2.0, 4)  # an eighth of 30 epochs
    assert {name for name, loss in CLASS_LOSSES.items() if loss.output == "softmax"} == {"ce", "ohem"}
    assert {loss.output for loss in CLASS_LOSSES.values()} == {"softmax", "sigmoid"}


def test_the_options_reach_the_losses() -> None:
    assert Classes(loss="focal", gamma=2).criterion(1).gamma == 2
    assert Classes(loss="anchor", margin=0.2).criterion(1).margin == 0.2
    assert Classes(loss="ohem", keep=0.8).criterion(1).keep == 0.8
    assert Classes(loss="anchor-static", static=0.1).criterion(1).anchor == 0.1


def test_the_warm_up() -> None:
    """5 epochs where the loss wants one, an eighth of a short run, never the whole of it; any loss can have one."""
    assert [Classes(loss="anchor-warmup").criterion(epochs).epochs for epochs in (200, 40, 24, 3)] == [5, 5, 3, 1]
    assert isinstance(Classes(loss="anchor").criterion(24), type(Classes(loss="anchor-warmup").criterion(24).then))
    assert Classes(loss="focal", warmup=3).criterion(24).epochs == 3
    assert isinstance(Classes(loss="focal", warmup=3).criterion(24).first, CrossEntropyLoss)
    bare = Classes(loss="anchor-warmup", warmup=0).criterion(24)
    assert (type(bare), bare.gamma) == (type(Classes(loss="anchor").criterion(24)), 2.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "hinge"}, "expected loss to be one of 'ce', .* got 'hinge'"),
        ({"gamma": -1}, r"expected gamma in \[0, 5\], got -1"),
        ({"margin": 1.5}, r"expected margin in \[0, 1\], got 1.5"),
        ({"keep": 0}, r"expected keep in \(0, 1\], got 0"),
        ({"keep": 1.1}, r"expected keep in \(0, 1\], got 1.1"),
        ({"static": 2}, r"expected static in \[0, 1\], got 2"),
        ({"warmup": -1}, "expected warmup >= 0, got -1"),
    ],
)
def test_options_out_of_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"Classes: {message}"):
        Classes(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_a_step_of_classes(loss: str) -> None:
    torch.manual_seed(0)
    output = Classes(loss=loss, n_classes=4, warmup=0)
    logits, goal = torch.randn(6, 4, requires_grad=True), torch.tensor([0.0, 1, 2, 3, torch.nan, 1]).view(6, 1, 1)
    criterion = output.criterion(10)
    step = output.step(Identity(output), criterion, logits, goal, Weighed())
    label = torch.tensor([0, 1, 2, 3, IGNORED, 1])
    assert torch.equal(class_numbers(goal), label)
    assert step.loss is not None
    torch.testing.assert_close(step.loss, criterion(logits, label))
    assert torch.equal(step.numbers, logits)
    assert not step.numbers.requires_grad
    weight = torch.tensor([[1.0], [1], [1], [0], [1], [0]])
    weighed = output.step(Identity(output), criterion, logits, goal, Weighed(weight)).loss
    torch.testing.assert_close(weighed, criterion(logits, label, weight[:, 0]))


def test_classes_are_read_as_the_most_probable_one() -> None:
    output = Classes(n_classes=3)
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])
    assert output.prediction(logits, 1).tolist() == [[[1.0]], [[0.0]]]
    torch.testing.assert_close(output.log_probability(logits).exp().sum(1), torch.ones(2))
    sigmoid = dataclasses.replace(output, loss="anchor").log_probability(logits)
    torch.testing.assert_close(sigmoid.exp(), logits.sigmoid())


def test_classes_start_rare_with_sigmoids() -> None:
    network = nn.Linear(2, 5)
    Classes(loss="anchor", n_classes=5).start(network, 1, 1)
    torch.testing.assert_close(network.bias.sigmoid(), torch.full((5,), 1 / 5))
    before = nn.Linear(2, 5)
    bias = before.bias.clone()
    Classes(loss="ce", n_classes=5).start(before, 1, 1)
    assert torch.equal(before.bias, bias)
    lonely = nn.Linear(4, 1)
    Classes(loss="anchor", n_classes=1).start(lonely, 1, 1)
    assert lonely.bias.tolist() == [0.0]


@pytest.mark.parametrize("shape", [(3, 5), (3, 2), (3, 4, 1), (2, 4)])
def test_logits_of_another_number_of_classes(shape: tuple[int, ...]) -> None:
    output, value, goal = Classes(n_classes=4), torch.zeros(3, 2), torch.zeros(3, 1, 1)
    model, criterion = Identity(output, Constant(torch.zeros(shape))), output.criterion(1)
    with pytest.raises(ValueError, match=r"Classes: expected 4 logits for each of 3 samples, one a class, got \("):
        output.step(model, criterion, value, goal, Weighed())
    with pytest.raises(ValueError, match=r"Classes: expected 4 logits for each of 3 samples, one a class, got \("):
        output.held_out(model, criterion, value, goal)


class Constant(nn.Module):
    """Puts out the same for every input."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_probabilities() -> None:
    logits = torch.tensor([[1000.0, -1000.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    soft, own = (Classes(loss=loss, n_classes=3).probability(logits) for loss in ("ce", "anchor"))
    assert soft.tolist() == [[1, 0, 0], pytest.approx([1 / 3] * 3)]
    assert own.tolist() == [[1, 0, pytest.approx(1 / (1 + math.exp(-3)))], [0.5] * 3]
    assert Classes(loss="anchor", n_classes=3).log_probability(logits)[0, 1] == -1000


def test_a_label_is_believed_as_much_as_it_is_probable() -> None:
    logits, target = torch.tensor([[1.0, 3.0], [2.0, 0.0], [0.0, 0.0]]), torch.tensor([1.0, 1.0, torch.nan])
    for loss, wanted in (
        ("ce", [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))]),
        ("bce", [1 / (1 + math.exp(-3)), 0.5]),
    ):
        found = Classes(loss=loss, n_classes=2).believed(logits, target.view(3, 1, 1))
        assert found.shape == (3, 1)
        assert found[:2, 0].tolist() == pytest.approx(wanted)
        assert found[2].isnan().all()  # nothing is believed of a label that is missing
