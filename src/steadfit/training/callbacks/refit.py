"""The refit of the noise model between epochs, as a Lightning callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import lightning as L
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from steadfit import _checks
from steadfit.noise import Group, LabelNoise
from steadfit.noise.sums import ALONE, Alone

Part = tuple[Tensor, Tensor, Tensor]
"""Index, output and target of some samples."""


class Refittable(Protocol):
    """What :class:`RefitNoise` needs of a LightningModule."""

    label_noise: LabelNoise

    def noise_outputs(self, batch: Any) -> Part:
        """Sample index (B,), network output (B, n_outputs) and target (B, K, D) of a batch, in the loss's units."""


class RefitNoise(L.Callback):
    """Re-estimates a module's noise model from the residuals of the whole training set: EM, or the MAD.

    The module needs two members::

        class Mine(lightning.LightningModule):
            def __init__(self):
                self.label_noise = LabelNoise(GaussianUniformNoise(unit="point"), n_samples=N, points=K, dims=D)

            def training_step(self, batch, _):
                image, target, index = batch
                return self.label_noise(self(image), target, index)

            def noise_outputs(self, batch):
                image, target, index = batch
                return index, self(image), target

        Trainer(callbacks=[RefitNoise(warmup_epochs=5)]).fit(Mine(), loader)

    Models that need no refit for their loss (L1; Huber and Tukey with the scale of the batch or a running one) are
    refitted once, when training ends.

    All state (the mixture, the scale, every label's weight) is in the module's buffers, and so in its checkpoints.

    In a process group every rank passes over its own share of the training set and keeps its residuals to itself: the
    ranks add up what the model's refit needs, so that all have the result of a single process, and share the labels'
    weights, N K D numbers. A data set is shared by sample; from an iterable one, or from a ``loader`` with its own
    order, each rank takes what is yielded there. A sample that several ranks have (samplers pad the shares) counts
    once. A rank that is lost ends the others with a :class:`~steadfit.errors.ProcessLostError`, and training resumes
    from the last checkpoint. What models observe of a batch is each rank's own: as with batch norm's statistics, DDP
    copies the first rank's buffers to all before the next batch.

    Args:
        warmup_epochs: the number of epochs before the first refit, >= 1; until then the warm-up loss is minimised.
        every_n_epochs: the number of epochs from one refit to the next, >= 1.
        residuals: ``"pass"``: a forward pass in evaluation mode over ``loader``; ``"epoch"``: what ``training_step``
            saw during the epoch, if it returns a dict with ``index``, ``output``, ``target``.
        loader: the training set without augmentation; None: the dataset of the trainer's training loader, in order,
            with its batch size and collation.
        timeout: the seconds after which one of several processes counts as lost if it does not answer; one that has
            ended is noticed at once.

    Raises:
        ValueError: epochs below 1.
        TypeError: when training starts, a module without the two members or a loader that cannot be repeated in order.
    """

    def __init__(
        self,
        *,
        warmup_epochs: int = 1,
        every_n_epochs: int = 1,
        residuals: str = "pass",
        loader: Iterable[Any] | None = None,
        timeout: float = 60.0,
    ) -> None:
        _checks.one_of("RefitNoise", "residuals", residuals, ("pass", "epoch"))
        if warmup_epochs < 1 or every_n_epochs < 1:
            raise ValueError(
                f"RefitNoise: expected warmup_epochs and every_n_epochs >= 1, got {warmup_epochs}, {every_n_epochs}."
            )
        self.warmup_epochs, self.every_n_epochs = warmup_epochs, every_n_epochs
        self.residuals, self.loader = residuals, loader
        self.timeout = _checks.positive("RefitNoise", "timeout", timeout)
        self._seen: list[Part] = []
        self._processes: Group | Alone = ALONE

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        for name in ("label_noise", "noise_outputs"):
            if not hasattr(pl_module, name):
                raise TypeError(
                    f"RefitNoise: expected {type(pl_module).__name__} to have {name!r}, got none. "
                    "The docstring of RefitNoise shows the two members it needs."
                )
        if trainer.world_size > 1:
            self._processes = Group(self.timeout)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._processes = ALONE

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if _wide(pl_module) and trainer.current_epoch == 0:
            self.refit_now(trainer, pl_module, keep_warming=True)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._seen.clear()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.residuals != "epoch":
            return
        if not isinstance(outputs, Mapping) or not {"index", "output", "target"} <= set(outputs):
            raise TypeError(
                f"RefitNoise: expected {type(pl_module).__name__}.training_step to return a dict with loss, index, "
                "output and target for residuals='epoch', got something else. Return them or use 'pass'."
            )
        self._seen.append((outputs["index"].detach(), outputs["output"].detach(), outputs["target"].detach()))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        done, tracker = trainer.current_epoch + 1, cast(Refittable, pl_module).label_noise
        due = self._due(done)
        if due and tracker.refits_once and done != trainer.max_epochs:
            tracker.end_warmup()
        elif due:
            self.refit_now(trainer, pl_module)
        elif _wide(pl_module):
            self.refit_now(trainer, pl_module, keep_warming=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        done = trainer.current_epoch
        if cast(Refittable, pl_module).label_noise.refits_once and not (done == trainer.max_epochs and self._due(done)):
            self.refit_now(trainer, pl_module)  # the one refit of such a model, after a stop before the last epoch

    def _due(self, done: int) -> bool:
        return done >= self.warmup_epochs and (done - self.warmup_epochs) % self.every_n_epochs == 0

    def forget(self) -> None:
        """Drop what the epoch has seen: the network is another one now, and the next refit passes over the data."""
        self._seen.clear()

    def refit_now(self, trainer: L.Trainer, pl_module: L.LightningModule, *, keep_warming: bool = False) -> None:
        """Re-estimate from the present network.

        Args:
            trainer: the trainer.
            pl_module: the module.
            keep_warming: True: the warm-up goes on after the refit.
        """
        tracker = cast(Refittable, pl_module).label_noise
        if not tracker.noise.needs_refit:
            return
        self._processes.meet()
        if self.residuals == "epoch" and self._seen:
            parts = iter(self._seen)
        else:
            share = self._processes.in_step(self._share(trainer))
            parts = outputs_of(pl_module, share, trainer=trainer)
        index, output, target = _joined(parts, tracker)
        refit = tracker.refit_scale if keep_warming else tracker.refit
        refit(output, target, index, processes=self._processes)

    def _share(self, trainer: L.Trainer) -> Iterable[Any]:
        """This process's batches of the training set."""
        if self.loader is None:
            return _in_order(_training_loader(trainer), self._processes)
        if self._processes.size > 1 and isinstance(self.loader, DataLoader) and _is_plain(self.loader):
            return _in_order(self.loader, self._processes)
        return self.loader


@torch.no_grad()
def outputs_of(
    pl_module: L.LightningModule, loader: Iterable[Any], *, trainer: L.Trainer | None = None
) -> Iterator[Part]:
    """Index, output and target of every batch, in evaluation mode and without gradients.

    Args:
        pl_module: the module.
        loader: the batches.
        trainer: with another precision throughout (``"64-true"``, ``"bf16-true"``) batches are cast as in training.
            Mixed precision is not applied, since residuals are small differences.
    """
    with evaluating(pl_module):
        for batch in loader:
            with _precision(trainer) as cast_batch:
                moved = pl_module.transfer_batch_to_device(cast_batch(batch), pl_module.device, 0)
                part = cast(Refittable, pl_module).noise_outputs(moved)
            yield part


@contextmanager
def _precision(trainer: L.Trainer | None) -> Iterator[Callable[[Any], Any]]:
    """The trainer's precision, where it applies throughout: yields a function that casts a batch."""
    plugin = None if trainer is None else trainer.precision_plugin
    if plugin is None or isinstance(plugin, MixedPrecision):
        yield lambda batch: batch
    else:
        with plugin.forward_context():
            yield plugin.convert_input


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode, and afterwards back to every submodule's own mode: frozen ones stay in evaluation."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _joined(parts: Iterable[Part], tracker: LabelNoise) -> Part:
    """The parts as one; a process may have none."""
    found = list(parts)
    if found:
        index, output, target = (torch.cat(part) for part in zip(*found, strict=True))
        return index, output, target
    shape, device = tracker.label_weight.shape[1:], tracker.label_weight.device
    output = torch.empty(0, tracker.noise.n_outputs(*shape), device=device)
    return torch.empty(0, dtype=torch.long, device=device), output, torch.empty(0, *shape, device=device)


def _wide(pl_module: L.LightningModule) -> bool:
    """Whether the present warm-up loss needs a scale that only a refit gives."""
    tracker = cast(Refittable, pl_module).label_noise
    return tracker.noise.warmup == "wide" and bool(tracker.warming_up) and not tracker.refits_once


def _training_loader(trainer: L.Trainer) -> DataLoader[Any]:
    """The trainer's loader. Its dataset may still augment; pass ``loader`` then."""
    loader = trainer.train_dataloader
    if not isinstance(loader, DataLoader):
        raise TypeError(f"RefitNoise: expected one DataLoader, got {type(loader).__name__}. Pass loader=.")
    if loader.batch_size is None:
        raise TypeError("RefitNoise: expected a DataLoader with a batch size, got a batch sampler. Pass loader=.")
    return loader


def _is_plain(loader: DataLoader[Any]) -> bool:
    """Whether the loader goes through a data set in order, so that it can go through a share of it as well."""
    return loader.batch_size is not None and isinstance(loader.sampler, SequentialSampler)


def _in_order(loader: DataLoader[Any], processes: Group | Alone) -> DataLoader[Any]:
    """The loader's samples without shuffling: this process's share of a data set, or all of an iterable one."""
    whole = isinstance(loader.dataset, IterableDataset)
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        sampler=None if whole else range(processes.rank, len(cast(Any, loader.dataset)), processes.size),
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
    )
