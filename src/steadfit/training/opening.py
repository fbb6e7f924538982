"""Opening a run folder of any kind."""

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
"""A trained run or cascade, which predicts and judges labels."""


def load(
    run_folder: str | os.PathLike[str], *, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> Predictor:
    """Open a run folder.

    Args:
        run_folder: the folder that ``steadfit fit`` wrote.
        network: an instance of the custom network, where the run used one.
        noise: the custom noise model, where the run used one (for a cascade see
            :func:`~steadfit.training.cascade.load_cascade`).

    Returns:
        A :class:`~steadfit.training.Run`, or for ``--cascade`` a :class:`~steadfit.training.cascade.CoarseToFine`; both
        have ``predict``.

    Raises:
        RunError: the folder contains no finished run, or the run needs a custom network or noise model.
        ConfigError: a single network for a cascade.
    """
    if _task(run_folder) != CASCADE:
        return load_run(run_folder, network=network, noise=noise)
    if network is not None or noise is not None:
        raise ConfigError("load: expected no single network for a cascade, got one. Use load_cascade(networks=…).")
    return load_cascade(run_folder)


def _task(run_folder: str | os.PathLike[str]) -> str | None:
    """The task in the run's configuration; None where one network was trained, or where there is no run."""
    folder = Path(run_folder)
    return open_config(folder).get("task") if (folder / CONFIG).is_file() else None
