"""What a person sees while a network trains: a bar in a terminal, a line an epoch elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from steadfit._console import say, visible
from steadfit.training.callbacks.history import History


class Announcer(L.Callback, ABC):
    """Progress of one run on a console; what is said of an epoch is the subclass's."""

    def __init__(self, console: Console, label: str) -> None:
        self.console, self.label = console, label
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

    @abstractmethod
    def note(self, trainer: L.Trainer) -> str:
        """What to say after an epoch; empty for nothing."""

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Announce(Announcer):
    """Progress with the epoch's figures from :class:`History`."""

    def __init__(self, console: Console, history: History, label: str, units: str) -> None:
        super().__init__(console, label)
        self.history, self.units = history, units

    def note(self, trainer: L.Trainer) -> str:
        if not self.history.rows:
            return ""
        row = self.history.rows[-1]
        text = f"epoch {row['epoch']}/{trainer.max_epochs} {row['phase']}, "
        text += f"median validation error {row['val_error']:.3g}{f' {self.units}' if self.units else ''}"
        return text if row["phase"] == "warm-up" else f"{text}, {row['suspects']:.1%} of its labels suspect"
