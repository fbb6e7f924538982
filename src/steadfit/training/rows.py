"""One row an epoch, kept in the checkpoint and written as history.csv: what the histories of all tasks share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import pandas as pd
import torch
from torch import Tensor

from steadfit._files import atomic_path


class EpochRows(L.Callback, ABC):
    """Collects a row after every epoch; what stands in it is the subclass's."""

    columns: ClassVar[tuple[str, ...]]

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._losses: list[Tensor] = []
        self._start = 0.0

    @abstractmethod
    def row(self, trainer: L.Trainer, pl_module: L.LightningModule, train_loss: float) -> dict[str, Any]:
        """The epoch's row, but for number, training loss, step size and seconds."""

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._losses, self._start = [], time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        train_loss = float(torch.stack(self._losses).mean())
        found = {
            "epoch": trainer.current_epoch + 1,
            "train_loss": train_loss,
            **self.row(trainer, pl_module, train_loss),
        }
        found["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        found["seconds"] = round(time.perf_counter() - self._start, 3)
        self.rows.append({name: found[name] for name in self.columns})
        if self.path is not None and trainer.is_global_zero:
            with atomic_path(self.path) as path:
                self.frame().to_csv(path, index=False)

    def frame(self) -> pd.DataFrame:
        """The rows as a table."""
        return pd.DataFrame(self.rows, columns=list(self.columns))
