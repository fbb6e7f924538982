"""The LightningModule of a classifier, and its history."""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from rich.console import Console
from torch import Tensor, nn

from steadfit.data import Batch
from steadfit.losses import WarmUpLoss
from steadfit.metrics import top_k
from steadfit.networks import output_layer
from steadfit.training.classification.settings import ClassifierProtocol
from steadfit.training.module import InputScaling
from steadfit.training.progress import Announcer
from steadfit.training.rows import EpochRows

COLUMNS = ("epoch", "phase", "train_loss", "val_loss", "val_top1", "val_top5", "lr", "seconds")


class Classifier(nn.Module):
    """What is saved of a run: input scaling and network; gives logits (N, C) for uint8 images (N, C', H, W)."""

    def __init__(self, network: nn.Module, inputs: InputScaling) -> None:
        super().__init__()
        self.network, self.inputs = network, inputs

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = self.network(self.inputs(value))
        return result


def start_rare(network: nn.Module, n_classes: int) -> None:
    """Let every class start at a probability of 1/C rather than 1/2, through the last linear layer's bias.

    b = -log(C - 1)

    With a sigmoid a class and their losses summed, C - 1 classes that are absent pull at a zero start with the same
    force, and the first steps are as many times too long.

    References: Lin et al., ICCV 2017, section 4.1 (the prior of focal loss).
    """
    layer = output_layer(network, n_classes)
    if layer is not None and layer.bias is not None:
        nn.init.constant_(layer.bias, -math.log(max(n_classes - 1, 1)))


class ClassifierModule(L.LightningModule):
    """Trains a :class:`Classifier` under a loss ``loss(logits, target)``.

    A batch is a dict with ``index``, ``input`` and ``target``. All randomness of an epoch is a function of (seed,
    epoch, batch), so that a resumed run repeats it.
    """

    def __init__(self, classifier: Classifier, loss: nn.Module, protocol: ClassifierProtocol, *, seed: int = 0) -> None:
        super().__init__()
        self.classifier, self.loss, self.protocol, self.seed = classifier, loss, protocol, seed
        self.held_out: list[tuple[Tensor, Tensor]] = []

    @property
    def warming_up(self) -> bool:
        """Whether this epoch's loss is the warm-up's cross entropy."""
        return isinstance(self.loss, WarmUpLoss) and self.current_epoch < self.loss.epochs

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = self.classifier(value)
        return result

    def on_train_epoch_start(self) -> None:
        if isinstance(self.loss, WarmUpLoss):
            self.loss.set_epoch(self.current_epoch)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # Dropout and the like: the loader draws from the same stream, once more or less after a resume.
        torch.manual_seed(((self.seed + 1) * 1_000_003 + self.current_epoch) * 1_000_003 + batch_idx)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss: Tensor = self.loss(self(batch["input"]), _classes(batch))
        return loss

    def on_validation_epoch_start(self) -> None:
        self.held_out.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.held_out.append((self(batch["input"]), _classes(batch)))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        plan = self.protocol
        optimizer = torch.optim.SGD(
            self.classifier.parameters(),
            lr=plan.lr,
            momentum=plan.momentum,
            weight_decay=plan.weight_decay,
            nesterov=plan.nesterov,
        )
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: plan.factor(step / total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class ClassifierHistory(EpochRows):
    """Collects, per epoch: phase, losses, top-1 and top-5 accuracy on the validation images, step size, seconds.

    Its rows are in the checkpoint and in history.csv.
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    def row(self, trainer: L.Trainer, pl_module: L.LightningModule, train_loss: float) -> dict[str, Any]:
        module = cast(ClassifierModule, pl_module)
        logits, target = (torch.cat(parts) for parts in zip(*module.held_out, strict=True))
        return {
            "phase": "warm-up" if module.warming_up else "loss",
            "val_loss": float(module.loss(logits, target)),
            "val_top1": accuracy(logits, target),
            "val_top5": accuracy(logits, target, top=5),
        }


class AnnounceClassifier(Announcer):
    """Progress with the epoch's figures from :class:`ClassifierHistory`."""

    def __init__(self, console: Console, history: ClassifierHistory, label: str) -> None:
        super().__init__(console, label)
        self.history = history

    def note(self, trainer: L.Trainer) -> str:
        if not self.history.rows:
            return ""
        row = self.history.rows[-1]
        phase = " warm-up" if row["phase"] == "warm-up" else ""
        return f"epoch {row['epoch']}/{trainer.max_epochs}{phase}, validation top-1 {row['val_top1']:.1%}"


def accuracy(logits: Tensor, target: Tensor, *, top: int = 1) -> float:
    """The share of images whose class is among the ``top`` greatest of its logits (N, C); NaN without images."""
    return float(top_k(logits, target, k=top).cpu().double().mean())


def _classes(batch: Batch) -> Tensor:
    """(B,) int64 from the batch's targets (B, 1, 1)."""
    return batch["target"].flatten().long()
