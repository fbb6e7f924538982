"""Numbers with a large offset keep their digits from the table to the prediction, whatever the module is cast to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from steadfit import load
from steadfit.data import Annotations, Schema, Standardizer, load_annotations
from steadfit.training import Settings, fit
from steadfit.training.fit import Splits, build_module
from steadfit.training.module import InputScaling, Regressor

EPOCH = 1_700_000_000.0  # seconds; a step of float32 is 128 there


def regressor(offset: float = EPOCH) -> Regressor:
    """One weight of 1: the prediction is the input, 300 s per standard unit about the offset."""
    network = nn.Linear(1, 1)
    nn.init.ones_(network.weight)
    nn.init.zeros_(network.bias)
    inputs = InputScaling(torch.tensor([1000 * offset], dtype=torch.float64), torch.tensor([3e5]), images=False)
    targets = Standardizer(torch.tensor([[offset]], dtype=torch.float64), torch.tensor([[300.0]], dtype=torch.float64))
    return Regressor(network, inputs, targets)


CASTS: dict[str, Callable[[Regressor], Regressor]] = {
    "as made": lambda module: module,
    "float": lambda module: module.float(),
    "double": lambda module: module.double(),
    "half": lambda module: module.half(),
    "bfloat16": lambda module: module.to(torch.bfloat16),
    "back": lambda module: module.to(torch.bfloat16).float(),
    "cpu": lambda module: module.cpu(),
    "copied": copy.deepcopy,
}


@pytest.mark.parametrize("cast", CASTS)
def test_offsets_keep_their_digits_whatever_the_network_is_cast_to(cast: str) -> None:
    module = CASTS[cast](regressor())
    buffers = dict(module.named_buffers())
    assert {name: value.dtype for name, value in buffers.items()} == dict.fromkeys(buffers, torch.float64)
    assert (float(module.center), float(module.inputs.mean)) == (EPOCH, 1000 * EPOCH)
    milliseconds = 1000 * EPOCH + torch.tensor([[-150.0], [0.0], [1.5e5]], dtype=torch.float64)
    output = module(milliseconds)
    assert output.dtype == module.network.weight.dtype
    found = module.destandardize(output.detach()[:, :, None])[:, 0, 0]
    wanted = EPOCH + torch.tensor([-0.15, 0.0, 150.0], dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.01)  # bfloat16: 2^-9 of .15 s; 150 s is a power of two
    standard = module.standardize(wanted[:, None, None])
    assert standard.dtype == (torch.float64 if cast == "double" else torch.float32)
    torch.testing.assert_close(standard.flatten().double(), (wanted - EPOCH) / 300, rtol=1e-6, atol=0)


def test_a_device_without_float64_gets_float32() -> None:
    def move(value: Tensor) -> Tensor:
        if value.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return value

    module = regressor()._apply(move)
    assert {buffer.dtype for buffer in module.buffers()} == {torch.float32}
    assert {buffer.dtype for buffer in module.float().buffers()} == {torch.float64}


def test_averaging_keeps_the_digits(clock: Annotations) -> None:
    module = build_module(Splits.of(clock, SETTINGS).train, SETTINGS)
    assert module.averaged is not None
    for _ in range(3):
        module.averaged.update_parameters(module.regressor)
    assert torch.equal(module.predictor().center, module.regressor.center)
    assert torch.equal(module.predictor().inputs.mean, module.regressor.inputs.mean)
    assert module.predictor().center.dtype == torch.float64


SETTINGS = Settings(epochs=40, batch_size=32, noise="l2")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """Seconds since 1970, from the same in milliseconds and a second feature, some minutes apart."""
    rng = np.random.default_rng(0)
    milliseconds = 1000 * EPOCH + np.rint(1e5 * rng.uniform(-1, 1, 300))
    b = rng.uniform(-1, 1, 300)
    seconds = milliseconds / 1000 + 60 * b
    path = tmp_path_factory.mktemp("clock") / "table.csv"
    pd.DataFrame({"ms": milliseconds, "b": b, "seconds": seconds}).to_csv(path, index=False)
    return load_annotations(path, Schema(targets=("seconds",), units="s"))


@pytest.mark.parametrize("noise", ["l2", "gum", "predicted-huber"])
def test_a_run_on_seconds_since_1970(clock: Annotations, tmp_path: Path, noise: str) -> None:
    settings = Settings(epochs=40, batch_size=32, noise=noise)
    fit(clock, settings, tmp_path / "run", device="cpu")
    run = load(tmp_path / "run")
    assert load_file(tmp_path / "run" / "model.safetensors")["center"].dtype == torch.float64
    found = run.predict(clock).mean[:, 0, 0]
    assert len(set(found)) == len(clock)
    error = np.abs(found - clock.target[:, 0, 0]).mean()
    assert error < 15  # of a spread of 60 s; a step of float32 is 128 s
    np.testing.assert_array_equal(run.predict(pd.read_csv(clock.path)).mean[:, 0, 0], found)
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    test = run.judge(clock).predicted[clock.rows("val"), 0, 0] - clock.target[clock.rows("val"), 0, 0]
    assert history["val_mean"].iloc[-1] == pytest.approx(np.abs(test).mean(), rel=1e-4)  # float32 outputs
