"""Settings and protocols."""

from __future__ import annotations

import re

import pytest
import yaml

from steadfit.data import Warp
from steadfit.errors import ConfigError
from steadfit.noise import GaussianUniformNoise, TukeyNoise
from steadfit.training import PLANS, Settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "l3"}, "expected noise to be one of .*, got 'l3'"),
        ({"protocol": "best"}, "expected protocol to be one of 'steady', 'paper', 'staged', .*'convnet', got 'best'"),
        ({"residuals": "none"}, "expected residuals to be one of 'pass', 'epoch', got 'none'"),
        ({"head": "best"}, "expected head to be one of 'auto', .*, got 'best'"),
        ({"cache": "yes"}, "expected cache to be one of 'auto', 'on', 'off', got 'yes'"),
        ({"channels": 2}, "expected channels to be one of 1, 3, got 2"),
        ({"epochs": 0}, "expected epochs >= 1, got 0"),
        ({"batch_size": 0}, "expected batch_size >= 1, got 0"),
        ({"size": -4}, "expected size >= 1, got -4"),
        ({"lr": 0.0}, "expected lr > 0, got 0.0"),
        ({"weight_decay": -1.0}, "expected weight_decay >= 0, got -1.0"),
        ({"patience": -1}, "expected patience >= 0, got -1"),
        ({"workers": -1}, "expected workers >= 0, got -1"),
        ({"seed": -1}, "expected seed >= 0, got -1"),
        ({"protocol": "paper", "patience": 0}, "expected patience >= 1 with protocol 'paper', got 0"),
    ],
)
def test_settings_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**options)  # type: ignore[arg-type]


def test_there_and_back() -> None:
    settings = Settings(noise="tukey", lr=1e-4, patience=3, seed=5)
    assert Settings.from_dict(settings.to_dict()) == settings
    with pytest.raises(ConfigError, match="expected known keys, got epoch, nois"):
        Settings.from_dict({"nois": "gum", "epoch": 3})


def test_the_protocols_noise_models() -> None:
    assert Settings().noise_model() == GaussianUniformNoise()
    own = GaussianUniformNoise(unit="sample")
    assert Settings(noise=own).noise_model() == own
    assert Settings(noise=own, protocol="paper").noise_model() == own  # a model stays as it is
    assert PLANS["paper"].noise_model("gum", {"unit": "sample", "inflation": 2.0}) == GaussianUniformNoise(
        unit="sample", warmup="l2", inner="squared", volume="moments", inflation=2.0
    )
    assert Settings(protocol="paper").noise_model() == GaussianUniformNoise(
        warmup="l2", inner="squared", volume="moments", inflation=1.0
    )
    assert Settings(protocol="paper", noise="tukey").noise_model() == TukeyNoise(warmup="l2")


@pytest.mark.parametrize(("size", "frame"), [(48, (48, 48)), ((120, 80), (120, 80))])
def test_the_frame(size: int | tuple[int, int], frame: tuple[int, int]) -> None:
    settings = Settings(size=size)
    assert settings.frame == frame
    written = yaml.safe_load(yaml.safe_dump(settings.to_dict()))
    assert written["size"] == (size if isinstance(size, int) else [120, 80])
    assert Settings.from_dict(written) == settings  # what --resume compares


@pytest.mark.parametrize("size", [(120, 0), (120,), (3, 4, 5), 48.0, "48", True, (48, 48.0)])
def test_sizes_that_are_none(size: object) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"expected size >= 1, got {size!r}. Give a side, or (height,")):
        Settings(size=size)  # type: ignore[arg-type]


def test_the_protocol_of_the_convnet() -> None:
    plan = Settings(protocol="convnet", network="convnet", size=(120, 80)).plan
    assert (plan.optimizer, plan.schedule, plan.weight_decay, plan.averaging) == ("sgd", "constant", 5e-4, 0.0)
    assert plan.warp == Warp(rotation=20, scale=1, anisotropy=1, perspective=0, shift=0.05)
    assert Settings().plan.weight_decay == 1e-2
    assert Settings(protocol="convnet", weight_decay=0.0).plan.weight_decay == 0.0


@pytest.mark.parametrize(
    ("options", "noise", "wanted"),
    [
        ({"noise": "tukey", "scale": "batch", "warmup": "wide"}, "huber", ("batch", "wide")),
        ({"noise": "tukey", "scale": "batch", "warmup": "wide"}, "gum", ("epoch", None)),
        ({"noise": "tukey", "scale": "running", "warmup": "l2"}, "gum", ("epoch", "l2")),
        ({"noise": "huber", "scale": "batch", "warmup": "l1"}, "predicted-huber", ("epoch", None)),
        ({"noise": "gum", "warmup": "l2"}, "tukey", ("epoch", "l2")),
        ({"noise": "l2"}, "tukey", ("epoch", None)),
    ],
)
def test_another_noise_model_keeps_what_it_can_have(
    options: dict[str, str], noise: str, wanted: tuple[str, str | None]
) -> None:
    settings = Settings(**options, epochs=7, size=(40, 32))  # type: ignore[arg-type]
    other = settings.with_noise(noise)
    assert (other.noise, other.scale, other.warmup) == (noise, *wanted)
    assert {**other.to_dict(), "noise": settings.noise, "scale": settings.scale, "warmup": settings.warmup} == (
        settings.to_dict()
    )


def test_overrides() -> None:
    assert Settings().plan == PLANS["steady"]
    plan = Settings(protocol="paper", lr=1e-2, patience=7).plan
    assert (plan.lr, plan.patience, plan.rounds) == (1e-2, 7, True)
    assert PLANS["paper"].patience == 5
    assert Settings().plan.patience == 0  # early stopping is off by default


def test_the_convnet_has_a_small_step_of_its_own_by_default() -> None:
    assert Settings(network="convnet", size=(120, 80)).plan.lr == 3e-4
    assert Settings(network="convnet", size=(120, 80), lr=1e-3).plan.lr == 1e-3
    assert Settings(network="convnet", size=(120, 80), protocol="convnet").plan.lr == 1e-2
    assert Settings().plan.lr == PLANS["steady"].lr
