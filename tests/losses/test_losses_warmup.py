"""WarmUpLoss: when it changes, what is saved, its defaults, its errors."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from steadfit.losses import AnchorLoss, CrossEntropyLoss, FocalLoss, WarmUpLoss

pytestmark = pytest.mark.usefixtures("float64")


def test_it_changes_at_the_epoch() -> None:
    z, target, weight = torch.randn(4, 3), torch.tensor([0, 2, -100, 1]), torch.rand(4)
    loss = WarmUpLoss(epochs=2)
    softmax, anchored = CrossEntropyLoss()(z, target, weight), AnchorLoss()(z, target, weight)
    assert loss(z, target, weight) == softmax  # before any epoch is told
    for epoch, wanted in ((0, softmax), (1, softmax), (2, anchored), (7, anchored), (1, softmax)):
        loss.set_epoch(epoch)
        assert loss(z, target, weight) == wanted


def test_the_default_is_the_papers() -> None:
    loss = WarmUpLoss()
    for epoch in range(7):
        loss.set_epoch(epoch)
        assert isinstance(loss.active, CrossEntropyLoss if epoch < 5 else AnchorLoss)


def test_other_losses_and_no_epochs() -> None:
    first, then = AnchorLoss(0.0), FocalLoss()
    assert WarmUpLoss(first, then, epochs=1).active is first
    assert WarmUpLoss(first, then, epochs=0).active is then


def test_the_epoch_is_saved() -> None:
    loss = WarmUpLoss(epochs=3)
    loss.set_epoch(4)
    state = loss.state_dict()
    assert {k: int(v) for k, v in state.items()} == {"epoch": 4}
    resumed = WarmUpLoss(epochs=3)
    assert resumed.active is resumed.first
    resumed.load_state_dict(state)
    assert resumed.active is resumed.then
    inside = torch.nn.ModuleDict({"loss": WarmUpLoss(epochs=3)})
    inside.load_state_dict({"loss.epoch": torch.tensor(4)})
    assert isinstance(inside["loss"].active, AnchorLoss)
    assert copy.deepcopy(loss).active is not loss.then
    assert isinstance(copy.deepcopy(loss).active, AnchorLoss)


def test_it_compiles() -> None:
    z, target = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    loss = WarmUpLoss(epochs=1)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z, target), CrossEntropyLoss()(z, target))
    loss.set_epoch(1)
    torch.testing.assert_close(compiled(z, target), AnchorLoss()(z, target))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: WarmUpLoss(epochs=-1), ValueError, "epochs to be an integer >= 0, got -1"),
        (lambda: WarmUpLoss(epochs=2.5), ValueError, "epochs to be an integer >= 0, got 2.5"),  # type: ignore[arg-type]
        (lambda: WarmUpLoss().set_epoch(-1), ValueError, "epoch to be an integer >= 0, got -1"),
        (lambda: WarmUpLoss("ce"), TypeError, "first to be a module, got str"),  # type: ignore[arg-type]
        (lambda: WarmUpLoss(then=5), TypeError, "then to be a module, got int"),  # type: ignore[arg-type]
    ],
)
def test_errors(make: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
