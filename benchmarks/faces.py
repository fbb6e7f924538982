"""What a cascade gains on faces, against one larger network of the same total compute, on LFW+NET.

    python benchmarks/faces.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/faces.py --report   # tables and figure from the runs that are there

LFW+NET: 9,000 training, 1,000 validation, 3,466 test images of 96 px, 5 points. Every network is the compact one in
grey, under the Gaussian-uniform mixture, with the default protocol. ``cascade``: stage 1 at 48 px, then eyes, nose
and mouth at 48 px each, placed by stage 1's estimate; ``coarse`` is its stage 1. ``single``: one network at 96 px,
four times stage 1's multiply-adds, as many as the cascade's four networks have. ``shaken``: the same, its training
images shifted by up to 5 % and scaled by up to 1.1 at random, as the cascade's crops are misplaced. ``wide``: one
network at 48 px with twice the channels. Wrong labels are in training and validation rows: l-UGO moves 20 % of all
points by up to the image's width, a swap exchanges left and right in 10 % of the images. Needs the folder ``lfw_net``
in $STEADFIT_DATA (default ~/.cache/steadfit-data); without it the script says so and ends.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from paired import RULE, Pair, compared, corrected, spread, verdict
from steadfit import __version__
from steadfit._files import atomic_path, write_text
from steadfit.data import Annotations, Schema, Warp, load_annotations
from steadfit.metrics import outlier_scores, pck_curve, stars
from steadfit.metrics.thresholds import FAILURE
from steadfit.networks import CompactConvNet, build_network
from steadfit.reports.axes import band, threshold_axes
from steadfit.reports.methods import Mark, marks
from steadfit.reports.style import house_style, legend_above, method_handles, new_figure, save
from steadfit.reports.values import p_value
from steadfit.training import Settings, fit
from steadfit.training.cascade import default_regions, fit_cascade
from sweep import DATA, main, unclaimed
from tables import to_markdown
from wrong import contaminated

RESULTS = Path(__file__).parent / "results"
PAIRS = ((0, 1), (3, 4))
FACE = 73.846  # px: 96/1.3, the detector's box
EPOCHS = 8
SMALL, LARGE, WIDTHS = 48, 96, (32, 64, 128, 256)
SHAKE = Warp(rotation=0, scale=1.1, anisotropy=1, perspective=0, shift=0.05)
SHARES = {"l_ugo": 0.2, "swap": 0.1}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run."""

    method: str  # cascade, single, wide, shaken
    wrong: str  # "", "l_ugo", "swap"
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-{self.wrong or 'clean'}-{self.seed}"


def cells() -> list[Cell]:
    """What matters most first, so that a sweep that is cut short says something."""
    plan = [Cell(method, wrong, seed) for seed in (0, 1) for wrong in ("", *SHARES) for method in ("cascade", "single")]
    return plan + [Cell(method, "", seed) for seed in (0, 1) for method in ("shaken", "wide")]


def load() -> Annotations:
    """LFW+NET in its authors' split; a tenth of the training rows is for validation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # byte-identical images, known and listed in the set's README
        schema = Schema(pairs=PAIRS, normalizer=FACE)
        return load_annotations(DATA / "lfw_net" / "annotations.csv", schema, seed=0, val_share=0.1)


def run_cell(cell: Cell, clean: Annotations) -> dict[str, np.ndarray]:
    """Train, predict the test rows and judge the training labels."""
    share = SHARES.get(cell.wrong, 0.0)
    given, wrong = contaminated(clean, cell.wrong, share, pairs=PAIRS, seed=100 + cell.seed)
    settings = Settings(noise="gum", epochs=EPOCHS, seed=cell.seed, size=SMALL, cache="on")
    start, found = time.perf_counter(), {}
    with tempfile.TemporaryDirectory() as folder:
        if cell.method == "cascade":
            regions = default_regions(given.schema.points)
            run: Any = fit_cascade(given, settings, settings, regions, folder, device="cpu")
        elif cell.method in ("single", "shaken"):
            shake = SHAKE if cell.method == "shaken" else None
            run = fit(given, dataclasses.replace(settings, size=LARGE), folder, augment=shake, device="cpu")
        else:
            torch.manual_seed(cell.seed)
            network = CompactConvNet(1, 10, size=(SMALL, SMALL), widths=WIDTHS)
            named = dataclasses.replace(settings, network="compact-wide")
            run = fit(given, named, folder, network=network, device="cpu")
    found["seconds"] = np.array(time.perf_counter() - start)
    test = given.take(given.rows("test"))
    if cell.method == "cascade":
        first, judged = run.judge_stages(test)
        found["coarse"] = first.predicted.astype(np.float32)
    else:
        judged = run.judge(test)
    found["test"] = judged.predicted.astype(np.float32)
    train = given.take(given.rows("train"))
    judged = run.judge(train)
    return found | {"trust": judged.trust, "suspect": judged.suspect, "wrong": wrong[given.rows("train")]}


def work(cache: Path) -> None:
    """Run every cell that nobody has begun."""
    torch.set_num_threads(1)
    clean = load()
    for cell, result in unclaimed(cells(), cache, ".npz"):
        with atomic_path(result) as path:
            np.savez(path.open("wb"), **run_cell(cell, clean))  # type: ignore[arg-type]


CONDITIONS = {"": "right labels", "l_ugo": "20 % l-UGO", "swap": "10 % swaps"}
METHODS = ("coarse", "cascade", "single", "shaken", "wide")
POINTS = ("left eye", "right eye", "nose", "left mouth", "right mouth")
FOUND = ("suspects", "precision", "recall", "average precision")
ABOUT_FOUND = (
    "Suspects: share of the training labels that the run calls wrong (%); precision and recall of these, and average "
    "precision of its trust (%). Swaps make 8 % of the labels wrong, for the nose stays."
)


@dataclasses.dataclass(frozen=True)
class Scored:
    """A finished run, or the first stage of a cascade, against the test labels."""

    cell: Cell
    method: str  # the cell's, or "coarse"
    arrays: dict[str, np.ndarray]
    label: np.ndarray  # (N, K, 2)

    @property
    def distances(self) -> np.ndarray:
        """Of every point, (N, K) px."""
        predicted = self.arrays["coarse" if self.method == "coarse" else "test"]
        distance: np.ndarray = np.linalg.norm(predicted - self.label, axis=-1)
        return distance

    def row(self) -> dict[str, Any]:
        """A line of faces.csv; a first stage has no time and no suspects of its own."""
        error, face = self.distances, self.distances / FACE
        row: dict[str, Any] = {"method": self.method, "wrong": self.cell.wrong, "seed": self.cell.seed}
        row |= {"error (px)": error.mean(), "NME (%)": 100 * face.mean(), "failures (%)": 100 * (face > FAILURE).mean()}
        row |= dict(zip(POINTS, error.mean(axis=0), strict=True))
        row |= dict.fromkeys((*FOUND, "seconds"), np.nan)
        if self.method == "coarse":
            return row
        scores = outlier_scores(*(self.arrays[name] for name in ("suspect", "wrong", "trust")))
        if self.cell.wrong:
            shares = (scores.precision, scores.recall, scores.average_precision)
            row |= {name: 100 * share for name, share in zip(FOUND[1:], shares, strict=True)}
        return row | {"suspects": 100 * self.arrays["suspect"].mean(), "seconds": float(self.arrays["seconds"])}


def report(cache: Path) -> None:
    """faces.csv (a row a run, and one for each first stage), faces.md (tables), faces.png (errors)."""
    clean = load()
    label = clean.target[clean.rows("test")]
    done = [(cell, dict(np.load(path))) for cell in cells() if (path := cache / f"{cell.name}.npz").exists()]
    runs = [
        Scored(cell, method, arrays, label)
        for cell, arrays in done
        for method in (("coarse", "cascade") if cell.method == "cascade" else (cell.method,))
    ]
    if not runs:
        print(f"faces: no finished run in {cache}.")
        return
    frame = pd.DataFrame([run.row() for run in runs])
    frame.to_csv(RESULTS / "faces.csv", index=False, float_format="%.6g")
    tests = _tests(runs)
    lines = [
        "# A cascade on faces, against one larger network",
        "",
        f"`python benchmarks/faces.py`: {len(done)} runs, {frame['seconds'].sum() / 60:.0f} one-thread minutes as "
        f"timed beside other work; LFW+NET, {EPOCHS} epochs, GUM. The {len(label):,} test images; mean ± standard "
        "deviation over seeds. `coarse`: the cascade's first stage alone; `single`: one network at "
        f"{LARGE} px; `shaken`: the same, its training images shifted and scaled at random, as the cascade's crops are "
        f"misplaced; `wide`: one of twice the channels at {SMALL} px. All are mirrored. NME: "
        f"error in % of the face ({FACE:.1f} px); failures: points further off than {100 * FAILURE:.0f} % of it. "
        f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        *_verdict(tests),
        *_table("Errors", frame, {"error (px)": 3, "NME (%)": 2, "failures (%)": 2}),
        *_test_table(tests),
        *_cost(frame, clean.schema.points),
        *_table("Errors of each point (px)", frame, dict.fromkeys(POINTS, 2)),
        *_table("Wrong labels found", frame[frame["method"] != "coarse"], dict.fromkeys(FOUND, 1), ABOUT_FOUND),
    ]
    save(_figure(runs), RESULTS / "faces.png")
    write_text("\n".join(lines) + "\n", RESULTS / "faces.md")
    print("\n".join(lines))


def _table(title: str, frame: pd.DataFrame, digits: Mapping[str, int], about: str = "") -> list[str]:
    """Columns of the frame for every condition and method, over the seeds."""
    rows = []
    for wrong, condition in CONDITIONS.items():
        for method in METHODS:
            part = frame[(frame["wrong"] == wrong) & (frame["method"] == method)]
            if len(part):
                shown = {name: spread(part[name], places) for name, places in digits.items()}
                rows.append({"labels": condition, "method": method} | shown | {"seeds": len(part)})
    return [f"## {title}", "", *([about, ""] if about else []), to_markdown(pd.DataFrame(rows)), ""]


def _cost(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    rows = []
    for method in METHODS:
        networks = _networks(method, names)
        rows.append({
            "method": method,
            "networks": len(networks),
            "multiply-adds (million)": round(sum(multiply_adds(one, size) for one, size in networks) / 1e6, 2),
            "parameters (million)": round(sum(p.numel() for one, _ in networks for p in one.parameters()) / 1e6, 2),
            "training (min)": spread(frame[frame["method"] == method]["seconds"] / 60, 1),
        })  # fmt: skip
    why = (
        "Multiply-adds of convolutions and linear layers for one image. Training in one thread as timed, beside other "
        "work that was not equal for all: multiply-adds are the fairer measure."
    )
    return ["## Cost", "", why, "", to_markdown(pd.DataFrame(rows)), ""]


def _networks(method: str, names: Sequence[str]) -> list[tuple[nn.Module, int]]:
    """What a method consists of, and the side in px of each network's input."""
    outputs = {"coarse": [10], "cascade": [10, *(2 * len(region.points) for region in default_regions(names))]}
    if method == "wide":
        return [(CompactConvNet(1, 10, size=(SMALL, SMALL), widths=WIDTHS), SMALL)]
    size = LARGE if method in ("single", "shaken") else SMALL
    return [(build_network("compact", 1, n, size=(size, size)), size) for n in outputs.get(method, [10])]


def multiply_adds(network: nn.Module, size: int) -> int:
    """Of the convolutions and linear layers, for one grey image of ``size`` px.

    >>> multiply_adds(nn.Conv2d(1, 2, 3, padding=1), 4)  # 9 for each of 2 x 16 outputs
    288
    """
    counts: list[int] = []

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        counts.append(output.numel() * layer.weight[0].numel())  # type: ignore[index]

    hooks = [part.register_forward_hook(count) for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 1, size, size))
    for hook in hooks:
        hook.remove()
    return sum(counts)


OTHERS = {
    "single": "one larger network of as many multiply-adds",
    "shaken": "the same with shifts and scales in training",
    "wide": "a network of twice the channels",
    "coarse": "its own first stage",
}


def _tests(runs: list[Scored]) -> list[Pair]:
    """The cascade against every other method in every condition."""
    pairs: list[Pair] = []
    for wrong, condition in CONDITIONS.items():
        errors: dict[str, dict[int, np.ndarray]] = {method: {} for method in METHODS}
        for run in runs:
            if run.cell.wrong == wrong:
                errors[run.method][run.cell.seed] = run.distances.mean(axis=1)
        for other in OTHERS:
            about = {"labels": condition, "cascade against": other}
            pairs += compared(about, errors[other], errors["cascade"])
    return corrected(pairs)


def _test_table(tests: list[Pair]) -> list[str]:
    rows = [
        dict(one.about)
        | {"error": f"{100 * one.change:+.1f} %", "by seed": one.by_seed, "p (Holm)": p_value(one.p), "": stars(one.p)}
        for one in tests
    ]
    return ["## The cascade against each other method", "", f"{RULE}.", "", to_markdown(pd.DataFrame(rows)), ""]


def _verdict(tests: list[Pair]) -> list[str]:
    """In how many conditions the cascade is better, and by how much."""
    said = []
    for other, what in OTHERS.items():
        against = [one for one in tests if one.about["cascade against"] == other]
        if against:
            changes = ", ".join(f"{100 * one.change:+.1f} % ({one.about['labels']})" for one in against)
            said.append(f"than {what} in {verdict([one.won for one in against])[1]} conditions: {changes}")
    why = "Counted are significant differences (see the tests); the numbers are changes of the mean error."
    return [f"**The cascade is better {'; '.join(said)}.** {why}", ""] if said else []


@house_style()
def _figure(runs: list[Scored]) -> Figure:
    """Shares of points within a threshold, trained with right labels; mean errors of all conditions."""
    drawn = {method: mark for method, mark in marks(METHODS).items() if any(run.method == method for run in runs)}
    figure, alphas = new_figure(10.0, 4.2), torch.linspace(0, 0.1, 101).tolist()
    left, right = figure.subplots(1, 2)
    for method, mark in drawn.items():
        members = [run for run in runs if run.method == method and not run.cell.wrong]
        if members:
            each = np.stack([pck_curve(torch.from_numpy(run.distances / FACE), alphas).numpy() for run in members])
            band(left, alphas, each, mark, line="-")
    threshold_axes(left, alphas, alpha=FAILURE, unit="share of the face", what="points")
    left.set(title="trained with right labels")
    _mean_errors(right, runs, drawn)
    legend_above(figure, method_handles(drawn, markers=True))
    return figure


def _mean_errors(axes: Axes, runs: list[Scored], drawn: Mapping[str, Mark]) -> None:
    for i, (method, mark) in enumerate(drawn.items()):
        for at, wrong in enumerate(CONDITIONS):
            each = [run.distances.mean() for run in runs if (run.method, run.cell.wrong) == (method, wrong)]
            if each:
                mean = float(np.mean(each))
                axes.errorbar(
                    at + 0.16 * (i - (len(drawn) - 1) / 2), mean, yerr=[[mean - min(each)], [max(each) - mean]],
                    color=mark.colour, marker=mark.marker, ms=8, mec="white", mew=0.6, elinewidth=1.6,
                )  # fmt: skip
    axes.set_xticks(range(len(CONDITIONS)), list(CONDITIONS.values()))
    axes.set(xlim=(-0.5, len(CONDITIONS) - 0.5), xlabel="training labels", ylabel="mean error (px)")
    axes.set(title="mean errors, lowest to highest seed")
    axes.grid(visible=False, axis="x")


if __name__ == "__main__":
    main("faces", __doc__, ("lfw_net",), work=work, report=report)
