"""Runs on classes: training that learns, resume to the same bits, the run folder, predictions."""

from __future__ import annotations

import dataclasses
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
from steadfit.data import Annotations, LabelledDataset, PadCrop, ScaleCrop
from steadfit.errors import ConfigError, DataError, DivergedError, RunError
from steadfit.outputs import CLASS_LOSSES, Classes
from steadfit.training import Run, Settings, fit, load
from steadfit.training.callbacks.history import History
from steadfit.training.cascade import fit_cascade
from steadfit.training.fit import Splits, build_module, train
from steadfit.training.prediction import ClassPrediction

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
SETTINGS = Settings(output=Classes(), network="resnet8", epochs=3, batch_size=16, lr=0.05)


def settings(loss: str = "ce", *, warmup: int | None = None, **changes: object) -> Settings:
    """``SETTINGS`` with another loss and other options."""
    return dataclasses.replace(SETTINGS, output=Classes(loss=loss, warmup=warmup), **changes)  # type: ignore[arg-type]


def logits_of(run: Run, annotations: Annotations) -> torch.Tensor:
    """(N, C), in float64."""
    return torch.from_numpy(run.judge(annotations).logits)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Probabilities of other batches, whose float32 sums round in another order."""
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def top1(run: Run, annotations: Annotations, split: str) -> float:
    rows = annotations.rows(split)
    return float((logits_of(run, annotations).argmax(1).numpy() == annotations.label)[rows].mean())


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
def finished(classes: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(classes, SETTINGS, tmp_path_factory.mktemp("runs") / "run", device="cpu")


@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_every_loss_learns_colours(classes: Annotations, tmp_path: Path, loss: str) -> None:
    run = fit(classes, settings(loss, epochs=4), tmp_path, device="cpu")
    assert top1(run, classes, "test") > 0.9
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history) == ["epoch", "phase", "train_loss", "val_loss", "val_top1", "val_top5", "lr", "seconds"]
    assert (history["val_top5"] == 1).all()  # three classes
    assert np.isfinite(history[["train_loss", "val_loss"]]).all(axis=None)
    warm = 1 if loss == "anchor-warmup" else 0
    assert history["phase"].tolist() == ["warm-up"] * warm + ["loss"] * (4 - warm)
    assert history["lr"].iloc[-1] < 1e-12


def test_the_run_folder_opens_again(classes: Annotations, finished: Run) -> None:
    config = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert config["schema"]["classes"] == ["red", "green", "blue"]
    assert config["settings"]["output"]["name"] == "classes"
    assert config["size"] == [8, 8]
    assert not {"task", "names"} & set(config)  # a run like any other
    run = load(finished.folder)
    assert run.settings == SETTINGS
    assert torch.equal(logits_of(run, classes), logits_of(finished, classes))
    assert run.schema.classes == ("red", "green", "blue")
    assert repr(run) == f"Run({str(finished.folder)!r}, ce, classes=3)"


def test_the_verdict_on_labels(classes: Annotations, finished: Run) -> None:
    """A label is trusted as much as it is probable; nobody considers any of them wrong, or guesses how many are."""
    judgement, probability = finished.judge(classes), finished.predict_classes(classes).probability
    assert judgement.logits is not None
    assert judgement.logits.shape == (90, 3)
    np.testing.assert_allclose(judgement.trust[:, 0], probability[np.arange(90), classes.label], rtol=1e-5)
    assert judgement.predicted[:, 0, 0].tolist() == probability.argmax(1).tolist()
    assert not judgement.suspect.any()
    assert math.isnan(judgement.error_rate)
    assert judgement.nll is judgement.peaks is None


def test_predictions(classes: Annotations, finished: Run, tmp_path: Path) -> None:
    assert classes.pixels is not None
    images = classes.pixels.permute(0, 2, 3, 1).numpy()
    whole = finished.predict_classes(classes)
    assert isinstance(whole, ClassPrediction)
    assert (len(whole), whole.probability.shape) == (90, (90, 3))
    np.testing.assert_array_equal(finished.predict(classes).probability, whole.probability)  # type: ignore[union-attr]
    close(finished.predict_classes(images, batch_size=7).probability, whole.probability)
    close(finished.predict_classes(images[4]).probability[0], whole.probability[4])
    cv2.imwrite(str(tmp_path / "a.png"), images[0][:, :, ::-1])
    close(finished.predict_classes(tmp_path).probability[0], whole.probability[0])
    assert whole.class_names == [whole.names[k] for k in whole.label]
    best = whole.top(2)[0]
    assert [len(best), best[0][0]] == [2, whole.class_names[0]]
    assert best[0][1] >= best[1][1]
    frame = whole.to_frame()
    assert list(frame) == ["predicted", "probability", "probability_red", "probability_green", "probability_blue"]
    assert frame["probability"].tolist() == whole.probability.max(axis=1).tolist()
    large = cv2.resize(images[0], (30, 20))
    assert finished.predict_classes([large, images[1]]).probability.shape == (2, 3)
    paths = [tmp_path / "a.png", str(tmp_path / "a.png")]
    close(finished.predict_classes(paths).probability, whole.probability[[0, 0]])
    assert finished.predict_classes(images[:0]).to_frame().shape == (0, 5)
    with pytest.raises(DataError, match=r"expected uint8 images .* got float64 \(8, 8\)"):
        finished.predict_classes([np.zeros((8, 8))])


@pytest.mark.parametrize("options", [{"views": ["mirror"]}, {"coverage": 0.9}, {"boxes": [[0, 0, 4, 4]]}])
def test_what_classes_cannot_be_predicted_with(finished: Run, options: dict[str, object]) -> None:
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    with pytest.raises(ConfigError, match="expected no views, coverage or boxes with classes, got some"):
        finished.predict(image, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected a run on points or numbers, got one on classes"):
        finished.predict_positions(image)


def test_only_a_run_on_classes_predicts_some(table: Annotations, tmp_path: Path) -> None:
    run = fit(table, Settings(noise="l2", epochs=1, batch_size=16), tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="expected a run on classes, got one on points or numbers"):
        run.predict_classes(table)


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
    chosen = settings(loss, network="mine", epochs=5, warmup=2 if loss != "ce" else 0)
    whole = fit(classes, chosen, tmp_path / "whole", network=with_dropout(), device="cpu")
    make = train.__globals__["make_trainer"]
    for epoch in (2, 4):
        monkeypatch.setitem(
            train.__globals__,
            "make_trainer",
            lambda out, *, callbacks, epoch=epoch, **rest: make(out, callbacks=[*callbacks, Stop(epoch)], **rest),
        )
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(classes, chosen, tmp_path / "parts", network=with_dropout(), resume=True, device="cpu")
        assert not (tmp_path / "parts" / "model.safetensors").exists()
        with pytest.raises(RunError, match="the run is not finished"):
            load(tmp_path / "parts", network=with_dropout())
    monkeypatch.undo()
    fit(classes, chosen, tmp_path / "parts", network=with_dropout(), resume=True, device="cpu")
    tensors = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts")]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    histories = [pd.read_csv(tmp_path / name / "history.csv").drop(columns="seconds") for name in ("whole", "parts")]
    pd.testing.assert_frame_equal(*histories)
    again = fit(classes, chosen, tmp_path / "parts", network=with_dropout(), resume=True, device="cpu")
    assert torch.equal(logits_of(again, classes), logits_of(whole, classes))


def with_dropout() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def test_what_cannot_be_resumed(classes: Annotations, finished: Run) -> None:
    with pytest.raises(RunError, match="holds a run already"):
        fit(classes, SETTINGS, finished.folder)
    for changed, words in (
        (settings(lr=0.01), "lr"),
        (settings("anchor"), "loss"),
        (settings(warmup=1, seed=1), "seed, warmup"),
        (Settings(noise="l2", network="resnet8", epochs=3, batch_size=16, lr=0.05), ".*protocol, .*output"),
    ):
        data = classes if changed.output else numbers(classes)
        with pytest.raises(RunError, match=f"cannot resume, {words}(, the data .*)? differ"):
            fit(data, changed, finished.folder, resume=True)
    label = classes.target.copy()
    label[0] = 2
    moved = classes.with_target(label)
    with pytest.raises(RunError, match=r"cannot resume, the data \(rows, labels or their meaning\) differ"):
        fit(moved, SETTINGS, finished.folder, resume=True)
    assert fit(classes, SETTINGS, finished.folder, resume=True).schema == finished.schema


def numbers(classes: Annotations) -> Annotations:
    """The same images with the numbers of their classes as scalar targets."""
    return dataclasses.replace(classes, schema=dataclasses.replace(classes.schema, classes=()))


def test_what_cannot_be_trained(classes: Annotations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a network of default, compact, .* got 'mine'"):
        fit(classes, settings(network="mine"), tmp_path)
    with pytest.raises(ConfigError, match="to name your network, got 'resnet20'"):
        fit(classes, Settings(output=Classes()), tmp_path, network=with_dropout())
    with pytest.raises(DataError, match="at least 1 images of the split 'val', got 0"):
        fit(classes.take(classes.split != "val"), SETTINGS, tmp_path)
    lonely = classes.take(np.flatnonzero((classes.split != "train") | (np.arange(len(classes)) == 0)))
    with pytest.raises(DataError, match="at least 2 images of the split 'train', got 1"):
        fit(lonely, SETTINGS, tmp_path)
    with pytest.raises(ConfigError, match="expected a table of classes for classes, got one of numbers"):
        fit(numbers(classes), SETTINGS, tmp_path)
    with pytest.raises(ConfigError, match="expected a table of points or numbers for positions, got one of classes"):
        fit(classes, Settings(), tmp_path)
    with pytest.raises(ConfigError, match="expected batch_size >= 2 for batch norm, got 1"):
        fit(classes, settings(batch_size=1), tmp_path)
    with pytest.raises(ConfigError, match="cascade: expected points in images, got classes"):
        fit_cascade(classes, SETTINGS, SETTINGS, (), tmp_path)
    assert not (tmp_path / "config.yaml").exists()


@pytest.mark.parametrize("count", [2, 5])
def test_a_network_for_another_number_of_classes(classes: Annotations, tmp_path: Path, count: int) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, count))
    with pytest.raises(ValueError, match=rf"expected 3 logits for each of \d+ samples, one a class, got .*, {count}\)"):
        fit(classes, settings(network="mine"), tmp_path, network=network, device="cpu")


def test_a_diverged_training_is_told(classes: Annotations, tmp_path: Path) -> None:
    """As of any other run: when, from which batch, what to try; the folder remembers it and holds no model."""
    chosen = settings(network="mine", lr=1e30)
    wanted = "expected a finite training loss, got (nan|inf) in epoch 1, from batch .* smaller lr"
    for resume in (False, True):
        with pytest.raises(DivergedError, match=wanted) as caught:
            fit(classes, chosen, tmp_path, network=with_dropout(), device="cpu", resume=resume)
        assert caught.value.epoch == 1
    assert (tmp_path / "diverged.json").exists()
    assert not (tmp_path / "model.safetensors").exists()
    with pytest.raises(RunError, match="the training of this run diverged"):
        load(tmp_path, network=with_dropout())


def test_progress_is_shown(classes: Annotations, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = settings("anchor-warmup", epochs=2, batch_size=32, warmup=1)
    fit(classes, chosen, tmp_path, device="cpu", console=Console(width=100))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("anchor-warmup: epoch 1/2 warm-up, validation top-1")
    assert lines[1].startswith("anchor-warmup: epoch 2/2, validation top-1")


def test_where_the_training_starts(classes: Annotations) -> None:
    """Sigmoid losses: every class at 1/C whatever the image shows; softmax: the layer's own start."""
    splits = Splits.of(classes, SETTINGS)
    for loss, bias in (("anchor", -math.log(2)), ("ce", None)):
        found = build_module(splits.train, settings(loss)).regressor.network.fc.bias.detach()
        if bias is None:
            assert 0 < float(found.abs().max()) <= 1 / math.sqrt(64)
        else:
            torch.testing.assert_close(found, torch.full((3,), bias))


def test_the_input_is_scaled_by_the_training_images(classes: Annotations) -> None:
    module = build_module(Splits.of(classes, SETTINGS).train, SETTINGS)
    assert classes.pixels is not None
    seen = module.regressor.inputs(classes.pixels[classes.rows("train")])
    assert seen.mean((0, 2, 3)).abs().max() < 1e-5
    assert (seen.std((0, 2, 3)) - 1).abs().max() < 1e-3


def test_how_images_come_into_the_frame(classes: Annotations) -> None:
    """Whole images are padded and cropped, others scaled; never without --mirror, and never to validate."""
    for changes, wanted in (
        ({}, PadCrop()), ({"size": 8}, PadCrop()), ({"size": (6, 8)}, ScaleCrop()), ({"mirror": False}, None),
    ):  # fmt: skip
        splits = Splits.of(classes, settings(**changes))
        assert (splits.train.augment, splits.val.augment) == (wanted, None)


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
    chosen = settings(epochs=4, batch_size=8, size=12)
    run = fit(classes, chosen, tmp_path / "run", device="cpu")
    assert top1(run, classes, "train") > 0.8
    folder = run.predict_classes([tmp_path / name for name in classes.images or ()])
    close(folder.probability, run.predict_classes(classes).probability)
    grey = fit(classes, dataclasses.replace(chosen, channels=1), tmp_path / "grey", device="cpu")
    assert logits_of(grey, classes).shape == (30, 3)
    wide = fit(classes, dataclasses.replace(chosen, size=(12, 24), epochs=1), tmp_path / "wide", device="cpu")
    assert load(wide.folder).frame == (12, 24)
    paths = wide.predict_classes([tmp_path / name for name in classes.images or ()])
    close(paths.probability, wide.predict_classes(classes).probability)
    with pytest.raises(DataError, match=r"expected images of one size, got widths from 12 to 30 px.* Choose a size"):
        fit(classes, SETTINGS, tmp_path / "native")


def test_a_history_is_kept_in_the_checkpoint(classes: Annotations) -> None:
    history = History(LabelledDataset(classes, rows=classes.rows("val"), channels=3), Classes(n_classes=3))
    history.load_state_dict({"rows": [{"epoch": 1, "val_top1": 0.5}]})
    assert json.dumps(history.state_dict()) == '{"rows": [{"epoch": 1, "val_top1": 0.5}]}'
    assert history.frame()["val_top1"].tolist() == [0.5]


def test_pixels_are_taken_as_0_to_1(classes: Annotations) -> None:
    inputs = build_module(Splits.of(classes, SETTINGS).train, SETTINGS).regressor.inputs
    inputs.mean.zero_()
    inputs.deviation.fill_(1.0)
    assert inputs(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten().tolist() == [1.0] * 3
