"""The table of calibration: its cells are the measures', its columns those asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from predictions import NAN, drawn

from steadfit.metrics import (
    ConformalRadius,
    calibration_table,
    coverage,
    energy_score,
    expected_error,
    fit_temperature,
    mahalanobis,
    negative_log_likelihood,
    pit,
    point_error,
)
from steadfit.penalties import Huber

pytestmark = pytest.mark.usefixtures("float64")
PENALTY, POINTS = Huber(1.0), ["eye", "nose", "chin"]
PLAIN = ["point", "labels", "mean_error", "nll", "energy_score", "expected_error", "ks"]
PLAIN += ["cover_50", "cover_90", "cover_95"]


def case(seed=0):
    mean, root, target = drawn(300, 3, 2, PENALTY, factor=2.0, seed=seed)
    target[4:9, 1, 0] = NAN
    return mean, root, target


def test_cells_are_the_measures():
    mean, root, target = case()
    table = calibration_table(mean, root, target, PENALTY, points=POINTS)
    assert list(table) == PLAIN
    assert table["point"].tolist() == ["all", *POINTS]
    assert table["labels"].tolist() == [895, 300, 295, 300]
    np.testing.assert_allclose(table["mean_error"][1:], point_error(mean, target).nanmean(0), rtol=1e-12)
    keep = ~target.isnan().any(-1)
    for name, value in (
        ("nll", negative_log_likelihood(mean, root, target, PENALTY)),
        ("energy_score", energy_score(mean, root, target, PENALTY)),
        ("expected_error", expected_error(root, PENALTY)),
    ):
        assert table[name][0] == pytest.approx(float(value[keep].mean()), rel=1e-12)
        assert table[name][2] == pytest.approx(float(value[keep[:, 1], 1].mean()), rel=1e-12)
    shares, uniform = coverage(mean, root, target, PENALTY), pit(mean, root, target, PENALTY)
    assert table["cover_90"].tolist() == [float(shares.share[1]), *shares.point_share[1].tolist()]
    assert table["ks"].tolist() == [uniform.ks, *uniform.point_ks.tolist()]


@pytest.mark.parametrize("per_point", [False, True])
@pytest.mark.parametrize("pooled", [False, True])
def test_temperature_and_conformal_columns(per_point, pooled):
    other, given = case(1), case()
    temperature = fit_temperature(*other, PENALTY)
    rule = ConformalRadius(tuple(POINTS), mahalanobis(*other))
    table = calibration_table(
        *given, PENALTY, points=POINTS, temperature=temperature, conformal=rule, per_point=per_point, pooled=pooled
    )
    after = [f"{name}_after" for name in PLAIN[3:]]
    assert list(table) == [*PLAIN, "tau", *after, "conformal_radius", "conformal_cover"]
    assert table["tau"].tolist() == [temperature.tau, *(temperature.point_tau if per_point else [temperature.tau] * 3)]
    again = calibration_table(
        given[0], temperature.apply(given[1], per_point=per_point), given[2], PENALTY, points=POINTS
    )
    for name in PLAIN[3:]:
        assert table[f"{name}_after"].tolist() == again[name].tolist()
    assert bool((table["nll_after"] < table["nll"]).all())
    assert bool((table["energy_score_after"] < table["energy_score"]).all())
    assert bool(((table["cover_90_after"] - 0.9).abs() < 0.06).all())
    radius = rule.radius(0.9, pooled=pooled)
    assert table["conformal_radius"][1:].tolist() == radius.tolist()
    assert np.isnan(table["conformal_radius"][0]) != pooled
    inside = (mahalanobis(*given) <= radius).double().masked_fill(given[2].isnan().any(-1), NAN)
    np.testing.assert_allclose(table["conformal_cover"], [float(inside.nanmean()), *inside.nanmean(0)], rtol=1e-12)


def test_weights_drop_labels():
    mean, root, target = case()
    weight = torch.ones(300, 3)
    weight[::3, 0] = 0.0
    dropped = target.clone()
    dropped[::3, 0] = NAN
    by_weight = calibration_table(mean, root, target, PENALTY, points=POINTS, weight=weight)
    by_hand = calibration_table(mean, root, dropped, PENALTY, points=POINTS)
    np.testing.assert_allclose(by_weight.drop(columns="point"), by_hand.drop(columns="point"), rtol=1e-12)


def test_a_point_without_labels_is_nan():
    mean, root, target = case()
    target[:, 2] = NAN
    rule = ConformalRadius(tuple(POINTS), mahalanobis(*case(1)))
    row = calibration_table(mean, root, target, PENALTY, points=POINTS, conformal=rule).loc[3]
    assert row["labels"] == 0
    assert row[[*PLAIN[2:], "conformal_cover"]].isna().all()
    assert row["conformal_radius"] > 0


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="calibration_table: expected 3 points, got 1 names"):
        calibration_table(*case(), PENALTY, points=["eye"])
    rule = ConformalRadius(("a", "b", "c"), torch.ones(3, 3))
    with pytest.raises(
        ValueError, match="expected the conformal rule's points a, b, c, got eye, nose, chin. Calibrate"
    ):
        calibration_table(*case(), PENALTY, points=POINTS, conformal=rule)
