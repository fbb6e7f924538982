"""Arrays of labels for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np


def arrays(**changes: Any) -> dict[str, Any]:
    given = np.array([[[3.0, 4.0], [1.0, 1.0]], [[np.nan, 2.0], [0.0, 2.0]]])
    values: dict[str, Any] = {
        "image": ["a.png", "b.png"], "line": [2, 3], "split": "train", "names": ["eye", "NA"], "given": given,
        "predicted": np.zeros((2, 2, 2)), "trust": np.array([[0.1, 0.9], [np.nan, 0.1]]),
        "suspect": np.array([[True, False], [False, True]]),
    }  # fmt: skip
    return {**values, **changes}
