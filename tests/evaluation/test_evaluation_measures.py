"""PCP and the errors of joints in what a run says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steadfit.data import Annotations, Schema
from steadfit.evaluation.measures import measured, poses, summarize
from steadfit.training import Judgement

NUMBERS = tuple(str(k) for k in range(14))


def bodies(n: int = 12, points: tuple[str, ...] = NUMBERS) -> Annotations:
    """Joints of no body in particular, some of them missing; the last half of the rows is for testing."""
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 100, (n, len(points), 2))
    target[0, 12] = np.nan
    return Annotations(
        path=Path("table.csv"), root=Path(), schema=Schema(points=points), images=None,
        features=np.zeros((n, 1), dtype=np.float32), target=target, visible=None,
        split=np.where(np.arange(n) < n // 2, "train", "test"), line=np.arange(n), size=None, length=None,
    )  # fmt: skip


def judged(predicted: np.ndarray) -> Judgement:
    shape = predicted.shape[:2]
    return Judgement(predicted, {"trust": np.ones(shape), "suspect": np.zeros(shape, dtype=bool)}, 0.0)


def test_a_shift_counts_by_the_length_of_the_part() -> None:
    """All points 5 px to the right: a part is right, strictly and loosely, from 10 px on; a joint is off by 5 px."""
    table = bodies()
    found = poses(table.target + np.array([5.0, 0.0]), table)
    ends = {"head": (13, 12), "left_forearm": (10, 11), "right_shin": (1, 0)}
    for name, (a, b) in ends.items():
        length = np.linalg.norm(table.target[:, a] - table.target[:, b], axis=1)
        right = (length >= 10)[~np.isnan(length)]
        assert found["pcp_by_part"][name] == pytest.approx(right.mean(), rel=1e-6)
    assert len(found["pcp_by_part"]) == 10
    assert 0 < found["pcp"] == found["pcp_loose"] <= 1
    assert found["point_error_by_point"] == pytest.approx(dict.fromkeys(NUMBERS, 5.0), rel=1e-6)
    assert found["pcp_alpha"] == 0.5


def test_alpha_and_the_kinds() -> None:
    table, rng = bodies(40), np.random.default_rng(1)
    predicted = table.target + rng.normal(0, 15, table.target.shape)
    tight, wide = poses(predicted, table, alpha=0.2), poses(predicted, table, alpha=0.8)
    assert tight["pcp"] < tight["pcp_loose"] < wide["pcp"] < wide["pcp_loose"]
    assert wide["pcp_alpha"] == 0.8
    assert tight["point_error_by_point"] == wide["point_error_by_point"]


def test_metrics_json_has_them_without_a_length() -> None:
    table = bodies()
    content = summarize(judged(table.target), table)
    for split in ("train", "test"):
        assert content[split]["pcp"] == content[split]["pcp_loose"] == 1.0
        assert set(content[split]) >= {"pcp_by_part", "point_error_by_point"}
        assert "pck" not in content[split]


def test_points_that_are_no_body_have_none() -> None:
    table = bodies(points=tuple(f"landmark {k}" for k in range(14)))
    assert poses(table.target, table) == {}
    assert not {"pcp", "point_error_by_point"} & set(measured(judged(table.target), table, np.arange(12)))
