"""A small made-up run: six faces of three points, five methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steadfit.audit import label_table


@pytest.fixture
def labels() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    truth = rng.uniform(8, 24, (6, 3, 2))
    given = truth.copy()
    given[::2, 0] += 9.0
    wrong = np.zeros((6, 3), dtype=bool)
    wrong[::2, 0] = True
    residual = np.linalg.norm(given - truth - 0.3, axis=2)
    return label_table(
        image=[f"faces/{i}.png" for i in range(6)], line=range(2, 8), split="train", names=["eye", "nose", "chin"],
        given=given, predicted=truth + 0.3, trust=1 / (1 + residual**4), suspect=residual > 4, wrong=wrong,
    )  # fmt: skip


@pytest.fixture
def load() -> Callable[[str], Any]:
    return lambda name: np.full((32, 32, 3), 20 * int(name[6]) + 60, dtype=np.uint8)


@pytest.fixture
def results() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(1)
    means = {"l2": 3.0, "huber": 2.5, "gum": 1.5, "oracle": 1.4, "mine": 2.0}
    found: dict[str, dict[str, Any]] = {}
    for name, mean in means.items():
        error = rng.gamma(6, mean / 6, 200)
        found[name] = {"error": error, "mean": mean, "failure_rate": float((error > 3).mean()), "rmse": mean * 1.2}
        found[name] |= {"precision": np.nan, "recall": np.nan, "p_holm": np.nan, "stars": "", "seconds": 12.0}
    found["gum"] |= {"precision": 0.981, "recall": 0.912, "gross_recall": 0.965}
    found["l2"] |= {"stars": "***", "p_holm": 1e-9}
    found["mine"] |= {"stars": "*", "p_holm": 0.0312}
    return found


@pytest.fixture
def history() -> pd.DataFrame:
    epoch = np.arange(1, 9)
    return pd.DataFrame({
        "epoch": epoch, "phase": np.where(epoch <= 3, "warm-up", "round"), "val_error": 1 + 5 / epoch,
        "suspects": np.where(epoch <= 3, np.nan, 0.3),
    })  # fmt: skip
