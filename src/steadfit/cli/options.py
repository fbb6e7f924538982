"""The options of commands in addition to those of training: data, folders, what the columns mean, measures."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from typer import Argument, Option
from typer.core import TyperCommand

from steadfit.cli.declared import formats
from steadfit.cli.training import CLASS_LOSSES, HEATMAP_LOSSES, NAME, NOISES, among

# These words are repeated here, as --help must not import torch; a test compares them with the library's.
Task = StrEnum("Task", ["regression", "classification"])
Device = StrEnum("Device", ["auto", "cpu", "cuda", "mps"])
View = StrEnum("View", ["mirror", "scales"])
Measure = StrEnum("Measure", ["median", "mean"])
Weigh = StrEnum("Weigh", ["auto", "estimate", "none"])
Kind = StrEnum("Kind", ["ngo", "l_ugo", "g_ugo", "swap", "gaussian", "symmetric"])
Split = StrEnum("Split", ["train", "val", "test", "all"])
Sides = StrEnum("Sides", ["person", "observer"])
Visibility = StrEnum("Visibility", ["auto", "occluded", "missing", "codes"])
Coordinates = StrEnum("Coordinates", ["pixels", "shares", "percent"])
BoxFit = StrEnum("BoxFit", ["inside", "stretch"])
Exif = StrEnum("Exif", ["honour", "ignore"])
COMPARED_NOISES = ("l2", "huber", "tukey", "gum")
COMPARED_LOSSES = ("ce", "bce", "ohem", "focal", "anchor")

READING: dict[str, Any] = {"rich_help_panel": "How annotations are read", "show_default": False}
MEANING: dict[str, Any] = {
    "rich_help_panel": "What the columns mean (overrides dataset.yaml)",
    "show_default": False,
}

DESCRIBED = "written from the description of the format, without a sample of its own tool"


def listed_formats() -> str:
    """The formats in three paragraphs: read and written, only read, and what a star means."""
    shown = {one.name: f"{one.name} ({one.title}){'' if one.original else ' *'}" for one in formats()}
    both = ["csv", "parquet", *(shown[one.name] for one in formats() if one.writes)]
    only = ["excel (with the extra 'excel')", *(shown[one.name] for one in formats() if not one.writes)]
    classes = [
        "cifar (CIFAR-10 and CIFAR-100, binary version)",
        "class-folders (folders of images named after classes)",
    ]
    paragraphs = [f"Read and written: {', '.join(both)}.", f"Only read: {', '.join([*only, *classes])}."]
    return "\n\n".join([*paragraphs, f"* {DESCRIBED}."])


class ListsFormats(TyperCommand):
    """A command whose help ends with all formats, which are looked up when the help is shown."""

    @property
    def epilog(self) -> str:
        """The end of the help."""
        return listed_formats()

    @epilog.setter
    def epilog(self, value: str | None) -> None:
        """What is given beforehand does not count."""


Table = Annotated[
    Path,
    Argument(
        help="File or folder of annotations in any format, such as a CSV or Parquet table, COCO, CVAT, DeepLabCut.",
        show_default=False,
    ),
]
Data = Annotated[
    Path,
    Argument(
        help="File or folder of annotations in any format, such as a CSV or Parquet table, COCO, CVAT, DeepLabCut. "
        "For classification also CIFAR's binary files, or folders of images named after their classes.",
        show_default=False,
    ),
]
RunFolder = Annotated[Path, Argument(help="A run folder.", show_default=False)]
Out = Annotated[Path, Option("--out", "-o", help="Folder for everything that is written.")]
Seed = Annotated[
    int, Option(help="Seed of initial weights, order, mirroring and drawn splits.", min=0, max=2**32 - 1, metavar="N")
]
Hardware = Annotated[Device, Option("--device", help="Device to compute on; auto takes a GPU if there is one.")]
SkipBad = Annotated[bool, Option("--skip-bad", help="Leave bad rows out, and list them, instead of stopping.")]
Truth = Annotated[
    Path | None, Option(help="truth.csv of 'steadfit corrupt', to score the suspects.", exists=True, dir_okay=False)
]
NoiseOf = Annotated[
    str,
    Option(
        "--noise",
        help=f"What training believes about label errors: {', '.join(NOISES)}.",
        callback=among(NOISES),
        **NAME,
    ),
]
TaskOf = Annotated[
    Task,
    Option("--task", help="regression: points or other numbers. classification: the class of an image.", **NAME),
]
Views = Annotated[
    list[View] | None,
    Option(
        help="Also predict from the mirrored image (mirror), or at five further scales (scales); repeat it for both.",
        show_default=False,
        **NAME,
    ),
]
Length = Annotated[
    str | None, Option(help="Normalising length of failures and PCK: a number, a column, or two points 0-1.", **MEANING)
]
Label = Annotated[
    str | None,
    Option(
        help="Classification: the column of the classes (default: label or class); for CIFAR-100 fine or coarse.",
        **MEANING,
    ),
]
Methods = Annotated[
    str | None,
    Option(
        help="Noise models, separated by commas.",
        metavar="NAMES",
        show_default=f"{','.join(COMPARED_NOISES)}; gum with --losses",
    ),
]
Losses = Annotated[
    str | None,
    Option(
        help=f"Losses, separated by commas. For heatmap networks: {', '.join(HEATMAP_LOSSES)}. For classification: "
        f"{', '.join(CLASS_LOSSES)}.",
        metavar="NAMES",
        show_default=f"that of --loss; classification: {','.join(COMPARED_LOSSES)}",
    ),
]
ClassRuns = Annotated[
    int, Option(help="Classification: runs of each loss, with seeds from --seed on.", min=1, metavar="N")
]
TwoMethods = Annotated[
    str, Option(help="Two noise models, separated by a comma; the first is the reference.", metavar="NAMES")
]
Runs = Annotated[
    int, Option("--seeds", help="Runs of each noise model, with seeds from --seed on.", min=1, metavar="N")
]
ErrorOf = Annotated[
    Measure, Option(help="Measure of the validation errors. The median tolerates wrong validation labels.")
]
Within = Annotated[
    float, Option(help="An error counts as reached within this share above the best.", min=0, metavar="X")
]
Inputs = Annotated[
    Path,
    Argument(help="An image, a folder of images, or (except for classification) a table.", show_default=False),
]
Overlays = Annotated[int, Option(help="Number of images to draw, from the first on; -1 for all.", min=-1)]
Coverage = Annotated[
    float | None,
    Option(
        help="Add regions that contain the target with this probability, such as 0.9 (after 'calibrate').",
        show_default=False,
    ),
]
Failure = Annotated[float, Option(help="Failure: an error above this share of the normalising length.", metavar="X")]
Pck = Annotated[
    float, Option(help="PCK: the share of points within this share of the normalising length.", metavar="X")
]
Pcp = Annotated[
    float, Option(help="PCP: the share of a body's parts with ends within this share of the part.", metavar="X")
]
Json = Annotated[Path | None, Option("--out", "-o", help="File for the numbers, as JSON.", show_default=False)]
HeldOut = Annotated[
    Path | None,
    Argument(help="Another table, with labels that were not trained on. Default: the run's own.", show_default=False),
]
CalibratedViews = Annotated[
    list[View] | None, Option(help="Calibrate predictions with these further views.", show_default=False)
]
PerPoint = Annotated[bool, Option("--per-point", help="One temperature for each point instead of one for all.")]
Weighing = Annotated[
    Weigh,
    Option(
        help="Weigh labels by their probability of being right. auto: the mixture's, for a run that has one; "
        "estimate: estimated from these labels; none: all in full."
    ),
]


def reading(
    format: Annotated[
        str | None,
        Option(
            "--format",
            help="Format of the annotations, as listed by 'steadfit convert --help'; default: found by content.",
            metavar="NAME",
            **READING,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        Option("--images", help="Folder that the paths of images are relative to; default: near the file.", **READING),
    ] = None,
) -> dict[str, Any]:
    """The options that determine how annotations are found and read."""
    return {"format": format, "images": images}


def columns(
    points: Annotated[str | None, Option(help="Names of the points: left_eye,right_eye,…", **MEANING)] = None,
    targets: Annotated[str | None, Option(help="Scalar target columns instead of points: age,yaw", **MEANING)] = None,
    features: Annotated[str | None, Option(help="Feature columns of a table without images.", **MEANING)] = None,
    categories: Annotated[
        str | None, Option(help="Feature columns of words, whose values become features: colour,make", **MEANING)
    ] = None,
    impute: Annotated[
        bool, Option("--impute", help="Fill missing features with the column's median, and flag them.", **MEANING)
    ] = False,
    missing: Annotated[
        str | None, Option(help="Numbers that mean 'missing' in targets and features: -200,9999", **MEANING)
    ] = None,
    pairs: Annotated[
        str | None, Option(help="Left and right points that mirroring exchanges: 0-1,3-4 or names.", **MEANING)
    ] = None,
    normalizer: Length = None,
    units: Annotated[str | None, Option(help="Unit of the targets; default px for points.", **MEANING)] = None,
    visibility: Annotated[
        Visibility | None,
        Option(
            help="What v = 0 with coordinates means: annotated though occluded, or missing; auto: missing at (0, 0), "
            "else occluded. codes: exactly 0 missing, 1 occluded, 2 visible.",
            **MEANING,
        ),
    ] = None,
    coordinates: Annotated[
        Coordinates | None,
        Option(help="What points count: pixels, shares of width and height (0 to 1), or percent of them.", **MEANING),
    ] = None,
    origin: Annotated[
        int | None, Option(help="1: pixels are counted from 1 instead of 0.", min=0, max=1, metavar="N", **MEANING)
    ] = None,
    sides: Annotated[
        Sides | None,
        Option(
            help="Left and right as annotated (person), or by their places in the image (observer): then the first of "
            "every pair is farther left.",
            **MEANING,
        ),
    ] = None,
    box: Annotated[
        str | None,
        Option(
            help="What the network sees: columns left,top,width,height; 'points': a box around them; 'image': all of "
            "the image, whatever boxes there are.",
            **MEANING,
        ),
    ] = None,
    box_margin: Annotated[
        str | None,
        Option(help="Margin of the box of points: a share of its longer side, or px across,down: 20,10.", **MEANING),
    ] = None,
    box_fit: Annotated[
        BoxFit | None,
        Option(help="How the box fits into the frame: in its own aspect (inside) or filling it (stretch).", **MEANING),
    ] = None,
    exif: Annotated[
        Exif | None,
        Option(
            help="How images with an EXIF orientation are read: turned, as annotation tools show them (honour, the "
            "default), or as they are stored (ignore).",
            **MEANING,
        ),
    ] = None,
) -> dict[str, Any]:
    """The options that determine what the columns mean."""
    named: dict[str, Any] = {
        "points": points,
        "targets": targets,
        "features": features,
        "pairs": pairs,
        "normalizer": normalizer,
    }
    named |= {"categories": categories, "impute": impute or None, "missing": missing, "origin": origin}
    named |= {"box": box, "box_margin": box_margin, "units": units}
    words = {"box_fit": box_fit, "visibility": visibility, "coordinates": coordinates, "sides": sides, "exif": exif}
    return named | {name: None if word is None else word.value for name, word in words.items()}


def options_of(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that expands arguments of a command into options.

    The command's argument of each name is replaced by the options of that function, and gets what the function returns.
    """

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
Reading: TypeAlias = dict[str, Any]
