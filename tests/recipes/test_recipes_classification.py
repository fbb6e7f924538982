"""Classification as whole jobs: what a run leaves behind, and losses compared over seeds."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from steadfit.data import Annotations, load_classes
from steadfit.errors import ConfigError, DataError, DivergedError, RunError
from steadfit.metrics.accuracy import sign_flip
from steadfit.recipes.compare_classes import class_image_loader, compare_losses, fit_classifier
from steadfit.training.classification import ClassifierSettings, fit, load_classifier

SETTINGS = ClassifierSettings(loss="anchor", network="resnet8", epochs=2, batch_size=16, lr=0.05)
NAMES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """Folders of three colours; six of the training images lie in a wrong one."""
    root, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 6), ("test", 10)):
        for k, name in enumerate(NAMES):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                colour = np.full(3, 60.0)
                colour[(k + (split == "train" and i < 2)) % 3] = 190  # OpenCV's order is blue, green, red
                image = np.clip(colour + rng.normal(0, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
                assert cv2.imwrite(str(root / split / name / f"{i:02}.png"), image)
    return load_classes(root)


@pytest.fixture(scope="module")
def run_folder(classes: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = dataclasses.replace(SETTINGS, epochs=6)
    return fit_classifier(classes, settings, tmp_path_factory.mktemp("runs") / "run", device="cpu").folder


def test_what_a_run_leaves_behind(classes: Annotations, run_folder: Path) -> None:
    files = {path.name for path in run_folder.iterdir()}
    assert files == {
        "config.yaml", "model.safetensors", "metrics.json", "history.csv", "predictions.parquet", "hardest.csv",
        "report.html", "figures", "checkpoints",
    }  # fmt: skip
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert {split: part["images"] for split, part in metrics.items()} == {"train": 72, "val": 18, "test": 30}
    assert set(metrics["test"]["per_class"]) == set(NAMES)
    table = pd.read_parquet(run_folder / "predictions.parquet")
    assert list(table) == ["row", "image", "line", "split", "label", "predicted", "probability", "loss"]
    assert len(table) == 120
    right = table["label"] == table["predicted"]
    for split, part in metrics.items():
        assert part["top1"] == pytest.approx(right[table["split"] == split].mean())
    probability = load_classifier(run_folder).predict(classes).probability
    assert table["probability"].tolist() == pytest.approx(probability[np.arange(120), classes.label].tolist(), rel=1e-4)


def test_the_hardest_images_are_the_wrong_ones(run_folder: Path) -> None:
    hardest = pd.read_csv(run_folder / "hardest.csv")
    assert len(hardest) == 72
    assert set(hardest["image"].head(6)) == {f"train/{name}/{i:02}.png" for name in NAMES for i in range(2)}
    assert hardest["loss"].is_monotonic_decreasing
    assert np.allclose(np.exp(-hardest["loss"]), hardest["probability"], rtol=1e-4)


def test_the_report_says_what_the_numbers_say(run_folder: Path) -> None:
    page = (run_folder / "report.html").read_text()
    top1 = json.loads((run_folder / "metrics.json").read_text())["test"]["top1"]
    assert (f"{100 * top1:.1f} %" if top1 < 1 else "100 %") in page
    assert page.count("data:image/png") == 4
    assert "<script" not in page
    assert {path.suffix for path in (run_folder / "figures").iterdir()} == {".png"}


def test_a_finished_run_is_judged_again(classes: Annotations, run_folder: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=6)
    with pytest.raises(RunError, match="holds a run already"):
        fit_classifier(classes, settings, run_folder)
    (run_folder / "metrics.json").unlink()
    fit_classifier(classes, settings, run_folder, resume=True, device="cpu", report=False)
    assert (run_folder / "metrics.json").exists()


@pytest.fixture(scope="module")
def compared(classes: Annotations, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict], str]:
    out, console = tmp_path_factory.mktemp("compare"), Console(width=110, record=True, file=io.StringIO())
    results = compare_losses(classes, ["ce", "anchor"], SETTINGS, out, seeds=2, device="cpu", console=console)
    return out, results, console.export_text()


def test_losses_are_compared_over_seeds(classes: Annotations, compared: tuple[Path, dict[str, dict], str]) -> None:
    out, results, _ = compared
    assert {path.name for path in (out / "runs").iterdir()} == {"ce-0", "ce-1", "anchor-0", "anchor-1"}
    assert {path.name for path in out.iterdir()} == {
        "runs", "comparison.csv", "comparison.json", "errors.parquet", "figures", "report.html",
    }  # fmt: skip
    errors = pd.read_parquet(out / "errors.parquet")
    assert list(errors) == ["image", "label", "ce-0", "ce-1", "anchor-0", "anchor-1"]
    assert len(errors) == 30
    for loss, found in results.items():
        top1 = [json.loads((out / "runs" / f"{loss}-{k}" / "metrics.json").read_text())["test"]["top1"] for k in (0, 1)]
        assert [errors[f"{loss}-{k}"].mean() for k in (0, 1)] == pytest.approx(top1)
        assert found["top1"] == pytest.approx(np.mean(top1))
        assert found["top1_sd"] == pytest.approx(np.std(top1, ddof=1))
        assert found["seeds"] == 2
    best = max(results, key=lambda name: results[name]["top1"])
    [other] = set(results) - {best}
    assert results[best]["p_holm"] is None
    flips = errors[[f"{other}-0", f"{other}-1"]].sum(axis=1) - errors[[f"{best}-0", f"{best}-1"]].sum(axis=1)
    assert results[other]["p_holm"] == pytest.approx(sign_flip(flips.to_numpy()))
    assert results[other]["difference"] == pytest.approx(results[other]["top1"] - results[best]["top1"])


def test_the_numbers_are_written_twice_alike(compared: tuple[Path, dict[str, dict], str]) -> None:
    out, results, text = compared
    written = json.loads((out / "comparison.json").read_text())
    table = pd.read_csv(out / "comparison.csv", index_col="loss")
    for loss, found in results.items():
        assert written[loss]["top1"] == found["top1"]
        assert table.loc[loss, "top1"] == pytest.approx(found["top1"], rel=1e-5)
        assert f"{100 * found['top1']:.2f}" in text
        assert f"{loss}, seed 1:" in text
    page = (out / "report.html").read_text()
    assert "Comparison of losses" in page
    assert page.count("data:image/png") == 1


def test_a_comparison_is_continued(
    classes: Annotations, compared: tuple[Path, dict[str, dict], str], tmp_path: Path
) -> None:
    out, results, _ = compared
    with pytest.raises(RunError, match="holds a run already"):
        compare_losses(classes, ["ce", "anchor"], SETTINGS, out, seeds=2)
    again = compare_losses(classes, ["ce", "anchor"], SETTINGS, out, seeds=2, resume=True, device="cpu")
    assert {loss: found["top1"] for loss, found in again.items()} == {
        loss: found["top1"] for loss, found in results.items()
    }


def test_one_seed_has_no_spread(
    classes: Annotations, compared: tuple[Path, dict[str, dict], str], tmp_path: Path
) -> None:
    out, _, _ = compared
    found = compare_losses(classes, ["ce", "anchor"], SETTINGS, out, resume=True, device="cpu")  # seed 0 is there
    assert {result["top1_sd"] for result in found.values()} == {None}


def test_one_loss_that_finishes_is_still_a_ranking(
    classes: ClassImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(classes: ClassImages, settings: ClassifierSettings, *args: Any, **options: Any) -> Any:
        if settings.loss == "ce":
            raise DivergedError("fit: expected a finite loss, got nan.", epoch=2, batch=1)
        return fit(classes, settings, *args, **options)

    monkeypatch.setattr("steadfit.recipes.compare_classes.fit", diverging)
    found = compare_losses(classes, ["ce", "anchor"], SETTINGS, tmp_path, device="cpu")
    assert list(found) == ["anchor", "ce"]
    assert found["ce"] == {"diverged_epoch": 2, "diverged_batch": 1}
    assert found["anchor"]["top1"] >= 0
    assert found["anchor"]["p_holm"] is None
    assert "diverged in epoch 2, from batch 1 on" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("losses", "seeds", "message"),
    [
        (["ce", "hinge"], 1, "expected losses of ce, .*, got 'hinge'"),
        (["ce"], 1, "expected two or more different losses, got ce"),
        (["ce", "ce"], 1, "expected two or more different losses, got ce, ce"),
        (["ce", "bce"], 0, "expected seeds >= 1, got 0"),
    ],
)
def test_what_cannot_be_compared(
    classes: Annotations, tmp_path: Path, losses: list[str], seeds: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare_losses(classes, losses, SETTINGS, tmp_path, seeds=seeds)
    with pytest.raises(DataError, match="expected test images to compare on, got none"):
        compare_losses(classes.take(classes.split != "test"), ["ce", "bce"], SETTINGS, tmp_path)


def test_images_by_name(classes: Annotations) -> None:
    load = class_image_loader(classes)
    image = load("test/red/00.png")
    assert image.shape == (8, 8, 3)
    assert image.reshape(-1, 3).mean(0).argmax() == 0  # RGB
