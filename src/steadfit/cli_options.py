"""The options of the command line: their words, help texts and groups."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from typer import Argument, Option

# The words are repeated here, for --help must not import torch; a test compares them with the library's.
Noise = StrEnum(
    "Noise",
    {
        "l2": "l2",
        "l1": "l1",
        "huber": "huber",
        "tukey": "tukey",
        "gum": "gum",
        "predicted_gauss": "predicted-gauss",
        "predicted_laplace": "predicted-laplace",
        "predicted_huber": "predicted-huber",
        "predicted_charbonnier": "predicted-charbonnier",
        "predicted_mixture": "predicted-mixture",
    },
)
Covariance = StrEnum("Covariance", ["identity", "diagonal", "full"])
Location = StrEnum("Location", ["nu", "mu"])
Network = StrEnum("Network", ["default", "compact", "resnet18", "resnet50", "resnet101"])
Head = StrEnum("Head", ["auto", "depthwise", "average", "flatten"])
View = StrEnum("View", ["mirror"])
Weigh = StrEnum("Weigh", ["auto", "estimate", "none"])
Unit = StrEnum("Unit", ["sample", "point", "coordinate"])
ProtocolName = StrEnum("ProtocolName", ["steady", "paper", "staged"])
Residuals = StrEnum("Residuals", ["pass", "epoch"])
Kind = StrEnum("Kind", ["ngo", "l_ugo", "g_ugo", "swap", "gaussian", "symmetric"])
Split = StrEnum("Split", ["train", "val", "test", "all"])
Device = StrEnum("Device", ["auto", "cpu", "cuda", "mps"])
Visibility = StrEnum("Visibility", ["occluded", "missing"])

DATA, TRAINING, NETWORK = "What the columns mean (overrides dataset.yaml)", "Training", "Network and noise model"
MEANING: dict[str, Any] = {"rich_help_panel": DATA, "show_default": False}
TRAIN: dict[str, Any] = {"rich_help_panel": TRAINING}
MODEL: dict[str, Any] = {"rich_help_panel": NETWORK}

Table = Annotated[Path, Argument(help="CSV or Parquet table, or a folder with annotations.csv.", show_default=False)]
RunFolder = Annotated[Path, Argument(help="A run folder.", show_default=False)]
Out = Annotated[Path, Option("--out", "-o", help="Folder for everything that is written.")]
Seed = Annotated[int, Option(help="Of initial weights, order, mirroring and drawn splits.", min=0, max=2**32 - 1)]
Hardware = Annotated[Device, Option("--device", help="Where to compute; auto takes a GPU if there is one.")]
SkipBad = Annotated[bool, Option("--skip-bad", help="Leave bad rows out, and list them, instead of stopping.")]
Truth = Annotated[
    Path | None, Option(help="truth.csv of 'steadfit corrupt': scores the suspects.", exists=True, dir_okay=False)
]
Length = Annotated[
    str | None, Option(help="Normalising length of failures: a number, a column, or two points 0-1.", **MEANING)
]


def columns(
    points: Annotated[str | None, Option(help="Names of the points: left_eye,right_eye,…", **MEANING)] = None,
    targets: Annotated[str | None, Option(help="Scalar target columns instead of points: age,yaw", **MEANING)] = None,
    features: Annotated[str | None, Option(help="Feature columns of a table without images.", **MEANING)] = None,
    pairs: Annotated[
        str | None, Option(help="Left/right points that mirroring swaps: 0-1,3-4 or names.", **MEANING)
    ] = None,
    normalizer: Length = None,
    units: Annotated[str | None, Option(help="Unit of the targets; px without it.", **MEANING)] = None,
    visibility: Annotated[
        Visibility | None,
        Option(help="What v = 0 with coordinates means: annotated though occluded, or missing.", **MEANING),
    ] = None,
    box: Annotated[
        str | None,
        Option(help="What the network sees: columns left,top,width,height, or 'points': a box around them.", **MEANING),
    ] = None,
) -> dict[str, Any]:
    """What the columns mean."""
    named = {"points": points, "targets": targets, "features": features, "pairs": pairs, "normalizer": normalizer}
    return named | {"box": box, "units": units, "visibility": None if visibility is None else visibility.value}


def training(
    epochs: Annotated[int, Option(help="Passes over the training set.", min=1, **TRAIN)] = 30,
    batch_size: Annotated[int, Option(help="Samples a step.", min=2, **TRAIN)] = 64,
    lr: Annotated[float | None, Option(help="Largest step size; the protocol's own without it.", **TRAIN)] = None,
    size: Annotated[int, Option(help="Side of the network's input in px.", min=16, **TRAIN)] = 48,
    color: Annotated[bool, Option("--color/--grey", help="Colour or grey input.", **TRAIN)] = False,
    mirror: Annotated[bool, Option(help="Mirror half of the training images (needs pairs).", **TRAIN)] = True,
    unit: Annotated[Unit, Option(help="gum: what is right or wrong as a whole.", **MODEL)] = Unit.point,
    covariance: Annotated[
        Covariance, Option(help="predicted-*: the shape of the predicted covariances.", **MODEL)
    ] = Covariance.full,
    location: Annotated[
        Location, Option(help="predicted-*: nu (the mean is A^-1 nu) or mu (the mean).", **MODEL)
    ] = Location.nu,
    network: Annotated[
        Network, Option(help="default: compact for images, an MLP for features.", **MODEL)
    ] = Network.default,
    head: Annotated[Head, Option(help="What pools the last map; auto: the network's own.", **MODEL)] = Head.auto,
    weights: Annotated[
        str | None, Option(help="Start from a file of weights (.safetensors, .pth), or 'imagenet' (ResNets).", **MODEL)
    ] = None,
    protocol: Annotated[
        ProtocolName,
        Option(
            help="steady: one cycle, refit after every epoch. paper: DeepGUM's Algorithm 1 (L2, rounds). "
            "staged: the Huber distribution's (head first, falling steps; for pre-trained networks).",
            **TRAIN,
        ),
    ] = ProtocolName.steady,
    residuals: Annotated[
        Residuals,
        Option(help="What refits see: a forward pass over the training set, or what the epoch saw.", **TRAIN),
    ] = Residuals["pass"],
    patience: Annotated[
        int | None,
        Option(help="Stop after so many epochs without a lower validation loss; 0: never.", min=0, **TRAIN),
    ] = None,
    warp: Annotated[
        bool,
        Option("--warp", help="Turn, scale, stretch, tilt, shift training images at random (slower epochs).", **TRAIN),
    ] = False,
    workers: Annotated[int, Option(help="Processes that read images.", min=0, **TRAIN)] = 0,
) -> dict[str, Any]:
    """The settings that all commands which train have in common."""
    values: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "size": size,
        "channels": 3 if color else 1,
    }
    values |= {"mirror": mirror, "unit": unit.value, "protocol": protocol.value, "residuals": residuals.value}
    values |= {"covariance": covariance.value, "location": location.value, "network": network.value}
    return values | {"head": head.value, "weights": weights, "patience": patience, "warp": warp, "workers": workers}


def options_of(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command's argument of each name becomes the options of that function, which makes the argument of them."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        inner = {name: inspect.signature(group, eval_str=True).parameters for name, group in groups.items()}
        outer = inspect.signature(command, eval_str=True).parameters.values()
        flat = [option for own in outer for option in (inner[own.name].values() if own.name in groups else [own])]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            made = {name: group(**{key: values.pop(key) for key in inner[name]}) for name, group in groups.items()}
            command(**values, **made)

        keyword = inspect.Parameter.KEYWORD_ONLY
        run.__signature__ = inspect.Signature([one.replace(kind=keyword) for one in flat])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in flat}
        return run

    return decorate


Columns: TypeAlias = dict[str, Any]
Training: TypeAlias = dict[str, Any]
