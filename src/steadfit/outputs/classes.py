"""Classes: numbers that are the logits of a sample's class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadfit._options import option
from steadfit.losses import AnchorLoss, CrossEntropyLoss, FocalLoss, OHEMLoss, WarmUpLoss
from steadfit.losses.labels import IGNORED
from steadfit.outputs.base import Model, OwnLoss, Step, Trusted
from steadfit.outputs.layers import output_layer


@dataclass(frozen=True)
class ClassLossChoice:
    """A loss for classes by its name.

    Args:
        title: the loss in words.
        output: what the network's numbers are logits of: ``"softmax"``, probabilities that sum to 1, or ``"sigmoid"``,
            one separate probability per class.
        build: makes the loss from the options of :class:`Classes`.
        takes: the names of the options that it uses.
        gamma: the exponent, unless the user gives one.
        warmed: whether cross entropy comes first, unless the user says otherwise.
    """

    title: str
    output: str
    build: Callable[[Classes], nn.Module]
    takes: tuple[str, ...] = ()
    gamma: float = 0.5
    warmed: bool = False


CLASS_LOSSES: dict[str, ClassLossChoice] = {
    "ce": ClassLossChoice("softmax cross entropy", "softmax", lambda _: CrossEntropyLoss()),
    "bce": ClassLossChoice("binary cross entropy", "sigmoid", lambda _: AnchorLoss(0.0), gamma=0.0),
    "ohem": ClassLossChoice("cross entropy of the hardest samples", "softmax", lambda c: OHEMLoss(c.keep), ("keep",)),
    "focal": ClassLossChoice("focal loss", "sigmoid", lambda c: FocalLoss(c.exponent), ("gamma",)),
    "anchor": ClassLossChoice(
        "anchor loss", "sigmoid", lambda c: AnchorLoss(c.exponent, c.margin), ("gamma", "margin")
    ),
    "anchor-target": ClassLossChoice(
        "anchor loss, target modulated",
        "sigmoid",
        lambda c: AnchorLoss(c.exponent, c.margin, "target"),
        ("gamma", "margin"),
    ),
    "anchor-both": ClassLossChoice(
        "anchor loss, both modulated",
        "sigmoid",
        lambda c: AnchorLoss(c.exponent, c.margin, "both"),
        ("gamma", "margin"),
    ),
    "anchor-static": ClassLossChoice(
        "anchor loss, static anchor",
        "sigmoid",
        lambda c: AnchorLoss(c.exponent, 0.0, c.static),
        ("gamma", "static"),
    ),
    "anchor-warmup": ClassLossChoice(
        "anchor loss after cross entropy",
        "sigmoid",
        lambda c: AnchorLoss(c.exponent, c.margin),
        ("gamma", "margin"),
        gamma=2.0,
        warmed=True,
    ),
}
"""Ryou et al., ICCV 2019, Tables 1, 3 and A-1: gamma .5, and 2 after the warm-up; designs (ii), (i) and (iii)."""


@dataclass(frozen=True)
class Classes(OwnLoss):
    """A logit for every class of a sample, trained by a loss on them; the label is the class's number.

    References:
        Ryou et al., ICCV 2019, section 5.1.

    >>> Classes(n_classes=10).n_outputs(points=1, dims=1)
    10
    """

    name: ClassVar[str] = "classes"
    for_classes: ClassVar[bool] = True
    mirrors: ClassVar[bool] = False  # crops mirror the images, which have no points
    usual: ClassVar[Mapping[str, Any]] = {
        **{"noise": "l2", "protocol": "one-cycle", "batch_size": 128, "channels": 3},
        **{"network": "resnet20", "head": "average"},
    }

    loss: str = option("ce", "the loss on the logits", choices=tuple(CLASS_LOSSES))
    gamma: float | None = option(
        None, "exponent of focal and anchor losses; default 0.5, after the warm-up 2", low=0.0, high=5.0
    )
    margin: float = option(
        0.05,
        "anchor losses: a class that scores less than this below the right one counts as confused with it",
        low=0.0,
        high=1.0,
    )
    keep: float = option(0.9, "ohem: the share of a batch that counts", above=0.0, high=1.0)
    static: float = option(0.5, "anchor-static: the anchor q*", low=0.0, high=1.0)
    warmup: int | None = option(
        None,
        "epochs of cross entropy before the loss; default 0, for anchor-warmup 5, or an eighth of a short run",
        low=0,
        command_line=False,
    )
    n_classes: int = 0

    @property
    def choice(self) -> ClassLossChoice:
        """The facts about the loss."""
        return CLASS_LOSSES[self.loss]

    @property
    def exponent(self) -> float:
        """gamma, or the loss's default."""
        return self.choice.gamma if self.gamma is None else self.gamma

    def of(self, classes: Sequence[str]) -> Classes:
        return dataclasses.replace(self, n_classes=len(classes))

    def takes(self, name: str) -> bool:
        return name not in ("gamma", "margin", "keep", "static") or name in self.choice.takes

    def n_outputs(self, points: int, dims: int) -> int:
        return self.n_classes

    def prediction(self, numbers: Tensor, dims: int) -> Tensor:
        """The number of the most probable class, (N, 1, 1)."""
        return numbers.argmax(dim=1).to(numbers.dtype)[:, None, None]

    def log_probability(self, numbers: Tensor) -> Tensor:
        """The log-probability of every class, (N, C): that of the softmax, or of each class's sigmoid."""
        return F.log_softmax(numbers, -1) if self.choice.output == "softmax" else F.logsigmoid(numbers)

    def probability(self, numbers: Tensor) -> Tensor:
        """The probability of every class, (N, C) in [0, 1]; they sum to 1 for a softmax only."""
        return self.log_probability(numbers).exp()

    def believed(self, numbers: Tensor, target: Tensor) -> Tensor:
        """The probability of each label, (N, 1); NaN where it is missing."""
        label = class_numbers(target)
        known = label != IGNORED
        found = self.probability(numbers.double()).gather(1, label.clamp(min=0)[:, None])
        return found.masked_fill(~known[:, None], torch.nan)

    def start(self, network: nn.Module, points: int, dims: int) -> None:
        """With sigmoids, let every class begin at a probability of 1/C rather than 1/2: b = -log(C - 1).

        With one sigmoid per class and their losses summed, the C - 1 absent classes pull with the same force at a start
        of zero, and the first steps are C - 1 times too long.

        References:
            Lin et al., ICCV 2017, section 4.1 (the prior of focal loss).
        """
        layer = output_layer(network, self.n_classes)
        if self.choice.output == "sigmoid" and layer is not None and layer.bias is not None:
            nn.init.constant_(layer.bias, -math.log(max(self.n_classes - 1, 1)))

    def criterion(self, epochs: int) -> nn.Module:
        """The loss, preceded by cross entropy where a warm-up is wanted."""
        loss, warmup = self.choice.build(self), self.warmup_epochs(epochs)
        return WarmUpLoss(CrossEntropyLoss(), loss, epochs=warmup) if warmup else loss

    def warmup_epochs(self, epochs: int) -> int:
        """The number of epochs of cross entropy at the start of a training of ``epochs`` epochs.

        5, as in the paper, where the loss needs a warm-up; an eighth of a run shorter than 40 epochs, at least one.

        >>> [Classes(loss="anchor-warmup").warmup_epochs(epochs) for epochs in (200, 40, 24, 3)]
        [5, 5, 3, 1]
        """
        if self.warmup is not None:
            return self.warmup
        return min(5, max(1, round(epochs / 8))) if self.choice.warmed else 0

    def step(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor, labels: Trusted) -> Step:
        assert criterion is not None  # made by this class
        logits, weight = self._logits(model, value), labels.weight()
        loss = criterion(logits, class_numbers(goal), None if weight is None else weight[:, 0])
        return Step(logits.detach(), loss)

    def _logits(self, model: Model, value: Tensor) -> Tensor:
        """(B, C). A network with further numbers would be trained without a word, and predict classes that are none."""
        logits = model(value)
        if logits.shape != (len(value), self.n_classes):
            raise ValueError(
                f"Classes: expected {self.n_classes} logits for each of {len(value)} samples, one a class, got "
                f"{tuple(logits.shape)}."
            )
        return logits

    def held_out(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor) -> Step:
        assert criterion is not None
        logits = self._logits(model, value)
        return Step(logits, criterion(logits, class_numbers(goal)))


def class_numbers(target: Tensor) -> Tensor:
    """Class numbers (B,) of targets (B, 1, 1), ``IGNORED`` where a label is missing."""
    label = target[:, 0, 0]
    return torch.where(label.isnan(), float(IGNORED), label).long()
