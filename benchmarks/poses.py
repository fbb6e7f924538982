"""Losses for pose heatmaps, and "hard or wrong?": paper 4's Table 7 and what trust adds, on Leeds Sports Pose.

    python benchmarks/poses.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/poses.py --report   # tables and figures from the runs that are there

LSP: 900 training, 100 validation, 1,000 test images, 14 joints, observer-centric; the image is the person's box. Light
Hourglass at 64 px in colour (16 x 16 heatmaps), random warps, the default protocol. PCK@.2 of the torso (left shoulder
to right hip). Wrong labels are in training and validation rows: l-UGO moves a share of all joints by up to the image's
width, a swap exchanges left and right in a share of the images. ``+gum`` weights each joint's heatmap loss by the
responsibility of a Gaussian-uniform mixture on decoded residuals. Needs the folder ``lsp`` (``lspet`` for more training
data) in $STEADFIT_DATA (default ~/.cache/steadfit-data); without it the script says so and ends.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from steadfit import __version__
from steadfit._files import atomic_path, write_text
from steadfit.data import Annotations, Schema, load_annotations
from steadfit.evaluation.measures import keypoints
from steadfit.metrics import compare_errors, outlier_scores
from steadfit.outputs import Heatmaps
from steadfit.reports.hard_examples import excess_maps
from steadfit.reports.keypoint_figures import pck_joints
from steadfit.reports.keypoint_tables import joint_groups, share_frame
from steadfit.reports.style import save
from steadfit.reports.training_curves import validation_curves
from steadfit.training import Settings
from steadfit.training.callbacks.excess import FILE, Excess
from steadfit.training.fit import Splits, train
from sweep import DATA, main, relabelled, unclaimed
from tables import to_markdown
from wrong import contaminated

RESULTS = Path(__file__).parent / "results"
ALPHA = 0.2
JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
PAIRS = ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9))
LIMBS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (9, 10), (10, 11), (12, 13), (12, 8), (12, 9))
BODY = Schema(points=JOINTS, pairs=PAIRS, limbs=LIMBS, normalizer=(9, 2))
SHARE = 0.2  # of the joints (l-UGO) or of the images (swap)
EPOCHS, EXTENDED = 30, 3  # epochs; with LSPET eleven times the images


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run."""

    loss: str  # of the heatmaps, with gamma after a dash: "anchor-2"
    noise: str  # l2: all labels are trusted
    wrong: str  # "", "l_ugo", "swap"
    seed: int
    extended: bool = False  # trained on LSPET too

    @property
    def name(self) -> str:
        return f"{self.loss}-{self.noise}-{self.wrong or 'clean'}-{self.seed}" + ("-extended" if self.extended else "")

    @property
    def method(self) -> str:
        return self.loss if self.noise == "l2" else f"{self.loss}+{self.noise}"


LOSSES = ("bce", "anchor-2", "mse", "focal", "anchor-1", "anchor-5")
PAIRED = ("bce", "anchor-2")  # with and without trust


def cells() -> list[Cell]:
    """What matters most first, so that a sweep that is cut short says something."""
    plan: list[Cell] = []
    for seed in (0, 1, 2):
        plan += [Cell(loss, "l2", "", seed) for loss in LOSSES]
        plan += [Cell(loss, noise, "l_ugo", seed) for noise in ("l2", "gum") for loss in PAIRED]
        if seed < 2:
            plan += [Cell(loss, noise, "swap", seed) for noise in ("l2", "gum") for loss in PAIRED]
            plan += [Cell(loss, "gum", "", seed) for loss in PAIRED]
    plan += [Cell("ohkm", "l2", "", seed) for seed in (0, 1)]
    return plan + [Cell(loss, "l2", "", 0, extended=True) for loss in PAIRED]


def settings_of(cell: Cell) -> Settings:
    loss, _, gamma = cell.loss.partition("-")
    return Settings(
        network="hourglass-light",
        noise=cell.noise,
        output=Heatmaps(loss=loss, gamma=float(gamma) if gamma else None),
        size=64,
        channels=3,
        warp=True,
        epochs=EXTENDED if cell.extended else EPOCHS,
        batch_size=32,
        seed=cell.seed,
        cache="on",
    )


def load() -> Annotations:
    """LSP; a tenth of its training images are for validation."""
    return load_annotations(DATA / "lsp" / "annotations.csv", BODY, seed=0, val_share=0.1)


def extend(lsp: Annotations) -> Annotations:
    """LSP with all of LSP-extended as further training images."""
    schema = dataclasses.replace(BODY, visibility="missing")
    more = load_annotations(DATA / "lspet" / "annotations.csv", schema, need_splits=())
    assert lsp.images is not None and more.images is not None  # noqa: PT018
    assert lsp.size is not None and more.size is not None and lsp.length is not None and more.length is not None  # noqa: PT018
    return dataclasses.replace(
        lsp,
        root=DATA,
        images=tuple(f"lsp/{name}" for name in lsp.images) + tuple(f"lspet/{name}" for name in more.images),
        target=np.concatenate([lsp.target, more.target]),
        visible=None,
        split=np.concatenate([lsp.split, np.full(len(more), "train")]),
        line=np.concatenate([lsp.line, more.line]),
        size=np.concatenate([lsp.size, more.size]),
        length=np.concatenate([lsp.length, more.length]),
    )


def run_cell(cell: Cell, clean: Annotations, decoded: Splits) -> dict[str, np.ndarray]:
    """Train, and predict the test rows, plain and with the mirrored image and five further scales."""
    given, wrong = contaminated(clean, cell.wrong, SHARE, pairs=PAIRS, seed=100 + cell.seed)
    splits = Splits(train=relabelled(decoded.train, given), val=relabelled(decoded.val, given))
    splits.train.seed = cell.seed  # of the warps
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = train(splits, settings_of(cell), Path(folder), device="cpu")
        history = pd.read_csv(Path(folder) / "history.csv")
        found: dict[str, np.ndarray] = {"seconds": np.array(time.perf_counter() - start)}
        if cell.seed == 0 and (Path(folder) / FILE).is_file():
            seen = Excess.load(Path(folder))
            assert seen is not None
            found |= {"frames": seen.frames, "points": seen.points}
            found |= {f"excess_{epoch}": value for epoch, value in seen.modulator.items()}
    judged = run.judge_dataset(splits.train.without_augment())
    found |= {"trust": judged.trust, "suspect": judged.suspect, "wrong": wrong[given.rows("train")]}
    found["val_pck"] = history["val_pck"].to_numpy()
    test = given.take(given.rows("test"))
    judged = run.judge(test)
    assert judged.peaks is not None
    found |= {"test": judged.predicted.astype(np.float32), "peaks": judged.peaks.astype(np.uint8)}
    found["test_views"] = run.predict_positions(test, views=("mirror", "scales")).mean.astype(np.float32)
    return found


def work(cache: Path) -> None:
    """Run every cell that nobody has begun."""
    torch.set_num_threads(1)
    loaded: dict[bool, tuple[Annotations, Splits]] = {}
    for cell, result in unclaimed(cells(), cache, ".npz"):
        if cell.extended not in loaded:
            clean = extend(load()) if cell.extended else load()
            loaded[cell.extended] = clean, Splits.of(clean, settings_of(cell))
        with atomic_path(result) as path:
            np.savez(path.open("wb"), **run_cell(cell, *loaded[cell.extended]))  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Scored:
    """A finished run against the test labels of LSP."""

    cell: Cell
    arrays: dict[str, np.ndarray]
    test: Annotations

    def measures(self, views: bool = False) -> dict[str, Any]:
        """PCK, its area, swaps and double counts."""
        predicted = self.arrays["test_views" if views else "test"].astype(np.float64)
        return keypoints(predicted, self.test, peaks=self.arrays["peaks"].astype(np.int64))

    def misses(self) -> np.ndarray:
        """Of every test image the share of joints beyond the threshold, (N,)."""
        assert self.test.length is not None
        error = np.linalg.norm(self.arrays["test"] - self.test.target, axis=-1) / self.test.length[:, None]
        return (error > ALPHA).mean(axis=1)


def report(cache: Path) -> None:
    """poses.csv (a row a run), poses.md (tables), poses.png, poses-epochs.png; beside the runs poses-excess.png, which
    shows images of the set."""
    plan = {cell.name: cell for cell in cells()}
    lsp = load()
    test = lsp.take(lsp.rows("test"))
    found = {path.stem: dict(np.load(path)) for path in sorted(cache.glob("*.npz")) if path.stem in plan}
    runs = [Scored(cell, found[name], test) for name, cell in plan.items() if name in found]
    frame = pd.DataFrame([_row(run) for run in runs])
    frame.to_csv(RESULTS / "poses.csv", index=False, float_format="%.6g")
    lines = [
        "# Losses for pose heatmaps on LSP",
        "",
        f"`python benchmarks/poses.py`: {len(runs)} runs, {frame['seconds'].sum() / 60:.0f} one-thread minutes as "
        f"timed beside other work; {EPOCHS} epochs of 900 images, light Hourglass at 64 px. PCK@{ALPHA:g} of the torso "
        "on the 1,000 test images in %, mean ± standard deviation over seeds. Head: neck and head top. AUC: from 0 to "
        f"{ALPHA:g}. steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        *_losses(runs),
        *_trust(runs, frame),
        *_extended(frame),
    ]
    _draw(runs, cache)
    write_text("\n".join(lines) + "\n", RESULTS / "poses.md")
    print("\n".join(lines))


def _row(run: Scored) -> dict[str, Any]:
    measures, views = run.measures(), run.measures(views=True)
    row: dict[str, Any] = dataclasses.asdict(run.cell) | {
        "PCK": 100 * measures["pck"],
        "AUC": 100 * measures["pck_area"],
        "PCK, views": 100 * views["pck"],
        **{name: 100 * measures[name] for name in ("swaps", "double", "double_right")},
        "seconds": float(run.arrays["seconds"]),
    }
    if run.cell.wrong:
        scores = outlier_scores(run.arrays["suspect"], run.arrays["wrong"], run.arrays["trust"])
        row |= {"precision": 100 * scores.precision, "recall": 100 * scores.recall}
    return row


def _of(runs: list[Scored], wrong: str, noise: tuple[str, ...] = ("l2",)) -> dict[str, list[Scored]]:
    """Runs on LSP alone by method, seeds in order."""
    grouped: dict[str, list[Scored]] = {}
    for run in runs:
        if run.cell.wrong == wrong and run.cell.noise in noise and not run.cell.extended:
            grouped.setdefault(run.cell.method, []).append(run)
    return grouped


def _gathered(grouped: dict[str, list[Scored]], views: bool = False) -> dict[str, dict[str, Any]]:
    """Method to its measures, a list over seeds each."""
    results = {}
    for method, members in grouped.items():
        each = [run.measures(views) for run in members]
        lists = {key: [one[key] for one in each] for key in ("pck", "pck_area", "swaps", "double", "double_right")}
        points = {name: [one["pck_by_point"][name] for one in each] for name in JOINTS}
        results[method] = lists | {"pck_by_point": points}
    return results


GROUPS = joint_groups(JOINTS, PAIRS)


def _losses(runs: list[Scored]) -> list[str]:
    grouped = _of(runs, "")
    if not grouped:
        return []
    results = _gathered(grouped)
    confusions = [
        {"method": method}
        | {name: _spread(100 * np.array(r[key])) for name, key in CONFUSIONS.items()}
        | {"PCK, 12 views": _spread(100 * np.array(v["pck"])), "seeds": len(grouped[method])}
        for (method, r), v in zip(results.items(), _gathered(grouped, views=True).values(), strict=True)
    ]
    return [
        "## Right labels: the losses",
        "",
        to_markdown(share_frame(results, GROUPS)),
        "",
        "Swaps: paired joints that lie at their partner's annotation; double counts: heatmaps with several peaks, and "
        "those of them whose decoded point is right; 12 views: six scales, each mirrored too (all in %).",
        "",
        to_markdown(pd.DataFrame(confusions)),
        "",
        *_tests(grouped, "bce"),
    ]


CONFUSIONS = {"swaps": "swaps", "double counts": "double", "of these right": "double_right"}


def _trust(runs: list[Scored], frame: pd.DataFrame) -> list[str]:
    lines = ["## Hard or wrong? Anchor loss, trust, and both", ""]
    titles = {"": "Right labels", "l_ugo": "20 % of the joints moved (l-UGO)", "swap": "20 % of the images swapped"}
    for wrong, title in titles.items():
        wanted = [loss + trust for trust in ("", "+gum") for loss in PAIRED]
        grouped = {m: g for m, g in _of(runs, wrong, ("l2", "gum")).items() if m in wanted}
        seeds = min((len(members) for members in grouped.values()), default=0)
        if len(grouped) < len(wanted):
            continue
        grouped = {method: grouped[method][:seeds] for method in wanted}
        rows = []
        for method, result in _gathered(grouped).items():
            row = {"method": method, "PCK": _spread(100 * np.array(result["pck"]))}
            row |= {name: _spread(100 * np.array(result[key])) for name, key in CONFUSIONS.items()}
            if wrong:
                part = frame[[r.cell.method == method and r.cell.wrong == wrong for r in runs]]
                suspects = part["precision"].notna().all()  # l2 suspects nothing
                row |= {n: f"{part[n].mean():.1f}" if suspects else "" for n in ("precision", "recall")}
            rows.append(row)
        lines += [f"### {title} ({seeds} seeds)", "", to_markdown(pd.DataFrame(rows)), ""]
        lines += _tests(grouped, "anchor-2+gum")
    return lines


def _tests(grouped: dict[str, list[Scored]], reference: str) -> list[str]:
    """Wilcoxon tests on images, each with the mean over its seeds; methods of fewer seeds on the seeds they have."""
    lines = []
    for seeds in sorted({len(members) for members in grouped.values()}, reverse=True):
        compared = {m: members for m, members in grouped.items() if len(members) == seeds or m == reference}
        if reference not in compared or len(compared) < 2:
            continue
        misses = {m: np.mean([run.misses() for run in members[:seeds]], axis=0) for m, members in compared.items()}
        rows = [
            {"method": one.method, "PCK difference": f"{100 * (one.reference_mean - one.mean):+.2f}",
             "p (Holm)": f"{one.adjusted:.2g}", "": one.stars}
            for one in compare_errors(misses, reference=reference)
        ]  # fmt: skip
        lines += [
            f"Against {reference}: Wilcoxon signed-rank over images (share of joints beyond the threshold, mean over "
            f"{seeds} seeds), Holm-corrected:",
            "",
            to_markdown(pd.DataFrame(rows)),
            "",
        ]
    return lines


def _extended(frame: pd.DataFrame) -> list[str]:
    part = frame[frame["extended"]]
    if not len(part):
        return []
    table = part[["loss", "PCK", "AUC", "swaps"]].round(1)
    about = f"{EXTENDED} epochs of LSP's training images and all of LSPET (9,991, labels naturally noisy), one seed:"
    return ["## With LSP-extended", "", about, "", to_markdown(table), ""]


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else "")


def _draw(runs: list[Scored], cache: Path) -> None:
    named = {"anchor-2": "anchor"}  # the default has the family's colour
    grouped = {named.get(method, method): members for method, members in _of(runs, "").items()}
    save(pck_joints(_gathered(grouped), GROUPS, what=f"PCK@{ALPHA:g} of the torso").figure, RESULTS / "poses.png")
    histories = {
        method: [pd.DataFrame({"epoch": np.arange(1, 1 + len(c)), "val_pck": c}) for c in curves]
        for method, members in grouped.items()
        if (curves := [run.arrays["val_pck"] for run in members]) and method in ("bce", "anchor", "mse")
    }
    label = f"validation PCK@{ALPHA:g}"
    save(validation_curves(histories, "val_pck", label=label).figure, RESULTS / "poses-epochs.png")
    for run in runs:
        epochs = {int(k.removeprefix("excess_")): v for k, v in run.arrays.items() if k.startswith("excess_")}
        if run.cell == Cell("anchor-2", "l2", "", 0) and epochs:
            maps = excess_maps(run.arrays["frames"], run.arrays["points"], epochs, names=JOINTS)
            save(maps.figure, cache / "poses-excess.png")


if __name__ == "__main__":
    main("poses", __doc__, ("lsp", "lspet"), work=work, report=report)
