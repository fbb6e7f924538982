"""The fit: from a table to a run folder with a model and a verdict on every label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from steadfit._console import say
from steadfit._files import atomic_path, shown_path, write_csv, write_json
from steadfit.audit import labels_of, write_suspects
from steadfit.data import Annotations
from steadfit.evaluation import classes
from steadfit.evaluation.measures import write_metrics
from steadfit.outputs import Classes
from steadfit.recipes.opening import Flags, check_rows, check_start
from steadfit.recipes.panels import class_panels, image_loader, run_figures
from steadfit.reports.fit_summary import fit_summary
from steadfit.reports.pages.run import hardest_table, label_panels, suspects_table, write_run_page
from steadfit.reports.panel import Panel
from steadfit.reports.understood import summary_lines
from steadfit.training import Judgement, Run, Settings, fit
from steadfit.training.folder import read_config, read_history
from steadfit.training.opening import Predictor

SHOWN = 5  # this many of the skipped rows are shown; skipped.csv lists all


@dataclass(frozen=True)
class Fitted:
    """A run and its verdict on its table.

    Args:
        run: the run in its folder.
        judgement: the verdict on every label.
        table: the table as it was written, with one row per label; for classes one row per image.
    """

    run: Run
    judgement: Judgement
    table: pd.DataFrame


def fit_run(
    annotations: Annotations,
    settings: Settings,
    out: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    truth: Flags | None = None,
    report: bool = True,
) -> Run:
    """Train into a run folder, judge every label, and write tables, figures and a report.

    For points and numbers the folder gets metrics.json, trust.parquet (every label), suspects.csv (the suspect labels)
    and report.html. For classes it gets metrics.json (top-1 and top-5 of every split, accuracy of every class),
    predictions.parquet (every image), hardest.csv (the training images to whose labels the network gives the least
    probability, worst first) and report.html.

    Args:
        annotations: the checked table.
        settings: everything else that decides the result.
        out: the run folder.
        resume: whether to continue a stopped run.
        device: the device to compute on; ``"auto"``: a GPU if there is one.
        console: where progress and results are shown; None: nowhere.
        truth: (N, K), which labels are known to be wrong, to score the suspects; None: unknown.
        report: False: no figures and no report.

    Raises:
        DataError: too few rows.
        RunError: a folder that :func:`steadfit.training.fit` refuses.
        ConfigError: settings that do not fit the table, see :func:`steadfit.training.fit`.
    """
    for line in summary_lines(annotations):
        say(console, line)
    return fit_and_judge(
        annotations, settings, out, resume=resume, device=device, console=console, truth=truth, report=report
    ).run


def fit_and_judge(
    annotations: Annotations,
    settings: Settings,
    out: str | Path,
    *,
    resume: bool,
    device: str,
    console: Console | None,
    truth: Flags | None = None,
    report: bool = True,
    brief: bool = False,
) -> Fitted:
    """Do the work of :func:`fit_run`, and return the verdicts as well.

    Args:
        annotations: the checked table.
        settings: everything else that decides the result.
        out: the run folder.
        resume: whether to continue a stopped run.
        device: the device to compute on.
        console: where progress and results are shown; None: nowhere.
        truth: (N, K), which labels are known to be wrong; None: unknown.
        report: False: no figures and no report.
        brief: whether the results are shown in one line.
    """
    check_start([out], resume=resume, device=device)
    check_rows(annotations)
    run = fit(annotations, settings, out, resume=resume, device=device, console=console)
    if annotations.schema.classes:
        return _of_classes(run, annotations, console, report=report, brief=brief)
    judgement = write_metrics(run, annotations, truth)
    table = write_labels(run.folder, annotations, judgement, truth)
    if report:
        panels = run_figures(run, annotations, judgement)
        write_report(run, annotations, trained(table), {run.settings.method: read_history(run.folder)}, panels)
    if console is not None:
        tell(run, table, judgement, annotations, console, brief)
    return Fitted(run, judgement, table)


def _of_classes(run: Run, annotations: Annotations, console: Console | None, *, report: bool, brief: bool) -> Fitted:
    """Write tables, metrics, figures and report of a run on classes."""
    output, judgement = run.regressor.output, run.judge(annotations)
    assert isinstance(output, Classes)
    table = classes.prediction_table(annotations, judgement, output)
    with atomic_path(run.folder / "predictions.parquet") as path:
        table.to_parquet(path, index=False)
    hardest, metrics = classes.hardest_images(table), classes.by_split(annotations, judgement)
    write_csv(hardest, run.folder / "hardest.csv")
    write_json(metrics, run.folder / "metrics.json")
    write_skipped(run.folder, annotations)
    if report:
        panels = class_panels(run, annotations, judgement, hardest)
        write_run_page(
            run.folder, config=shown_config(run), metrics=metrics, panels=panels, listed=hardest_table(hardest)
        )
    if console is not None:
        _tell_classes(run, metrics, console, brief)
    return Fitted(run, judgement, table)


def _tell_classes(run: Run, metrics: Mapping[str, Any], console: Console, brief: bool) -> None:
    if brief:
        share = 100 * metrics["test"]["top1"]
        say(console, f"{run.settings.method}, seed {run.settings.seed}: {share:.1f} % of the test images right")
        return
    for split, part in metrics.items():
        say(
            console,
            f"{split}: {100 * part['top1']:.1f} % of {part['images']} images right, "
            f"the label among the first five for {100 * part['top5']:.1f} %",
        )
    say(console, f"Training images whose labels are least probable: {run.folder / 'hardest.csv'}")
    if (run.folder / "report.html").exists():
        say(console, f"Report: {run.folder / 'report.html'}")


def write_labels(
    folder: Path, annotations: Annotations, judgement: Judgement, truth: Flags | None = None
) -> pd.DataFrame:
    """Write trust.parquet (every label), suspects.csv (the suspect labels) and skipped.csv.

    Args:
        folder: the run folder.
        annotations: the table.
        judgement: the verdict on its labels.
        truth: (N, K), which labels are known to be wrong; None: unknown.

    Returns:
        The content of trust.parquet.
    """
    table = labels_of(annotations, judgement, truth)
    with atomic_path(folder / "trust.parquet") as path:
        table.to_parquet(path, index=False)
    write_suspects(trained(table), folder / "suspects.csv")
    write_skipped(folder, annotations)
    return table


def write_skipped(folder: Path, annotations: Annotations) -> None:
    """Write skipped.csv if rows were left out."""
    if annotations.skipped:
        with atomic_path(folder / "skipped.csv") as path:
            pd.DataFrame([vars(problem) for problem in annotations.skipped]).to_csv(path, index=False)


def write_report(
    run: Predictor,
    annotations: Annotations,
    table: pd.DataFrame,
    histories: Mapping[str, pd.DataFrame],
    panels: Sequence[Panel],
) -> None:
    """Write the figures and report.html.

    Args:
        run: the run.
        annotations: its table.
        table: one row per label.
        histories: one history per curve, by the name of the curve.
        panels: panels in addition to those of every run.
    """
    load, unit = image_loader(annotations), run.schema.units
    write_run_page(
        run.folder,
        config=shown_config(run),
        metrics=json.loads((run.folder / "metrics.json").read_text(encoding="utf-8")),
        panels=[*label_panels(histories, table, load, unit=unit), *panels],
        listed=suspects_table(table, load),
        unit=unit,
    )


def shown_config(run: Predictor) -> dict[str, Any]:
    """The content of config.yaml as a page shows it."""
    _, config = read_config(run.folder)
    kept = {name: value for name, value in config.items() if name not in ("format_version", "size")}
    return kept | {"data": shown_path(config["data"]), "settings": run.settings.shown()}


def trained(table: pd.DataFrame) -> pd.DataFrame:
    """The labels that can be corrected: those of the training and validation rows."""
    return table[table["split"] != "test"]


def tell(
    run: Predictor, table: pd.DataFrame, judgement: Judgement, annotations: Annotations, console: Console, brief: bool
) -> None:
    """Show the results of a fit.

    Args:
        run: the run.
        table: one row per label.
        judgement: the verdict on the labels.
        annotations: the table.
        console: where the results are shown.
        brief: whether they are shown in one line.
    """
    listed = fit_summary(
        trained(table),
        error_rate=judgement.error_rate,
        path=run.folder / "suspects.csv",
        unit=annotations.schema.units,
    )
    listed = [f"{run.settings.method}: {listed[0]}"] if brief else listed
    listed += [] if brief else left_out(annotations, run.folder / "skipped.csv")
    if judgement.fallen_back:
        listed.append("The mixture considered every label an outlier: the result is the network of the warm-up.")
    if (run.folder / "report.html").exists() and not brief:
        listed.append(f"Report: {run.folder / 'report.html'}")
    for line in listed:
        say(console, line)


def left_out(annotations: Annotations, path: Path) -> list[str]:
    """Lines that report the skipped rows.

    Args:
        annotations: the table.
        path: the file that lists all skipped rows.
    """
    problems = annotations.skipped
    rows = len({problem.line for problem in problems})
    if not rows:
        return []
    lines = [f"  {problem.place}: {problem.reason}" for problem in problems[:SHOWN]]
    more = ["  …"] if len(problems) > SHOWN else []
    return [f"{rows} {'row was' if rows == 1 else 'rows were'} left out, listed in {path}:", *lines, *more]
