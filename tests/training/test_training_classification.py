"""Classifiers: settings and schedules, training that learns, resume to the same bits, the run folder, predictions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

from class_data import class_annotations
from steadfit.data import Annotations
from steadfit.errors import ConfigError, DataError, RunError
from steadfit.evaluation.classes import confusion, hardest_images, prediction_table, scores
from steadfit.losses import CrossEntropyLoss
from steadfit.training import classification
from steadfit.training.classification import (
    LOSSES,
    PROTOCOLS,
    Classifier,
    ClassifierHistory,
    ClassifierSettings,
    ClassSplits,
    accuracy,
    fit,
    load_classifier,
)
from steadfit.training.classification.fit import build_module
from steadfit.training.classification.module import start_rare
from steadfit.training.classification.run import log_probability, probability_of
from steadfit.training.regressor import InputScaling

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
SETTINGS = ClassifierSettings(network="resnet8", epochs=3, batch_size=16, lr=0.05)


def coloured(count: int = 90, side: int = 8) -> Annotations:
    """Three classes that differ in colour; 54 train, 18 val, 18 test."""
    rng = np.random.default_rng(0)
    label = np.arange(count) % 3
    pixels = COLOURS[label][:, :, None, None] + rng.normal(0, 40, (count, 3, side, side))
    return class_annotations(
        path=Path("coloured"), names=("red", "green", "blue"),
        images=tuple(f"c:{k}" for k in range(count)), label=label,
        split=np.repeat(["train", "val", "test"], [count * 3 // 5, count // 5, count // 5]), line=np.arange(count),
        size=np.full((count, 2), float(side)), pixels=torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def classes() -> Annotations:
    return coloured()


@pytest.fixture(scope="module")
def finished(classes: Annotations, tmp_path_factory: pytest.TempPathFactory) -> classification.ClassifierRun:
    return fit(classes, SETTINGS, tmp_path_factory.mktemp("runs") / "run", device="cpu")


def test_the_papers_values() -> None:
    """Tables 1, 3 and A-1 on CIFAR-100: gamma .5, 2 after the warm-up; OHEM keeps .9; margin .05; q* = .5."""
    losses = {name: ClassifierSettings(loss=name).make_loss() for name in LOSSES}
    assert set(losses) == {
        "ce", "bce", "ohem", "focal", "anchor", "anchor-target", "anchor-both", "anchor-static", "anchor-warmup",
    }  # fmt: skip
    assert {name: losses[name].anchor for name in ("anchor", "anchor-target", "anchor-both", "anchor-static")} == {
        "anchor": "background", "anchor-target": "target", "anchor-both": "both", "anchor-static": 0.5,
    }  # fmt: skip
    assert {losses[name].gamma for name in ("focal", "anchor", "anchor-target", "anchor-both", "anchor-static")} == {
        0.5
    }
    assert (losses["bce"].gamma, losses["ohem"].keep, losses["anchor"].margin) == (0.0, 0.9, 0.05)
    warmed = losses["anchor-warmup"]
    assert isinstance(warmed.first, CrossEntropyLoss)
    assert (warmed.then.gamma, warmed.epochs) == (2.0, 4)  # an eighth of 30 epochs
    assert ClassifierSettings(loss="anchor-warmup", protocol="cifar").make_loss().epochs == 5
    assert ClassifierSettings(loss="focal", warmup=3).make_loss().epochs == 3
    assert ClassifierSettings(loss="focal", gamma=2).make_loss().gamma == 2
    assert ClassifierSettings(loss="ohem", keep=0.8).make_loss().keep == 0.8
    assert ClassifierSettings(loss="anchor-static", static=0.1).make_loss().anchor == 0.1
    assert {name: kind.output for name, kind in LOSSES.items() if kind.output == "softmax"} == dict.fromkeys(
        ("ce", "ohem"), "softmax"
    )


def test_step_sizes() -> None:
    cifar, imagenet, cycle = (PROTOCOLS[name] for name in ("cifar", "imagenet", "one-cycle"))
    assert [cifar.lr * cifar.factor(e / 200) for e in (0, 159.99, 160, 179.99, 180, 199)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    assert [imagenet.lr * imagenet.factor(e / 90) for e in (0, 2.5, 5, 29.9, 30, 60)] == pytest.approx(
        [0, 0.05, 0.1, 0.1, 0.01, 0.001]
    )
    assert [cycle.factor(s) for s in (0, 0.075, 0.15, 0.575, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert (cifar.epochs, imagenet.epochs, cifar.weight_decay, cifar.momentum) == (200, 90, 1e-4, 0.9)
    plan = ClassifierSettings(protocol="cifar", epochs=50, lr=0.2, weight_decay=0).plan()
    assert (plan.epochs, plan.lr, plan.weight_decay, plan.drops) == (50, 0.2, 0, (0.8, 0.9))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "hinge"}, "expected loss to be one of 'ce', .* got 'hinge'"),
        ({"protocol": "steady"}, "expected protocol to be one of 'one-cycle', 'cifar', 'imagenet', got 'steady'"),
        ({"gamma": -1}, "expected 0 <= gamma <= 5, got -1"),
        ({"margin": 1.5}, "expected 0 <= margin <= 1, got 1.5"),
        ({"keep": 0}, "expected keep > 0 and finite, got 0"),
        ({"keep": 1.1}, "expected 0 <= keep <= 1, got 1.1"),
        ({"static": 2}, "expected 0 <= static <= 1, got 2"),
        ({"batch_size": 1}, "expected batch_size >= 2, got 1"),
        ({"epochs": 0}, "expected epochs >= 1, got 0"),
        ({"lr": 0}, "expected lr > 0 and finite, got 0"),
        ({"channels": 2}, "expected channels to be one of 1, 3, got 2"),
    ],
)
def test_settings_out_of_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"ClassifierSettings: {message}"):
        ClassifierSettings(**values)  # type: ignore[arg-type]


def test_settings_travel() -> None:
    settings = ClassifierSettings(loss="focal", gamma=2.0, size=32)
    assert ClassifierSettings.from_dict(yaml.safe_load(yaml.safe_dump(settings.to_dict()))) == settings
    with pytest.raises(ConfigError, match="expected known keys, got colour"):
        ClassifierSettings.from_dict({"colour": "red"})


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_colours(classes: Annotations, tmp_path: Path, loss: str) -> None:
    settings = ClassifierSettings(loss=loss, network="resnet8", epochs=4, batch_size=16, lr=0.05)
    run = fit(classes, settings, tmp_path, device="cpu")
    test = classes.take(classes.rows("test"))
    assert accuracy(run.logits(test), torch.from_numpy(test.label)) > 0.9
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history) == ["epoch", "phase", "train_loss", "val_loss", "val_top1", "val_top5", "lr", "seconds"]
    assert (history["val_top5"] == 1).all()  # three classes
    assert np.isfinite(history[["train_loss", "val_loss"]]).all(axis=None)
    warm = 1 if loss == "anchor-warmup" else 0
    assert history["phase"].tolist() == ["warm-up"] * warm + ["loss"] * (4 - warm)
    assert history["lr"].iloc[-1] < 1e-12


def test_the_run_folder_opens_again(classes: Annotations, finished: classification.ClassifierRun) -> None:
    config = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert (config["task"], config["names"], config["size"]) == ("classification", ["red", "green", "blue"], [8, 8])
    run = load_classifier(finished.folder)
    assert run.settings == SETTINGS
    assert torch.equal(run.logits(classes), finished.logits(classes))
    assert run.names == ("red", "green", "blue")
    assert "classes=3" in repr(run)


def test_predictions(classes: Annotations, finished: classification.ClassifierRun, tmp_path: Path) -> None:
    assert classes.pixels is not None
    images = classes.pixels.permute(0, 2, 3, 1).numpy()
    whole = finished.predict(classes)
    assert whole.probability.shape == (90, 3)
    np.testing.assert_allclose(
        finished.predict(images, batch_size=7).probability, whole.probability, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(finished.predict(images[4]).probability[0], whole.probability[4], rtol=1e-4, atol=1e-6)
    cv2.imwrite(str(tmp_path / "a.png"), images[0][:, :, ::-1])
    np.testing.assert_allclose(finished.predict(tmp_path).probability[0], whole.probability[0], rtol=1e-4, atol=1e-6)
    assert whole.class_names == [whole.names[k] for k in whole.label]
    best = whole.top(2)[0]
    assert [len(best), best[0][0]] == [2, whole.class_names[0]]
    assert best[0][1] >= best[1][1]
    frame = whole.to_frame()
    assert list(frame) == ["predicted", "probability", "probability_red", "probability_green", "probability_blue"]
    assert frame["probability"].tolist() == whole.probability.max(axis=1).tolist()
    large = cv2.resize(images[0], (30, 20))
    assert finished.predict([large, images[1]]).probability.shape == (2, 3)
    with pytest.raises(DataError, match=r"expected uint8 images .* got float64 \(8, 8\)"):
        finished.predict([np.zeros((8, 8))])


def test_probabilities() -> None:
    logits = torch.tensor([[1000.0, -1000.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    soft, own = probability_of(logits, "softmax"), probability_of(logits, "sigmoid")
    assert soft.tolist() == [[1, 0, 0], pytest.approx([1 / 3] * 3)]
    assert own.tolist() == [[1, 0, pytest.approx(1 / (1 + math.exp(-3)))], [0.5] * 3]
    assert log_probability(logits, "sigmoid")[0, 1] == -1000


class Stop(L.Callback):
    """Ends the process of training, as a kill between two epochs does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("loss", ["anchor-warmup", "ce"])
def test_a_stopped_run_resumes_to_the_same_result(
    classes: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    """Stopped at the start of the third and of the last epoch; with dropout, whose draws must be the same as well."""
    settings = ClassifierSettings(
        loss=loss, network="mine", epochs=5, batch_size=16, lr=0.05, warmup=2 if loss != "ce" else 0
    )
    whole = fit(classes, settings, tmp_path / "whole", network=with_dropout(), device="cpu")
    make = classification.fit.__globals__["make_trainer"]
    for epoch in (2, 4):
        monkeypatch.setitem(
            classification.fit.__globals__,
            "make_trainer",
            lambda out, *, callbacks, epoch=epoch, **rest: make(out, callbacks=[*callbacks, Stop(epoch)], **rest),
        )
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(classes, settings, tmp_path / "parts", network=with_dropout(), resume=True, device="cpu")
        assert not (tmp_path / "parts" / "model.safetensors").exists()
        with pytest.raises(RunError, match="the run is not finished"):
            load_classifier(tmp_path / "parts")
    monkeypatch.undo()
    fit(classes, settings, tmp_path / "parts", network=with_dropout(), resume=True, device="cpu")
    tensors = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts")]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    histories = [pd.read_csv(tmp_path / name / "history.csv").drop(columns="seconds") for name in ("whole", "parts")]
    pd.testing.assert_frame_equal(*histories)
    again = fit(classes, settings, tmp_path / "parts", network=with_dropout(), resume=True, device="cpu")
    assert torch.equal(again.logits(classes), whole.logits(classes))


def with_dropout() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def test_what_cannot_be_resumed(classes: Annotations, finished: classification.ClassifierRun) -> None:
    with pytest.raises(RunError, match="holds a run already"):
        fit(classes, SETTINGS, finished.folder)
    other = ClassifierSettings(**{**SETTINGS.to_dict(), "lr": 0.01})
    with pytest.raises(RunError, match="cannot resume, lr differ"):
        fit(classes, other, finished.folder, resume=True)
    label = classes.target.copy()
    label[0] = 2
    moved = classes.with_target(label)
    with pytest.raises(RunError, match=r"cannot resume, the data \(images, labels or splits\) differ"):
        fit(moved, SETTINGS, finished.folder, resume=True)
    assert fit(classes, SETTINGS, finished.folder, resume=True).names == finished.names


def test_what_cannot_be_trained(classes: Annotations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a network of compact, .* got 'mine'"):
        fit(classes, ClassifierSettings(network="mine"), tmp_path)
    with pytest.raises(ConfigError, match="to name your network, got 'resnet20'"):
        fit(classes, ClassifierSettings(), tmp_path, network=with_dropout())
    with pytest.raises(DataError, match="at least 1 images of the split 'val', got 0"):
        fit(classes.take(classes.split != "val"), SETTINGS, tmp_path)
    with pytest.raises(RunError, match="config.yaml is missing"):
        load_classifier(tmp_path)
    (tmp_path / "config.yaml").write_text("settings: {}\nschema: {}\nimages: true\n")
    with pytest.raises(RunError, match="expected the configuration of a classification run"):
        load_classifier(tmp_path)


def test_a_diverged_training_is_told(classes: Annotations, tmp_path: Path) -> None:
    settings = ClassifierSettings(loss="ce", network="mine", epochs=3, batch_size=16, lr=1e30)
    with pytest.raises(RunError, match="expected a finite training loss, got (nan|inf) in epoch 1. .* smaller lr"):
        fit(classes, settings, tmp_path, network=with_dropout(), device="cpu")


def test_progress_is_shown(classes: Annotations, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ClassifierSettings(loss="anchor-warmup", network="resnet8", epochs=2, batch_size=32, warmup=1)
    fit(classes, settings, tmp_path, device="cpu", console=Console(width=100))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("anchor-warmup: epoch 1/2 warm-up, validation top-1")
    assert lines[1].startswith("anchor-warmup: epoch 2/2, validation top-1")


def test_where_the_training_starts(classes: Annotations) -> None:
    """Sigmoid losses: every class at 1/C whatever the image shows; softmax: the layer's own start."""
    splits = ClassSplits.of(classes, SETTINGS)
    for loss, bias in (("anchor", -math.log(2)), ("ce", None)):
        network = build_module(splits.train, ClassifierSettings(loss=loss, network="resnet8")).classifier.network
        expected = torch.full((3,), bias) if bias is not None else None
        found = network.fc.bias.detach()
        assert expected is None or torch.allclose(found, expected)
        assert expected is not None or float(found.abs().max()) <= 1 / math.sqrt(64)
    lonely = nn.Linear(4, 1)
    start_rare(lonely, 1)
    assert lonely.bias.tolist() == [0.0]


def test_the_input_is_scaled_by_the_training_images(classes: Annotations) -> None:
    module = build_module(ClassSplits.of(classes, SETTINGS).train, SETTINGS)
    assert classes.pixels is not None
    seen = module.classifier.inputs(classes.pixels[classes.rows("train")])
    assert seen.mean((0, 2, 3)).abs().max() < 1e-5
    assert (seen.std((0, 2, 3)) - 1).abs().max() < 1e-3


def test_images_of_several_sizes(tmp_path: Path) -> None:
    """They are scaled and cropped; one size of its own is kept with pad and crop."""
    rng = np.random.default_rng(0)
    sizes = [(12, 12), (20, 12), (12, 30)] * 10
    for k, size in enumerate(sizes):
        image = np.clip(COLOURS[k % 3] + rng.normal(0, 40, (*size, 3)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / f"{k}.png"), image[:, :, ::-1])
    classes = class_annotations(
        path=tmp_path, names=("red", "green", "blue"), images=tuple(f"{k}.png" for k in range(30)),
        label=np.arange(30) % 3, split=np.repeat(["train", "val"], [24, 6]), line=np.arange(30),
        size=np.array([[w, h] for h, w in sizes], dtype=float),
    )  # fmt: skip
    settings = ClassifierSettings(loss="ce", network="resnet8", epochs=4, batch_size=8, size=12, lr=0.05)
    run = fit(classes, settings, tmp_path / "run", device="cpu")
    assert scores(classes, run.logits(classes), "train")["top1"] > 0.8
    grey = fit(classes, ClassifierSettings(**{**settings.to_dict(), "channels": 1}), tmp_path / "grey", device="cpu")
    assert grey.logits(classes).shape == (30, 3)


def test_what_a_run_says_of_every_image(classes: Annotations) -> None:
    logits = torch.zeros(90, 3, dtype=torch.float64)
    logits[torch.arange(90), torch.from_numpy(classes.label)] = 2.0
    logits[0] = torch.tensor([-800.0, 5.0, 0.0])  # probabilities that are 0 in float64 keep their order
    logits[3] = torch.tensor([-900.0, 5.0, 0.0])
    table = prediction_table(classes, logits, "softmax")
    assert table["predicted"].iloc[0] == "green"
    assert table["probability"].iloc[1] == pytest.approx(math.exp(2) / (math.exp(2) + 2))
    worst = hardest_images(table, count=3)
    assert worst["image"].tolist()[:2] == ["c:3", "c:0"]
    assert len(worst) == 3
    found = scores(classes, logits, "train")
    assert found["top1"] == pytest.approx(52 / 54)
    assert found["top5"] == 1.0
    assert found["per_class"] == {"red": pytest.approx(16 / 18), "green": 1.0, "blue": 1.0}
    assert confusion(classes, logits, "train").tolist() == [[16, 2, 0], [0, 18, 0], [0, 0, 18]]


def test_accuracy_against_a_loop() -> None:
    logits, target = torch.randn(200, 7), torch.randint(7, (200,))
    for top in (1, 2, 5, 7, 9):
        hits = sum(int(t) in row.argsort(descending=True)[:top].tolist() for row, t in zip(logits, target, strict=True))
        assert accuracy(logits, target, top=top) == pytest.approx(hits / 200, abs=1e-12)
    assert math.isnan(accuracy(logits[:0], target[:0]))


def test_a_history_is_kept_in_the_checkpoint() -> None:
    history = ClassifierHistory()
    history.load_state_dict({"rows": [{"epoch": 1, "val_top1": 0.5}]})
    assert json.dumps(history.state_dict()) == '{"rows": [{"epoch": 1, "val_top1": 0.5}]}'
    assert history.frame()["val_top1"].tolist() == [0.5]
    scaling = InputScaling(torch.zeros(3), torch.ones(3), images=True)
    assert Classifier(nn.Flatten(), scaling)(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).tolist() == [[1.0] * 3]
