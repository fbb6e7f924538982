"""What a classifier's training is made of, as frozen data: the protocol and the settings."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from steadfit import _checks
from steadfit.errors import ConfigError
from steadfit.networks import HEADS
from steadfit.training.classification.losses import KEEP, LOSSES, LossValues, make_loss, warmup_epochs


@dataclass(frozen=True, kw_only=True)
class ClassifierProtocol:
    """How the step size goes in a training run; the optimiser is SGD with momentum.

    Args:
        name: how it is called on the command line.
        epochs: how many, where the settings don't say.
        lr: the largest step size. weight_decay: of all parameters. momentum: in [0, 1). nesterov: whether it looks
            ahead.
        rise: share of all steps in which the step size rises linearly from nearly nothing.
        drops: shares of all steps after each of which the step size is a tenth; without any it falls to 0 as a cosine.
    """

    name: str
    epochs: int
    lr: float = 0.1
    weight_decay: float = 1e-4
    momentum: float = 0.9
    nesterov: bool = False
    rise: float = 0.0
    drops: tuple[float, ...] = ()

    def factor(self, share: float) -> float:
        """On the step size, at a share of all steps.

        >>> [round(PROTOCOLS["cifar"].factor(epoch / 200), 3) for epoch in (0, 159, 160, 180)]
        [1.0, 1.0, 0.1, 0.01]
        """
        if share < self.rise:
            return share / self.rise
        if self.drops:
            return 0.1 ** sum(share >= drop for drop in self.drops)
        return (1 + math.cos(math.pi * (share - self.rise) / (1 - self.rise))) / 2


ONE_CYCLE = ClassifierProtocol(name="one-cycle", epochs=30, weight_decay=5e-4, nesterov=True, rise=0.15)
"""The default, for short runs: a linear rise, then a cosine to zero."""

CIFAR = ClassifierProtocol(name="cifar", epochs=200, drops=(0.8, 0.9))
"""Ryou et al. on CIFAR: .1, .01 from epoch 160, .001 from 180 of 200; batches of 128 (He et al., CVPR 2016)."""

IMAGENET = ClassifierProtocol(name="imagenet", epochs=90, rise=5 / 90, drops=(1 / 3, 2 / 3))
"""Ryou et al. on ImageNet: five epochs of linear rise to .1, a tenth every 30 epochs; made for batches of 224."""

PROTOCOLS = {protocol.name: protocol for protocol in (ONE_CYCLE, CIFAR, IMAGENET)}


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings:
    """Everything that decides a classifier's training, apart from the data.

    Args:
        loss: a key of :data:`LOSSES`.
        gamma: of focal and anchor losses, in [0, 5]; None for the loss's own (.5; 2 for ``anchor-warmup``).
        margin: of the anchor losses, in [0, 1].
        keep: the share of a batch that ``ohem`` keeps, in (0, 1]; None for .9.
        static: q* of ``anchor-static``, in [0, 1].
        warmup: epochs of cross entropy before the loss; None for none, but for ``anchor-warmup`` 5 or, in a run of less
            than 40 epochs, an eighth of it.
        network: a name of :data:`steadfit.networks.NETWORKS`; any other is for the record, of a module of your own.
        head: what pools the last map.
        protocol: ``"one-cycle"``, ``"cifar"`` or ``"imagenet"``, see :class:`ClassifierProtocol`.
        epochs, lr, weight_decay: None for the protocol's.
        batch_size: >= 2, for batch norm.
        size: side of the network's input in px; None for the images' own, which must be the same for all.
        channels: 3 for RGB, 1 for grey.
        augment: random crops and mirroring of the training images.
        seed: of the initial weights, the order of images, and the crops.
        workers: processes that read images. cache: keep images in memory ("auto": if they fit).

    Raises: ConfigError, TypeError or ValueError for values out of range.
    """

    loss: str = "ce"
    gamma: float | None = None
    margin: float = 0.05
    keep: float | None = None
    static: float = 0.5
    warmup: int | None = None
    network: str = "resnet20"
    head: str = "average"
    protocol: str = "one-cycle"
    epochs: int | None = None
    batch_size: int = 128
    lr: float | None = None
    weight_decay: float | None = None
    size: int | None = None
    channels: int = 3
    augment: bool = True
    seed: int = 0
    workers: int = 0
    cache: str = "auto"

    def __post_init__(self) -> None:
        who = "ClassifierSettings"
        _checks.one_of(who, "loss", self.loss, tuple(LOSSES))
        _checks.one_of(who, "protocol", self.protocol, tuple(PROTOCOLS))
        _checks.one_of(who, "head", self.head, HEADS)
        _checks.one_of(who, "channels", self.channels, (1, 3))
        _checks.one_of(who, "cache", self.cache, ("auto", "on", "off"))
        _checks.between(who, "margin", self.margin, 0, 1)
        _checks.between(who, "static", self.static, 0, 1)
        if self.gamma is not None:
            _checks.between(who, "gamma", self.gamma, 0, 5)
        if self.keep is not None:
            _checks.between(who, "keep", _checks.positive(who, "keep", self.keep), 0, 1)
        if self.lr is not None:
            _checks.positive(who, "lr", self.lr)
        if isinstance(self.size, tuple):
            raise ConfigError(f"{who}: expected size as one number, the side of a square, got {self.size}.")
        least = {"epochs": 1, "batch_size": 2, "size": 1, "warmup": 0, "weight_decay": 0, "workers": 0, "seed": 0}
        for name, low in least.items():
            if (value := getattr(self, name)) is not None and value < low:
                raise ConfigError(f"{who}: expected {name} >= {low}, got {value}.")

    def plan(self) -> ClassifierProtocol:
        """The protocol with this run's overrides."""
        changes = {
            name: value for name in ("epochs", "lr", "weight_decay") if (value := getattr(self, name)) is not None
        }
        return dataclasses.replace(PROTOCOLS[self.protocol], **changes)

    def make_loss(self) -> nn.Module:
        """The loss as this run uses it."""
        kind = LOSSES[self.loss]
        values = LossValues(
            gamma=kind.gamma if self.gamma is None else self.gamma,
            margin=self.margin,
            keep=KEEP if self.keep is None else self.keep,
            static=self.static,
        )
        return make_loss(self.loss, values, warmup=self.warmup_epochs)

    @property
    def warmup_epochs(self) -> int:
        """Epochs of cross entropy that come first."""
        if self.warmup is not None:
            return self.warmup
        return warmup_epochs(self.plan().epochs) if LOSSES[self.loss].warmed else 0

    @property
    def output(self) -> str:
        """``"softmax"`` or ``"sigmoid"``, see :class:`LossKind`."""
        return LOSSES[self.loss].output

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassifierSettings:
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"ClassifierSettings: expected known keys, got {', '.join(unknown)}.")
        return cls(**values)
