"""The losses for classification by name, with the papers' values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from steadfit.losses import AnchorLoss, CrossEntropyLoss, FocalLoss, OHEMLoss, WarmUpLoss


@dataclass(frozen=True, kw_only=True)
class LossValues:
    """What a loss may be told; each takes what it knows."""

    gamma: float
    margin: float
    keep: float
    static: float


@dataclass(frozen=True)
class LossKind:
    """One loss as users name it.

    Args:
        title: in words.
        output: what the network's numbers are logits of: ``"softmax"``, probabilities that sum to 1, or ``"sigmoid"``,
            one probability a class, each on its own.
        build: the loss.
        gamma: its value where the user gives none.
        warmed: whether cross entropy comes first where the user says nothing.
    """

    title: str
    output: str
    build: Callable[[LossValues], nn.Module]
    gamma: float = 0.5
    warmed: bool = False


LOSSES: dict[str, LossKind] = {
    "ce": LossKind("softmax cross entropy", "softmax", lambda _: CrossEntropyLoss()),
    "bce": LossKind("binary cross entropy", "sigmoid", lambda _: AnchorLoss(0.0), gamma=0.0),
    "ohem": LossKind("cross entropy of the hardest samples", "softmax", lambda v: OHEMLoss(v.keep)),
    "focal": LossKind("focal loss", "sigmoid", lambda v: FocalLoss(v.gamma)),
    "anchor": LossKind("anchor loss", "sigmoid", lambda v: AnchorLoss(v.gamma, v.margin)),
    "anchor-target": LossKind(
        "anchor loss, target modulated", "sigmoid", lambda v: AnchorLoss(v.gamma, v.margin, "target")
    ),
    "anchor-both": LossKind("anchor loss, both modulated", "sigmoid", lambda v: AnchorLoss(v.gamma, v.margin, "both")),
    "anchor-static": LossKind("anchor loss, static anchor", "sigmoid", lambda v: AnchorLoss(v.gamma, 0.0, v.static)),
    "anchor-warmup": LossKind(
        "anchor loss after cross entropy", "sigmoid", lambda v: AnchorLoss(v.gamma, v.margin), gamma=2.0, warmed=True
    ),
}
"""Ryou et al., ICCV 2019, Tables 1, 3 and A-1: gamma .5, and 2 after the warm-up; designs (ii), (i) and (iii)."""

KEEP = 0.9
"""Ryou et al., Table 1: the share of a batch that OHEM keeps on CIFAR."""


def make_loss(name: str, values: LossValues, *, warmup: int) -> nn.Module:
    """The loss of that name; cross entropy in the first ``warmup`` epochs."""
    loss = LOSSES[name].build(values)
    return WarmUpLoss(CrossEntropyLoss(), loss, epochs=warmup) if warmup else loss


def warmup_epochs(epochs: int) -> int:
    """How long cross entropy comes first: 5 epochs, as in the paper; an eighth of a run shorter than 40, at least one.

    >>> [warmup_epochs(epochs) for epochs in (200, 40, 24, 3)]
    [5, 5, 3, 1]
    """
    return min(5, max(1, round(epochs / 8)))
