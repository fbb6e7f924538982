"""The program itself: quick help, the words of the options, exit codes through a shell."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import steadfit
from steadfit import cli
from steadfit._options import options_of
from steadfit.cli import options, training
from steadfit.cli.errors import Commands
from steadfit.data.tables.splits import SPLITS
from steadfit.errors import ConfigError, DataError, DataWarning, RunError, SteadfitError
from steadfit.losses import FocalLoss, HeatmapAnchorLoss
from steadfit.networks import HEATMAP_NETWORKS, NETWORKS
from steadfit.noise import NOISE_MODELS
from steadfit.outputs import CLASS_LOSSES, HEATMAP_LOSSES, Classes, Heatmaps
from steadfit.recipes import KINDS
from steadfit.recipes.calibrate import WEIGHTS
from steadfit.recipes.demo import METHODS
from steadfit.training import Settings
from steadfit.training.cascade.placing import PLACINGS
from steadfit.training.views import VIEWS

HEAVY = ("torch", "lightning", "pandas", "cv2", "matplotlib", "scipy", "numpy", "steadfit.recipes")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=100, check=False)


def test_help_imports_nothing_heavy() -> None:
    done = python(
        "-c", "import sys; from typer.testing import CliRunner; from steadfit.cli import app;"
        "assert CliRunner().invoke(app, ['fit', '--help']).exit_code == 0;"
        f"print([name for name in {HEAVY} if name in sys.modules])",
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_version_imports_nothing_heavy() -> None:
    done = python(
        "-c", "import sys; from typer.testing import CliRunner; from steadfit.cli import app;"
        "result = CliRunner().invoke(app, ['--version']); print(result.stdout, result.exit_code, end=' ');"
        f"print([name for name in {HEAVY} if name in sys.modules])",
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"steadfit {steadfit.__version__}\n 0 []\n", "")


def test_the_help_of_the_program() -> None:
    result = CliRunner().invoke(cli.app, ["--help"], prog_name="steadfit", env={"COLUMNS": "100"})
    assert result.exit_code == 0
    for text in ("Train regression networks on labels", "--version", "143", "diverged"):
        assert text in result.stdout
    assert CliRunner().invoke(cli.app, [], prog_name="steadfit").exit_code == 2


def test_exit_codes_through_a_shell(tmp_path: Path) -> None:
    done = python("-m", "steadfit", "fit", str(tmp_path / "no.csv"))
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr == (
        f"error: {tmp_path / 'no.csv'}: expected a file or folder of annotations, got nothing of that name.\n"
    )
    done = python("-m", "steadfit", "fit")
    assert done.returncode == 2
    assert "steadfit fit --help" in done.stderr


@pytest.mark.parametrize(
    "command", ["demo", "fit", "compare", "convergence", "predict", "evaluate", "calibrate", "corrupt"]
)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(cli.app, [command, "--help"], prog_name="steadfit", env={"COLUMNS": "100"})
    assert result.exit_code == 0
    assert f"Usage: steadfit {command}" in result.stdout
    assert ("--out" in result.stdout) == (command != "calibrate")  # a calibration goes into the run folder
    assert "--n-train" not in result.stdout
    if command in ("fit", "compare"):
        for option in ("--pairs", "--normalizer", "--epochs", "--residuals", "--seed", "--device", "--truth"):
            assert option in result.stdout
        for option in ("--task", "--loss", "--gamma", "--margin", "--decoding", "--label"):
            assert option in result.stdout
        assert "What the columns mean" in result.stdout
        assert "hourglass-light" in result.stdout
        assert "anchor-warmup" in result.stdout


def test_the_words_are_the_library_s() -> None:
    assert list(training.NOISES) == list(NOISE_MODELS)
    assert list(training.NETWORKS) == list(NETWORKS)
    assert list(training.HEATMAP_NETWORKS) == list(HEATMAP_NETWORKS)
    assert list(training.HEATMAP_LOSSES) == list(HEATMAP_LOSSES)
    assert list(training.CLASS_LOSSES) == list(CLASS_LOSSES)
    assert options.COMPARED_NOISES == METHODS
    assert [one.value for one in options.Kind] == list(KINDS)
    assert [one.value for one in options.View] == list(VIEWS)
    assert [one.value for one in options.Weigh] == list(WEIGHTS)
    assert [one.value for one in options.Split] == [*SPLITS, "all"]
    assert PLACINGS == ("jitter", "folds")


def test_every_declared_option_is_offered_once() -> None:
    models = [Settings, *(make() for make in NOISE_MODELS.values()), Heatmaps, Classes]
    offered = {name for model in models for name in offered_options(model)}
    parameters = list(inspect.signature(training.training).parameters)
    assert set(parameters) == offered | {"size", "color", "network"}
    assert len(parameters) == len(set(parameters))


def offered_options(model: object) -> list[str]:
    return [name for name, (_, known) in options_of(model).items() if known.command_line]


def test_what_help_says_of_defaults() -> None:
    """The options' own default is None, so that outputs and protocols can have theirs; the help names them."""
    known = {name: one.annotation.__metadata__[0]
             for name, one in inspect.signature(training.training, eval_str=True).parameters.items()}  # fmt: skip
    assert (known["unit"].show_default, known["mirror"].show_default) == ("point", "on")
    assert known["loss"].show_default == "classes: ce; heatmaps: bce"
    for name, value in (("batch_size", Settings().batch_size), ("epochs", Settings().plan.epochs)):
        assert f" {value}" in known[name].help
    assert f" {Settings(output=Classes(), size=32).batch_size}" in known["batch_size"].help
    assert f"default {HeatmapAnchorLoss().gamma:g}" in known["gamma"].help
    assert HeatmapAnchorLoss().gamma == FocalLoss().gamma
    assert known["size"].show_default.startswith(f"{Settings().size};")


def outcome(error: BaseException) -> tuple[int, str]:
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @app.command()
    def fit() -> None:
        for _ in range(2):
            warnings.warn("rows left out", DataWarning, stacklevel=1)
            warnings.warn("internal", UserWarning, stacklevel=1)
        raise error

    @app.command()
    def other() -> None: ...

    result = CliRunner().invoke(app, ["fit"])
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("a"), 2, "error: a"),
        (DataError("a"), 3, "error: a"),
        (RunError("a"), 4, "error: a"),
        (SteadfitError("a"), 1, "error: a"),
        (PermissionError(13, "Permission denied", "/x"), 1, "error: /x: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted. Continue with --resume."),
    ],
)
def test_errors_become_a_line_and_a_code(error: BaseException, code: int, text: str) -> None:
    assert outcome(error) == (code, f"warning: rows left out\n{text}\n")


def test_mistakes_of_ours_keep_their_traceback() -> None:
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
    app.command("fit")(lambda: 1 / 0)
    app.command("other")(lambda: None)
    assert isinstance(CliRunner().invoke(app, ["fit"]).exception, ZeroDivisionError)
