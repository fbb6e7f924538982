"""A run folder of any task, opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from torch import nn

from steadfit.errors import ConfigError
from steadfit.noise import NoiseModel
from steadfit.training.cascade.run import TASK as CASCADE
from steadfit.training.cascade.run import CoarseToFine, load_cascade
from steadfit.training.classification.run import TASK as CLASSIFICATION
from steadfit.training.classification.run import ClassifierRun, load_classifier
from steadfit.training.folder import CONFIG, open_config
from steadfit.training.run import Run
from steadfit.training.run import load as load_run

Predictor: TypeAlias = Run | CoarseToFine
"""What predicts points or numbers and judges labels."""


def load(
    run_folder: str | os.PathLike[str], *, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> Predictor | ClassifierRun:
    """Open a run folder.

    Args:
        run_folder: what ``steadfit fit`` wrote. network, noise: an instance of your own network and your own noise
            model, where the run used one (of a cascade: see :func:`~steadfit.training.cascade.load_cascade`).

    Returns: a :class:`~steadfit.training.Run`, of ``--cascade`` a :class:`~steadfit.training.cascade.CoarseToFine`, or
        of ``--task classification`` a :class:`~steadfit.training.classification.ClassifierRun`; all have ``predict``.

    Raises: RunError where the folder holds no finished run, or needs your network or noise model.
    """
    if is_classifier(run_folder):
        return load_classifier(Path(run_folder), network=network)
    return load_predictor(run_folder, network=network, noise=noise)


def load_predictor(
    run_folder: str | os.PathLike[str], *, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> Predictor:
    """:func:`load` for a run that is known to be no classifier's."""
    if _task(run_folder) != CASCADE:
        return load_run(run_folder, network=network, noise=noise)
    if network is not None or noise is not None:
        raise ConfigError("load: expected no single network for a cascade, got one. Use load_cascade(networks=…).")
    return load_cascade(run_folder)


def is_classifier(run_folder: str | os.PathLike[str]) -> bool:
    """Whether the folder's run is a classifier's; False where there is no run.

    Raises: RunError where config.yaml is damaged or of a newer format.
    """
    return _task(run_folder) == CLASSIFICATION


def _task(run_folder: str | os.PathLike[str]) -> str | None:
    """What the run's configuration calls its task: nothing where one network regresses, or there is no run."""
    folder = Path(run_folder)
    return open_config(folder).get("task") if (folder / CONFIG).is_file() else None
