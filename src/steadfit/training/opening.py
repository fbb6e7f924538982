"""A run folder of any task, opened."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from torch import nn

from steadfit.errors import RunError
from steadfit.noise import NoiseModel
from steadfit.training.classification.run import TASK, ClassifierRun, load_classifier
from steadfit.training.run import Run
from steadfit.training.run import load as load_regression


def load(
    run_folder: str | os.PathLike[str], *, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> Run | ClassifierRun:
    """Open a run folder.

    Args:
        run_folder: what ``steadfit fit`` wrote. network, noise: an instance of your own network and your own noise
            model, where the run used one.

    Returns: a :class:`~steadfit.training.Run`, or of ``--task classification`` a
        :class:`~steadfit.training.classification.ClassifierRun`; both have ``predict``.

    Raises: RunError where the folder holds no finished run, or needs your network or noise model.
    """
    if is_classifier(run_folder):
        return load_classifier(Path(run_folder), network=network)
    return load_regression(run_folder, network=network, noise=noise)


def is_classifier(run_folder: str | os.PathLike[str]) -> bool:
    """Whether the folder's run is a classifier's; False where there is no run.

    Raises: RunError where config.yaml is no YAML.
    """
    path = Path(run_folder) / "config.yaml"
    if not path.is_file():
        return False
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: expected the configuration of a run, got {error}.") from None
    return isinstance(config, dict) and config.get("task") == TASK
