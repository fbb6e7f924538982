"""The comparison of several noise models on one table: runs, errors with Wilcoxon stars, figures, a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from steadfit._console import say
from steadfit._files import atomic_path, write_csv, write_json
from steadfit.audit import labels_of
from steadfit.data import Annotations
from steadfit.errors import ConfigError, DivergedError
from steadfit.evaluation.measures import detection, measured
from steadfit.metrics import best_stars, body_parts, compare_errors, per_image_error
from steadfit.metrics.thresholds import FAILURE
from steadfit.networks import HEATMAP_NETWORKS
from steadfit.noise import NOISE_MODELS
from steadfit.outputs import HEATMAP_LOSSES, Heatmaps
from steadfit.recipes.fit import fit_and_judge, left_out, trained
from steadfit.recipes.opening import Flags, check_start
from steadfit.recipes.panels import MEASURE, PARTS_MEASURE, comparison_figures, image_loader
from steadfit.reports.comparison_figures import error_cdf, failure_bars
from steadfit.reports.comparison_tables import best_method, comparison_table
from steadfit.reports.keypoint_tables import PCP, joint_groups, part_groups, share_table
from steadfit.reports.methods import marks
from steadfit.reports.pages.comparison import write_comparison_page
from steadfit.reports.suspects_gallery import gallery
from steadfit.reports.training_curves import training_curves
from steadfit.training import Judgement, Settings
from steadfit.training.folder import read_history

Result = dict[str, Any]


def compare(
    annotations: Annotations,
    methods: Sequence[str],
    settings: Settings,
    out: str | Path,
    *,
    losses: Sequence[str] = (),
    truth: Flags | None = None,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    title: str | None = None,
) -> dict[str, Result]:
    """Train every noise model, for heatmap networks with every loss, and compare them on the test rows.

    Writes ``runs/<method>/`` (run folders), ``comparison.csv`` and ``comparison.json`` (the same numbers, one row or
    entry per method), ``errors.parquet`` (one row per test image, one column per method), figures and ``report.html``.

    Args:
        annotations: the checked table.
        methods: names of noise models.
        settings: the settings that all runs share.
        out: the folder of the comparison.
        losses: for heatmap networks, names of losses; at least two runs in total, see :func:`variants`.
        truth: (N, K), which labels are known to be wrong, to score the suspects; None: unknown.
        resume: whether to continue a stopped comparison.
        device: the device to compute on; ``"auto"``: a GPU if there is one.
        console: where progress and results are shown; None: nowhere.
        title: the title of the table; None: a standard one.

    Returns:
        For every method its per-image errors, their mean, failure rate, RMSE, the scores of its suspects where the
        truth is known, Holm's p against the best method, stars. Methods whose training diverges come last, with
        ``diverged_epoch`` and ``diverged_batch`` instead; they are in no figure.

    Raises:
        ConfigError: fewer than two methods, or the same twice.
        RunError: a run that exists already.
        DivergedError: no method comes to a result.
    """
    chosen_by_method = variants(methods, losses, settings)
    out, results, judgements, histories = Path(out), {}, {}, {}
    diverged: dict[str, DivergedError] = {}
    check_start((out / "runs" / method for method in chosen_by_method), resume=resume, device=device)
    for method, chosen in chosen_by_method.items():
        folder = out / "runs" / method
        try:
            judgements[method] = fit_and_judge(
                annotations, chosen, folder, resume=resume, device=device, console=console, truth=truth, brief=True
            ).judgement
        except DivergedError as error:
            diverged[method] = error
            say(console, f"{method}: {when_diverged(error)}")
            continue
        histories[method] = read_history(folder)
        results[method] = score(annotations, judgements[method], truth)
        results[method]["seconds"] = float(histories[method]["seconds"].sum())
    check_some_finished("compare", results, diverged)
    _significance(results)
    ranked = results | {method: without_result(one) for method, one in diverged.items()}
    _write_numbers(out, results, ranked)
    config = {"data": annotations.path.name} | settings.shown() | {"noise": ", ".join(methods)}
    config |= {"loss": ", ".join(losses)} if losses else {}
    config |= {method: when_diverged(one) for method, one in diverged.items()}
    _write_report(out, annotations, results, judgements, histories, config, truth, title)
    if console is not None:
        for line in left_out(annotations, out / "runs" / next(iter(results)) / "skipped.csv"):
            say(console, line)
        say(console, comparison_table(ranked, unit=annotations.schema.units, title=title or ""))
        for method, one in diverged.items():
            say(console, f"{marks(ranked)[method].label}: {when_diverged(one)}.")
        if isinstance(settings.output, Heatmaps) and annotations.length is not None:
            groups = joint_groups(annotations.schema.points, annotations.schema.pairs)
            say(console, share_table(results, groups, what=MEASURE))
        if parts := body_parts(annotations.schema.points):
            say(console, share_table(results, part_groups(parts), PCP, what=PARTS_MEASURE))
        say(console, f"Pictures and tables: {out / 'report.html'}")
    return ranked


def when_diverged(error: DivergedError) -> str:
    """The text that replaces the numbers of a method whose training diverged."""
    return f"diverged in epoch {error.epoch}{'' if error.batch is None else f', from batch {error.batch} on'}"


def check_some_finished(who: str, finished: Collection[str], diverged: Mapping[str, DivergedError]) -> None:
    """Check that something is left to compare.

    Args:
        who: the command, for the message.
        finished: the methods that came to a result.
        diverged: the errors of the others.

    Raises:
        DivergedError: no method has finished.
    """
    if not finished:
        first = next(iter(diverged.values()))
        message = f"{who}: expected a method that comes to a result, got none: {', '.join(diverged)} diverged. {first}"
        raise DivergedError(message, epoch=first.epoch, batch=first.batch)


def without_result(error: DivergedError) -> Result:
    """What a table has instead of the numbers of a method whose training diverged."""
    return {"diverged_epoch": error.epoch, "diverged_batch": error.batch}


def variants(methods: Sequence[str], losses: Sequence[str], settings: Settings) -> dict[str, Settings]:
    """The settings of every run of a comparison, by its name.

    A name is the noise model's; with one noise model and several losses it is the loss's, and with several of both it
    has both: ``anchor+gum``. Without losses the loss is that of the settings. A scale or a warm-up is passed to the
    noise models that have one (:meth:`~steadfit.training.Settings.with_noise`).

    Args:
        methods: names of noise models.
        losses: names of losses.
        settings: the settings that all runs share.

    Raises:
        ConfigError: fewer than two runs, the same twice, or unknown names.
    """
    _check_names("noise models", methods, NOISE_MODELS)
    _check_names("losses", losses, HEATMAP_LOSSES)
    if losses and not isinstance(settings.output, Heatmaps):
        raise ConfigError(
            f"compare: expected a heatmap network ({', '.join(HEATMAP_NETWORKS)}) for losses, got {settings.network!r}."
        )
    if len(methods) * max(len(losses), 1) < 2:
        what = "noise models or losses" if isinstance(settings.output, Heatmaps) else "noise models"
        got = ", ".join((*methods, *losses)) or "none"
        raise ConfigError(f"compare: expected two or more different {what}, got {got}.")
    if not losses:
        return {name: settings.with_noise(name) for name in methods}
    assert settings.output is not None
    outputs = {loss: dataclasses.replace(settings.output, loss=loss) for loss in losses}
    return {
        loss if len(methods) == 1 else f"{loss}+{noise}": dataclasses.replace(settings.with_noise(noise), output=output)
        for loss, output in outputs.items()
        for noise in methods
    }


def _check_names(what: str, names: Sequence[str], known: Collection[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"compare: expected {what} of {', '.join(known)}, got {unknown[0]!r}.")
    if len(set(names)) != len(names):
        raise ConfigError(f"compare: expected different {what}, got {', '.join(names)}.")


SHARES = ("pck", "pck_area", "pcp", "pcp_loose", "swaps", "double", "double_right")
BY_NAME = ("pck_by_point", "pcp_by_part", "point_error_by_point")


def score(annotations: Annotations, judgement: Judgement, truth: Flags | None) -> Result:
    """Errors on the test rows, and how well the suspects among the training labels agree with the truth.

    Args:
        annotations: the table.
        judgement: the verdict on its labels.
        truth: (N, K), which labels are known to be wrong; None: no scores of the suspects.
    """
    test, train = annotations.rows("test"), annotations.rows("train")
    predicted, target = judgement.predicted[test], annotations.target[test]
    found = measured(judgement, annotations, test)
    labelled = ~np.isnan(judgement.trust[train])
    result: Result = {
        "error": per_image_error(torch.from_numpy(predicted), torch.from_numpy(target)).numpy(),
        "failure_rate": found.get("failure_rate"),
        "rmse": found["rmse"],
        "nll": found.get("nll"),
        "suspects": float(judgement.suspect[train][labelled].mean()),
        "error_rate": judgement.error_rate,
    }
    result |= {name: found[name] for name in (*SHARES, *BY_NAME) if name in found}
    result["mean"] = float(np.nanmean(result["error"]))
    if truth is not None:
        result |= {k: v for k, v in detection(judgement, annotations, truth).items() if k != "wrong"}
    return result


def _significance(results: dict[str, Result]) -> None:
    """Add stars for the best method (better than every other one) and Holm's p of the others against it."""
    table = {method: result["error"] for method, result in results.items()}
    best, stars = best_stars(table)
    results[best] |= {"stars": stars, "p_holm": None}
    for comparison in compare_errors(table, reference=best):
        results[comparison.method] |= {"stars": comparison.stars, "p_holm": comparison.adjusted}


def _write_numbers(out: Path, results: dict[str, Result], ranked: dict[str, Result]) -> None:
    """Write the tables; ``results`` has the methods that finished, ``ranked`` all of them."""
    with atomic_path(out / "errors.parquet") as path:
        pd.DataFrame({m: r["error"] for m, r in results.items()}).to_parquet(path, index=False)
    names = marks(ranked)
    lists = ("error", *BY_NAME)
    numbers = {m: {"name": names[m].label} | {k: v for k, v in r.items() if k not in lists} for m, r in ranked.items()}
    write_csv(pd.DataFrame.from_dict(numbers, orient="index"), out / "comparison.csv", index_label="method")
    write_json(numbers, out / "comparison.json")


def _write_report(
    out: Path,
    annotations: Annotations,
    results: dict[str, Result],
    judgements: dict[str, Judgement],
    histories: dict[str, pd.DataFrame],
    config: dict[str, Any],
    truth: Flags | None,
    title: str | None,
) -> None:
    shown = next((name for name in results if name.endswith("gum")), best_method(results) or next(iter(results)))
    load, length, unit = image_loader(annotations), annotations.length, annotations.schema.units
    failure = "" if length is None else "error above 5 % of the normalising length"
    table, worst = trained(labels_of(annotations, judgements[shown], truth)), []
    if load is not None and table["suspect"].any():
        worst = [gallery(table, load, unit=unit, of=marks(results)[shown].label)]
    normaliser = None if length is None else float(np.nanmean(length[annotations.rows("test")]))
    panels = [
        failure_bars(results, unit=unit, failure=failure),
        *worst,
        error_cdf(results, threshold=None if length is None else FAILURE, length=normaliser, unit=unit),
        training_curves(histories, unit=unit, truth=None if truth is None else _share(truth, annotations)),
        *comparison_figures(annotations, results, judgements, histories),
    ]
    write_comparison_page(
        out, config=config, results=results, panels=panels, title=title or "", unit=unit, failure=failure
    )


def _share(truth: Flags, annotations: Annotations) -> float:
    """The share of wrong labels among the annotated validation labels, to which the histories' suspects belong."""
    rows = annotations.rows("val")
    labelled = ~np.isnan(annotations.target[rows]).any(axis=-1)
    return float(truth[rows][labelled].mean())
