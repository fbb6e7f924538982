"""Which predicted distribution: paper 3's Tables 2, 3, 6 and 10, and the mixture, on two sets of faces.

    python benchmarks/families.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/families.py --report   # tables and figures from the runs that are there

LFW+NET: five points, 9,000 training, 1,000 validation, 3,466 test images; errors in % of the face width. Udacity: 68
points, persons of training, validation and test disjoint; errors in % of the distance of the outer eye corners.
Compact network at 48 px grey, the default protocol. Wrong labels (l-UGO) are in training and validation rows, test
labels are the sets' own. Needs the folders ``lfw_net`` and ``udacity_faces68`` in $STEADFIT_DATA (default
~/.cache/steadfit-data); without them the script says so and ends.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from steadfit import __version__, corrupt
from steadfit._files import atomic_path, write_text
from steadfit.data import Annotations, Schema, load_annotations
from steadfit.metrics import (
    calibration,
    compare_errors,
    mahalanobis,
    negative_log_likelihood,
    outlier_scores,
    right_labels,
)
from steadfit.noise import NOISE_MODELS, PredictedMixtureNoise
from steadfit.penalties import Absolute, Charbonnier, Huber, Penalty, Squared
from steadfit.reports.calibration_figure import calibration_figure
from steadfit.reports.style import save
from steadfit.training import Settings
from steadfit.training.calibrated import Calibrated
from steadfit.training.fit import Splits, train
from steadfit.training.plans import fields_of
from sweep import DATA, main, relabelled, unclaimed
from tables import to_markdown

RESULTS = Path(__file__).parent / "results"
FACE = 96 / 1.3
CROP = {"lfw_net": 96.0, "udacity_faces68": 112.0}
EPOCHS = {"lfw_net": 12, "udacity_faces68": 20}
LONG = 80
FAMILY: dict[str, Penalty] = {
    "gauss": Squared(),
    "laplace": Absolute(),
    "huber": Huber(1.0),
    "charbonnier": Charbonnier(),
}
FAMILIES = tuple(FAMILY)
COVARIANCES = ("identity", "diagonal", "full")
PAIRS_68 = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34), (36, 45), (37, 44),
    (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63),
    (65, 67),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run."""

    data: str
    share: float  # of wrong training labels
    method: str  # a noise model, or a variant
    covariance: str
    seed: int
    head: str = "auto"
    epochs: int = 0  # 0: the set's own
    network: str = "default"

    @property
    def name(self) -> str:
        words = (self.data, f"{self.share:.1f}", self.method, self.covariance, self.head, self.epochs, self.seed)
        return "-".join(map(str, words)) + ("" if self.network == "default" else f"-{self.network}")


def cells() -> list[Cell]:
    """What matters most first, so that a sweep that is cut short says something."""
    plan: list[Cell] = []
    for seed in (0, 1):
        for share in (0.0, 0.2):
            for data in EPOCHS:
                plan += [Cell(data, share, f"predicted-{f}", c, seed) for f in FAMILIES for c in COVARIANCES]
        plan += [Cell("lfw_net", 0.4, m, "full", seed) for m in AT_40]
        plan += [Cell("lfw_net", 0.0, m, "full", seed) for m in ("mixture-gauss", "mixture-inflated", "gum", "l1")]
        plan += [Cell("udacity_faces68", 0.0, "predicted-huber", "full", seed, epochs=LONG)]
        plan += [
            Cell(d, 0.0, "predicted-huber", "full", seed, head=h) for d in EPOCHS for h in ("average", "depthwise")
        ]
    judged = [(seed, share, data) for seed in (0, 1) for share in (0.0, 0.2) for data in EPOCHS]
    plan += [Cell(data, share, "predicted-mixture", "full", seed) for seed, share, data in judged]
    plan += [Cell("lfw_net", 0.4, m, "full", 2) for m in AT_40]
    heads = ("average", "depthwise")
    large = {"epochs": 8, "network": "resnet18"}  # colour, 64 px
    plan += [
        Cell("udacity_faces68", 0.0, "predicted-huber", "full", seed, h, **large) for seed in (0, 1) for h in heads
    ]
    return plan


AT_40 = (
    *("predicted-mixture", "mixture-inflated", "mixture-gauss", "gum", "oracle", "predicted-huber"),
    "predicted-laplace",
)
MIXTURES = {
    "predicted-mixture": PredictedMixtureNoise(Huber(1.0)),
    "mixture-inflated": PredictedMixtureNoise(Huber(1.0), inflation=1.5),
    "mixture-gauss": PredictedMixtureNoise(Squared(), inflation=1.5),
}


def settings_of(cell: Cell) -> Settings:
    noise = {"oracle": "predicted-gauss"}.get(cell.method, cell.method)
    noise = "predicted-mixture" if noise in MIXTURES else noise
    model = NOISE_MODELS[noise](**({"covariance": cell.covariance} if "covariance" in fields_of(noise) else {}))
    epochs = cell.epochs or EPOCHS[cell.data]
    chosen = Settings(noise=model, head=cell.head, epochs=epochs, seed=cell.seed)
    if cell.network == "default":
        return chosen
    return dataclasses.replace(chosen, network=cell.network, size=64, channels=3, lr=2e-3, cache="on")


def load(data: str) -> Annotations:
    """A set, its persons disjoint (udacity) or in its authors' split (LFW+NET); some training rows are validation."""
    if data == "lfw_net":
        schema = Schema(pairs=((0, 1), (3, 4)), normalizer=FACE)
    else:
        schema = Schema(pairs=PAIRS_68, normalizer=(36, 45))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # byte-identical images, known and listed in the set's README
        found = load_annotations(DATA / data / "annotations.csv", schema, seed=0, val_share=0.1)
    return found if data == "lfw_net" else dataclasses.replace(found, split=_by_person(DATA / data))


def _by_person(folder: Path) -> np.ndarray:
    """The set's person-disjoint split, with every tenth person of its training rows for validation."""
    table = pd.read_csv(folder / "annotations.csv", usecols=["person", "split_person"])
    persons = sorted(set(table["person"][table["split_person"] == "train"]))
    held_out = set(np.random.default_rng(0).permutation(persons)[: len(persons) // 10])
    split = table["split_person"].where(~table["person"].isin(held_out) | (table["split_person"] == "test"), "val")
    return split.to_numpy(dtype=str)


def contaminate(clean: Annotations, cell: Cell) -> tuple[Annotations, np.ndarray]:
    """l-UGO labels in training and validation rows, and the mask (N, K) of those that were moved."""
    rows = np.concatenate([clean.rows("train"), clean.rows("val")])
    labels, mask = corrupt.l_ugo(clean.target[rows], cell.share, width=CROP[cell.data], seed=100 + cell.seed)
    target, wrong = clean.target.copy(), np.zeros(clean.target.shape[:2], dtype=bool)
    target[rows], wrong[rows] = labels, mask
    return clean.with_target(target), wrong


def run_cell(cell: Cell, clean: Annotations, decoded: Splits) -> dict[str, np.ndarray]:
    """Train, and predict validation and test rows, plain and fused with the mirrored image."""
    given, wrong = contaminate(clean, cell)
    known = given
    if cell.method == "oracle":
        known = given.with_target(np.where(wrong[..., None], np.nan, given.target))
    splits = Splits(train=relabelled(decoded.train, known), val=relabelled(decoded.val, known))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = train(splits, settings_of(cell), Path(folder), noise=MIXTURES.get(cell.method), device="cpu")
    found: dict[str, np.ndarray] = {"seconds": np.array(time.perf_counter() - start)}
    judged = run.judge_dataset(relabelled(decoded.train, given))
    found |= {"trust": judged.trust, "suspect": judged.suspect, "wrong": wrong[given.rows("train")]}
    found["error_rate"] = np.array(judged.error_rate)
    found["val_trust"] = run.judge(given.take(given.rows("val"))).trust
    for part in ("val", "test"):
        rows = given.take(given.rows(part))
        for name, views in (("", ()), ("_mirror", ("mirror",))):
            prediction = run.predict_positions(rows, views=views)
            found[f"{part}_mean{name}"] = prediction.mean.astype(np.float32)
            if prediction.root is not None:
                found[f"{part}_root{name}"] = prediction.root.astype(np.float32)
    return found


def work(cache: Path) -> None:
    """Run every cell that nobody has begun."""
    torch.set_num_threads(1)
    loaded: dict[str, tuple[Annotations, Splits]] = {}
    for cell, result in unclaimed(cells(), cache, ".npz"):
        key = f"{cell.data} {cell.network}"
        if key not in loaded:
            clean = load(cell.data)
            loaded[key] = clean, Splits.of(clean, dataclasses.replace(settings_of(cell), cache="on"))
        with atomic_path(result) as path:
            np.savez(path.open("wb"), **run_cell(cell, *loaded[key]))  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Scored:
    """A finished run against the clean labels of the set."""

    cell: Cell
    arrays: dict[str, np.ndarray]
    clean: Annotations

    @property
    def penalty(self) -> Penalty | None:
        if "test_root" not in self.arrays:
            return None
        if self.cell.method in MIXTURES:
            return MIXTURES[self.cell.method].penalty
        return FAMILY["gauss" if self.cell.method == "oracle" else self.cell.method.removeprefix("predicted-")]

    def labels(self, part: str) -> np.ndarray:
        return self.clean.target[self.clean.rows(part)]

    def nme(self, part: str = "test", views: str = "") -> np.ndarray:
        """Of every image, in % of its normalising length."""
        error = np.linalg.norm(self.arrays[f"{part}_mean{views}"] - self.labels(part), axis=-1)
        assert self.clean.length is not None
        return 100 * error.mean(axis=1) / self.clean.length[self.clean.rows(part)]

    def predicted(self, part: str, views: str = "") -> tuple[Tensor, Tensor, Tensor]:
        """Mean, root, clean label, in float64."""
        mean, root = (self.arrays[f"{part}_{what}{views}"] for what in ("mean", "root"))
        return torch.from_numpy(mean).double(), torch.from_numpy(root).double(), torch.from_numpy(self.labels(part))

    def nll(self, views: str = "", tau: float = 1.0) -> float:
        """Nats per point, labels in px of the crop."""
        assert self.penalty is not None
        mean, root, label = self.predicted("test", views)
        return float(negative_log_likelihood(mean, root / tau, label, self.penalty).mean())

    def held_out(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """The validation rows as a user has them, contaminated, and how much each label counts.

        By a mixture's own responsibility; other runs' labels in full, or, contaminated, by an estimate.
        """
        assert self.penalty is not None
        given, _ = contaminate(self.clean, self.cell)
        mean, root, _ = self.predicted("val")
        label = torch.from_numpy(given.target[given.rows("val")])
        if self.cell.method in MIXTURES:
            return mean, root, label, torch.from_numpy(self.arrays["val_trust"])
        return mean, root, label, right_labels(mean, root, label, self.penalty).probability if self.cell.share else None

    def calibrated(self) -> dict[str, float]:
        """On test labels, before and after a temperature and a conformal radius from validation rows."""
        assert self.penalty is not None
        mean, root, label, weight = self.held_out()
        names = tuple(map(str, range(label.shape[1])))
        fitted = Calibrated.fit(mean, root, label, self.penalty, names=names, weight=weight)
        tau = fitted.temperature.tau
        mean, root, label = self.predicted("test")
        inside = mahalanobis(mean, root, label)
        ellipse = float(self.penalty.radius(0.9, 2))
        return {
            "NLL": self.nll(),
            "tau": tau,
            "NLL, tau": self.nll(tau=tau),
            "in 90 %": 100 * float((inside <= ellipse).double().mean()),
            "in 90 %, tau": 100 * float((inside / tau <= ellipse).double().mean()),
            "in 90 %, conformal": 100 * float((inside / tau <= fitted.region(0.9)).double().mean()),
        }


def report(cache: Path) -> None:
    """families.csv (a row a run), families.md (tables), families.png (calibration before and after)."""
    plan = {cell.name: cell for cell in cells()}
    sets = {data: load(data) for data in EPOCHS}
    runs = [
        Scored(plan[path.stem], dict(np.load(path)), sets[plan[path.stem].data])
        for path in sorted(cache.glob("*.npz"))
        if path.stem in plan
    ]
    frame = pd.DataFrame([_row(run) for run in runs])
    frame.to_csv(RESULTS / "families.csv", index=False, float_format="%.6g")
    usual = frame[(frame["head"] == "auto") & (frame["epochs"] == 0)]
    lines = [
        "# Predicted distributions on faces",
        "",
        f"`python benchmarks/families.py`: {len(runs)} runs, {frame['seconds'].sum() / 60:.0f} one-thread minutes as "
        "timed beside other work. LFW+NET: 12 epochs; Udacity: 20. Mean over seeds [lowest, highest]. "
        f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        *_families(usual),
        *_views(usual),
        *_heads(frame),
        *_mixture(usual),
        *_calibration(frame),
        *_tests(runs),
    ]
    _draw(runs)
    write_text("\n".join(lines) + "\n", RESULTS / "families.md")
    print("\n".join(lines))


def _draw(runs: list[Scored]) -> None:
    """families.png: the longest training, whose covariances are the most overconfident."""
    for run in runs:
        if run.cell.epochs == LONG and run.cell.seed == 0 and run.penalty is not None:
            mean, root, label, weight = run.held_out()
            names = tuple(map(str, range(label.shape[1])))
            fitted = Calibrated.fit(mean, root, label, run.penalty, names=names, weight=weight)
            mean, root, label = run.predicted("test")
            levels = torch.linspace(0.05, 0.95, 19).tolist()
            results = {
                "as predicted": calibration(mean, root, label, run.penalty),
                "with temperature": calibration(mean, fitted.apply(root), label, run.penalty),
            }
            inside = fitted.conformal.coverage(mahalanobis(mean, root, label), levels)
            save(calibration_figure(results, unit="px", conformal=inside).figure, RESULTS / "families.png")


def _row(run: Scored) -> dict[str, Any]:
    error = np.linalg.norm(run.arrays["test_mean"] - run.labels("test"), axis=-1)
    row: dict[str, Any] = dataclasses.asdict(run.cell) | {
        "NME": run.nme().mean(),
        "NME, mirror": run.nme(views="_mirror").mean(),
        "error": error.mean(),
        "seconds": float(run.arrays["seconds"]),
    }
    if run.cell.data == "lfw_net":
        row["failures"] = 100 * float((error > 0.05 * FACE).mean())
    if run.penalty is not None:
        row |= run.calibrated() | {"NLL, mirror": run.nll("_mirror")}
    if run.cell.share:
        scores = outlier_scores(run.arrays["suspect"], run.arrays["wrong"], run.arrays["trust"])
        row |= {"precision": 100 * scores.precision, "recall": 100 * scores.recall}
        row["error rate"] = 100 * float(run.arrays["error_rate"])
    return row


def _spread(values: pd.Series, digits: int) -> str:
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} [{values.min():.{digits}f}, {values.max():.{digits}f}]"


def _families(frame: pd.DataFrame) -> list[str]:
    lines = []
    for (data, share), part in frame[frame["share"] < 0.4].groupby(["data", "share"], sort=False):
        part = part[part["method"].isin([f"predicted-{family}" for family in FAMILIES] + ["predicted-mixture"])]
        lines += [f"## {data}, {100 * share:.0f} % l-UGO: NME (%) and NLL (nats per point, labels in px)", ""]
        for column, digits in (("NME", 2), ("NLL", 3)):
            groups = part.groupby(["method", "covariance"], sort=False)[column]
            table = groups.apply(lambda v, digits=digits: _spread(v, digits)).unstack("covariance")
            table = table.reindex(columns=list(COVARIANCES)).reset_index().rename(columns={"method": column})
            lines += [to_markdown(table), ""]
    return lines


def _views(frame: pd.DataFrame) -> list[str]:
    part = frame[(frame["covariance"] == "full") & (frame["share"] < 0.4) & frame["NLL"].notna()]
    rows = []
    for (data, share, method), group in part.groupby(["data", "share", "method"], sort=False):
        fused = "" if "laplace" in method else _spread(group["NLL, mirror"], 3)  # at a Laplace mode it has no bound
        gain = 100 * (1 - group["NME, mirror"] / group["NME"])
        rows.append(
            {"data": data, "wrong": f"{100 * share:.0f} %", "method": method, "NME": _spread(group["NME"], 2),
             "with mirror": _spread(group["NME, mirror"], 2), "gain %": _spread(gain, 1),
             "NLL": _spread(group["NLL"], 3), "fused NLL": fused}
        )  # fmt: skip
    title = "## Test-time augmentation: fused with the mirrored image, full covariance"
    why = "The fused precision takes the views for independent, which they are not: calibrate with `--view mirror`."
    return [title, "", why, "", to_markdown(pd.DataFrame(rows)), ""]


def _heads(frame: pd.DataFrame) -> list[str]:
    part = frame[(frame["method"] == "predicted-huber") & (frame["covariance"] == "full")]
    part = part[(part["share"] == 0) & (part["epochs"] != LONG)]
    rows = [
        {"data": data, "network": {"default": "compact, 48 px", "resnet18": "ResNet-18, 64 px, 8 epochs"}[network],
         "head": {"auto": "flatten"}.get(head, head), "NME": _spread(group["NME"], 2), "NLL": _spread(group["NLL"], 3)}
        for (data, network, head), group in part.groupby(["data", "network", "head"], sort=False)
    ]  # fmt: skip
    return ["## What pools the last map (predicted Huber)", "", to_markdown(pd.DataFrame(rows)), ""]


def _mixture(frame: pd.DataFrame) -> list[str]:
    rows = []
    part = frame[(frame["data"] == "lfw_net") & (frame["covariance"] == "full")]
    part = part[part["method"].isin([*AT_40, "l1"]) & part["share"].isin([0.0, 0.4])]
    for (share, method), group in part.groupby(["share", "method"], sort=False):
        row = {"wrong": f"{100 * share:.0f} %", "method": method, "seeds": len(group)}
        for column, digits in (("error", 3), ("failures", 2), ("NLL", 3), ("in 90 %", 1)):
            row[column] = _spread(group[column], digits) if group[column].notna().all() else ""
        for column in ("precision", "recall", "error rate"):
            row[column] = f"{group[column].mean():.1f}" if group[column].notna().all() else ""
        rows.append(row)
    return [
        "## The predicted mixture on LFW+NET: error in px, failures and all below in %",
        "",
        "`oracle`: predicted Gauss with the wrong labels left out; `mixture-inflated`: labels judged with 1.5 "
        "times the predicted covariance, as GUM does; `mixture-gauss`: the same with a Gaussian.",
        "",
        to_markdown(pd.DataFrame(rows)),
        "",
    ]


def _calibration(frame: pd.DataFrame) -> list[str]:
    part = frame[(frame["covariance"] == "full") & frame["NLL"].notna() & (frame["head"] == "auto")]
    columns = ("NLL", "tau", "NLL, tau", "in 90 %", "in 90 %, tau", "in 90 %, conformal")
    rows = []
    for (data, share, method, epochs), group in part.groupby(["data", "share", "method", "epochs"], sort=False):
        about = {"data": data, "wrong": f"{100 * share:.0f} %", "method": method, "epochs": epochs or EPOCHS[data]}
        rows.append(about | {column: f"{group[column].mean():.3f}" for column in columns})
    return [
        "## Calibration on test labels: temperature and conformal radius from the (contaminated) validation rows",
        "",
        to_markdown(pd.DataFrame(rows)),
        "",
    ]


def _tests(runs: list[Scored]) -> list[str]:
    """Per-image NME, seeds side by side, full covariance, against predicted Huber."""
    lines = ["## Paired Wilcoxon signed-rank tests of per-image NME against predicted Huber (full), Holm-corrected", ""]
    rows = []
    for data in EPOCHS:
        for share in (0.0, 0.2):
            errors: dict[str, list[np.ndarray]] = {}
            for run in sorted(runs, key=lambda run: run.cell.seed):
                cell = run.cell
                if (cell.data, cell.share, cell.head, cell.epochs) == (data, share, "auto", 0) and cell.seed < 2:
                    errors.setdefault(f"{cell.method} {cell.covariance}", []).append(run.nme())
            joined = {m: np.concatenate(e) for m, e in errors.items() if "predicted" in m and len(e) == 2}
            if "predicted-huber full" in joined and len(joined) > 1:
                for found in compare_errors(joined, reference="predicted-huber full"):
                    about = {"data": data, "wrong": f"{100 * share:.0f} %", "method": found.method}
                    ratio = f"{joined[found.method].mean() / found.reference_mean:.3f}"
                    rows.append(about | {"NME ratio": ratio, "p (Holm)": f"{found.adjusted:.2g}", "": found.stars})
    return [*lines, to_markdown(pd.DataFrame(rows)), ""]


if __name__ == "__main__":
    main("families", __doc__, tuple(EPOCHS), work=work, report=report)
