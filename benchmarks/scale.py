"""The scale of Tukey's biweight: whose MAD, and how to begin. Paper 1's s and its two remedies, on faces.

    python benchmarks/scale.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/scale.py --report   # tables and figure from the runs that are there

Udacity's faces: 68 points, persons of training, validation and test disjoint; errors in % of the distance of the outer
eye corners on clean test labels. Wrong labels (l-UGO) are in training and validation rows. Compact network at 48 px
grey, the default protocol, 12 epochs, of which 2 are the warm-up. Needs the folder ``udacity_faces68`` in
$STEADFIT_DATA (default ~/.cache/steadfit-data); without it the script says so and ends.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from torch import Tensor

from families import Cell as Face
from families import contaminate, load
from steadfit import __version__
from steadfit._files import atomic_path, write_text
from steadfit.data import Annotations
from steadfit.metrics import compare_errors, outlier_scores
from steadfit.noise import NOISE_MODELS, State, TukeyNoise
from steadfit.reports.axes import percent_axis
from steadfit.reports.palette import FAINT
from steadfit.reports.style import house_style, new_figure, save
from steadfit.training import Settings
from steadfit.training.fit import Splits, train
from sweep import main, relabelled, unclaimed
from tables import to_markdown

RESULTS = Path(__file__).parent / "results"
SET = "udacity_faces68"
EPOCHS, BATCH, SMALL = 12, 64, 16
SHARES, SEEDS = (0.0, 0.2, 0.4), (0, 1, 2)
SCALES, WARM_UPS, REFERENCES = ("epoch", "batch", "running"), ("l1", "l2", "wide"), ("l2", "l1")


@dataclass(frozen=True)
class Cell:
    """One training run."""

    share: float  # of wrong training labels
    seed: int
    noise: str = "tukey"
    scale: str = "epoch"
    warmup: str = "l1"
    batch: int = BATCH

    @property
    def name(self) -> str:
        return "-".join(map(str, (f"{self.share:.1f}", self.noise, self.scale, self.warmup, self.batch, self.seed)))


def cells() -> list[Cell]:
    """Seed by seed, so that a sweep that is cut short says something; the default stands in both comparisons."""
    plan: list[Cell] = []
    for seed in SEEDS:
        for share in SHARES:
            plan += [Cell(share, seed, scale=scale) for scale in SCALES]
            plan += [Cell(share, seed, warmup=warmup) for warmup in WARM_UPS[1:]]
            plan += [Cell(share, seed, noise=noise) for noise in REFERENCES if seed < 2]
        plan += [Cell(0.2, seed, scale=scale, batch=SMALL) for scale in SCALES]
    return plan


@dataclass(frozen=True, kw_only=True)
class Watched(TukeyNoise):
    """Tukey's model, which notes of every training step the scale that its loss divides by (mean over the
    coordinates) and the share of labels without influence; NaN where the loss is a warm-up's without a scale."""

    log: list[tuple[float, float]] = field(default_factory=list, compare=False, repr=False)

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        if output.requires_grad:
            ignored = self.is_outlier(output.detach(), target, state)[~target.isnan().all(dim=-1)]
            self.log.append((float(state["scale"].mean()), float(ignored.float().mean())))
        return super().loss(output, target, state, weight)

    def warmup_loss(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        if self.warmup != "wide" and output.requires_grad:
            self.log.append((np.nan, np.nan))
        return super().warmup_loss(output, target, state)


def settings_of(cell: Cell) -> Settings:
    own = {"scale": cell.scale, "warmup": cell.warmup} if cell.noise == "tukey" else {}
    noise = NOISE_MODELS[cell.noise](**own)
    return Settings(noise=noise, epochs=EPOCHS, batch_size=cell.batch, seed=cell.seed, cache="on")


def run_cell(cell: Cell, clean: Annotations, decoded: Splits) -> dict[str, np.ndarray]:
    """Train, judge the training labels, predict the test rows."""
    given, wrong = contaminate(clean, Face(SET, cell.share, cell.noise, "", cell.seed))
    splits = Splits(train=relabelled(decoded.train, given), val=relabelled(decoded.val, given))
    settings = settings_of(cell)
    watched = Watched(scale=cell.scale, warmup=cell.warmup) if cell.noise == "tukey" else None
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = train(splits, settings, Path(folder), noise=watched, device="cpu")
        found = {"seconds": np.array(time.perf_counter() - start)}
        found["epoch_seconds"] = pd.read_csv(Path(folder) / "history.csv")["seconds"].to_numpy()
    judged = run.judge_dataset(splits.train)
    found |= {"trust": judged.trust, "suspect": judged.suspect, "wrong": wrong[given.rows("train")]}
    if watched is not None:
        found["log"] = np.array(watched.log).reshape(EPOCHS, -1, 2)  # epoch, step, (scale, share without influence)
    found["test"] = run.predict_positions(given.take(given.rows("test"))).mean.astype(np.float32)
    return found


def work(cache: Path) -> None:
    """Run every cell that nobody has begun."""
    torch.set_num_threads(1)
    clean: Annotations | None = None
    for cell, result in unclaimed(cells(), cache, ".npz"):
        if clean is None:
            clean = load(SET)
            decoded = Splits.of(clean, settings_of(cell))
        with atomic_path(result) as path:
            np.savez(path.open("wb"), **run_cell(cell, clean, decoded))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Scored:
    """A finished run against the clean labels of the set."""

    cell: Cell
    arrays: dict[str, np.ndarray]
    clean: Annotations

    def nme(self) -> np.ndarray:
        """Of every test image, in % of the distance of the outer eye corners."""
        rows = self.clean.rows("test")
        assert self.clean.length is not None
        error = np.linalg.norm(self.arrays["test"] - self.clean.target[rows], axis=-1)
        return 100 * error.mean(axis=1) / self.clean.length[rows]

    def row(self) -> dict[str, Any]:
        judged = outlier_scores(self.arrays["suspect"], self.arrays["wrong"], self.arrays["trust"])
        scored = self.cell.share > 0 and self.cell.noise != "l2"  # l2 suspects nothing
        return dataclasses.asdict(self.cell) | {
            "NME": self.nme().mean(),
            "precision": 100 * judged.precision if scored else np.nan,
            "recall": 100 * judged.recall if scored else np.nan,
            "seconds": float(self.arrays["seconds"]),
            "seconds an epoch": float(np.median(self.arrays["epoch_seconds"])),
        }

    def course(self) -> np.ndarray:
        """Scale and share without influence by epoch, (epochs, 2); the medians over an epoch's steps."""
        return np.median(self.arrays["log"], axis=1)


def report(cache: Path) -> None:
    """scale.csv (a row a run), scale.md (tables), scale.png (scale and share without influence in time)."""
    plan = {cell.name: cell for cell in cells()}
    clean = load(SET)
    found = {path.stem: dict(np.load(path)) for path in sorted(cache.glob("*.npz")) if path.stem in plan}
    runs = [Scored(cell, found[name], clean) for name, cell in plan.items() if name in found]
    frame = pd.DataFrame([run.row() for run in runs])
    frame.to_csv(RESULTS / "scale.csv", index=False, float_format="%.6g")
    lines = [
        "# The scale of Tukey's biweight",
        "",
        f"`python benchmarks/scale.py`: {len(runs)} runs, {frame['seconds'].sum() / 60:.0f} one-thread minutes as "
        f"timed beside other work; {EPOCHS} epochs of {len(clean.rows('train')):,} images, seeds {SEEDS[0]}-"
        f"{SEEDS[-1]}. NME on {len(clean.rows('test'))} clean test images in %, mean over seeds [lowest, highest]; in "
        "brackets the median difference to the first row with Wilcoxon's signed-rank test over images, each with the "
        "mean over its seeds, Holm-corrected over the rows of a table. Precision and recall of the suspects in %. "
        f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        *_group("Whose MAD (L1 warm-up)", "scale", runs, SCALES, _is(batch=BATCH, warmup="l1")),
        *_group(f"The same with batches of {SMALL}", "scale", runs, SCALES, _is(batch=SMALL)),
        *_group("How to begin (scale of the epoch)", "warmup", runs, WARM_UPS, _is(batch=BATCH, scale="epoch")),
        *_references(frame),
        *_costs(frame),
    ]
    _draw(runs)
    write_text("\n".join(lines) + "\n", RESULTS / "scale.md")
    print("\n".join(lines))


def _is(**wanted: Any) -> Callable[[Cell], bool]:
    """Whether a cell is one of Tukey's with these fields."""
    return lambda cell: cell.noise == "tukey" and all(getattr(cell, name) == value for name, value in wanted.items())


def _group(
    title: str, column: str, runs: list[Scored], order: Iterable[str], chosen: Callable[[Cell], bool]
) -> list[str]:
    """NME, precision and recall of the suspects, with tests against the first of ``order``."""
    rows = []
    for name in order:
        row: dict[str, Any] = {column: name} | {f"{share:.0%}": None for share in SHARES}
        for share in SHARES:
            here = _by(column, [run for run in runs if chosen(run.cell) and run.cell.share == share])
            if name in here:
                values = pd.DataFrame([run.row() for run in here[name]])
                row[f"{share:.0%}"] = f"{_spread(values['NME'], 3)} {_star(here, name, next(iter(order)))}".strip()
                if share:
                    row |= {f"{what}, {share:.0%}": f"{values[what].mean():.1f}" for what in ("precision", "recall")}
        rows.append(row)
    return [f"## {title}", "", to_markdown(pd.DataFrame(rows).dropna(axis="columns", how="all")), ""]


def _by(column: str, runs: list[Scored]) -> dict[str, list[Scored]]:
    grouped: dict[str, list[Scored]] = {}
    for run in runs:
        grouped.setdefault(getattr(run.cell, column), []).append(run)
    return grouped


def _star(grouped: dict[str, list[Scored]], name: str, reference: str) -> str:
    """Median difference, p and stars against the reference on the seeds that all have; nothing for the reference."""
    seeds = min(len(members) for members in grouped.values())
    if name == reference or reference not in grouped:
        return ""
    errors = {method: np.mean([run.nme() for run in members[:seeds]], axis=0) for method, members in grouped.items()}
    (one,) = (found for found in compare_errors(errors, reference=reference) if found.method == name)
    return f"({one.median_difference:+.3f}, p {one.adjusted:.2g}{one.stars})"


def _spread(values: pd.Series, digits: int) -> str:
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} [{values.min():.{digits}f}, {values.max():.{digits}f}]"


def _references(frame: pd.DataFrame) -> list[str]:
    part = frame[frame["noise"] != "tukey"]
    table = part.groupby(["noise", "share"])["NME"].apply(lambda v: _spread(v, 3)).unstack("share")
    table = table.rename(columns=lambda share: f"{share:.0%}").reset_index()
    return ["## L2 and L1, to compare with (seeds 0-1)", "", to_markdown(table), ""]


def _costs(frame: pd.DataFrame) -> list[str]:
    """Seconds an epoch against the scale of the epoch, pairwise by seed, share and batch."""
    tukey = frame[(frame["noise"] == "tukey") & (frame["warmup"] == "l1")]
    keys = ["share", "seed", "batch"]
    both = tukey.merge(tukey[tukey["scale"] == "epoch"][[*keys, "seconds an epoch"]], on=keys, suffixes=("", ", epoch"))
    both = both.assign(ratio=both["seconds an epoch"] / both["seconds an epoch, epoch"])
    rows = [
        {"batch": batch, "scale": scale, "seconds": f"{part['seconds an epoch'].median():.2f}",
         "ratio": f"{part['ratio'].median():.2f} [{part['ratio'].min():.2f}, {part['ratio'].max():.2f}]"}
        for (batch, scale), part in both.groupby(["batch", "scale"], sort=False)
    ]  # fmt: skip
    about = "Medians; the ratio to `epoch` is of runs with the same seed, labels and batch."
    return ["## What an epoch costs", "", about, "", to_markdown(pd.DataFrame(rows)), ""]


COLOURS = ("#009E73", "#0072B2", "#D55E00")


@house_style()
def _draw(runs: list[Scored]) -> None:
    """At the highest contamination: above the three scales, below the three starts."""
    share = SHARES[-1]
    figure = new_figure(9.0, 6.0)
    panels = figure.subplots(2, 2, sharex=True)
    comparisons = (
        ("scale", SCALES, _is(batch=BATCH, warmup="l1")),
        ("warmup", WARM_UPS, _is(batch=BATCH, scale="epoch")),
    )
    for (left, right), (column, order, chosen) in zip(panels, comparisons, strict=True):
        grouped = _by(column, [run for run in runs if chosen(run.cell) and run.cell.share == share])
        for name, colour in zip(order, COLOURS, strict=True):
            for run in grouped.get(name, []):
                _curves(left, right, run.course(), colour, name if run is grouped[name][0] else None)
        left.set(title=f"scale of the loss, {'whose MAD' if column == 'scale' else 'by warm-up'}", yscale="log")
        left.set_yticks(ticks := [0.2, 0.3, 0.5, 1, 2, 5], [f"{tick:g}" for tick in ticks])
        left.minorticks_off()
        right.axhline(share, color=FAINT, lw=1, ls="--")
        right.set(title="training labels without influence", ylim=(0, 0.6))
        percent_axis(right)
        left.legend()
    for axes in panels[-1]:
        axes.set(xlabel="epoch")
    save(figure, RESULTS / "scale.png")


def _curves(left: Axes, right: Axes, course: np.ndarray, colour: str, label: str | None) -> None:
    epochs = np.arange(1, 1 + len(course))
    left.plot(epochs, course[:, 0], color=colour, label=label, lw=1.2)
    right.plot(epochs, course[:, 1], color=colour, lw=1.2)


if __name__ == "__main__":
    main("scale", __doc__, (SET,), work=work, report=report)
