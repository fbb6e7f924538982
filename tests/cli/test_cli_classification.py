"""Classification on the command line: folders and tables of images, fit, resume, predict, evaluate, compare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

import steadfit as library
from steadfit.outputs import Classes
from steadfit.training import Run

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
TINY = ("--task", "classification", "--network", "resnet8", "--epochs", 2, "--batch-size", 16, "--device", "cpu")
COLOURS = {"green": (40, 180, 40), "red": (190, 40, 40)}
COUNTS = {"train": 16, "val": 4, "test": 6}


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noisy images of 8 px that differ in colour, in folders of an odd name."""
    root, rng = tmp_path_factory.mktemp("classes") / "Bilder für 2", np.random.default_rng(0)
    for split, count in COUNTS.items():
        for name, colour in COLOURS.items():
            (root / split / name).mkdir(parents=True)
            for k in range(count):
                pixels = (np.array(colour) + rng.normal(0, 30, (8, 8, 3))).clip(0, 255).astype(np.uint8)
                cv2.imwrite(str(root / split / name / f"{k}.png"), pixels[..., ::-1])
    return root


@pytest.fixture(scope="module")
def classified(colours: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run, and what was printed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    result = steadfit("fit", colours, "--loss", "anchor", "--gamma", 1, "--no-mirror", "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    return out, result


def test_the_run_folder(classified: tuple[Path, Result]) -> None:
    out, result = classified
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} >= {
        "checkpoints/last.ckpt", "config.yaml", "hardest.csv", "history.csv", "metrics.json", "model.safetensors",
        "predictions.parquet", "report.html", "rows.parquet",
    }  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert {split: part["images"] for split, part in metrics.items()} == {"train": 32, "val": 8, "test": 12}
    assert f"test: {100 * metrics['test']['top1']:.1f} % of 12 images right" in result.stdout
    assert f"Report: {out / 'report.html'}" in result.stdout
    run = library.load(out)
    assert isinstance(run, Run)
    assert run.schema.classes == ("green", "red")
    assert run.settings.output == Classes(loss="anchor", gamma=1.0)
    assert (run.settings.mirror, run.settings.network, run.settings.channels) == (False, "resnet8", 3)
    assert run.frame == (8, 8)


def test_a_run_is_continued_or_left_alone(
    colours: Path, classified: tuple[Path, Result], steadfit: Steadfit, fails: Fails
) -> None:
    out, _ = classified
    before = (out / "model.safetensors").read_bytes()
    options = ("--loss", "anchor", "--gamma", 1, "--no-mirror", "-o", out, *TINY)
    fails(steadfit("fit", colours, *options), 4, "holds a run already", "--resume")
    fails(steadfit("fit", colours, *options, "--loss", "focal", "--resume"), 4, "cannot resume, loss differ")
    assert steadfit("fit", colours, *options, "--resume").exit_code == 0
    assert (out / "model.safetensors").read_bytes() == before


def test_predict(
    colours: Path, classified: tuple[Path, Result], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    out, folder = classified[0], tmp_path / "new"
    shutil.copytree(colours / "test" / "red", folder)
    result = steadfit("predict", out, folder, "-o", tmp_path / "p")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Predictions: {tmp_path / 'p' / 'predictions.csv'}\n"
    table = pd.read_csv(tmp_path / "p" / "predictions.csv")
    assert list(table) == ["image", "predicted", "probability", "second", "second_probability"]
    assert table["image"].tolist() == [str(folder / f"{k}.png") for k in range(6)]
    wanted = library.load(out).predict_classes(folder)
    assert table["predicted"].tolist() == wanted.class_names
    np.testing.assert_allclose(table["probability"], wanted.probability.max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(table["second_probability"], wanted.probability.min(axis=1), rtol=1e-5)
    (folder / "2.png").write_bytes(b"no image")
    fails(steadfit("predict", out, folder, "-o", tmp_path / "q"), 3, str(folder / "2.png"))
    assert not (tmp_path / "q").exists()
    result = steadfit("predict", out, folder, "-o", tmp_path / "q", "--skip-bad")
    assert "left out 1 of 6 images" in result.stderr
    assert len(pd.read_csv(tmp_path / "q" / "predictions.csv")) == 5
    fails(steadfit("predict", out, colours, "-o", tmp_path / "r"), 3, "expected images (apng, avif, bmp", "got none")
    fails(steadfit("predict", out, folder / "9.png", "-o", tmp_path / "r"), 3, "got nothing of that name")
    fails(steadfit("predict", out, folder, "--view", "mirror"), 2, "--view: has no meaning with a classifier")
    fails(steadfit("predict", out, folder, "--overlays", 3), 2, "--overlays: has no meaning with a classifier")


def test_evaluate(
    colours: Path, classified: tuple[Path, Result], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    out, numbers = classified[0], tmp_path / "numbers.json"
    for split, images in (("test", 12), ("all", 52)):
        result = steadfit("evaluate", out, colours, "--split", split, "-o", numbers)
        assert result.exit_code == 0, result.output
        assert json.loads(numbers.read_text())["images"] == images
        assert f"images  {images}\n" in result.stdout
    table = pd.read_parquet(out / "predictions.parquet")
    assert json.loads(numbers.read_text())["top1"] == pytest.approx((table["label"] == table["predicted"]).mean())
    fails(steadfit("evaluate", out, colours, "--pck", 0.1), 2, "--pck: has no meaning with a classifier")
    fails(steadfit("evaluate", out, colours, "--pcp", 0.1), 2, "--pcp: has no meaning with a classifier")
    other = Path(shutil.copytree(colours, tmp_path / "other"))
    for split in COUNTS:
        (other / split / "red").rename(other / split / "blue")
    fails(steadfit("evaluate", out, other), 3, "expected the 2 classes of the run", "'blue'")
    fails(steadfit("calibrate", out), 2, "expected a run that predicts distributions, got one on classes")


def test_a_table_with_a_column_of_classes(colours: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    rows = [(f"{split}/{name}/{k}.png", split, name) for split in COUNTS for name in COLOURS for k in range(4)]
    table = Path(shutil.copytree(colours, tmp_path / "t")) / "annotations.csv"
    pd.DataFrame(rows, columns=["image", "split", "colour"]).to_csv(table, index=False)
    fails(steadfit("fit", table, "-o", tmp_path / "no", *TINY), 3, "expected a column 'label' or 'class'", "--label")
    run = ("-o", tmp_path / "run", *TINY, "--loss", "ce", "--grey", "--size", 16)
    result = steadfit("fit", table, "--label", "colour", *run)
    assert result.exit_code == 0, result.output
    opened = library.load(tmp_path / "run")
    assert isinstance(opened, Run)
    assert (opened.schema.classes, opened.frame, opened.settings.channels) == (("green", "red"), (16, 16), 1)
    result = steadfit("evaluate", tmp_path / "run", table, "--label", "colour")
    assert "images  8\n" in result.stdout, result.output
    fails(steadfit("evaluate", tmp_path / "run", table), 3, "expected a column 'label' or 'class'", "--label")


def test_a_frame_of_two_sides(colours: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    """As of points: height x width."""
    result = steadfit("fit", colours, "-o", tmp_path / "run", *TINY, "--epochs", 1, "--size", "16x32")
    assert result.exit_code == 0, result.output
    run = library.load(tmp_path / "run")
    assert isinstance(run, Run)
    assert run.frame == (16, 32)
    folder = colours / "test" / "red"
    assert run.predict_classes(folder).probability.shape == (6, 2)
    result = steadfit("predict", tmp_path / "run", folder, "-o", tmp_path / "p")
    assert len(pd.read_csv(tmp_path / "p" / "predictions.csv")) == 6, result.output


def test_losses_are_compared_over_seeds(
    colours: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadfit.recipes.fit.class_panels", lambda *_: [])  # figures of the four runs; slow
    out, short = tmp_path / "c", (*TINY, "--epochs", 1)
    result = steadfit("compare", colours, "--losses", "ce, anchor", "--seeds", 2, "--seed", 5, "-o", out, *short)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (out / "runs").iterdir()} == {"ce-5", "ce-6", "anchor-5", "anchor-6"}
    numbers = pd.read_csv(out / "comparison.csv", index_col="loss")
    assert numbers.index.tolist() == ["ce", "anchor"]
    right = pd.read_parquet(out / "errors.parquet")
    assert numbers.loc["ce", "top1"] == pytest.approx(right[["ce-5", "ce-6"]].to_numpy().mean(), rel=1e-5)
    assert "anchor, seed 6:" in result.stdout
    assert (out / "report.html").exists()
    again = ("compare", colours, "--losses", "ce,anchor", "--seeds", 2, "--seed", 5, "-o", out, *short)
    fails(steadfit(*again), 4, "holds a run already")


@pytest.mark.parametrize(
    ("command", "options", "texts"),
    [
        ("fit", ("--noise", "l2"), ("--noise: has no meaning with --task classification. Leave it out.",)),
        ("fit", ("--points", "a,b"), ("--points: has no meaning with --task classification",)),
        ("fit", ("--decoding", "argmax"), ("--decoding: has no meaning",)),
        ("fit", ("--warp",), ("--warp: has no meaning",)),
        ("fit", ("--loss", "mse"), ("expected loss to be one of 'ce', 'bce'", "got 'mse'")),
        ("fit", ("--protocol", "steady"), ("expected protocol of one-cycle, cifar, imagenet with classes, got",)),
        ("fit", ("--network", "hourglass1"), ("expected a network of default, compact,", "'hourglass1'")),
        ("fit", ("--network", "convnet", "--size", 16), ("ConvNet: expected",)),
        ("fit", ("--network", "convnet"), ("ConvNet: expected",)),
        ("fit", ("--lr", 0), ("expected lr > 0",)),
        ("compare", ("--methods", "gum"), ("--methods: has no meaning with --task classification",)),
        ("compare", ("--losses", "ce"), ("expected two or more different losses, got ce",)),
        ("compare", ("--losses", "ce,mse"), ("expected losses of ce, bce,", "got 'mse'")),
        ("compare", ("--loss", "ce"), ("--loss: has no meaning with several classifiers, which --losses names",)),
    ],
)
def test_wrong_options(
    colours: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, command: str, options: tuple[object, ...],
    texts: tuple[str, ...],
) -> None:  # fmt: skip
    error = fails(steadfit(command, colours, "-o", tmp_path / "out", *TINY, *options), 2, *texts)
    assert error.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_what_is_no_set_of_classes(
    colours: Path, faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    fails(steadfit("fit", tmp_path, "-o", tmp_path / "out", *TINY), 3, str(tmp_path), "or folders of images named")
    fails(steadfit("fit", faces, "-o", tmp_path / "out", *TINY), 3, "expected a column 'label' or 'class'")
    fails(steadfit("fit", tmp_path / "no", "-o", tmp_path / "out", *TINY), 3, "got none of them")
    fails(steadfit("fit", colours, "--label", "a", "-o", tmp_path / "out", *TINY), 3, "expected no label column")
    assert not (tmp_path / "out").exists()


def test_images_that_cannot_be_read(colours: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(colours, tmp_path / "broken"))
    (broken / "train" / "red" / "3.png").write_bytes(b"no image")
    fails(steadfit("fit", broken, "-o", tmp_path / "out", *TINY), 3, "train/red/3.png", "--skip-bad")
    assert not (tmp_path / "out").exists()


def test_a_label_that_cifar_does_not_have(steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    """fine and coarse only; told as an option, not as a traceback."""
    for name in ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"):
        (tmp_path / name).write_bytes(b"")
    error = fails(steadfit("fit", tmp_path, "--label", "medium", "-o", tmp_path / "out", *TINY), 2, "--label: ")
    assert "'medium'" in error
