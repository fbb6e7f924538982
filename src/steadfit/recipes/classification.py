"""Classification: one run with its measures and hardest images, and several losses compared over seeds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from torch import Tensor

from steadfit._console import say
from steadfit._files import atomic_path, shown_path, write_csv, write_json
from steadfit.data import SPLITS, Annotations, read_image
from steadfit.errors import ConfigError, DataError, DivergedError
from steadfit.metrics.accuracy import compare_accuracy
from steadfit.recipes.comparison import check_some_finished, when_diverged
from steadfit.recipes.fitting import check_start
from steadfit.reports.classification import report_classifier, report_losses
from steadfit.reports.losses import losses_table
from steadfit.reports.methods import marks
from steadfit.training.classification import LOSSES, ClassifierRun, ClassifierSettings, fit
from steadfit.training.classification.outcome import confusion, hardest_images, prediction_table, scores
from steadfit.training.classification.run import read_classifier_config
from steadfit.training.run_files import read_history

Result = dict[str, Any]


def fit_classifier(
    classes: Annotations,
    settings: ClassifierSettings,
    out: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    report: bool = True,
) -> ClassifierRun:
    """Train into a run folder, and write what it says of every image, tables, figures and a report.

    Adds to the run folder of :func:`steadfit.training.classification.fit`: ``metrics.json`` (top-1 and top-5 of
    every split, accuracy of every class), ``predictions.parquet`` (a row an image), ``hardest.csv`` (the training
    images whose labels the network believes least, worst first), ``figures/`` and ``report.html``.

    Args: as :func:`steadfit.training.classification.fit`; ``report`` False for no figures and no report.
    """
    run, _ = _fit_and_judge(classes, settings, out, resume=resume, device=device, console=console, report=report)
    if console is not None:
        _tell(run, console)
    return run


def compare_losses(
    classes: Annotations,
    losses: Sequence[str],
    settings: ClassifierSettings,
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
    ``errors.parquet`` (a row a test image, a column a run: whether it is right), figures and ``report.html``.

    Args:
        losses: keys of :data:`steadfit.training.classification.LOSSES`, at least two.
        seeds: how many runs a loss; the seeds are settings.seed, settings.seed + 1, ... Others as
            :func:`fit_classifier`.

    A loss whose training diverges with any of the seeds comes last, with ``diverged_epoch`` and ``diverged_batch``
    instead of numbers, and is in no figure.

    Returns: for every loss the mean of top-1 and top-5 over the seeds and their standard deviations, the difference of
        its top-1 to the best loss's, Holm's p of the exact sign-flip test over the images against it, stars.

    Raises: ConfigError for fewer than two losses or the same twice; DataError without test images; RunError for a run
        that is there already; DivergedError where no loss comes to a result.
    """
    check_losses(losses, seeds)
    test = classes.rows("test")
    if not len(test):
        raise DataError(f"{classes.path}: expected test images to compare on, got none.")
    out, plan = Path(out), [(loss, settings.seed + k) for k in range(seeds) for loss in losses]
    check_start((out / "runs" / f"{loss}-{seed}" for loss, seed in plan), resume=resume, device=device)
    tables: dict[str, list[pd.DataFrame]] = {loss: [] for loss in losses}
    diverged: dict[str, DivergedError] = {}
    for loss, seed in plan:
        chosen, folder = dataclasses.replace(settings, loss=loss, seed=seed), out / "runs" / f"{loss}-{seed}"
        drawn = (folder / "report.html").exists()  # by the comparison that is continued
        try:
            run, table = _fit_and_judge(
                classes, chosen, folder, resume=resume, device=device, console=console, report=not drawn
            )
        except DivergedError as error:
            diverged.setdefault(loss, error)
            say(console, f"{loss}, seed {seed}: {when_diverged(error)}")
            continue
        tables[loss].append(table)
        if console is not None:
            _tell_brief(run, seed, console)
    finished = [loss for loss in losses if loss not in diverged]
    check_some_finished("compare", finished, diverged)
    folders = {loss: [out / "runs" / f"{loss}-{settings.seed + k}" for k in range(seeds)] for loss in finished}
    results = {loss: _summary(folders[loss]) for loss in finished}
    right = {loss: np.array([_right(table)[test] for table in tables[loss]]) for loss in finished}
    best = _significance(results, right)
    last = {loss: {"diverged_epoch": one.epoch, "diverged_batch": one.batch} for loss, one in diverged.items()}
    _write_numbers(out, classes, results | last, right, settings.seed)
    report_losses(
        out,
        config={"data": classes.path.name}
        | settings.to_dict()
        | {"loss": ", ".join(losses), "seeds": seeds}
        | {loss: when_diverged(one) for loss, one in diverged.items()},
        results=results,
        histories={loss: [read_history(folder) for folder in folders[loss]] for loss in finished},
        against=best,
    )
    if console is not None:
        say(console, losses_table(results, title=title or ""))
        for loss, one in diverged.items():
            say(console, f"{marks(results | last)[loss].label}: {when_diverged(one)}.")
        say(console, f"Pictures and tables: {out / 'report.html'}")
    return results | last


def check_losses(losses: Sequence[str], seeds: int = 1) -> None:
    """Raises ConfigError for fewer than two losses, the same twice, one that there is not, or no seed."""
    if unknown := [name for name in losses if name not in LOSSES]:
        raise ConfigError(f"compare: expected losses of {', '.join(LOSSES)}, got {unknown[0]!r}.")
    if len(losses) < 2 or len(set(losses)) != len(losses):
        raise ConfigError(f"compare: expected two or more different losses, got {', '.join(losses) or 'none'}.")
    if seeds < 1:
        raise ConfigError(f"compare: expected seeds >= 1, got {seeds}.")


def class_image_loader(classes: Annotations) -> Callable[[str], npt.NDArray[np.uint8]]:
    """Gives the RGB image (H, W, 3) of a name in ``classes.images``."""
    pixels = classes.pixels
    if pixels is None:
        return lambda name: read_image(classes.root / name, 3)
    row = {name: k for k, name in enumerate(classes.images or ())}
    return lambda name: np.asarray(pixels[row[name]].permute(1, 2, 0).numpy())


def _fit_and_judge(
    classes: Annotations,
    settings: ClassifierSettings,
    out: str | Path,
    *,
    resume: bool,
    device: str,
    console: Console | None,
    report: bool,
) -> tuple[ClassifierRun, pd.DataFrame]:
    """The run, and its predictions for every image."""
    check_start([out], resume=resume, device=device)
    run = fit(classes, settings, out, resume=resume, device=device, console=console)
    logits = run.logits(classes)
    table = prediction_table(classes, logits, settings.output)
    with atomic_path(run.folder / "predictions.parquet") as path:
        table.to_parquet(path, index=False)
    hardest = hardest_images(table)
    write_csv(hardest, run.folder / "hardest.csv")
    metrics = {split: scores(classes, logits, split) for split in SPLITS if len(classes.rows(split))}
    write_json(metrics, run.folder / "metrics.json")
    if classes.skipped:
        with atomic_path(run.folder / "skipped.csv") as path:
            pd.DataFrame([vars(problem) for problem in classes.skipped]).to_csv(path, index=False)
    if report:
        _write_report(run, classes, logits, hardest)
    return run, table


def _write_report(run: ClassifierRun, classes: Annotations, logits: Tensor, hardest: pd.DataFrame) -> None:
    _, config = read_classifier_config(run.folder)
    shown = "test" if len(classes.rows("test")) else "val"
    report_classifier(
        run.folder,
        config={name: value for name, value in config.items() if name not in ("names", "format_version")}
        | {"data": shown_path(config["data"])},
        metrics=json.loads((run.folder / "metrics.json").read_text(encoding="utf-8")),
        history=read_history(run.folder),
        confusion=confusion(classes, logits, shown),
        names=classes.schema.classes,
        hardest=hardest,
        load=class_image_loader(classes),
        loss=run.settings.loss,
        shown=shown,
        warm_up=run.settings.warmup_epochs,
    )


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
    """Difference, Holm's p and stars against the best loss, which is returned."""
    comparisons = compare_accuracy(right)
    best = comparisons[0].reference
    results[best] |= {"difference": None, "p_holm": None, "stars": ""}
    for one in comparisons:
        results[one.method] |= {"difference": one.difference, "p_holm": one.adjusted, "stars": one.stars}
    return best


def _write_numbers(
    out: Path,
    classes: Annotations,
    results: dict[str, Result],
    right: dict[str, npt.NDArray[np.bool_]],
    first_seed: int,
) -> None:
    test = classes.rows("test")
    flags = {f"{loss}-{first_seed + k}": row for loss, rows in right.items() for k, row in enumerate(rows)}
    images = {
        "image": list(classes.take(test).images or ()),
        "label": [classes.schema.classes[classes.label[row]] for row in test],
    }
    with atomic_path(out / "errors.parquet") as path:
        pd.DataFrame(images | flags).to_parquet(path, index=False)
    names = marks(results)
    numbers = {loss: {"name": names[loss].label} | result for loss, result in results.items()}
    write_csv(pd.DataFrame.from_dict(numbers, orient="index"), out / "comparison.csv", index_label="loss")
    write_json(numbers, out / "comparison.json")


def _tell(run: ClassifierRun, console: Console) -> None:
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    lines = [
        f"{split}: {100 * part['top1']:.1f} % of {part['images']} images right, "
        f"the label among the first five for {100 * part['top5']:.1f} %"
        for split, part in metrics.items()
    ]
    lines.append(f"Training images that are hardest to believe: {run.folder / 'hardest.csv'}")
    if (run.folder / "report.html").exists():
        lines.append(f"Report: {run.folder / 'report.html'}")
    for line in lines:
        say(console, line)


def _tell_brief(run: ClassifierRun, seed: int, console: Console) -> None:
    test = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["test"]
    say(console, f"{run.settings.loss}, seed {seed}: {100 * test['top1']:.1f} % of the test images right")
