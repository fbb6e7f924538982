"""Settings: everything that decides a run's result, apart from the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from steadfit import _checks
from steadfit._options import check_options, chosen, option, options_of
from steadfit.data import Framing
from steadfit.errors import ConfigError
from steadfit.networks import HEADS, HEATMAP_NETWORKS, first_step
from steadfit.noise import NOISE_MODELS, NoiseModel, PredictedNoise
from steadfit.noise.predicted import FAMILIES
from steadfit.outputs import Classes, Heatmaps, Output, OwnLoss
from steadfit.training.plans import OPTIMIZERS, PLANS, STEADY, Plan

OUTPUTS: dict[str, type[OwnLoss]] = {output.name: output for output in (Heatmaps, Classes)}
"""Outputs with options of their own; the others follow from the noise model."""
OF_TABLE = ("n_classes",)
"""Fields of outputs that the table decides, not the settings."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides a run's result, apart from the data.

    The fields that are not listed here are options: ``steadfit fit --help`` describes them, and so do their
    declarations.

    Args:
        noise: what is believed about the labels: a key of :data:`steadfit.noise.NOISE_MODELS`, which the protocol may
            adapt, or a noise model, which stays as it is (one that equals the protocol's is stored by its name); None:
            the output's usual one.
        output: what the network's numbers mean, where the noise model does not decide it:
            :class:`~steadfit.outputs.Heatmaps` or :class:`~steadfit.outputs.Classes`; None: heatmaps where ``network``
            names a heatmap network, else what the noise model needs, positions or distributions.
        protocol: a key of :data:`steadfit.training.plans.PLANS`; None: the output's usual one.
        network: ``"default"`` (``"compact"`` for images, ``"resnet20"`` for classes, an MLP for features) or a name of
            :data:`steadfit.networks.NETWORKS` or ``HEATMAP_NETWORKS``; any other name only documents a custom module
            that is passed to :func:`steadfit.training.fit`.
        size: side of the network's input in px, or its (height, width); None: 48, or for classes the images' own.
        seed: the seed of the initial weights, the order of samples, mirroring and warps.

    Raises:
        ConfigError: settings that contradict each other.
        TypeError: a value of the wrong kind.
        ValueError: a value that is out of range.
    """

    noise: str | NoiseModel = option(None, "what training believes about label errors", command_line=False)
    output: OwnLoss | None = None
    network: str = "default"
    size: int | tuple[int, int] | None = None

    protocol: str = option(
        None,
        "the course of the step size and when things happen; default steady, for classes one-cycle. steady: one cycle, "
        "refit after every epoch. paper: DeepGUM's Algorithm 1 (L2 first, then rounds). staged: as in the paper on the "
        "Huber distribution (head first, then falling steps), for pre-trained networks. hourglass: as for poses in the "
        "paper on anchor loss. convnet: as in the paper on Tukey's loss, for that network. For classes, one-cycle: a "
        "rise and a cosine. cifar: as on CIFAR in the paper on anchor loss. imagenet: as on ImageNet there",
        choices=tuple(PLANS),
    )
    epochs: int | None = option(None, "passes over the training set; default: the protocol's 30", low=1)
    batch_size: int = option(None, "samples per step; default 64, for classes 128", low=1)
    lr: float | None = option(None, "largest step size; default: the protocol's", above=0.0)
    optimizer: str | None = option(None, "the optimizer, by default the protocol's", choices=OPTIMIZERS)
    weight_decay: float | None = option(None, "weight decay; default: the protocol's", low=0.0)
    patience: int | None = option(
        None, "stop after this many epochs without a lower validation loss, 0: never; default: the protocol's",
        low=0,
    )  # fmt: skip
    seed: int = option(
        0, "seed of initial weights, order, mirroring, warps and drawn splits", low=0, command_line=False
    )
    residuals: str = option(
        "pass", "what refits see: a forward pass over the training set (pass), or what the epoch saw (epoch)",
        choices=("pass", "epoch"),
    )  # fmt: skip
    channels: int = option(None, "1 for grey, 3 for colour; for classes 3", command_line=False)
    mirror: bool = option(True, "mirror half of the training images (points need pairs); for classes also crop them")
    warp: bool = option(False, "turn, scale, stretch, tilt and shift training images at random (slower epochs)")
    head: str = option(
        "auto", "how the last map is pooled (auto: as the network does by default)", choices=("auto", *HEADS)
    )
    weights: str | None = option(None, "start from a run, a file of weights (.safetensors, .pth), or 'imagenet'")
    workers: int = option(0, "processes that read images", low=0)
    cache: str = option(
        "auto", "keep decoded images in memory; auto: if they fit", choices=("auto", "on", "off"), command_line=False
    )

    def __post_init__(self) -> None:
        self._fill_in()
        check_options(self)
        _check_size(self.size)
        _checks.one_of("Settings", "channels", self.channels, (1, 3))
        if isinstance(self.noise, str):
            _checks.one_of("Settings", "noise", self.noise, tuple(NOISE_MODELS))
        self._check_plan()
        self._check_classes()
        check_pair(self.output_of(self.noise_model()), self.noise_model(), self.plan)

    def _fill_in(self) -> None:
        """Replace what was left to the output: None, ``"auto"`` and ``"default"`` become its usual value."""
        if self.output is None and self.network in HEATMAP_NETWORKS:
            object.__setattr__(self, "output", Heatmaps())
        usual = (Output if self.output is None else type(self.output)).usual
        for name, value in usual.items():
            if getattr(self, name) in (None, "auto", "default"):
                object.__setattr__(self, name, value)
        if isinstance(self.noise, NoiseModel) and (known := self._name_of(self.noise)):
            object.__setattr__(self, "noise", known)

    def _name_of(self, noise: NoiseModel) -> str | None:
        """The name under which the protocol gives exactly this model; None where it gives another one."""
        name = _listed_name(noise)
        known = name in NOISE_MODELS and self.protocol in PLANS
        return name if known and PLANS[self.protocol].noise_model(name) == noise else None

    @property
    def custom_noise(self) -> NoiseModel | None:
        """The noise model, if it is none of :data:`steadfit.noise.NOISE_MODELS`."""
        model = self.noise_model()
        return None if _listed_name(model) in NOISE_MODELS else model

    def without_noise(self) -> Settings:
        """The same settings with the default noise model, for a training that is given a custom one."""
        return dataclasses.replace(self, noise=None)  # type: ignore[arg-type]

    def _check_plan(self) -> None:
        plan = PLANS[self.protocol]
        if self.patience == 0 and plan.rounds:
            raise ConfigError(f"Settings: expected patience >= 1 with protocol {plan.name!r}, got 0.")
        if self.warp and self.residuals == "epoch":
            raise ConfigError(
                "Settings: expected residuals 'pass' with warps, got 'epoch': refits need unwarped labels."
            )

    def _check_classes(self) -> None:
        """Images of classes are cropped and not warped, and no residual says when to stop."""
        if self.output is not None and self.output.for_classes:
            for name in ("warp", "patience"):
                if value := getattr(self, name):
                    raise ConfigError(f"Settings: expected no {name} with classes, got {value}. Leave it out.")

    @property
    def frame(self) -> tuple[int, int] | None:
        """Height and width of the network's input in px; None for the images' own."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def framing(self) -> Framing | None:
        """How the network sees the images, so that the check can make its frames; None: no frames are made."""
        return None if self.cache == "off" else Framing(self.frame, self.channels, self.sampling)

    @property
    def sampling(self) -> Literal["auto", "warp"]:
        """How images are sampled into the frame, in training and in prediction alike (see ``LabelledDataset``)."""
        return "warp" if self.warp else "auto"

    @cached_property
    def plan(self) -> Plan:
        """The protocol with this run's overrides."""
        plan = PLANS[self.protocol]
        given = {name: getattr(self, name) for name in ("epochs", "lr", "optimizer", "weight_decay", "patience")}
        changes = {name: value for name, value in given.items() if value is not None}
        if plan.name == STEADY.name:
            own = self.output.choice.lr if isinstance(self.output, Heatmaps) else first_step(self.network)
            changes = {"lr": plan.lr if own is None else own} | changes
        return dataclasses.replace(plan, **changes)

    def noise_model(self) -> NoiseModel:
        """The noise model as the protocol uses it."""
        if isinstance(self.noise, NoiseModel):
            return self.noise
        return PLANS[self.protocol].noise_model(str(self.noise))

    def output_of(self, noise: NoiseModel) -> Output:
        """The meaning of the numbers of a network under this noise model."""
        return noise.output if self.output is None else self.output

    @property
    def method(self) -> str:
        """The name of a run with these settings in tables and figures: ``gum``; with another loss ``anchor+gum``."""
        name = _listed_name(self.noise_model())
        if self.output is None:
            return name
        return f"{self.output.loss}+{name}" if isinstance(self.output, Heatmaps) else self.output.loss

    def with_noise(self, name: str) -> Settings:
        """The same training under another noise model, with the present one's options as far as the other has them."""
        model = self.noise_model()
        usual = model if self.custom_noise else PLANS[self.protocol].noise_model(_listed_name(model))
        changed = {key: value for key, value in chosen(model).items() if value != getattr(usual, key)}
        return dataclasses.replace(self, noise=named_noise(name, PLANS[self.protocol], changed))

    def shown(self) -> dict[str, Any]:
        """The settings as plain values for readers, including those of the noise model and the output."""
        values = self.to_dict()
        for what in ("output", "noise"):
            described = values.pop(what) or {}
            values = {what: described["name"]} | values | described if described else values
        return {name: value for name, value in values.items() if name != "name"}

    def differing(self, other: Settings) -> list[str]:
        """What is not the same in other settings; of one output with other options, the names of these options."""
        mine, others = self.to_dict(), other.to_dict()
        output, before = (one.pop("output") or {} for one in (mine, others))
        changed = [name for name, value in mine.items() if value != others[name]]
        if output.get("name") != before.get("name"):
            return [*changed, "output"]
        return [*changed, *(name for name, value in output.items() if value != before[name])]

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain containers, for ``config.yaml``; :meth:`from_dict` reads them back."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["noise"] = _described(self.noise_model())
        values["output"] = None if self.output is None else _described(self.output)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from the result of :meth:`to_dict`.

        Raises:
            ConfigError: an unknown key or name.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"Settings: expected known keys, got {', '.join(unknown)}.")
        given = dict(values)
        if isinstance(given.get("size"), list):
            given["size"] = tuple(given["size"])
        if isinstance(given.get("noise"), Mapping):
            given["noise"] = _named("noise", NOISE_MODELS, given["noise"])
        if isinstance(given.get("output"), Mapping):
            given["output"] = _named("output", OUTPUTS, given["output"])
        return cls(**given)


def named_noise(name: str, plan: Plan, given: Mapping[str, Any]) -> NoiseModel:
    """The noise model of that name as the plan uses it.

    Args:
        name: a key of :data:`steadfit.noise.NOISE_MODELS`.
        plan: the plan, which may set options.
        given: options, of which the model takes those that it has.
    """
    model = plan.noise_model(name)
    declared = options_of(model)
    taken = {
        key: value
        for key, value in given.items()
        if key in declared
        and declared[key][1].command_line
        and (not declared[key][1].choices or value in declared[key][1].choices)
    }
    return dataclasses.replace(model, **taken)


def check_pair(output: Output, noise: NoiseModel, plan: Plan) -> None:
    """Refuse outputs, noise models and plans that do not go together.

    Args:
        output: what the network's numbers mean.
        noise: the noise model.
        plan: the training plan.

    Raises:
        ConfigError: with one sentence that gives the reason.
    """
    if output.weighs_by_trust and noise.predicts_covariance:
        raise ConfigError(
            f"Settings: expected a noise model of positions with {output.name}, got {_listed_name(noise)!r}: "
            f"{output.name} predict no covariance. Use gum, tukey, huber, l1 or l2."
        )
    if output.for_classes and noise.needs_refit:
        raise ConfigError(
            f"Settings: expected noise 'l2', which counts every label in full, with classes, got {noise.name!r}: a "
            "class has no residual to judge it by."
        )
    if plan.classes != output.for_classes:
        fitting = ", ".join(name for name, one in PLANS.items() if one.classes != plan.classes)
        raise ConfigError(f"Settings: expected protocol of {fitting} with {output.name}, got {plan.name!r}.")
    scale = getattr(noise, "scale", "epoch")
    if scale != "epoch" and (plan.rounds or output.weighs_by_trust):
        why = (
            f"protocol {plan.name!r}: it takes the scale of the whole training set after every epoch"
            if plan.rounds
            else f"{output.name}: the scale serves the labels' trust only, which needs the refits"
        )
        raise ConfigError(f"Settings: expected scale 'epoch', got {scale!r} with {why}.")


def _described(model: NoiseModel | Output) -> dict[str, Any]:
    """The name of a noise model or an output, and its fields that are numbers and words."""
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model) if field.init}
    return {"name": _listed_name(model)} | {
        name: value
        for name, value in fields.items()
        if name not in OF_TABLE and (value is None or isinstance(value, str | int | float))
    }


def _listed_name(model: NoiseModel | Output) -> str:
    """The name under which the command line knows a model."""
    if isinstance(model, PredictedNoise):
        return next((f"predicted-{name}" for name, one in FAMILIES.items() if one == model.penalty), model.name)
    return model.name


def _named(what: str, known: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """The model of a mapping with a name and options."""
    options = dict(values)
    name = options.pop("name", None)
    if name not in known:
        raise ConfigError(f"Settings: expected {what} of {', '.join(known)}, got {name!r}.")
    try:
        return known[name](**options)
    except TypeError as error:
        raise ConfigError(f"Settings: expected options of {what} {name!r}, got {error}.") from None


def _check_size(size: object) -> None:
    if size is None:
        return
    sides = size if isinstance(size, tuple) and len(size) == 2 else (size,)
    if not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides):
        raise ConfigError(f"Settings: expected size >= 1, got {size!r}. Give a side, or (height, width), in whole px.")
