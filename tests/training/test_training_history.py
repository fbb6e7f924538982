"""The validation errors of an epoch: what is not annotated is left out, what is not predicted is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from steadfit.noise import L2
from steadfit.outputs import Positions
from steadfit.training.callbacks.history import History

TARGET = torch.tensor([[[0.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [torch.nan, torch.nan]], [[6.0, 8.0], [0.0, 2.0]]])


def epoch(prediction: Tensor, length: list[float] | None = None) -> dict[str, Any]:
    """The row of an epoch in which the validation labels TARGET were predicted so, in the user's units throughout."""
    index = torch.arange(3)
    val = SimpleNamespace(
        frame=SimpleNamespace(to_user=lambda points, _: points), target=TARGET, rows=index.numpy(),
        annotations=SimpleNamespace(length=None if length is None else np.array(length)),
    )  # fmt: skip
    module = SimpleNamespace(
        label_noise=SimpleNamespace(noise=L2(), state={}), held_out=[(index, prediction.flatten(1), TARGET)], dims=2,
        device="cpu", output=Positions(), regressor=SimpleNamespace(destandardize=lambda points: points),
    )  # fmt: skip
    return History(cast(Any, val), module.output)._measures(cast(Any, module))


def test_median_mean_and_pck_of_the_annotated_labels() -> None:
    row = epoch(torch.zeros(3, 2, 2), [10.0, float("nan"), 20.0])  # errors 0, 5, sqrt(2), 10, 2
    assert row["val_error"] == pytest.approx(2.0)
    assert row["val_mean"] == pytest.approx((0 + 5 + 2**0.5 + 10 + 2) / 5)
    assert row["val_pck"] == pytest.approx(2 / 4)  # of 0, .5, .5, .1; the second image has no length
    assert epoch(torch.zeros(3, 2, 2))["val_pck"] is None


def test_a_label_without_a_prediction_is_not_left_out() -> None:
    prediction = torch.zeros(3, 2, 2)
    prediction[2] = torch.nan
    row = epoch(prediction, [10.0, 10.0, 20.0])
    assert row["val_mean"] == float("inf")
    assert row["val_error"] == pytest.approx(5.0)  # of 0, sqrt(2), 5, inf, inf
    assert row["val_pck"] == pytest.approx(2 / 5)
