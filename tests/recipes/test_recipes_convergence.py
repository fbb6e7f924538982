"""Convergence studies as whole jobs: what is written, continued after a stop, told of odd data."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from steadfit.data import Annotations, Schema, load_annotations
from steadfit.errors import ConfigError, DataError, RunError
from steadfit.metrics import wilcoxon
from steadfit.metrics.convergence import summarise
from steadfit.recipes import check_study, convergence
from steadfit.reports.values import short
from steadfit.training import Settings, load
from steadfit.training.callbacks.history import History

SETTINGS = Settings(epochs=3, batch_size=16, seed=5)
RUNS = ("l2-5", "tukey-5", "l2-6", "tukey-6")
FILES = {"runs", "convergence.json", "convergence.csv", "convergence.png", "errors.parquet", "report.html"}


def write_table(path: Path, splits: list[str]) -> Annotations:
    """Two features and an age that is linear in them, one in ten far off."""
    rng = np.random.default_rng(0)
    value = rng.normal(size=(60, 2))
    age = 40 + value @ [3.0, 4.0] + 50 * (np.arange(60) % 10 == 0)
    table = pd.DataFrame(value, columns=["a", "b"]).assign(age=age, split=splits * (60 // len(splits)))
    table.to_csv(path, index=False)
    return load_annotations(path, Schema(targets=("age",), units="years"), need_splits=("train", "val"))


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    splits = ["train", "train", "val", "test", "train", "train"]
    return write_table(tmp_path_factory.mktemp("ages") / "table.csv", splits)


@pytest.fixture(scope="module")
def study(annotations: Annotations, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    out, console = tmp_path_factory.mktemp("study") / "new", Console(width=120, record=True, file=io.StringIO())
    result = convergence(annotations, ["l2", "tukey"], SETTINGS, out, seeds=2, device="cpu", console=console)
    return out, result, console.export_text().splitlines()


def histories(out: Path) -> dict[str, list[pd.DataFrame]]:
    return {
        name: [pd.read_csv(out / "runs" / f"{name}-{k}" / "history.csv") for k in (5, 6)] for name in ("l2", "tukey")
    }


def test_what_a_study_leaves_behind(study: tuple[Path, dict[str, Any], list[str]]) -> None:
    out, result, _ = study
    assert {path.name for path in out.iterdir()} == FILES
    assert {path.name for path in (out / "runs").iterdir()} == set(RUNS)
    assert json.loads((out / "convergence.json").read_text()) == plain(result)
    assert result["seeds"] == [5, 6]
    found = summarise(histories(out), first_seed=5)
    for name in ("forward", "backward", "forward_common", "backward_common"):
        race = getattr(found, name)
        assert (result["races"][name]["reached"], result["races"][name]["seeds"]) == (race.reached, 2)
        assert result["races"][name]["speed_up"] == pytest.approx(race.speed_up, nan_ok=True)
    table = pd.read_csv(out / "convergence.csv")
    assert table[["method", "seed"]].to_numpy().tolist() == [["l2", 5], ["l2", 6], ["tukey", 5], ["tukey", 6]]
    pd.testing.assert_frame_equal(
        table.drop(columns="test_error"), found.runs, check_dtype=False, rtol=1e-5
    )  # written with six digits
    assert result["methods"]["tukey"]["best"] == found.best("tukey").tolist()
    assert load(out / "runs" / "tukey-6").settings == dataclasses.replace(SETTINGS, noise="tukey", seed=6)


def test_test_errors_are_compared_over_images(
    annotations: Annotations, study: tuple[Path, dict[str, Any], list[str]]
) -> None:
    out, result, _ = study
    errors, test = pd.read_parquet(out / "errors.parquet"), annotations.take(annotations.rows("test"))
    assert set(errors) == set(RUNS)
    wanted = np.linalg.norm(load(out / "runs" / "l2-6").predict(test).mean - test.target, axis=-1).mean(axis=1)
    np.testing.assert_allclose(errors["l2-6"], wanted)
    for method, found in result["methods"].items():
        assert found["test_error"] == pytest.approx([errors[f"{method}-5"].mean(), errors[f"{method}-6"].mean()])
    mean = {name: errors[[f"{name}-5", f"{name}-6"]].mean(axis=1) for name in ("l2", "tukey")}
    assert result["methods"]["tukey"]["p"] == pytest.approx(wilcoxon(mean["tukey"], mean["l2"]))
    assert result["methods"]["l2"]["p"] is None


def test_a_line_for_every_run(study: tuple[Path, dict[str, Any], list[str]]) -> None:
    out, result, said = study
    lines = [line for line in said if ", seed" in line]
    assert [line.split(":")[0] for line in lines] == ["l2, seed 5", "tukey, seed 5", "l2, seed 6", "tukey, seed 6"]
    error = histories(out)["tukey"][1]["val_error"]
    assert lines[3].endswith(
        f"best median validation error {short(error.min())} years at epoch {error.idxmin() + 1} of 3"
    )
    assert said[-4:] == [*result["sentences"], f"Pictures and tables: {out / 'report.html'}"]


def test_a_stopped_study_continues_to_the_same_result(
    annotations: Annotations,
    study: tuple[Path, dict[str, Any], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the second epoch of the third run."""
    row, calls = History._measures, []

    def stopping(self: History, *args: Any) -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 2 * 3 + 2:
            raise InterruptedError
        return row(self, *args)

    monkeypatch.setattr(History, "_measures", stopping)
    with pytest.raises(InterruptedError):
        convergence(annotations, ["l2", "tukey"], SETTINGS, tmp_path, seeds=2, device="cpu")
    assert not (tmp_path / "convergence.json").exists()
    with pytest.raises(RunError, match="holds a run already"):
        convergence(annotations, ["l2", "tukey"], SETTINGS, tmp_path, seeds=2, device="cpu")
    assert not (tmp_path / "runs" / "tukey-6").exists()  # told before anything is trained
    monkeypatch.setattr(History, "_measures", lambda self, *args: (calls.append(2), row(self, *args))[1])
    convergence(annotations, ["l2", "tukey"], SETTINGS, tmp_path, seeds=2, device="cpu", resume=True)
    assert calls.count(2) == 2 + 3  # epochs that were trained already are not trained again
    tables = [pd.read_csv(folder / "convergence.csv") for folder in (study[0], tmp_path)]
    timeless = [table[[name for name in table if "seconds" not in name]] for table in tables]
    pd.testing.assert_frame_equal(*timeless, check_exact=True)


def test_a_finished_study_is_told_again(
    annotations: Annotations, study: tuple[Path, dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, result, _ = study
    monkeypatch.setattr(History, "_measures", None)  # nothing is trained
    again = convergence(annotations, ["l2", "tukey"], SETTINGS, out, seeds=2, device="cpu", resume=True)
    assert plain(again) == plain(result)
    near = convergence(annotations, ["l2", "tukey"], SETTINGS, out, seeds=1, measure="mean", within=9.0, resume=True)
    assert near["races"]["backward"]["epochs"] == near["races"]["backward"]["reference_epochs"] == 1
    assert (near["measure"], near["within"]) == ("mean", 9.0)
    first = histories(out)["l2"][0]
    assert near["methods"]["l2"]["best"] == [first["val_mean"].min()]
    assert (first["val_mean"] != first["val_error"]).all()


def test_old_runs_have_no_mean(
    annotations: Annotations, study: tuple[Path, dict[str, Any], list[str]], edited: Callable[..., Path]
) -> None:
    out = edited(lambda history: history.drop(columns="val_mean"))
    convergence(annotations, ["l2", "tukey"], SETTINGS, out, seeds=2, device="cpu", resume=True)
    with pytest.raises(RunError, match=r"history.csv: expected a column 'val_mean', got an older run without it"):
        convergence(annotations, ["l2", "tukey"], SETTINGS, out, seeds=2, measure="mean", device="cpu", resume=True)


def test_runs_without_an_error(annotations: Annotations, edited: Callable[..., Path]) -> None:
    out = edited(lambda history: history.assign(val_error=math.nan))
    console = Console(width=120, record=True, file=io.StringIO())
    result = convergence(annotations, ["l2", "tukey"], SETTINGS, out, seeds=2, resume=True, console=console)
    assert result["sentences"][0] == "L2 has no validation error that Tukey could reach."
    assert "l2, seed 5: no validation error" in console.export_text()
    assert json.loads((out / "convergence.json").read_text())["races"]["forward"]["level"] is None


@pytest.fixture
def edited(study: tuple[Path, dict[str, Any], list[str]], tmp_path: Path) -> Callable[..., Path]:
    """A copy of the study with other histories."""

    def make(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
        out = Path(shutil.copytree(study[0], tmp_path / "copy"))
        for path in out.glob("runs/*/history.csv"):
            change(pd.read_csv(path)).to_csv(path, index=False)
        return out

    return make


def test_a_study_without_test_rows(tmp_path: Path) -> None:
    annotations = write_table(tmp_path / "table.csv", ["train", "train", "val"])
    out, chosen = tmp_path / "out", Settings(epochs=1, batch_size=8)
    result = convergence(annotations, ("gum", "predicted-gauss"), chosen, out, seeds=1, device="cpu")
    assert {path.name for path in out.iterdir()} == FILES - {"errors.parquet"}
    assert len(result["sentences"]) == 2
    assert "years, epoch 1)" in result["sentences"][0]
    assert "test_error" not in result["methods"]["gum"]
    assert "test_error" not in pd.read_csv(out / "convergence.csv")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((["l2"], 1), "two different noise models, got l2"),
        ((["l2", "gum", "tukey"], 1), "two different noise models, got l2, gum, tukey"),
        ((["l2", "l2"], 1), "two different noise models, got l2, l2"),
        (([], 1), "got none"),
        ((["l2", "turkey"], 1), "predicted-mixture, got 'turkey'"),
        ((["l2", "gum"], 0), "seeds >= 1, got 0"),
        ((["l2", "gum"], 1, "mode"), "measure to be median or mean, got 'mode'"),
        ((["l2", "gum"], 1, "mean", -1.0), "within >= 0 and finite, got -1.0"),
        ((["l2", "gum"], 1, "mean", math.nan), "within >= 0 and finite, got nan"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^convergence: expected .*{text}"):
        check_study(*arguments)


def test_what_cannot_be_trained(annotations: Annotations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two different"):
        convergence(annotations, ["l2"], SETTINGS, tmp_path / "out")
    few = annotations.take(np.array([0, 2, 3, 8, 9]))  # one for training
    with pytest.raises(DataError, match="at least two training rows, got one"):
        convergence(few, ["l2", "tukey"], SETTINGS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def plain(result: dict[str, Any]) -> dict[str, Any]:
    """As read back from JSON: NaN is null."""
    return json.loads(json.dumps(result).replace("NaN", "null"))  # type: ignore[no-any-return]
