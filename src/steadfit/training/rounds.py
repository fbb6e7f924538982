"""Algorithm 1 of DeepGUM: rounds of EM and training, stopped when the weighted validation loss grows."""

from __future__ import annotations

import copy
import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from steadfit.training.module import RegressionModule
from steadfit.training.refit import RefitNoise, outputs_of

Weights = dict[str, Tensor]


class Algorithm1(L.Callback):
    """Warm up until early stop; repeat { EM; train until early stop } until the weighted validation loss grows.

    Phase 0 minimises the warm-up loss until the validation loss has not fallen for ``patience`` epochs, and goes back
    to its best weights. Every later round begins with a refit there (validation responsibilities come from the same
    mixture), measures the validation loss under the new mixture, and trains until ``patience`` epochs bring nothing
    better. A round whose best is not below its predecessor's ends the training with the predecessor's weights; a first
    round that never improves on its start, or an EM that declares everything an outlier, with the warm-up's.

    Models whose loss has a scale but no per-label weights (Huber, Tukey) warm up for ``penalty_warmup`` epochs (3 in
    the paper), refit after every epoch, and stop early on the mean absolute validation residual, since their losses
    under different scales can't be compared. L2 has the warm-up only.

    All of its state is plain containers and tensors, and is in the checkpoint.

    References: Lathuiliere et al., ECCV 2018, Algorithm 1 and section 4.
    """

    def __init__(self, refit: RefitNoise, *, patience: int, penalty_warmup: int = 3) -> None:
        self.refit, self.patience, self.penalty_warmup = refit, patience, penalty_warmup
        self.round, self.waited, self.best, self.previous = 0, 0, math.inf, math.inf
        self.best_weights: Weights = {}
        self.previous_weights: Weights = {}
        self.stopped = False

    def state_dict(self) -> dict[str, Any]:
        names = ("round", "waited", "best", "previous", "best_weights", "previous_weights", "stopped")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, RegressionModule)
        if self.stopped:
            return
        weighted = pl_module.label_noise.noise.keeps_weights
        self._note(pl_module, self._loss(pl_module, weighted))
        if not weighted and pl_module.label_noise.noise.needs_refit:
            self._penalty_epoch(trainer, pl_module)
        if self.waited >= self.patience > 0:
            (self._next_round if weighted else self._finish)(trainer, pl_module)
        if trainer.current_epoch + 1 >= (trainer.max_epochs or 0) and not self.stopped:
            self._finish(trainer, pl_module)

    def _loss(self, module: RegressionModule, weighted: bool) -> float:
        if weighted or not module.label_noise.noise.needs_refit:
            return module.held_out_loss()
        _, output, target = (torch.cat(parts) for parts in zip(*module.held_out, strict=True))
        return float((target - module.label_noise.noise.location(output, module.dims)).abs().nanmean())

    def _note(self, module: RegressionModule, loss: float) -> None:
        """Keep the best weights of this round."""
        if loss < self.best:
            self.best, self.waited, self.best_weights = loss, 0, _copy(module)
        else:
            self.waited += 1

    def _penalty_epoch(self, trainer: L.Trainer, module: RegressionModule) -> None:
        if trainer.current_epoch + 1 >= self.penalty_warmup:
            self.refit.refit_now(trainer, module)

    def _next_round(self, trainer: L.Trainer, module: RegressionModule) -> None:
        if self.round > 0 and self.best >= self.previous:
            self.best_weights = self.previous_weights
            return self._finish(trainer, module)
        module.regressor.load_state_dict(self.best_weights)
        self.previous, self.previous_weights = self.best, self.best_weights
        self.refit.refit_now(trainer, module)
        if bool(module.label_noise.fallen_back):
            return self._finish(trainer, module)
        start = self._start_loss(trainer, module)
        if self.round == 0:
            self.previous = start  # the warm-up's loss has other weights: compare with its network under this mixture
        self.round, self.waited, self.best = self.round + 1, 0, start
        return None

    def _start_loss(self, trainer: L.Trainer, module: RegressionModule) -> float:
        """The validation loss of the present weights under the new mixture."""
        module.held_out[:] = list(outputs_of(module, trainer.val_dataloaders))
        return module.held_out_loss()

    def _finish(self, trainer: L.Trainer, module: RegressionModule) -> None:
        module.regressor.load_state_dict(self.best_weights)
        if not bool(module.label_noise.fallen_back):
            self.refit.refit_now(trainer, module)
        self.stopped = trainer.should_stop = True


def _copy(module: RegressionModule) -> Weights:
    return copy.deepcopy(module.regressor.state_dict())

