"""Predicted distributions on the command line: fit, calibrate, predict with coverage and the mirrored view."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

TINY = ("--epochs", 2, "--size", 16, "--batch-size", 16, "--device", "cpu")

Steadfit = Callable[..., Result]
Fails = Callable[..., str]


@pytest.fixture(scope="module")
def run(wrong: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A predicted mixture on wrong labels."""
    out = tmp_path_factory.mktemp("predicted") / "run"
    result = steadfit("fit", wrong, "--noise", "predicted-mixture", "--covariance", "full", "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    assert (out / "report.html").exists()
    return out


def test_calibrate_and_predict(run: Path, faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    image = faces / "images" / "00003.png"
    fails(steadfit("predict", run, image, "--coverage", 0.5, "-o", tmp_path / "no"), 4, "Run 'steadfit calibrate'")
    result = steadfit("calibrate", run, "--weigh", "none")
    assert result.exit_code == 0, result.output
    for line in (
        "Temperature",
        "On test labels (70):",
        "NLL",
        "90 % ellipses contain",
        "conformal regions",
        "labels are few",
    ):
        assert line in result.stdout
    assert cv2.imread(str(run / "calibration.png")).shape[1] > 800 // 3
    assert json.loads((run / "calibration.json").read_text())["views"] == []
    assert len(pd.read_csv(run / "calibration.csv")) == 8
    result = steadfit("predict", run, image, "--coverage", 0.5, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    row = pd.read_csv(tmp_path / "out" / "predictions.csv").iloc[0]
    assert row[["var_x0", "var_y6", "reach_x0", "reach_y6"]].gt(0).all()
    picture = sorted((tmp_path / "out" / "overlays").iterdir())[0]
    plain = tmp_path / "plain"
    assert steadfit("predict", run, image, "-o", plain).exit_code == 0
    assert "reach_x0" not in pd.read_csv(plain / "predictions.csv")
    other = cv2.imread(str(plain / "overlays" / picture.name))
    assert not np.array_equal(cv2.imread(str(picture)), other)  # another ellipse
    fails(steadfit("predict", run, image, "--coverage", 0.5, "--view", "mirror", "-o", plain), 4, "other views")
    assert steadfit("predict", run, image, "--view", "mirror", "-o", plain).exit_code == 0


def test_few_labels_are_told(run: Path, steadfit: Steadfit, tmp_path: Path, wrong: Path) -> None:
    """Ten labels a point cannot promise 95 %; the warning says what would."""
    result = steadfit("calibrate", run, wrong, "--split", "test", "--weigh", "none", "--per-point")
    assert result.exit_code == 0, result.output
    result = steadfit("predict", run, wrong, "--coverage", 0.95, "--overlays", 0, "-o", tmp_path)
    assert "warning: ConformalRadius: expected labels with a weight of at least 19" in result.stderr
    assert np.isinf(pd.read_csv(tmp_path / "predictions.csv")["reach_x0"]).all()


def test_what_calibrate_refuses(
    run: Path, trained: tuple[Path, Result], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    fails(steadfit("calibrate", trained[0]), 2, "expected a run that predicts distributions, got one with --noise gum")
    fails(steadfit("calibrate", run, "--split", "train"), 2, "got the training rows")
    fails(steadfit("calibrate", run, tmp_path / "no.csv"), 3, "no.csv")
    fails(steadfit("calibrate", tmp_path), 4, "config.yaml is missing")


def test_compare_shows_the_likelihood(wrong: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    methods = "gum,predicted-laplace"
    result = steadfit("compare", wrong, "--methods", methods, "--warp", "-o", tmp_path / "c", *TINY)
    assert result.exit_code == 0, result.output
    assert "NLL" in result.stdout
    numbers = pd.read_csv(tmp_path / "c" / "comparison.csv", index_col="method")["nll"]
    metrics = json.loads((tmp_path / "c" / "runs" / "predicted-laplace" / "metrics.json").read_text())
    assert numbers["predicted-laplace"] == pytest.approx(metrics["test"]["nll"], rel=1e-5)
    assert np.isnan(numbers["gum"])


def test_boxes_from_options(wrong: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    result = steadfit("fit", wrong, "--box", "points", "--noise", "l1", "-o", tmp_path / "run", *TINY)
    assert result.exit_code == 0, result.output
    assert steadfit("evaluate", tmp_path / "run", wrong).exit_code == 0
    fails(steadfit("fit", wrong, "--box", "a,b", "-o", tmp_path / "no", *TINY), 2, "'points' or four columns")
    fails(steadfit("fit", wrong, "--box", "a,b,c,d", "-o", tmp_path / "no", *TINY), 3, "'a'")
