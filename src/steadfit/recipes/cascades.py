"""The fit of a cascade: from a table to a folder with two stages and a list of suspect labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from steadfit._console import say
from steadfit._files import atomic_path, write_json
from steadfit.data import Annotations, Region, read_regions
from steadfit.evaluation.measures import by_split, summarize
from steadfit.recipes.fit import tell, trained, write_labels, write_report
from steadfit.recipes.opening import Flags, check_rows, check_start
from steadfit.recipes.panels import image_loader, pose_figures, shown_rows
from steadfit.reports.cascade_crops import crop_figure
from steadfit.reports.panel import Panel
from steadfit.reports.understood import summary_lines
from steadfit.reports.values import amount
from steadfit.training import Judgement, Settings
from steadfit.training.cascade import CoarseToFine, default_regions, fit_cascade
from steadfit.training.cascade.fit import check_table
from steadfit.training.cascade.run import COARSE
from steadfit.training.folder import read_history

SHOWN = 4  # images that are shown with their crops


def fit_cascade_run(
    annotations: Annotations,
    settings: Settings,
    fine: Settings | Mapping[str, Settings],
    out: str | Path,
    *,
    regions: Sequence[Region] | None = None,
    placing: str = "jitter",
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    truth: Flags | None = None,
    report: bool = True,
) -> CoarseToFine:
    """Train a cascade into a folder, judge every label, and write tables, figures and a report.

    The folder has the files of a run except the model, which is in the run folders ``coarse/`` and ``fine/<region>/``;
    ``metrics.json`` also has the measures of the first stage alone (``"coarse"``), and ``history.csv`` the histories of
    all stages.

    Args:
        annotations: the checked table.
        settings: the settings of the first stage.
        fine: the settings of the second stage, for all regions or for each by its name.
        out: the cascade's folder.
        regions: which points are estimated again, and where; None: those of
            :func:`~steadfit.training.cascade.default_regions`.
        placing: where training crops are placed, see :func:`steadfit.training.cascade.fit_cascade`.
        resume: whether to continue a stopped cascade.
        device: the device to compute on; ``"auto"``: a GPU if there is one.
        console: where progress and results are shown; None: nowhere.
        truth: (N, K), which labels are known to be wrong, to score the suspects; None: unknown.
        report: False: no figures and no report.

    Raises:
        RunError: ``out`` contains a run and ``resume`` is False, or contains another one.
        ConfigError: contradictory options.
    """
    check_start([out], resume=resume, device=device)
    check_rows(annotations)
    for line in summary_lines(annotations):
        say(console, line)
    chosen = open_regions(None, annotations) if regions is None else tuple(regions)
    cascade = fit_cascade(
        annotations, settings, fine, chosen, out, placing=placing, resume=resume, device=device, console=console
    )
    first, judgement = cascade.judge_stages(annotations)
    histories = _histories(cascade)
    metrics = summarize(judgement, annotations, truth) | {COARSE: by_split(first, annotations)}
    write_json(metrics, cascade.folder / "metrics.json")
    with atomic_path(cascade.folder / "history.csv") as path:
        pd.concat(histories, names=["stage"]).reset_index("stage").to_csv(path, index=False)
    table = write_labels(cascade.folder, annotations, judgement, truth)
    if report:
        panels = _panels(cascade, annotations, first, judgement)
        write_report(cascade, annotations, trained(table), histories, panels)
    if console is not None:
        say(console, _gain(metrics, annotations.schema.units))
        tell(cascade, table, judgement, annotations, console, brief=False)
    return cascade


def open_regions(path: str | Path | None, annotations: Annotations) -> tuple[Region, ...]:
    """The regions of a YAML file, or the default ones of these points.

    Args:
        path: the file; None: the default regions.
        annotations: the table.

    Raises:
        ConfigError: a table of anything but points in images, or points without default regions.
        DataError: a file that cannot be used.
    """
    check_table(annotations)
    names = annotations.schema.points
    return default_regions(names) if path is None else read_regions(path, names)


def _histories(cascade: CoarseToFine) -> dict[str, pd.DataFrame]:
    """The history of every stage, by its name."""
    stages = {COARSE: cascade.coarse} | {
        region.name: run for region, run in zip(cascade.regions, cascade.fine, strict=True)
    }
    return {name: read_history(run.folder) for name, run in stages.items()}


def _panels(cascade: CoarseToFine, annotations: Annotations, first: Judgement, judgement: Judgement) -> list[Panel]:
    """The panels of a cascade: its crops, poses of both stages and, for bodies, their parts."""
    panels = pose_figures(annotations, {"coarse": first, "cascade": judgement})
    rows = shown_rows(annotations)
    if rows is None:
        return panels
    rows = rows[:SHOWN]
    some, estimate, final = annotations.take(rows), first.predicted[rows], judgement.predicted[rows]
    assert some.images is not None  # cascades are of images
    load = image_loader(some)
    assert load is not None
    pictures = [load(name) for name in some.images]
    found = {region.name: final[:, list(region.points)] for region in cascade.regions}
    return [crop_figure(pictures, estimate, cascade.crops(estimate, some), found), *panels]


def _gain(metrics: Mapping[str, Any], unit: str) -> str:
    """One line on the gain by the second stage."""
    split = next(name for name in ("test", "val", "train") if name in metrics)
    alone, both = (amount(found[split]["point_error"], unit) for found in (metrics[COARSE], metrics))
    return f"Mean error on {split} labels: {alone} with the first stage alone, {both} with both."
