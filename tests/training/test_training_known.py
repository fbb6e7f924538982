"""A run knows its own rows in any other table: sorted, grown, copied, corrected."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadfit.data import Annotations, Schema, load_annotations
from steadfit.data.tables.identity import feature_keys
from steadfit.errors import DataWarning, RunError
from steadfit.evaluation.measures import write_metrics
from steadfit.recipes.calibrate import calibrate_run
from steadfit.recipes import evaluate_run
from steadfit.training import Settings, fit
from steadfit.training.known import FILE, KnownRows, as_in_run, write_rows

SCHEMA = Schema(targets=("y",), units="years")


def features(n: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)) * [1, 1e-9, 1e12], columns=["a", "b", "c"])
    return table.assign(y=table["a"] + rng.normal(size=n))


def opened(table: pd.DataFrame, path: Path) -> Annotations:
    table.to_csv(path, index=False)
    return load_annotations(path, SCHEMA, need_splits=())


@pytest.fixture
def own(tmp_path: Path) -> Annotations:
    table = opened(features(), tmp_path / "own.csv")
    write_rows(table, tmp_path)
    return table


CHANGES = {
    "as it was": lambda t: t,
    "sorted": lambda t: t.sort_values("b"),
    "shuffled, half of it": lambda t: t.sample(30, random_state=1),
    "more columns in another order": lambda t: t.assign(note="x", d=7)[["note", "y", "c", "d", "b", "a"]],
    "another label": lambda t: t.assign(y=t["y"] + 1),
    "last digits": lambda t: t.assign(a=np.nextafter(t["a"], 1e9), c=t["c"] * (1 + 2e-16)),
    "text of 15 digits": lambda t: t.map(lambda value: float(f"{value:.15g}")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_row_stays_the_same_row(own: Annotations, tmp_path: Path, name: str) -> None:
    before = dict(zip(own.features[:, 0].round(9), own.split, strict=True))  # type: ignore[index]
    table = CHANGES[name](features())
    path = tmp_path / "other.csv"
    table.to_csv(path, index=False)
    schema = Schema(targets=("y",), features=("a", "b", "c"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, split = as_in_run(load_annotations(path, schema, need_splits=(), seed=5), tmp_path)
    assert found.split.tolist() == split.tolist()
    assert found.split.tolist() == [before[round(a, 9)] for a in table["a"]]


def test_new_rows_are_test_rows_and_counted(own: Annotations, tmp_path: Path) -> None:
    grown = opened(pd.concat([features(5, seed=9), features()]), tmp_path / "grown.csv")
    with pytest.warns(
        DataWarning, match="60 of the 65 rows are the run's own and keep its splits. The other 5 are new"
    ):
        found, before = as_in_run(grown, tmp_path)
    assert found.split.tolist() == ["test"] * 5 + own.split.tolist()
    assert before.tolist() == [""] * 5 + own.split.tolist()
    with pytest.warns(DataWarning, match="none of the 5 rows is known to the run. All of them count as test rows."):
        found, _ = as_in_run(opened(features(5, seed=9), tmp_path / "new.csv"), tmp_path)
    assert set(found.split) == {"test"}


def test_validation_rows_that_were_drawn_from_given_training_rows_are_known(tmp_path: Path) -> None:
    table = features().assign(split=["train"] * 50 + ["test"] * 10)
    own = opened(table, tmp_path / "own.csv")
    write_rows(own, tmp_path)
    grown = pd.concat([features(40, seed=3).assign(split="train"), table])
    other = opened(grown, tmp_path / "grown.csv")
    assert other.split[40:].tolist() != own.split.tolist()  # drawn again
    assert as_in_run(other, tmp_path)[0].split[40:].tolist() == own.split.tolist()


def test_images_are_known_by_their_bytes_or_their_path(faces: Annotations, tmp_path: Path) -> None:
    write_rows(faces, tmp_path / "run")
    copied = shutil.copytree(faces.root, tmp_path / "moved")
    table = pd.read_csv(copied / "annotations.csv").drop(columns="split").sample(frac=1, random_state=0)
    renamed = table.assign(image=[f"new/{k}.png" for k in range(len(table))])
    (copied / "new").mkdir()
    for old, new in zip(table["image"], renamed["image"], strict=True):
        (copied / old).rename(copied / new)
    renamed.to_csv(copied / "annotations.csv", index=False)
    found, _ = as_in_run(load_annotations(copied, need_splits=()), tmp_path / "run")
    assert found.split.tolist() == faces.split[table.index].tolist()
    known = KnownRows.load(tmp_path / "run")
    here = load_annotations(faces.path, need_splits=())
    assert known.of(here.take([3])).tolist() == [faces.split[3]]
    other = here.take([3]).__class__(**{**vars(here.take([3])), "key": np.array(["0"])})  # saved with other bytes
    assert known.of(other).tolist() == [faces.split[3]]


def test_evaluate_tests_what_was_not_trained_on(tmp_path: Path) -> None:
    own = opened(features(120), tmp_path / "own.csv")
    run = fit(own, Settings(epochs=2, batch_size=16, noise="l2"), tmp_path / "run", device="cpu")
    write_metrics(run, own)
    wanted = json.loads((run.folder / "metrics.json").read_text())["test"]["mae"]
    features(120).sort_values("a").to_csv(tmp_path / "sorted.csv", index=False)
    assert evaluate_run(run.folder, tmp_path / "sorted.csv")["mae"] == pytest.approx(wanted, rel=1e-5)  # batches differ
    features(120).assign(split="test").to_csv(tmp_path / "given.csv", index=False)
    count = len(own.rows("train"))
    with pytest.warns(DataWarning, match=f"{count} of the 120 rows were trained on. What evaluate finds on them says"):
        assert evaluate_run(run.folder, tmp_path / "given.csv")["rows"] == 120


def test_calibrate_finds_the_table_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    features(120).to_csv("own.csv", index=False)
    own = load_annotations("own.csv", SCHEMA)
    fit(own, Settings(epochs=2, batch_size=16, noise="predicted-huber"), "run", device="cpu")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    calibrate_run("../run")
    assert (tmp_path / "run" / "calibration.json").is_file()
    features(120).assign(split="val").to_csv("given.csv", index=False)
    with pytest.warns(DataWarning, match="of the 120 rows were trained on. What calibrate finds on them"):
        calibrate_run("../run", "given.csv")


def test_a_folder_without_rows_knows_none_and_a_damaged_one_is_an_error(own: Annotations, tmp_path: Path) -> None:
    assert set(KnownRows.load(tmp_path / "nothing").of(own)) == {""}
    (tmp_path / FILE).write_bytes(b"PAR1 no")
    with pytest.raises(RunError, match="rows.parquet: expected the rows of the run, got"):
        KnownRows.load(tmp_path)
    pd.DataFrame({"other": [1]}).to_parquet(tmp_path / FILE)
    with pytest.raises(RunError, match="rows.parquet: expected the rows of the run, got"):
        KnownRows.load(tmp_path)


def test_keys_of_features() -> None:
    extreme = np.array(
        [[0.0], [-0.0], [5e-324], [1e-310], [1e308], [-1e308], [999.9999999999999], [1000.0], [1000.001]]
    )
    keys = feature_keys(extreme)
    assert keys[0] == keys[1]
    assert keys[6] == keys[7]
    assert len(set(keys)) == 7
    milliseconds = 1_700_000_000_000 + np.arange(50.0)[:, None]
    assert len(set(feature_keys(milliseconds))) == 50
    assert feature_keys(np.array([[np.nan, 1.0]])) == [""]
