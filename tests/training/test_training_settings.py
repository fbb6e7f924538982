"""Settings and protocols."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from steadfit.data import Warp
from steadfit.errors import ConfigError
from steadfit.noise import NOISE_MODELS, GaussianUniformNoise, HuberNoise, NoiseModel, PredictedNoise, TukeyNoise
from steadfit.outputs import Classes, Heatmaps
from steadfit.penalties import Huber
from steadfit.training import PLANS, Settings
from steadfit.training.schedules import Constant, Drops


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "l3"}, "expected noise to be one of .*, got 'l3'"),
        ({"protocol": "best"}, "expected protocol to be one of 'steady', 'paper', 'staged', .*'imagenet', got 'best'"),
        ({"protocol": "cifar"}, "expected protocol of steady, .*, convnet with positions, got 'cifar'"),
        ({"protocol": "paper", "output": Classes()}, "expected protocol of one-cycle, .* with classes, got 'paper'"),
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


@pytest.mark.parametrize(
    "settings",
    [
        Settings(noise=TukeyNoise(scale="batch"), lr=1e-4, patience=3, seed=5),
        Settings(noise=PredictedNoise(Huber(1.0), "diagonal", "mu")),
        Settings(network="hourglass-light", output=Heatmaps(loss="anchor", gamma=1.0, sigma=1.5)),
        Settings(output=Classes(loss="ohem", keep=0.5), size=None),
        Settings(output=Classes(loss="focal", gamma=2.0, warmup=2), size=32, protocol="cifar"),
    ],
    ids=["scale", "predicted", "heatmaps", "classes", "focal"],
)
def test_there_and_back(settings: Settings) -> None:
    written = yaml.safe_load(yaml.safe_dump(settings.to_dict()))
    again = Settings.from_dict(written)
    assert again == settings
    assert again.noise_model() == settings.noise_model()


def test_a_protocols_noise_model_there_and_back() -> None:
    settings = Settings(protocol="paper")
    again = Settings.from_dict(yaml.safe_load(yaml.safe_dump(settings.to_dict())))
    assert again.noise_model() == settings.noise_model()
    assert again.to_dict() == settings.to_dict()


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected known keys, got epoch, nois"):
        Settings.from_dict({"nois": "gum", "epoch": 3})
    with pytest.raises(ConfigError, match="expected noise of l2, .*, got 'best'"):
        Settings.from_dict({"noise": {"name": "best"}})
    with pytest.raises(ConfigError, match="expected options of output 'heatmaps', got .*'warm'"):
        Settings.from_dict({"output": {"name": "heatmaps", "warm": 1}})


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
    assert (plan.optimizer, plan.schedule, plan.weight_decay, plan.averaging) == ("sgd", Constant(), 5e-4, 0.0)
    assert plan.warp == Warp(rotation=20, scale=1, anisotropy=1, perspective=0, shift=0.05)
    assert Settings().plan.weight_decay == 1e-2
    assert Settings(protocol="convnet", weight_decay=0.0).plan.weight_decay == 0.0


@pytest.mark.parametrize(
    ("before", "name", "after"),
    [
        (TukeyNoise(scale="batch", warmup="wide"), "huber", HuberNoise(scale="batch", warmup="wide")),
        (TukeyNoise(scale="batch", warmup="wide"), "gum", GaussianUniformNoise()),
        (TukeyNoise(scale="running", warmup="l2"), "gum", GaussianUniformNoise(warmup="l2")),
        (HuberNoise(scale="batch"), "predicted-huber", PredictedNoise(Huber(1.0))),
        (GaussianUniformNoise(warmup="l2"), "tukey", TukeyNoise(warmup="l2")),
        (GaussianUniformNoise(unit="sample"), "tukey", TukeyNoise()),
        ("l2", "tukey", TukeyNoise()),
    ],
)
def test_another_noise_model_keeps_what_it_can_have(before: Any, name: str, after: NoiseModel) -> None:
    settings = Settings(noise=before, epochs=7, size=(40, 32))
    other = settings.with_noise(name)
    assert other.noise_model() == after
    assert {**other.to_dict(), "noise": None} == {**settings.to_dict(), "noise": None}


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


def test_what_is_usual_for_classes() -> None:
    settings = Settings(output=Classes())
    found = (settings.network, settings.protocol, settings.batch_size, settings.channels, settings.frame)
    assert found == ("resnet20", "one-cycle", 128, 3, None)
    assert settings.noise_model().name == "l2"
    assert Settings(output=Classes(), network="resnet8", batch_size=4, channels=1).network == "resnet8"
    with pytest.raises(ConfigError, match="expected noise 'l2', which counts every label in full, with classes, got"):
        Settings(output=Classes(), noise="gum")
    for given in ({"warp": True}, {"patience": 3}):
        with pytest.raises(ConfigError, match=f"expected no {next(iter(given))} with classes, got"):
            Settings(output=Classes(), **given)


def test_step_sizes_of_classes() -> None:
    cifar, imagenet, cycle = (PLANS[name] for name in ("cifar", "imagenet", "one-cycle"))
    assert [cifar.lr * cifar.schedule.factor(e / 200) for e in (0, 159.99, 160, 179.99, 180, 199)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    assert [imagenet.lr * imagenet.schedule.factor(e / 90) for e in (0, 2.5, 5, 29.9, 30, 60)] == pytest.approx(
        [0, 0.05, 0.1, 0.1, 0.01, 0.001]
    )
    assert [cycle.schedule.factor(s) for s in (0, 0.075, 0.15, 0.575, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert (cifar.epochs, imagenet.epochs, cifar.weight_decay, cifar.momentum) == (200, 90, 1e-4, 0.9)
    assert (cycle.epochs, cycle.weight_decay, cycle.nesterov, cifar.nesterov) == (30, 5e-4, True, False)
    plan = Settings(output=Classes(), protocol="cifar", epochs=50, lr=0.2, weight_decay=0).plan
    assert (plan.epochs, plan.lr, plan.weight_decay, plan.schedule) == (50, 0.2, 0, Drops((0.8, 0.9)))
    assert Classes(loss="anchor-warmup").criterion(Settings(output=Classes(), protocol="cifar").plan.epochs).epochs == 5


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (Settings(output=Classes(loss="anchor"), epochs=3), []),
        (Settings(output=Classes(loss="focal", gamma=1.0), epochs=3), ["loss", "gamma"]),
        (Settings(output=Classes(loss="anchor"), epochs=4, seed=1), ["epochs", "seed"]),
        (Settings(network="hourglass1", protocol="steady", size=48, epochs=3), ["network", "output"]),
    ],
)
def test_how_settings_differ(other: Settings, names: list[str]) -> None:
    found = other.differing(Settings(output=Classes(loss="anchor"), epochs=3))
    assert set(names) <= set(found)
    assert "output" in names or found == names


def test_classes_as_a_person_reads_them() -> None:
    settings = Settings(output=Classes(loss="focal", gamma=2.0))
    shown = settings.shown()
    assert (shown["output"], shown["loss"], shown["gamma"], shown["noise"]) == ("classes", "focal", 2.0, "l2")
    assert "n_classes" not in {*shown, *settings.to_dict()["output"]}  # which is the table's


@pytest.mark.parametrize("noise", NOISE_MODELS)
def test_every_noise_model_keeps_its_listed_name_and_can_be_exchanged(noise: str) -> None:
    """Runs, curves and tables are told apart by it: predicted-huber and predicted-gauss share a class."""
    settings = Settings(noise=noise)
    assert settings.method == noise
    for other in NOISE_MODELS:
        assert settings.with_noise(other).method == other
