"""What a person sees while a network trains: a bar in a terminal, a line an epoch elsewhere."""

from __future__ import annotations

from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from steadfit.training.history import History


class Announce(L.Callback):
    """Progress of one run on a console, with the epoch's figures from :class:`History`."""

    def __init__(self, console: Console, history: History, label: str, units: str) -> None:
        self.console, self.history, self.label, self.units = console, history, label, units
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.console.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
        total = int(trainer.estimated_stepping_batches)
        self._task = self._bar.add_task(self.label, total=total, completed=trainer.global_step, note="")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.history.rows:
            return
        if self._bar is not None:
            self._bar.update(self._task, note=self._note(trainer))
        else:
            self.console.print(f"{self.label}: {self._note(trainer)}", highlight=False, soft_wrap=True)

    def _note(self, trainer: L.Trainer) -> str:
        row = self.history.rows[-1]
        text = f"epoch {row['epoch']}/{trainer.max_epochs} {row['phase']}, "
        text += f"median validation error {row['val_error']:.3g} {self.units}"
        return text if row["phase"] == "warm-up" else f"{text}, {row['suspects']:.1%} of its labels suspect"

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
