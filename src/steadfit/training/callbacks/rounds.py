"""Algorithm 1 of DeepGUM: rounds of EM and training, stopped when the weighted validation loss grows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import lightning as L
from torch import Tensor

from steadfit.training.callbacks.refit import RefitNoise, outputs_of
from steadfit.training.callbacks.stopping import Stopping
from steadfit.training.module import TrainingModule

Weights = dict[str, Tensor]


class Algorithm1(Stopping):
    """Warm up until early stop; repeat { EM; train until early stop } until the weighted validation loss grows.

    Phase 0 minimises the warm-up loss until the validation loss has not fallen for ``patience`` epochs, and goes back
    to its best weights. Every later round begins with a refit there (validation responsibilities come from the same
    mixture), measures the validation loss under the new mixture, and trains until ``patience`` epochs bring no
    improvement. A round whose best loss is not below its predecessor's ends the training with the predecessor's
    weights. A first round that never improves on its start, or an EM that declares everything an outlier, ends it with
    the warm-up's weights.

    Models whose loss has a scale but no per-label weights (L1, Huber, Tukey) warm up for ``penalty_warmup`` epochs and
    refit after every epoch. After the warm-up they stop early on the mean absolute validation residual, since their
    losses under different scales can't be compared. L2 has only the warm-up.

    All state is plain containers and tensors, and is in the checkpoint.

    Args:
        refit: the callback that refits the noise model.
        patience: the number of epochs without improvement that end a round.
        penalty_warmup: the warm-up's epochs for models without per-label weights; 3 in the paper.

    References:
        Lathuiliere et al., ECCV 2018, Algorithm 1 and section 4.
    """

    STATE = ("round", "waited", "best", "previous", "best_weights", "previous_weights", "warmup_weights", "stopped")

    def __init__(self, refit: RefitNoise, *, patience: int, penalty_warmup: int = 3) -> None:
        self.refit, self.patience, self.penalty_warmup = refit, patience, penalty_warmup
        self.round, self.waited, self.best, self.previous = 0, 0, math.inf, math.inf
        self.best_weights: Weights = {}
        self.previous_weights: Weights = {}
        self.warmup_weights: Weights = {}
        self.stopped = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        tracker = pl_module.label_noise
        weighted = tracker.noise.keeps_weights
        self._note(pl_module, pl_module.comparable_loss())
        if not weighted and trainer.current_epoch + 1 >= self.penalty_warmup:
            if bool(tracker.warming_up):
                self.waited = 0  # the model's own loss has its full patience
            self.refit.refit_now(trainer, pl_module)
        if self.waited >= self.patience > 0 and (weighted or not bool(tracker.warming_up)):
            if weighted:
                self._next_round(trainer, pl_module)
            else:
                self._finish(trainer, pl_module, self.best_weights)
        if trainer.current_epoch + 1 >= (trainer.max_epochs or 0) and not self.stopped:
            self._finish(trainer, pl_module, self.previous_weights if self._grown() else self.best_weights)

    def _note(self, module: TrainingModule, loss: float) -> None:
        """Keep the best weights of this round."""
        if loss < self.best or not self.best_weights:
            self.best, self.waited, self.best_weights = loss, 0, module.predictor_weights()
        else:
            self.waited += 1

    def _grown(self) -> bool:
        """Whether this round's loss is not below its predecessor's."""
        return self.round > 0 and not self.best < self.previous

    def _next_round(self, trainer: L.Trainer, module: TrainingModule) -> None:
        if self._grown():
            return self._finish(trainer, module, self.previous_weights)
        module.restore_predictor(self.best_weights)
        if self.round == 0:
            self.warmup_weights = self.best_weights
        self.previous, self.previous_weights = self.best, self.best_weights
        self.refit.refit_now(trainer, module)
        if bool(module.label_noise.fallen_back):
            return self._finish(trainer, module, self.warmup_weights)
        start = self._start_loss(trainer, module)
        if self.round == 0:
            self.previous = start  # the warm-up's loss has other weights, so compare under this mixture
        self.round, self.waited, self.best = self.round + 1, 0, start
        return None

    def _start_loss(self, trainer: L.Trainer, module: TrainingModule) -> float:
        """The validation loss of the present weights under the new mixture."""
        module.held_out[:] = list(outputs_of(module, cast(Iterable[Any], trainer.val_dataloaders), trainer=trainer))
        return module.held_out_loss()

    def _finish(self, trainer: L.Trainer, module: TrainingModule, weights: Weights) -> None:
        """Restore the best round's weights, and re-estimate the noise model for them."""
        module.restore_predictor(weights)
        if not bool(module.label_noise.fallen_back):
            self.refit.refit_now(trainer, module)
            if bool(module.label_noise.fallen_back) and self.warmup_weights:
                module.restore_predictor(self.warmup_weights)
        self.stopped = trainer.should_stop = True
