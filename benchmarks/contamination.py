"""How far training stands wrong labels: DeepGUM's section 4.4 on LFW+NET, its Fig. 5.

    python benchmarks/contamination.py            # all runs (resumable), then table and figure
    python benchmarks/contamination.py --report   # table and figure from the runs that are there

Five facial landmarks, 9,000 training, 1,000 validation (both contaminated) and 3,466 clean test images, compact network
at 48 px grey. A failure is an error above 5 % of the face width (3.69 px of the 96 px crop). The oracle is the same
network, start, inner loss and budget with the wrong labels known and left out. Needs the ``lfw_net`` folder in
$STEADFIT_DATA (default ~/.cache/steadfit-data); without it the script says so and ends.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

from contamination_figure import contamination_figure
from steadfit import __version__, corrupt
from steadfit._files import write_json, write_text
from steadfit.data import Annotations, LabelledDataset, Schema, load_annotations
from steadfit.metrics import best_stars, compare_errors, outlier_scores
from steadfit.noise import NOISE_MODELS, GaussianUniformNoise
from steadfit.reports.style import save
from steadfit.training import PLANS, Settings
from steadfit.training.fit import Splits, train
from sweep import relabelled
from tables import to_markdown

DATA = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache/steadfit-data")) / "lfw_net"
RESULTS = Path(__file__).parent / "results"
CROP, FACE = 96.0, 96 / 1.3
GROSS = 0.05 * FACE
EPOCHS, PAPER_EPOCHS = 20, 30
CONDITIONS = [
    ("l-UGO", 0.0),
    ("l-UGO", 0.4),
    ("l-UGO", 0.6),
    ("l-UGO", 0.8),
    ("g-UGO", 0.4),
    ("g-UGO", 0.6),
    ("NGO", 0.4),
]
VARIANTS = {  # the default with one choice changed, to say what it rests on
    "gum-l2-start": {"warmup": "l2"},
    "gum-squared": {"inner": "squared"},
    "gum-plain-posterior": {"inflation": 1.0},
    "gum-epoch-residuals": {},
}
BASIC = ("l2", "l1", "huber", "tukey", "gum-point", "gum-sample")
CORRUPTIONS = {"l-UGO": corrupt.l_ugo, "g-UGO": corrupt.g_ugo, "NGO": corrupt.ngo}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run."""

    kind: str
    share: float
    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.share:.1f}-{self.method}-{self.seed}"


def cells() -> list[Cell]:
    """The comparison that matters first; at 0 % the oracle is the L1 run."""
    plan = [Cell(k, s, m, seed) for seed in range(3) for k, s in CONDITIONS for m in _judged(k, s)]
    plan += [Cell(k, s, m, seed) for seed in range(2) for k, s in CONDITIONS for m in ("tukey", "l1", "l2", "huber")]
    plan += [Cell("l-UGO", 0.6, m, seed) for seed in range(2) for m in VARIANTS]
    plan += [Cell("l-UGO", 0.8, "gum-plain-posterior", seed) for seed in range(2)]
    plan += [Cell(k, s, "gum-paper", 0) for k, s in CONDITIONS]
    return list(dict.fromkeys(plan))


def _judged(kind: str, share: float) -> list[str]:
    gum = ["gum-point", "gum-sample"] if kind == "g-UGO" else ["gum-point"]
    return [*gum, "l1" if share == 0 else "oracle"]


def settings_of(cell: Cell) -> Settings:
    """The default protocol, but for ``gum-paper``."""
    if cell.method == "gum-paper":
        noise = PLANS["paper"].noise_model("gum", {"unit": "sample" if cell.kind == "g-UGO" else "point"})
        return Settings(noise=noise, protocol="paper", epochs=PAPER_EPOCHS, seed=cell.seed)
    if cell.method in VARIANTS:
        residuals = "epoch" if cell.method == "gum-epoch-residuals" else "pass"
        return Settings(noise="gum", epochs=EPOCHS, seed=cell.seed, residuals=residuals)
    name, _, unit = {"oracle": "l1"}.get(cell.method, cell.method).partition("-")
    given = {"unit": unit} if unit else {}
    return Settings(noise=NOISE_MODELS[name](**given), epochs=EPOCHS, seed=cell.seed)


def contaminate(clean: Annotations, cell: Cell) -> tuple[Annotations, np.ndarray, np.ndarray]:
    """Wrong labels in training and validation rows; the mask of moved labels and that of grossly moved ones."""
    rows = np.concatenate([clean.rows("train"), clean.rows("val")])
    labels, mask = CORRUPTIONS[cell.kind](clean.target[rows], cell.share, width=CROP, seed=100 + cell.seed)
    target, wrong = clean.target.copy(), np.zeros(clean.target.shape[:2], dtype=bool)
    target[rows], wrong[rows] = labels, mask
    gross = wrong & (np.linalg.norm(target - clean.target, axis=-1) > GROSS)
    return clean.with_target(target), wrong, gross


def run_cell(cell: Cell, clean: Annotations, decoded: Splits, everything: LabelledDataset) -> dict:
    """Train, test on clean labels, score the suspects."""
    given, wrong, gross = contaminate(clean, cell)
    known = given
    if cell.method == "oracle":
        known = given.with_target(np.where(wrong[..., None], np.nan, given.target))
    splits = Splits(train=relabelled(decoded.train, known), val=relabelled(decoded.val, known))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        noise = GaussianUniformNoise(**VARIANTS[cell.method]) if cell.method in VARIANTS else None
        run = train(splits, settings_of(cell), Path(folder), noise=noise, device="cpu")
        epochs = len(pd.read_csv(Path(folder) / "history.csv"))
    seconds = time.perf_counter() - start
    judgement = run.judge_dataset(relabelled(everything, given))
    test, rows = clean.rows("test"), clean.rows("train")
    error = np.linalg.norm(judgement.predicted[test] - clean.target[test], axis=-1)  # (N, 5) px
    scores = outlier_scores(judgement.suspect[rows], wrong[rows], judgement.trust[rows], gross[rows])
    return dataclasses.asdict(cell) | {
        "mean_error": float(error.mean()),
        "failure_rate": float((error > GROSS).mean()),
        "precision": scores.precision,
        "recall": scores.recall,
        "gross_recall": scores.gross_recall,
        "error_rate": judgement.error_rate,
        "fallen_back": judgement.fallen_back,
        "epochs": epochs,
        "seconds": round(seconds, 1),
        "image_errors": error.mean(axis=1).round(4).tolist(),
    }


def work(cache: Path, part: int, of: int) -> None:
    """Run every cell that nobody has begun; claims are files, so that processes can share the list."""
    torch.set_num_threads(1)
    clean = load()
    decoded, everything = Splits.of(clean, Settings()), LabelledDataset(clean, cache=True)
    for cell in cells():
        claim, result = cache / f"{cell.name}.{part}.claim", cache / f"{cell.name}.json"
        if result.exists() or any(cache.glob(f"{cell.name}.*.claim")):
            continue
        claim.touch()
        write_json(run_cell(cell, clean, decoded, everything), result)
        claim.unlink()
        print(f"{time.strftime('%H:%M:%S')} [{part + 1}/{of}] {cell.name}", flush=True)


def load() -> Annotations:
    """The set, with labels and splits of its authors; 1,000 training images become validation."""
    schema = Schema(pairs=((0, 1), (3, 4)), normalizer=FACE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # byte-identical images, known and listed in the set's README
        return load_annotations(DATA / "annotations.csv", schema, seed=0, val_share=0.1)


def report(cache: Path) -> None:
    """contamination.csv (a row a run), contamination.md (tables), contamination.png (the figure)."""
    found = [json.loads(path.read_text()) for path in sorted(cache.glob("*.json"))]
    errors = {(r["kind"], r["share"], r["method"], r["seed"]): np.array(r.pop("image_errors")) for r in found}
    frame = pd.DataFrame(found).sort_values(["kind", "share", "method", "seed"], ignore_index=True)
    frame.to_csv(RESULTS / "contamination.csv", index=False, float_format="%.6g")
    known = frame[~frame["method"].isin(list(VARIANTS))]
    oracle = known[(known["share"] == 0) & (known["method"] == "l1")].assign(method="oracle")
    known = pd.concat([known, oracle], ignore_index=True)
    main = frame[frame["method"].isin([*BASIC, "oracle"])]
    lines = [
        "# Contaminated landmarks on LFW+NET",
        "",
        f"`python benchmarks/contamination.py`: {len(found)} runs, {EPOCHS} epochs each (the paper's protocol: at most "
        f"{PAPER_EPOCHS}); seeds 0-2 for GUM and the oracle, 0-1 for the others, 0 for `gum-paper`. Two one-thread "
        f"processes take {_minutes(main):.0f} min for the comparison, {_minutes(frame) - _minutes(main):.0f} min for "
        "the variants and the paper's protocol (as timed, beside other work on two cores). "
        f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        "## Clean test images: failures (%) and mean error (px), mean over seeds [lowest, highest]",
        "",
        to_markdown(_pivot(known, "failure_rate", 100, 1)),
        "",
        to_markdown(_pivot(known, "mean_error", 1, 3)),
        "",
        "## What the default rests on: one choice changed, seeds 0-1",
        "",
        "`l2-start`: L2 warm-up; `squared`: squared loss inside the inliers; `plain-posterior`: inflation 1;",
        "`epoch-residuals`: EM on the residuals seen during the epoch instead of a pass without augmentation.",
        "",
        to_markdown(_variants(frame)),
        "",
        "## Against the oracle of the same seed: ratio, mean over seeds [lowest, highest], 95 % t-interval over seeds",
        "",
        to_markdown(_ratios(known)),
        "",
        "## Suspects among the training labels (%), mean over seeds",
        "",
        "Gross: moved by more than 5 % of the face width.",
        "",
        to_markdown(_suspects(known[known["method"] != "oracle"])),
        "",
        "## Clean labels (0 %): per-image errors against L2, paired Wilcoxon signed-rank, Holm-corrected, seeds 0-1",
        "",
        to_markdown(_clean(errors)),
        "",
        *_stars(errors),
    ]
    write_text("\n".join(lines) + "\n", RESULTS / "contamination.md")
    figure = contamination_figure(_drawn(known), failure="failures on clean test labels")
    save(figure, RESULTS / "contamination.png")
    print("\n".join(lines))


def _minutes(frame: pd.DataFrame) -> float:
    return float(frame["seconds"].sum()) / 2 / 60


def _label(kind: str, share: float) -> str:
    return "clean" if share == 0 else f"{kind} {share:.1f}"


def _ordered(frame: pd.DataFrame) -> list[str]:
    return [label for k, s in CONDITIONS if (label := _label(k, s)) in set(_labels(frame))]


def _labels(frame: pd.DataFrame) -> list[str]:
    return [_label(k, s) for k, s in zip(frame["kind"], frame["share"], strict=True)]


def _spread(values: pd.Series, factor: float, digits: int) -> str:
    low, high = values.min() * factor, values.max() * factor
    mean = f"{values.mean() * factor:.{digits}f}"
    return mean if len(values) == 1 else f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"


def _interval(ratio: pd.Series) -> str:
    """95 % t-interval of the mean of log ratios over seeds, as ratios."""
    if len(ratio) < 2:
        return "one seed"
    logs = np.log(ratio)
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return f"{np.exp(logs.mean() - half):.2f} to {np.exp(logs.mean() + half):.2f}"


def _pivot(frame: pd.DataFrame, column: str, factor: float, digits: int) -> pd.DataFrame:
    groups = frame.assign(condition=_labels(frame)).groupby(["method", "condition"])[column]
    table = groups.apply(lambda v: _spread(v, factor, digits)).unstack("condition")
    return table[_ordered(frame)].reset_index()


def _drawn(known: pd.DataFrame) -> pd.DataFrame:
    """The rows of the figure: kinds in the paper's order, precision and recall only of methods that judge labels."""
    order = {kind: rank for rank, kind in enumerate(CORRUPTIONS)}
    drawn = known.sort_values("kind", key=lambda kinds: kinds.map(order), kind="stable")
    drawn = drawn.assign(method=drawn["method"].replace({"gum-point": "gum"}))
    judged = ~drawn["method"].isin(["oracle", "l2"]) & (drawn["share"] > 0)
    for column in ("precision", "recall"):
        drawn[column] = drawn[column].astype(float).where(judged)
    return drawn


def _variants(frame: pd.DataFrame) -> pd.DataFrame:
    keys = ["kind", "share", "seed"]
    varied = frame[frame["method"].isin(list(VARIANTS))][keys].drop_duplicates()
    chosen = frame[frame["method"].isin(["gum-point", *VARIANTS])].merge(varied, on=keys)
    rows = []
    for (kind, share, method), part in chosen.groupby(["kind", "share", "method"]):
        shares = {name: f"{100 * part[name].mean():.1f}" for name in ("precision", "gross_recall")}
        errors = {"failures": _spread(part["failure_rate"], 100, 1), "mean_error": _spread(part["mean_error"], 1, 3)}
        rows.append(
            {
                "condition": _label(kind, share),
                "method": method,
                **errors,
                **shares,
                "seconds": f"{part['seconds'].mean():.0f}",
            }
        )
    return pd.DataFrame(rows)


def _ratios(frame: pd.DataFrame) -> pd.DataFrame:
    keys = ["kind", "share", "seed"]
    both = frame.merge(frame[frame["method"] == "oracle"], on=keys, suffixes=("", "_oracle"))
    both = both[both["method"].str.startswith("gum") & (both["method"] != "gum-paper")]
    rows = []
    for (method, kind, share), part in both.groupby(["method", "kind", "share"]):
        row = {"method": method, "condition": _label(kind, share)}
        for column in ("mean_error", "failure_rate"):
            ratio = part[column] / part[f"{column}_oracle"]
            row[column] = _spread(ratio, 1, 3)
            row[f"{column}, 95 %"] = _interval(ratio)
        rows.append(row)
    return pd.DataFrame(rows)


def _suspects(frame: pd.DataFrame) -> pd.DataFrame:
    columns = ["precision", "recall", "gross_recall", "error_rate"]
    means = frame.assign(condition=_labels(frame)).groupby(["method", "condition"])[columns].mean() * 100
    return means.round(1).reset_index()


def _clean(errors: dict) -> pd.DataFrame:
    methods = sorted({m for k, s, m, seed in errors if s == 0 and seed == 1 and m in BASIC})
    joined = {m: np.concatenate([errors["l-UGO", 0.0, m, seed] for seed in (0, 1)]) for m in methods}
    if "l2" not in joined:
        return pd.DataFrame({"method": methods})  # the runs are not there yet
    found = compare_errors(joined, reference="l2")
    return pd.DataFrame([dataclasses.asdict(comparison) for comparison in found])


def _stars(errors: dict) -> list[str]:
    """As in the paper: the best method of each condition, starred against every other, seed 0."""
    lines = ["## The best method of each condition, starred against every other (seed 0, as in paper 2)", ""]
    for kind, share in CONDITIONS:
        here = {
            m: e
            for (k, s, m, seed), e in errors.items()
            if (k, s, seed) == (kind, share, 0) and m not in {"oracle", *VARIANTS}
        }
        if len(here) > 1:
            best, mark = best_stars(here)
            lines.append(f"- {_label(kind, share)}: {best}{mark}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="only make table and figure")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=DATA.parent / "contamination-runs", help="a file a finished run")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"contamination: skipped, {DATA} is not there. Unpack the lfw_net set or set STEADFIT_DATA.")
    args.cache.mkdir(parents=True, exist_ok=True)
    if args.part is not None:
        return work(args.cache, args.part, args.processes)
    if not args.report:
        for claim in args.cache.glob("*.claim"):
            claim.unlink()
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--cache", str(args.cache), "--processes", str(args.processes)]
        workers = [subprocess.Popen([*command, "--part", str(i)], env=environment) for i in range(args.processes)]
        codes = [worker.wait() for worker in workers]  # all of them, before judging
        if any(codes):
            sys.exit("contamination: a worker failed; call again to continue.")
    report(args.cache)
    return None


if __name__ == "__main__":
    main()
