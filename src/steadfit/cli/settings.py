"""From options to settings: each option goes to the model that has it, and is refused where no model has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from typer import Context

from steadfit.cli.training import HEATMAP_NETWORKS, NOISES, names_of, of_noise, of_outputs
from steadfit.errors import ConfigError

if TYPE_CHECKING:  # --help must not import torch
    from steadfit.outputs import OwnLoss
    from steadfit.training import Settings

CLASSES_ONLY = ("label", "seeds")
"""Options that points and numbers do not have."""
NUMBERS_ONLY = (
    *("noise", "truth", "methods", "points", "targets", "features", "pairs", "normalizer", "units"),
    *("visibility", "sides", "box", "box_margin", "box_fit", "residuals", "patience", "warp", "optimizer", "weights"),
)
"""Options that classes do not have."""
CASCADES_ONLY = ("regions", "fine_network", "fine_noise", "fine_size", "fine_epochs", "placing")
"""Options that a single network does not have."""


def words(text: str) -> list[str]:
    """The words of a list that commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]


def refuse(ctx: Context, *names: str, where: str) -> None:
    """Refuse options that have no effect here.

    Args:
        ctx: the context of the command.
        names: the options.
        where: the situation in which they have no meaning, which completes "has no meaning …".

    Raises:
        ConfigError: for the first of these options that the user has given.
    """
    if found := given(ctx, *names):
        raise ConfigError(f"--{found[0].replace('_', '-')}: has no meaning {where}. Leave it out.")


def given(ctx: Context, *names: str) -> list[str]:
    """The options among these that the user has given.

    Args:
        ctx: the context of the command.
        names: the options.
    """
    sources = {name: ctx.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def network_settings(
    ctx: Context,
    values: Mapping[str, Any],
    *,
    noise: str,
    seed: int,
    losses: Sequence[str] = (),
    fine: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of a network for points or numbers.

    Args:
        ctx: the context of the command.
        values: the options of training that were given.
        noise: the noise model's name.
        seed: the seed of the run.
        losses: the losses of a comparison; empty: only that of ``values``.
        fine: the options of a cascade's second stage that were given; None: no cascade.

    Raises:
        ConfigError: options that have no meaning together.
    """
    from steadfit.outputs import Heatmaps
    from steadfit.training.plans import PLANS, STEADY

    refuse(ctx, *CLASSES_ONLY, where="with --task regression")
    own, of_noise_model, of_output = _sorted_out(values)
    heatmaps = {values["network"], (fine or {}).get("network", values["network"])} & {*HEATMAP_NETWORKS}
    if of_output and not heatmaps:
        raise ConfigError(
            f"--{next(iter(of_output))}: expected a heatmap network ({', '.join(HEATMAP_NETWORKS)}) or --task "
            f"classification, got --network {values['network']}. Coordinates are trained by their noise model."
        )
    if heatmaps and "warmup" in of_noise_model:
        raise ConfigError("--warmup: has no meaning with heatmaps, which are trained by --loss. Leave it out.")
    with _as_config_error():
        output = _output(Heatmaps, of_output, losses) if values["network"] in HEATMAP_NETWORKS else None
        model = PLANS.get(own.get("protocol", ""), STEADY).noise_model(noise, of_noise_model)
        return _settings(own, noise=model, output=output, seed=seed)


def class_settings(ctx: Context, values: Mapping[str, Any], *, seed: int, losses: Sequence[str] = ()) -> Settings:
    """The settings of a network for classes.

    Args:
        ctx: the context of the command.
        values: the options of training that were given.
        seed: the seed of the run.
        losses: the losses of a comparison; empty: only that of ``values``.

    Raises:
        ConfigError: options that have no meaning together.
    """
    from steadfit.outputs import Classes

    refuse(ctx, *NUMBERS_ONLY, *names_of(of_noise()), where="with --task classification")
    own, _, of_output = _sorted_out(values)
    with _as_config_error():
        return _settings(own, output=_output(Classes, of_output, losses), seed=seed)


def compared_settings(
    ctx: Context, values: Mapping[str, Any], noises: Sequence[str], *, seed: int, losses: Sequence[str] = ()
) -> Settings:
    """The settings that several noise models share, with the first one that can have them all.

    An option of noise models is refused where none of them has it.

    Args:
        ctx: the context of the command.
        values: the options of training that were given.
        noises: names of the noise models.
        seed: the seed of the run.
        losses: the losses of the comparison; empty: only that of ``values``.

    Raises:
        ConfigError: an unknown noise model, or options that have no meaning together.
    """
    if unknown := [name for name in noises if name not in NOISES]:
        raise ConfigError(f"--methods: expected noise models of {', '.join(NOISES)}, got {unknown[0]!r}.")
    refusals = []
    for noise in noises or ["gum"]:
        try:
            return network_settings(ctx, values, noise=noise, seed=seed, losses=losses)
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]


def fine_settings(coarse: Settings, given: Mapping[str, Any]) -> Settings:
    """The settings of the second stage: the first one's, except what was given and what its network cannot have.

    Args:
        coarse: the settings of the first stage.
        given: the options of the second stage that were given.
    """
    options = dict(given)
    other = options.get("network", coarse.network) != coarse.network
    weights = None if other else coarse.weights  # those of another network would not fit
    output = None if other else coarse.output
    with _as_config_error("second stage: "):
        chosen = coarse.with_noise(options.pop("noise")) if "noise" in options else coarse
        return dataclasses.replace(chosen, **{"weights": weights, "output": output} | options)


def _sorted_out(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The options that were given, by their owners: settings, noise models, outputs."""
    noise, output = names_of(of_noise()), names_of(of_outputs())
    own = {name: value for name, value in values.items() if name not in (*noise, *output)}
    return (
        own,
        {name: values[name] for name in noise if name in values},
        {name: values[name] for name in output if name in values},
    )


def _output(kind: type[OwnLoss], options: Mapping[str, Any], losses: Sequence[str]) -> OwnLoss:
    """An output of that kind; an option that none of its losses takes is refused."""
    declared = of_outputs()[kind.name]
    made = kind(**{name: value for name, value in options.items() if name in declared})
    known = [loss for loss in losses if loss in declared["loss"].option.choices]  # others are refused by name later
    used = [dataclasses.replace(made, loss=loss) for loss in known] or [made]
    for name in options:
        if name not in declared or not any(one.takes(name) for one in used):
            shown = ", ".join(one.loss for one in used)
            raise ConfigError(f"--{name}: has no meaning with --loss {shown}. Leave it out.")
    return made


def _settings(values: Mapping[str, Any], **more: Any) -> Settings:
    from steadfit.training import Settings

    return Settings(**values, **more)


@contextmanager
def _as_config_error(before: str = "") -> Iterator[None]:
    """Turn errors of settings and models into a ConfigError about the options."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(before + str(error).removeprefix("Settings: ")) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(before + str(error).partition(": ")[2]) from None
