"""The options of training, made from the declarations of settings, noise models and outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from typer import BadParameter, Option

from steadfit.cli.declared import Declared, Source, models, options
from steadfit.errors import ConfigError

NAME: dict[str, Any] = {"metavar": "NAME"}  # where the words would fill the column; the help text has them
PANELS = {
    "settings": "Training",
    "noise": "Network and noise model",
    "outputs": "Loss of heatmap networks and of classification",
    "stages": "Coarse to fine",
}
NUMBERS: dict[str, type] = {"int": int, "float": float}

NOISES: tuple[str, ...] = tuple(Source.of("noise").constant("NOISE_MODELS"))
NETWORKS: tuple[str, ...] = tuple(Source.of("networks.choice").constant("NETWORKS"))
HEATMAP_NETWORKS: tuple[str, ...] = tuple(Source.of("networks.hourglass").constant("HEATMAP_NETWORKS"))
HEATMAP_LOSSES: tuple[str, ...] = tuple(Source.of("outputs.heatmaps").constant("HEATMAP_LOSSES"))
CLASS_LOSSES: tuple[str, ...] = tuple(Source.of("outputs.classes").constant("CLASS_LOSSES"))

Training: TypeAlias = dict[str, Any]
Staging: TypeAlias = dict[str, Any]


def among(words: Sequence[str]) -> Callable[[str | None], str | None]:
    """A callback that refuses all other words as an option's value."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in words:
            raise BadParameter(f"{value!r} is not one of {', '.join(map(repr, words))}.")
        return value

    return check


def of_settings() -> dict[str, dict[str, Declared]]:
    """The options of :class:`steadfit.training.Settings`."""
    source = Source.of("training.settings")
    return {"settings": options("Settings", {name: (node, source) for name, node in source.classes().items()})}


def of_noise() -> dict[str, dict[str, Declared]]:
    """The options of every noise model, by its name."""
    return {name: found for name, found in models("noise").items() if found}


def of_outputs() -> dict[str, dict[str, Declared]]:
    """The options of every output, by its name."""
    return {name: found for name, found in models("outputs").items() if found}


def names_of(owners: Mapping[str, Mapping[str, Declared]]) -> tuple[str, ...]:
    """The options that the command line offers of several models, each name once."""
    found = (name for own in owners.values() for name, one in own.items() if one.option.command_line)
    return tuple(dict.fromkeys(found))


def parameters(owners: Mapping[str, Mapping[str, Declared]], panel: str) -> list[inspect.Parameter]:
    """One option of the command line for every name that the models have; its value is None unless it is given.

    Args:
        owners: the options of several models, by their names.
        panel: a key of :data:`PANELS`.
    """
    return [_parameter(name, _having(owners, name), panel) for name in names_of(owners)]


def documented(owners: Mapping[str, Mapping[str, Declared]]) -> list[tuple[str, str, str]]:
    """The rows of a table of options: the option as it is written, its help, its default.

    Args:
        owners: the options of several models, by their names.
    """
    rows = []
    for name in names_of(owners):
        having = _having(owners, name)
        written, default = f"`--{name.replace('_', '-')}`", _shown_default(having)
        if any(one.type == "bool" for one in having.values()):
            written += f", `--no-{name.replace('_', '-')}`"
        rows.append((written, _help(having).replace("|", "or"), default if isinstance(default, str) else ""))
    return rows


def _having(owners: Mapping[str, Mapping[str, Declared]], name: str) -> dict[str, Declared]:
    return {owner: own[name] for owner, own in owners.items() if name in own and own[name].option.command_line}


def _parameter(name: str, owners: Mapping[str, Declared], panel: str) -> inspect.Parameter:
    first = next(iter(owners.values()))
    choices = tuple(dict.fromkeys(choice for one in owners.values() for choice in one.option.choices))
    kind = first.type.removesuffix(" | None")
    more: dict[str, Any] = {"rich_help_panel": PANELS[panel], "show_default": _shown_default(owners)}
    value: Any = NUMBERS.get(kind, bool if kind == "bool" else str)
    if choices:
        more |= {"callback": among(choices)} | NAME
    elif kind in NUMBERS:
        more |= {"min": _least(owners), "max": _most(owners), "metavar": "N" if kind == "int" else "X"}
    annotation = Annotated[value | None, Option(help=_help(owners), **more)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _help(owners: Mapping[str, Declared]) -> str:
    """The help of the option, after the names of the models that have it; with the words that it takes."""
    sentences: dict[str, list[str]] = {}
    for owner, one in owners.items():
        words = "" if _all_in(one.option.choices, one.option.help) else f": {', '.join(one.option.choices)}"
        sentences.setdefault(f"{one.option.help}{words}", []).append(owner)
    parts = [
        sentence[0].upper() + sentence[1:] if names == ["settings"] else f"{', '.join(names)}: {sentence}"
        for sentence, names in sentences.items()
    ]
    return ". ".join(parts) + "."


def _all_in(choices: Sequence[str], sentence: str) -> bool:
    """Whether a sentence explains every word by itself."""
    return all(f"({choice})" in sentence or f"{choice}: " in sentence for choice in choices)


def _shown_default(owners: Mapping[str, Declared]) -> str | bool:
    defaults = {
        owner: one.default for owner, one in owners.items() if one.default is not None and one.default is not False
    }
    if not defaults:
        return False
    if len(set(defaults.values())) == 1 and len(defaults) == len(owners):
        value = next(iter(defaults.values()))
        return "on" if value is True else f"{value}"
    return "; ".join(f"{owner}: {value}" for owner, value in defaults.items())


def _least(owners: Mapping[str, Declared]) -> float | None:
    found = [one.option.low for one in owners.values()]  # a bound that is excluded is checked by the model
    return None if None in found else min(value for value in found if value is not None)


def _most(owners: Mapping[str, Declared]) -> float | None:
    found = [one.option.high for one in owners.values()]
    return None if None in found else max(value for value in found if value is not None)


def group(made: list[inspect.Parameter]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that puts options before a function's own; it gets those that are given as ``given``, a dict."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        own = [one for one in inspect.signature(function, eval_str=True).parameters.values() if one.name != "given"]
        names = [one.name for one in made]

        def call(**values: Any) -> Any:
            given = {name: value for name in names if (value := values.pop(name, None)) is not None}
            return function(given=given, **values)

        call.__signature__ = inspect.Signature([*made, *own])  # type: ignore[attr-defined]
        call.__doc__ = function.__doc__
        return call

    return decorate


@group([*parameters(of_settings(), "settings"), *parameters(of_noise(), "noise"), *parameters(of_outputs(), "outputs")])
def training(
    *,
    given: dict[str, Any],
    size: Annotated[
        str | None,
        Option(
            help="Side of the network's input in px, or height x width: 120x80.",
            metavar="N",
            show_default="48; classification: the images' own",
            rich_help_panel=PANELS["settings"],
        ),
    ] = None,
    color: Annotated[
        bool | None,
        Option(
            "--color/--grey",
            help="Whether the network sees colours.",
            show_default="grey; classification: colour",
            rich_help_panel=PANELS["settings"],
        ),
    ] = None,
    network: Annotated[
        str,
        Option(
            help=f"{', '.join(NETWORKS)}; for heatmaps of points {', '.join(HEATMAP_NETWORKS)}. default means compact "
            "for images, an MLP for features, resnet20 for classification.",
            callback=among(("default", *NETWORKS, *HEATMAP_NETWORKS)),
            rich_help_panel=PANELS["noise"],
            **NAME,
        ),
    ] = "default",
) -> Training:
    """The options that all commands share which train; options that were not given are left out."""
    given |= {"network": network}
    given |= {} if color is None else {"channels": 3 if color else 1}
    return given if size is None else given | {"size": frame_size(size)}


def frame_size(text: str, option: str = "--size") -> int | tuple[int, int]:
    """A size from ``"48"``, or from ``"120x80"``: height x width.

    Args:
        text: the value of the option.
        option: its name, for the message.

    Raises:
        ConfigError: anything else, or a side below 16.
    """
    sides = text.lower().split("x")
    numbers = [int(side) for side in sides if side.isdecimal() and int(side) >= 16]
    if len(numbers) != len(sides) or len(sides) > 2:
        raise ConfigError(
            f"{option}: expected a side >= 16 such as 48, or height x width such as 120x80, got {text!r}."
        )
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


STAGES: dict[str, Any] = {"rich_help_panel": PANELS["stages"]}


def staging(
    *,
    cascade: Annotated[
        bool,
        Option("--cascade", help="Two stages: a network for all points, then one for each region.", **STAGES),
    ] = False,
    regions: Annotated[
        Path | None,
        Option(
            help="YAML file of regions: a name, and its points. Default: head-shoulders, torso-hips, knees-ankles for "
            "bodies of 14 joints; eyes, nose, mouth for faces, recognised by their points' names or number (5, 68, "
            "98).",
            show_default=False,
            **STAGES,
        ),
    ] = None,
    fine_network: Annotated[
        str | None,
        Option(
            help="Network of the second stage.",
            callback=among(("default", *NETWORKS, *HEATMAP_NETWORKS)),
            show_default="that of --network",
            **NAME,
            **STAGES,
        ),
    ] = None,
    fine_noise: Annotated[
        str | None,
        Option(
            help="Noise model of the second stage.",
            callback=among(NOISES),
            show_default="that of --noise",
            **NAME,
            **STAGES,
        ),
    ] = None,
    fine_size: Annotated[
        str | None,
        Option(
            help="Input of the second stage in px: a side, or HxW.",
            show_default="that of --size",
            metavar="N",
            **STAGES,
        ),
    ] = None,
    fine_epochs: Annotated[
        int | None,
        Option(
            help="Passes of the second stage over the training set.",
            show_default="those of --epochs",
            min=1,
            metavar="N",
            **STAGES,
        ),
    ] = None,
    placing: Annotated[
        str,
        Option(
            help="How training crops of the second stage are placed. jitter: misplaced as the first stage misplaces "
            "them on validation images. folds: by networks that have not seen the image (five more trainings of the "
            "first stage).",
            callback=among(("jitter", "folds")),
            **NAME,
            **STAGES,
        ),
    ] = "jitter",
) -> Staging:
    """The options of a cascade; the second stage's settings have the names of the first stage's."""
    fine = {"network": fine_network, "noise": fine_noise, "epochs": fine_epochs}
    given: dict[str, Any] = {name: value for name, value in fine.items() if value is not None}
    if fine_size is not None:
        given["size"] = frame_size(fine_size, "--fine-size")
    return {"cascade": cascade, "regions": regions, "placing": placing, "fine": given}
