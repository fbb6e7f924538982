"""The main job: a table in, a run folder with a model and its verdict on every label out."""

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
from steadfit.training import Judgement, Run, Settings, fit
from steadfit.training.folder import read_config, read_history
from steadfit.training.opening import Predictor

SHOWN = 5  # rows that were left out are reported up to this number; skipped.csv lists all


@dataclass(frozen=True)
class Fitted:
    """A run and what it makes of its table.

    Args:
        run: in its folder.
        judgement: of every label.
        table: one row per label, of classes one row per image, as it was written.
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
    """Train into a run folder, judge every label, and write tables, figures and report.

    Of points and numbers the folder gets metrics.json, trust.parquet (every label), suspects.csv (the doubtful ones)
    and report.html. Of classes it gets metrics.json (top-1 and top-5 of every split, accuracy of every class),
    predictions.parquet (every image), hardest.csv (the training images whose labels the network believes least, worst
    first) and report.html.

    Args:
        annotations: the checked table.
        settings: everything else that decides the result.
        out: the run folder.
        resume: continue a stopped run.
        device: where to compute.
        console: where progress and results are shown.
        truth: (N, K) which labels are known to be wrong, to score the suspects.
        report: False for no figures and no report.

    Raises:
        DataError: too few rows.
        RunError, ConfigError: as :func:`steadfit.training.fit`.
    """
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
    """:func:`fit_run`, and the verdicts; ``brief`` shows them in one line."""
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
    """Tables, metrics, figures and report of a run on classes."""
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
    say(console, f"Training images that are hardest to believe: {run.folder / 'hardest.csv'}")
    if (run.folder / "report.html").exists():
        say(console, f"Report: {run.folder / 'report.html'}")


def write_labels(
    folder: Path, annotations: Annotations, judgement: Judgement, truth: Flags | None = None
) -> pd.DataFrame:
    """Write trust.parquet (every label), suspects.csv (the doubtful ones) and skipped.csv, and give the first."""
    table = labels_of(annotations, judgement, truth)
    with atomic_path(folder / "trust.parquet") as path:
        table.to_parquet(path, index=False)
    write_suspects(trained(table), folder / "suspects.csv")
    write_skipped(folder, annotations)
    return table


def write_skipped(folder: Path, annotations: Annotations) -> None:
    """Write skipped.csv, where rows were left out."""
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
    """Figures and report.html; ``histories`` by the names of their curves, ``panels`` next to those of every run."""
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
    """config.yaml as a page shows it."""
    _, config = read_config(run.folder)
    kept = {name: value for name, value in config.items() if name not in ("format_version", "size")}
    return kept | {"data": shown_path(config["data"]), "settings": run.settings.shown()}


def trained(table: pd.DataFrame) -> pd.DataFrame:
    """The labels that are to be mended: those of the training and validation rows."""
    return table[table["split"] != "test"]


def tell(
    run: Predictor, table: pd.DataFrame, judgement: Judgement, annotations: Annotations, console: Console, brief: bool
) -> None:
    listed = fit_summary(
        trained(table),
        error_rate=judgement.error_rate,
        path=run.folder / "suspects.csv",
        unit=annotations.schema.units,
    )
    listed = [f"{run.settings.method}: {listed[0]}"] if brief else listed
    listed += [] if brief else left_out(annotations, run.folder / "skipped.csv")
    if judgement.fallen_back:
        listed.append("The mixture took every label for an outlier: the result is the network of the warm-up.")
    if (run.folder / "report.html").exists() and not brief:
        listed.append(f"Report: {run.folder / 'report.html'}")
    for line in listed:
        say(console, line)


def left_out(annotations: Annotations, path: Path) -> list[str]:
    """Lines about the rows that were skipped, which ``path`` lists."""
    problems = annotations.skipped
    rows = len({problem.line for problem in problems})
    if not rows:
        return []
    lines = [f"  {problem.place}: {problem.reason}" for problem in problems[:SHOWN]]
    more = ["  …"] if len(problems) > SHOWN else []
    return [f"{rows} {'row was' if rows == 1 else 'rows were'} left out, listed in {path}:", *lines, *more]
