"""Several noise models on one table: runs, a table of errors with Wilcoxon stars, figures, a report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from steadfit.data import Annotations
from steadfit.data.files import atomic_path, write_json
from steadfit.errors import ConfigError
from steadfit.metrics import best_stars, compare_errors, outlier_scores, per_image_error
from steadfit.recipes.fitting import Flags, fit_run, image_loader, labels_of
from steadfit.reports.pages import report_comparison
from steadfit.reports.tables import comparison_frame, comparison_table
from steadfit.training import Judgement, Run, Settings
from steadfit.training.outcome import errors

Result = dict[str, Any]


def compare(
    annotations: Annotations,
    methods: Sequence[str],
    settings: Settings,
    out: str | Path,
    *,
    truth: Flags | None = None,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    title: str | None = None,
) -> dict[str, Result]:
    """Train every noise model under the same settings and compare them on the test rows.

    Writes ``runs/<method>/`` (run folders), ``comparison.csv``, ``comparison.json``, ``errors.parquet`` (one row an
    image, one column a method), figures and ``report.html``.

    Args: methods: names of noise models, at least two. truth: (N, K), which labels are known to be wrong. Others as
        :func:`steadfit.recipes.fit_run`.

    Returns: for every method its per-image errors, their mean, failure rate, RMSE, the scores of its suspects where the
        truth is known, Holm's p against the best method, stars.

    Raises: ConfigError for fewer than two methods or the same twice.
    """
    if len(methods) < 2 or len(set(methods)) != len(methods):
        raise ConfigError(f"compare: expected two or more different noise models, got {', '.join(methods) or 'none'}.")
    out, results, runs = Path(out), {}, {}
    for method in methods:
        start = time.perf_counter()
        chosen = dataclasses.replace(settings, noise=method)
        folder = out / "runs" / method
        runs[method] = fit_run(
            annotations, chosen, folder, resume=resume, device=device, console=console, truth=truth
        )
        judgement = runs[method].judge(annotations)
        results[method] = score(annotations, judgement, truth) | {"seconds": time.perf_counter() - start}
        results[method]["judgement"] = judgement
    _significance(results)
    _write(out, annotations, results, runs, settings, truth, title)
    if console is not None:
        console.print(comparison_table(results, unit=annotations.schema.units, title=title or ""))
        console.print(f"Pictures and tables: {out / 'report.html'}", soft_wrap=True, highlight=False)
    return results


def score(annotations: Annotations, judgement: Judgement, truth: Flags | None) -> Result:
    """Errors on the test rows, and how well the suspects among the training labels are the wrong ones."""
    test, train = annotations.rows("test"), annotations.rows("train")
    predicted, target = judgement.predicted[test], annotations.target[test]
    found = errors(predicted, annotations.take(test))
    labelled = ~np.isnan(judgement.trust[train])
    result: Result = {
        "error": per_image_error(torch.from_numpy(predicted), torch.from_numpy(target)).numpy(),
        "failure_rate": found.get("failure_rate"),
        "rmse": found["rmse"],
        "suspects": float(judgement.suspect[train][labelled].mean()),
        "error_rate": judgement.error_rate,
    }
    result["mean"] = float(np.nanmean(result["error"]))
    if truth is not None:
        scores = outlier_scores(
            judgement.suspect[train][labelled], truth[train][labelled], judgement.trust[train][labelled]
        )
        result |= {name: getattr(scores, name) for name in ("precision", "recall", "f1", "average_precision")}
    return result


def _significance(results: dict[str, Result]) -> None:
    """Stars for the best method (better than every other one), Holm's p of the others against it."""
    table = {method: result["error"] for method, result in results.items()}
    best, stars = best_stars(table)
    results[best] |= {"stars": stars, "p_holm": None}
    for comparison in compare_errors(table, reference=best):
        results[comparison.method] |= {"stars": comparison.stars, "p_holm": comparison.adjusted}


def _write(
    out: Path,
    annotations: Annotations,
    results: dict[str, Result],
    runs: dict[str, Run],
    settings: Settings,
    truth: Flags | None,
    title: str | None,
) -> None:
    units, judgements = annotations.schema.units, {m: r.pop("judgement") for m, r in results.items()}
    with atomic_path(out / "errors.parquet") as path:
        pd.DataFrame({m: r["error"] for m, r in results.items()}).to_parquet(path, index=False)
    with atomic_path(out / "comparison.csv") as path:
        comparison_frame(results, unit=units).to_csv(path)
    numbers = {m: {k: v for k, v in r.items() if k != "error"} for m, r in results.items()}
    write_json(numbers, out / "comparison.json")
    best = "gum" if "gum" in runs else next(iter(runs))
    load, length = image_loader(annotations), annotations.length
    report_comparison(
        out,
        config={"data": annotations.path.name} | settings.to_dict() | {"noise": ", ".join(results)},
        results=results,
        histories={method: pd.read_csv(run.folder / "history.csv") for method, run in runs.items()},
        gallery_of=None if load is None else (labels_of(annotations, judgements[best], truth), load),
        title=title,
        unit=units,
        threshold=None if length is None else 0.05,
        length=None if length is None else float(np.mean(length[annotations.rows("test")])),
        failure="error above 5 % of the normalising length",
        truth=None if truth is None else float(truth[annotations.rows("train")].mean()),
    )
