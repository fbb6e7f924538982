"""Lightning's Trainer as it is used here: one device, checkpoints that survive a kill, no notices."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils.data import DataLoader

from steadfit._files import atomic_path
from steadfit.errors import RunError, SteadfitError
from steadfit.training.callbacks.diverging import StopDiverged
from steadfit.training.folder import RESTART, WHOLE, opened, read_checkpoint

CHECKPOINT = "checkpoints/last.ckpt"


def make_trainer(out: Path, *, epochs: int, callbacks: Sequence[L.Callback], device: str) -> L.Trainer:
    """A trainer that stores the last epoch's checkpoint in the run folder, and stops when training diverges.

    Args:
        out: the run folder.
        epochs: the number of epochs.
        callbacks: further callbacks, in order.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """
    return L.Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=1,
        max_epochs=epochs,
        callbacks=[
            StopDiverged(out),
            *callbacks,
            ModelCheckpoint(
                dirpath=out / Path(CHECKPOINT).parent,
                filename=Path(CHECKPOINT).stem,
                save_top_k=1,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
        ],
        plugins=[_AtomicCheckpoints()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=out,
    )


class Loads(Protocol):
    """A data set that makes its own loaders, shuffled by a function of seed and epoch."""

    def __len__(self) -> int: ...

    def loader(
        self, batch_size: int, *, shuffle_seed: int | None = None, workers: int = 0, drop_last: bool = False
    ) -> DataLoader[Any]: ...


def fit_or_continue(
    trainer: L.Trainer,
    module: L.LightningModule,
    train: Loads,
    val: Loads,
    out: Path,
    *,
    batch_size: int,
    val_batch_size: int,
    seed: int,
    workers: int,
) -> None:
    """Train from the start, or from the checkpoint in the run folder if there is one.

    Args:
        trainer: what :func:`make_trainer` gave.
        module: the module to train.
        train: the training set.
        val: the validation set.
        out: the run folder.
        batch_size: the number of samples per step.
        val_batch_size: the number of validation samples per batch.
        seed: the seed of the order of the samples.
        workers: the number of processes that read samples; 0: none besides this one.

    Raises:
        RunError: the checkpoint is damaged or does not fit.
        DivergedError: the training is no longer finite.
    """
    guard = next(one for one in trainer.callbacks if isinstance(one, StopDiverged))  # type: ignore[attr-defined]
    loader = train.loader(batch_size, shuffle_seed=seed, workers=workers, drop_last=lonely_last(len(train), batch_size))
    last = out / CHECKPOINT
    if last.exists():  # workers draw the first indices before the trainer sets the sampler's epoch
        loader.sampler.set_epoch(epochs_done(last))  # type: ignore[attr-defined]
    with guard.explaining(trainer, module), _restoring(last, guard):
        trainer.fit(
            module,
            loader,
            val.loader(val_batch_size, workers=workers),
            ckpt_path=str(last) if last.exists() else None,
            weights_only=True,
        )
        guard.check(trainer, module)  # a checkpoint after the last epoch is not trained on


@contextmanager
def _restoring(checkpoint: Path, guard: StopDiverged) -> Iterator[None]:
    """Blame the restored checkpoint, if there is one, for what fails before the training has started."""
    there = checkpoint.exists()
    try:
        yield
    except Exception as error:
        if not there or guard.started or isinstance(error, SteadfitError):
            raise
        raise RunError(f"{checkpoint}: expected {WHOLE}, got one that does not fit it. {RESTART}") from error


def occupied(out: Path) -> RunError:
    """The error for a folder that contains a run which is not to be continued."""
    return RunError(f"{out}: holds a run already. Continue it with --resume or choose another folder with --out.")


def check_same(out: Path, changed: Sequence[str]) -> None:
    """Refuse to continue a run with anything else than it was started with.

    Args:
        out: the run folder.
        changed: words for what has changed; empty: nothing.

    Raises:
        RunError: something has changed.
    """
    if changed:
        raise RunError(f"{out}: cannot resume, {', '.join(changed)} differ from the run's. Use another folder.")


class _AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints to a temporary file first: a kill leaves the old one or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with (
            atomic_path(path) as temporary,
            temporary.open("wb") as file,
        ):  # given a path, torch loses the system's error
            torch.save(checkpoint, file)


def epochs_done(checkpoint: Path) -> int:
    """The number of finished epochs in a checkpoint."""
    content = read_checkpoint(checkpoint)
    with opened(checkpoint, WHOLE, remedy=RESTART):
        return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def some_rows(count: int, seed: int, most: int = 2000) -> list[int]:
    """Rows on which a training set's images are measured: all, or a random choice, never every n-th.

    In a table that is sorted, or has a period, every n-th row may show only one of its hours, persons or cameras.

    Args:
        count: the number of rows of the training set.
        seed: the seed of the choice.
        most: the number of rows that is enough.

    Returns:
        Different rows, in ascending order.

    >>> some_rows(3, seed=0), len(some_rows(10_000, seed=0))
    ([0, 1, 2], 2000)
    """
    if count <= most:
        return list(range(count))
    chosen = np.random.default_rng(seed).choice(count, size=most, replace=False)
    return sorted(int(row) for row in chosen)


def lonely_last(count: int, batch_size: int) -> bool:
    """Whether the last batch has one sample, which would break batch norm."""
    return count > batch_size and count % batch_size == 1


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's notices about hardware and workers, on which a user here could not act."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)
