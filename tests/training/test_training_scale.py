"""Scales of batches in a training run: no passes before the end, settings, resuming, two processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from safetensors.torch import load_file
from test_training_refit import D, K, Mine, N, Watch, make_data, train
from torch import Tensor
from two_processes import forked, says_the_same

from steadfit.data import Annotations
from steadfit.errors import ConfigError
from steadfit.lightning import LabelNoise, RefitNoise
from steadfit.noise import L1, GaussianUniformNoise, HuberNoise, NoiseModel, TukeyNoise
from steadfit.noise.residuals import robust_scale
from steadfit.outputs import Classes
from steadfit.training import Settings, fit
from steadfit.training.folder import MODEL
from steadfit.training.plans import PAPER, STEADY

pytestmark = [  # notices of Lightning and its dependencies about the trainers that these tests make themselves
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning.*"),
]
OBSERVED = ("batch", "running")


class Counting(Mine):
    """Notes the epochs in which the training set is passed over."""

    def __init__(self, noise: NoiseModel) -> None:
        super().__init__(noise)
        self.passes: list[int] = []

    def noise_outputs(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        self.passes.append(self.current_epoch)
        return super().noise_outputs(batch)


@pytest.mark.parametrize("warmup", ["l1", "wide"])
@pytest.mark.parametrize("scale", OBSERVED)
def test_one_pass_at_the_end_gives_the_whole_set_s_scale(scale: str, warmup: str) -> None:
    watch, module = Watch(), Counting(TukeyNoise(scale=scale, warmup=warmup))
    train(module, RefitNoise(warmup_epochs=2), epochs=5, callbacks=[watch])
    assert set(module.passes) == {4}
    assert watch.warming == [True, False, False, False, False]
    assert len(set(watch.scale)) == 5
    x, y, _ = make_data()[0].tensors
    residual = y - module(x).detach().view(N, K, D)
    torch.testing.assert_close(module.label_noise.state["scale"], robust_scale(residual), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", [{"max_steps": 14}, {"callbacks": "stop"}])
def test_a_training_that_stops_early_is_refitted_too(options: dict[str, Any]) -> None:
    class Stop(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            trainer.should_stop = trainer.current_epoch == 3

    given = {"callbacks": [Stop()]} if "callbacks" in options else options
    module = Mine(HuberNoise(scale="running"))
    train(module, RefitNoise(warmup_epochs=2), epochs=50, **given)
    x, y, _ = make_data()[0].tensors
    residual = y - module(x).detach().view(N, K, D)
    torch.testing.assert_close(module.label_noise.state["scale"], robust_scale(residual), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", OBSERVED)
def test_wrong_labels_are_found_with_scales_of_batches(scale: str) -> None:
    module = Mine(TukeyNoise(scale=scale))
    train(module, RefitNoise(warmup_epochs=8), epochs=30)
    (x, y, _), wrong = make_data()[0].tensors, make_data()[1]
    output = module(x).detach()
    outlier = module.label_noise.noise.is_outlier(output, y, module.label_noise.state)
    far = wrong & ((y - output.view_as(y)).norm(dim=-1) > 5)
    assert outlier[far].all()
    assert float((outlier & ~wrong).double().mean()) < 0.05


def test_labels_weighted_by_trust_are_refitted_though_the_loss_needs_none() -> None:
    module, weights = Mine(L1()), []
    module.label_noise = LabelNoise(L1(), n_samples=N, points=K, dims=D, by_trust=True)

    class Weights(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            weights.append(float(module.label_noise.label_weight.min()))

    train(module, RefitNoise(warmup_epochs=2), epochs=4, callbacks=[Weights()])
    assert weights[0] == 1
    assert max(weights[1:]) < 0.5


@pytest.mark.parametrize(("noise", "scale"), [("tukey", "running"), ("huber", "batch")])
def test_a_run_with_scales_of_batches(table: Annotations, tmp_path: Path, noise: str, scale: str) -> None:
    settings = Settings(noise=STEADY.noise_model(noise, {"scale": scale}), epochs=4, batch_size=16)
    run = fit(table, settings, tmp_path / "run")
    assert run.settings == settings
    judged = run.judge(table)
    train_rows = table.split == "train"
    assert judged.suspect[train_rows].any()
    assert ((judged.trust >= 0) & (judged.trust <= 1)).all()
    again = fit(table, settings, tmp_path / "again")
    assert (tmp_path / "run" / MODEL).read_bytes() == (tmp_path / "again" / MODEL).read_bytes()
    assert torch.equal(again.state["scale"], run.state["scale"])


class Kill(L.Callback):
    """Stops a training in the middle of an epoch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.at = (epoch, batch)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == self.at:
            raise RuntimeError("killed")


@pytest.mark.parametrize("scale", OBSERVED)
def test_a_killed_run_continues_with_the_same_scale(
    table: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: str
) -> None:
    module = sys.modules["steadfit.training.fit"]  # the package's attribute of that name is the function
    settings = Settings(noise=TukeyNoise(scale=scale), epochs=5, batch_size=16)
    fit(table, settings, tmp_path / "whole")
    make = module.make_trainer
    with monkeypatch.context() as patch:
        patch.setattr(
            module, "make_trainer", lambda *a, callbacks, **o: make(*a, callbacks=[*callbacks, Kill(3, 2)], **o)
        )
        with pytest.raises(RuntimeError, match="killed"):
            fit(table, settings, tmp_path / "killed")
    held = torch.load(tmp_path / "killed" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert not (held["label_noise.state_scale"] == 1).any()  # observed, and in the checkpoint
    fit(table, settings, tmp_path / "killed", resume=True)
    wanted, found = (load_file(tmp_path / name / MODEL) for name in ("whole", "killed"))
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    histories = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("whole", "killed")]
    without_seconds = [[line.rpartition(",")[0] for line in lines] for lines in histories]
    assert without_seconds[0] == without_seconds[1]


def test_the_settings_noise_models() -> None:
    assert Settings(noise="tukey").noise_model() == TukeyNoise()
    wide = TukeyNoise(scale="batch", warmup="wide")
    assert STEADY.noise_model("tukey", {"scale": "batch", "warmup": "wide"}) == wide
    assert STEADY.noise_model("huber", {"scale": "running"}) == HuberNoise(scale="running")
    assert STEADY.noise_model("gum", {"warmup": "l2"}) == GaussianUniformNoise(warmup="l2")
    assert STEADY.noise_model("l1", {"warmup": "l2"}) == L1(warmup="l2")
    assert Settings(noise="tukey", protocol="paper").noise_model().warmup == "l2"
    assert PAPER.noise_model("tukey", {"warmup": "wide"}).warmup == "wide"
    settings = Settings(noise=TukeyNoise(scale="running", warmup="l2"))
    assert Settings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("noise", "given", "message"),
    [
        ("tukey", {"scale": "set"}, "expected scale to be one of 'epoch', 'batch', 'running', got 'set'"),
        ("tukey", {"warmup": "l3"}, "expected warmup to be one of 'l1', 'l2', 'wide', got 'l3'"),
        *(
            (noise, {"scale": "batch"}, f"noise '{noise}': expected no scale, got 'batch'. Only huber, tukey can have")
            for noise in ("l2", "l1", "gum", "predicted-huber", "predicted-mixture")
        ),
        *(
            (noise, {"warmup": "l1"}, f"noise '{noise}': expected no warmup, got 'l1'. Only l1, huber, tukey, gum can")
            for noise in ("l2", "predicted-gauss", "predicted-mixture")
        ),
        ("gum", {"warmup": "wide"}, "expected warmup to be one of 'l1', 'l2', got 'wide'"),
        ("tukey", {"unit": "sample"}, "noise 'tukey': expected no unit, got 'sample'. Only gum can have one"),
        ("tukey", {"colour": 3}, "expected no colour, got 3. Only no noise model can have one"),
    ],
)
def test_options_that_have_no_meaning_are_refused(noise: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=message):
        STEADY.noise_model(noise, given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": TukeyNoise(scale="batch"), "protocol": "paper"},
         "expected scale 'epoch', got 'batch' with protocol 'paper': it takes the scale of the whole training set"),
        ({"noise": TukeyNoise(scale="running"), "network": "hourglass-light"},
         "expected scale 'epoch', got 'running' with heatmaps: the scale serves the labels' trust"),
        ({"noise": "predicted-huber", "network": "hourglass-light"}, "heatmaps predict no covariance"),
        ({"noise": "gum", "output": Classes()}, "expected noise 'l2', .*, with classes, got 'gum'"),
    ],
)  # fmt: skip
def test_parts_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings(**options)


DDP = """
import sys, warnings, torch, lightning as L
import torch.distributed as dist
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from test_training_refit import Mine, RefitNoise, loader, make_data
from steadfit.noise import TukeyNoise
from steadfit.noise.residuals import robust_scale
torch.set_num_threads(1)


class Gathering(Mine):
    def training_step(self, batch, _):
        state = self.label_noise.state
        both = [None, None]
        dist.all_gather_object(both, {name: value.clone() for name, value in state.items()})
        for name in state:  # what the first rank observed is handed to all before every batch
            assert torch.equal(both[0][name], both[1][name]), name
        loss = super().training_step(batch, _)
        dist.all_gather_object(both, self.label_noise.state["scale"].clone())
        assert not torch.equal(both[0], both[1])  # each has its own batch's part for its own loss
        self.steps = getattr(self, "steps", 0) + 1
        return loss

    def on_train_end(self):
        both = [None, None]
        dist.all_gather_object(both, self.label_noise.state["scale"].clone())
        assert torch.equal(both[0], both[1])
        assert self.steps == 9


data, _ = make_data(40)
module = Gathering(TukeyNoise(scale="running"), n=40)
trainer = L.Trainer(max_epochs=3, accelerator="cpu", devices=2, logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False, callbacks=[RefitNoise()], strategy="ddp_fork")
trainer.fit(module, loader(data, batch_size=8))
x, y, _ = data.tensors
wanted = robust_scale(y - module(x).detach().view_as(y))
torch.testing.assert_close(module.label_noise.state["scale"], wanted, rtol=1e-4, atol=1e-6)
print("the same")
"""


@forked
def test_two_processes_share_what_the_first_observed_and_end_alike(tmp_path: Path) -> None:
    says_the_same(DDP, tmp_path)
