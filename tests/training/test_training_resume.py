"""fit --resume after kill -9 at any point: the same weights bit for bit, the same history, no half-written file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from steadfit.data import Annotations

DRIVER = Path(__file__).parent / "killing_driver.py"
STEADY = {"epochs": 6, "batch_size": 16, "seed": 3}
PAPER = {"epochs": 16, "batch_size": 16, "protocol": "paper", "patience": 2, "lr": 2e-3}
LAST = "last.ckpt"
MODEL = "model.safetensors"

# Settings, whether the network has dropout, chains of kills. 54 rows are 4 batches an epoch.
TABLES: dict[str, tuple[dict[str, Any], bool, list[list[list[Any]]]]] = {
    "steady": (
        STEADY,
        False,
        [
            [["batch", 0, 2]],  # in the warm-up, before any checkpoint
            [["batch", 3, 1]],  # mid-epoch in a round
            [[LAST, 1, "before"], [LAST, 2, "before"], [LAST, 2, "after"]],  # around checkpoints, again and again
            [["history.csv", 4, "before"]],
            [[LAST, 6, "after"]],  # all epochs done, nothing saved
            [[MODEL, 1, "before"]],  # during the final writing
            [[MODEL, 1, "after"]],
            [["config.yaml", 1, "before"], ["config.yaml", 1, "after"]],
        ],
    ),
    "tukey": (STEADY | {"noise": "tukey"}, True, [[["batch", 0, 3]], [["batch", 1, 0], ["batch", 4, 2]]]),
    "epoch": (STEADY | {"residuals": "epoch"}, False, [[["batch", 2, 3], [LAST, 1, "after"]]]),
    "patient": (
        STEADY | {"patience": 3, "epochs": 12, "noise": "l2", "lr": 0.05},
        False,
        [[["batch", 2, 0]], [[MODEL, 1, "before"]], [["batch", 1, 1], ["history.csv", 1, "after"]]],
    ),
    "paper": (  # the rounds end by themselves
        PAPER | {"patience": 3},
        False,
        [
            [["batch", 1, 1]],
            [["batch", 5, 2], ["batch", 6, 3]],
            [[MODEL, 1, "before"], [MODEL, 1, "before"]],  # the rounds are over, and stay so
        ],
    ),
    "paper-long": (
        PAPER,
        False,
        [[["batch", 11, 2]], [[LAST, 4, "before"], [LAST, 4, "after"]], [[LAST, 16, "after"]]],
    ),
    "paper-huber": (PAPER | {"noise": "huber"}, False, [[["batch", 2, 0]], [[MODEL, 1, "before"]]]),
    "workers": (STEADY | {"workers": 1, "epochs": 4}, True, [[["batch", 2, 1]]]),
}
IMAGES = {"epochs": 3, "batch_size": 8, "size": 16, "noise": "gum", "residuals": "epoch"}


def scenarios(table: Annotations, faces: Path) -> list[dict[str, Any]]:
    found = []
    about = {"targets": list(table.schema.targets)}
    for name, (settings, dropout, chains) in TABLES.items():
        settings = settings | ({"network": "mine"} if dropout else {})
        base = {"data": str(table.path), "schema": about, "settings": settings, "dropout": dropout}
        found += [base | {"name": f"{name}-{k}", "kills": kills} for k, kills in enumerate([[], *chains])]
    base = {"data": str(faces), "schema": None, "settings": IMAGES, "dropout": False}
    return found + [base | {"name": f"faces-{k}", "kills": kills} for k, kills in enumerate([[], [["batch", 2, 1]]])]


@pytest.fixture(scope="module")
def runs(table: Annotations, faces_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All scenarios, each with its undisturbed run, number 0."""
    root = tmp_path_factory.mktemp("runs")
    plan = root / "scenarios.json"
    plan.write_text(json.dumps(scenarios(table, faces_path)))
    result = subprocess.run(
        [sys.executable, str(DRIVER), str(root), str(plan)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert result.returncode == 0, result.stderr
    return root


NAMES = [f"{name}-{k + 1}" for name, (_, _, chains) in TABLES.items() for k in range(len(chains))] + ["faces-1"]


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_continues_to_the_same_result(runs: Path, name: str) -> None:
    undisturbed, killed = runs / f"{name.rpartition('-')[0]}-0", runs / name
    wanted, found = load_file(undisturbed / MODEL), load_file(killed / MODEL)
    different = [key for key in wanted if not torch.equal(wanted[key], found[key])]
    assert not different
    assert (killed / MODEL).read_bytes() == (undisturbed / MODEL).read_bytes()
    histories = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (undisturbed, killed)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert (killed / "config.yaml").read_bytes() == (undisturbed / "config.yaml").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_there_are_no_other_files(runs: Path, name: str) -> None:
    """What a kill leaves of a temporary file has a hidden name and is never read."""
    found = {str(path.relative_to(runs / name)) for path in (runs / name).rglob("*") if path.is_file()}
    assert {path for path in found if not Path(path).name.startswith(".")} == {
        "config.yaml", "history.csv", "rows.parquet", MODEL, f"checkpoints/{LAST}"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["steady-0", "paper-0", "patient-0", "faces-0"])
def test_checkpoints_are_tensors_and_plain_containers(runs: Path, name: str) -> None:
    content = torch.load(runs / name / "checkpoints" / LAST, weights_only=True)
    assert "optimizer_states" in content
    assert "label_noise.label_weight" in content["state_dict"]
    if name == "paper-0":
        (state,) = (value for key, value in content["callbacks"].items() if key.startswith("Algorithm1"))
        assert state["stopped"]
        assert state["round"] >= 1


def test_the_rounds_took_place(runs: Path) -> None:
    phases = pd.read_csv(runs / "paper-0" / "history.csv")["phase"]
    assert set(phases) == {"warm-up", "round"}
    patient = pd.read_csv(runs / "patient-0" / "history.csv")
    assert len(patient) < 12
