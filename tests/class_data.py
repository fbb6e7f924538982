"""Annotations of classes from arrays, for tests that need no files or write their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from steadfit.data import Annotations, Schema


def class_annotations(
    *,
    path: Path,
    names: Sequence[str],
    images: Sequence[str],
    label: np.ndarray,
    split: np.ndarray,
    line: np.ndarray,
    size: np.ndarray,
    pixels: torch.Tensor | None = None,
) -> Annotations:
    """N images with class numbers (N,) as targets (N, 1, 1)."""
    return Annotations(
        path=path, root=path, schema=Schema(targets=("label",), classes=tuple(names)), images=tuple(images),
        features=None, target=np.asarray(label, dtype=np.float64)[:, None, None], visible=None, split=split, line=line,
        size=size, length=None, pixels=pixels,
    )  # fmt: skip
