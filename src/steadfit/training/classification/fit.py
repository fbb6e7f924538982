"""Train one network under one loss into a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from rich.console import Console
from torch import nn

from steadfit.data import Annotations, LabelledDataset, PadCrop, ScaleCrop
from steadfit.errors import ConfigError, DataError
from steadfit.networks import NETWORKS, build_network
from steadfit.training.classification.module import (
    AnnounceClassifier,
    Classifier,
    ClassifierHistory,
    ClassifierModule,
    start_rare,
)
from steadfit.training.classification.run import (
    ClassifierRun,
    describe_classifier,
    load_classifier,
    read_classifier_config,
    save_classifier,
)
from steadfit.training.classification.settings import ClassifierSettings
from steadfit.training.diverging import refuse_diverged
from steadfit.training.module import InputScaling
from steadfit.training.run import write_config
from steadfit.training.run_files import MARK, MODEL
from steadfit.training.trainer import check_same, fit_or_continue, make_trainer, occupied, quiet, some_rows


@dataclass(frozen=True)
class ClassSplits:
    """What is trained on, and what is watched."""

    train: LabelledDataset
    val: LabelledDataset

    @classmethod
    def of(cls, classes: Annotations, settings: ClassifierSettings) -> ClassSplits:
        cache: bool | Literal["auto"] = "auto" if settings.cache == "auto" else settings.cache == "on"
        make = partial(LabelledDataset, classes, size=settings.size, channels=settings.channels, cache=cache)
        whole = settings.size is None or classes.one_size == (settings.size, settings.size)
        crop = (PadCrop() if whole else ScaleCrop()) if settings.augment else None
        return cls(train=make(classes.rows("train"), augment=crop, seed=settings.seed), val=make(classes.rows("val")))


def fit(
    classes: Annotations,
    settings: ClassifierSettings,
    out: str | Path,
    *,
    network: nn.Module | None = None,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
) -> ClassifierRun:
    """Train and write a run folder: config.yaml, model.safetensors, history.csv and the last checkpoint.

    Args:
        classes: the checked images, with rows for training and validation.
        settings: everything else that decides the result.
        out: the run folder; it must not hold a run, unless ``resume`` continues that one.
        network: a module of your own from (N, channels, H, W) to logits (N, C). It is trained in place; to resume, pass
            it as it was at the start.
        resume: continue a run that was stopped, from its last finished epoch, to the same result; a finished run is
            returned as it is. The data and the settings must be those of the run.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        console: where progress is shown; None for silence.

    Raises: RunError where ``out`` holds a run and ``resume`` is False, or holds another run, or the training diverges;
        ConfigError for contradicting options; DataError without images to train on or to watch.
    """
    out = Path(out)
    _check(classes, settings, network)
    config = describe_classifier(classes, settings)
    if (out / "config.yaml").exists():
        _check_folder(out, config, settings, resume)
        if (out / MODEL).exists():
            return load_classifier(out, network=network)
        refuse_diverged(out)
    (out / MARK).unlink(missing_ok=True)
    splits = ClassSplits.of(classes, settings)
    write_config(out, config)
    return train(splits, settings, out, network=network, device=device, console=console)


def train(
    splits: ClassSplits,
    settings: ClassifierSettings,
    out: Path,
    *,
    network: nn.Module | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> ClassifierRun:
    """:func:`fit` on data sets that are there already: trains, continues from ``out``'s checkpoint, saves the model."""
    with isolate_rng(), quiet():
        torch.manual_seed(settings.seed)
        module = build_module(splits.train, settings, network)
        history = ClassifierHistory(out / "history.csv")
        told = [] if console is None else [AnnounceClassifier(console, history, settings.loss)]
        trainer = make_trainer(out, epochs=settings.plan().epochs, callbacks=[history, *told], device=device)
        fit_or_continue(
            trainer,
            module,
            splits.train,
            splits.val,
            out,
            batch_size=settings.batch_size,
            val_batch_size=256,
            seed=settings.seed,
            workers=settings.workers,
        )
        return save_classifier(out, module, settings, splits.train)


def build_module(
    train: LabelledDataset, settings: ClassifierSettings, network: nn.Module | None = None
) -> ClassifierModule:
    """The module for a training set, with the input's scaling measured on it."""
    count = len(train.annotations.schema.classes)
    if network is None:
        network = build_network(settings.network, settings.channels, count, size=train.size, head=settings.head)
        if settings.output == "sigmoid":
            start_rare(network, count)
    classifier = Classifier(network, input_scaling(train))
    return ClassifierModule(classifier, settings.make_loss(), settings.plan(), seed=settings.seed)


def input_scaling(train: LabelledDataset) -> InputScaling:
    """Mean and deviation of each channel, over :func:`some_rows` of the training images."""
    value = train.frames(torch.tensor(some_rows(len(train), train.seed))).double() / 255
    return InputScaling(value.mean((0, 2, 3)), value.std((0, 2, 3)), images=True)


def _check(classes: Annotations, settings: ClassifierSettings, network: nn.Module | None) -> None:
    known = settings.network in NETWORKS
    if network is not None and known:
        raise ConfigError(
            f"fit: expected settings.network to name your network, got {settings.network!r}. Give it a name of its own."
        )
    if network is None and not known:
        raise ConfigError(
            f"fit: expected a network of {', '.join(NETWORKS)}, or your own, got {settings.network!r}. Pass network=."
        )
    for split, least in (("train", 2), ("val", 1)):
        if (count := len(classes.rows(split))) < least:
            raise DataError(f"{classes.path}: expected at least {least} images of the split {split!r}, got {count}.")


def _check_folder(out: Path, config: dict[str, Any], settings: ClassifierSettings, resume: bool) -> None:
    """A folder with a run may only be continued, with the same settings and data."""
    if not resume:
        raise occupied(out)
    before, found = read_classifier_config(out)
    changed = [key for key, value in settings.to_dict().items() if before.to_dict()[key] != value]
    if found.get("fingerprint") != config["fingerprint"]:
        changed.append("the data (images, labels or splits)")
    check_same(out, changed)
