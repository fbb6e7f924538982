"""Algorithm 1 and early stopping, epoch by epoch against scripted validation losses, and in whole runs."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from steadfit.data import Annotations
from steadfit.noise import GaussianUniformNoise
from steadfit.training import Algorithm1, Settings, TrainingModule, fit
from steadfit.training.callbacks.stopping import EarlyStop
from steadfit.training.fit import Splits, build_module

Callback = Algorithm1 | EarlyStop


class ScriptedRefit:
    """Ends the warm-up; at the n-th call (from 1) named in ``collapse`` EM declares everything an outlier."""

    def __init__(self, collapse: Sequence[int] = ()) -> None:
        self.calls: list[int] = []
        self.collapse = collapse

    def refit_now(self, trainer: Any, module: TrainingModule, *, keep_warming: bool = False) -> None:
        if not module.label_noise.noise.needs_refit:
            return
        self.calls.append(trainer.current_epoch)
        fallen = len(self.calls) in self.collapse
        module.label_noise.warming_up.fill_(fallen)
        module.label_noise.fallen_back.fill_(fallen)

    def forget(self) -> None:
        pass


def module_for(table: Annotations, **options: Any) -> TrainingModule:
    settings = Settings(**{"protocol": "paper", **options})
    return build_module(Splits.of(table, settings).train, settings)


def tag(module: TrainingModule, value: float) -> None:
    """Mark the predicting network with the epoch, as training would change it."""
    with torch.no_grad():
        for network in (module.predictor(), module.regressor):
            next(network.parameters()).fill_(value)


def tag_of(module: TrainingModule) -> float:
    values = {
        float(next(network.parameters()).detach().flatten()[0]) for network in (module.predictor(), module.regressor)
    }
    assert len(values) == 1  # the trained and the predicting weights are restored together
    return values.pop()


def play(
    module: TrainingModule,
    make: Callable[[], Callback],
    losses: Sequence[float],
    starts: Sequence[float] = (),
    max_epochs: int = 99,
    interrupt: bool = False,
) -> tuple[Callback, int]:
    """The callback after its last epoch, and how many epochs there were; ``interrupt`` resumes it after every one."""
    callback, left, trainer = make(), list(starts), SimpleNamespace(should_stop=False, max_epochs=max_epochs)
    for epoch, loss in enumerate(losses[:max_epochs]):
        tag(module, epoch)
        module.comparable_loss = lambda loss=loss: loss  # type: ignore[method-assign]
        trainer.current_epoch = epoch
        if isinstance(callback, Algorithm1):
            callback._start_loss = lambda *_: left.pop(0)  # type: ignore[method-assign]
        callback.on_train_epoch_end(trainer, module)  # type: ignore[arg-type]
        if trainer.should_stop:
            return callback, epoch + 1
        if interrupt:
            saved = io.BytesIO()
            torch.save(callback.state_dict(), saved)
            saved.seek(0)
            refit, callback = callback.refit, make()
            callback.refit = refit
            callback.load_state_dict(torch.load(saved, weights_only=True))
    raise AssertionError("the script is over, the training is not")


PHASE0 = [5.0, 4.0, 4.5, 4.6]  # best: epoch 1
ROUND1 = [2.9, 2.5, 2.6, 2.7]  # best: epoch 5
SCRIPTS = {
    # the losses, the start losses of the rounds, EM calls that collapse, most epochs; epochs, rounds, whose weights
    "the loss grows in round 2: round 1's best": (
        PHASE0 + ROUND1 + [2.58, 2.57, 2.6, 2.6], [3.0, 2.6], (), 99, (12, 2, 5)),
    "round 2 is better, round 3 not": (
        PHASE0 + ROUND1 + [1.9, 1.8, 1.85, 1.9, 1.95, 1.9], [3.0, 2.0, 1.85], (), 99, (14, 3, 9)),
    "round 1 never improves on its start: the warm-up's": ([*PHASE0, 3.1, 3.2], [3.0], (), 99, (6, 1, 1)),
    "equal is not better": (PHASE0 + ROUND1 + [2.5, 2.5], [3.0, 2.5], (), 99, (10, 2, 5)),
    "EM gives up at once: the warm-up's": (PHASE0, [], (1,), 99, (4, 0, 1)),
    "EM gives up later: the warm-up's": (PHASE0 + ROUND1, [3.0], (2,), 99, (8, 1, 1)),
    "the epochs end in a round that is worse": (PHASE0 + ROUND1 + [2.58, 2.57], [3.0, 2.6], (), 10, (10, 2, 5)),
    "the epochs end in a round that is better": (PHASE0 + ROUND1 + [2.3, 2.4], [3.0, 2.6], (), 10, (10, 2, 8)),
    "the epochs end in the warm-up": (PHASE0, [], (), 3, (3, 0, 1)),
    "nothing is a number": ([math.nan] * 8, [math.nan], (), 99, (5, 1, 0)),
}  # fmt: skip


@pytest.mark.parametrize("interrupt", [False, True])
@pytest.mark.parametrize("name", SCRIPTS)
def test_algorithm_1(table: Annotations, name: str, interrupt: bool) -> None:
    losses, starts, collapse, most, (epochs, rounds, weights) = SCRIPTS[name]
    module, refit = module_for(table), ScriptedRefit(collapse)
    callback, done = play(module, lambda: Algorithm1(refit, patience=2), losses, starts, most, interrupt)  # type: ignore[arg-type]
    assert isinstance(callback, Algorithm1)
    assert (done, callback.round, tag_of(module)) == (epochs, rounds, weights)
    assert callback.stopped
    assert bool(module.label_noise.fallen_back) == bool(collapse)


def test_the_state_says_that_it_has_stopped(table: Annotations) -> None:
    callback, _ = play(module_for(table), lambda: Algorithm1(ScriptedRefit((1,)), patience=2), PHASE0)  # type: ignore[arg-type]
    again = Algorithm1(ScriptedRefit(), patience=2)  # type: ignore[arg-type]
    again.load_state_dict(callback.state_dict())
    trainer = SimpleNamespace(should_stop=False)
    again.on_train_start(trainer, None)  # type: ignore[arg-type]
    assert trainer.should_stop


def test_penalties_warm_up_for_three_epochs_and_refit_after_every_one(table: Annotations) -> None:
    module, refit = module_for(table, noise="huber"), ScriptedRefit()
    losses = [5.0, 5.1, 5.2, 5.3, 4.0, 4.1, 4.2]
    callback, done = play(module, lambda: Algorithm1(refit, patience=2), losses)  # type: ignore[arg-type]
    assert done == 7  # the warm-up's two worse epochs do not count against Huber's loss
    assert refit.calls == [2, 3, 4, 5, 6, 6]  # the last one for the restored weights
    assert tag_of(module) == 4
    assert isinstance(callback, Algorithm1)
    assert callback.round == 0


def test_l2_stops_early_and_has_no_rounds(table: Annotations) -> None:
    module, refit = module_for(table, noise="l2"), ScriptedRefit()
    callback, done = play(module, lambda: Algorithm1(refit, patience=2), [3.0, 2.0, 2.1, 2.2])  # type: ignore[arg-type]
    assert (done, tag_of(module), refit.calls) == (4, 1, [])
    assert isinstance(callback, Algorithm1)
    assert callback.round == 0


STOPS = {
    "it stops": ("gum", [9.0, 3.0, 2.0, 2.5, 2.6], 99, (5, 2)),
    "the warm-up does not count": ("gum", [9.0, 9.0, 9.0], 3, (3, 1)),
    "every fall counts": ("gum", [9.0, 3.0, 3.1, 2.9, 3.1, 2.8, 3.0, 3.0], 99, (8, 5)),
    "the last epoch gives back the best": ("gum", [9.0, 3.0, 2.0, 2.5], 4, (4, 2)),
    "l2 has no warm-up": ("l2", [1.0, 2.0, 3.0], 99, (3, 0)),
    "nothing is a number": ("gum", [math.nan] * 4, 99, (4, 1)),
}


@pytest.mark.parametrize("interrupt", [False, True])
@pytest.mark.parametrize("name", STOPS)
def test_early_stop(table: Annotations, name: str, interrupt: bool) -> None:
    """Averaged weights, patience 2; the noise model's first refit is after epoch 1."""
    noise, losses, most, (epochs, weights) = STOPS[name]
    module, refit = module_for(table, protocol="steady", noise=noise, patience=2), ScriptedRefit()
    assert module.averaged is not None

    def make() -> EarlyStop:
        stop = EarlyStop(refit, patience=2)  # type: ignore[arg-type]
        own = stop.on_train_epoch_end

        def after_refit(trainer: Any, module: Any) -> None:  # RefitNoise stands before EarlyStop
            if trainer.current_epoch >= 1:
                refit.refit_now(trainer, module)
            own(trainer, module)

        stop.on_train_epoch_end = after_refit  # type: ignore[method-assign]
        return stop

    callback, done = play(module, make, losses, (), most, interrupt)
    assert (done, tag_of(module)) == (epochs, weights)
    assert callback.stopped


def test_early_stop_needs_patience() -> None:
    with pytest.raises(ValueError, match="EarlyStop: expected patience >= 1, got 0"):
        EarlyStop(ScriptedRefit(), patience=0)  # type: ignore[arg-type]


def test_a_run_stops_early_at_its_best_epoch(table: Annotations, tmp_path: Path) -> None:
    settings = Settings(noise="l2", epochs=12, batch_size=16, lr=0.05, patience=1)
    run = fit(table, settings, tmp_path / "run", device="cpu")
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    losses = history["val_loss"].tolist()
    assert len(losses) < 12
    assert losses[-1] >= losses[-2] == min(losses)
    val = table.rows("val")
    regressor = run.regressor
    goal = regressor.standardize(torch.from_numpy(table.target[val]).float())
    got = regressor.standardize(torch.from_numpy(run.predict(table).mean[val]).float())
    assert float((goal - got).square().sum() / 2 / len(val)) == pytest.approx(min(losses), rel=1e-4)


def test_patience_that_is_never_exhausted_changes_no_step(table: Annotations, tmp_path: Path) -> None:
    histories = []
    for patience in (0, 99):
        settings = Settings(epochs=4, batch_size=16, patience=patience)
        fit(table, settings, tmp_path / str(patience), device="cpu")
        histories.append(pd.read_csv(tmp_path / str(patience) / "history.csv")["train_loss"].tolist())
    assert histories[0] == histories[1]


def test_l1_has_its_scale_when_it_stops_early(table: Annotations, tmp_path: Path, monkeypatch: Any) -> None:
    losses = iter([5.0, 4.0, 3.0, 3.5, 3.6, 3.7])
    monkeypatch.setattr(TrainingModule, "comparable_loss", lambda self: next(losses))
    run = fit(table, Settings(noise="l1", epochs=20, batch_size=16, patience=2), tmp_path / "run", device="cpu")
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) < 20
    assert not torch.equal(run.state["scale"], torch.ones(2, 1))
    rows = table.rows("train")
    residual = (table.target - run.predict(table).mean)[rows] / run.regressor.scale.numpy()
    middle = np.median(residual, axis=0)
    scale = 1.4826 * np.median(np.abs(residual - middle), axis=0)
    np.testing.assert_allclose(run.state["scale"].numpy(), scale, rtol=1e-4)


def test_em_that_declares_everything_an_outlier_leaves_the_l2_network(
    table: Annotations, tmp_path: Path, monkeypatch: Any
) -> None:
    settings = Settings(epochs=12, batch_size=16, protocol="paper", patience=2)
    noise = GaussianUniformNoise(warmup="l2", inner="squared", volume=1e-12)
    run = fit(table, settings, tmp_path / "run", device="cpu", noise=noise)
    assert run.judge(table).fallen_back
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert set(history["phase"]) == {"warm-up"}
    l2 = fit(table, Settings(**{**settings.to_dict(), "noise": "l2"}), tmp_path / "l2", device="cpu")
    np.testing.assert_array_equal(run.predict(table).mean, l2.predict(table).mean)


def test_a_steady_run_that_falls_back_trains_on_with_its_warm_up(table: Annotations, tmp_path: Path) -> None:
    settings = Settings(epochs=4, batch_size=16)
    run = fit(table, settings, tmp_path / "run", device="cpu", noise=GaussianUniformNoise(volume=1e-12))
    assert run.judge(table).fallen_back
    assert set(pd.read_csv(tmp_path / "run" / "history.csv")["phase"]) == {"warm-up"}


def test_comparable_loss(table: Annotations) -> None:
    """Huber's losses under different scales can't be compared; the mean absolute residual can."""
    target = torch.tensor([[[1.0], [-3.0]], [[math.nan], [2.0]]])
    for noise, expected in (("huber", 2.0), ("tukey", 2.0), ("l1", 2.0), ("l2", 7.0 / 2), ("gum", 6.0 / 2)):
        module = module_for(table, noise=noise, protocol="steady")
        module.held_out = [(torch.arange(2), torch.zeros(2, 2), target)]
        assert module.comparable_loss() == pytest.approx(expected)
    before = copy.deepcopy(module.predictor_weights())
    module.restore_predictor(before)
    assert all(torch.equal(before[name], value) for name, value in module.regressor.state_dict().items())
