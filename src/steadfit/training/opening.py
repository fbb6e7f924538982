"""A run folder of any kind, opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from torch import nn

from steadfit.errors import ConfigError
from steadfit.noise import NoiseModel
from steadfit.training.cascade.run import CoarseToFine, load_cascade
from steadfit.training.folder import CASCADE, CONFIG, open_config
from steadfit.training.run import Run
from steadfit.training.run import load as load_run

Predictor: TypeAlias = Run | CoarseToFine
"""What predicts and judges labels."""


def load(
    run_folder: str | os.PathLike[str], *, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> Predictor:
    """Open a run folder.

    Args:
        run_folder: what ``steadfit fit`` wrote.
        network: an instance of your own network, where the run used one.
        noise: your own noise model, where the run used one (of a cascade: see
            :func:`~steadfit.training.cascade.load_cascade`).

    Returns:
        A :class:`~steadfit.training.Run`, or of ``--cascade`` a :class:`~steadfit.training.cascade.CoarseToFine`; both
        have ``predict``.

    Raises:
        RunError: the folder holds no finished run, or needs your network or noise model.
        ConfigError: a single network for a cascade.
    """
    if _task(run_folder) != CASCADE:
        return load_run(run_folder, network=network, noise=noise)
    if network is not None or noise is not None:
        raise ConfigError("load: expected no single network for a cascade, got one. Use load_cascade(networks=…).")
    return load_cascade(run_folder)


def _task(run_folder: str | os.PathLike[str]) -> str | None:
    """What the run's configuration calls its task: nothing where one network was trained, or there is no run."""
    folder = Path(run_folder)
    return open_config(folder).get("task") if (folder / CONFIG).is_file() else None
