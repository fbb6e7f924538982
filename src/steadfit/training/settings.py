"""What a training run is made of, as frozen data: the protocol and the settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from steadfit import _checks
from steadfit.core.elliptical import LOCATIONS
from steadfit.core.heatmaps import DECODINGS
from steadfit.core.predicted import COVARIANCES
from steadfit.data import Warp
from steadfit.errors import ConfigError
from steadfit.networks import HEADS, HEATMAP_NETWORKS, STEPS
from steadfit.noise import NOISE_MODELS, NoiseModel
from steadfit.noise.base import SCALES, WARM_UPS
from steadfit.noise.gum import UNITS
from steadfit.training.heatmaps import HEATMAP_LOSSES


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
        schedule: ``"one-cycle"`` (cosine rise over 15 % of the steps, cosine to zero), ``"constant"``, ``"staged"``:
            constant to the first of the ``milestones``, linearly to a tenth at the second, to a hundredth at the third,
            or ``"alternating"``: constant for half the steps, then times .5 and times .2 in turn at every tenth.
        optimizer: ``"adamw"``, ``"rmsprop"``, or ``"sgd"`` with momentum .9.
        milestones: shares of all steps, for ``"staged"``.
        head_epochs: the first so many epochs train the head alone (the output layer and what pools the last map).
        weight_decay: of all parameters.
        head_weight_decay: weight decay of the head, that of the rest being 0; None: the same for all.
        averaging: decay per step of the exponential average of the weights that predicts, is validated and gives the
            residuals (less in a short run, so that it spans a tenth of the steps at most); 0 for none.
        lr: the (largest) step size.
        patience: epochs without a better validation loss before training (``rounds=True``: the round) stops; 0 never
            stops early (``rounds=True`` needs >= 1). With patience the best epoch's weights are the result.
        gum: fields of :class:`~steadfit.noise.GaussianUniformNoise` that the protocol sets.
        warp: the random warps of training images, where the settings want any; its mirror is the settings'.
    """

    name: str
    rounds: bool = False
    warmup: str | None = None
    warmup_share: float = 0.125
    schedule: str = "one-cycle"
    milestones: tuple[float, float, float] = (0.5, 0.8, 1.0)
    head_epochs: int = 0
    weight_decay: float = 1e-2
    head_weight_decay: float | None = None
    averaging: float = 0.99
    lr: float = 8e-3
    optimizer: str = "adamw"
    patience: int = 0
    gum: tuple[tuple[str, Any], ...] = ()
    warp: Warp = field(default_factory=Warp)

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

STAGED = Protocol(
    name="staged",
    schedule="staged",
    averaging=0.0,
    lr=1e-3,
    head_epochs=3,
    head_weight_decay=0.1,
)
"""Paper 3's protocol: the head alone for 3 epochs, steps of 1e-3 for half the time, then falling to 1e-5; its long run
has the milestones (.75, .875, 1). Made for pre-trained networks, batches of 32, 50 epochs."""

HOURGLASS = Protocol(name="hourglass", schedule="alternating", averaging=0.0, lr=1e-3, optimizer="rmsprop")
"""Paper 4's protocol for poses: steps of 1e-3 for 100 epochs, then times .5 and .2 in turn every 20; made for the
Hourglass, batches of 6, 200 epochs. RMSprop is the optimiser of Newell et al. 2016; paper 4 names none."""

CONVNET = Protocol(
    name="convnet",
    optimizer="sgd",
    schedule="constant",
    averaging=0.0,
    lr=1e-2,
    weight_decay=5e-4,
    warp=Warp(rotation=20, scale=1, anisotropy=1, perspective=0, shift=0.05),
)
"""Paper 1's protocol for poses: constant steps with momentum, turns of 20 degrees and shifts of the box; made for the
ConvNet, batches of 230, 70 epochs. The step is the paper's, whose gradient has neither 1/s nor 1/n; with few steps
AdamW and 3e-4 get off the ConvNet's first plateau sooner."""

PROTOCOLS = {protocol.name: protocol for protocol in (STEADY, PAPER, STAGED, HOURGLASS, CONVNET)}
OPTIMIZERS = ("adamw", "rmsprop", "sgd")
SCALED = ("huber", "tukey")
"""Noise models with a scale in their loss."""
WARMED = ("l1", *SCALED, "gum")
"""Noise models that begin with another loss."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides a run's result, apart from the data.

    Args:
        noise: the noise model's name on the command line. unit: GUM's outlier unit.
        scale: of Huber and Tukey, see :class:`~steadfit.noise.PenaltyNoise`. warmup: ``"l1"``, ``"l2"``, of Huber and
            Tukey also ``"wide"``, see :class:`~steadfit.noise.NoiseModel`; None takes the protocol's.
        covariance, location: of the predicted distributions, see :class:`~steadfit.noise.PredictedNoise`.
        protocol: ``"steady"``, ``"paper"``, ``"staged"``, ``"hourglass"`` or ``"convnet"``.
        epochs: passes over the training set (the most there can be, with early stopping).
        optimizer: ``"adamw"``, ``"rmsprop"`` or ``"sgd"``; None takes the protocol's.
        batch_size, lr, weight_decay: of its steps; None takes the protocol's, and in the default protocol the ``lr`` of
            heatmaps is that of the loss, that of other networks never above :data:`steadfit.networks.STEPS`.
        patience: epochs without a better validation loss before training stops; None takes the protocol's.
        residuals: ``"pass"``: residuals for the refit from a forward pass without augmentation over the training set
            (about .3 of an epoch's time); ``"epoch"``: those seen during the epoch, at no cost.
        size: side of the network's input in px, or its (height, width). channels: 1 grey, 3 colour.
        mirror: mirror half of the training images; needs the schema's pairs.
        warp: warp every training image at random, as the protocol says; sampled once, from the stored image.
        seed: of the initial weights, the order of samples, mirroring and warps.
        workers: processes that read images. cache: keep decoded images in memory ("auto": if they fit).
        network: ``"default"`` (``"compact"`` for images, an MLP for features) or a name of
            :data:`steadfit.networks.NETWORKS`; any other name is for the record, of a module of your own that is passed
            to :func:`steadfit.training.fit`.
        head: what pools the last map: ``"depthwise"``, ``"average"``, for the compact network also ``"flatten"``;
            ``"auto"`` is ``"depthwise"`` for ResNets and ``"flatten"`` for the compact network and the ConvNet.
        weights: a file of weights to start from, or ``"imagenet"`` for the official download.
        loss: for networks of heatmaps, a name of :data:`steadfit.training.heatmaps.HEATMAP_LOSSES`; the noise model's
            trust in a label is its weight. gamma, margin: of focal and anchor loss, None for their own.
        decoding: how heatmaps are read, see :func:`steadfit.core.heatmaps.decode`. sigma: of the target heatmaps, in
            px of the heatmap.
    """

    noise: str = "gum"
    unit: str = "point"
    scale: str = "epoch"
    warmup: str | None = None
    covariance: str = "full"
    location: str = "nu"
    protocol: str = "steady"
    epochs: int = 30
    batch_size: int = 64
    lr: float | None = None
    optimizer: str | None = None
    weight_decay: float | None = None
    patience: int | None = None
    residuals: str = "pass"
    size: int | tuple[int, int] = 48
    channels: int = 1
    mirror: bool = True
    warp: bool = False
    seed: int = 0
    workers: int = 0
    cache: str = "auto"
    network: str = "default"
    head: str = "auto"
    weights: str | None = None
    loss: str = "bce"
    gamma: float | None = None
    margin: float | None = None
    decoding: str = "refined"
    sigma: float = 1.0

    def __post_init__(self) -> None:
        _checks.one_of("Settings", "noise", self.noise, tuple(NOISE_MODELS))
        _checks.one_of("Settings", "protocol", self.protocol, tuple(PROTOCOLS))
        _checks.one_of("Settings", "residuals", self.residuals, ("pass", "epoch"))
        _checks.one_of("Settings", "unit", self.unit, UNITS)
        _checks.one_of("Settings", "covariance", self.covariance, COVARIANCES)
        _checks.one_of("Settings", "location", self.location, LOCATIONS)
        _checks.one_of("Settings", "head", self.head, ("auto", *HEADS))
        _checks.one_of("Settings", "channels", self.channels, (1, 3))
        _checks.one_of("Settings", "cache", self.cache, ("auto", "on", "off"))
        _checks.one_of("Settings", "loss", self.loss, tuple(HEATMAP_LOSSES))
        _checks.one_of("Settings", "decoding", self.decoding, DECODINGS)
        _checks.positive("Settings", "sigma", self.sigma)
        if self.lr is not None:
            _checks.positive("Settings", "lr", self.lr)
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Settings: expected {name} >= 1, got {getattr(self, name)}.")
        _check_size(self.size)
        for name in ("weight_decay", "workers", "seed", "patience"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"Settings: expected {name} >= 0, got {getattr(self, name)}.")
        if self.warp and self.residuals == "epoch":
            raise ConfigError(
                "Settings: expected residuals 'pass' with warps, got 'epoch': warped labels are no labels."
            )
        if self.patience == 0 and PROTOCOLS[self.protocol].rounds:
            raise ConfigError(f"Settings: expected patience >= 1 with protocol {self.protocol!r}, got 0.")
        _checks.one_of("Settings", "optimizer", self.optimizer, (None, *OPTIMIZERS))
        _checks.one_of("Settings", "scale", self.scale, SCALES)
        _checks.one_of("Settings", "warmup", self.warmup, (None, *WARM_UPS, "wide"))
        self._check_scale()
        self._check_warmup()
        if self.heatmaps:
            self._check_heatmaps()

    def _check_scale(self) -> None:
        """Scales of batches are for losses that have a scale, in training that needs no refit for anything else."""
        if self.scale == "epoch":
            return
        if self.noise not in SCALED:
            why = f"noise {self.noise!r}", f"only {' and '.join(SCALED)} have a scale in their loss"
        elif PROTOCOLS[self.protocol].rounds:
            why = f"protocol {self.protocol!r}", "it takes the scale of the whole training set after every epoch"
        elif self.heatmaps:
            why = f"network {self.network!r}", "the scale serves the labels' trust only, which needs the refits"
        else:
            return
        raise ConfigError(f"Settings: expected scale 'epoch' with {why[0]}, got {self.scale!r}: {why[1]}.")

    def _check_warmup(self) -> None:
        if self.warmup is None:
            return
        if self.noise not in WARMED or self.heatmaps:
            what = f"network {self.network!r}" if self.heatmaps else f"noise {self.noise!r}"
            raise ConfigError(f"Settings: expected no warmup with {what}, which has no warm-up loss to choose.")
        if self.warmup == "wide" and self.noise not in SCALED:
            raise ConfigError(
                f"Settings: expected warmup 'l1' or 'l2' with noise {self.noise!r}, got 'wide': only "
                f"{' and '.join(SCALED)} have a scale in their loss."
            )

    def _check_heatmaps(self) -> None:
        if self.noise.startswith("predicted"):
            raise ConfigError(
                f"Settings: expected a noise model of positions with network {self.network!r}, got {self.noise!r}: "
                "heatmaps predict no covariance. Use gum, tukey, huber, l1 or l2."
            )
        for name, least in (("gamma", 0.0), ("margin", 0.0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ConfigError(f"Settings: expected {name} >= {least:g}, got {value}.")

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the network's input in px."""
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    @property
    def heatmaps(self) -> bool:
        """Whether the network puts out heatmaps, trained by ``loss``."""
        return self.network in HEATMAP_NETWORKS

    @property
    def method(self) -> str:
        """How tables and figures call a run with these settings: ``gum``, of heatmaps ``anchor+gum``."""
        return f"{self.loss}+{self.noise}" if self.heatmaps else self.noise

    @property
    def sampling(self) -> Literal["auto", "warp"]:
        """How images come into the frame, in training and in prediction alike (see ``LabelledDataset``)."""
        return "warp" if self.warp else "auto"

    def plan(self) -> Protocol:
        """The protocol with this run's overrides."""
        overrides = ("lr", "optimizer", "weight_decay", "patience", "warmup")
        changes = {name: value for name in overrides if (value := getattr(self, name)) is not None}
        if self.protocol == STEADY.name:
            lr = HEATMAP_LOSSES[self.loss].lr if self.heatmaps else STEPS.get(self.network, STEADY.lr)
            changes = {"lr": lr} | changes
        return dataclasses.replace(PROTOCOLS[self.protocol], **changes)

    def noise_model(self) -> NoiseModel:
        """The noise model as the protocol uses it."""
        chosen: dict[str, Any] = {}
        if self.noise == "gum":
            chosen = {"unit": self.unit}
        elif self.noise in SCALED:
            chosen = {"scale": self.scale}
        elif self.noise.startswith("predicted"):
            chosen = {"covariance": self.covariance, "location": self.location}
        return self.plan().adapt(NOISE_MODELS[self.noise](**chosen))

    def with_noise(self, noise: str) -> Settings:
        """The same training under another noise model; a scale or warm-up that it cannot have is its own again."""
        scale = self.scale if noise in SCALED else Settings.scale
        takes = WARMED if self.warmup != "wide" else SCALED
        return dataclasses.replace(self, noise=noise, scale=scale, warmup=self.warmup if noise in takes else None)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"Settings: expected known keys, got {', '.join(unknown)}.")
        size = values.get("size", cls.size)  # YAML has lists for tuples
        return cls(**{**values, "size": tuple(size) if isinstance(size, list) else size})


def _check_size(size: object) -> None:
    sides = size if isinstance(size, tuple) and len(size) == 2 else (size,)
    if not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides):
        raise ConfigError(f"Settings: expected size >= 1, got {size!r}. Give a side, or (height, width), in whole px.")
