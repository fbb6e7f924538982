"""Run folders of any kind, opened by one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import steadfit
from class_data import class_annotations
from steadfit.data import Annotations
from steadfit.errors import RunError
from steadfit.outputs import Classes
from steadfit.recipes import calibrate_run, has_classes
from steadfit.training import Run, Settings, fit
from steadfit.training.prediction import ClassPrediction, Prediction


@pytest.fixture(scope="module")
def regression(table: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(noise="l2", epochs=1, batch_size=16)
    return fit(table, settings, tmp_path_factory.mktemp("regression"), device="cpu").folder


def darker_and_lighter(count: int = 12) -> Annotations:
    label = np.arange(count) % 2
    pixels = (100 * label)[:, None, None, None] + np.random.default_rng(0).integers(0, 99, (count, 3, 8, 8))
    return class_annotations(
        path=Path("grey"), names=("dark", "light"), images=tuple(f"g:{k}" for k in range(count)),
        label=label, split=np.repeat(["train", "val"], [count - 4, 4]), line=np.arange(count),
        size=np.full((count, 2), 8.0), pixels=torch.from_numpy(pixels.astype(np.uint8)),
    )  # fmt: skip


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3 * 8 * 8, 2)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.last(value.flatten(1))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on classes with a network of its own."""
    settings = Settings(output=Classes(), network="tiny", epochs=1, batch_size=4)
    out = tmp_path_factory.mktemp("classes")
    return fit(darker_and_lighter(), settings, out, network=Tiny(), device="cpu").folder


def test_a_folder_says_whether_its_run_is_on_classes(regression: Path, classes: Path, table: Annotations) -> None:
    assert (has_classes(regression), has_classes(str(classes))) == (False, True)
    run, other = steadfit.load(regression), steadfit.load(str(classes), network=Tiny())
    assert isinstance(run, Run)
    assert isinstance(other, Run)
    found, probable = run.predict(table), other.predict(darker_and_lighter())
    assert isinstance(found, Prediction)
    assert found.mean.shape == (90, 2, 1)
    assert isinstance(probable, ClassPrediction)
    assert probable.probability.shape == (12, 2)
    with pytest.raises(RunError, match="trained with the network 'tiny'"):
        steadfit.load(classes)


def test_where_there_is_no_run(tmp_path: Path) -> None:
    for opener in (steadfit.load, has_classes):
        with pytest.raises(RunError, match="no run here, config.yaml is missing"):
            opener(tmp_path / "nowhere")


def test_an_unfinished_run_of_either_kind(regression: Path, classes: Path, tmp_path: Path) -> None:
    for folder in (regression, classes):
        (tmp_path / "config.yaml").write_bytes((folder / "config.yaml").read_bytes())
        with pytest.raises(RunError, match=r"the run is not finished, model.safetensors is missing"):
            steadfit.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"a: [1,", b"\xff\xfe\x00", b"- a\n- b\n", b"", b"task: classification\n",
        b"settings: {}\nschema: {}\nimages: true\n",
        b"images: true\nsize: [8, 8]\nschema: classes\nsettings: {}\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("opener", [steadfit.load, has_classes, calibrate_run])
def test_a_configuration_that_is_none(tmp_path: Path, content: bytes, opener: Callable[[Path], object]) -> None:
    """Whatever is in the file, the message names it."""
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(RunError, match=r"config.yaml: expected"):
        opener(tmp_path)


def test_a_configuration_cannot_run_anything(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"!!python/object/apply:pathlib.Path.mkdir [{tmp_path / 'made'}]\n")
    with pytest.raises(RunError, match=r"config.yaml: expected the configuration of a run, got"):
        steadfit.load(tmp_path)
    assert not (tmp_path / "made").exists()


OLD = {
    "task": "classification", "names": ["dark", "light"], "size": [8, 8],
    "settings": {"loss": "ce", "network": "resnet8", "augment": True},
}  # fmt: skip
"""What classifiers had in config.yaml when they were a kind of run of their own."""


@pytest.mark.parametrize("opener", [steadfit.load, has_classes, calibrate_run])
def test_a_task_that_is_not_known(regression: Path, tmp_path: Path, opener: Callable[[Path], object]) -> None:
    mine = yaml.safe_load((regression / "config.yaml").read_text())
    for config, task in ((OLD, "classification"), (mine | {"task": "regression"}, "regression")):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(
            RunError,
            match=f"config.yaml: expected the run of one network or a cascade, got one of task '{task}'. .* train",
        ):
            opener(tmp_path)


def test_a_task_that_is_not_known_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(OLD))
    settings = Settings(output=Classes(), network="resnet8", epochs=1, batch_size=4)
    with pytest.raises(RunError, match="got one of task 'classification'"):
        fit(darker_and_lighter(), settings, tmp_path, resume=True)
