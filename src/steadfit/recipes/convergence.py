"""The convergence study: how much sooner one noise model reaches the best error of another, over several seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from rich.console import Console

from steadfit._console import say
from steadfit._files import atomic_path, write_csv, write_json
from steadfit.data import Annotations
from steadfit.errors import ConfigError, DataError, DivergedError, RunError
from steadfit.metrics import compare_errors, per_image_error
from steadfit.metrics.convergence import MEASURES, Convergence, Race, middle, summarise
from steadfit.noise import NOISE_MODELS
from steadfit.recipes.compare import check_some_finished, when_diverged
from steadfit.recipes.fit import fit_and_judge, left_out
from steadfit.recipes.opening import check_start
from steadfit.reports.convergence_tables import convergence_table, verdicts
from steadfit.reports.methods import marks
from steadfit.reports.pages.convergence import write_convergence_page
from steadfit.reports.values import amount
from steadfit.training import Judgement, Settings, fit
from steadfit.training.folder import FORMAT_VERSION, read_history

Floats = npt.NDArray[np.float64]
Result = dict[str, Any]


def convergence(
    annotations: Annotations,
    methods: Sequence[str],
    settings: Settings,
    out: str | Path,
    *,
    seeds: int = 3,
    measure: str = "median",
    within: float = 0.0,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
) -> Result:
    """Train two noise models with every seed, and find when each reaches the other's best validation error.

    Writes ``runs/<method>-<seed>/`` (run folders), ``convergence.json`` (what is returned), ``convergence.csv`` (one
    row per method and seed), ``convergence.png``, ``report.html`` and, with test rows, ``errors.parquet`` (one row per
    test image, one column per run).

    Args:
        annotations: the checked table.
        methods: names of two noise models; the first is the reference.
        settings: the settings of all runs, except ``noise``, a scale or warm-up that a noise model does not have, and
            ``seed``, which counts up from that of the settings.
        out: the folder of the study.
        seeds: the number of runs per method.
        measure: the measure of the validation labels' errors: ``"median"``, or ``"mean"``, which a few wrong labels can
            dominate.
        within: the tolerance above a best within which it counts as reached, relative to it, see
            :func:`steadfit.metrics.convergence.summarise`.
        resume: whether to continue a stopped study.
        device: the device to compute on; ``"auto"``: a GPU if there is one.
        console: where progress and results are shown; None: nowhere.

    Returns:
        ``methods``: for each its bests, their epochs and its test errors, by seed; ``races``: to the other's best in
            the
        same seed (``forward``, ``backward``) and to the upper median of its bests (``…_common``), with ``reached`` of
        ``seeds``, the middle seed's epochs and seconds of both, and the speed-ups; ``sentences``; ``diverged``: the
        runs that came to no result. They have no best and no test error, and reach nothing.

    Raises:
        ConfigError: other than two different noise models, no seed, an unknown measure or a negative ``within``.
        RunError: a run that exists already.
        DivergedError: all runs diverge.
        DataError: a table with one training row.
    """
    check_study(methods, seeds, measure, within)
    if len(annotations.rows("train")) < 2:
        raise DataError(f"{annotations.path}: expected at least two training rows, got one.")
    out, numbers = Path(out), [settings.seed + k for k in range(seeds)]
    folders = {method: [out / "runs" / f"{method}-{seed}" for seed in numbers] for method in methods}
    check_start((one for found in folders.values() for one in found), resume=resume, device=device)
    judged: dict[str, list[Judgement | None]] = {method: [] for method in methods}
    diverged: dict[str, DivergedError] = {}
    for k, seed in enumerate(numbers):
        for method in methods:
            chosen, folder = dataclasses.replace(settings.with_noise(method), seed=seed), folders[method][k]
            try:
                judgement = _run(annotations, chosen, folder, resume=resume, device=device, console=console)
            except DivergedError as error:
                judged[method].append(None)
                diverged[f"{method}, seed {seed}"] = error
                say(console, f"{method}, seed {seed}: {when_diverged(error)}")
                continue
            judged[method].append(judgement)
            if console is not None:
                _tell_brief(folder, chosen, measure, annotations.schema.units, judgement, console)
    finished = [method for method in methods if any(one is not None for one in judged[method])]
    check_some_finished("convergence", finished, diverged)
    histories = {
        method: [
            _no_history(measure) if one is None else _history(folder, measure)
            for folder, one in zip(folders[method], judged[method], strict=True)
        ]
        for method in methods
    }
    found = summarise(histories, measure=measure, within=within, first_seed=settings.seed)
    test = _test(annotations, judged, out, numbers)
    result = _numbers(found, test, unit=annotations.schema.units)
    result["diverged"] = {name: {"epoch": one.epoch, "batch": one.batch} for name, one in diverged.items()}
    _write_numbers(out, found, test, result)
    config = {"data": annotations.path.name} | settings.shown() | {"noise": ", ".join(methods), "seeds": seeds}
    config |= {name: when_diverged(one) for name, one in diverged.items()}
    unit = annotations.schema.units
    write_convergence_page(out, config=config, found=found, histories=histories, test=test, unit=unit)
    if console is not None:
        _tell(out, found, test, annotations, console)
        for name, one in diverged.items():
            say(console, f"{name}: {when_diverged(one)}.")
    return result


def check_study(methods: Sequence[str], seeds: int, measure: str = "median", within: float = 0.0) -> None:
    """Check the arguments of :func:`convergence` before anything is read.

    Args:
        methods: names of two noise models.
        seeds: the number of runs per method.
        measure: ``"median"`` or ``"mean"``.
        within: the tolerance above a best, relative to it.

    Raises:
        ConfigError: other than two different noise models, no seed, an unknown measure or a negative ``within``.
    """
    if unknown := [name for name in methods if name not in NOISE_MODELS]:
        raise ConfigError(f"convergence: expected noise models of {', '.join(NOISE_MODELS)}, got {unknown[0]!r}.")
    if len(methods) != 2 or methods[0] == methods[1]:
        raise ConfigError(f"convergence: expected two different noise models, got {', '.join(methods) or 'none'}.")
    if seeds < 1:
        raise ConfigError(f"convergence: expected seeds >= 1, got {seeds}.")
    if measure not in MEASURES:
        raise ConfigError(f"convergence: expected measure to be {' or '.join(MEASURES)}, got {measure!r}.")
    if not 0 <= within < float("inf"):
        raise ConfigError(f"convergence: expected within >= 0 and finite, got {within}.")


def _run(
    annotations: Annotations, settings: Settings, folder: Path, *, resume: bool, device: str, console: Console | None
) -> Judgement:
    """Train, or continue, and judge every label."""
    drawn = (folder / "report.html").exists()  # by the study that is continued
    fit(annotations, settings, folder, resume=resume, device=device, console=console)
    return fit_and_judge(
        annotations, settings, folder, resume=True, device=device, console=None, report=not drawn
    ).judgement


def _history(folder: Path, measure: str) -> pd.DataFrame:
    history = read_history(folder)
    if MEASURES[measure] not in history:
        raise RunError(
            f"{folder / 'history.csv'}: expected a column {MEASURES[measure]!r}, got an older run without it. Take "
            "another measure or train again."
        )
    return history


def _no_history(measure: str) -> pd.DataFrame:
    """The history of a run that diverged: it has no best, and reaches nothing."""
    return pd.DataFrame({"epoch": [1], "seconds": [np.nan], MEASURES[measure]: [np.nan]})


def _test(
    annotations: Annotations, judged: Mapping[str, Sequence[Judgement | None]], out: Path, seeds: Sequence[int]
) -> dict[str, Result] | None:
    """Errors on the test images, mean of each seed, and whether the methods differ; None without a test label.

    The units of the test are images: each has one error per method, its mean over the seeds. (With one pair per seed an
    image would count as often as there are seeds.)
    """
    rows = annotations.rows("test")
    if np.isnan(annotations.target[rows]).any(axis=-1).all():
        return None
    target = torch.from_numpy(annotations.target[rows])
    nothing = np.full(target.shape, np.nan)
    errors = {
        method: np.stack(
            [
                per_image_error(torch.from_numpy(nothing if one is None else one.predicted[rows]), target).numpy()
                for one in found
            ]
        )
        for method, found in judged.items()
    }  # (S, N)
    flat = {f"{method}-{seed}": row for method in errors for seed, row in zip(seeds, errors[method], strict=True)}
    with atomic_path(out / "errors.parquet") as path:
        pd.DataFrame(flat).to_parquet(path, index=False)
    test: dict[str, Result] = {
        method: {"test_error": [_mean(row) for row in found], "p": None, "stars": ""}
        for method, found in errors.items()
    }
    first, second = errors
    each = {method: _over_seeds(found, judged[method]) for method, found in errors.items()}  # (N,)
    if np.isfinite(each[first] - each[second]).any():
        [one] = compare_errors(each, reference=first)
        test[second] |= {"p": one.p, "stars": one.stars}
    return test


def _over_seeds(error: Floats, judged: Sequence[Judgement | None]) -> Floats:
    """Each image's mean error over the seeds that came to a result, (S, N) to (N,); NaN where there is none."""
    kept = [row for row, one in zip(error, judged, strict=True) if one is not None]
    mean = np.mean(kept, axis=0) if kept else np.full(error.shape[1], np.nan)
    return np.where(np.isfinite(mean), mean, np.nan)


def _mean(error: Floats) -> float:
    known = error[np.isfinite(error)]
    return float(known.mean()) if len(known) else float("nan")


def _numbers(found: Convergence, test: Mapping[str, Result] | None, *, unit: str) -> Result:
    """The content of convergence.json."""
    methods = {}
    for method, mark in marks(found.methods).items():
        runs = found.runs[found.runs["method"] == method]
        methods[method] = {"name": mark.label} | {
            name: runs[name].tolist() for name in ("best", "best_epoch", "seconds")
        }
        methods[method] |= {} if test is None else test[method]
    races = ("forward", "backward", "forward_common", "backward_common")
    return {
        "format_version": FORMAT_VERSION,
        "unit": unit,
        "measure": found.measure,
        "within": found.within,
        "seeds": sorted({*map(int, found.runs["seed"])}),
        "methods": methods,
        "races": {name: _race(getattr(found, name)) for name in races},
        "sentences": verdicts(found, unit=unit, test=test),
    }


def _race(race: Race) -> Result:
    middles = {
        name: middle(getattr(race, name))
        for name in ("level", "epochs", "seconds", "reference_epochs", "reference_seconds")
    }
    names = {"method": race.method, "reference": race.reference, "seeds": race.seeds, "reached": race.reached}
    return names | middles | {"speed_up": race.speed_up, "speed_up_seconds": race.speed_up_seconds}


def _write_numbers(out: Path, found: Convergence, test: Mapping[str, Result] | None, result: Result) -> None:
    runs = found.runs
    if test is not None:
        runs = runs.assign(test_error=[error for method in found.methods for error in test[method]["test_error"]])
    write_csv(runs, out / "convergence.csv")
    write_json(result, out / "convergence.json")


def _tell_brief(
    folder: Path, settings: Settings, measure: str, unit: str, judgement: Judgement, console: Console
) -> None:
    history = _history(folder, measure)
    error = history[MEASURES[measure]].to_numpy(dtype=np.float64)
    best = "no validation error"
    if np.isfinite(error).any():
        at = int(np.nanargmin(error))
        best = f"best {measure} validation error {amount(float(error[at]), unit)} at epoch {at + 1} of {len(error)}"
    lines = [f"{settings.method}, seed {settings.seed}: {best}"]
    if judgement.fallen_back:
        lines.append("The mixture considered every label an outlier: the result is the network of the warm-up.")
    for line in lines:
        say(console, line)


def _tell(
    out: Path, found: Convergence, test: Mapping[str, Result] | None, annotations: Annotations, console: Console
) -> None:
    unit = annotations.schema.units
    say(console, convergence_table(found, unit=unit, test=test))
    skipped = left_out(annotations, out / "runs" / f"{found.methods[0]}-{found.runs['seed'].min()}" / "skipped.csv")
    for line in [*verdicts(found, unit=unit, test=test), *skipped, f"Pictures and tables: {out / 'report.html'}"]:
        say(console, line)
