"""Losses for classes compared over seeds: the numbers, the tests, what cannot be compared."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from class_folders import write_colours
from rich.console import Console

from steadfit.data import Annotations
from steadfit.errors import ConfigError, DataError, DivergedError, RunError
from steadfit.metrics.accuracy import sign_flip
from steadfit.outputs import Classes
from steadfit.recipes import compare_losses
from steadfit.training import Settings, fit, load

SETTINGS = Settings(output=Classes(loss="anchor"), network="resnet8", epochs=2, batch_size=16, lr=0.05)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    return write_colours(tmp_path_factory.mktemp("colours"))


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
    classes: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(classes: Annotations, settings: Settings, *args: Any, **options: Any) -> Any:
        if settings.method == "ce":
            raise DivergedError("fit: expected a finite loss, got nan.", epoch=2, batch=1)
        return fit(classes, settings, *args, **options)

    monkeypatch.setattr("steadfit.recipes.fit.fit", diverging)
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
    for other in (Settings(), Settings(network="hourglass1")):
        with pytest.raises(ConfigError, match=r"expected settings for classes, got others. Give them output=Classes"):
            compare_losses(classes, ["ce", "bce"], other, tmp_path)


def test_every_loss_has_the_options_of_the_settings(classes: Annotations, tmp_path: Path) -> None:
    """One set of options for all: what a loss does not take has no effect on it."""
    given = Settings(output=Classes(gamma=2.0), network="resnet8", epochs=1, batch_size=32, lr=0.05)
    compare_losses(classes, ["focal", "ce"], given, tmp_path, device="cpu")
    for loss in ("focal", "ce"):
        output = load(tmp_path / "runs" / f"{loss}-0").settings.output
        assert output == Classes(loss=loss, gamma=2.0)
