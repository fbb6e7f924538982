"""steadfit predict and evaluate: a trained run on images, folders and tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import Result

import steadfit as library
from steadfit.data import load_annotations

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
Trained = tuple[Path, Result]
Regression = tuple[Path, Path]


@pytest.mark.parametrize("inputs", ["images/00003.png", "images", "annotations.csv", ""])
def test_predict(faces: Path, trained: Trained, steadfit: Steadfit, tmp_path: Path, inputs: str) -> None:
    out = tmp_path / "neu" / "Ordner mit Leerzeichen"
    result = steadfit("predict", trained[0], faces / inputs, "-o", out, "--overlays", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Predictions: {out / 'predictions.csv'}\n"
    table = pd.read_csv(out / "predictions.csv")
    assert list(table) == ["image", *(f"{axis}{k}" for k in range(7) for axis in "xy")]
    assert len(table) == (1 if inputs.endswith("png") else 60)
    number = 3 if len(table) == 1 else 0
    assert table["image"][0].endswith(f"images/{number:05d}.png")
    wanted = library.load(trained[0]).predict(faces / "images" / f"{number:05d}.png").mean[0]
    np.testing.assert_allclose(table.iloc[0, 1:].to_numpy(dtype=float), wanted.ravel(), rtol=1e-4)
    pictures = sorted((out / "overlays").iterdir())
    assert len(pictures) == min(len(table), 2)
    assert pictures[0].name == f"00000-{number:05d}.png"
    assert cv2.imread(str(pictures[0])).shape[0] > 200


def test_predict_without_labels_and_length(trained: Trained, faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    """A table to predict needs image paths only, and its dataset.yaml does not matter."""
    shutil.copytree(faces / "images", tmp_path / "images")
    pd.DataFrame({"image": ["images/00005.png"]}).to_parquet(tmp_path / "annotations.parquet")
    (tmp_path / "dataset.yaml").write_text("nonsense: 3\n")
    assert steadfit("predict", trained[0], tmp_path, "-o", tmp_path / "out", "--overlays", 0).exit_code == 0
    assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == 1
    assert not (tmp_path / "out" / "overlays").exists()


def test_predict_leaves_out_what_it_cannot_read(
    own_faces: Path, trained: Trained, steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    images, out = own_faces / "images", tmp_path / "out"
    (images / "00002.png").write_bytes(b"no image")
    fails(steadfit("predict", trained[0], images, "-o", out), 3, str(images / "00002.png"))
    fails(steadfit("predict", trained[0], own_faces, "-o", out), 3, "line 4, column 'image'")
    assert not out.exists()
    for inputs in (images, own_faces):
        result = steadfit("predict", trained[0], inputs, "-o", out, "--skip-bad", "--overlays", 0)
        assert result.exit_code == 0, result.output
        assert "00002.png" in result.stderr
        assert len(pd.read_csv(out / "predictions.csv")) == 59


def test_predict_from_features(regression: Regression, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    table, run = regression
    assert steadfit("predict", run, table, "-o", tmp_path).exit_code == 0
    found = pd.read_csv(tmp_path / "predictions.csv")
    assert list(found) == ["row", "line", "age"]
    assert (found["line"] - found["row"] == 2).all()
    assert found["line"].tolist() == list(range(2, 82))
    one = tmp_path / "one.csv"
    pd.read_csv(table)[["a", "b", "c"]].head(1).to_csv(one, index=False)
    assert steadfit("predict", run, one, "-o", tmp_path / "one").exit_code == 0
    assert pd.read_csv(tmp_path / "one" / "predictions.csv")["age"][0] == pytest.approx(found["age"][0], rel=1e-4)
    pd.read_csv(table)[["a", "b"]].to_csv(one, index=False)
    fails(steadfit("predict", run, one, "-o", tmp_path), 3, str(one), "column 'c'")
    fails(steadfit("predict", run, tmp_path, "-o", tmp_path), 3, "expected a CSV or Parquet table")


def test_wrong_runs_and_inputs(
    faces: Path, trained: Trained, regression: Regression, steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    fails(steadfit("predict", tmp_path / "no", faces), 4, "no run here, config.yaml is missing")
    fails(steadfit("evaluate", tmp_path / "no", faces), 4, "config.yaml is missing")
    fails(steadfit("evaluate", trained[0], faces, "--label", "a"), 2, "--label: has no meaning with a run on points")
    fails(steadfit("predict", trained[0], faces / "no.png"), 3, f"{faces / 'no.png'}: expected an image", "got nothing")
    fails(steadfit("predict", trained[0], tmp_path, "-o", tmp_path / "out"), 3, "expected images (apng, avif, bmp")
    fails(steadfit("predict", trained[0], regression[0], "-o", tmp_path / "out"), 3, "column 'image'")
    shutil.copytree(trained[0], tmp_path / "half")
    (tmp_path / "half" / "model.safetensors").unlink()
    fails(steadfit("predict", tmp_path / "half", faces), 4, "the run is not finished", "--resume")
    (tmp_path / "half" / "config.yaml").write_text("a: 1\n")
    fails(steadfit("predict", tmp_path / "half", faces), 4, "config.yaml")


def test_evaluate_equals_an_independent_computation(
    wrong: Path, trained: Trained, steadfit: Steadfit, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "numbers.json"
    result = steadfit("evaluate", trained[0], wrong, "--threshold", 0.3, "--pck", 0.4, "-o", out)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(wrong / "annotations.csv").query("split == 'test'")
    given = table.filter(regex=r"^[xy]\d$").to_numpy(dtype=float).reshape(10, 7, 2)
    steadfit("predict", trained[0], wrong, "-o", tmp_path, "--overlays", 0)
    predicted = pd.read_csv(tmp_path / "predictions.csv").set_index("image").loc[table["image"]]
    residual = given - predicted.to_numpy(dtype=float).reshape(10, 7, 2)
    distance = np.sqrt((residual**2).sum(-1))
    relative, partners = distance / (0.64 * 24), [1, 0, 2, 4, 3, 6, 5]
    to_partner = np.linalg.norm((given - residual) - given[:, partners], axis=-1) / (0.64 * 24)
    swaps = ((relative > 0.4) & (to_partner <= 0.4))[:, [0, 1, 3, 4, 5, 6]].mean()
    wanted = {
        "rows": 10, "mae": np.abs(residual).mean(), "rmse": np.sqrt((residual**2).mean()),
        "point_error": distance.mean(), "failure_rate": (relative > 0.3).mean(), "alpha": 0.4,
        "pck": (relative <= 0.4).mean(), "pck_area": np.clip(1 - relative / 0.4, 0, None).mean(), "swaps": swaps,
    }  # fmt: skip
    found = json.loads(out.read_text())
    by_point = found.pop("pck_by_point")
    assert list(by_point) == list(load_annotations(wrong).schema.points)
    assert list(by_point.values()) == pytest.approx((relative <= 0.4).mean(axis=0))
    assert list(found) == list(wanted)
    assert found == pytest.approx(wanted, rel=1e-4)
    metrics = json.loads((trained[0] / "metrics.json").read_text())["test"]
    assert {key: metrics[key] for key in ("mae", "rmse", "point_error")} == pytest.approx(
        {key: found[key] for key in ("mae", "rmse", "point_error")}, rel=1e-6
    )
    printed = dict(line.split()[:2] for line in result.stdout.splitlines())
    assert list(printed) == [*wanted, *by_point]
    assert float(printed["rmse"]) == pytest.approx(wanted["rmse"], rel=1e-3)
    assert "point_error" in result.stdout
    assert result.stdout.count(" px\n") == 3


def test_evaluate_splits_as_the_run_did(regression: Regression, steadfit: Steadfit) -> None:
    """The test rows were drawn with the run's seed, 7; another draw would judge by rows that were trained on."""
    table, run = regression
    result = steadfit("evaluate", run, table)
    assert result.exit_code == 0, result.output
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert f"mae  {metrics['mae']:#.5g} years" in result.stdout
    assert "rows  16\n" in result.stdout
    assert "No failure rate: give the normalising length with --normalizer." in result.stdout
    judged = pd.read_parquet(run / "trust.parquet")
    assert load_annotations(table, library.load(run).schema, seed=7).split.tolist() == judged["split"].tolist()


def test_the_normalising_length(
    regression: Regression, features: Callable[..., Path], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    table, run = regression
    assert "failure_rate" in steadfit("evaluate", run, table, "--normalizer", "100", "--split", "all").stdout
    fails(steadfit("evaluate", run, table, "--normalizer", "-1"), 2, "--normalizer: expected normalizer > 0")
    fails(steadfit("evaluate", run, table, "--normalizer", "width"), 3, "column 'width'")
    other = features(tmp_path / "table.csv", seed=1)
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"normalizer": 100, "units": "months"}))
    result = steadfit("evaluate", run, other)
    assert "failure_rate" in result.stdout
    assert result.stderr == f"warning: {other}: its dataset.yaml has units months, the run years.\n"


def test_evaluate_with_wrong_options(
    wrong: Path, trained: Trained, own_faces: Path, steadfit: Steadfit, fails: Fails
) -> None:
    fails(steadfit("evaluate", trained[0], wrong, "--threshold", 0), 2, "expected threshold > 0, got 0.0")
    fails(steadfit("evaluate", trained[0], wrong, "--split", "tests"), 2, "--split")
    path = own_faces / "annotations.csv"
    table = pd.read_csv(path)
    table[table["split"] != "test"].to_csv(path, index=False)
    error = fails(steadfit("evaluate", trained[0], own_faces), 2, "expected rows in the split 'test'", "--split all")
    assert len(error.splitlines()) == 1
    table[["image"]].to_csv(path, index=False)
    fails(steadfit("evaluate", trained[0], own_faces, "--split", "all"), 3, "expected labels in columns x0, y0")
    (own_faces / "dataset.yaml").write_text("pionts: [a]\n")
    fails(steadfit("evaluate", trained[0], own_faces), 3, "dataset.yaml", "Did you mean 'points'?")
