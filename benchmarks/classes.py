"""Which loss for classes that are easily confused: the losses of Ryou et al. on 20 classes of CIFAR-100.

    python benchmarks/classes.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/classes.py --report   # tables and figure from the runs that are there

``cifar100_20``: five classes each of people, large carnivores, trees and vehicles; 2,880 training, 320 validation and
1,000 test images. ResNet-8, random crops and mirroring, the default protocol (SGD, one cycle). Every loss has the
paper's values for CIFAR-100 and the same settings, which were chosen on the validation images of seed 0. Needs the
folder ``cifar100_20`` in $STEADFIT_DATA (default ~/.cache/steadfit-data); without it the script says so and ends.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes

from steadfit import __version__
from steadfit._files import write_json, write_text
from steadfit.data import Annotations, load_classes
from steadfit.evaluation.classes import accuracy
from steadfit.metrics.accuracy import compare_accuracy
from steadfit.outputs import CLASS_LOSSES, Classes
from steadfit.reports.axes import percent_axis
from steadfit.reports.methods import Mark, marks
from steadfit.reports.style import house_style, legend_above, method_handles, new_figure, save
from steadfit.training import Settings
from steadfit.training.fit import Splits, train
from sweep import DATA, main, unclaimed
from tables import to_markdown

RESULTS = Path(__file__).parent / "results"
SET = "cifar100_20"
METHODS = ("ce", "anchor", "bce", "focal", "anchor-warmup", "anchor-target", "anchor-both", "anchor-static", "ohem")
SEEDS = (0, 1, 2)
EPOCHS, BATCH, LR = 30, 64, 0.1
GROUPS = {"people": 0, "large_carnivores": 1, "trees": 2, "vehicles_1": 3}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run."""

    loss: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.loss}-{self.seed}"


def cells() -> list[Cell]:
    """All losses of a seed, then the next seed, so that a sweep that is cut short compares what it has."""
    return [Cell(loss, seed) for seed in SEEDS for loss in METHODS]


def settings_of(cell: Cell) -> Settings:
    output = Classes(loss=cell.loss)
    return Settings(
        output=output, network="resnet8", epochs=EPOCHS, batch_size=BATCH, lr=LR, seed=cell.seed, cache="on"
    )


def load() -> Annotations:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three pairs of images with the same bytes, one of them across splits
        return load_classes(DATA / SET, seed=0)


def run_cell(cell: Cell, classes: Annotations) -> dict[str, Any]:
    """Train, and judge validation and test images."""
    settings, start = settings_of(cell), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = train(Splits.of(classes, settings), settings, Path(folder), device="cpu")
        history = pd.read_csv(Path(folder) / "history.csv")
    found: dict[str, Any] = {"seconds": time.perf_counter() - start, "settings": settings.to_dict()}
    found["history"] = history.to_dict(orient="list")
    for part in ("val", "test"):
        rows = classes.take(classes.rows(part))
        logits, target = torch.from_numpy(run.judge(rows).logits), torch.from_numpy(rows.label)
        found |= {f"{part}_top1": accuracy(logits, target), f"{part}_top5": accuracy(logits, target, top=5)}
        found[f"{part}_predicted"] = logits.argmax(1).tolist()
    return found


def work(cache: Path) -> None:
    """Run every cell that nobody has begun."""
    torch.set_num_threads(1)
    classes = load()
    for cell, result in unclaimed(cells(), cache, ".json"):
        write_json(run_cell(cell, classes), result)


Runs = Mapping[str, list[dict[str, Any]]]


def report(cache: Path) -> None:
    """classes.csv (a row a run), classes.md (tables), classes.png (validation curves)."""
    classes = load()
    test = classes.take(classes.rows("test"))
    found = {cell: cache / f"{cell.name}.json" for cell in cells()}
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell, path in found.items():
        if path.exists():
            runs.setdefault(cell.loss, []).append({"seed": cell.seed} | json.loads(path.read_text(encoding="utf-8")))
    if not runs:
        sys.exit(f"classes: no finished run in {cache}.")
    rows = [{"loss": loss, **_row(run)} for loss, several in runs.items() for run in several]
    frame = pd.DataFrame(rows)
    frame.to_csv(RESULTS / "classes.csv", index=False, float_format="%.6g")
    lines = [
        "# Losses for classification: 20 confusable classes of CIFAR-100",
        "",
        f"`python benchmarks/classes.py`: ResNet-8, {EPOCHS} epochs, batches of {BATCH}, SGD with one cycle up to {LR}"
        f"; 2,880 training images, {len(test):,} test images; {len(rows)} runs, {frame['seconds'].sum() / 60:.0f} "
        "one-thread minutes as timed beside other work. Mean over seeds ± standard deviation. "
        f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        to_markdown(_accuracies(frame)),
        "",
        *_tests(runs, test),
        *_groups(runs, test),
    ]
    _draw(runs)
    write_text("\n".join(lines) + "\n", RESULTS / "classes.md")
    print("\n".join(lines))


def _row(run: dict[str, Any]) -> dict[str, float]:
    row = {name: run[name] for name in ("seed", "test_top1", "test_top5", "val_top1", "val_top5", "seconds")}
    return row | {"train_loss": run["history"]["train_loss"][-1], "val_loss": run["history"]["val_loss"][-1]}


def _accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    table = []
    for loss, part in frame.groupby("loss", sort=False):
        row = {"loss": loss, "what": CLASS_LOSSES[str(loss)].title, "seeds": len(part)}
        for column, title in (("test_top1", "top-1 %"), ("test_top5", "top-5 %"), ("val_top1", "validation top-1 %")):
            row[title] = _spread(100 * part[column])
        table.append(row)
    return pd.DataFrame(table)


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")


def _right(runs: Runs, test: Annotations) -> dict[str, np.ndarray]:
    """(seeds, images) of every loss, over the seeds that all of them have."""
    common = set.intersection(*({run["seed"] for run in several} for several in runs.values()))
    predicted = {
        loss: [run["test_predicted"] for run in several if run["seed"] in common] for loss, several in runs.items()
    }
    return {loss: np.array(value) == test.label for loss, value in predicted.items()} if common else {}


def _tests(runs: Runs, test: Annotations) -> list[str]:
    right = _right(runs, test)
    lines = []
    for base in [name for name in ("ce", "bce") if name in right and len(right) > 1]:
        rows = [
            {
                "loss": one.method,
                f"top-1 - that of {base}": f"{100 * one.difference:+.2f} %",
                "images that differ": one.discordant,
                "p": f"{one.p:.2g}",
                "p (Holm)": f"{one.adjusted:.2g}",
                "": one.stars,
            }
            for one in compare_accuracy(right, reference=base)
        ]
        lines += [
            f"## Against {CLASS_LOSSES[base].title}: exact sign-flip test, images as units",
            "",
            to_markdown(pd.DataFrame(rows)),
            "",
        ]
    return lines


def _groups(runs: Runs, test: Annotations) -> list[str]:
    """Top-1 within each of the four groups, and how many errors stay in the group: the confusions."""
    raw = pd.read_csv(DATA / SET / "annotations.csv")
    group_of = raw.groupby("label")["superclass"].first().to_numpy()
    group = group_of[test.label]
    rows = []
    for loss, several in runs.items():
        predicted = np.array([run["test_predicted"] for run in several])
        right, near = predicted == test.label, group_of[predicted] == group
        row: dict[str, Any] = {"loss": loss}
        row |= {name: f"{100 * right[:, group == name].mean():.1f}" for name in GROUPS}
        row["errors within the group"] = f"{100 * near[~right].mean():.1f}"
        rows.append(row)
    return ["## Top-1 (%) by group of classes", "", to_markdown(pd.DataFrame(rows)), ""]


@house_style()
def _draw(runs: Runs) -> None:
    """classes.png: validation top-1 and loss by epoch, mean over seeds, as the paper's Fig. 5."""
    shown = [name for name in ("ce", "bce", "focal", "anchor", "anchor-warmup") if name in runs]
    drawn = marks(shown)
    figure = new_figure(9.0, 4.4)
    left, right = figure.subplots(1, 2)
    for name in shown:
        _curve(left, runs[name], "val_top1", drawn[name])
        _curve(right, runs[name], "train_loss", drawn[name])
    left.set(xlabel="epoch", ylabel="validation top-1")
    percent_axis(left)
    right.set(xlabel="epoch", ylabel="training loss, each in its own units", ylim=(0, None))
    legend_above(figure, method_handles(drawn))
    save(figure, RESULTS / "classes.png")


def _curve(axes: Axes, several: list[dict[str, Any]], column: str, mark: Mark) -> None:
    values = np.array([run["history"][column] for run in several])
    epochs = np.arange(1, values.shape[1] + 1)
    axes.plot(epochs, values.mean(axis=0), color=mark.colour, ls=mark.line)
    axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=mark.colour, alpha=0.15, lw=0)


if __name__ == "__main__":
    main("classes", __doc__, (SET,), work=work, report=report)
