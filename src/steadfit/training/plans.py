"""Training plans: when things happen in a run, as frozen data; ``--protocol`` names one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steadfit._options import options_of
from steadfit.data import Warp
from steadfit.errors import ConfigError
from steadfit.noise import NOISE_MODELS, NoiseModel
from steadfit.training.schedules import Alternating, Constant, Drops, OneCycle, Schedule, Staged

OPTIMIZERS = ("adamw", "rmsprop", "sgd")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When things happen in a training run.

    Args:
        name: the name that ``--protocol`` takes.
        epochs: the number of epochs if the settings don't give one.
        rounds: True for Algorithm 1 of paper 2: warm up until early stop, then rounds of EM and training until early
            stop, until the weighted validation loss grows; the best round's weights are the result. False: a fixed
            number of epochs, with a refit of the noise model after every one once the warm-up is over.
        warmup_share: the warm-up's share of all epochs (``rounds=False``).
        schedule: the course of the step size.
        lr: the largest step size.
        optimizer: ``"adamw"``, ``"rmsprop"`` or ``"sgd"``.
        momentum: the momentum of ``"sgd"``, in [0, 1).
        nesterov: whether the momentum is Nesterov's.
        weight_decay: the weight decay of all parameters.
        head_epochs: the number of first epochs that train only the head (the output layer and what pools the last map).
        head_weight_decay: the weight decay of the head, with 0 for the rest; None: the same for all.
        averaging: the decay per step of the exponential average of the weights, which predicts, is validated and gives
            the residuals (less in a short run, so that it spans a tenth of the steps at most); 0: no average.
        patience: the number of epochs without a better validation loss after which training (``rounds=True``: the
            round) stops; 0 never stops early (``rounds=True`` needs >= 1). With patience the best epoch's weights are
            the result.
        warmup: the warm-up loss of noise models that have one; None: the model's own.
        noise: options of noise models that the plan sets, by the models' names.
        warp: the random warps of training images, if the settings ask for warps; mirroring follows the settings.
        classes: True for a plan for classes, False for points and numbers.
    """

    name: str
    epochs: int = 30
    rounds: bool = False
    warmup_share: float = 0.125
    schedule: Schedule = field(default_factory=OneCycle)
    lr: float = 8e-3
    optimizer: str = "adamw"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-2
    head_epochs: int = 0
    head_weight_decay: float | None = None
    averaging: float = 0.99
    patience: int = 0
    warmup: str | None = None
    noise: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warp: Warp = field(default_factory=Warp)
    classes: bool = False

    def noise_model(self, name: str, given: Mapping[str, Any] | None = None) -> NoiseModel:
        """The noise model of that name as this plan uses it.

        Args:
            name: a key of :data:`steadfit.noise.NOISE_MODELS`.
            given: options that take precedence over the plan's.

        Raises:
            ConfigError: an option that this model does not have.
        """
        given = given or {}
        own: dict[str, Any] = {} if self.warmup is None else {"warmup": self.warmup}
        if strange := [key for key in given if key not in fields_of(name)]:
            owners = [other for other in NOISE_MODELS if strange[0] in fields_of(other)]
            raise ConfigError(
                f"noise {name!r}: expected no {strange[0]}, got {given[strange[0]]!r}. "
                f"Only {', '.join(owners) or 'no noise model'} can have one."
            )
        return NOISE_MODELS[name](**{**own, **self.noise.get(name, {}), **given})


def fields_of(noise: str) -> tuple[str, ...]:
    """The options of the noise model of that name, without those that have no effect there."""
    model = NOISE_MODELS[noise]()
    hidden = {name for name, (_, known) in options_of(model).items() if not known.command_line}
    return tuple(field.name for field in dataclasses.fields(model) if field.init and field.name not in hidden)


STEADY = Plan(name="steady")
"""The default: L1 warm-up, refit after every epoch, one-cycle steps, averaged weights."""

PAPER = Plan(
    name="paper",
    rounds=True,
    warmup="l2",
    schedule=Constant(),
    averaging=0.0,
    lr=1e-3,
    patience=5,
    noise={"gum": {"inner": "squared", "volume": "moments", "inflation": 1.0}},
)
"""Paper 2's Algorithm 1: L2 first, EM between rounds, eq. 5's volume, squared loss; for a network from scratch."""

STAGED = Plan(name="staged", schedule=Staged(), averaging=0.0, lr=1e-3, head_epochs=3, head_weight_decay=0.1)
"""Paper 3's protocol, made for pre-trained networks, batches of 32, 50 epochs.

The head alone for 3 epochs, steps of 1e-3 for half the time, then falling to 1e-5; the paper's long run has the
milestones (.75, .875, 1).
"""

HOURGLASS = Plan(name="hourglass", schedule=Alternating(), averaging=0.0, lr=1e-3, optimizer="rmsprop")
"""Paper 4's protocol for poses, made for the Hourglass, batches of 6, 200 epochs.

Steps of 1e-3 for 100 epochs, then times .5 and .2 in turn every 20. RMSprop is the optimiser of Newell et al. 2016;
paper 4 names none.
"""

CONVNET = Plan(
    name="convnet",
    optimizer="sgd",
    schedule=Constant(),
    averaging=0.0,
    lr=1e-2,
    weight_decay=5e-4,
    warp=Warp(rotation=20, scale=1, anisotropy=1, perspective=0, shift=0.05),
)
"""Paper 1's protocol for poses, made for the ConvNet, batches of 230, 70 epochs.

Constant steps with momentum, turns of 20 degrees and shifts of the box. The step is the paper's, whose gradient has
neither 1/s nor 1/n; with few steps AdamW and 3e-4 leave the ConvNet's first plateau sooner.
"""

ONE_CYCLE = Plan(
    name="one-cycle",
    classes=True,
    optimizer="sgd",
    nesterov=True,
    schedule=Drops(rise=0.15),
    averaging=0.0,
    lr=0.1,
    weight_decay=5e-4,
)
"""The default for classes, for short runs: a linear rise, then a cosine to zero."""

CIFAR = Plan(
    name="cifar",
    classes=True,
    epochs=200,
    optimizer="sgd",
    schedule=Drops((0.8, 0.9)),
    averaging=0.0,
    lr=0.1,
    weight_decay=1e-4,
)
"""Ryou et al. on CIFAR: .1, .01 from epoch 160, .001 from 180 of 200; batches of 128 (He et al., CVPR 2016)."""

IMAGENET = Plan(
    name="imagenet",
    classes=True,
    epochs=90,
    optimizer="sgd",
    schedule=Drops((1 / 3, 2 / 3), rise=5 / 90),
    averaging=0.0,
    lr=0.1,
    weight_decay=1e-4,
)
"""Ryou et al. on ImageNet: five epochs of linear rise to .1, a tenth every 30 epochs; made for batches of 224."""

PLANS: dict[str, Plan] = {
    "steady": STEADY,
    "paper": PAPER,
    "staged": STAGED,
    "hourglass": HOURGLASS,
    "convnet": CONVNET,
    "one-cycle": ONE_CYCLE,
    "cifar": CIFAR,
    "imagenet": IMAGENET,
}
"""The plans by the names that ``--protocol`` takes."""
