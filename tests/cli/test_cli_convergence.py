"""steadfit convergence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import Result

from steadfit import cli
from steadfit.cli import options
from steadfit.metrics.convergence import MEASURES

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
TINY = ("--epochs", 2, "--size", 16, "--batch-size", 16)


def test_a_study_of_points(wrong: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    out = tmp_path / "a b" / "ü"
    result = steadfit("convergence", wrong, "--seeds", 1, "--seed", 3, "--measure", "mean", "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    numbers = json.loads((out / "convergence.json").read_text())
    assert list(numbers["methods"]) == ["l2", "tukey"]
    assert (numbers["measure"], numbers["unit"]) == ("mean", "px")
    for method in ("l2", "tukey"):
        history = pd.read_csv(out / "runs" / f"{method}-3" / "history.csv")
        assert numbers["methods"][method]["best"] == [history["val_mean"].min()]
        assert (history["val_mean"] > history["val_error"]).all()  # wrong labels draw the mean, not the median
    lines = result.stdout.splitlines()
    for sentence in numbers["sentences"]:
        assert sentence in lines
    table = result.stdout[result.stdout.index("tukey, seed 3: ") : result.stdout.index(numbers["sentences"][0])]
    assert max(map(len, table.splitlines()[1:])) <= 80
    assert "…" not in table
    assert f"Pictures and tables: {out / 'report.html'}" in lines
    fails(steadfit("convergence", wrong, "--seeds", 1, "--seed", 3, "-o", out, *TINY), 4, "holds a run already")
    before = (out / "convergence.csv").read_bytes()
    again = steadfit("convergence", wrong, "--seeds", 1, "--seed", 3, "--measure", "mean", "-o", out, *TINY, "--resume")
    assert again.exit_code == 0, again.output
    assert (out / "convergence.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--methods", "gum"), "two different noise models, got gum"),
        (("--methods", "gum,l2,l1"), "two different noise models, got gum, l2, l1"),
        (("--methods", "gum, gum"), "two different noise models, got gum, gum"),
        (("--methods", ""), "got none"),
        (("--methods", "gum,turkey"), "got 'turkey'"),
        (("--seeds", 0), "--seeds"),
        (("--measure", "mode"), "--measure"),
        (("--within", -1), "--within"),
        (("--within", "inf"), "within >= 0 and finite, got inf"),
        (("--loss", "focal"), "--loss"),
        (("--epochs", 0), "--epochs"),
    ],
)
def test_wrong_options(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, options: tuple[object, ...], text: str
) -> None:
    fails(steadfit("convergence", faces, "-o", tmp_path / "never", *options), 2, text)
    assert not (tmp_path / "never").exists()


def test_the_help_and_the_words(steadfit: Steadfit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    result = steadfit("convergence", "--help")
    for option in ("--methods", "--seeds", "--measure", "--within", "--resume", "--epochs", "--pairs", "--out"):
        assert option in result.stdout
    assert "--truth" not in result.stdout
    assert [one.value for one in options.Measure] == list(MEASURES)
    command = typer.main.get_command(cli.app)
    assert "convergence" in command.list_commands(typer.Context(command))  # type: ignore[attr-defined]
