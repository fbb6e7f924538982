"""How commands end: by signals, by a full disk."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from steadfit.cli import app
from steadfit.cli.signals import Terminated, ended_by_signals
from steadfit.training import Run, TrainingModule
from steadfit.training.callbacks.history import History

Steadfit = Callable[..., Result]
Fails = Callable[..., str]

TINY = ("--epochs", 2, "--size", 16, "--batch-size", 16, "--device", "cpu")
PLACES = ("checking", "training", "validating", "judging", "reporting")


def asks(name: str) -> Callable[..., Any]:
    """A function that asks this process to end."""
    return lambda *_, **__: os.kill(os.getpid(), getattr(signal, name))


def arm(patch: pytest.MonkeyPatch, place: str, ask: Callable[..., Any]) -> None:
    fitting, opening = (importlib.import_module(f"steadfit.recipes.{name}") for name in ("fit", "opening"))
    match place:
        case "checking":
            patch.setattr(opening, "load_annotations", ask)
        case "training":
            patch.setattr(History, "on_train_batch_end", ask)
        case "validating":
            patch.setattr(History, "_measures", ask)
        case "judging":
            patch.setattr(Run, "judge", ask)
        case "reporting":
            patch.setattr(fitting, "write_report", ask)


@pytest.fixture(autouse=True)
def same_handlers() -> Any:
    """Every command leaves the handlers of signals as it found them: the usual ones, in a background job too."""
    usual = {
        signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler,
    }  # fmt: skip
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    after = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert after == usual


@pytest.mark.parametrize("command", ["fit", "compare"])
@pytest.mark.parametrize("place", PLACES)
def test_a_terminated_command_says_how_to_continue(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, command: str, place: str
) -> None:
    more = ("--methods", "l2,l1") if command == "compare" else ("--noise", "l1")
    with pytest.MonkeyPatch.context() as patch:
        arm(patch, place, asks("SIGTERM"))
        result = steadfit(command, faces, *more, "-o", tmp_path, *TINY)
    assert fails(result, 143) == "terminated. Continue with --resume.\n"
    assert not list(tmp_path.rglob("report.html"))
    assert bool(list(tmp_path.rglob("model.safetensors"))) == (place in ("judging", "reporting"))  # training was over
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [("SIGTERM", 143, "terminated."), ("SIGHUP", 129, "terminated."), ("SIGINT", 130, "interrupted.")],
)
@pytest.mark.parametrize("place", ["checking", "training"])
def test_every_signal_has_its_code(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, place: str, name: str, code: int, text: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        arm(patch, place, asks(name))
        result = steadfit("fit", faces, "-o", tmp_path, *TINY)
    assert fails(result, code) == f"{text} Continue with --resume.\n"


def test_a_signal_that_a_library_swallows_still_ends_the_training(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    def swallowed(*_: Any) -> None:
        with contextlib.suppress(BaseException):  # as in a destructor
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "on_train_batch_start", swallowed)
        result = steadfit("fit", faces, "-o", tmp_path, *TINY)
    assert fails(result, 143) == "terminated. Continue with --resume.\n"


def test_a_terminated_run_continues(faces: Path, tmp_path: Path) -> None:
    """In a process of its own: the code, one line, a checkpoint that --resume takes."""
    command = [sys.executable, "-m", "steadfit", "fit", str(faces), "--noise", "l1", "-o", str(tmp_path / "run")]
    command += ["--size", "16", "--batch-size", "4", "--device", "cpu", "--epochs"]
    process = subprocess.Popen([*command, "4000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 100
    while (
        not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
        and time.monotonic() < end
        and process.poll() is None
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=100)
    assert (process.returncode, error) == (143, "terminated. Continue with --resume.\n")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_ignored_signals_stay_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            with pytest.raises(Terminated, match="SIGTERM"):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_change_no_signals(faces: Path) -> None:
    found: list[Result] = []
    thread = threading.Thread(target=lambda: found.append(CliRunner().invoke(app, ["fit", str(faces / "no.csv")])))
    thread.start()
    thread.join()
    assert found[0].exit_code == 3


def limited(size: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command with a limit on the size of files, which the system tells as it tells a full disk."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        "from steadfit.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=200, check=False
    )


@pytest.mark.parametrize(("size", "file"), [(200, "config.yaml"), (9_000, "last.ckpt")])
def test_a_full_disk_is_one_line(features: Callable[..., Path], tmp_path: Path, size: int, file: str) -> None:
    table, out = features(tmp_path / "table.csv"), tmp_path / "run"
    options = ("--targets", "age", "--noise", "l1", "--epochs", 2, "--batch-size", 16, "-o", out)
    done = limited(size, "fit", table, *options)
    assert done.returncode == 1
    path = out / "checkpoints" / file if file == "last.ckpt" else out / file
    assert done.stderr == f"error: {path}: File too large. Make room. Continue with --resume.\n"


@pytest.mark.parametrize(
    "file",
    ["config.yaml", "history.csv", "last.ckpt", "model.safetensors", "metrics.json", "trust.parquet", "suspects.csv",
     "training_curves.png", "report.html"],
)  # fmt: skip
def test_a_run_continues_when_there_is_room_again(
    features: Callable[..., Path], steadfit: Steadfit, fails: Fails, tmp_path: Path, file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each file of a run fails once, in the last epoch where there is one; what was there before is whole."""
    table, out = features(tmp_path / "table.csv"), tmp_path / "run"
    options = ("fit", table, "--targets", "age", "--noise", "l1", "--epochs", 2, "--batch-size", 16, "-o", out)
    replace, seen = os.replace, 0

    def full(source: Path, target: Path) -> None:
        nonlocal seen
        seen += Path(target).name == file
        if Path(target).name == file and (seen == 2 or file not in ("history.csv", "last.ckpt")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    if file not in ("training_curves.png", "report.html"):  # figures take most of the time
        fitting = importlib.import_module("steadfit.recipes.fit")
        monkeypatch.setattr(fitting, "write_report", lambda run, *_: (run.folder / "report.html").touch())
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        error = fails(steadfit(*options), 1)
    path = next((path for path in out.rglob(file)), None)
    assert (path is None) == (file not in ("history.csv", "last.ckpt"))
    assert error.endswith(f"{file}: No space left on device. Make room. Continue with --resume.\n")
    assert error.count("\n") == 1
    assert not [path for path in out.rglob(".*") if path.is_file()]
    assert steadfit(*options, "--resume").exit_code == 0
    assert (out / "report.html").exists()
    assert len((out / "history.csv").read_text().splitlines()) == 3


def diverging(patch: pytest.MonkeyPatch, *noises: str) -> None:
    """Networks under these noise models diverge in their second epoch."""
    step = TrainingModule.training_step

    def training_step(self: TrainingModule, batch: Any, index: int) -> Any:
        found = step(self, batch, index)
        if self.label_noise.noise.name in noises and self.current_epoch == 1:
            found["loss"] = found["loss"] * float("nan")
        return found

    patch.setattr(TrainingModule, "training_step", training_step)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of single runs take most of the time."""
    monkeypatch.setattr("steadfit.recipes.fit.write_report", lambda *_: None)


@pytest.mark.usefixtures("no_figures")
def test_a_comparison_ranks_what_diverges_last(faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    options = ("compare", faces, "--methods", "l2,gum,l1", "-o", tmp_path, *TINY)
    with pytest.MonkeyPatch.context() as patch:
        diverging(patch, "l2")
        result = steadfit(*options)
    assert result.exit_code == 0, result.output
    assert "l2: diverged in epoch 2, from batch 1 on" in result.stdout
    assert "L2: diverged in epoch 2, from batch 1 on." in result.stdout
    numbers = json.loads((tmp_path / "comparison.json").read_text())
    assert list(numbers) == ["gum", "l1", "l2"]
    assert numbers["l2"] == {"name": "L2", "diverged_epoch": 2, "diverged_batch": 1}
    assert list(pd.read_csv(tmp_path / "comparison.csv")["method"]) == ["gum", "l1", "l2"]
    assert list(pd.read_parquet(tmp_path / "errors.parquet")) == ["gum", "l1"]
    assert "diverged in epoch 2" in (tmp_path / "report.html").read_text()
    before = (tmp_path / "comparison.json").read_bytes()
    assert steadfit(*options, "--resume").exit_code == 0
    assert (tmp_path / "comparison.json").read_bytes() == before


@pytest.mark.usefixtures("no_figures")
def test_one_method_that_finishes_is_still_a_ranking(faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        diverging(patch, "l2")
        result = steadfit("compare", faces, "--methods", "l2,l1", "-o", tmp_path, *TINY)
    assert result.exit_code == 0, result.output
    assert list(json.loads((tmp_path / "comparison.json").read_text())) == ["l1", "l2"]


@pytest.mark.parametrize("command", ["compare", "convergence"])
def test_nothing_to_compare(faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, command: str) -> None:
    more = () if command == "compare" else ("--seeds", 1)
    with pytest.MonkeyPatch.context() as patch:
        diverging(patch, "l2", "l1")
        result = steadfit(command, faces, "--methods", "l2,l1", "-o", tmp_path, *more, *TINY)
    fails(result, 4, f"error: {command}: expected a method that comes to a result, got none: l2", "diverged")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("no_figures")
def test_a_study_of_convergence_with_a_method_that_diverges(faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        diverging(patch, "l2")
        result = steadfit("convergence", faces, "--methods", "l2,l1", "--seeds", 1, "-o", tmp_path, *TINY)
    assert result.exit_code == 0, result.output
    assert "l2, seed 0: diverged in epoch 2, from batch 1 on." in result.stdout
    found = json.loads((tmp_path / "convergence.json").read_text())
    assert found["format_version"] == 1
    assert found["diverged"] == {"l2, seed 0": {"epoch": 2, "batch": 1}}
    assert found["methods"]["l2"]["best"] == [None]
    assert found["methods"]["l1"]["best"][0] > 0


@pytest.mark.usefixtures("no_figures")
def test_fit_that_diverges(faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        diverging(patch, "l2")
        result = steadfit("fit", faces, "--noise", "l2", "-o", tmp_path, *TINY)
    error = fails(result, 4, f"error: {tmp_path}: expected a finite training loss, got nan in epoch 2, from batch 1")
    assert error.count("\n") == 1
    assert "labels are suspect" not in result.stdout
    assert not (tmp_path / "model.safetensors").exists()
    assert steadfit("fit", faces, "--noise", "l2", "-o", tmp_path, *TINY, "--resume").stderr == error
