"""The LightningModule that trains a regressor under a noise model, with averaged weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from steadfit.data import Batch, mirror
from steadfit.losses import WarmUpLoss
from steadfit.networks import head_parameters
from steadfit.noise import LabelNoise, NoiseModel
from steadfit.training.plans import Plan
from steadfit.training.regressor import Regressor


@dataclass(frozen=True)
class BatchLabels:
    """The labels of a batch with their weights under the noise model.

    Args:
        tracker: the noise model's state and the weights of all training labels.
        index: (B,), which training samples these are.
        mirrored: (B,), which of them are mirrored in the batch; None: none.
        permutation: where left and right points go in the mirrored samples.
    """

    tracker: LabelNoise
    index: Tensor
    mirrored: Tensor | None
    permutation: tuple[int, ...] | None

    def loss(self, numbers: Tensor, goal: Tensor) -> Tensor:
        """The noise model's own loss of numbers (B, P) for standardised targets (B, K, D)."""
        loss: Tensor = self.tracker(numbers, goal, self.index, self.mirrored, self.permutation)
        return loss

    def weight(self) -> Tensor | None:
        """The weight of each label, (B, K); None where all count in full."""
        if not self.tracker.noise.needs_refit:
            return None
        return self.tracker.weights(self.index, self.mirrored, self.permutation).amin(dim=-1)


class TrainingModule(L.LightningModule):
    """Trains a :class:`Regressor` under a noise model.

    ``averaged`` (the network itself where the plan doesn't average) predicts, is validated and gives residuals. A batch
    is a dict with ``index``, ``input``, ``target``, and ``mirrored`` where the data set warps (see
    :class:`steadfit.data.LabelledDataset`). All randomness of an epoch is a function of (seed, epoch, batch), so that a
    resumed run repeats it.

    Args:
        regressor: the network with its scalings and the meaning of its numbers.
        noise: the noise model.
        plan: when things happen.
        n_samples: N, the size of the training set.
        permutation: where left and right points go in a mirrored image; None: nothing is mirrored.
        seed: the seed of the mirroring, and of the network's own randomness.
    """

    def __init__(
        self,
        regressor: Regressor,
        noise: NoiseModel,
        plan: Plan,
        *,
        n_samples: int,
        permutation: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        points, dims = regressor.center.shape
        output = regressor.output
        self.regressor, self.output, self.plan = regressor, output, plan
        self.criterion = output.criterion(plan.epochs)
        self.label_noise = LabelNoise(
            noise, n_samples=n_samples, points=points, dims=dims, by_trust=output.weighs_by_trust
        )
        self.averaged: AveragedModel | None = None
        if plan.averaging > 0:
            average = get_ema_multi_avg_fn(plan.averaging)  # type: ignore[no-untyped-call]
            self.averaged = AveragedModel(regressor, multi_avg_fn=average, use_buffers=True)
        self.permutation = None if permutation is None else tuple(permutation)
        self.seed = seed
        self.head = head_parameters(regressor.network, output.n_outputs(points, dims))
        in_head = {id(parameter) for parameter in self.head}
        self.body = [p for p in regressor.parameters() if p.requires_grad and id(p) not in in_head]
        self.held_out: list[tuple[Tensor, Tensor, Tensor]] = []
        self.held_out_losses: list[tuple[float, int]] = []

    @property
    def dims(self) -> int:
        """D, the coordinates of a target."""
        return self.regressor.dims

    @property
    def warming_up(self) -> bool:
        """Whether this epoch minimises a warm-up loss."""
        if isinstance(self.criterion, WarmUpLoss):
            return self.current_epoch < self.criterion.epochs
        return bool(self.label_noise.warming_up)

    def on_fit_start(self) -> None:
        if self.averaged is not None:  # it spans at most a tenth of the steps: small sets have few
            window = max(int(self.trainer.estimated_stepping_batches) / 10, 2)
            decay = min(self.plan.averaging, 1 - 1 / window)
            self.averaged.multi_avg_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def predictor(self) -> Regressor:
        """The network that predicts."""
        chosen = self.regressor if self.averaged is None else self.averaged.module
        assert isinstance(chosen, Regressor)
        return chosen

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = self.predictor()(value)
        return result

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        if device.type == "mps":  # which has no float64
            batch = {name: v.float() if v.dtype == torch.float64 else v for name, v in batch.items()}
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved

    def noise_outputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Sample index, numbers and standardised target of a batch, for the refit of the noise model."""
        return batch["index"], self(batch["input"]), self.regressor.standardize(batch["target"])

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        value, target, which = self._mirrored(batch, batch_idx)
        goal = self.regressor.standardize(target)
        labels = BatchLabels(self.label_noise, batch["index"], which, self.permutation)
        step = self.output.step(self.regressor, self.criterion, value, goal, labels)
        assert step.loss is not None
        return {"loss": step.loss, "index": batch["index"], **self._seen(step.numbers, goal, batch, which)}

    def _mirrored(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor | None]:
        if self.permutation is None or "mirrored" in batch:  # a warp has mirrored already
            return batch["input"], batch["target"], batch.get("mirrored")
        generator = torch.Generator().manual_seed(_mix(self.seed, self.current_epoch, batch_idx))
        which = (torch.rand(len(batch["input"]), generator=generator) < 0.5).to(batch["input"].device)
        width = batch["input"].shape[-1]
        value, target = mirror(batch["input"], batch["target"], which, self.permutation, width)
        return value, target, which

    def _seen(self, numbers: Tensor, goal: Tensor, batch: Batch, which: Tensor | None) -> dict[str, Tensor]:
        """Numbers and targets of the unmirrored samples, for a refit from what the epoch has seen anyway."""
        target = self.regressor.standardize(batch["target"])
        if which is None or self.permutation is None:
            return {"output": numbers.detach(), "target": target}
        if self.output.predicts_covariance:  # a mirrored distribution has no way back to the numbers
            return {"output": numbers.detach(), "target": target.masked_fill(which[:, None, None], torch.nan)}
        residual = goal - self.output.prediction(numbers.detach(), self.dims)
        back = residual[:, list(self.permutation)] * torch.tensor([-1.0, 1.0], device=residual.device)
        location = target.nan_to_num(nan=0.0) - torch.where(which[:, None, None], back, residual).nan_to_num(nan=0.0)
        return {"output": location.flatten(1), "target": target}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # For dropout and the like: the loader draws from the same stream, once more or less after a resume.
        torch.manual_seed(_mix(self.seed + 1, self.current_epoch, batch_idx))

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.averaged is not None:
            self.averaged.update_parameters(self.regressor)

    def predictor_weights(self) -> dict[str, Tensor]:
        """A copy of the predicting network's weights."""
        return copy.deepcopy(self.predictor().state_dict())

    def restore_predictor(self, weights: dict[str, Tensor]) -> None:
        """Predict with these weights, and continue training from them."""
        self.predictor().load_state_dict(weights)
        self.regressor.load_state_dict(weights)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        goal = self.regressor.standardize(batch["target"])
        step = self.output.held_out(self.predictor(), self.criterion, batch["input"], goal)
        if step.loss is not None:
            self.held_out_losses.append((float(step.loss), len(goal)))
        self.held_out.append((batch["index"], step.numbers, goal))

    def on_validation_epoch_start(self) -> None:
        self.held_out.clear()
        self.held_out_losses.clear()

    def validation_loss(self) -> float:
        """The validation loss of the history: the mean of the output's own loss, unweighted, or the noise model's."""
        if self.criterion is None:
            return self.held_out_loss()
        losses, counts = zip(*self.held_out_losses, strict=True)
        return float(np.average(losses, weights=counts))

    def held_out_loss(self) -> float:
        """The noise model's validation loss under its present state, from the numbers of the last validation."""
        _, numbers, target = (torch.cat(parts) for parts in zip(*self.held_out, strict=True))
        return float(self.label_noise.held_out_loss(numbers, target))

    def comparable_loss(self) -> float:
        """A validation loss that has the same meaning in every epoch.

        It is :meth:`held_out_loss` for models with weights and for L2; for the others, whose losses under different
        scales can't be compared, it is the mean absolute residual.
        """
        noise = self.label_noise.noise
        if noise.keeps_weights or not noise.needs_refit:
            return self.held_out_loss()
        _, numbers, target = (torch.cat(parts) for parts in zip(*self.held_out, strict=True))
        return float((target - self.output.prediction(numbers, self.dims)).abs().nanmean())

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(_mix(self.seed, self.current_epoch, -1))
        if isinstance(self.criterion, WarmUpLoss):
            self.criterion.set_epoch(self.current_epoch)
        if self.plan.head_epochs and self.head:
            self._train_body(self.current_epoch >= self.plan.head_epochs)

    def _train_body(self, wanted: bool) -> None:
        """Train everything, or only the head; then the rest stays as it is, including the statistics of batch norms."""
        for parameter in self.body:
            parameter.requires_grad_(wanted)
        for part in self.regressor.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.train(wanted)

    def _groups(self) -> list[dict[str, Any]]:
        """The groups of parameters with their weight decay."""
        decay = self.plan.head_weight_decay
        if decay is None:
            return [{"params": list(self.regressor.parameters()), "weight_decay": self.plan.weight_decay}]
        return [{"params": self.body, "weight_decay": 0.0}, {"params": self.head, "weight_decay": decay}]

    def configure_optimizers(self) -> Any:
        plan = self.plan
        if plan.optimizer == "rmsprop":
            optimizer: torch.optim.Optimizer = torch.optim.RMSprop(self._groups(), lr=plan.lr)
        elif plan.optimizer == "sgd":
            optimizer = torch.optim.SGD(self._groups(), lr=plan.lr, momentum=plan.momentum, nesterov=plan.nesterov)
        else:
            optimizer = torch.optim.AdamW(self._groups(), lr=plan.lr, fused=True)
        if not plan.schedule.changes:
            return optimizer
        scheduler = plan.schedule.scheduler(optimizer, plan.lr, max(int(self.trainer.estimated_stepping_batches), 2))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _mix(seed: int, epoch: int, step: int) -> int:
    """One seed from three numbers."""
    return (seed * 1_000_003 + epoch) * 1_000_003 + step + 1 & 0x7FFF_FFFF_FFFF_FFFF
