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


@pytest.mark.skipif(not (ROOT / "annotations.csv").is_file(), reason=f"no lfw_net in {ROOT.parent} ($STEADFIT_DATA)")
def test_fit_load_predict(tmp_path: Path) -> None:
    table = pd.read_csv(ROOT / "annotations.csv").sample(300, random_state=0)
    for name in table["image"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    table.to_csv(tmp_path / "annotations.csv", index=False)
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
