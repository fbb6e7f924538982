"""The progress of a training: a bar in a terminal, one line per epoch elsewhere."""

from __future__ import annotations

from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from steadfit._console import say, visible
from steadfit.training.callbacks.history import History


class Announce(L.Callback):
    """Shows the progress of one run on a console, with the epoch's figures from :class:`History`.

    Args:
        console: where it is shown.
        history: the history, which comes before this among the callbacks.
        label: the name of the run.
        units: the unit of the errors, empty for none.
    """

    def __init__(self, console: Console, history: History, label: str, units: str) -> None:
        self.console, self.history, self.label, self.units = console, history, label, units
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.console.is_terminal:
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
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
        note = self.note(trainer)
        if self._bar is not None:
            self._bar.update(self._task, note=visible(note))
        elif note:
            say(self.console, f"{self.label}: {note}")

    def note(self, trainer: L.Trainer) -> str:
        """The text to show after an epoch; empty for nothing."""
        if not self.history.rows:
            return ""
        row = self.history.rows[-1]
        text = f"epoch {row['epoch']}/{trainer.max_epochs}"
        if "val_top1" in row:
            phase = " warm-up" if row["phase"] == "warm-up" else ""
            return f"{text}{phase}, validation top-1 {row['val_top1']:.1%}"
        unit = f" {self.units}" if self.units else ""
        text += f" {row['phase']}, median validation error {row['val_error']:.3g}{unit}"
        return text if row["phase"] == "warm-up" else f"{text}, {row['suspects']:.1%} of its labels suspect"

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
