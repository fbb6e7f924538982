"""The data set of the paper's experiments through the command line, as a user would point it there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import steadfit
from steadfit.cli import app

ROOT = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache" / "steadfit-data")) / "lfw_net"


pytestmark = pytest.mark.skipif(
    not (ROOT / "annotations.csv").is_file(), reason=f"no lfw_net in {ROOT.parent} ($STEADFIT_DATA)"
)


def some_faces(folder: Path, count: int) -> pd.DataFrame:
    """A few of the faces in a folder of their own."""
    table = pd.read_csv(ROOT / "annotations.csv").sample(count, random_state=0)
    for name in table["image"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    table.to_csv(folder / "annotations.csv", index=False)
    return table


def test_covariances_that_hold(tmp_path: Path) -> None:
    """A predicted mixture on real faces, calibrated: about 90 % of the test labels lie in the 90 % regions."""
    table = some_faces(tmp_path, 600)
    run = tmp_path / "run"
    for command in (
        ["fit", str(tmp_path), "--noise", "predicted-mixture", "--pairs", "0-1,3-4", "--epochs", "4", "-o", str(run)],
        ["calibrate", str(run)],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    test = table[table["split"] == "test"]
    prediction = steadfit.load(run).predict([tmp_path / name for name in test["image"]], coverage=0.9)
    given = test.filter(regex=r"^[xy]\d$").to_numpy(dtype=float).reshape(-1, 5, 2)
    residual = given - prediction.mean
    assert prediction.ellipsoids is not None
    inside = np.einsum("nki,nkij,nkj->nk", residual, np.linalg.inv(prediction.ellipsoids), residual) <= 1
    assert 0.8 < inside.mean() < 0.97


def test_fit_load_predict(tmp_path: Path) -> None:
    table = some_faces(tmp_path, 300)
    result = CliRunner().invoke(app, [
        "fit", str(tmp_path / "annotations.csv"), "--noise", "gum", "--pairs", "0-1,3-4", "--normalizer", "73.846",
        "--epochs", "2", "-o", str(tmp_path / "run"),
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "labels are suspect" in result.stdout
    run = steadfit.load(tmp_path / "run")
    assert (run.schema.n_targets, run.schema.dims, run.schema.normalizer) == (5, 2, 73.846)  # no attribute columns
    test = table[table["split"] == "test"]
    predicted = run.predict([tmp_path / name for name in test["image"]]).mean
    given = test.filter(regex=r"^[xy]\d$").to_numpy(dtype=float).reshape(-1, 5, 2)
    assert np.linalg.norm(predicted - given, axis=-1).mean() < 20  # after two epochs: near the mean face of 96 px
