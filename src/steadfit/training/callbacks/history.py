"""The history of a regression run: a row an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

import lightning as L
import torch
from torch import Tensor

from steadfit.data import LabelledDataset
from steadfit.metrics import pck, point_error
from steadfit.metrics.thresholds import PCK_ALPHA
from steadfit.training.callbacks.rows import EpochRows
from steadfit.training.module import TrainingModule

COLUMNS = (
    *("epoch", "phase", "train_loss", "val_loss", "val_error", "val_mean", "val_pck"),
    *("suspects", "inlier_share", "lr", "seconds"),
)


class History(EpochRows):
    """Collects, per epoch: phase, losses (standardised units, or those of heatmaps), the median and the mean validation
    error (user's units), PCK (with a normalising length), the share of suspect validation labels, pi, step size,
    seconds.

    The *median* error is the one to look at where validation labels may be wrong too.
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    def __init__(self, val: LabelledDataset, path: Path | None = None) -> None:
        super().__init__(path)
        self.val = val

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        module = cast(TrainingModule, pl_module)
        self._phase = "warm-up" if bool(module.label_noise.warming_up) else "round"

    def row(self, trainer: L.Trainer, pl_module: L.LightningModule, train_loss: float) -> dict[str, Any]:
        module = cast(TrainingModule, pl_module)
        noise, state = module.label_noise.noise, module.label_noise.state
        index, output, target = (torch.cat(parts).cpu() for parts in zip(*module.held_out, strict=True))
        state = {name: value.cpu() for name, value in state.items()}
        share = state.get("inlier_share")
        suspect = noise.is_outlier(output, target, state)[~target.isnan().all(dim=-1)]
        predicted, wanted = self._in_units(module, index, output)
        error = point_error(predicted, wanted)  # (n, K)
        return {
            "phase": self._phase,
            "val_loss": module.validation_loss(),
            "val_error": float(error.nanmedian()),
            "val_mean": float(error.nanmean()),
            "val_pck": self._pck(index, predicted, wanted),
            "suspects": float(suspect.double().mean()) if len(suspect) else 0.0,
            "inlier_share": None if share is None else float(share.mean()),
        }

    def _in_units(self, module: TrainingModule, index: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions and labels of the validation set in the user's units, (n, K, D)."""
        location = module.output.prediction(output, module.dims)
        predicted = module.regressor.destandardize(location.to(module.device)).cpu()
        frame = self.val.frame
        return frame.to_user(predicted, index), frame.to_user(self.val.target[index], index)

    def _pck(self, index: Tensor, predicted: Tensor, wanted: Tensor) -> float | None:
        """The share of labels within ``PCK_ALPHA`` of the normalising length; None without one."""
        length = self.val.annotations.length
        if length is None:
            return None
        own = torch.from_numpy(length[self.val.rows])[index]
        return float(pck(predicted, wanted, own, alpha=PCK_ALPHA).double().nanmean())
