"""Run folders of any task, opened by one function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from steadfit.training.classification import ClassifierRun, ClassifierSettings
from steadfit.training.classification import fit as fit_classifier
from torch import nn

import steadfit
from class_data import class_annotations
from steadfit.data import Annotations
from steadfit.errors import RunError
from steadfit.training import Run, Settings, fit
from steadfit.training.opening import is_classifier


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
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with a network of its own."""
    settings, out = ClassifierSettings(network="tiny", epochs=1, batch_size=4), tmp_path_factory.mktemp("classes")
    return fit_classifier(darker_and_lighter(), settings, out, network=Tiny(), device="cpu").folder


def test_the_task_is_in_the_folder(regression: Path, classifier: Path, table: Annotations) -> None:
    assert (is_classifier(regression), is_classifier(str(classifier))) == (False, True)
    run, other = steadfit.load(regression), steadfit.load(str(classifier), network=Tiny())
    assert isinstance(run, Run)
    assert isinstance(other, ClassifierRun)
    assert run.predict(table).mean.shape == (90, 2, 1)
    probability = other.predict(darker_and_lighter()).probability
    assert probability.shape == (12, 2)
    with pytest.raises(RunError, match="trained with the network 'tiny'"):
        steadfit.load(classifier)


def test_where_there_is_no_run(tmp_path: Path) -> None:
    assert not is_classifier(tmp_path / "nowhere")
    with pytest.raises(RunError, match="no run here, config.yaml is missing"):
        steadfit.load(tmp_path / "nowhere")


def test_an_unfinished_run_of_either_task(regression: Path, classifier: Path, tmp_path: Path) -> None:
    for folder in (regression, classifier):
        (tmp_path / "config.yaml").write_bytes((folder / "config.yaml").read_bytes())
        with pytest.raises(RunError, match=r"the run is not finished, model.safetensors is missing"):
            steadfit.load(tmp_path)


@pytest.mark.parametrize("content", [b"a: [1,", b"\xff\xfe\x00", b"- a\n- b\n", b"", b"task: classification\n"])
def test_a_configuration_that_is_none(tmp_path: Path, content: bytes) -> None:
    """Whatever is in the file, the message names it."""
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(RunError, match=r"config.yaml: expected"):
        steadfit.load(tmp_path)


def test_a_configuration_cannot_run_anything(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"!!python/object/apply:pathlib.Path.mkdir [{tmp_path / 'made'}]\n")
    with pytest.raises(RunError, match=r"config.yaml: expected the configuration of a run, got"):
        steadfit.load(tmp_path)
    assert not (tmp_path / "made").exists()


def test_another_task_is_no_classifier(regression: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((regression / "config.yaml").read_text()) | {"task": "regression"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert not is_classifier(tmp_path)
