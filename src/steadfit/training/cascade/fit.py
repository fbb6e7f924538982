"""The training of a cascade: the first stage, the places of its crops, then one stage per region."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import nn

from steadfit import _checks
from steadfit._console import say
from steadfit.data import Annotations, Misplacing, Region, Warp, warn_gross
from steadfit.errors import ConfigError
from steadfit.noise import NoiseModel
from steadfit.training.cascade.placing import PLACINGS, estimates, fold_rows, observed_errors
from steadfit.training.cascade.run import COARSE, FINE, CoarseToFine, check_points, check_regions
from steadfit.training.fit import Parts, fit_part
from steadfit.training.folder import CASCADE, MODEL, describe, read_config, write_config
from steadfit.training.judgement import Judgement
from steadfit.training.known import write_rows
from steadfit.training.run import Run
from steadfit.training.settings import Settings
from steadfit.training.trainer import check_same, occupied

LONGEST = 200
"""The largest number of bytes in the name of a region."""


def fit_cascade(
    annotations: Annotations,
    coarse: Settings,
    fine: Settings | Mapping[str, Settings],
    regions: Sequence[Region],
    out: str | Path,
    *,
    placing: str = "jitter",
    folds: int = 5,
    networks: Mapping[str, nn.Module] | None = None,
    noises: Mapping[str, NoiseModel] | None = None,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
) -> CoarseToFine:
    """Train both stages into one folder, in which ``coarse/`` and ``fine/<region>/`` are run folders.

    Args:
        annotations: the checked table of points in images, with rows for training and validation.
        coarse: the settings of the first stage.
        fine: the settings of the second stage, for all regions or for each by its name.
        regions: which points are estimated again, and where.
        out: the cascade's folder.
        placing: where training crops are placed. ``"jitter"``: by the first stage's estimates of its training images,
            misplaced anew in every epoch by errors that it makes on validation images. ``"folds"``: by estimates of
            networks that were not trained on the image, which takes ``folds`` more trainings of the first stage.
        folds: the number of these trainings.
        networks: custom modules by stage: ``"coarse"`` or a region's name. With ``"folds"`` the first stage has to be
            one that settings name.
        noises: custom noise models by stage, with the same rule.
        resume: whether to continue from the last finished epoch of the stage that was stopped.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        console: where progress is shown; None: nowhere.

    Raises:
        RunError: ``out`` contains a run and ``resume`` is False, or contains another one.
        ConfigError: contradictory options.
    """
    out, networks, noises = Path(out), networks or {}, noises or {}
    _checks.one_of("fit_cascade", "placing", placing, PLACINGS)
    by_region = _settings_of(fine, regions)
    _check(annotations, regions, placing, folds, {*networks, *noises})
    for name, settings in {COARSE: coarse, **by_region}.items():  # before hours are spent on the first of them
        Parts.of(annotations, settings, networks.get(name), noises.get(name))
    content = _content(annotations, coarse, by_region, regions, placing, folds)
    if (out / "config.yaml").exists():
        _check_folder(out, content, resume)
    write_config(out, content)
    write_rows(annotations, out)
    if not (out / COARSE / MODEL).exists():
        warn_gross(annotations)  # once: the folds and regions have the same labels, and columns of their own
    annotations = annotations.with_store(coarse.channels)
    stages = _Stages(out, networks, noises, resume, device, console)
    first = stages.train(COARSE, annotations, coarse, COARSE)
    refit = partial(_out_of_fold, stages, annotations, coarse, folds) if placing == "folds" else None
    estimate, trusted = estimates(first, annotations, out, refit, folds)
    runs = []
    for region in regions:
        assert annotations.size is not None  # checked
        part = region.part(annotations, region.boxes(estimate, annotations.size, annotations.box))
        errors = np.zeros((0, 3)) if refit else observed_errors(region, annotations, estimate, trusted)
        settings = by_region[region.name]
        augment = _augment(settings, errors)
        runs.append(stages.train(region.name, part, settings, f"{FINE}/{region.name}", augment))
    return CoarseToFine(first, runs, regions, folder=out)


@dataclass(frozen=True)
class _Stages:
    """Trains one stage after the other into the cascade's folder, or opens those that are trained."""

    out: Path
    networks: Mapping[str, nn.Module]
    noises: Mapping[str, NoiseModel]
    resume: bool
    device: str
    console: Console | None

    def train(
        self, name: str, table: Annotations, settings: Settings, folder: str, augment: Misplacing | None = None
    ) -> Run:
        say(self.console, f"{name}:", style="bold")
        return fit_part(
            table,
            settings,
            self.out / folder,
            network=self.networks.get(name),
            noise=self.noises.get(name),
            augment=augment,
            resume=self.resume,
            device=self.device,
            console=self.console,
        )


def _out_of_fold(stages: _Stages, annotations: Annotations, settings: Settings, folds: int, fold: int) -> Judgement:
    """The verdict on all rows of a first stage that was not trained on a fold."""
    split = annotations.split.copy()
    split[fold_rows(annotations, fold, folds, settings.seed)] = "test"
    others = dataclasses.replace(annotations, split=split)
    run = stages.train(f"fold {fold + 1} of {folds}", others, settings, f"folds/{fold}")
    return run.judge(annotations)


def _augment(settings: Settings, errors: np.ndarray[Any, Any]) -> Misplacing:
    """Random maps: misplaced crops, then the settings' warps, or mirroring alone."""
    still = Warp(rotation=0, scale=1, anisotropy=1, perspective=0, shift=0)
    warp = settings.plan.warp if settings.warp else still
    return Misplacing(errors, dataclasses.replace(warp, mirror=0.5 if settings.mirror else 0.0))


def _settings_of(fine: Settings | Mapping[str, Settings], regions: Sequence[Region]) -> dict[str, Settings]:
    if isinstance(fine, Settings):
        return {region.name: fine for region in regions}
    names = {region.name for region in regions}
    if odd := sorted(names ^ set(fine)):
        raise ConfigError(
            f"fit_cascade: expected settings for {', '.join(sorted(names))}, got a difference in {odd[0]!r}."
        )
    return dict(fine)


def check_table(annotations: Annotations) -> None:
    """Refuse a table of anything but points in images.

    Raises:
        ConfigError: another table.
    """
    if annotations.images is None:
        raise ConfigError("cascade: expected images, got a table of features. Leave out --cascade.")
    check_points(annotations.schema)


def _check(annotations: Annotations, regions: Sequence[Region], placing: str, folds: int, stages: set[str]) -> None:
    check_table(annotations)
    check_regions(regions, annotations.schema)
    for region in regions:
        if len(region.name.encode()) > LONGEST:  # it names a folder, and files in it
            raise ConfigError(
                f"cascade: expected names of regions of up to {LONGEST} bytes, got {region.name[:40]!r}…."
            )
    if reserved := [region.name for region in regions if region.name == COARSE]:
        raise ConfigError(f"cascade: expected another name for region {reserved[0]!r}, which is the first stage's.")
    if unknown := sorted(stages - {COARSE, *(region.name for region in regions)}):
        raise ConfigError(f"fit_cascade: expected networks and noises by stage, got one for {unknown[0]!r}.")
    if placing == "folds" and not 2 <= folds <= len(annotations.rows("train")):
        raise ConfigError(f"cascade: expected 2 to {len(annotations.rows('train'))} folds, got {folds}.")
    if placing == "folds" and COARSE in stages:
        raise ConfigError("cascade: expected a named network and noise model for the first stage with folds, got one.")


def _content(
    annotations: Annotations,
    coarse: Settings,
    fine: Mapping[str, Settings],
    regions: Sequence[Region],
    placing: str,
    folds: int,
) -> dict[str, Any]:
    """The content of config.yaml: that of the first stage, and what makes it a cascade."""
    return describe(annotations, coarse) | {
        "task": CASCADE,
        "placing": placing,
        "folds": folds,
        "regions": [region.to_dict() for region in regions],
        "fine": {name: settings.to_dict() for name, settings in fine.items()},
    }


def _check_folder(out: Path, content: dict[str, Any], resume: bool) -> None:
    if not resume:
        raise occupied(out)
    _, before = read_config(out)
    words = {"settings": "the first stage's settings", "fine": "the second stage's settings", "regions": "the regions"}
    words |= {"placing": "--placing", "folds": "the folds", "task": "the task", "fingerprint": "the data"}
    check_same(out, [word for key, word in words.items() if before.get(key) != content[key]])
