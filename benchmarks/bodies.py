"""Tukey's biweight for poses, with and without a cascade: paper 1's claims on LSP and PARSE.

    python benchmarks/bodies.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/bodies.py --report   # tables and figures from the runs that are there

LSP: 900 training, 100 validation, 1,000 test images; PARSE: 90, 10, 205; 14 joints, sides as an observer has them, the
joints' box with 20 px left and right and 10 px above and below. Three sets are trained on: LSP, PARSE, both.

Stage 1 is paper 1's ConvNet at 120 x 80 px in colour: its layers, initial weights, rotations, shifts and mirroring, and
constant steps, but of AdamW (3e-4) and in batches of 32: the paper's SGD does not leave its first plateau in the steps
that there are here. L2, or Tukey with the MAD of the whole training set after every epoch, the first eighth of the
epochs (5 of 40) with L2. Stage 2 is a compact network at 48 px for each of head-shoulders, torso-hips and knees-ankles,
under the same noise model, with the default protocol and an L1 warm-up.

Compact networks at 48 px in both stages, with the default protocol, are trained on the three sets too, and on LSP with
wrong labels: l-UGO moves 20 % of all joints by up to the image's width, a swap exchanges left and right in 10 % of the
images, in training and validation rows.

Needs the folders ``lsp`` and ``parse`` in $STEADFIT_DATA (default ~/.cache/steadfit-data); without them the script says
so and ends.
"""

from __future__ import annotations

import dataclasses
import itertools
import platform
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from estimates import (
    AGAINST_FLOOR,
    AGAINST_L2,
    CASCADE,
    FLOOR,
    LABELS,
    WITH_CASCADE,
    Estimate,
    groups,
    pairs,
    pcp_figure,
    table,
    tests,
)
from paired import RULE, Pair, spread, verdict
from steadfit import __version__
from steadfit._files import atomic_path, write_text
from steadfit.data import Annotations, Schema, load_annotations
from steadfit.metrics import torso_length
from steadfit.metrics.convergence import middle, summarise
from steadfit.metrics.thresholds import PCK_ALPHA, PCP_ALPHA
from steadfit.noise import TukeyNoise
from steadfit.reports.convergence_curves import convergence_figure
from steadfit.reports.convergence_tables import epoch, factor
from steadfit.reports.style import save
from steadfit.reports.values import short
from steadfit.training import Settings
from steadfit.training.cascade import default_regions, fit_cascade
from sweep import DATA, main, unclaimed
from tables import to_markdown
from wrong import contaminated

RESULTS = Path(__file__).parent / "results"
JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
PAIRS = ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9))
BODY = Schema(points=JOINTS, pairs=PAIRS, sides="observer", box="points", box_margin=(20.0, 10.0), box_fit="stretch")
EPOCHS = {"lsp": 40, "parse": 120, "both": 20}  # of stage 1
FINE_EPOCHS = {"lsp": 30, "parse": 120, "both": 30}
SHARES = {"l_ugo": 0.2, "swap": 0.1}
NOISES = ("l2", "tukey")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cascade, whose first stage is the result without one."""

    network: str  # of stage 1
    data: str  # lsp, parse, both
    noise: str
    wrong: str  # "", "l_ugo", "swap"
    seed: int

    @property
    def name(self) -> str:
        return f"{self.network}-{self.data}-{self.noise}-{self.wrong or 'clean'}-{self.seed}"


def cells() -> list[Cell]:
    """What matters most first, so that a sweep that is cut short says something."""
    plan: list[Cell] = []
    for seed in (0, 1):
        plan += [Cell("convnet", data, noise, "", seed) for data in ("lsp", "parse") for noise in NOISES]
        plan += [Cell("compact", "lsp", noise, wrong, seed) for wrong in ("", *SHARES) for noise in (*NOISES, "gum")]
        plan += [Cell("compact", data, noise, "", seed) for data in ("parse", "both") for noise in NOISES]
        plan += [Cell("convnet", "both", noise, "", seed) for noise in NOISES]
    return plan


def settings_of(cell: Cell) -> tuple[Settings, Settings]:
    """Of both stages."""
    fine = Settings(noise=cell.noise, epochs=FINE_EPOCHS[cell.data], size=48, channels=3, warp=True, batch_size=32)
    fine = dataclasses.replace(fine, seed=cell.seed, cache="on")
    if cell.network == "compact":
        return fine, fine
    noise = TukeyNoise(warmup="l2") if cell.noise == "tukey" else cell.noise
    coarse = dataclasses.replace(fine, network="convnet", size=(120, 80), epochs=EPOCHS[cell.data], noise=noise)
    return dataclasses.replace(coarse, protocol="convnet", optimizer="adamw", lr=3e-4), fine


def load(data: str) -> Annotations:
    """One of the two sets, or both as one; a tenth of the training images are for validation."""
    if data != "both":
        return load_annotations(DATA / data / "annotations.csv", BODY, seed=0, val_share=0.1)
    lsp, parse = load("lsp"), load("parse")
    images = [f"{name}/{image}" for name, one in (("lsp", lsp), ("parse", parse)) for image in one.images or ()]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(lsp, name), getattr(parse, name)])
        for name in ("target", "split", "line", "size", "box")
    }
    return dataclasses.replace(lsp, root=DATA, images=tuple(images), visible=None, **joined)


def run_cell(cell: Cell, clean: Annotations) -> dict[str, np.ndarray]:
    """Train both stages, and predict the test rows with one and with both."""
    share, start = SHARES.get(cell.wrong, 0.0), time.perf_counter()
    given, _ = contaminated(clean, cell.wrong, share, pairs=PAIRS, seed=100 + cell.seed)
    coarse, fine = settings_of(cell)
    with tempfile.TemporaryDirectory() as folder:
        run = fit_cascade(given, coarse, fine, default_regions(JOINTS), folder, device="cpu")
        history = pd.read_csv(Path(folder) / "coarse" / "history.csv")
    found = {"all_seconds": np.array(time.perf_counter() - start)}
    found |= {name: history[name].to_numpy() for name in ("val_error", "val_mean", "seconds")}
    first, judged = run.judge_stages(given.take(given.rows("test")))
    return found | {"coarse": first.predicted.astype(np.float32), "test": judged.predicted.astype(np.float32)}


def work(cache: Path) -> None:
    """Run every cell that nobody has begun."""
    torch.set_num_threads(1)
    loaded: dict[str, Annotations] = {}
    for cell, result in unclaimed(cells(), cache, ".npz"):
        if cell.data not in loaded:
            loaded[cell.data] = load(cell.data)
        with atomic_path(result) as path:
            np.savez(path.open("wb"), **run_cell(cell, loaded[cell.data]))  # type: ignore[arg-type]


TESTED = {"lsp": ("lsp",), "parse": ("parse",), "both": ("lsp", "parse")}  # in the order of the rows
SETS = {"lsp": "LSP", "parse": "PARSE", "both": "LSP and PARSE"}
CONDITIONS = {"": "right labels", "l_ugo": "20 % l-UGO", "swap": "10 % swaps"}
TORSO = (9, 2)  # left shoulder, right hip
Races = dict[str, dict[str, list[pd.DataFrame]]]


def report(cache: Path) -> None:
    """bodies.csv (a row a run, stage and test set), bodies.md (tables), bodies.png (PCP), bodies-epochs-*.png."""
    done = {cell: dict(np.load(path)) for cell in cells() if (path := cache / f"{cell.name}.npz").exists()}
    if not done:
        print(f"bodies: no finished run in {cache}.")
        return
    found = _estimates(done)
    pd.DataFrame([one.row() for one in found]).to_csv(RESULTS / "bodies.csv", index=False, float_format="%.6g")
    paper, compact = ([one for one in found if one.about["network"] == name] for name in ("convnet", "compact"))
    others = [one for one in compact if one.about["trained on"] != SETS["lsp"]]
    races = {data: histories for data in TESTED if (histories := _histories(done, data))}
    minutes = sum(float(arrays["all_seconds"]) for arrays in done.values()) / 60
    lines = [
        "# Tukey's biweight and a cascade for poses, on LSP and PARSE",
        "",
        f"`python benchmarks/bodies.py`: {len(done)} runs, {minutes:.0f} one-thread minutes as timed beside other "
        f"work. Mean error (MPE) in px of the stored images, PCP@{PCP_ALPHA:g} of ten parts (strict; loose: the mean "
        f"of both ends) and PCK@{PCK_ALPHA:g} of the torso in %, mean ± standard deviation over seeds. The box of a "
        f"test image is that of its annotated joints, as in paper 1; `{FLOOR}`: the median training pose put into it. "
        f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        *_claims(races, paper, compact),
        *(line for group in groups(paper) for line in table(group)),
        *tests("ConvNet: Tukey against L2", paper, AGAINST_L2),
        *tests("ConvNet: with the cascade against without", paper, WITH_CASCADE),
        *tests(f"ConvNet: the first stage against the {FLOOR}", paper, AGAINST_FLOOR),
        *_convergence(races),
        *(line for group in groups(others) for line in table(group, "compact networks, ")),
        *_wrong_labels(compact),
    ]
    if paper:
        save(pcp_figure(paper), RESULTS / "bodies.png")
    for data, histories in races.items():
        save(convergence_figure(histories, measure="mean", unit="px").figure, RESULTS / f"bodies-epochs-{data}.png")
    write_text("\n".join(lines) + "\n", RESULTS / "bodies.md")
    print("\n".join(lines))


def _estimates(done: Mapping[Cell, dict[str, np.ndarray]]) -> list[Estimate]:
    """Of both stages and every test set of every run."""
    sets = {data: load(data) for data in TESTED}
    test = {on: _test_rows(sets[on]) for on in ("lsp", "parse")}
    floors = {(data, on): median_pose(sets[data], test[on]) for data, names in TESTED.items() for on in names}
    found = []
    for cell, arrays in done.items():
        ends = np.cumsum([len(test[on]) for on in TESTED[cell.data]])[:-1]
        for cascade, name in ((False, "coarse"), (True, "test")):
            parts = np.split(arrays[name].astype(np.float64), ends)
            for on, predicted in zip(TESTED[cell.data], parts, strict=True):
                about = {"network": cell.network, "trained on": SETS[cell.data], "tested on": SETS[on]}
                about |= {"labels": CONDITIONS[cell.wrong]}
                found.append(
                    Estimate(about, cell.noise, cascade, cell.seed, predicted, test[on], floors[cell.data, on])
                )
    return found


def _test_rows(annotations: Annotations) -> Annotations:
    """The test rows, with the length of the torso for PCK."""
    test = annotations.take(annotations.rows("test"))
    return dataclasses.replace(test, length=torso_length(torch.from_numpy(test.target), *TORSO).numpy())


def median_pose(trained: Annotations, test: Annotations) -> np.ndarray:
    """The median of the training poses in their boxes, put into every test box: what is known without an image."""
    train = trained.take(trained.rows("train"))
    assert train.box is not None and test.box is not None  # noqa: PT018
    inside = (train.target - train.box[:, None, :2]) / (train.box[:, None, 2:] - 1)
    pose: np.ndarray = test.box[:, None, :2] + np.median(inside, axis=0) * (test.box[:, None, 2:] - 1)
    return pose


def _histories(done: Mapping[Cell, dict[str, np.ndarray]], data: str) -> dict[str, list[pd.DataFrame]]:
    """Validation errors of the ConvNet's epochs, of the seeds that both noise models have; empty without any."""
    seeds = [seed for seed in (0, 1) if all(Cell("convnet", data, noise, "", seed) in done for noise in NOISES)]
    runs = {noise: [done[Cell("convnet", data, noise, "", seed)] for seed in seeds] for noise in NOISES if seeds}
    return {noise: [_history(run) for run in members] for noise, members in runs.items()}


def _history(run: Mapping[str, np.ndarray]) -> pd.DataFrame:
    columns = {name: run[name] for name in ("val_error", "val_mean", "seconds")}
    return pd.DataFrame({"epoch": np.arange(1, 1 + len(run["seconds"]))} | columns)


def _convergence(races: Races) -> list[str]:
    rows = []
    for data, measure, within in itertools.product(races, ("mean", "median"), (0.0, 0.02)):
        found = summarise(races[data], measure=measure, within=within)
        race, back = found.forward, found.backward
        rows.append({
            "set": SETS[data],
            "validation error": measure,
            "L2's": f"best + {100 * within:g} %" if within else "best",
            "px": short(middle(race.level)),
            "L2 at epoch": epoch(middle(race.reference_epochs)),
            "Tukey at epoch": epoch(middle(race.epochs)),
            "sooner (epochs)": factor(race.speed_up),
            "sooner (time)": factor(race.speed_up_seconds),
            "in seeds": f"{race.reached} of {race.seeds}",
            "L2 at Tukey's": f"{back.reached} of {back.seeds}",
        })  # fmt: skip
    why = (
        "When Tukey's validation error is first at or under the best of L2 in the same seed, and in how many seeds L2 "
        "reaches Tukey's best in turn; epochs of the upper median seed. Tukey begins with an eighth of the epochs of "
        "L2: a level that is reached by then is no race. There are 100 validation images of LSP and 10 of PARSE, and "
        "what is first reached is partly luck: hence also the best + 2 %. Curves of the mean: bodies-epochs-lsp.png, "
        "-parse.png, -both.png."
    )
    return ["## Convergence of stage 1", "", why, "", to_markdown(pd.DataFrame(rows)), ""] if rows else []


def _wrong_labels(compact: list[Estimate]) -> list[str]:
    rows = []
    on_lsp = [one for one in compact if one.about["trained on"] == SETS["lsp"]]
    for group, label in itertools.product(groups(on_lsp), LABELS.values()):
        stages = [[one for one in group if one.method == name] for name in (label, label + CASCADE)]
        if stages[0]:
            mpe = [spread([one.errors().mean() for one in stage], 2) for stage in stages]
            pcp = [spread([100 * (1 - one.misses().mean()) for one in stage]) for stage in stages]
            rows.append(
                {"labels": group[0].about["labels"], "noise": label, "MPE (px)": mpe[0], "with cascade": mpe[1],
                 "strict PCP": pcp[0], "PCP with cascade": pcp[1], "seeds": len(stages[0])}
            )  # fmt: skip
    why = "Both stages are compact networks at 48 px; test labels are right."
    return (
        [
            *("## Compact networks, and wrong labels in training and validation of LSP", "", why, ""),
            *(to_markdown(pd.DataFrame(rows)), ""),
            *tests("Compact networks: noise models against L2", compact, AGAINST_L2),
            *tests("Compact networks: with the cascade against without", compact, WITH_CASCADE),
        ]
        if rows
        else []
    )


CLAIMS = {"lower error": AGAINST_L2, "gain from the cascade": WITH_CASCADE}


def _claims(races: Races, paper: list[Estimate], compact: list[Estimate]) -> list[str]:
    """The authors' claims, each with its verdict: on their network, and in the table on compact ones too."""
    rows, won = _sooner(races)
    learned = []
    for network, estimates in {"ConvNet": paper, "compact": compact}.items():
        for claim, methods in CLAIMS.items():
            found = pairs(estimates, methods)
            rows += [_verdict_row(network, claim, members) for members in _alike(found)]
            if network == "ConvNet":
                won[claim] = [one.won for one in found]
        if floor := pairs(estimates, AGAINST_FLOOR):
            learned.append(f"{verdict([one.won for one in floor])[1]} ({network})")
    said = [f"{claim}: {' ('.join(verdict(signs))})" for claim, signs in won.items() if signs]
    rule = (
        f"{RULE}. Convergence is won on a set if Tukey gets to L2's best mean validation error in every seed, in fewer "
        "epochs than L2 did (factor; seeds that get there). Reproduced: all comparisons are won; partly: some; not: "
        "none. Extent: change of MPE."
    )
    verdicts = f"**On the authors' network {'; '.join(said)}.** " if said else ""
    verdicts += f"First stages better than the {FLOOR}: {', '.join(learned)}."
    return ["## The claims", "", verdicts, "", rule, "", to_markdown(pd.DataFrame(rows)), ""]


def _sooner(races: Races) -> tuple[list[dict[str, str]], dict[str, list[int]]]:
    """The claim of faster convergence as a row, and on which sets it is won."""
    if not races:
        return [], {}
    found = {SETS[data]: summarise(histories, measure="mean").forward for data, histories in races.items()}
    won = [int((race.epochs < race.reference_epochs).all()) for race in found.values()]
    extent = ", ".join(f"{name} {factor(race.speed_up)} ({race.reached}/{race.seeds})" for name, race in found.items())
    about = {"network": "ConvNet", "claim": "faster convergence", "method": "Tukey", "against": "L2"}
    row = about | _verdict_cells(won, extent, [race.seeds for race in found.values()])
    return [row], {"faster convergence": won}


def _alike(found: list[Pair]) -> list[list[Pair]]:
    """Pairs of the same two methods."""
    grouped: dict[str, list[Pair]] = {}
    for one in found:
        grouped.setdefault(one.about["method"], []).append(one)
    return list(grouped.values())


def _verdict_row(network: str, claim: str, members: list[Pair]) -> dict[str, str]:
    changes = [f"{change:+.1f}" for change in sorted(100 * one.change for one in members)]
    extent = " to ".join(dict.fromkeys([changes[0], changes[-1]])) + " %"
    about = {name: members[0].about[name] for name in ("method", "against")}
    cells = _verdict_cells([one.won for one in members], extent, [len(one.means) for one in members])
    return {"network": network, "claim": claim, **about, **cells}


def _verdict_cells(won: list[int], extent: str, seeds: list[int]) -> dict[str, str]:
    word, count = verdict(won)
    counted = " to ".join(map(str, sorted({min(seeds), max(seeds)})))
    return {"verdict": word, "won": count, "extent": extent, "seeds": counted}


if __name__ == "__main__":
    main("bodies", __doc__, ("lsp", "parse"), work=work, report=report)
