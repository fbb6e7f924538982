"""What a cascade gains on faces, against one larger network of the same total compute, on LFW+NET.

    python benchmarks/faces.py            # all runs (resumable; start it twice to use two cores)
    python benchmarks/faces.py --report   # tables and figure from the runs that are there

LFW+NET: 9,000 training, 1,000 validation, 3,466 test images of 96 px, 5 points. Every network is the compact one in grey,
under the Gaussian-uniform mixture, with the default protocol. ``cascade``: stage 1 at 48 px, then eyes, nose and mouth
at 48 px each, placed by stage 1's estimate; ``coarse`` is its stage 1. ``single``: one network at 96 px, four times stage
1's multiply-adds, as many as the cascade's four networks have. ``wide``: one network at 48 px with twice the channels.
Wrong labels are in training and validation rows: l-UGO moves 20 % of all points by up to the image's width, a swap
exchanges left and right in 10 % of the images. Needs the folder ``lfw_net`` in $STEADFIT_DATA (default
~/.cache/steadfit-data); without it the script says so and ends.
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
from torch import nn

from steadfit import __version__, corrupt
from steadfit.data import Annotations, Schema, load_annotations
from steadfit.data.files import atomic_path, write_text
from steadfit.metrics import compare_errors, outlier_scores
from steadfit.networks import CompactConvNet, build_network
from steadfit.reports.tables import to_markdown
from steadfit.training import Settings, fit
from steadfit.training.cascade import default_regions, fit_cascade
from sweep import DATA, main, unclaimed

RESULTS = Path(__file__).parent / "results"
PAIRS = ((0, 1), (3, 4))
FACE = 73.846  # px: 96/1.3, the detector's box
EPOCHS = 8
SMALL, LARGE, WIDTHS = 48, 96, (32, 64, 128, 256)
SHARES = {"l_ugo": 0.2, "swap": 0.1}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run."""

    method: str  # cascade, single, wide
    wrong: str  # "", "l_ugo", "swap"
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-{self.wrong or 'clean'}-{self.seed}"


def cells() -> list[Cell]:
    """What matters most first, so that a sweep that is cut short says something."""
    plan = [Cell(method, wrong, seed) for seed in (0, 1) for wrong in ("", *SHARES) for method in ("cascade", "single")]
    return plan + [Cell("wide", "", seed) for seed in (0, 1)]


def load() -> Annotations:
    """LFW+NET in its authors' split; a tenth of the training rows is for validation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # byte-identical images, known and listed in the set's README
        schema = Schema(pairs=PAIRS, normalizer=FACE)
        return load_annotations(DATA / "lfw_net" / "annotations.csv", schema, seed=0, val_share=0.1)


def contaminate(clean: Annotations, cell: Cell) -> tuple[Annotations, np.ndarray]:
    """Wrong labels in training and validation rows, and the mask (N, K)."""
    wrong = np.zeros(clean.target.shape[:2], dtype=bool)
    if not cell.wrong:
        return clean, wrong
    rows, seed = np.concatenate([clean.rows("train"), clean.rows("val")]), 100 + cell.seed
    assert clean.size is not None
    if cell.wrong == "l_ugo":
        width = clean.size[rows, 0].copy()
        labels, mask = corrupt.l_ugo(clean.target[rows], SHARES["l_ugo"], width=width, seed=seed)
    else:
        labels, mask = corrupt.swap(clean.target[rows], SHARES["swap"], pairs=PAIRS, seed=seed)
    target = clean.target.copy()
    target[rows], wrong[rows] = labels, mask
    return clean.with_target(target), wrong


def run_cell(cell: Cell, clean: Annotations) -> dict[str, np.ndarray]:
    """Train, predict the test rows and judge the training labels."""
    given, wrong = contaminate(clean, cell)
    settings = Settings(noise="gum", epochs=EPOCHS, seed=cell.seed, size=SMALL, cache="on")
    start, found = time.perf_counter(), {}
    with tempfile.TemporaryDirectory() as folder:
        if cell.method == "cascade":
            regions = default_regions(given.schema.points)
            run: Any = fit_cascade(given, settings, settings, regions, folder, device="cpu")
        elif cell.method == "single":
            run = fit(given, dataclasses.replace(settings, size=LARGE), folder, device="cpu")
        else:
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


def report(cache: Path) -> None:
    print("TODO")


if __name__ == "__main__":
    main("faces", __doc__, ("lfw_net",), work=work, report=report)
