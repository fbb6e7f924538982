"""A loss for the first epochs, and another one for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from steadfit.losses.anchor import AnchorLoss
from steadfit.losses.softmax import CrossEntropyLoss


class WarmUpLoss(nn.Module):
    """``first`` for ``epochs`` epochs, then ``then``: anchor loss started by softmax cross entropy.

    Early scores say nothing about which classes are confused; with a large gamma the loss needs this start.

    :meth:`set_epoch` must be called at the start of every epoch, counted from 0; the epoch is in the state_dict, so a
    resumed training goes on where it was.

    Args:
        first: a loss, called as ``loss(logits, target, weight)``; None: softmax cross entropy.
        then: the loss after that; None: :class:`steadfit.losses.AnchorLoss`.
        epochs: >= 0, for how many epochs ``first`` is used.

    Call:
        logits: what both losses take.
        target: what both losses take.
        weight: what both losses take.

    Returns:
        What the loss in use returns.

    Raises:
        TypeError: losses that are not modules.
        ValueError: epochs or an epoch below 0.

    References:
        Ryou et al., ICCV 2019, section 4.1 (5 epochs).

    >>> loss = WarmUpLoss(epochs=1)
    >>> loss(torch.zeros(1, 2), torch.tensor([0]))  # softmax: log 2
    tensor(0.6931)
    >>> loss.set_epoch(1)
    >>> loss.active
    AnchorLoss(gamma=0.5, margin=0.05, anchor='background', clamp=False)
    """

    epoch: Tensor

    def __init__(self, first: nn.Module | None = None, then: nn.Module | None = None, epochs: int = 5) -> None:
        super().__init__()
        for name, loss in (("first", first), ("then", then)):
            if loss is not None and not isinstance(loss, nn.Module):
                raise TypeError(f"WarmUpLoss: expected {name} to be a module, got {type(loss).__name__}.")
        self.first = CrossEntropyLoss() if first is None else first
        self.then = AnchorLoss() if then is None else then
        self.epochs = _count("epochs", epochs)
        self.register_buffer("epoch", torch.tensor(0))
        self._now = 0  # the buffer's value, which need not be fetched from the device in every step
        self.register_load_state_dict_post_hook(_read_epoch)  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that begins, counted from 0."""
        self._now = _count("epoch", epoch)
        self.epoch.fill_(self._now)

    @property
    def active(self) -> nn.Module:
        """The loss in use."""
        return self.first if self._now < self.epochs else self.then

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        loss: Tensor = self.active(logits, target, weight)
        return loss

    def extra_repr(self) -> str:
        return f"epochs={self.epochs}"


def _read_epoch(loss: nn.Module, _keys: Any) -> None:
    assert isinstance(loss, WarmUpLoss)
    loss._now = int(loss.epoch)


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"WarmUpLoss: expected {name} to be an integer >= 0, got {value!r}.")
    return value
