"""Labels made wrong in the training and validation rows of a table of points, for the sweeps that compare with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steadfit import corrupt
from steadfit.data import Annotations


def contaminated(
    clean: Annotations, kind: str, share: float, *, pairs: Sequence[tuple[int, int]], seed: int
) -> tuple[Annotations, np.ndarray]:
    """The table with wrong labels, and which ones they are (N, K); boxes stay those of the right ones.

    Args:
        kind: ``"l_ugo"`` moves a share of all points by up to the image's width, ``"swap"`` exchanges left and right in
            a share of the images, ``""`` changes nothing.
    """
    wrong = np.zeros(clean.target.shape[:2], dtype=bool)
    if not kind:
        return clean, wrong
    rows = np.concatenate([clean.rows("train"), clean.rows("val")])
    if kind == "l_ugo":
        assert clean.size is not None
        width = clean.size[rows, 0].copy()
        labels, mask = corrupt.l_ugo(clean.target[rows], share, width=width, seed=seed)
    else:
        labels, mask = corrupt.swap(clean.target[rows], share, pairs=pairs, seed=seed)
    target = clean.target.copy()
    target[rows], wrong[rows] = labels, mask
    return clean.with_target(target), wrong
