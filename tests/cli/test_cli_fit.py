"""steadfit fit: the run folder, its content, resuming, and every class of error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file
from typer.testing import Result

import steadfit as library
from steadfit.audit import read_suspects
from steadfit.data import load_annotations
from steadfit.training.callbacks.history import History

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
TINY = ("--epochs", 2, "--size", 16, "--batch-size", 16)
FILES = {
    "checkpoints/last.ckpt", "config.yaml", "figures/poses.png", "figures/suspects_gallery.png",
    "figures/training_curves.png", "figures/trust_histogram.png", "history.csv", "metrics.json", "model.safetensors",
    "report.html", "rows.parquet", "suspects.csv", "trust.parquet",
}  # fmt: skip


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_run_folder(trained: tuple[Path, Result]) -> None:
    assert files(trained[0]) == FILES
    assert len(pd.read_csv(trained[0] / "history.csv")) == 2


def test_every_label_is_judged(wrong: Path, trained: tuple[Path, Result]) -> None:
    table = pd.read_parquet(trained[0] / "trust.parquet")
    given, truth = load_annotations(wrong), pd.read_csv(wrong / "truth.csv")
    assert len(table) == 60 * 7
    assert table["trust"].between(0, 1).all()
    np.testing.assert_allclose(table[["x", "y"]], given.target.reshape(-1, 2))
    np.testing.assert_array_equal(table["wrong"], truth.filter(like="wrong_").to_numpy(dtype=bool).ravel())
    assert not table.loc[table["split"] == "test", "wrong"].any()
    predicted = library.load(trained[0]).predict(given).mean.reshape(-1, 2)
    np.testing.assert_allclose(table[["predicted_x", "predicted_y"]], predicted)
    residual = np.hypot(table["x"] - table["predicted_x"], table["y"] - table["predicted_y"])
    np.testing.assert_allclose(table["residual"], residual)
    assert table.loc[table["wrong"], "trust"].mean() < table.loc[~table["wrong"], "trust"].mean()


def test_the_suspects_are_the_distrusted_training_labels(trained: tuple[Path, Result]) -> None:
    table, listed = pd.read_parquet(trained[0] / "trust.parquet"), read_suspects(trained[0] / "suspects.csv")
    wanted = table[table["suspect"] & (table["split"] != "test")]
    assert len(listed) == len(wanted) > 5
    assert set(zip(listed["line"], listed["point"], strict=True)) == set(
        zip(wanted["line"], wanted["point"], strict=True)
    )
    assert listed["trust"].is_monotonic_increasing
    assert listed["rank"].tolist() == list(range(1, len(listed) + 1))


def test_what_is_printed_is_what_is_written(trained: tuple[Path, Result]) -> None:
    folder, result = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    table = pd.read_parquet(folder / "trust.parquet")
    train = table[table["split"] == "train"]
    hits = (train["suspect"] & train["wrong"]).sum()
    precision, recall = hits / train["suspect"].sum(), hits / train["wrong"].sum()
    assert metrics["truth"]["precision"] == pytest.approx(precision)
    assert metrics["truth"]["recall"] == pytest.approx(recall)
    lines = result.stdout.splitlines()
    listed = (table["suspect"] & (table["split"] != "test")).sum()
    assert f"{listed} of 350 labels are suspect ({100 * listed / 350:.1f} %)" in result.stdout
    assert f"Estimated error rate: {100 * metrics['outliers']['error_rate']:.1f} % of the training labels." in lines
    known = next(line for line in lines if line.startswith("The truth is known"))
    assert f"{100 * train['wrong'].mean():.1f} % of the training labels are wrong" in known
    assert known.endswith(f"recall {100 * recall:.1f} %.")
    assert f"The list, worst first: {folder / 'suspects.csv'}" in lines  # one line, whatever the terminal's width
    assert f"Report: {folder / 'report.html'}" in lines
    assert [line for line in lines if line.startswith("gum: epoch 2/2")]
    assert result.stderr == ""


def test_the_report_says_the_same(trained: tuple[Path, Result]) -> None:
    page = (trained[0] / "report.html").read_text(encoding="utf-8")
    metrics = json.loads((trained[0] / "metrics.json").read_text())
    assert f"Predictions are off by {metrics['test']['point_error']:.2f} px on average." in page
    share = metrics["outliers"]["suspects"] / metrics["outliers"]["labels"]
    assert f"{100 * share:.1f} % of the training labels are suspect" in page
    assert "noise gum" in page


def test_resuming_a_finished_run_changes_nothing(wrong: Path, trained: tuple[Path, Result], steadfit: Steadfit) -> None:
    before = {name: (trained[0] / name).read_bytes() for name in ("model.safetensors", "suspects.csv", "history.csv")}
    result = steadfit("fit", wrong, "--truth", wrong / "truth.csv", "-o", trained[0], *TINY, "--resume")
    assert result.exit_code == 0, result.output
    assert {name: (trained[0] / name).read_bytes() for name in before} == before
    assert "labels are suspect" in result.stdout


def test_a_folder_with_a_run_is_left_alone(
    wrong: Path, trained: tuple[Path, Result], steadfit: Steadfit, fails: Fails
) -> None:
    fails(steadfit("fit", wrong, "-o", trained[0], *TINY), 4, "holds a run already", "--resume")
    result = steadfit("fit", wrong, "-o", trained[0], *TINY, "--resume", "--lr", 0.001, "--seed", 3)
    fails(result, 4, "cannot resume, lr, seed differ from the run's")
    result = steadfit("fit", wrong, "-o", trained[0], *TINY, "--resume", "--pairs", "0-1")
    fails(result, 4, "the data (rows, labels or their meaning)")


def test_ctrl_c_and_resume(
    wrong: Path, trained: tuple[Path, Result], steadfit: Steadfit, fails: Fails, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import signal

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        end = History.on_train_epoch_start

        def stop_in_the_second(self: History, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt
            end(self, trainer, pl_module)

        patch.setattr(History, "on_train_epoch_start", stop_in_the_second)
        result = steadfit("fit", wrong, "--truth", wrong / "truth.csv", "-o", tmp_path, *TINY)
    signal.signal(signal.SIGINT, handler)  # Lightning has switched it off
    assert fails(result, 130) == "interrupted. Continue with --resume.\n"
    assert not (tmp_path / "model.safetensors").exists()
    assert steadfit("fit", wrong, "--truth", wrong / "truth.csv", "-o", tmp_path, *TINY, "--resume").exit_code == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (tmp_path, trained[0]))
    assert all(np.array_equal(one[name], other[name]) for name in other)


def test_bad_rows_stop_it_or_are_left_out(own_faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    path, out = own_faces / "annotations.csv", tmp_path / "run"
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("train,", "train,wide", 1)
    path.write_text("\n".join(lines) + "\n")
    (own_faces / "images" / "00007.png").unlink()
    error = fails(steadfit("fit", path, "-o", out, *TINY), 3, f"error: {path}, line 4, column 'x0': expected a number")
    assert "1 more problem" in error
    assert "line 9, column 'image'" in error
    assert "--skip-bad" in error
    assert not out.exists()
    result = steadfit("fit", path, "-o", out, *TINY, "--skip-bad")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(f"warning: 2 rows are left out. The first: {path}, line 4")
    skipped = pd.read_csv(out / "skipped.csv")
    assert skipped["line"].tolist() == [4, 9]
    assert skipped["column"].tolist() == ["x0", "image"]
    assert f"2 rows were left out, listed in {out / 'skipped.csv'}:" in result.stdout
    assert "  line 9, column 'image': " in result.stdout
    assert len(pd.read_parquet(out / "trust.parquet")) == 58 * 7


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_gross_labels_are_told_once_and_in_one_line(
    own_faces: Path, steadfit: Steadfit, tmp_path: Path, command: str
) -> None:
    path = own_faces / "annotations.csv"
    table = pd.read_csv(path)
    table.loc[table.index[table["split"] == "train"][3], ["x2", "y2"]] = -9999
    table.to_csv(path, index=False)
    options = ("--noise", "l2") if command == "fit" else ("--methods", "l1,l2")
    result = steadfit(command, own_faces, *options, "-o", tmp_path / "run", *TINY)
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"warning: {path}: 1 label is ")
    assert "farther from the median than the rest of their column (line " in line
    assert "x2 = -9999, y2 = -9999)" in line


def test_same_images_are_told_once_and_in_words(own_faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    (own_faces / "images" / "00001.png").write_bytes((own_faces / "images" / "00000.png").read_bytes())
    result = steadfit("fit", own_faces, "--noise", "l2", "-o", tmp_path / "run", *TINY)
    assert result.exit_code == 0, result.output
    first, second = result.stderr.splitlines()
    assert first.startswith(f"warning: {own_faces / 'annotations.csv'}: 1 group")
    assert "the same bytes" in first
    assert second == "  images/00000.png = images/00001.png"
    assert ".py" not in result.stderr


def test_attribute_columns_are_no_targets(own_faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    path = own_faces / "annotations.csv"
    table = pd.read_csv(path)
    table.insert(2, "gender", np.arange(len(table)) % 2)
    table.assign(scale=0.5, v0=2)[table["split"] != "test"].to_csv(path, index=False)
    (own_faces / "dataset.yaml").unlink()
    out = tmp_path / "run"
    result = steadfit("fit", own_faces, "--pairs", "0-1,3-4,5-6", "--normalizer", 15.36, "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["schema"]["points"] == list("0123456")
    assert config["schema"]["pairs"] == [[0, 1], [3, 4], [5, 6]]
    assert library.load(out).predict(own_faces / "images" / "00000.png").mean.shape == (1, 7, 2)
    metrics = json.loads((out / "metrics.json").read_text())
    assert "test" not in metrics  # there are no test rows
    assert "There are no test rows" in (out / "report.html").read_text()


def test_features_from_parquet(features: Callable[..., Path], steadfit: Steadfit, tmp_path: Path) -> None:
    table, out = features(tmp_path / "t.parquet"), tmp_path / "run"
    result = steadfit(
        "fit", table, "--targets", "age", "--units", "years", "--epochs", 40, "--batch-size", 16, "-o", out
    )
    assert result.exit_code == 0, result.output
    assert files(out) == FILES - {"figures/poses.png", "figures/suspects_gallery.png"}
    listed = read_suspects(out / "suspects.csv")
    off = [row for row in range(0, 80, 10) if row % 5 not in (4,)]
    assert set(off) <= set(listed["row"])
    assert "years" in result.stdout
    frame = pd.DataFrame(np.zeros((2, 3)), columns=["a", "b", "c"])
    assert library.load(out).predict(frame).mean.shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("options", "code", "texts"),
    [
        (("--noise", "l3"), 2, ("--noise", "l3")),
        (("--residuals", "some"), 2, ("--residuals", "some")),
        (("--device", "tpu"), 2, ("--device", "tpu")),
        (("--epochs", 0), 2, ("--epochs",)),
        (("--lr", -1), 2, ("error: expected lr > 0, got -1.0.",)),
        (("--lr", "nan"), 2, ("lr > 0",)),
        (("--protocol", "paper", "--patience", 0), 2, ("expected patience >= 1 with protocol 'paper'",)),
        (("--pairs", "0-9"), 2, ("error: --pairs: expected", "(0, 9)")),
        (("--pairs", "0:1"), 2, ("--pairs", "'0:1'")),
        (("--normalizer", "-3"), 2, ("--normalizer", "-3")),
        (("--targets", "x0", "--points", "a"), 2, ("expected points or targets",)),
        (("--normalizer", "width"), 3, ("column 'width'",)),
        (("--truth", "nowhere.csv"), 2, ("--truth", "nowhere.csv")),
        (("--nonsense",), 2, ("--nonsense",)),
    ],
)
def test_wrong_options(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, options: tuple[Any, ...], code: int,
    texts: tuple[str, ...],
) -> None:  # fmt: skip
    error = fails(steadfit("fit", faces, "-o", tmp_path / "run", *options), code, *texts)
    assert "error" in error.lower()
    assert not error.startswith("error") or len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    error = fails(steadfit("fit", faces, "--device", "cuda", "-o", tmp_path / "run"), 2)
    assert error == "error: --device cuda: expected a GPU that PyTorch can use, got none. Use --device cpu or auto.\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("nonsense", "expected the columns of a truth file for"),
        ("line,wrong_age\n1,0\n", "got none named 'wrong_left_eye'"),
        ("", "expected the truth.csv of 'steadfit corrupt', got No columns"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "got none for line 61"),
        (lambda text: text + text.splitlines()[-1] + "\n", "got line 61 again"),
        (
            lambda text: text.replace("2,train,0", "2,train,7", 1).replace("2,train,1", "2,train,7", 1),
            "got 7 for line 2",
        ),
    ],
)
def test_a_truth_that_does_not_fit(
    wrong: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, content: Any, text: str
) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(content if isinstance(content, str) else content((wrong / "truth.csv").read_text()))
    fails(steadfit("fit", wrong, "--truth", path, "-o", tmp_path / "run"), 3, f"error: {path}", text)
    assert not (tmp_path / "run").exists()


def test_a_bad_dataset_yaml(own_faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    about = own_faces / "dataset.yaml"
    about.write_text("pair: [[0, 1]]\n")
    error = fails(
        steadfit("fit", own_faces, "-o", tmp_path / "run"), 3, f"{about}: ", "'pair'", "Did you mean 'pairs'?"
    )
    assert len(error.splitlines()) == 1
    about.write_text("pairs: [[0, 9]]\n")
    fails(steadfit("fit", own_faces, "-o", tmp_path / "run"), 3, str(own_faces), "(0, 9)")


def test_tables_that_cannot_be_used(own_faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    path, out = own_faces / "annotations.csv", tmp_path / "run"
    fails(steadfit("fit", tmp_path / "no.csv", "-o", out), 3, f"{tmp_path / 'no.csv'}: ")
    table = pd.read_csv(path)
    table.drop(columns="image").to_csv(path, index=False)
    fails(steadfit("fit", path, "-o", out), 3, str(path), "column 'image'")
    table[["image", "split"]].to_csv(path, index=False)
    (own_faces / "dataset.yaml").unlink()
    fails(steadfit("fit", path, "-o", out), 3, "--targets")
    table[table["split"] != "train"].to_csv(path, index=False)
    fails(steadfit("fit", path, "-o", out), 3, "expected rows of the split 'train'")


def test_out_that_cannot_be_a_folder(faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = fails(steadfit("fit", faces, "-o", tmp_path / "file", *TINY), 1, str(tmp_path / "file"))
    assert len(error.splitlines()) == 1


def test_a_frame_of_height_and_width(steadfit: Steadfit, faces: Path, tmp_path: Path) -> None:
    box = ("--box", "points", "--box-margin", "3,5", "--box-fit", "stretch")
    run = ("-o", tmp_path / "run", "--size", "24x16", "--epochs", 1, "--batch-size", 16, *box)
    assert steadfit("fit", faces, *run).exit_code == 0
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert written["settings"]["size"] == [24, 16]
    assert (written["schema"]["box_margin"], written["schema"]["box_fit"]) == ([3.0, 5.0], "stretch")
    assert library.load(tmp_path / "run").settings.frame == (24, 16)


@pytest.mark.parametrize("size", ["12", "12x80", "80x12", "-48", "48x", "x48", "48.0", "tall", "24x16x3", ""])
def test_sizes_that_are_none(steadfit: Steadfit, fails: Fails, faces: Path, tmp_path: Path, size: str) -> None:
    result = steadfit("fit", faces, "-o", tmp_path / "run", f"--size={size}")
    fails(result, 2, f"--size: expected a side >= 16 such as 48, or height x width such as 120x80, got {size!r}.")


def test_a_margin_that_is_none(steadfit: Steadfit, fails: Fails, faces: Path, tmp_path: Path) -> None:
    result = steadfit("fit", faces, "-o", tmp_path / "run", "--box", "points", "--box-margin", "1,2,3")
    fails(result, 2, "--box, --box-margin: expected box_margin to be a share or two numbers of px, got '1,2,3'")
