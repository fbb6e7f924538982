"""Train one network under one noise model into a run folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from rich.console import Console
from torch import Tensor, nn

from steadfit.data import Annotations, LabelledDataset, Standardizer
from steadfit.data.images.misplacing import Augmentation
from steadfit.errors import ConfigError
from steadfit.networks import (
    GREY_LEVELS,
    HEATMAP_NETWORKS,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    NETWORKS,
    HeatmapReader,
    load_weights,
    output_layer,
)
from steadfit.noise import NoiseModel
from steadfit.training.diverging import refuse_diverged
from steadfit.training.excess import WatchExcess
from steadfit.training.heatmaps import objective
from steadfit.training.history import History
from steadfit.training.known import write_rows
from steadfit.training.module import InputScaling, RegressionModule, Regressor, named_network, start_output
from steadfit.training.progress import Announce
from steadfit.training.refit import RefitNoise
from steadfit.training.rounds import Algorithm1
from steadfit.training.run import Run, describe, load, read_config, save_model, write_config
from steadfit.training.run_files import MARK, MODEL
from steadfit.training.settings import Protocol, Settings
from steadfit.training.stopping import EarlyStop
from steadfit.training.trainer import check_same, fit_or_continue, make_trainer, occupied, quiet, some_rows


@dataclass(frozen=True)
class Splits:
    """What is trained on, and what is watched."""

    train: LabelledDataset
    val: LabelledDataset

    @classmethod
    def of(cls, annotations: Annotations, settings: Settings, augment: Augmentation | None = None) -> Splits:
        make = partial(
            LabelledDataset,
            annotations,
            size=settings.frame,
            channels=settings.channels,
            cache={"on": True, "off": False}.get(settings.cache, "auto"),
            sampling=settings.sampling,
        )
        mirror = 0.5 if settings.mirror else 0.0
        warp = dataclasses.replace(settings.plan().warp, mirror=mirror) if settings.warp else None
        return cls(
            train=make(rows=annotations.rows("train"), augment=augment or warp, seed=settings.seed),
            val=make(rows=annotations.rows("val")),
        )


def fit(
    annotations: Annotations,
    settings: Settings,
    out: str | Path,
    *,
    network: nn.Module | None = None,
    noise: NoiseModel | None = None,
    augment: Augmentation | None = None,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
) -> Run:
    """Train and write a run folder.

    Args:
        annotations: the checked table, with rows for training and validation.
        settings: everything else that decides the result.
        out: the run folder; it must not hold a run, unless ``resume`` continues that one.
        network: a module of your own from inputs (N, C, H, W) or (N, F) to (N, noise.n_outputs(K, D)), or a
            :class:`~steadfit.networks.HeatmapReader` of one to heatmaps. It is trained in place; to resume, pass it as
            it was at the start.
        noise: a noise model of your own; the protocol does not change it.
        augment: random maps of the network's frame of your own, instead of the settings' warps.
        resume: continue a run that was stopped, from its last finished epoch, to the same result; a finished run is
            returned as it is. The data and the settings must be those of the run.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        console: where progress is shown; None for silence.

    Raises:
        RunError: ``out`` holds a run and ``resume`` is False, or holds another run, or a damaged one.
        DivergedError: what is trained is no longer finite, or the run to be continued has ended so.
        ConfigError: contradicting options.
    """
    out = Path(out)
    check_network(settings, network, images=annotations.images is not None)
    if settings.heatmaps or isinstance(network, HeatmapReader):
        _check_heatmaps(settings, annotations, settings.noise_model() if noise is None else noise)
    config = describe(annotations, settings, noise)
    if (out / "config.yaml").exists():
        _check_folder(out, config, settings, resume)
        if (out / MODEL).exists():
            return load(out, network=network, noise=noise)
        refuse_diverged(out)
    (out / MARK).unlink(missing_ok=True)
    splits = Splits.of(annotations, settings, augment)
    write_config(out, config)
    write_rows(annotations, out)
    return train(splits, settings, out, network=network, noise=noise, device=device, console=console)


def train(
    splits: Splits,
    settings: Settings,
    out: Path,
    *,
    network: nn.Module | None = None,
    noise: NoiseModel | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> Run:
    """:func:`fit` on data sets that are there already: trains, continues from ``out``'s checkpoint, saves the model."""
    schema = splits.train.annotations.schema
    with isolate_rng(), quiet():
        torch.manual_seed(settings.seed)
        module = build_module(splits.train, settings, network, noise)
        history = History(splits.val, out / "history.csv")
        told = [] if console is None else [Announce(console, history, settings.method, schema.units)]
        watch = [] if module.heatmaps is None else [_watch(splits.val, settings, out)]
        callbacks = [*_noise_callbacks(splits.train, settings, module.protocol), history, *told, *watch]
        trainer = make_trainer(out, epochs=settings.epochs, callbacks=callbacks, device=device)
        fit_or_continue(
            trainer,
            module,
            splits.train,
            splits.val,
            out,
            batch_size=settings.batch_size,
            val_batch_size=128,
            seed=settings.seed,
            workers=settings.workers,
        )
        return save_model(out, module, settings, schema)


def _watch(val: LabelledDataset, settings: Settings, out: Path) -> WatchExcess:
    """Looks at anchor loss with the settings' options, whatever the loss; gamma 0 exceeds nothing."""
    return WatchExcess(val, out, gamma=settings.gamma or 2.0, margin=settings.margin or 0.0)


def _check_heatmaps(settings: Settings, annotations: Annotations, noise: NoiseModel) -> None:
    """A network of heatmaps finds points in images and nothing else, without a covariance."""
    if noise.predicts_covariance:
        raise ConfigError(f"fit: expected a noise model of positions with heatmaps, got {noise}. Use gum, tukey or l2.")
    if annotations.images is None or annotations.schema.dims != 2:
        other = "inputs" if annotations.images is None else "targets"
        raise ConfigError(
            f"fit: expected points in images for network {settings.network!r}, got other {other}. Use a network of "
            "coordinates."
        )


def check_network(settings: Settings, network: nn.Module | None = None, *, images: bool = True) -> None:
    """Raises ConfigError where settings and a network of your own contradict each other, or the network that they name
    cannot be built for its head and for images of their size."""
    names = ("default", *NETWORKS, *HEATMAP_NETWORKS)
    known = settings.network in names
    if network is not None and known:
        raise ConfigError(
            f"fit: expected settings.network to name your network, got {settings.network!r}. Give it a name of its own."
        )
    if network is None and not known:
        raise ConfigError(
            f"fit: expected a network of {', '.join(names)}, or your own, got {settings.network!r}. Pass network=."
        )
    if network is None and images:
        _check_building(settings)


def _check_building(settings: Settings) -> None:
    """Builds the network without its numbers, which takes no time."""
    inputs = InputScaling(torch.zeros(settings.channels), torch.ones(settings.channels), images=True)
    try:
        with torch.device("meta"):
            named_network(inputs, settings, 2)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def build_module(
    train: LabelledDataset, settings: Settings, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> RegressionModule:
    """The module for a training set, with the standardisation fitted on it."""
    schema, protocol = train.annotations.schema, settings.plan()
    noise = settings.noise_model() if noise is None else noise
    n_outputs = noise.n_outputs(schema.n_targets, schema.dims)
    inputs = input_scaling(train, settings.weights, settings.network)
    if network is None:
        if settings.batch_size == 1:
            raise ConfigError("fit: expected batch_size >= 2 for batch norm, got 1. Pass a network without it.")
        network = named_network(inputs, settings, n_outputs)
    if not _loaded_output(network, settings.weights, n_outputs):
        start_output(network, noise.initial_output(schema.n_targets, schema.dims))
    heatmaps = isinstance(network, HeatmapReader)
    mirrored = settings.mirror and bool(schema.pairs) and schema.dims == 2 and inputs.images
    return RegressionModule(
        Regressor(network, inputs, _standardizer(train.target, noise, heatmaps=heatmaps)),
        noise,
        protocol,
        n_samples=len(train),
        permutation=schema.permutation if mirrored else None,
        seed=settings.seed,
        heatmaps=objective(settings.loss, gamma=settings.gamma, margin=settings.margin) if heatmaps else None,
    )


def _standardizer(target: Tensor, noise: NoiseModel, *, heatmaps: bool) -> Standardizer:
    """The units of the network's output: heatmaps are read in px of the frame, others put out standard numbers."""
    if heatmaps:
        return Standardizer.identity(*target.shape[1:])
    return (Standardizer.whiten if noise.predicts_covariance else Standardizer.fit)(target)


def _loaded_output(network: nn.Module, weights: str | None, n_outputs: int) -> bool:
    """Load weights, if there are any, and say whether the output layer is among them."""
    if weights is None:
        return False
    run = Path(weights).is_dir()
    loaded = load_weights(network, Path(weights) / MODEL if run else weights, prefix="network." if run else "")
    output = output_layer(network, n_outputs)
    names = [name for name, part in network.named_modules() if part is output]
    return bool(names) and f"{names[0]}.weight" in loaded.loaded


def input_scaling(train: LabelledDataset, weights: str | None = None, network: str = "default") -> InputScaling:
    """Mean and deviation per feature over all training samples, or per channel over :func:`some_rows` of them.

    ImageNet's for a network that starts from weights that are not a run's; of networks in ``GREY_LEVELS`` the mean
    alone.
    """
    rows = list(range(len(train))) if train.annotations.images is None else some_rows(len(train), train.seed)
    sample: Tensor = train.without_augment().__getitems__(rows)["input"]
    images = sample.dtype == torch.uint8
    if images and weights is not None and not Path(weights).is_dir():
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        grey = train.channels == 1
        return InputScaling(*(v.mean(0, keepdim=True) if grey else v for v in (mean, deviation)), images=True)
    value = sample.double() / 255 if images else sample.double()
    axes = [0, *range(2, value.dim())]
    mean, deviation = value.mean(axes), value.std(axes)
    if images and network in GREY_LEVELS:
        deviation = torch.full_like(deviation, 1 / 255)
    return InputScaling(mean, deviation, images=images)


def _noise_callbacks(train: LabelledDataset, settings: Settings, protocol: Protocol) -> list[L.Callback]:
    warped = train.augment is not None
    if warped and settings.residuals == "epoch":
        raise ConfigError("fit: expected residuals 'pass' with warps, got 'epoch': warped labels are no labels.")
    plain = train.without_augment().loader(settings.batch_size, workers=settings.workers) if warped else None
    if protocol.rounds:
        return [Algorithm1(RefitNoise(loader=plain), patience=protocol.patience)]
    warmup = max(round(protocol.warmup_share * settings.epochs), 1)
    refit = RefitNoise(warmup_epochs=min(warmup, settings.epochs), residuals=settings.residuals, loader=plain)
    return [refit, EarlyStop(refit, patience=protocol.patience)] if protocol.patience else [refit]


def _check_folder(out: Path, config: dict[str, Any], settings: Settings, resume: bool) -> None:
    """A folder with a run may only be continued, with the same settings, labels and noise model."""
    if not resume:
        raise occupied(out)
    before, found = read_config(out)
    changed = [key for key, value in settings.to_dict().items() if before.to_dict()[key] != value]
    words = {"task": "the task", "noise_model": "the noise model"}
    words |= {"fingerprint": "the data (rows, labels or their meaning)"}
    changed += [word for key, word in words.items() if found.get(key) != config.get(key)]
    check_same(out, changed)
