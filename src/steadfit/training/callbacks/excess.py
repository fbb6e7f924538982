"""Where anchor loss exceeds cross entropy, observed on a few validation images while a heatmap network trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save

from steadfit._files import write_bytes
from steadfit.core.anchor import heatmap_modulator
from steadfit.data import LabelledDataset
from steadfit.outputs import HeatmapReader
from steadfit.training.callbacks.refit import evaluating
from steadfit.training.folder import opened
from steadfit.training.module import TrainingModule

FILE = "excess.safetensors"
SHARES = (0.0, 0.1, 0.3, 1.0)
"""When the images are looked at: after the first epoch, and after these shares of all epochs."""


@dataclass(frozen=True)
class Excess:
    """What was observed on M images with K joints.

    Args:
        frames: (M, C, H, W) uint8.
        points: (M, K, 2), the annotations in px of the frame, NaN where missing.
        modulator: for each epoch (M, K, h, w): the factor of anchor loss on cross entropy, above 1 where it exceeds it.
    """

    frames: npt.NDArray[np.uint8]
    points: npt.NDArray[np.float32]
    modulator: dict[int, npt.NDArray[np.float32]]

    @classmethod
    def load(cls, folder: Path) -> Excess | None:
        """Read what a run has saved; None where there is nothing.

        Raises:
            RunError: the file is damaged.
        """
        if not (folder / FILE).is_file():
            return None
        with opened(folder / FILE, "what a heatmap network has left", remedy="Delete it."):
            found = load_file(folder / FILE)
            epochs = sorted(int(name.removeprefix("epoch_")) for name in found if name.startswith("epoch_"))
            frames, points = found["frames"], found["points"]
            modulator = {epoch: found[f"epoch_{epoch}"] for epoch in epochs}
            if frames.ndim != 4 or points.ndim != 3 or any(len(maps) != len(frames) for maps in modulator.values()):
                raise ValueError(f"frames of shape {frames.shape} and points of shape {points.shape}")
            return cls(frames, points, modulator)

    def save(self, folder: Path) -> None:
        arrays = {"frames": self.frames, "points": self.points}
        arrays |= {f"epoch_{epoch}": value for epoch, value in self.modulator.items()}
        # safetensors writes the memory as it lies
        write_bytes(save({name: np.ascontiguousarray(value) for name, value in arrays.items()}), folder / FILE)


class WatchExcess(L.Callback):
    """Observes anchor loss after chosen epochs, and writes the result into the run folder (paper 4, Fig. 7).

    Args:
        val: the validation set.
        folder: the run folder.
        images: M, the number of images, the first ones of the set.
        gamma: the exponent of the anchor loss that is observed, whatever the loss of the training.
        margin: its margin.
    """

    def __init__(
        self, val: LabelledDataset, folder: Path, *, images: int = 6, gamma: float = 2.0, margin: float = 0.0
    ) -> None:
        self.val, self.folder, self.gamma, self.margin = val, folder, gamma, margin
        self.images = min(images, len(val))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 1
        if done in {max(round(share * total), 1) for share in SHARES} and trainer.is_global_zero:
            self._look(cast(TrainingModule, pl_module), done)

    @torch.no_grad()
    def _look(self, module: TrainingModule, epoch: int) -> None:
        batch = self.val.__getitems__(list(range(self.images)))
        points = batch["target"].float()
        regressor = module.predictor()
        reader = regressor.network
        assert isinstance(reader, HeatmapReader)
        with evaluating(regressor):
            logits = regressor.raw(batch["input"].to(module.device))[:, -1].float().cpu()
        target = reader.targets(points, (logits.shape[2], logits.shape[3]))
        seen = heatmap_modulator(logits, target, self.gamma, self.margin).numpy()
        before = Excess.load(self.folder)
        earlier = {} if before is None else {past: maps for past, maps in before.modulator.items() if past < epoch}
        Excess(batch["input"].numpy(), points.numpy(), {**earlier, epoch: seen}).save(self.folder)
