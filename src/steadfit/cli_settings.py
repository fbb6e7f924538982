"""From options to settings: what was given is put together, and refused where it has no meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from typer import Context

from steadfit.cli_words import CLASSIFIED, FOR_CLASSIFICATION, FOR_HEATMAPS, FOR_REGRESSION, HEATMAP_NETWORKS, Noise
from steadfit.errors import ConfigError

if TYPE_CHECKING:  # --help must not import torch
    from steadfit.training import Settings
    from steadfit.training.classification import ClassifierSettings


def words(text: str) -> list[str]:
    """What commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]


def refuse(ctx: Context, *names: str, where: str) -> None:
    """Raises ConfigError for the first of these options that the user has written, as it does nothing here.

    ``where`` reads on from "has no meaning".
    """
    if found := _given(ctx, *names):
        raise ConfigError(f"--{found[0].replace('_', '-')}: has no meaning {where}. Leave it out.")


def check_loss(ctx: Context, *losses: str) -> None:
    """Raises ConfigError for gamma or margin where none of the losses has one."""
    takes = {
        "gamma": any(loss == "focal" or loss.startswith("anchor") for loss in losses),
        "margin": any(loss.startswith("anchor") for loss in losses),
    }
    refuse(ctx, *(name for name, taken in takes.items() if not taken), where=f"with --loss {', '.join(losses)}")


def regression_settings(
    ctx: Context, values: Mapping[str, Any], *, noise: str, seed: int, fine: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of a network for points or numbers.

    Args:
        values: what the options of training say. fine: what those of a cascade's second stage say.
    """
    from steadfit.training import Settings

    refuse(ctx, *FOR_CLASSIFICATION, where="with --task regression")
    networks = {values["network"], (fine or {}).get("network", values["network"])}
    if (found := _given(ctx, *FOR_HEATMAPS)) and not networks & {*HEATMAP_NETWORKS}:
        raise ConfigError(
            f"--{found[0]}: expected a heatmap network ({', '.join(HEATMAP_NETWORKS)}) or --task classification, "
            f"got --network {values['network']}. Coordinates are trained by their noise model."
        )
    with _readable_errors("Settings"):
        return Settings(**values, noise=noise, seed=seed)


def compared_settings(ctx: Context, values: Mapping[str, Any], noises: Sequence[str], *, seed: int) -> Settings:
    """The settings that several noise models have in common, with the first noise model that can have them all.

    A scale or a warm-up is a setting of those that have one; it is refused where none of them has.
    """
    if unknown := [name for name in noises if name not in [*Noise]]:
        raise ConfigError(f"--methods: expected noise models of {', '.join(Noise)}, got {unknown[0]!r}.")
    refusals = []
    for noise in noises or [Noise.gum.value]:
        try:
            return regression_settings(ctx, values, noise=noise, seed=seed)
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]


def fine_settings(coarse: Settings, given: Mapping[str, Any]) -> Settings:
    """The settings of the second stage: the first one's, but for what is given, and for what its noise model or
    network cannot have."""
    other = given.get("network", coarse.network) != coarse.network
    weights = None if other else coarse.weights  # of another network they would fit nowhere
    with _readable_errors("Settings", told="second stage: "):
        noise = given.get("noise", coarse.noise)
        return dataclasses.replace(coarse.with_noise(noise), **{"weights": weights} | dict(given))


def classifier_settings(ctx: Context, values: Mapping[str, Any], *, seed: int) -> ClassifierSettings:
    """The settings of a classifier."""
    from steadfit.training.classification import ClassifierSettings

    refuse(ctx, *FOR_REGRESSION, where="with --task classification")
    chosen = {name: values[name] for name in CLASSIFIED if name in values} | {"augment": values["mirror"]}
    unset = {"network": "default", "head": "auto"}
    chosen |= {name: values[name] for name, word in unset.items() if values[name] != word}
    with _readable_errors("ClassifierSettings"):
        return ClassifierSettings(**chosen, seed=seed)


def _given(ctx: Context, *names: str) -> list[str]:
    """Which of these options the user has written."""
    sources = {name: ctx.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


@contextmanager
def _readable_errors(who: str, told: str = "") -> Iterator[None]:
    """What settings object to becomes a ConfigError about the options, which begins with ``told``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ConfigError(told + str(error).removeprefix(f"{who}: ")) from None
