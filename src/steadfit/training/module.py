"""The LightningModule: network, standardisation, noise model, averaged weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from steadfit.data import Standardizer, mirror
from steadfit.data.dataset import Batch
from steadfit.data.standardize import destandardize, standardize
from steadfit.networks import HEATMAP_NETWORKS, MLP, HeatmapReader, build_network, head_parameters, output_layer
from steadfit.networks.hourglass import prior_logit
from steadfit.noise import LabelNoise, NoiseModel
from steadfit.training.heatmaps import HEATMAP_LOSSES, HeatmapObjective
from steadfit.training.settings import Protocol, Settings


class Exact(nn.Module):
    """A module whose own buffers stay float64 when it is cast, so that no digits of offsets and scales are lost.

    ``.float()``, ``.to(torch.bfloat16)`` and Lightning's precisions cast the modules in it and leave these buffers.
    Apple's MPS has no float64: there they are float32, as the inputs are, and a value's offset should be less than
    1e5 times its spread.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Exact:
        own = {id(buffer) for buffer in self._buffers.values()}

        def apply(value: Tensor) -> Tensor:
            return _moved(fn, value) if id(value) in own else fn(value)

        super()._apply(apply, recurse)  # type: ignore[no-untyped-call]
        return self


def _moved(fn: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """A buffer where ``fn`` brings it, in float64 wherever there is such a thing."""
    try:
        moved = fn(value)
        return moved if moved.dtype == torch.float64 else value.to(moved.device, torch.float64)
    except TypeError:  # MPS
        return fn(value.float())


def _exact(value: Tensor) -> Tensor:
    return value.float() if value.device.type == "mps" else value.double()


class InputScaling(Exact):
    """(input - mean)/deviation per channel or feature; images of 0..255 are taken as 0..1.

    Features are scaled in float64, pixels, which have 8 bits, in float32; both come out in float32.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, *, images: bool) -> None:
        super().__init__()
        self.images = images
        self.register_buffer("mean", mean.double())
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, 1.0).double())

    def forward(self, value: Tensor) -> Tensor:
        if not self.images:
            return ((_exact(value) - self.mean) / self.deviation).float()
        shape = (1, -1, *[1] * (value.dim() - 2))
        return (value.float() / 255 - self.mean.float().view(shape)) / self.deviation.float().view(shape)


class Regressor(Exact):
    """What is saved of a run: input scaling, network, and the way back to the frame's units.

    The network computes in its own dtype, usually float32; on both sides of it units are changed in float64.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, inputs: InputScaling, targets: Standardizer) -> None:
        super().__init__()
        self.network, self.inputs = network, inputs
        self.register_buffer("center", targets.center.double())
        self.register_buffer("scale", targets.scale.double())

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in; float32 for one without parameters."""
        return next((p.dtype for p in self.network.parameters() if p.is_floating_point()), torch.float32)

    def forward(self, value: Tensor) -> Tensor:
        """The network's output, in standardised units."""
        result: Tensor = self.network(self.inputs(value).to(self.dtype))
        return result

    def logits(self, value: Tensor) -> Tensor:
        """The raw heatmaps (N, S, K, h, w) of a heatmap network."""
        return self.reader.logits(self.inputs(value).to(self.dtype))

    @property
    def reader(self) -> HeatmapReader:
        """The network, where it is one of heatmaps."""
        assert isinstance(self.network, HeatmapReader)
        return self.network

    def standardize(self, target: Tensor) -> Tensor:
        """Targets (B, K, D) of the frame in standardised units: float32, or float64 for a network in float64."""
        return standardize(_exact(target), self.center, self.scale).to(torch.promote_types(self.dtype, torch.float32))

    def destandardize(self, prediction: Tensor) -> Tensor:
        """Predictions (B, K, D) in the frame's units, in float64."""
        return destandardize(_exact(prediction), self.center, self.scale)


def named_network(inputs: InputScaling, settings: Settings, n_outputs: int) -> nn.Module:
    """The network that the settings name: by default a compact ConvNet for images, an MLP for features.

    A network of heatmaps comes with its reader, and puts out ``n_outputs`` coordinates as the others do.
    """
    channels = len(inputs.mean)
    if not inputs.images:
        return MLP(channels, n_outputs)
    name = "compact" if settings.network == "default" else settings.network
    if settings.heatmaps:
        score = HEATMAP_LOSSES[settings.loss].score
        start = 0.0 if score == "linear" else prior_logit(settings.frame, settings.sigma)
        maps = HEATMAP_NETWORKS[name](channels, n_outputs // 2, size=settings.frame, start=start)
        return HeatmapReader(maps, decoding=settings.decoding, score=score, sigma=settings.sigma)
    head = None if settings.head == "auto" else settings.head
    return build_network(name, channels, n_outputs, size=settings.frame, head=head)


def start_output(network: nn.Module, output: Tensor | None) -> None:
    """Make an untrained network put out the same numbers for every sample, through its last linear layer."""
    layer = None if output is None else output_layer(network, len(output))
    if output is not None and layer is not None and layer.bias is not None:
        nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.bias.copy_(output)


class RegressionModule(L.LightningModule):
    """Trains a :class:`Regressor` under a noise model.

    ``averaged`` (the network itself where the protocol doesn't average) predicts, is validated and gives residuals.
    A batch is a dict with ``index``, ``input``, ``target``, and ``mirrored`` where the data set warps (see
    :class:`steadfit.data.LabelledDataset`). All randomness
    of an epoch is a function of (seed, epoch, batch), so that a resumed run repeats it.
    """

    def __init__(
        self,
        regressor: Regressor,
        noise: NoiseModel,
        protocol: Protocol,
        *,
        n_samples: int,
        permutation: Sequence[int] | None = None,
        seed: int = 0,
        heatmaps: HeatmapObjective | None = None,
    ) -> None:
        super().__init__()
        points, dims = regressor.center.shape
        self.regressor, self.protocol, self.heatmaps = regressor, protocol, heatmaps
        by_trust = heatmaps is not None
        self.label_noise = LabelNoise(noise, n_samples=n_samples, points=points, dims=dims, by_trust=by_trust)
        self.averaged: AveragedModel | None = None
        if protocol.averaging > 0:
            average = get_ema_multi_avg_fn(protocol.averaging)  # type: ignore[no-untyped-call]
            self.averaged = AveragedModel(regressor, multi_avg_fn=average, use_buffers=True)
        self.permutation = None if permutation is None else tuple(permutation)
        self.seed = seed
        self.head = head_parameters(regressor.network, noise.n_outputs(points, dims))
        in_head = {id(parameter) for parameter in self.head}
        self.body = [p for p in regressor.parameters() if p.requires_grad and id(p) not in in_head]
        self.held_out: list[tuple[Tensor, Tensor, Tensor]] = []
        self.heatmap_losses: list[tuple[float, int]] = []

    @property
    def dims(self) -> int:
        return int(self.regressor.center.shape[1])

    def on_fit_start(self) -> None:
        if self.averaged is not None:  # never over more than a tenth of the steps: small sets have few
            window = max(int(self.trainer.estimated_stepping_batches) / 10, 2)
            decay = min(self.protocol.averaging, 1 - 1 / window)
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
        """Sample index, output and standardised target, for the refit of the noise model."""
        return batch["index"], self(batch["input"]), self.regressor.standardize(batch["target"])

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        value, target, which = self._mirrored(batch, batch_idx)
        goal = self.regressor.standardize(target)
        loss, output = self._loss(value, goal, batch["index"], which)
        return {"loss": loss, "index": batch["index"], **self._seen(output, goal, batch, which)}

    def _loss(self, value: Tensor, goal: Tensor, index: Tensor, which: Tensor | None) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and the outputs that noise models see."""
        if self.heatmaps is None:
            output = self.regressor(value)
            return self.label_noise(output, goal, index, which, self.permutation), output
        reader, logits = self.regressor.reader, self.regressor.logits(value)
        weight = self.label_noise.weights(index, which, self.permutation).amin(dim=-1)  # (B, K)
        loss = self.heatmaps(reader, logits, self.regressor.destandardize(goal).float(), weight)
        with torch.no_grad():
            found = reader.points(reader.scores(logits))
        return loss, self.regressor.standardize(found).flatten(1)

    def _mirrored(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor | None]:
        if self.permutation is None or "mirrored" in batch:  # a warp has mirrored already
            return batch["input"], batch["target"], batch.get("mirrored")
        generator = torch.Generator().manual_seed(_mix(self.seed, self.current_epoch, batch_idx))
        which = (torch.rand(len(batch["input"]), generator=generator) < 0.5).to(batch["input"].device)
        width = batch["input"].shape[-1]
        value, target = mirror(batch["input"], batch["target"], which, self.permutation, width)
        return value, target, which

    def _seen(self, output: Tensor, goal: Tensor, batch: Batch, which: Tensor | None) -> dict[str, Tensor]:
        """Output and target of the unmirrored samples, to refit from what the epoch has seen anyway."""
        target = self.regressor.standardize(batch["target"])
        if which is None or self.permutation is None:
            return {"output": output.detach(), "target": target}
        if self.label_noise.noise.predicts_covariance:  # a mirrored distribution has no way back to the numbers
            return {"output": output.detach(), "target": target.masked_fill(which[:, None, None], torch.nan)}
        residual = goal - self.label_noise.noise.prediction(output.detach(), self.dims)
        back = residual[:, list(self.permutation)] * torch.tensor([-1.0, 1.0], device=residual.device)
        location = target.nan_to_num(nan=0.0) - torch.where(which[:, None, None], back, residual).nan_to_num(nan=0.0)
        return {"output": location.flatten(1), "target": target}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # Dropout and the like: the loader draws from the same stream, once more or less after a resume.
        torch.manual_seed(_mix(self.seed + 1, self.current_epoch, batch_idx))

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.averaged is not None:
            self.averaged.update_parameters(self.regressor)

    def predictor_weights(self) -> dict[str, Tensor]:
        """A copy of the predicting network's weights."""
        return copy.deepcopy(self.predictor().state_dict())

    def restore_predictor(self, weights: dict[str, Tensor]) -> None:
        """Predict, and train on, with these weights."""
        self.predictor().load_state_dict(weights)
        self.regressor.load_state_dict(weights)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if self.heatmaps is None:
            self.held_out.append(self.noise_outputs(batch))
            return
        regressor, target = self.predictor(), batch["target"].float()
        logits = regressor.logits(batch["input"])
        loss = self.heatmaps(regressor.reader, logits, target)
        self.heatmap_losses.append((float(loss), len(target)))
        found = regressor.reader.points(regressor.reader.scores(logits))
        self.held_out.append((batch["index"], regressor.standardize(found).flatten(1), regressor.standardize(target)))

    def on_validation_epoch_start(self) -> None:
        self.held_out.clear()
        self.heatmap_losses.clear()

    def validation_loss(self) -> float:
        """For the history: :meth:`held_out_loss`, or the mean loss of heatmaps, where every label counts in full."""
        if self.heatmaps is None:
            return self.held_out_loss()
        losses, counts = zip(*self.heatmap_losses, strict=True)
        return float(np.average(losses, weights=counts))

    def held_out_loss(self) -> float:
        """The validation loss under the present mixture, from the outputs of the last validation."""
        _, output, target = (torch.cat(parts) for parts in zip(*self.held_out, strict=True))
        return float(self.label_noise.held_out_loss(output, target))

    def comparable_loss(self) -> float:
        """A validation loss that means the same in every epoch.

        It is :meth:`held_out_loss` for models with weights and for L2; for the others, whose losses under different
        scales can't be compared, the mean absolute residual.
        """
        noise = self.label_noise.noise
        if noise.keeps_weights or not noise.needs_refit:
            return self.held_out_loss()
        _, output, target = (torch.cat(parts) for parts in zip(*self.held_out, strict=True))
        return float((target - noise.prediction(output, self.dims)).abs().nanmean())

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(_mix(self.seed, self.current_epoch, -1))
        if self.protocol.head_epochs and self.head:
            self._train_body(self.current_epoch >= self.protocol.head_epochs)

    def _train_body(self, wanted: bool) -> None:
        """All but the head is trained, or stays as it is, the statistics of its batch norms included."""
        for parameter in self.body:
            parameter.requires_grad_(wanted)
        for part in self.regressor.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.train(wanted)

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with their weight decay."""
        decay = self.protocol.head_weight_decay
        if decay is None:
            return [{"params": list(self.regressor.parameters()), "weight_decay": self.protocol.weight_decay}]
        return [{"params": self.body, "weight_decay": 0.0}, {"params": self.head, "weight_decay": decay}]

    def configure_optimizers(self) -> Any:
        if self.protocol.optimizer == "rmsprop":
            optimizer: torch.optim.Optimizer = torch.optim.RMSprop(self._groups(), lr=self.protocol.lr)
        elif self.protocol.optimizer == "sgd":
            optimizer = torch.optim.SGD(self._groups(), lr=self.protocol.lr, momentum=0.9)
        else:
            optimizer = torch.optim.AdamW(self._groups(), lr=self.protocol.lr, fused=True)
        if self.protocol.schedule == "constant":
            return optimizer
        total = max(int(self.trainer.estimated_stepping_batches), 2)
        scheduler: Any
        if self.protocol.schedule == "staged":
            scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda step: staged(step / total, self.protocol.milestones)
            )
        elif self.protocol.schedule == "alternating":
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: alternating(step / total))
        else:
            scheduler = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=self.protocol.lr, total_steps=total, pct_start=0.15, cycle_momentum=False
            )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def staged(share: float, milestones: tuple[float, float, float]) -> float:
    """Factor on the step size at a share of all steps: 1, then linearly to .1, then to .01 (paper 3).

    >>> [round(staged(share, (0.5, 0.8, 1.0)), 3) for share in (0.0, 0.5, 0.65, 0.8, 1.0)]
    [1.0, 1.0, 0.55, 0.1, 0.01]
    """
    return float(np.interp(share, milestones, (1.0, 0.1, 0.01)))


def alternating(share: float) -> float:
    """Factor on the step size at a share of all steps: 1, then times .5 and .2 in turn at .5, .6, … (paper 4).

    >>> [round(alternating(share), 4) for share in (0.0, 0.49, 0.5, 0.6, 0.7, 0.95)]
    [1.0, 1.0, 0.5, 0.1, 0.05, 0.005]
    """
    drops = max(math.floor(share * 10 + 1e-9) - 4, 0)
    return float(0.5 ** ((drops + 1) // 2) * 0.2 ** (drops // 2))


def _mix(seed: int, epoch: int, step: int) -> int:
    """One seed of three numbers."""
    return (seed * 1_000_003 + epoch) * 1_000_003 + step + 1 & 0x7FFF_FFFF_FFFF_FFFF
