"""steadfit corrupt, compare and demo."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import Result

import steadfit as library
from steadfit.data import load_annotations
from steadfit.metrics import compare_errors
from steadfit.training.run import Run

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
TINY = ("--epochs", 2, "--size", 16, "--batch-size", 16)


def test_corrupt_writes_a_data_set_and_the_truth(faces: Path, wrong: Path) -> None:
    right, made = load_annotations(faces), load_annotations(wrong)
    assert made.images == right.images
    assert made.schema == right.schema
    truth = pd.read_csv(wrong / "truth.csv")
    assert list(truth) == ["line", "split", *(f"wrong_{name}" for name in right.schema.points)]
    moved = (right.target != made.target).any(axis=-1)
    np.testing.assert_array_equal(truth.filter(like="wrong_").to_numpy(dtype=bool), moved)
    assert moved[made.split != "test"].mean() == pytest.approx(0.3)
    assert not moved[made.split == "test"].any()
    assert truth["line"].tolist() == made.line.tolist()


def test_options_go_with_the_corrupted_data(own_faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    """What was said with options need not be said again, or the truth's columns would not fit."""
    (own_faces / "dataset.yaml").unlink()
    out = tmp_path / "wrong"
    result = steadfit("corrupt", own_faces, "--kind", "swap", "--share", 0.5, "--points", "a,b,c,d,e,f,é",
                      "--pairs", "a-b,d-e", "--normalizer", "0-1", "--units", "mm", "-o", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    schema = load_annotations(out).schema
    assert (schema.points[6], schema.pairs, schema.normalizer, schema.units) == ("é", ((0, 1), (3, 4)), (0, 1), "mm")
    result = steadfit("fit", out, "--truth", out / "truth.csv", "--noise", "l2", "-o", tmp_path / "run", *TINY)
    assert result.exit_code == 0, result.output
    assert "The truth is known" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--kind", "gaussian"), 2, "Give --std."),
        (("--kind", "swap"), 2, "Give --pairs 0-1,3-4."),
        (("--kind", "gaussian", "--std", -2), 2, "-2"),
        (("--kind", "ngo", "--width", 0), 2, "width"),
        (("--kind", "lugo"), 2, "--kind"),
        (("--kind", "ngo", "--share", 1.5), 2, "--share"),
        (("--kind", "ngo", "--splits", "train,tset"), 2, "expected splits of train, val, test, got 'tset'"),
        (("--kind", "ngo", "--splits", ","), 2, "expected rows in"),
    ],
)
def test_corrupt_with_wrong_options(
    own_faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, options: tuple[object, ...], code: int, text: str
) -> None:
    (own_faces / "dataset.yaml").unlink()
    fails(steadfit("corrupt", own_faces, "--share", 0.3, "-o", tmp_path / "wrong", *options), code, text)
    assert not (tmp_path / "wrong").exists()


def test_corrupt_leaves_other_folders_alone(
    faces: Path, features: Callable[..., Path], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    fails(steadfit("corrupt", faces, "--kind", "ngo", "--share", 0.3, "-o", tmp_path / "full"), 4, "new or empty")
    table = features(tmp_path / "t.csv")
    options = ("--share", 0.3, "--targets", "age", "-o", tmp_path / "wrong")
    fails(steadfit("corrupt", table, "--kind", "l_ugo", *options), 2, "Give --width.")
    assert steadfit("corrupt", table, "--kind", "symmetric", *options).exit_code == 0
    assert load_annotations(tmp_path / "wrong").schema.features == ("a", "b", "c")


@pytest.fixture(scope="module")
def compared(wrong: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, int]:
    """A comparison of two noise models, what was printed, and how often a table was judged."""
    out, calls = tmp_path_factory.mktemp("compare") / "a b" / "ü", []
    with pytest.MonkeyPatch.context() as patch:
        judge = Run.judge
        patch.setattr(Run, "judge", lambda self, *args, **kw: calls.append(1) or judge(self, *args, **kw))
        result = steadfit("compare", wrong, "--methods", "l2, gum", "--truth", wrong / "truth.csv", "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    return out, result, len(calls)


def test_compare(wrong: Path, compared: tuple[Path, Result, int]) -> None:
    out, result, calls = compared
    assert calls == 2  # once a method
    numbers = json.loads((out / "comparison.json").read_text())
    assert {name: entry["name"] for name, entry in numbers.items()} == {"l2": "L2", "gum": "GUM"}
    table = pd.read_csv(out / "comparison.csv", index_col="method")
    assert table.loc["gum", "mean"] == pytest.approx(numbers["gum"]["mean"], rel=1e-5)
    errors = pd.read_parquet(out / "errors.parquet")
    test = load_annotations(wrong)
    test = test.take(test.rows("test"))
    for method in ("l2", "gum"):
        run = library.load(out / "runs" / method)
        wanted = np.linalg.norm(run.predict(test).mean - test.target, axis=-1).mean(axis=1)
        np.testing.assert_allclose(errors[method], wanted)
        assert numbers[method]["mean"] == pytest.approx(wanted.mean())
        scores = json.loads((run.folder / "metrics.json").read_text())
        assert numbers[method]["recall"] == scores["truth"]["recall"]
        history = pd.read_csv(run.folder / "history.csv")
        assert numbers[method]["seconds"] == pytest.approx(history["seconds"].sum())
    best = min(numbers, key=lambda name: numbers[name]["mean"])
    (other,) = set(numbers) - {best}
    (wilcoxon,) = compare_errors({name: errors[name] for name in numbers}, reference=best)
    assert numbers[other]["p_holm"] == pytest.approx(wilcoxon.adjusted)
    assert numbers[best]["p_holm"] is None
    assert [line[:4] for line in result.stdout.splitlines() if "labels are suspect" in line] == ["l2: ", "gum:"]
    assert f"Pictures and tables: {out / 'report.html'}" in result.stdout
    page = (out / "report.html").read_text()
    assert "The worst suspects of GUM" in page
    assert "an error above 5 % of the normalising length" in page
    assert {path.stem for path in (out / "figures").iterdir()} == {
        "failure_bars", "suspects_gallery", "error_cdf", "training_curves", "poses", "pck_joints", "pck_curves",
        "pck_epochs", "confusions",
    }  # fmt: skip


def test_a_comparison_is_continued_or_refused(
    wrong: Path, compared: tuple[Path, Result, int], steadfit: Steadfit, fails: Fails
) -> None:
    out, before = compared[0], (compared[0] / "comparison.json").read_bytes()
    error = fails(steadfit("compare", wrong, "--methods", "l1,gum", "-o", out, *TINY), 4, str(out / "runs" / "gum"))
    assert "holds a run already" in error
    assert not (out / "runs" / "l1").exists()  # told before anything is trained
    result = steadfit("compare", wrong, "--methods", "l2,gum", "--truth", wrong / "truth.csv", "-o", out, *TINY,
                      "--resume")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (out / "comparison.json").read_bytes() == before  # times, too, are those of the training


@pytest.fixture
def no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take most of the time of a small comparison."""
    monkeypatch.setattr("steadfit.recipes.fit.write_report", lambda *_: None)
    compare, convergence = (importlib.import_module(f"steadfit.recipes.{name}") for name in ("compare", "convergence"))
    monkeypatch.setattr(compare, "_write_report", lambda *_: None)  # the functions of these names hide the modules
    monkeypatch.setattr(convergence, "write_convergence_page", lambda *_, **__: None)


@pytest.mark.usefixtures("no_reports")
@pytest.mark.parametrize(
    ("command", "option", "name", "wanted"),
    [
        ("compare", "batch", "scale", {"l2": None, "huber": "batch", "gum": None}),
        ("compare", "wide", "warmup", {"gum": "l1", "tukey": "wide"}),
        ("compare", "l2", "warmup", {"l2": "l1", "gum": "l2"}),
        ("compare", "sgd", "optimizer", {"l2": "sgd", "gum": "sgd"}),
        ("convergence", "running", "scale", {"l2-0": None, "tukey-0": "running"}),
        ("convergence", "wide", "warmup", {"l2-0": "l1", "tukey-0": "wide"}),
    ],
)
def test_settings_that_not_every_noise_model_has(
    faces: Path, steadfit: Steadfit, tmp_path: Path, command: str, option: str, name: str, wanted: dict[str, str | None]
) -> None:
    """A scale is for those that have one; settings that all have are for all."""
    more = ("--methods", ",".join(wanted)) if command == "compare" else ("--seeds", 1)
    options = (f"--{name}", option, "--sides", "observer", "-o", tmp_path, *TINY, "--epochs", 1)
    result = steadfit(command, faces, *more, *options)
    assert result.exit_code == 0, result.output
    for run, value in wanted.items():
        config = yaml.safe_load((tmp_path / "runs" / run / "config.yaml").read_text(encoding="utf-8"))
        settings = config["settings"]
        assert settings.get(name, settings["noise"].get(name)) == value
        assert config["schema"]["sides"] == "observer"


@pytest.mark.parametrize(
    ("command", "options", "text"),
    [
        (
            "compare",
            ("--methods", "l2,gum", "--scale", "batch"),
            "noise 'l2': expected no scale, got 'batch'. Only huber, tukey can",
        ),
        ("compare", ("--methods", "l2,predicted-huber", "--warmup", "l1"), "noise 'l2': expected no warmup, got 'l1'"),
        ("compare", ("--methods", "l1,gum", "--warmup", "wide"), "expected warmup to be one of 'l1', 'l2', got 'wide'"),
        ("compare", ("--scale", "batch", "--protocol", "paper"), "noise 'l2': expected no scale, got 'batch'"),
        ("compare", ("--methods", "tukey,turkey", "--scale", "batch"), "--methods: expected noise models of l2, l1,"),
        ("compare", ("--network", "hourglass-light", "--gamma", 1), "--gamma: has no meaning with --loss bce"),
        ("convergence", ("--methods", "l2,l1", "--scale", "batch"), "noise 'l2': expected no scale"),
        (
            "convergence",
            ("--methods", "gum,l1", "--warmup", "wide"),
            "expected warmup to be one of 'l1', 'l2', got 'wide'",
        ),
    ],
)
def test_settings_that_no_noise_model_has(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, command: str, options: tuple[str, ...], text: str
) -> None:
    fails(steadfit(command, faces, *options, "-o", tmp_path / "never"), 2, text)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("methods", "text"),
    [("gum", "two or more different noise models, got gum"), ("gum,gum", "different"), ("", "got none"),
     ("gum,turkey", "predicted-charbonnier, predicted-mixture, got 'turkey'")],
)  # fmt: skip
def test_wrong_methods(faces: Path, steadfit: Steadfit, fails: Fails, methods: str, text: str) -> None:
    fails(steadfit("compare", faces, "--methods", methods, "-o", faces / "never"), 2, text)


def test_compare_needs_test_rows(own_faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    path = own_faces / "annotations.csv"
    table = pd.read_csv(path)
    table[table["split"] != "test"].to_csv(path, index=False)
    error = fails(steadfit("compare", own_faces, "-o", tmp_path / "out"), 3, str(path), "column 'split'")
    assert "expected rows of the split 'test', got none (40 train, 10 val, 0 test)" in error
    assert not (tmp_path / "out").exists()


def test_demo(steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = steadfit("demo", "--n-train", 40, "--epochs", 1, "-o", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"clean", "wrong30", "comparison"}
    assert "Drawing 54 faces with 7 landmarks each …" in result.stdout
    assert "30 % of the training and validation labels are now wrong; the test labels are right.\n" in result.stdout
    table = result.stdout[result.stdout.index("Four noise models, 30 % of the training labels wrong") :]
    assert [name for name in ("L2", "Huber", "Tukey", "GUM") if f" {name} " in table] == ["L2", "Huber", "Tukey", "GUM"]
    assert max(map(len, table.splitlines()[:-2])) <= 80
    again = steadfit("demo", "--n-train", 40, "--epochs", 1, "-o", out)
    assert again.stdout[again.stdout.index("Four noise") :] == table
    fails(steadfit("demo", "--epochs", 2, "-o", out), 4, "cannot resume, epochs differ from the run's")
