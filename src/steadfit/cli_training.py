"""The options of training on the command line: settings, and the second stage of a cascade."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from typer import Option

from steadfit.cli_options import AUTO, NAME
from steadfit.cli_words import (
    CLASS_LOSSES,
    HEATMAP_LOSSES,
    HEATMAP_NETWORKS,
    NETWORKS,
    Covariance,
    Decoding,
    Head,
    Location,
    Loss,
    Network,
    Noise,
    Optimizer,
    Placing,
    ProtocolName,
    Residuals,
    Scale,
    Unit,
    WarmUp,
)
from steadfit.errors import ConfigError

TRAIN: dict[str, Any] = {"rich_help_panel": "Training"}
MODEL: dict[str, Any] = {"rich_help_panel": "Network and noise model"}
STAGES: dict[str, Any] = {"rich_help_panel": "Coarse to fine"}
LOSSES: dict[str, Any] = {"rich_help_panel": "Loss of heatmap networks and of classification"}


def training(
    epochs: Annotated[
        int | None,
        Option(
            help="Passes over the training set.",
            min=1,
            metavar="N",
            show_default="30; classification: the protocol's",
            **TRAIN,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        Option(help="Samples a step.", min=2, metavar="N", show_default="64; classification: 128", **TRAIN),
    ] = None,
    lr: Annotated[
        float | None, Option(help="Largest step size.", metavar="X", show_default="the protocol's", **TRAIN)
    ] = None,
    optimizer: Annotated[
        Optimizer | None, Option(help=f"{', '.join(Optimizer)}.", show_default="the protocol's", **NAME, **TRAIN)
    ] = None,
    size: Annotated[
        str | None,
        Option(
            help="Side of the network's input in px; not of classification also height x width: 120x80.",
            metavar="N",
            show_default="48; classification: the images' own",
            **TRAIN,
        ),
    ] = None,
    color: Annotated[
        bool | None,
        Option(
            "--color/--grey",
            help="Whether the network sees colours.",
            show_default="grey; classification: colour",
            **TRAIN,
        ),
    ] = None,
    mirror: Annotated[
        bool,
        Option(help="Mirror half of the training images (points need pairs). Classification: crop them too.", **TRAIN),
    ] = True,
    unit: Annotated[
        Unit, Option(help=f"gum: what is right or wrong as a whole: {', '.join(Unit)}.", **NAME, **MODEL)
    ] = Unit.point,
    scale: Annotated[
        Scale,
        Option(
            help="huber, tukey: the scale is the MAD of the training set after every epoch (epoch), of the batch "
            "(batch), or an average over batches (running).",
            **NAME,
            **MODEL,
        ),
    ] = Scale.epoch,
    warmup: Annotated[
        WarmUp | None,
        Option(
            help="l1, huber, tukey, gum: the loss of the first epochs: l1, l2, or (huber, tukey) the model's own at 7 "
            "times the scale (wide).",
            show_default="l1; protocol paper: l2",
            **NAME,
            **MODEL,
        ),
    ] = None,
    covariance: Annotated[
        Covariance, Option(help=f"predicted-*: the shape of the covariances: {', '.join(Covariance)}.", **NAME, **MODEL)
    ] = Covariance.full,
    location: Annotated[
        Location, Option(help="predicted-*: nu (the mean is A^-1 nu) or mu (the mean).", **NAME, **MODEL)
    ] = Location.nu,
    network: Annotated[
        Network,
        Option(
            help=f"{', '.join(NETWORKS)}; for heatmaps of points {', '.join(HEATMAP_NETWORKS)}. default: compact "
            "for images, an MLP for features, resnet20 for classification.",
            **NAME,
            **MODEL,
        ),
    ] = Network.default,
    head: Annotated[
        Head,
        Option(help=f"What pools the last map: {', '.join([*Head][1:])}; auto is the network's own.", **NAME, **MODEL),
    ] = Head.auto,
    weights: Annotated[
        str | None,
        Option(
            help="Start from a run, a file of weights (.safetensors, .pth), or 'imagenet'. Of a cascade every stage of "
            "that network does.",
            **MODEL,
            **AUTO,
        ),
    ] = None,
    loss: Annotated[
        Loss | None,
        Option(
            help=f"Heatmaps: {', '.join(HEATMAP_LOSSES)}. Classification: {', '.join(CLASS_LOSSES)}.",
            show_default="bce; classification: ce",
            **NAME,
            **LOSSES,
        ),
    ] = None,
    gamma: Annotated[
        float | None,
        Option(
            help="Exponent of focal and anchor loss.",
            min=0,
            max=5,
            metavar="X",
            show_default="2; classification: 0.5, anchor-warmup 2",
            **LOSSES,
        ),
    ] = None,
    margin: Annotated[
        float | None,
        Option(
            help="Anchor loss: what scores less than that below the right place or class counts as confused with it.",
            min=0,
            max=1,
            metavar="X",
            show_default="0; classification: 0.05",
            **LOSSES,
        ),
    ] = None,
    decoding: Annotated[
        Decoding,
        Option(
            help="How heatmaps are read: to a fraction of a pixel (refined), to a quarter, to the pixel (argmax).",
            **NAME,
            **LOSSES,
        ),
    ] = Decoding.refined,
    protocol: Annotated[
        ProtocolName | None,
        Option(
            help="How the step size goes. steady: one cycle, refit after every epoch. paper: DeepGUM's Algorithm 1 (L2 "
            "first, then rounds). staged: the Huber distribution's (head first, then falling steps), for pre-trained "
            "networks. hourglass: anchor loss's for poses. convnet: Tukey's, for that network. Classification: "
            "one-cycle, or anchor loss's cifar and imagenet.",
            show_default="steady; classification: one-cycle",
            **NAME,
            **TRAIN,
        ),
    ] = None,
    residuals: Annotated[
        Residuals,
        Option(
            help="What refits see: a forward pass over the training set (pass), or what the epoch saw (epoch).",
            **NAME,
            **TRAIN,
        ),
    ] = Residuals["pass"],
    patience: Annotated[
        int | None,
        Option(
            help="Stop after so many epochs without a lower validation loss; 0: never.",
            min=0,
            metavar="N",
            show_default="the protocol's",
            **TRAIN,
        ),
    ] = None,
    warp: Annotated[
        bool,
        Option("--warp", help="Turn, scale, stretch, tilt, shift training images at random (slower epochs).", **TRAIN),
    ] = False,
    workers: Annotated[int, Option(help="Processes that read images.", min=0, metavar="N", **TRAIN)] = 0,
) -> dict[str, Any]:
    """The settings that all commands which train have in common; those that were not given are left out."""
    values = dict(locals())
    color = values.pop("color")
    values["channels"] = None if color is None else 3 if color else 1
    values["size"] = None if size is None else _frame_size(size)
    return {name: getattr(value, "value", value) for name, value in values.items() if value is not None}


def _frame_size(text: str, option: str = "--size") -> int | tuple[int, int]:
    """``"48"``, or ``"120x80"``: height x width."""
    sides = text.lower().split("x")
    numbers = [int(side) for side in sides if side.isdecimal() and int(side) >= 16]
    if len(numbers) != len(sides) or len(sides) > 2:
        raise ConfigError(
            f"{option}: expected a side >= 16 such as 48, or height x width such as 120x80, got {text!r}."
        )
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def staging(
    cascade: Annotated[
        bool,
        Option("--cascade", help="Two stages: a network for all points, then a closer look at each region.", **STAGES),
    ] = False,
    regions: Annotated[
        Path | None,
        Option(
            help="YAML file of regions: a name, and its points. Without it bodies of 14 joints have head-shoulders, "
            "torso-hips, knees-ankles; faces, told by their points' names or their number (5, 68, 98), have eyes, "
            "nose, mouth.",
            **STAGES,
            **AUTO,
        ),
    ] = None,
    fine_network: Annotated[
        Network | None, Option(help="Network of the second stage.", show_default="that of --network", **NAME, **STAGES)
    ] = None,
    fine_noise: Annotated[
        Noise | None, Option(help="Its noise model.", show_default="that of --noise", **NAME, **STAGES)
    ] = None,
    fine_size: Annotated[
        str | None,
        Option(help="Its input in px: a side, or HxW.", show_default="that of --size", metavar="N", **STAGES),
    ] = None,
    fine_epochs: Annotated[
        int | None,
        Option(
            help="Its passes over the training set.", show_default="those of --epochs", min=1, metavar="N", **STAGES
        ),
    ] = None,
    placing: Annotated[
        Placing,
        Option(
            help="Where its training crops lie. jitter: misplaced as the first stage misplaces them on validation "
            "images. folds: by networks that have not seen the image (five more trainings of the first stage).",
            **NAME,
            **STAGES,
        ),
    ] = Placing.jitter,
) -> dict[str, Any]:
    """The options of a cascade; the second stage's settings by the names that they have in the first."""
    fine = {"network": fine_network, "noise": fine_noise, "size": fine_size, "epochs": fine_epochs}
    given = {name: getattr(value, "value", value) for name, value in fine.items() if value is not None}
    if fine_size is not None:
        given["size"] = _frame_size(fine_size, "--fine-size")
    return {"cascade": cascade, "regions": regions, "placing": placing.value, "fine": given}


Training: TypeAlias = dict[str, Any]
Staging: TypeAlias = dict[str, Any]
