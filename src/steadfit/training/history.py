"""One row an epoch, kept in the checkpoint and written as history.csv."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import pandas as pd
import torch
from torch import Tensor

from steadfit.data import LabelledDataset
from steadfit.data.files import atomic_path
from steadfit.training.module import RegressionModule
from steadfit.training.outcome import PCK_ALPHA

COLUMNS = (
    *("epoch", "phase", "train_loss", "val_loss", "val_error", "val_pck"),
    *("suspects", "inlier_share", "lr", "seconds"),
)


class History(L.Callback):
    """Collects, per epoch: phase, losses (standardised units, or those of heatmaps), the median validation error
    (user's units), PCK (with a normalising length), the share of suspect validation labels, pi, step size, seconds.

    The *median* error, because validation labels may be wrong too.
    """

    def __init__(self, val: LabelledDataset, path: Path | None = None) -> None:
        self.val, self.path = val, path
        self.rows: list[dict[str, Any]] = []
        self._losses: list[Tensor] = []
        self._start = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._losses, self._start = [], time.perf_counter()
        module = cast(RegressionModule, pl_module)
        self._phase = "warm-up" if bool(module.label_noise.warming_up) else "round"

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        module = cast(RegressionModule, pl_module)
        noise, state = module.label_noise.noise, module.label_noise.state
        index, output, target = (torch.cat(parts).cpu() for parts in zip(*module.held_out, strict=True))
        state = {name: value.cpu() for name, value in state.items()}
        share = state.get("inlier_share")
        suspect = noise.is_outlier(output, target, state)[~target.isnan().all(dim=-1)]
        error = self._errors(module, index, output)
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "phase": self._phase,
                "train_loss": float(torch.stack(self._losses).mean()),
                "val_loss": module.validation_loss(),
                "val_error": float(error.nanmedian()),
                "val_pck": self._pck(index, error),
                "suspects": float(suspect.double().mean()) if len(suspect) else 0.0,
                "inlier_share": None if share is None else float(share.mean()),
                "lr": trainer.optimizers[0].param_groups[0]["lr"],
                "seconds": round(time.perf_counter() - self._start, 3),
            }
        )
        if self.path is not None and trainer.is_global_zero:
            with atomic_path(self.path) as path:
                self.frame().to_csv(path, index=False)

    def _errors(self, module: RegressionModule, index: Tensor, output: Tensor) -> Tensor:
        """Of every validation label in the user's units, (n, K)."""
        location = module.label_noise.noise.prediction(output, module.dims)
        predicted = module.regressor.destandardize(location.to(module.device)).cpu()
        wanted = self.val.frame.to_user(self.val.target[index], index)
        error: Tensor = torch.linalg.vector_norm(wanted - self.val.frame.to_user(predicted, index), dim=-1)
        return error

    def _pck(self, index: Tensor, error: Tensor) -> float | None:
        """The share of labels within ``PCK_ALPHA`` of the normalising length; None without one."""
        length = self.val.annotations.length
        if length is None:
            return None
        relative = error / torch.from_numpy(length[self.val.rows])[index].unsqueeze(1)
        known = ~relative.isnan()
        return float((relative[known] <= PCK_ALPHA).double().mean()) if bool(known.any()) else None

    def frame(self) -> pd.DataFrame:
        """The rows as a table."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))
