"""A run on classes as a whole job: what it leaves behind, and what predict and evaluate make of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from class_folders import NAMES, write_colours

from steadfit.data import Annotations
from steadfit.errors import ConfigError, DataError, DataWarning, RunError
from steadfit.outputs import Classes
from steadfit.recipes import calibrate_run, corrupt_dataset, evaluate_run, fit_cascade_run, fit_run, predict_to
from steadfit.recipes.panels import image_loader
from steadfit.training import Settings, load

SETTINGS = Settings(output=Classes(loss="anchor"), network="resnet8", epochs=2, batch_size=16, lr=0.05)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    return write_colours(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def run_folder(classes: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = dataclasses.replace(SETTINGS, epochs=6)
    return fit_run(classes, settings, tmp_path_factory.mktemp("runs") / "run", device="cpu").folder


def test_what_a_run_leaves_behind(classes: Annotations, run_folder: Path) -> None:
    files = {path.name for path in run_folder.iterdir()}
    assert files == {
        "config.yaml", "model.safetensors", "metrics.json", "history.csv", "predictions.parquet", "hardest.csv",
        "report.html", "figures", "checkpoints", "rows.parquet",
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
    probability = load(run_folder).predict_classes(classes).probability
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
        fit_run(classes, settings, run_folder)
    (run_folder / "metrics.json").unlink()
    fit_run(classes, settings, run_folder, resume=True, device="cpu", report=False)
    assert (run_folder / "metrics.json").exists()


def test_what_has_no_meaning_for_a_run_on_classes(classes: Annotations, run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a run that predicts distributions, got one on classes"):
        calibrate_run(run_folder)
    with pytest.raises(ConfigError, match="cascade: expected points in images, got classes"):
        fit_cascade_run(classes, SETTINGS, SETTINGS, tmp_path / "cascade")
    for options in ({"views": ["mirror"]}, {"coverage": 0.9}):
        with pytest.raises(ConfigError, match="expected no views or coverage with classes"):
            predict_to(run_folder, classes.root / "test" / "red", tmp_path / "p", **options)
    with pytest.raises(ConfigError, match="corrupt: expected points or numbers, got classes"):
        corrupt_dataset(classes, tmp_path / "corrupted", kind="l_ugo", share=0.1)
    assert not any(tmp_path.iterdir())


def test_rows_that_were_trained_on_are_reported(classes: Annotations, run_folder: Path) -> None:
    assert evaluate_run(run_folder, classes.root)["images"] == 30
    found = evaluate_run(run_folder, classes.root, split="train")
    assert found == {"images": 72} | {
        name: json.loads((run_folder / "metrics.json").read_text())["train"][name] for name in ("top1", "top5")
    }
    with pytest.warns(DataWarning, match="72 of the 120 rows were trained on"):
        assert evaluate_run(run_folder, classes.root, split="all")["images"] == 120


def test_other_classes_than_the_runs(classes: Annotations, run_folder: Path, tmp_path: Path) -> None:
    """More, fewer, others, or the same ones in another order, by which their numbers would be mixed up."""
    rows = [(name, name.split("/")[1]) for name in classes.take(classes.rows("test")).images or ()]
    for names, message in (
        ({"red": "pink"}, "got 3; 'pink' differs"),
        ({"red": "blue"}, "got 2; 'red' differs"),
        ({}, "got them in another order: red, green, blue"),
    ):
        named = [(str(classes.root / name), names.get(given, given), given) for name, given in rows]
        table = pd.DataFrame(named, columns=["image", "class", "given"])
        if not names:
            table["label"] = table["class"].map({"red": 0, "green": 1, "blue": 2})
        table["image"] = table["image"].map(lambda path: str(Path(path).relative_to(classes.root)))
        path = classes.root / "other.csv"
        table.drop(columns="given").to_csv(path, index=False)
        with pytest.raises(DataError, match=f"expected the 3 classes of the run, {message}"):
            evaluate_run(run_folder, path, split="all")
        path.unlink()


def test_a_table_is_no_folder_of_images(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image\na.png\n")
    with pytest.raises(DataError, match="t.csv"):
        predict_to(run_folder, tmp_path / "t.csv", tmp_path / "p")


def test_images_by_name(classes: Annotations) -> None:
    load_image = image_loader(classes)
    assert load_image is not None
    image = load_image("test/red/00.png")
    assert image.shape == (8, 8, 3)
    assert image.reshape(-1, 3).mean(0).argmax() == 0  # RGB
