"""What a training run is made of, as frozen data: the protocol and the settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from steadfit import _checks
from steadfit.errors import ConfigError
from steadfit.noise import NOISE_MODELS, NoiseModel
from steadfit.noise.gum import UNITS


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """When things happen in a training run.

    Args:
        name: how it is called on the command line.
        rounds: True for Algorithm 1 of paper 2: warm up until early stop, then rounds of EM and training until early
            stop, until the weighted validation loss grows; the best round's weights are the result. False: a fixed
            number of epochs, the noise model refitted after every one once the warm-up is over.
        warmup: the warm-up loss, see :class:`steadfit.noise.NoiseModel`; None keeps the noise model's own.
        warmup_share: the warm-up's share of all epochs (``rounds=False``).
        schedule: ``"one-cycle"`` (cosine rise over 15 % of the steps, cosine to zero) or ``"constant"``.
        averaging: decay per step of the exponential average of the weights that predicts, is validated and gives the
            residuals (less in a short run, so that it spans a tenth of the steps at most); 0 for none.
        lr: the (largest) step size of AdamW.
        patience: epochs without a better validation loss before training (``rounds=True``: the round) stops; 0 never
            stops early (``rounds=True`` needs >= 1). With patience the best epoch's weights are the result.
        gum: fields of :class:`~steadfit.noise.GaussianUniformNoise` that the protocol sets.
    """

    name: str
    rounds: bool = False
    warmup: str | None = None
    warmup_share: float = 0.125
    schedule: str = "one-cycle"
    averaging: float = 0.99
    lr: float = 8e-3
    patience: int = 0
    gum: tuple[tuple[str, Any], ...] = ()

    def adapt(self, noise: NoiseModel) -> NoiseModel:
        """The noise model as this protocol uses it."""
        changes: dict[str, Any] = {} if self.warmup is None else {"warmup": self.warmup}
        if noise.name == "gum":
            changes |= dict(self.gum)
        return dataclasses.replace(noise, **changes)


STEADY = Protocol(name="steady")
"""The default: L1 warm-up, refit after every epoch, one-cycle steps, averaged weights."""

PAPER = Protocol(
    name="paper",
    rounds=True,
    warmup="l2",
    schedule="constant",
    averaging=0.0,
    lr=1e-3,
    patience=5,
    gum=(("inner", "squared"), ("volume", "moments"), ("inflation", 1.0)),
)
"""Paper 2's Algorithm 1: L2 first, EM between rounds, eq. 5's volume, squared loss; for a network from scratch."""

PROTOCOLS = {protocol.name: protocol for protocol in (STEADY, PAPER)}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides a run's result, apart from the data.

    Args:
        noise: the noise model's name on the command line. unit: GUM's outlier unit.
        protocol: ``"steady"`` or ``"paper"``.
        epochs: passes over the training set (the most there can be, with early stopping).
        batch_size, lr, weight_decay: of AdamW; ``lr`` None takes the protocol's.
        patience: epochs without a better validation loss before training stops; None takes the protocol's.
        residuals: ``"pass"``: residuals for the refit from a forward pass without augmentation over the training set
            (about .3 of an epoch's time); ``"epoch"``: those seen during the epoch, at no cost.
        size: side of the network's input in px. channels: 1 grey, 3 colour.
        mirror: mirror half of the training images; needs the schema's pairs.
        seed: of the initial weights, the order of samples and the mirroring.
        workers: processes that read images. cache: keep decoded images in memory ("auto": if they fit).
        network: a name for the record; a module of your own is passed to :func:`steadfit.training.fit`.
    """

    noise: str = "gum"
    unit: str = "point"
    protocol: str = "steady"
    epochs: int = 30
    batch_size: int = 64
    lr: float | None = None
    weight_decay: float = 1e-2
    patience: int | None = None
    residuals: str = "pass"
    size: int = 48
    channels: int = 1
    mirror: bool = True
    seed: int = 0
    workers: int = 0
    cache: str = "auto"
    network: str = "default"

    def __post_init__(self) -> None:
        _checks.one_of("Settings", "noise", self.noise, tuple(NOISE_MODELS))
        _checks.one_of("Settings", "protocol", self.protocol, tuple(PROTOCOLS))
        _checks.one_of("Settings", "residuals", self.residuals, ("pass", "epoch"))
        _checks.one_of("Settings", "unit", self.unit, UNITS)
        _checks.one_of("Settings", "channels", self.channels, (1, 3))
        _checks.one_of("Settings", "cache", self.cache, ("auto", "on", "off"))
        if self.lr is not None:
            _checks.positive("Settings", "lr", self.lr)
        for name in ("epochs", "batch_size", "size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Settings: expected {name} >= 1, got {getattr(self, name)}.")
        for name in ("weight_decay", "workers", "seed", "patience"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"Settings: expected {name} >= 0, got {getattr(self, name)}.")
        if self.patience == 0 and PROTOCOLS[self.protocol].rounds:
            raise ConfigError(f"Settings: expected patience >= 1 with protocol {self.protocol!r}, got 0.")

    def plan(self) -> Protocol:
        """The protocol with this run's overrides."""
        changes = {name: value for name in ("lr", "patience") if (value := getattr(self, name)) is not None}
        return dataclasses.replace(PROTOCOLS[self.protocol], **changes)

    def noise_model(self) -> NoiseModel:
        """The noise model as the protocol uses it."""
        model = NOISE_MODELS[self.noise]
        return self.plan().adapt(model(unit=self.unit) if self.noise == "gum" else model())  # type: ignore[call-arg]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"Settings: expected known keys, got {', '.join(unknown)}.")
        return cls(**values)
