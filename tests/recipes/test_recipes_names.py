"""Points are identified by name: a table that has them in another order is compared point by point."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from steadfit.data import Schema, load_annotations
from steadfit.data.drawn.synthetic import write_dataset
from steadfit.errors import DataError, DataWarning
from steadfit.recipes.calibrate import calibrate_run
from steadfit.recipes import evaluate_run, predict_to
from steadfit.recipes.opening import load_by_name
from steadfit.training import Run, Settings, fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faces")
    write_dataset(path, n_train=24, n_val=12, n_test=8, size=24)
    about = yaml.safe_load((path / "dataset.yaml").read_text())
    (path / "dataset.yaml").write_text(yaml.safe_dump(about | {"normalizer": [0, 1]}))
    return path


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = Settings(epochs=1, batch_size=8, size=16, noise="predicted-huber")
    return fit(load_annotations(folder), settings, tmp_path_factory.mktemp("run") / "run", device="cpu")


@pytest.fixture(scope="module")
def permuted(folder: Path) -> Path:
    """The same table with its points in another order, beside the same images."""
    about = yaml.safe_load((folder / "dataset.yaml").read_text())
    order = [3, 0, 6, 1, 2, 5, 4]  # new number k is the old number order[k]
    table = pd.read_csv(folder / "annotations.csv")
    points = {f"{axis}{k}": table[f"{axis}{old}"] for k, old in enumerate(order) for axis in "xy"}
    place = {old: k for k, old in enumerate(order)}
    about["points"] = [about["points"][old] for old in order]
    for key in ("pairs", "limbs"):
        about[key] = [[place[end] for end in pair] for pair in about[key]]
    about["normalizer"] = [place[0], place[1]]
    other = folder / "other"
    shutil.copytree(folder / "images", other / "images")
    table[["image", "split"]].assign(**points).to_csv(other / "annotations.csv", index=False)
    (other / "dataset.yaml").write_text(yaml.safe_dump(about))
    return other


def test_a_permuted_table_is_read_in_the_order_of_the_run(run: Run, folder: Path, permuted: Path) -> None:
    wanted, found = load_annotations(folder), load_by_name(permuted, run.schema, seed=0)
    assert found.schema == wanted.schema
    np.testing.assert_array_equal(found.target, wanted.target)
    np.testing.assert_array_equal(found.length, wanted.length)  # type: ignore[arg-type]


def test_evaluate_and_calibrate_match_points_by_name(run: Run, folder: Path, permuted: Path) -> None:
    assert evaluate_run(run.folder, permuted) == evaluate_run(run.folder, folder)
    wanted, found = calibrate_run(run.folder, folder), calibrate_run(run.folder, permuted)
    pd.testing.assert_frame_equal(found, wanted)


def test_other_names_are_an_error(run: Run, permuted: Path) -> None:
    about = yaml.safe_load((permuted / "dataset.yaml").read_text())
    (permuted / "renamed").mkdir()
    path = permuted / "renamed" / "annotations.csv"
    path.write_text((permuted / "annotations.csv").read_text())
    about["points"][2] = "tip"
    (permuted / "renamed" / "dataset.yaml").write_text(yaml.safe_dump(about))
    for command in (evaluate_run, calibrate_run):
        with pytest.raises(DataError, match=r"expected the points of the run, left_eye, .* got .*tip.* differs\."):
            command(run.folder, path)


def test_an_unreadable_schema_matters_where_there_are_labels(run: Run, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "dataset.yaml").write_text("nonsense: 3\n")
    table = pd.read_csv(folder / "annotations.csv")
    table.to_csv(tmp_path / "annotations.csv", index=False)
    with pytest.raises(DataError, match="nonsense"):
        load_by_name(tmp_path / "annotations.csv", run.schema, seed=0)
    table[["image"]].to_csv(tmp_path / "bare.csv", index=False)
    assert len(load_by_name(tmp_path / "bare.csv", run.schema, seed=0)) == len(table)


def test_boxes_by_points_need_points(folder: Path, tmp_path: Path) -> None:
    schema = Schema.discover(folder).with_options(box="points", normalizer=1.0)
    assert load_annotations(folder, schema, need_splits=()).box is not None
    run = fit(
        load_annotations(folder, schema), Settings(epochs=1, batch_size=8, size=16), tmp_path / "run", device="cpu"
    )
    with pytest.warns(DataWarning, match="images: 44 images have no box. The run was trained on boxes and now sees"):
        predict_to(run.folder, folder / "images", tmp_path / "out", overlays=0)
    bare = pd.read_csv(folder / "annotations.csv")
    bare.loc[[40, 43], [name for name in bare if name[0] in "xy"]] = np.nan
    bare.to_csv(folder / "bare.csv", index=False)
    with pytest.warns(DataWarning, match="bare.csv: 2 rows have no points and so no box."):
        evaluate_run(run.folder, folder / "bare.csv")
    table = folder / "images.csv"
    pd.read_csv(folder / "annotations.csv")[["image"]].to_csv(table, index=False)
    with pytest.raises(DataError, match="images.csv: expected points to place the boxes by .box: points., got none"):
        load_annotations(table, schema, need_splits=())
