"""Damaged, foreign and newer files of run folders: one sentence that names the file, whatever is wrong with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import steadfit
from steadfit.data import Annotations
from steadfit.errors import RunError
from steadfit.training import Settings, fit
from steadfit.training.calibrated import Calibrated
from steadfit.training.callbacks.excess import Excess
from steadfit.training.folder import read_checkpoint, read_history

SETTINGS = Settings(noise="predicted-huber", epochs=1, batch_size=16)
CHECKPOINT = "checkpoints/last.ckpt"


@pytest.fixture(scope="module")
def whole(table: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated run, with what a heatmap network would leave."""
    run = fit(table, SETTINGS, tmp_path_factory.mktemp("run"), device="cpu")
    rows = table.take(table.rows("val"))
    seen = run.predict(rows)
    mean, root, target = (torch.from_numpy(part) for part in (seen.mean, seen.root, rows.target))
    Calibrated.fit(mean, root, target, seen.penalty, names=run.schema.target_names).save(run.folder)
    frames, points = np.zeros((2, 1, 4, 4), np.uint8), np.zeros((2, 3, 2), np.float32)
    Excess(frames, points, {1: np.ones((2, 3, 2, 2), np.float32)}).save(run.folder)
    return run.folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


READERS: dict[str, Callable[[Path], Any]] = {
    "config.yaml": steadfit.load,
    "model.safetensors": steadfit.load,
    CHECKPOINT: lambda folder: read_checkpoint(folder / CHECKPOINT),
    "calibration.json": Calibrated.load,
    "calibration.parquet": Calibrated.load,
    "history.csv": read_history,
    "excess.safetensors": Excess.load,
}
OTHERS = {"config.yaml": b"- 1\n", "calibration.json": b"[1]", "history.csv": b"a,b\n1,2\n"}
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "cut": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: np.random.default_rng(0).bytes(len(content)),
    "text": lambda content: b"Not what you expect: \xff\xfe\n[",
}
TOLERANT = {("history.csv", "half"), ("history.csv", "cut"), ("config.yaml", "cut"), ("calibration.json", "cut")}
"""What is left has the same meaning, or is a shorter history."""


def said(work: Callable[[], Any]) -> str | None:
    """The text of the RunError that the work ends with; None where it succeeds."""
    try:
        work()
    except RunError as error:
        return str(error)
    return None


def opens_or_says(folder: Path, name: str) -> bool:
    """Whether the file opens; otherwise the error is one line about it, without the advice of others."""
    text = said(lambda: READERS[name](folder))
    if text is None:
        return True
    assert text.startswith(str(folder))
    assert Path(name).stem.split(".")[0] in text
    assert "\n" not in text
    assert "weights_only" not in text
    assert len(text) < 700
    return False


@pytest.mark.parametrize("name", READERS)
def test_whole_files_open(folder: Path, name: str) -> None:
    assert opens_or_says(folder, name)


@pytest.mark.parametrize("damage", BYTES)
@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    path.write_bytes(BYTES[damage](path.read_bytes()))
    found = opens_or_says(folder, name)
    assert not found or (name, damage) in TOLERANT


@pytest.mark.parametrize("name", READERS)
def test_flipped_bytes(folder: Path, name: str) -> None:
    """Not every one can be noticed; every one opens or is told."""
    path, rng = folder / name, np.random.default_rng(1)
    content = path.read_bytes()
    for _ in range(40):
        at = int(rng.integers(min(len(content), 3000) if rng.random() < 0.5 else len(content)))
        path.write_bytes(content[:at] + bytes([content[at] ^ int(rng.integers(1, 256))]) + content[at + 1 :])
        opens_or_says(folder, name)


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_another_kind(folder: Path, name: str) -> None:
    """Every file in the place of every other one."""
    contents = {other: (folder / other).read_bytes() for other in READERS} | {"other": OTHERS.get(name, b"PK\x03\x04")}
    for other, content in contents.items():
        if other != name:
            (folder / name).write_bytes(content)
            assert not opens_or_says(folder, name), other


@pytest.mark.parametrize("name", READERS)
def test_a_folder_in_its_place(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert opens_or_says(folder, name) == (name in ("calibration.json", "excess.safetensors"))  # there is none


WRONG = [None, 7, -1.5, "text", [], [1, 2], {}, {"a": 1}, float("nan"), True]


def edited(path: Path) -> tuple[Any, Callable[[Any], None]]:
    """The content of a JSON or YAML file, and what writes another one."""
    if path.suffix == ".yaml":
        return yaml.safe_load(path.read_text()), lambda content: path.write_text(yaml.safe_dump(content)) and None
    return json.loads(path.read_text()), lambda content: path.write_text(json.dumps(content)) and None


@pytest.mark.parametrize("name", ["config.yaml", "calibration.json"])
def test_keys_that_are_missing_or_of_a_wrong_type(folder: Path, name: str) -> None:
    """At any depth: loading the run gives a run or an error in one line."""
    content, write = edited(folder / name)

    def load() -> None:
        text = said(lambda: steadfit.load(folder))
        assert text is None or (str(folder) in text and "\n" not in text)

    for owner, keys in [(content, list(content))] + [(v, list(v)) for v in content.values() if isinstance(v, dict)]:
        for key in keys:
            before = owner.pop(key)
            write(content)
            load()
            for value in WRONG:
                owner[key] = value
                write(content)
                load()
            owner[key] = before


@pytest.mark.parametrize("name", ["config.yaml", "calibration.json"])
def test_the_format_s_version(folder: Path, name: str) -> None:
    content, write = edited(folder / name)
    assert content["format_version"] == 1
    write(content | {"format_version": 2})
    with pytest.raises(RunError, match=rf"{name}: expected format_version 1 or less, got 2. .* newer steadfit"):
        steadfit.load(folder)
    write({key: value for key, value in content.items() if key != "format_version"})
    assert steadfit.load(folder).folder == folder
    for wrong in ("1", 0, None, True, 1.5):
        write(content | {"format_version": wrong})
        with pytest.raises(RunError, match=rf"{name}: expected .*, got format_version"):
            steadfit.load(folder)


def test_tensors_that_are_missing_or_of_another_shape(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name, value in tensors.items():
        if name.endswith("num_batches_tracked"):  # a network does without
            continue
        changed = {key: one for key, one in tensors.items() if key != name}
        for content in (changed, changed | {name: torch.zeros(3, 5, 7)}):
            save_file(content, path)
            with pytest.raises(RunError, match=r"expected the (weights|network)"):
                steadfit.load(folder)
        if not name.startswith("noise.") and value.is_floating_point():
            save_file(changed | {name: value * torch.nan}, path)
            with pytest.raises(RunError, match=f"expected finite weights, got others in '{name}'"):
                steadfit.load(folder)


def test_calibrations_without_meaning(folder: Path) -> None:
    path, whole = folder / "calibration.json", json.loads((folder / "calibration.json").read_text())
    for tau in (0.0, -1.0, float("nan"), float("inf")):
        path.write_text(json.dumps(whole | {"temperature": whole["temperature"] | {"tau": tau}}))
        with pytest.raises(RunError, match=r"calibration.json: expected a calibration, got the temperature"):
            steadfit.load(folder)
    path.write_text(json.dumps(whole))
    scores = pd.read_parquet(folder / "calibration.parquet")
    scores[scores["point"] == scores["point"][0]].to_parquet(folder / "calibration.parquet")
    with pytest.raises(RunError, match=r"calibration.parquet: expected the scores of a calibration, got 1 points"):
        steadfit.load(folder)


@pytest.mark.parametrize("damage", [*BYTES, "foreign", "pickle"])
def test_resuming_from_a_damaged_checkpoint(table: Annotations, folder: Path, damage: str) -> None:
    (folder / "model.safetensors").unlink()
    path = folder / CHECKPOINT
    if damage == "foreign":
        torch.save({"state_dict": {}, "loops": {}, "callbacks": {}, "optimizer_states": []}, path)
    elif damage == "pickle":
        torch.save({"model": torch.nn.Linear(1, 1)}, path)
    else:
        path.write_bytes(BYTES[damage](path.read_bytes()))
    with pytest.raises(
        RunError, match=r"last.ckpt: expected the whole checkpoint of this run, got .* Delete it"
    ) as told:
        fit(table, SETTINGS, folder, device="cpu", resume=True)
    assert "weights_only" not in str(told.value)
    path.unlink()
    assert fit(table, SETTINGS, folder, device="cpu", resume=True).folder == folder


@pytest.mark.parametrize("part", ["state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers", "epoch"])
@pytest.mark.parametrize("value", [None, {}, [], 5])
def test_resuming_from_a_checkpoint_with_other_parts(table: Annotations, folder: Path, part: str, value: Any) -> None:
    """It is refused in words, or what was changed has no meaning for the rest of the training."""
    settings = Settings(noise="predicted-huber", epochs=1, batch_size=16)
    (folder / "model.safetensors").unlink()
    content = torch.load(folder / CHECKPOINT, weights_only=True)
    torch.save(content | {part: value}, folder / CHECKPOINT)
    text = said(lambda: fit(table, settings, folder, device="cpu", resume=True))
    if text is None:
        assert part in ("callbacks", "lr_schedulers", "epoch", "optimizer_states")
    else:
        assert "last.ckpt: expected the whole checkpoint of this run, got" in text
        assert "\n" not in text
