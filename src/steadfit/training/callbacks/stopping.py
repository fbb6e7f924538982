"""Callbacks that end a training and survive a resume, among them early stopping without rounds."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import lightning as L
from torch import Tensor

from steadfit.training.callbacks.refit import RefitNoise
from steadfit.training.module import TrainingModule


class Stopping(L.Callback):
    """A callback that may end the training, also for a resumed run: what ``STATE`` names is in the checkpoint."""

    STATE: ClassVar[tuple[str, ...]]
    stopped: bool

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped  # resumed after its last epoch: nothing is left to do


class EarlyStop(Stopping):
    """Ends the training when the validation loss has not fallen for ``patience`` epochs, and returns to the best epoch.

    The loss is weighted by the present mixture. The result, also after the last epoch, is the predictor of the best
    epoch, with a noise model refitted to it. The warm-up's epochs do not count, since their loss is another one. This
    callback comes after ``refit`` among the callbacks. All of its state is in the checkpoint.

    Args:
        patience: the number of epochs, >= 1.
        refit: the callback that refits the noise model.

    Raises:
        ValueError: a patience below 1.
    """

    STATE = ("waited", "best", "phase", "weights", "stopped")

    def __init__(self, refit: RefitNoise, *, patience: int) -> None:
        if patience < 1:
            raise ValueError(f"EarlyStop: expected patience >= 1, got {patience}.")
        self.refit, self.patience = refit, patience
        self.waited, self.best, self.phase = 0, math.inf, -1
        self.weights: dict[str, Tensor] = {}
        self.stopped = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        tracker = pl_module.label_noise
        warming, fallen = bool(tracker.warming_up), bool(tracker.fallen_back)
        if (phase := int(warming) + 2 * int(fallen)) != self.phase:  # another loss: compare anew
            self.phase, self.best, self.waited, self.weights = phase, math.inf, 0, {}
        loss = pl_module.comparable_loss()
        if loss < self.best or not self.weights:
            self.best, self.waited, self.weights = loss, 0, pl_module.predictor_weights()
        else:
            self.waited += 1
        enough = self.waited >= self.patience and (fallen or not warming)
        if enough or trainer.current_epoch + 1 >= (trainer.max_epochs or 0):
            pl_module.restore_predictor(self.weights)
            self.refit.forget()
            self.refit.refit_now(trainer, pl_module)
            self.stopped = trainer.should_stop = True
