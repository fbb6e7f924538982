"""A training whose numbers are not finite ends, says where, and looks like no finished run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from steadfit.data import Annotations
from steadfit.errors import DivergedError, RunError
from steadfit.noise import NOISE_MODELS
from steadfit.training import Settings, TrainingModule, fit, load
from steadfit.training.cascade import fit_cascade
from steadfit.training.cascade.defaults import default_regions

SMALL = Settings(noise="l1", epochs=3, batch_size=16)  # 54 rows: 4 batches an epoch


def go(table: Annotations, out: Path, settings: Settings = SMALL, **options: Any) -> Any:
    return fit(table, settings, out, device="cpu", **options)


@contextmanager
def spoiled(what: str, *, epoch: int = 1, batch: int = 2, value: float = float("nan")) -> Iterator[None]:
    """Loss, output, a weight or a statistic of a batch norm is this value from an epoch and batch (from 0) on."""
    step, end = TrainingModule.training_step, TrainingModule.on_train_batch_end

    def due(module: TrainingModule, index: int) -> bool:
        return (module.current_epoch, index) >= (epoch, batch)

    def training_step(self: TrainingModule, one: Any, index: int) -> Any:
        found = step(self, one, index)
        if due(self, index) and what == "loss":
            found["loss"] = found["loss"] * value
        elif due(self, index) and what == "output":
            found["output"] = found["output"].index_fill(0, torch.tensor([0]), value)
        return found

    def on_train_batch_end(self: TrainingModule, outputs: Any, one: Any, index: int) -> None:
        end(self, outputs, one, index)
        if due(self, index) and what in ("weight", "statistic"):
            named = self.regressor.named_parameters() if what == "weight" else self.regressor.named_buffers()
            with torch.no_grad():
                next(v for n, v in named if what == "weight" or "var" in n).view(-1)[0] = value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", training_step)
        patch.setattr(TrainingModule, "on_train_batch_end", on_train_batch_end)
        yield


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("what", ["loss", "output", "weight"])
def test_it_ends_in_the_first_such_epoch(table: Annotations, tmp_path: Path, what: str, value: float) -> None:
    with spoiled(what, value=value), pytest.raises(DivergedError) as caught:
        go(table, tmp_path)
    error = caught.value
    wanted = 4 if what == "weight" else 3  # what a step leaves shows in the next batch
    assert (error.epoch, error.batch) == (2, wanted)
    assert str(error).startswith(f"{tmp_path}: expected ")
    assert f"in epoch 2, from batch {wanted} of 4 on. The training diverged: use a smaller lr (--lr)" in str(error)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"config.yaml", "rows.parquet", "history.csv", "last.ckpt", "diverged.json"}
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1  # the good epoch
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(bool(v.isfinite().all()) for name, v in state.items() if name.startswith("regressor"))


def test_what_only_the_weights_show(table: Annotations, tmp_path: Path) -> None:
    """After the last batch nothing else would tell."""
    with spoiled("weight", epoch=2, batch=3), pytest.raises(DivergedError, match="expected finite weights") as caught:
        go(table, tmp_path)
    assert (caught.value.epoch, caught.value.batch) == (3, None)
    assert not (tmp_path / "model.safetensors").exists()


def test_statistics_of_batch_norm_are_looked_at(table: Annotations, tmp_path: Path) -> None:
    with (
        spoiled("statistic", epoch=2, batch=3, value=float("inf")),
        pytest.raises(DivergedError, match="others in '.*running_var'"),
    ):
        go(table, tmp_path)


def test_predictions_that_overflow_in_evaluation(table: Annotations, tmp_path: Path) -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(3, 2)

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return self.last(value) if self.training else self.last(value) * torch.inf

    with pytest.raises(DivergedError, match="expected finite predictions of the validation set, .* in epoch 1"):
        go(table, tmp_path, SMALL.__class__(noise="l2", network="blind", epochs=2), network=Blind())


@pytest.mark.parametrize("noise", sorted(NOISE_MODELS))
def test_a_step_that_is_far_too_large(table: Annotations, tmp_path: Path, noise: str) -> None:
    """Whatever the network's numbers do to a noise model, the run ends with this error and with no model."""
    settings = Settings(noise=noise, epochs=3, batch_size=16, lr=1e30, optimizer="sgd")
    with pytest.raises(DivergedError, match="The training diverged"):
        go(table, tmp_path, settings)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_failure_because_of_such_numbers_is_told_as_that(
    table: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: TrainingModule, batch: Any, index: int) -> None:
        if index == 3:
            raise ValueError("matrix is not positive definite")

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", fails)
    with spoiled("loss", epoch=0), pytest.raises(DivergedError, match="in epoch 1, from batch 3 of 4"):
        go(table, tmp_path)


def test_other_failures_stay_what_they_are(table: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: TrainingModule, *_: Any) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr(TrainingModule, "validation_step", fails)
    with pytest.raises(ValueError, match="a mistake"):
        go(table, tmp_path)


def test_it_is_not_continued(table: Annotations, tmp_path: Path) -> None:
    with spoiled("loss"), pytest.raises(DivergedError) as first:
        go(table, tmp_path)
    with pytest.raises(DivergedError) as again:
        go(table, tmp_path, resume=True)
    assert str(again.value) == str(first.value)
    assert (again.value.epoch, again.value.batch) == (2, 3)
    with pytest.raises(RunError, match=r"the training of this run diverged, see diverged.json"):
        load(tmp_path)
    (tmp_path / "config.yaml").unlink()  # the folder is used for another run
    (tmp_path / "checkpoints" / "last.ckpt").unlink()
    assert go(table, tmp_path).folder == tmp_path
    assert not (tmp_path / "diverged.json").exists()


@pytest.mark.parametrize("left", [0, 2])  # all epochs are done, or some are left
def test_a_checkpoint_with_such_weights_is_not_continued(table: Annotations, tmp_path: Path, left: int) -> None:
    """As runs of earlier versions may have left it."""
    if left:
        with spoiled("loss", epoch=3 - left), pytest.raises(DivergedError):
            go(table, tmp_path)
        (tmp_path / "diverged.json").unlink()
    else:
        go(table, tmp_path)
        (tmp_path / "model.safetensors").unlink()
    path = tmp_path / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    next(v for n, v in content["state_dict"].items() if n.startswith("regressor.network"))[:] = torch.nan
    torch.save(content, path)
    with pytest.raises(DivergedError, match="expected finite weights"):
        go(table, tmp_path, resume=True)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_model_with_such_weights_is_not_opened(table: Annotations, tmp_path: Path) -> None:
    go(table, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(n for n in tensors if n.endswith("weight"))
    tensors[name][:] = np.inf
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(RunError, match=f"expected finite weights, got others in '{name}'"):
        load(tmp_path)


def test_a_stage_of_a_cascade(faces: Annotations, tmp_path: Path) -> None:
    settings = Settings(noise="l2", epochs=1, batch_size=8, size=16)
    broken = Settings(noise="l2", epochs=1, batch_size=8, size=16, lr=1e30, optimizer="sgd")
    regions = default_regions(faces.schema.points)[:1]
    with pytest.raises(DivergedError, match=f"fine.{regions[0].name}: expected"):
        fit_cascade(faces, settings, broken, regions, tmp_path, device="cpu")


def test_the_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DivergedError("text", epoch=3, batch=4)))
    assert (str(error), error.epoch, error.batch) == ("text", 3, 4)
    assert json.dumps([error.epoch, error.batch]) == "[3, 4]"
