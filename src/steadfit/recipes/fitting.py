"""The main job: a table in, a run folder with a model and a list of suspect labels out."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress

from steadfit._console import say
from steadfit._files import atomic_path, shown_path
from steadfit.audit import label_table, write_suspects
from steadfit.data import Annotations, Framing, Schema, load_annotations, read_image
from steadfit.errors import ConfigError, DataError, SchemaError
from steadfit.recipes.poses import run_figures
from steadfit.reports.pages import report_run
from steadfit.reports.tables import fit_summary
from steadfit.training import Judgement, Run, Settings, fit
from steadfit.training.opening import Predictor
from steadfit.training.run import read_config, write_metrics
from steadfit.training.run_files import read_history
from steadfit.training.trainer import occupied

Flags = npt.NDArray[np.bool_]
SHOWN = 5  # rows that were left out are told up to this number; skipped.csv lists all


def open_table(
    path: str | Path,
    options: dict[str, Any] | None = None,
    *,
    console: Console | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    need_splits: Collection[str] = ("train", "val"),
    framing: Framing | None = None,
) -> Annotations:
    """Read and check a table, its ``dataset.yaml`` overridden by options, with a bar while images are checked.

    A table without test rows is accepted unless ``need_splits`` asks for them. With ``framing`` the images' frames are
    made while they are checked; see :func:`steadfit.data.load_annotations`.

    Raises: DataError for the table, its images or its ``dataset.yaml``; ConfigError for options that have no meaning.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    schema = Schema.discover(path)
    try:
        return _load(path, schema.with_options(**given), console, skip_bad, seed, need_splits, framing)
    except SchemaError as error:
        if given:
            raise ConfigError(f"{', '.join('--' + name.replace('_', '-') for name in given)}: {error.rule}") from None
        raise DataError(f"{path}: {error.rule}") from None


def _load(
    path: str | Path,
    schema: Schema,
    console: Console | None,
    skip_bad: bool,
    seed: int,
    need_splits: Collection[str],
    framing: Framing | None,
) -> Annotations:
    with checking(console) as progress:
        return load_annotations(
            path,
            schema,
            skip_bad=skip_bad,
            seed=seed,
            need_splits=need_splits,
            framing=framing,
            progress=progress,
        )


@contextmanager
def checking(console: Console | None) -> Iterator[Callable[[int, int], None] | None]:
    """A bar to advance while images are checked, by how many are done and how many there are; None off a terminal."""
    if console is None or not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("checking images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def check_start(folders: Iterable[str | Path], *, resume: bool, device: str) -> None:
    """What can be told before a table is read: whether the device is there and the run folders are free.

    Raises: ConfigError for the device, RunError for a folder that holds a run that is not to be continued.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: expected a GPU that PyTorch can use, got none. Use --device cpu or auto.")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: expected Apple's Metal, got none. Use --device cpu or auto.")
    for folder in map(Path, folders):
        if not resume and (folder / "config.yaml").exists():
            raise occupied(folder)


def read_truth(path: str | Path, annotations: Annotations) -> Flags:
    """The truth mask that ``steadfit corrupt`` wrote: (N, K), True where a label was made wrong.

    Raises: DataError where the file is none or does not fit the table.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path}: expected the truth.csv of 'steadfit corrupt', got {error}.") from None
    columns = [f"wrong_{name}" for name in annotations.schema.target_names]
    if missing := [name for name in ("line", *columns) if name not in table]:
        raise DataError(
            f"{path}: expected the columns of a truth file for {annotations.path}, got none named {missing[0]!r}."
        )
    if twice := table["line"][table["line"].duplicated()].tolist():
        raise DataError(f"{path}: expected every line of the table once, got line {twice[0]} again.")
    by_line = table.set_index("line")[columns]
    if unknown := [int(line) for line in annotations.line if line not in by_line.index]:
        raise DataError(f"{path}: expected a row for every line of {annotations.path}, got none for line {unknown[0]}.")
    for name in columns:
        if not (known := by_line[name].isin((0, 1))).all():
            line = by_line.index[~known][0]
            raise DataError(f"{path}, column {name!r}: expected 0 or 1, got {by_line[name][line]} for line {line}.")
    return np.asarray(by_line.loc[annotations.line].to_numpy(dtype=bool))


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

    Args: as :func:`steadfit.training.fit`; ``truth`` (N, K) scores the suspects where the wrong labels are known.
    """
    return fit_and_judge(
        annotations, settings, out, resume=resume, device=device, console=console, truth=truth, report=report
    )[0]


def fit_and_judge(
    annotations: Annotations,
    settings: Settings,
    out: str | Path,
    *,
    resume: bool,
    device: str,
    console: Console | None,
    truth: Flags | None,
    report: bool = True,
    brief: bool = False,
) -> tuple[Run, Judgement]:
    """:func:`fit_run`, and what the run says of every label; ``brief`` says it in one line."""
    check_start([out], resume=resume, device=device)
    check_rows(annotations)
    run = fit(annotations, settings, out, resume=resume, device=device, console=console)
    judgement = write_metrics(run, annotations, truth)
    table = write_labels(run.folder, annotations, judgement, truth)
    if report:
        history = read_history(run.folder)
        figures = run_figures(run, annotations, judgement)
        write_report(run, annotations, trained(table), {run.settings.method: history}, figures)
    if console is not None:
        tell(run, table, judgement, annotations, console, brief)
    return run, judgement


def check_rows(annotations: Annotations) -> None:
    """Raises DataError for a table with too little to train on."""
    if len(annotations.rows("train")) < 2:
        raise DataError(f"{annotations.path}: expected at least two training rows, got one.")


def write_labels(
    folder: Path, annotations: Annotations, judgement: Judgement, truth: Flags | None = None
) -> pd.DataFrame:
    """Write trust.parquet (every label), suspects.csv (the doubtful ones) and skipped.csv, and give the first."""
    table = labels_of(annotations, judgement, truth)
    with atomic_path(folder / "trust.parquet") as path:
        table.to_parquet(path, index=False)
    write_suspects(trained(table), folder / "suspects.csv")
    if annotations.skipped:
        with atomic_path(folder / "skipped.csv") as path:
            pd.DataFrame([vars(problem) for problem in annotations.skipped]).to_csv(path, index=False)
    return table


def labels_of(annotations: Annotations, judgement: Judgement, truth: Flags | None = None) -> pd.DataFrame:
    """One row a label: what was given, what is predicted, the trust."""
    return label_table(
        image=annotations.images if annotations.images is not None else row_of(annotations),
        line=annotations.line,
        split=annotations.split,
        names=annotations.schema.target_names,
        given=annotations.target,
        predicted=judgement.predicted,
        trust=judgement.trust,
        suspect=judgement.suspect,
        wrong=truth,
    )


def row_of(annotations: Annotations) -> npt.NDArray[np.int64]:
    """(N,) the number of each row in its table, from 0; of annotations made by hand, their own order."""
    return np.arange(len(annotations)) if annotations.row is None else annotations.row


def image_loader(annotations: Annotations) -> Callable[[str], Any] | None:
    """Gives the RGB image of a path in the table; None for a table of features."""
    if annotations.images is None:
        return None
    return lambda name: read_image(annotations.root / name, 3)


def write_report(
    run: Predictor,
    annotations: Annotations,
    table: pd.DataFrame,
    histories: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
) -> None:
    """Figures and report.html; ``histories`` by the names of their curves, ``figures`` beside those of every run."""
    _, config = read_config(run.folder)
    report_run(
        run.folder,
        config={name: value for name, value in config.items() if name != "format_version"}
        | {"data": shown_path(config["data"])},
        metrics=json.loads((run.folder / "metrics.json").read_text(encoding="utf-8")),
        histories=histories,
        table=table,
        load=image_loader(annotations),
        unit=run.schema.units,
        more=figures,
    )


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
