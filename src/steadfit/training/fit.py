"""The training of one network under one noise model, into a run folder."""

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
from safetensors.torch import save
from torch import nn

from steadfit._files import write_bytes
from steadfit.data import Annotations, Augmentation, LabelledDataset, PadCrop, ScaleCrop, Schema, Warp, warn_gross
from steadfit.errors import ConfigError, DataError
from steadfit.networks import HEATMAP_NETWORKS, NETWORKS
from steadfit.noise import NoiseModel
from steadfit.outputs import HeatmapReader, Heatmaps, Output
from steadfit.training.callbacks.diverging import refuse_diverged
from steadfit.training.callbacks.excess import WatchExcess
from steadfit.training.callbacks.history import History
from steadfit.training.callbacks.progress import Announce
from steadfit.training.callbacks.refit import RefitNoise
from steadfit.training.callbacks.rounds import Algorithm1
from steadfit.training.callbacks.stopping import EarlyStop
from steadfit.training.folder import MARK, MODEL, describe, frame_of, read_config, write_config
from steadfit.training.known import write_rows
from steadfit.training.module import TrainingModule
from steadfit.training.regressor import InputScaling, build_regressor, named_network
from steadfit.training.run import Run, load
from steadfit.training.settings import Settings, check_pair
from steadfit.training.trainer import check_same, fit_or_continue, make_trainer, occupied, quiet


@dataclass(frozen=True)
class Splits:
    """The rows to train on, and those to validate on.

    Args:
        train: the training set, with random warps or crops.
        val: the validation set, without.
    """

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
        chosen = _augmentation(annotations, settings) if augment is None else augment
        return cls(
            train=make(rows=annotations.rows("train"), augment=chosen, seed=settings.seed),
            val=make(rows=annotations.rows("val")),
        )


def _augmentation(annotations: Annotations, settings: Settings) -> Warp | PadCrop | ScaleCrop | None:
    """The random maps of training images that the settings ask for: warps of points, crops of classes."""
    if annotations.schema.classes:
        whole = settings.frame in (None, annotations.one_size)
        return None if not settings.mirror else PadCrop() if whole else ScaleCrop()
    mirror = 0.5 if settings.mirror else 0.0
    return dataclasses.replace(settings.plan.warp, mirror=mirror) if settings.warp else None


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
        out: the run folder; it must not contain a run, unless ``resume`` continues it.
        network: a custom module from inputs (N, C, H, W) or (N, F) to (N, noise.n_outputs(K, D)), or a
            :class:`~steadfit.networks.HeatmapReader` around a module that gives heatmaps. It is trained in place; to
            resume, pass it as it was at the start. None: the network that the settings name.
        noise: a custom noise model, which the protocol does not change; None: the one of the settings.
        augment: custom random maps of the network's frame, instead of the settings' warps.
        resume: whether to continue a run that was stopped, from its last finished epoch, to the same result; a finished
            run is returned as it is. The data and the settings must be those of the run.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        console: where progress is shown; None: nowhere.

    Raises:
        RunError: ``out`` contains a run and ``resume`` is False, or contains another run, or a damaged one.
        DivergedError: the training is no longer finite, or the run to be continued has diverged.
        ConfigError: contradictory options.

    Warns:
        DataWarning: training labels so far from the others that they are no measurements, with their places.
    """
    if not (Path(out) / MODEL).exists():
        warn_gross(annotations)
    return fit_part(
        annotations,
        settings,
        out,
        network=network,
        noise=noise,
        augment=augment,
        resume=resume,
        device=device,
        console=console,
    )


def fit_part(
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
    """Train on a part of a table whose labels have been checked as a whole; see :func:`fit`."""
    out = Path(out)
    if noise is None and settings.custom_noise is not None:  # a model that no name in config.yaml stands for
        settings, noise = settings.without_noise(), settings.custom_noise
    Parts.of(annotations, settings, network, noise)  # refused before anything is written
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


@dataclass(frozen=True)
class Parts:
    """What is trained: an output, a noise model, and a custom network if there is one.

    Args:
        output: what the network's numbers mean.
        noise: the noise model.
        network: the custom network; None: the one that the settings name.
    """

    output: Output
    noise: NoiseModel
    network: nn.Module | None = None

    @classmethod
    def of(
        cls,
        annotations: Annotations,
        settings: Settings,
        network: nn.Module | None = None,
        noise: NoiseModel | None = None,
    ) -> Parts:
        """The parts that the settings name, or the custom ones, if they go together.

        Args:
            annotations: the table to train on.
            settings: the settings of the training.
            network: a custom network; None: the one that the settings name.
            noise: a custom noise model; None: the one that the settings name.

        Raises:
            ConfigError: they contradict each other or the table.
        """
        model = settings.noise_model() if noise is None else noise
        reads = isinstance(network, HeatmapReader) and settings.output is None
        output = (Heatmaps() if reads else settings.output_of(model)).of(annotations.schema.classes)
        check_pair(output, model, settings.plan)
        _check_table(output, annotations, settings)
        size = None if annotations.images is None else frame_of(annotations, settings)
        check_network(settings, output, annotations.schema, network, size=size)
        return cls(output, model, network)

    def module(self, train: LabelledDataset, settings: Settings) -> TrainingModule:
        """The module for a training set, with the scalings measured on it."""
        regressor = build_regressor(train, settings, self.output, self.network)
        schema = train.annotations.schema
        mirrored = settings.mirror and bool(schema.pairs) and schema.has_points and regressor.inputs.images
        return TrainingModule(
            regressor,
            self.noise,
            settings.plan,
            n_samples=len(train),
            permutation=schema.permutation if mirrored and self.output.mirrors else None,
            seed=settings.seed,
        )


def build_module(
    train: LabelledDataset, settings: Settings, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> TrainingModule:
    """The module for a training set, with the scalings measured on it.

    Args:
        train: the training set.
        settings: the settings of the training.
        network: a custom network, as in :func:`fit`; None: the one that the settings name.
        noise: a custom noise model; None: the one that the settings name.

    Raises:
        ConfigError: contradictory options.
    """
    return Parts.of(train.annotations, settings, network, noise).module(train, settings)


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
    """Train on existing data sets, or continue from ``out``'s checkpoint, and save the model.

    Args:
        splits: the training and the validation set.
        settings: the settings of the training.
        out: the run folder.
        network: a custom network, as in :func:`fit`; None: the one that the settings name.
        noise: a custom noise model; None: the one that the settings name.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        console: where progress is shown; None: nowhere.

    Raises:
        RunError: the checkpoint is damaged or does not fit.
        DivergedError: the training is no longer finite.
        ConfigError: contradictory options.
    """
    schema = splits.train.annotations.schema
    parts = Parts.of(splits.train.annotations, settings, network, noise)
    with isolate_rng(), quiet():
        torch.manual_seed(settings.seed)
        module = parts.module(splits.train, settings)
        history = History(splits.val, parts.output, out / "history.csv")
        announced = [] if console is None else [Announce(console, history, settings.method, schema.units)]
        watch = [_watch(splits.val, parts.output, out)] if isinstance(parts.output, Heatmaps) else []
        callbacks = [*_noise_callbacks(splits.train, settings), history, *announced, *watch]
        trainer = make_trainer(out, epochs=settings.plan.epochs, callbacks=callbacks, device=device)
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
        return save_model(out, module, settings, splits.train)


def _watch(val: LabelledDataset, output: Heatmaps, out: Path) -> WatchExcess:
    """The callback that looks at anchor loss with the output's options, whatever the loss; gamma 0 exceeds nothing."""
    return WatchExcess(val, out, gamma=output.gamma or 2.0, margin=output.margin or 0.0)


def _check_table(output: Output, annotations: Annotations, settings: Settings) -> None:
    """Check that the table suits the output: heatmaps need points in images, classes a table of classes."""
    if output.for_classes != bool(annotations.schema.classes):
        wanted, got = ("classes", "numbers") if output.for_classes else ("points or numbers", "classes")
        task = "regression" if output.for_classes else "classification"
        raise ConfigError(
            f"fit: expected a table of {wanted} for {output.name}, got one of {got}. Use --task {task} "
            "(another output)."
        )
    for split, least in (("train", 2), ("val", 1)) if output.for_classes else ():
        if (count := len(annotations.rows(split))) < least:
            raise DataError(
                f"{annotations.path}: expected at least {least} images of the split {split!r}, got {count}."
            )
    if output.needs_points and (annotations.images is None or not annotations.schema.has_points):
        other = "inputs" if annotations.images is None else "targets"
        raise ConfigError(
            f"fit: expected points in images for network {settings.network!r}, got other {other}. Use a network of "
            "coordinates."
        )


def check_network(
    settings: Settings,
    output: Output,
    schema: Schema,
    network: nn.Module | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Check that the network of the settings, or a custom one, can be trained.

    Args:
        settings: the settings of the training.
        output: what the network's numbers mean.
        schema: what the table's columns mean.
        network: a custom network; None: the one that the settings name.
        size: of the frames, (height, width) in px; None for features.

    Raises:
        ConfigError: settings and a custom network contradict each other, or the network that the settings name cannot
            be built for its head and for images of their size, or trained on batches of one sample.
    """
    names = tuple(HEATMAP_NETWORKS) if isinstance(output, Heatmaps) else ("default", *NETWORKS)
    if network is not None and settings.network in ("default", *NETWORKS, *HEATMAP_NETWORKS):
        raise ConfigError(
            f"fit: expected settings.network to name your network, got {settings.network!r}. Give it another name."
        )
    if network is None and settings.network not in names:
        raise ConfigError(
            f"fit: expected a network of {', '.join(names)}, or your own, got {settings.network!r}. Pass network=."
        )
    if network is None and settings.batch_size == 1:
        raise ConfigError("fit: expected batch_size >= 2 for batch norm, got 1. Pass a network without it.")
    if network is None and size is not None:
        _check_building(settings, output, schema, size)


def _check_building(settings: Settings, output: Output, schema: Schema, size: tuple[int, int]) -> None:
    """Check that the network can be built, on the meta device, which takes no time."""
    inputs = InputScaling(torch.zeros(settings.channels), torch.ones(settings.channels), images=True)
    try:
        with torch.device("meta"):
            named_network(inputs, settings, output, schema, size)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _noise_callbacks(train: LabelledDataset, settings: Settings) -> list[L.Callback]:
    warped, plan = train.augment is not None, settings.plan
    if warped and settings.residuals == "epoch":
        raise ConfigError("fit: expected residuals 'pass' with warps, got 'epoch': refits need unwarped labels.")
    plain = train.without_augment().loader(settings.batch_size, workers=settings.workers) if warped else None
    if plan.rounds:
        return [Algorithm1(RefitNoise(loader=plain), patience=plan.patience)]
    warmup = max(round(plan.warmup_share * plan.epochs), 1)
    refit = RefitNoise(warmup_epochs=min(warmup, plan.epochs), residuals=settings.residuals, loader=plain)
    return [refit, EarlyStop(refit, patience=plan.patience)] if plan.patience else [refit]


def save_model(out: Path, module: TrainingModule, settings: Settings, train: LabelledDataset) -> Run:
    """Write model.safetensors, the predictor and the noise model's state, and open the run.

    Args:
        out: the run folder.
        module: the trained module.
        settings: the settings of the training.
        train: the training set.
    """
    regressor, tracker = module.predictor().cpu(), module.label_noise.cpu()
    tensors = {name: value.contiguous().clone() for name, value in regressor.state_dict().items()}
    state = {name: value.contiguous().clone() for name, value in tracker.state.items()}
    state["fallen_back"] = tracker.fallen_back.clone()
    write_bytes(save(tensors | {f"noise.{name}": value for name, value in state.items()}), out / MODEL)
    return Run(out, settings, train.annotations.schema, regressor, tracker.noise, state, train.size)


def _check_folder(out: Path, config: dict[str, Any], settings: Settings, resume: bool) -> None:
    """Check that a folder with a run is only continued with the same settings, labels and noise model."""
    if not resume:
        raise occupied(out)
    before, found = read_config(out)
    changed = settings.differing(before)
    words = {"task": "the task", "noise_model": "the noise model"}
    words |= {"fingerprint": "the data (rows, labels or their meaning)"}
    changed += [word for key, word in words.items() if found.get(key) != config.get(key)]
    check_same(out, changed)
