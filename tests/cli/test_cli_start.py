"""The program itself: quick help, the words of the options, exit codes through a shell."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import steadfit
from steadfit import cli, cli_training, cli_words
from steadfit.core.elliptical import LOCATIONS
from steadfit.core.heatmaps import DECODINGS
from steadfit.core.predicted import COVARIANCES
from steadfit.errors import ConfigError, DataError, DataWarning, RunError, SteadfitError
from steadfit.losses import FocalLoss, HeatmapAnchorLoss
from steadfit.networks import HEADS, HEATMAP_NETWORKS, NETWORKS
from steadfit.noise import NOISE_MODELS
from steadfit.noise.base import SCALES, WARM_UPS
from steadfit.noise.gum import UNITS
from steadfit.recipes import KINDS
from steadfit.recipes.calibration import WEIGHTS
from steadfit.recipes.demo import METHODS
from steadfit.training import PROTOCOLS, Settings, classification
from steadfit.training.cascade.placing import PLACINGS
from steadfit.training.classification import ClassifierSettings
from steadfit.training.classification.run import TASK
from steadfit.training.heatmaps import HEATMAP_LOSSES
from steadfit.training.inference import VIEWS
from steadfit.training.settings import OPTIMIZERS

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
    assert done.stderr == f"error: {tmp_path / 'no.csv'}: expected a CSV or Parquet table, got no such file.\n"
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
    assert [one.value for one in cli_words.Noise] == list(NOISE_MODELS)
    assert [one.value for one in cli_words.Unit] == list(UNITS)
    assert [one.value for one in cli_words.ProtocolName] == [*PROTOCOLS, *classification.PROTOCOLS]
    assert [one.value for one in cli_words.Kind] == list(KINDS)
    assert [one.value for one in cli_words.Network] == ["default", *NETWORKS, *HEATMAP_NETWORKS]
    assert [one.value for one in cli_words.NETWORKS] == list(NETWORKS)
    assert [one.value for one in cli_words.HEATMAP_NETWORKS] == list(HEATMAP_NETWORKS)
    assert [one.value for one in cli_words.Loss] == list(dict.fromkeys([*HEATMAP_LOSSES, *classification.LOSSES]))
    assert list(cli_words.HEATMAP_LOSSES) == list(HEATMAP_LOSSES)
    assert list(cli_words.CLASS_LOSSES) == list(classification.LOSSES)
    assert cli_words.COMPARED_NOISES == METHODS
    assert [one.value for one in cli_words.Decoding] == list(DECODINGS)
    assert [one.value for one in cli_words.View] == list(VIEWS)
    assert [one.value for one in cli_words.Task] == ["regression", TASK]
    assert [one.value for one in cli_words.Head] == ["auto", *HEADS]
    assert [one.value for one in cli_words.Covariance] == list(COVARIANCES)
    assert [one.value for one in cli_words.Location] == list(LOCATIONS)
    assert [one.value for one in cli_words.Weigh] == list(WEIGHTS)
    assert [one.value for one in cli_words.Scale] == list(SCALES)
    assert [one.value for one in cli_words.WarmUp] == [*WARM_UPS, "wide"]
    assert [one.value for one in cli_words.Optimizer] == list(OPTIMIZERS)
    assert [one.value for one in cli_words.Placing] == list(PLACINGS)


def test_the_settings_of_classification_are_options() -> None:
    """What is handed on has the same name there; what does not exist there is refused and not dropped."""
    names = inspect.signature(cli_training.training).parameters.keys() | {"channels"}
    assert set(cli_words.CLASSIFIED) <= names & {field.name for field in dataclasses.fields(ClassifierSettings)}
    rest = names - set(cli_words.CLASSIFIED) - {"network", "head", "mirror", "color"}
    assert rest <= set(cli_words.FOR_REGRESSION)
    assert rest <= {field.name for field in dataclasses.fields(Settings)}


def test_what_help_says_of_defaults() -> None:
    """The options' own default is None, so that tasks and protocols can have theirs."""
    shown = {name: one.annotation.__metadata__[0].show_default
             for name, one in inspect.signature(cli_training.training, eval_str=True).parameters.items()}  # fmt: skip
    assert (shown["epochs"], shown["batch_size"], shown["size"]) == (
        f"{Settings.epochs}; classification: the protocol's",
        f"{Settings.batch_size}; classification: {ClassifierSettings.batch_size}",
        f"{Settings.size}; classification: the images' own",
    )
    assert shown["loss"] == f"{Settings.loss}; classification: {ClassifierSettings.loss}"
    assert shown["gamma"].split(";")[0] == f"{HeatmapAnchorLoss().gamma:g}" == f"{FocalLoss().gamma:g}"
    assert shown["margin"] == f"{HeatmapAnchorLoss().margin:g}; classification: {ClassifierSettings.margin}"
    assert f"{Settings.protocol}; classification: {ClassifierSettings.protocol}" == shown["protocol"]


def outcome(error: BaseException) -> tuple[int, str]:
    app = typer.Typer(cls=cli.Commands, pretty_exceptions_enable=False)

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
    app = typer.Typer(cls=cli.Commands, pretty_exceptions_enable=False)
    app.command("fit")(lambda: 1 / 0)
    app.command("other")(lambda: None)
    assert isinstance(CliRunner().invoke(app, ["fit"]).exception, ZeroDivisionError)
