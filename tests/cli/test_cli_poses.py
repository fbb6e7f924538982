"""Networks of heatmaps on the command line: fit, predict and evaluate with views, losses compared, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import Result

import steadfit as library
from steadfit.reports.palette import SIDES, rgb

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
LIGHT = ("--network", "hourglass-light", "--epochs", 2, "--size", 32, "--batch-size", 16, "--device", "cpu")


@pytest.fixture(scope="module")
def posed(faces: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run of the light network under anchor loss and the mixture, and what was printed."""
    out = tmp_path_factory.mktemp("poses") / "run"
    options = ("--loss", "anchor", "--gamma", 1, "--protocol", "hourglass", "--decoding", "quarter")
    result = steadfit("fit", faces, *options, "-o", out, *LIGHT)
    assert result.exit_code == 0, result.output
    return out, result


def test_the_run_folder(posed: tuple[Path, Result]) -> None:
    out, result = posed
    settings = yaml.safe_load((out / "config.yaml").read_text())["settings"]
    assert (settings["network"], settings["protocol"]) == ("hourglass-light", "hourglass")
    chosen = ("name", "loss", "gamma", "margin", "decoding")
    assert [settings["output"][name] for name in chosen] == ["heatmaps", "anchor", 1.0, None, "quarter"]
    assert "anchor+gum: epoch 2/2" in result.stdout
    assert "labels are suspect" in result.stdout
    page = (out / "report.html").read_text()
    for name, title in (("poses", "Predicted points"), ("excess", "Where anchor loss exceeds cross entropy")):
        assert cv2.imread(str(out / "figures" / f"{name}.png")).shape[1] > 400 // 3
        assert title in page
    assert "PCK@.2" in page
    history = pd.read_csv(out / "history.csv")
    assert history["val_pck"].between(0, 1).all()
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["test"]) >= {"pck", "pck_area", "pck_by_point", "swaps", "double", "double_right", "alpha"}
    assert metrics["val"]["pck"] == pytest.approx(history["val_pck"].iloc[-1])


def test_views(posed: tuple[Path, Result], faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    """Both words together are twelve views, and what is written is what Python gives."""
    image, found = faces / "images" / "00055.png", {}
    for words in ((), ("mirror",), ("mirror", "scales")):
        options = [option for word in words for option in ("--view", word)]
        result = steadfit("predict", posed[0], image, *options, "--overlays", 1, "-o", tmp_path / "-".join(words))
        assert result.exit_code == 0, result.output
        row = pd.read_csv(tmp_path / "-".join(words) / "predictions.csv").iloc[0, 1:].to_numpy(dtype=float)
        wanted = library.load(posed[0]).predict(image, views=words)
        np.testing.assert_allclose(row, wanted.mean.ravel(), rtol=1e-4, atol=1e-4)
        assert wanted.peaks.shape == (1, 7)
        found[words] = row
    assert not np.allclose(found[()], found["mirror",])
    assert not np.allclose(found["mirror",], found["mirror", "scales"])
    assert len(list((tmp_path / "mirror" / "overlays").iterdir())) == 1


def test_evaluate(posed: tuple[Path, Result], faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    """PCK against its definition, and double counts of the heatmaps that were looked at."""
    out = tmp_path / "numbers.json"
    result = steadfit("evaluate", posed[0], faces, "--pck", 0.35, "--view", "mirror", "-o", out)
    assert result.exit_code == 0, result.output
    found, run = json.loads(out.read_text()), library.load(posed[0])
    table = pd.read_csv(faces / "annotations.csv").query("split == 'test'")
    prediction = run.predict([faces / name for name in table["image"]], views=["mirror"])
    given = table.filter(regex=r"^[xy]\d$").to_numpy(dtype=float).reshape(10, 7, 2)
    right = np.linalg.norm(given - prediction.mean, axis=-1) <= 0.35 * 0.64 * 24
    assert found["pck"] == pytest.approx(right.mean())
    assert list(found["pck_by_point"].values()) == pytest.approx(right.mean(axis=0))
    several = prediction.peaks > 1
    assert found["double"] == pytest.approx(several.mean())
    assert found["double_right"] == pytest.approx(right[several].mean(), nan_ok=True)
    assert "left_eye" in result.stdout
    assert "alpha  0.35" in result.stdout
    fails(steadfit("evaluate", posed[0], faces, "--pck", 0), 2, "expected pck > 0, got 0.0")
    fails(steadfit("evaluate", posed[0], faces, "--pck", "nan"), 2, "expected pck > 0, got nan")


@pytest.fixture(scope="module")
def walkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 grey pictures and 14 points in each, named and joined by nobody."""
    folder, rng = tmp_path_factory.mktemp("walkers"), np.random.default_rng(0)
    (folder / "images").mkdir()
    rows = []
    for n in range(24):
        cv2.imwrite(str(folder / "images" / f"{n}.png"), rng.integers(0, 256, (40, 20), dtype=np.uint8))
        points = dict(zip((f"{axis}{k}" for k in range(14) for axis in "xy"), rng.uniform(0, 20, 28), strict=True))
        rows.append({"image": f"images/{n}.png", "split": ("train", "train", "val", "test")[n % 4]} | points)
    pd.DataFrame(rows).to_csv(folder / "annotations.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def walked(walkers: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("walked") / "run"
    result = steadfit("fit", walkers, "-o", run, "--epochs", 1, "--size", 16, "--device", "cpu")
    assert result.exit_code == 0, result.output
    return run


def test_bodies_have_pcp(walkers: Path, walked: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    run, out = walked, tmp_path / "numbers.json"
    assert {"pcp_parts.png", "pcp_curves.png", "poses.png"} <= {path.name for path in (run / "figures").iterdir()}
    assert "PCP of every part" in (run / "report.html").read_text()
    result = steadfit("evaluate", run, walkers, "--pcp", 0.8, "-o", out)
    assert result.exit_code == 0, result.output
    found, table = json.loads(out.read_text()), pd.read_csv(walkers / "annotations.csv").query("split == 'test'")
    given = table.filter(regex=r"^[xy]\d+$").to_numpy(dtype=float).reshape(6, 14, 2)
    off = np.linalg.norm(library.load(run).predict([walkers / name for name in table["image"]]).mean - given, axis=-1)
    shin = np.linalg.norm(given[:, 1] - given[:, 0], axis=-1)
    right = (np.maximum(off[:, 0], off[:, 1]) <= 0.8 * shin).mean()
    assert found["pcp_by_part"]["right_shin"] == pytest.approx(right)
    assert list(found["point_error_by_point"].values()) == pytest.approx(off.mean(axis=0), rel=1e-5)
    assert found["pcp_alpha"] == 0.8
    assert "right shin" in result.stdout
    assert "strict PCP@0.8" in result.stdout
    fails(steadfit("evaluate", run, walkers, "--pcp", -1), 2, "expected pcp > 0, got -1.0")


def test_pictures_of_bodies_have_sides(walkers: Path, walked: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    assert steadfit("predict", walked, walkers, "--overlays", 1, "-o", tmp_path / "seen").exit_code == 0
    [path] = (tmp_path / "seen" / "overlays").iterdir()
    picture = cv2.imread(str(path))[..., ::-1]
    assert picture.shape == (400, 200, 3)  # enlarged ten times
    for colour in SIDES:
        assert (picture == rgb(colour)).all(axis=-1).sum() > 100


def test_losses_are_compared_under_every_noise_model(
    faces: Path, steadfit: Steadfit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadfit.recipes.fit.write_report", lambda *_: None)  # of the four runs; slow
    out = tmp_path / "compare"
    small = ("--network", "hourglass-light", "--epochs", 1, "--size", 16, "--batch-size", 20, "--device", "cpu")
    result = steadfit("compare", faces, "--losses", "mse,anchor", "--methods", "l2,gum", "-o", out, *small)
    assert result.exit_code == 0, result.output
    runs = ["mse+l2", "mse+gum", "anchor+l2", "anchor+gum"]
    assert {path.name for path in (out / "runs").iterdir()} == set(runs)
    table = pd.read_csv(out / "comparison.csv", index_col="method")
    assert table.index.tolist() == runs == list(pd.read_parquet(out / "errors.parquet"))
    assert table["name"].tolist() == ["MSE + L2", "MSE + GUM", "anchor + L2", "anchor + GUM"]
    for run in runs:
        opened = library.load(out / "runs" / run)
        assert opened.settings.method == run
        metrics = json.loads((opened.folder / "metrics.json").read_text())["test"]
        assert table.loc[run, ["pck", "swaps", "double"]].tolist() == pytest.approx(
            [metrics[name] for name in ("pck", "swaps", "double")], rel=1e-5
        )
    assert {path.stem for path in (out / "figures").iterdir()} >= {"pck_joints", "pck_curves", "pck_epochs", "poses"}
    assert "Mouth  Ear Mean AUC" in result.stdout
    page = (out / "report.html").read_text()
    assert "noise l2, gum" in page
    assert "mse, anchor" in page


@pytest.mark.parametrize(
    ("command", "options", "texts"),
    [
        ("fit", ("--loss", "mse"), ("--loss: expected a heatmap network (hourglass1,", "got --network default")),
        ("fit", ("--decoding", "argmax", "--network", "compact"), ("--decoding: expected a heatmap", "compact")),
        ("fit", ("--gamma", -1, *LIGHT), ("'--gamma'", "greater than or equal to 0")),
        ("fit", ("--gamma", "nan", *LIGHT), ("'--gamma'",)),
        ("fit", ("--gamma", 1, *LIGHT), ("--gamma", "no meaning with --loss bce")),
        ("fit", ("--loss", "ce", *LIGHT), ("expected loss to be one of 'mse'", "got 'ce'")),
        ("fit", ("--noise", "predicted-huber", *LIGHT), ("heatmaps predict no covariance. Use gum",)),
        ("fit", ("--label", "age"), ("--label: has no meaning with --task regression",)),
        ("compare", ("--losses", "mse,anchor"), ("expected a heatmap network", "got 'default'")),
        ("compare", ("--losses", "mse", *LIGHT), ("two or more different noise models or losses, got gum, mse",)),
        ("compare", ("--losses", "mse,mse", *LIGHT), ("expected different losses, got mse, mse",)),
        ("compare", ("--losses", "mse,ce", *LIGHT), ("expected losses of mse, ohkm, bce, focal, anchor, got 'ce'",)),
        ("compare", ("--losses", "mse,bce", "--loss", "mse", *LIGHT), ("--loss: has no meaning with --losses",)),
        ("compare", ("--seeds", 3), ("--seeds: has no meaning with --task regression",)),
    ],
)  # fmt: skip
def test_wrong_options(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, command: str, options: tuple[object, ...],
    texts: tuple[str, ...],
) -> None:  # fmt: skip
    fails(steadfit(command, faces, "-o", tmp_path / "out", *options), 2, *texts)
    assert not (tmp_path / "out").exists()


def test_numbers_have_no_heatmaps(
    own_faces: Path, features: Callable[..., Path], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    (own_faces / "dataset.yaml").unlink()
    result = steadfit("fit", own_faces, "--targets", "x0", "-o", tmp_path / "run", *LIGHT)
    fails(result, 2, "expected points in images for network 'hourglass-light', got other targets")
    table = features(tmp_path / "table.csv")
    result = steadfit("fit", table, "--targets", "age", "-o", tmp_path / "run", *LIGHT)
    fails(result, 2, "expected points in images for network 'hourglass-light', got other inputs")
    assert not (tmp_path / "run").exists()
