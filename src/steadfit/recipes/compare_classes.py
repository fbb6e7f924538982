"""The comparison of several losses for classes, over several seeds: accuracy, exact paired tests, figures, a report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from steadfit._console import say
from steadfit._files import atomic_path, write_csv, write_json
from steadfit.data import Annotations
from steadfit.errors import ConfigError, DataError, DivergedError
from steadfit.metrics.accuracy import compare_accuracy
from steadfit.outputs import CLASS_LOSSES, Classes
from steadfit.recipes.compare import check_some_finished, when_diverged, without_result
from steadfit.recipes.fit import fit_and_judge
from steadfit.recipes.opening import check_start
from steadfit.reports.comparison_tables import comparison_table
from steadfit.reports.methods import marks
from steadfit.reports.pages.comparison import write_comparison_page
from steadfit.reports.training_curves import TOP1, validation_curves
from steadfit.training import Settings
from steadfit.training.folder import read_history

Result = dict[str, Any]


def compare_losses(
    annotations: Annotations,
    losses: Sequence[str],
    settings: Settings,
    out: str | Path,
    *,
    seeds: int = 1,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    title: str | None = None,
) -> dict[str, Result]:
    """Train with every loss under the same settings, with several seeds, and compare on the test images.

    Writes ``runs/<loss>-<seed>/`` (run folders), ``comparison.csv`` and ``comparison.json`` (the same numbers),
    ``errors.parquet`` (one row per test image, one column per run: whether it is right), figures and ``report.html``. A
    loss whose training diverges with any of the seeds comes last, with ``diverged_epoch`` and ``diverged_batch``
    instead of numbers, and is in no figure.

    Args:
        annotations: the checked images with classes.
        losses: keys of :data:`steadfit.outputs.CLASS_LOSSES`, at least two.
        settings: the settings that all runs share, with :class:`~steadfit.outputs.Classes` as their output; its loss is
            replaced.
        out: the folder of the comparison.
        seeds: the number of runs of each loss; the seeds are settings.seed, settings.seed + 1, ...
        resume: whether to continue a stopped comparison.
        device: the device to compute on; ``"auto"``: a GPU if there is one.
        console: where progress and results are shown; None: nowhere.
        title: the title of the table; None: a standard one.

    Returns:
        For every loss the mean of top-1 and top-5 over the seeds and their standard deviations, the difference of its
        top-1 to the best loss's, Holm's p of the exact sign-flip test over the images against it, stars.

    Raises:
        ConfigError: fewer than two losses or the same twice, or settings of another output.
        DataError: no test images.
        RunError: a run that exists already.
        DivergedError: no loss comes to a result.
    """
    check_losses(losses, seeds)
    output = settings.output
    if not isinstance(output, Classes):
        raise ConfigError("compare: expected settings for classes, got others. Give them output=Classes().")
    test = annotations.rows("test")
    if not len(test):
        raise DataError(f"{annotations.path}: expected test images to compare on, got none.")
    outputs = {loss: dataclasses.replace(output, loss=loss) for loss in losses}
    out, plan = Path(out), [(loss, settings.seed + k) for k in range(seeds) for loss in losses]
    check_start((out / "runs" / f"{loss}-{seed}" for loss, seed in plan), resume=resume, device=device)
    tables: dict[str, list[pd.DataFrame]] = {loss: [] for loss in losses}
    diverged: dict[str, DivergedError] = {}
    for loss, seed in plan:
        chosen, folder = dataclasses.replace(settings, output=outputs[loss], seed=seed), out / "runs" / f"{loss}-{seed}"
        drawn = (folder / "report.html").exists()  # by the comparison that is continued
        try:
            fitted = fit_and_judge(
                annotations,
                chosen,
                folder,
                resume=resume,
                device=device,
                console=console,
                report=not drawn,
                brief=True,
            )
        except DivergedError as error:
            diverged.setdefault(loss, error)
            say(console, f"{loss}, seed {seed}: {when_diverged(error)}")
            continue
        tables[loss].append(fitted.table)
    finished = [loss for loss in losses if loss not in diverged]
    check_some_finished("compare", finished, diverged)
    folders = {loss: [out / "runs" / f"{loss}-{settings.seed + k}" for k in range(seeds)] for loss in finished}
    results = {loss: _summary(folders[loss]) for loss in finished}
    right = {loss: np.array([_right(table)[test] for table in tables[loss]]) for loss in finished}
    best = _significance(results, right)
    last = {loss: without_result(one) for loss, one in diverged.items()}
    _write_numbers(out, annotations, results | last, right, settings.seed)
    histories = {loss: [read_history(folder) for folder in folders[loss]] for loss in finished}
    against = marks(results)[best].label
    write_comparison_page(
        out,
        config={"data": annotations.path.name}
        | settings.shown()
        | {"loss": ", ".join(losses), "seeds": seeds}
        | {loss: when_diverged(one) for loss, one in diverged.items()},
        results=results,
        panels=[validation_curves(histories, "val_top1", label="validation top-1", what=TOP1)],
        against=against,
    )
    if console is not None:
        say(console, comparison_table(results, title=title or "", against=against))
        for loss, one in diverged.items():
            say(console, f"{marks(results | last)[loss].label}: {when_diverged(one)}.")
        say(console, f"Pictures and tables: {out / 'report.html'}")
    return results | last


def check_losses(losses: Sequence[str], seeds: int = 1) -> None:
    """Check the losses and the number of seeds.

    Raises:
        ConfigError: fewer than two losses, the same twice, an unknown one, or no seed.
    """
    if unknown := [name for name in losses if name not in CLASS_LOSSES]:
        raise ConfigError(f"compare: expected losses of {', '.join(CLASS_LOSSES)}, got {unknown[0]!r}.")
    if len(losses) < 2 or len(set(losses)) != len(losses):
        raise ConfigError(f"compare: expected two or more different losses, got {', '.join(losses) or 'none'}.")
    if seeds < 1:
        raise ConfigError(f"compare: expected seeds >= 1, got {seeds}.")


def _right(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return (table["label"] == table["predicted"]).to_numpy(dtype=bool)


def _summary(folders: Sequence[Path]) -> Result:
    """Mean and deviation of a loss's seeds."""
    scores = [json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["test"] for folder in folders]
    result: Result = {"seeds": len(folders)}
    for name in ("top1", "top5"):
        values = np.array([score[name] for score in scores])
        result |= {name: float(values.mean()), f"{name}_sd": float(values.std(ddof=1)) if len(values) > 1 else None}
    result["seconds"] = sum(float(read_history(folder)["seconds"].sum()) for folder in folders)
    return result


def _significance(results: dict[str, Result], right: dict[str, npt.NDArray[np.bool_]]) -> str:
    """Add difference, Holm's p and stars against the best loss, which is returned."""
    comparisons = compare_accuracy(right)
    best = comparisons[0].reference if comparisons else next(iter(results))
    results[best] |= {"difference": None, "p_holm": None, "stars": ""}
    for one in comparisons:
        results[one.method] |= {"difference": one.difference, "p_holm": one.adjusted, "stars": one.stars}
    return best


def _write_numbers(
    out: Path,
    annotations: Annotations,
    results: dict[str, Result],
    right: dict[str, npt.NDArray[np.bool_]],
    first_seed: int,
) -> None:
    test = annotations.rows("test")
    flags = {f"{loss}-{first_seed + k}": row for loss, rows in right.items() for k, row in enumerate(rows)}
    images = {
        "image": list(annotations.take(test).images or ()),
        "label": [annotations.schema.classes[annotations.label[row]] for row in test],
    }
    with atomic_path(out / "errors.parquet") as path:
        pd.DataFrame(images | flags).to_parquet(path, index=False)
    names = marks(results)
    numbers = {loss: {"name": names[loss].label} | result for loss, result in results.items()}
    write_csv(pd.DataFrame.from_dict(numbers, orient="index"), out / "comparison.csv", index_label="loss")
    write_json(numbers, out / "comparison.json")
