"""Tiny data sets, a trained run of each, and the command line in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from steadfit.cli import app
from steadfit.data.drawn.synthetic import write_dataset

Steadfit = Callable[..., Result]
TINY = ("--epochs", 2, "--size", 16, "--batch-size", 16, "--device", "cpu")


@pytest.fixture(scope="session")
def steadfit() -> Steadfit:
    """Run a command; whatever happens, no traceback reaches the user."""

    def run(*args: object) -> Result:
        result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="steadfit")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run


def failing(result: Result, code: int, *texts: str) -> str:
    """Exit code, and every text in the message on standard error, which is a single line unless it lists."""
    assert result.exit_code == code, result.output
    for text in texts:
        assert text in result.stderr
    return result.stderr


@pytest.fixture(scope="session")
def fails() -> Callable[..., str]:
    return failing


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 drawn faces of 24 px in a folder whose name has a space and an umlaut."""
    folder = tmp_path_factory.mktemp("data") / "Gesichter für 1"
    write_dataset(folder, n_train=40, n_val=10, n_test=10, size=24)
    return folder


@pytest.fixture
def own_faces(faces: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(faces, tmp_path / "faces"))


@pytest.fixture(scope="session")
def wrong(faces: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faces with 30 % of the labels wrong."""
    out = tmp_path_factory.mktemp("corrupt") / "new" / "wrong"
    result = steadfit("corrupt", faces, "--kind", "l_ugo", "--share", 0.3, "-o", out)
    assert result.exit_code == 0, result.output
    assert "30.0% of the labels in train and val are wrong" in result.stdout
    return out


@pytest.fixture(scope="session")
def trained(wrong: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run on the wrong faces, and what was printed."""
    out = tmp_path_factory.mktemp("runs") / "neu und tief" / "größer"
    result = steadfit("fit", wrong, "--truth", wrong / "truth.csv", "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    return out, result


def write_features(path: Path, n: int = 80, seed: int = 0, split: bool = True) -> Path:
    """Three features and a scalar that is linear in them; every tenth label is far off."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3))
    age = 40 + 10 * features @ np.array([1.0, -1.0, 0.5])
    words = np.where(np.arange(n) % 5 == 3, "val", np.where(np.arange(n) % 5 == 4, "test", "train"))
    age[(np.arange(n) % 10 == 0)] += 200
    table = pd.DataFrame(features, columns=["a", "b", "c"])
    table = table.assign(split=words) if split else table
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table.assign(age=age)
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def features() -> Callable[..., Path]:
    return write_features


@pytest.fixture(scope="session")
def regression(steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A feature table without splits, and a run on it with another seed than evaluate's default."""
    root = tmp_path_factory.mktemp("features")
    table = write_features(root / "table.csv", split=False)
    result = steadfit("fit", table, "--targets", "age", "--units", "years", "--noise", "huber", "--seed", 7,
                      "--epochs", 40, "--batch-size", 16, "-o", root / "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    return table, root / "run"
