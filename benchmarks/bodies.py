"""Tukey's biweight for poses, with and without a cascade: paper 1's claims on LSP and PARSE.

    python benchmarks/bodies.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/bodies.py --report   # tables and figures from the runs that are there

LSP: 900 training, 100 validation, 1,000 test images; PARSE: 90, 10, 205; 14 joints, sides as an observer has them, the
joints' box with 20 px left and right and 10 px above and below. Three sets are trained on: LSP, PARSE, both.

Stage 1 is paper 1's ConvNet at 120 x 80 px in colour: its layers, initial weights, rotations, shifts and mirroring, and
constant steps, but of AdamW (3e-4) and in batches of 32: the paper's SGD does not leave its first plateau in the steps
that there are here. L2, or Tukey with the MAD of the whole training set after every epoch, after 3 epochs of L2. Stage 2
is a compact network at 48 px for each of head-shoulders, torso-hips and knees-ankles, under the same noise model.

The comparison with wrong labels is of compact networks at 48 px in both stages, on LSP: l-UGO moves 20 % of all joints
by up to the image's width, a swap exchanges left and right in 10 % of the images, in training and validation rows.

Needs the folders ``lsp`` and ``parse`` in $STEADFIT_DATA (default ~/.cache/steadfit-data); without them the script says so
and ends.
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

from steadfit import __version__, corrupt
from steadfit.data import Annotations, Schema, load_annotations
from steadfit.data.files import atomic_path, write_text
from steadfit.training import Settings
from steadfit.training.cascade import default_regions, fit_cascade
from sweep import DATA, main, unclaimed

RESULTS = Path(__file__).parent / "results"
JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
PAIRS = ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9))
BODY = Schema(points=JOINTS, pairs=PAIRS, sides="observer", box="points", box_margin=(20.0, 10.0), box_fit="stretch")
EPOCHS = {"lsp": 40, "parse": 120, "both": 20}  # of stage 1
FINE_EPOCHS = {"lsp": 30, "parse": 120, "both": 30}
COMPACT_EPOCHS = 30
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
        plan += [
            Cell("compact", "lsp", noise, wrong, seed) for wrong in ("", *SHARES) for noise in (*NOISES, "gum")
        ]
        plan += [Cell("convnet", "both", noise, "", seed) for noise in NOISES]
    return plan


def settings_of(cell: Cell) -> tuple[Settings, Settings]:
    """Of both stages."""
    fine = Settings(noise=cell.noise, epochs=FINE_EPOCHS[cell.data], size=48, channels=3, warp=True, batch_size=32)
    fine = dataclasses.replace(fine, seed=cell.seed, cache="on")
    if cell.network == "compact":
        same = dataclasses.replace(fine, epochs=COMPACT_EPOCHS)
        return same, same
    warmup = {"tukey": "l2"}.get(cell.noise)
    coarse = dataclasses.replace(fine, network="convnet", size=(120, 80), epochs=EPOCHS[cell.data], warmup=warmup)
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


def contaminate(clean: Annotations, cell: Cell) -> Annotations:
    """Wrong labels in training and validation rows; boxes stay those of the right ones."""
    if not cell.wrong:
        return clean
    rows, seed = np.concatenate([clean.rows("train"), clean.rows("val")]), 100 + cell.seed
    assert clean.size is not None
    if cell.wrong == "l_ugo":
        width = clean.size[rows, 0].copy()
        labels, _ = corrupt.l_ugo(clean.target[rows], SHARES["l_ugo"], width=width, seed=seed)
    else:
        labels, _ = corrupt.swap(clean.target[rows], SHARES["swap"], pairs=PAIRS, seed=seed)
    target = clean.target.copy()
    target[rows] = labels
    return clean.with_target(target)


def run_cell(cell: Cell, clean: Annotations) -> dict[str, np.ndarray]:
    """Train both stages, and predict the test rows with one and with both."""
    given, start = contaminate(clean, cell), time.perf_counter()
    coarse, fine = settings_of(cell)
    with tempfile.TemporaryDirectory() as folder:
        run = fit_cascade(given, coarse, fine, default_regions(JOINTS), folder, device="cpu")
        history = pd.read_csv(Path(folder) / "coarse" / "history.csv")
    found = {"seconds": np.array(time.perf_counter() - start)}
    found |= {name: history[name].to_numpy() for name in ("val_error", "val_mean", "seconds")} | {
        "all_seconds": found["seconds"]
    }
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


def report(cache: Path) -> None:
    print("TODO")


if __name__ == "__main__":
    main("bodies", __doc__, ("lsp", "parse"), work=work, report=report)
