"""The refit of the noise model between epochs, as a Lightning callback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from steadfit import _checks
from steadfit.noise import LabelNoise


class Refittable(Protocol):
    """What :class:`RefitNoise` asks of a LightningModule."""

    label_noise: LabelNoise

    def noise_outputs(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Sample index (B,), network output (B, n_outputs) and target (B, K, D) of a batch, in the loss's units."""


class RefitNoise(L.Callback):
    """Re-estimates a module's noise model from the residuals of the whole training set: EM, or the MAD.

    The module needs two things::

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

    Args:
        warmup_epochs: the first refit is after this many epochs (>= 1); until then the warm-up loss is minimised.
        every_n_epochs: then one after every so many epochs.
        residuals: ``"pass"``: a forward pass in evaluation mode over ``loader``; ``"epoch"``: what ``training_step``
            saw during the epoch, if it returns a dict with ``index``, ``output``, ``target``.
        loader: the training set without augmentation; None takes the dataset of the trainer's training loader, in
            order, with its batch size and collation.

    Models that need no refit for their loss (L1; Huber and Tukey with the scale of the batch or a running one) are
    refitted once, when training ends.

    All state (the mixture, the scale, every label's weight) is in the module's buffers, and so in its checkpoints. In a
    process group every rank passes over the whole set, so that all ranks have what one process would have. What models
    observe of a batch is each rank's own: as with batch norm's statistics, DDP hands the first rank's buffers to all
    before the next batch.
    """

    def __init__(
        self,
        *,
        warmup_epochs: int = 1,
        every_n_epochs: int = 1,
        residuals: str = "pass",
        loader: Iterable[Any] | None = None,
    ) -> None:
        _checks.one_of("RefitNoise", "residuals", residuals, ("pass", "epoch"))
        if warmup_epochs < 1 or every_n_epochs < 1:
            raise ValueError(
                f"RefitNoise: expected warmup_epochs and every_n_epochs >= 1, got {warmup_epochs}, {every_n_epochs}."
            )
        self.warmup_epochs, self.every_n_epochs = warmup_epochs, every_n_epochs
        self.residuals, self.loader = residuals, loader
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        for name in ("label_noise", "noise_outputs"):
            if not hasattr(pl_module, name):
                raise TypeError(
                    f"RefitNoise: expected {type(pl_module).__name__} to have {name!r}, got none. "
                    "The docstring of RefitNoise shows the two members it needs."
                )
        if self.residuals == "epoch" and trainer.world_size > 1:
            raise ValueError("RefitNoise: expected one process with residuals='epoch', got several. Use 'pass'.")

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
        """Drop what the epoch has seen: the network is another one now, the next refit passes over the data."""
        self._seen.clear()

    def refit_now(self, trainer: L.Trainer, pl_module: L.LightningModule, *, keep_warming: bool = False) -> None:
        """Re-estimate from the present network; ``keep_warming`` does not end the warm-up."""
        module = cast(Refittable, pl_module)
        if not module.label_noise.noise.needs_refit:
            return
        whole = (
            iter(self._seen)
            if self.residuals == "epoch" and self._seen
            else outputs_of(pl_module, self.loader or _plain_loader(trainer))
        )
        output, target = in_order(whole, len(module.label_noise.label_weight))
        (module.label_noise.refit_scale if keep_warming else module.label_noise.refit)(output, target)


@torch.no_grad()
def outputs_of(pl_module: L.LightningModule, loader: Iterable[Any]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Index, output and target of every batch, in evaluation mode and without gradients."""
    with evaluating(pl_module):
        for batch in loader:
            moved = pl_module.transfer_batch_to_device(batch, pl_module.device, 0)
            yield cast(Refittable, pl_module).noise_outputs(moved)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and then every part's own mode again: frozen parts stay in evaluation."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def in_order(parts: Iterable[tuple[Tensor, Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """Outputs and targets in the order of the sample index; samples that were not seen have NaN targets."""
    index, output, target = (torch.cat(part) for part in zip(*parts, strict=True))
    if int(index.max()) >= count:
        raise ValueError(f"RefitNoise: expected sample indices below {count}, got {int(index.max())}.")
    outputs = output.new_zeros(count, *output.shape[1:]).index_copy(0, index, output.float())
    targets = target.new_full((count, *target.shape[1:]), torch.nan).index_copy(0, index, target.float())
    return outputs, targets


def _wide(pl_module: L.LightningModule) -> bool:
    """Whether the present warm-up loss needs a scale that only a refit gives."""
    tracker = cast(Refittable, pl_module).label_noise
    return tracker.noise.warmup == "wide" and bool(tracker.warming_up) and not tracker.refits_once


def _plain_loader(trainer: L.Trainer) -> Iterable[Any]:
    """The training set in order. Augmentation that lives in the dataset is still there; pass ``loader`` then."""
    shuffled = trainer.train_dataloader
    if not isinstance(shuffled, DataLoader):
        raise TypeError(f"RefitNoise: expected one DataLoader, got {type(shuffled).__name__}. Pass loader=.")
    if shuffled.batch_size is None:
        raise TypeError("RefitNoise: expected a DataLoader with a batch size, got a batch sampler. Pass loader=.")
    return DataLoader(
        shuffled.dataset,
        batch_size=shuffled.batch_size,
        collate_fn=shuffled.collate_fn,
        num_workers=shuffled.num_workers,
    )
