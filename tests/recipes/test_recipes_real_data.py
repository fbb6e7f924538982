"""Real data sets through the command line, as a user would point it there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import steadfit
from steadfit.cli import app

DATA = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache" / "steadfit-data"))


def needs(name: str) -> pytest.MarkDecorator:
    there = (DATA / name / "annotations.csv").is_file()
    return pytest.mark.skipif(not there, reason=f"no {name} in {DATA} ($STEADFIT_DATA)")


def some_of(name: str, folder: Path, count: int) -> pd.DataFrame:
    """A few images of a set in a folder of their own."""
    table = pd.read_csv(DATA / name / "annotations.csv").sample(count, random_state=0)
    for image in table["image"]:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DATA / name / image, folder / image)
    table.to_csv(folder / "annotations.csv", index=False)
    return table


def run_command(*words: object) -> str:
    """What a command prints; it has to succeed."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@needs("lsp")
def test_poses_by_heatmaps(tmp_path: Path) -> None:
    """A few epochs on a few people: heads are found first, and everything a pose run promises is there."""
    some_of("lsp", tmp_path, 240)
    pairs, torso = "0-5,1-4,2-3,6-11,7-10,8-9", "9-2"
    options = ("--network", "hourglass-light", "--size", 32, "--color", "--epochs", 6, "--batch-size", 16)
    printed = run_command(
        "fit", tmp_path, *options, "--pairs", pairs, "--normalizer", torso, "--loss", "anchor", "-o", tmp_path / "run"
    )
    assert "anchor+gum: epoch 6/6" in printed
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
    assert measures["pck"] > 0.08  # a body's mean pose alone has less
    assert {"swaps", "double", "double_right", "pck_area"} <= set(measures)
    assert (tmp_path / "run" / "figures" / "excess.png").is_file()
    assert "double" in run_command("evaluate", tmp_path / "run", tmp_path, "--view", "mirror", "--view", "scales")


@needs("lsp")
def test_poses_coarse_to_fine(tmp_path: Path) -> None:
    """The first paper's data preparation and network, then closer looks: all that a cascade of bodies promises."""
    some_of("lsp", tmp_path, 60)
    seen = ("--sides", "observer", "--box", "points", "--box-margin", "20,10", "--box-fit", "stretch", "--color")
    coarse = ("--network", "convnet", "--protocol", "convnet", "--size", "120x80", "--epochs", 1, "--batch-size", 16)
    fine = ("--fine-network", "compact", "--fine-size", 32)
    printed = run_command("fit", tmp_path, "--cascade", *seen, *coarse, *fine, "-o", tmp_path / "run")
    regions = {"head-shoulders", "torso-hips", "knees-ankles"}
    assert {line.rstrip(":") for line in printed.splitlines() if line.endswith(":")} == {"coarse", *regions}
    assert {path.name for path in (tmp_path / "run" / "fine").iterdir()} == regions
    assert {"crops", "pcp_parts"} <= {path.stem for path in (tmp_path / "run" / "figures").iterdir()}
    run_command("evaluate", tmp_path / "run", tmp_path, "--pcp", 0.5, "-o", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["pcp"] == pytest.approx(metrics["test"]["pcp"])
    assert found["pcp"] > 0.15  # the mean pose in its box has more
    assert 0 < metrics["coarse"]["test"]["pcp"] < 1
    assert len(found["pcp_by_part"]) == 10
    assert found["pcp"] <= found["pcp_loose"]
    assert found["point_error"] < 40  # px; near the mean pose of people some 160 px tall


@needs("cifar100_20")
def test_classes_that_are_easily_confused(tmp_path: Path) -> None:
    some_of("cifar100_20", tmp_path, 800)
    options = ("--network", "resnet8", "--epochs", 3, "--losses", "ce,anchor", "--batch-size", 32)
    run_command("compare", tmp_path, "--task", "classification", *options, "-o", tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert (found["top1"] > 0.06).all()  # chance is .05
    assert (found["top5"] > found["top1"]).all()


@needs("lfw_net")
def test_covariances_that_hold(tmp_path: Path) -> None:
    """A predicted mixture on real faces, calibrated: about 90 % of the test labels lie in the 90 % regions."""
    table = some_of("lfw_net", tmp_path, 600)
    run = tmp_path / "run"
    run_command("fit", tmp_path, "--noise", "predicted-mixture", "--pairs", "0-1,3-4", "--epochs", 4, "-o", run)
    run_command("calibrate", run)
    test = table[table["split"] == "test"]
    prediction = steadfit.load(run).predict([tmp_path / name for name in test["image"]], coverage=0.9)
    given = test.filter(regex=r"^[xy]\d$").to_numpy(dtype=float).reshape(-1, 5, 2)
    residual = given - prediction.mean
    assert prediction.ellipsoids is not None
    inside = np.einsum("nki,nkij,nkj->nk", residual, np.linalg.inv(prediction.ellipsoids), residual) <= 1
    assert 0.8 < inside.mean() < 0.97


@needs("lfw_net")
def test_fit_load_predict(tmp_path: Path) -> None:
    table = some_of("lfw_net", tmp_path, 300)
    options = ("--noise", "gum", "--pairs", "0-1,3-4", "--normalizer", 73.846, "--epochs", 2)
    printed = run_command("fit", tmp_path / "annotations.csv", *options, "-o", tmp_path / "run")
    assert "labels are suspect" in printed
    run = steadfit.load(tmp_path / "run")
    assert (run.schema.n_targets, run.schema.dims, run.schema.normalizer) == (5, 2, 73.846)  # no attribute columns
    test = table[table["split"] == "test"]
    predicted = run.predict([tmp_path / name for name in test["image"]]).mean
    given = test.filter(regex=r"^[xy]\d$").to_numpy(dtype=float).reshape(-1, 5, 2)
    assert np.linalg.norm(predicted - given, axis=-1).mean() < 20  # after two epochs: near the mean face of 96 px
