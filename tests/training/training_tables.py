"""A small table with wrong labels, and what its columns mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from steadfit.data import Schema


def write_table(path: Path, n: int = 90, seed: int = 0, wrong: float = 0.2, targets: int = 2) -> Path:
    """Three features, targets that are linear in them, a share of wrong labels in training and validation."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3))
    slopes = np.array([[1.0, -1.0, 0.5], [0.5, 2.0, -1.0]])[:targets]
    target = 10 + features @ slopes.T + 0.1 * rng.normal(size=(n, targets))
    split = np.where(np.arange(n) % 5 == 3, "val", np.where(np.arange(n) % 5 == 4, "test", "train"))
    bad = (rng.uniform(size=(n, targets)) < wrong) & (split != "test")[:, None]
    target[bad] = rng.uniform(-40, 60, size=int(bad.sum()))
    table = pd.DataFrame(features, columns=["a", "b", "c"]).assign(split=split)
    for k, name in enumerate(("age", "height")[:targets]):
        table[name] = target[:, k]
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return path


def table_schema(targets: int = 2) -> Schema:
    return Schema(targets=("age", "height")[:targets], units="years")
