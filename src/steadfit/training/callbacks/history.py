"""The history of a run: one row per epoch, stored in the checkpoint and written as history.csv."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import pandas as pd
import torch
from torch import Tensor

from steadfit._files import atomic_path
from steadfit.data import LabelledDataset
from steadfit.metrics import pck, point_error, top_k
from steadfit.metrics.thresholds import PCK_ALPHA
from steadfit.outputs import Output
from steadfit.outputs.classes import class_numbers
from steadfit.training.module import TrainingModule

CLASSES = ("val_top1", "val_top5")
NUMBERS = ("val_error", "val_mean", "val_pck", "suspects", "inlier_share")


def columns_of(output: Output) -> tuple[str, ...]:
    """The columns of a history, which depend on the meaning of the network's numbers."""
    own = CLASSES if output.for_classes else NUMBERS
    return "epoch", "phase", "train_loss", "val_loss", *own, "lr", "seconds"


class History(L.Callback):
    """Collects one row per epoch.

    For every output: phase, losses (in standardised units, or those of the output's own loss), step size, seconds. For
    points and numbers: the median and the mean validation error (user's units), PCK (with a normalising length), the
    share of suspect validation labels, pi. For classes: top-1 and top-5 accuracy on the validation images.

    The *median* error is the one to watch where validation labels may be wrong too.

    Args:
        val: the validation set.
        output: what the network's numbers mean.
        path: the file history.csv; None: nothing is written.
    """

    def __init__(self, val: LabelledDataset, output: Output, path: Path | None = None) -> None:
        self.val, self.columns, self.path = val, columns_of(output), path
        self.rows: list[dict[str, Any]] = []
        self._losses: list[Tensor] = []
        self._start, self._warming_up = 0.0, False

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._losses, self._start = [], time.perf_counter()
        self._warming_up = cast(TrainingModule, pl_module).warming_up

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        module = cast(TrainingModule, pl_module)
        found = {
            "epoch": trainer.current_epoch + 1,
            "phase": self._phase(module),
            "train_loss": float(torch.stack(self._losses).mean()),
            "val_loss": module.validation_loss(),
            **self._measures(module),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.perf_counter() - self._start, 3),
        }
        self.rows.append({name: found[name] for name in self.columns})
        if self.path is not None and trainer.is_global_zero:
            with atomic_path(self.path) as path:
                self.frame().to_csv(path, index=False)

    def frame(self) -> pd.DataFrame:
        """The rows as a table."""
        return pd.DataFrame(self.rows, columns=list(self.columns))

    def _phase(self, module: TrainingModule) -> str:
        return "warm-up" if self._warming_up else "loss" if module.output.for_classes else "round"

    def _measures(self, module: TrainingModule) -> dict[str, Any]:
        index, numbers, target = (torch.cat(parts).cpu() for parts in zip(*module.held_out, strict=True))
        if module.output.for_classes:
            label = class_numbers(target)
            return {f"val_top{k}": float(top_k(numbers, label, k=k).double().mean()) for k in (1, 5)}
        noise, state = module.label_noise.noise, {name: v.cpu() for name, v in module.label_noise.state.items()}
        share = state.get("inlier_share")
        suspect = noise.is_outlier(numbers, target, state)[~target.isnan().all(dim=-1)]
        predicted, wanted = self._in_units(module, index, numbers)
        error = point_error(predicted, wanted)  # (n, K)
        return {
            "val_error": float(error.nanmedian()),
            "val_mean": float(error.nanmean()),
            "val_pck": self._pck(index, predicted, wanted),
            "suspects": float(suspect.double().mean()) if len(suspect) else 0.0,
            "inlier_share": None if share is None else float(share.mean()),
        }

    def _in_units(self, module: TrainingModule, index: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions and labels of the validation set in the user's units, (n, K, D)."""
        location = module.output.prediction(numbers, module.dims)
        predicted = module.regressor.destandardize(location.to(module.device)).cpu()
        frame = self.val.frame
        return frame.to_user(predicted, index), frame.to_user(self.val.target[index], index)

    def _pck(self, index: Tensor, predicted: Tensor, wanted: Tensor) -> float | None:
        """The share of labels within ``PCK_ALPHA`` of the normalising length; None without such a length."""
        length = self.val.annotations.length
        if length is None:
            return None
        own = torch.from_numpy(length[self.val.rows])[index]
        return float(pck(predicted, wanted, own, alpha=PCK_ALPHA).double().nanmean())
