"""What the command line's functions do beyond it: in Python, without a console, on odd data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadfit.data import Schema, load_annotations
from steadfit.data.drawn.synthetic import write_dataset
from steadfit.errors import ConfigError, DataError
from steadfit.recipes import compare, corrupt_dataset, evaluate_run, fit_run, open_table, predict_to, read_truth
from steadfit.training import Settings, load

SETTINGS = Settings(noise="huber", epochs=2, batch_size=16, size=16)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("faces"), n_train=24, n_val=6, n_test=6, size=20)


def test_a_fit_without_console_is_silent(faces: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = fit_run(open_table(faces), SETTINGS, tmp_path / "run", report=False)
    assert capfd.readouterr() == ("", "")
    assert not (run.folder / "report.html").exists()
    assert (run.folder / "suspects.csv").exists()
    assert predict_to(run.folder, faces, tmp_path / "p", overlays=0) == tmp_path / "p" / "predictions.csv"


def test_missing_labels_are_nowhere(faces: Path, tmp_path: Path) -> None:
    """NaN labels are no row of the tables and in no number; a row without any label is judged by nothing."""
    table = pd.read_csv(faces)
    table.loc[[2, 5], ["x1", "y1"]] = np.nan
    table.loc[33, [name for name in table if name[0] in "xy"]] = np.nan
    path = faces.parent / "holes.csv"
    table.to_csv(path, index=False)
    annotations = open_table(path)
    truth = np.zeros((36, 7), dtype=bool)
    truth[0, 0] = True
    run = fit_run(annotations, SETTINGS, tmp_path / "run", truth=truth)
    labels = pd.read_parquet(run.folder / "trust.parquet")
    assert len(labels) == 36 * 7 - 9
    assert labels["wrong"].sum() == 1
    assert labels.notna().all().all()
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["outliers"]["labels"] == 24 * 7 - 2
    found = evaluate_run(run.folder, path)
    assert np.isfinite([*(found | found.pop("pck_by_point")).values()]).all()
    assert found["point_error"] == pytest.approx(metrics["test"]["point_error"])


def test_scalars_of_images(faces: Path, tmp_path: Path) -> None:
    annotations = load_annotations(faces, Schema(targets=("x0", "y2"), units="°", normalizer=50.0))
    results = compare(annotations, ("l2", "gum"), SETTINGS, tmp_path)
    assert results["gum"]["error"].shape == (6,)
    assert (tmp_path / "runs" / "gum" / "report.html").exists()
    run, image = load(tmp_path / "runs" / "gum"), annotations.root / str(annotations.images[0])  # type: ignore[index]
    np.testing.assert_allclose(run.predict(image).mean[0], run.predict(annotations).mean[0], rtol=1e-5)
    out = predict_to(tmp_path / "runs" / "gum", faces, tmp_path / "p")
    assert list(pd.read_csv(out)) == ["image", "x0", "y2"]
    assert not (tmp_path / "p" / "overlays").exists()  # there is no point to draw


def test_corrupt_keeps_what_is_missing(faces: Path, tmp_path: Path) -> None:
    table = pd.read_csv(faces)
    table.loc[:11, ["x0", "y0"]] = np.nan
    path = faces.parent / "half.csv"
    table.to_csv(path, index=False)
    written, share = corrupt_dataset(open_table(path), tmp_path / "wrong", kind="l_ugo", share=0.5, splits=("train",))
    made = open_table(written)
    wrong = read_truth(written.parent / "truth.csv", made)
    assert share == pytest.approx(0.5)
    assert not wrong[:12, 0].any()
    assert np.isnan(made.target[:12, 0]).all()
    assert wrong.sum() == round(0.5 * (24 * 7 - 12))


def test_truth_follows_rows_that_were_left_out(faces: Path, tmp_path: Path) -> None:
    written, _ = corrupt_dataset(open_table(faces), tmp_path / "wrong", kind="g_ugo", share=0.5)
    whole = read_truth(written.parent / "truth.csv", open_table(written))
    (written.parent / "images" / "00003.png").unlink()
    with pytest.warns(UserWarning, match="1 row is left out"):
        some = open_table(written, skip_bad=True)
    np.testing.assert_array_equal(read_truth(written.parent / "truth.csv", some), np.delete(whole, 3, axis=0))
    assert (faces.parent / "images" / "00003.png").exists()


def test_options_and_files_are_told_apart(faces: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--pairs: expected"):
        open_table(faces, {"pairs": "0-1,1-2", "units": None})


def test_one_training_row_is_too_few(faces: Path, tmp_path: Path) -> None:
    pd.read_csv(faces).iloc[[0, 24, 25, 30]].to_csv(faces.parent / "few.csv", index=False)
    annotations = load_annotations(faces.parent / "few.csv", need_splits=("val",))
    with pytest.raises(DataError, match="at least two training rows, got one"):
        fit_run(annotations, SETTINGS, tmp_path / "run")
