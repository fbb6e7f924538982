"""The guard of every training, which ends it when what the network has learned is no longer finite."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from steadfit._files import write_json
from steadfit.errors import DivergedError
from steadfit.training.folder import FORMAT_VERSION, MARK, read_json

REMEDY = (
    "The training diverged: use a smaller lr (--lr), another noise model or loss, or check the data for huge values; "
    "and another folder."
)


class StopDiverged(L.Callback):
    """Ends a training in the first epoch whose losses, outputs or weights are not finite.

    It checks once per epoch, before anything is estimated from the epoch, written into the history or stored in a
    checkpoint: the last checkpoint stays that of the last good epoch. Its finding is also written into the run folder
    (``diverged.json``), since a resumed run would repeat it. It has to be the first of the callbacks.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._losses: list[Tensor] = []
        self._finite: list[Tensor] = []
        self.started = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.started = True
        if name := not_finite(pl_module):
            self._end(trainer, f"expected finite weights to start from, got others in {name!r}")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._losses, self._finite = [], []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss, output = outputs["loss"].detach(), outputs.get("output") if isinstance(outputs, Mapping) else None
        finite = loss.isfinite().all()
        self._losses.append(loss)
        self._finite.append(finite if output is None else finite & output.detach().isfinite().all())

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.check(trainer, pl_module)  # before anything is computed from the weights

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.check(trainer, pl_module)
        seen = [part[-2] for part in getattr(pl_module, "held_out", [])]  # (…, output, target) of every batch
        finite = torch.cat([output.isfinite().flatten(1).all(dim=1) for output in seen]) if seen else torch.ones(1)
        if finite.double().mean() < 0.5:  # the median error is not a number
            self._end(trainer, "expected finite predictions of the validation set, got others for most of it")

    def check(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check what the epoch has seen so far, and the present weights.

        Raises:
            DivergedError: something is not finite.
        """
        if self._finite and not bool((finite := torch.stack(self._finite)).all()):
            first = int((~finite).int().argmax())
            loss, count = float(self._losses[first].mean()), trainer.num_training_batches
            what = "a finite training loss" if loss - loss != 0 else "finite outputs of the network"
            got = f"{loss}" if loss - loss != 0 else "others"
            self._end(trainer, f"expected {what}, got {got}", batch=first + 1, count=int(count))
        if name := not_finite(pl_module):
            self._end(trainer, f"expected finite weights, got others in {name!r}")

    @contextmanager
    def explaining(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Iterator[None]:
        """Report an error in the block as divergence if numbers that are not finite are its cause.

        Raises:
            DivergedError: instead of an error with such a cause; others pass unchanged.
        """
        try:
            yield
        except (ValueError, RuntimeError, ArithmeticError) as error:
            if self.started and not isinstance(error, DivergedError):
                try:
                    self.check(trainer, pl_module)
                except DivergedError as diverged:
                    raise diverged from error
            raise

    def _end(self, trainer: L.Trainer, fact: str, *, batch: int | None = None, count: int = 0) -> None:
        epoch = trainer.current_epoch + 1
        place = "" if batch is None else f", from batch {batch} of {count} on"
        found = {"epoch": epoch, "batch": batch, "fact": f"{fact} in epoch {epoch}{place}"}
        if trainer.is_global_zero:
            write_json({"format_version": FORMAT_VERSION} | found, self.folder / MARK)
        raise _error(self.folder, found)


def refuse_diverged(folder: Path) -> None:
    """Refuse a run folder whose training has diverged before.

    Raises:
        DivergedError: the training has diverged.
    """
    if (folder / MARK).is_file():
        raise _error(folder, read_json(folder / MARK, "what StopDiverged wrote", {"epoch": int, "fact": str}))


def not_finite(module: L.LightningModule) -> str | None:
    """The first weight, or statistic of a batch norm, that is not finite everywhere; None where all are.

    The noise model's own buffers are not checked: there NaN means "not estimated yet".
    """
    buffers = ((name, value) for name, value in module.named_buffers() if not name.startswith("label_noise."))
    for name, value in itertools.chain(module.named_parameters(), buffers):
        if value.is_floating_point() and not bool(value.isfinite().all()):
            return name
    return None


def _error(folder: Path, found: Mapping[str, Any]) -> DivergedError:
    message = f"{folder}: {found['fact']}. {REMEDY}"
    return DivergedError(message, epoch=int(found["epoch"]), batch=found.get("batch"))
