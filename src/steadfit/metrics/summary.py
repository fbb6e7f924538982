"""The table of all measures of predicted covariances, overall and for each point."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from steadfit.core.linalg.small import norm
from steadfit.core.penalties import Penalty
from steadfit.metrics.calibration import LEVELS, Coverage, coverage, pit
from steadfit.metrics.conformal import ConformalRadius
from steadfit.metrics.elliptical import Labels, average, expected_error, labels
from steadfit.metrics.scores import energy_score, negative_log_likelihood
from steadfit.metrics.temperature import Temperature

__all__ = ["calibration_table"]

Columns = dict[str, list[float]]


def calibration_table(
    mean: Tensor,
    root: Tensor,
    target: Tensor,
    penalty: Penalty,
    *,
    points: Sequence[str],
    temperature: Temperature | None = None,
    conformal: ConformalRadius | None = None,
    level: float = 0.9,
    per_point: bool = False,
    pooled: bool = False,
    levels: Sequence[float] = LEVELS,
    weight: Tensor | None = None,
) -> pd.DataFrame:
    """Scores, errors and coverage of predictions, on labels that nothing was fitted to, as a tidy table.

    Args:
        mean: ``(N, K, D)``, mu in the user's units.
        root: ``(N, K, D, D)``, A in 1/unit, as predicted.
        target: ``(N, K, D)``; NaN marks a missing label.
        penalty: a proper penalty.
        points: K names.
        temperature: fitted on other labels; None leaves the columns ``…_after`` out.
        conformal: made of other labels, with the same points; None leaves its columns out.
        level: the conformal regions' coverage, in (0, 1).
        per_point: whether each point is corrected with its own temperature.
        pooled: whether all points have one conformal radius.
        levels: of the ellipses, in (0, 1).
        weight: ``(N, K)`` probability that a label is right; None: 1.

    Returns:
        A row ``all`` and one for each point: ``point``; ``labels``, how many have weight; ``mean_error`` (user's
        units), ``nll`` (nats per label), ``energy_score``, ``expected_error`` (user's units), ``ks`` (of the PIT),
        ``cover_50``, ``cover_90``, ``cover_95`` (shares in [0, 1]); with a temperature ``tau`` and all but the mean
        error again, as ``…_after``; with a conformal rule ``conformal_radius`` (NaN for ``all`` unless pooled) and
        ``conformal_cover``. NaN where there is no label.

    Raises:
        TypeError: as the functions that measure them.
        ValueError: as the functions that measure them; names that do not fit.

    >>> from steadfit.penalties import Absolute
    >>> zero, one = torch.zeros(2, 1, 1, dtype=torch.float64), torch.ones(2, 1, 1, 1, dtype=torch.float64)
    >>> table = calibration_table(zero, one, zero + 1, Absolute(), points=["x"])
    >>> print(table[["point", "labels", "mean_error", "expected_error", "cover_50"]].to_string(index=False))
    point  labels  mean_error  expected_error  cover_50
      all       2         1.0             1.0       0.0
        x       2         1.0             1.0       0.0
    """
    given = labels("calibration_table", mean, root, target, penalty, weight)
    _check_points(points, given.radius.shape[1], conformal)
    table = pd.DataFrame({"point": ["all", *points], "labels": _counts(given)})
    error = norm(given.residual)
    table["mean_error"] = _rows(error, given.weight)
    table = table.assign(**_measures(mean, root, target, penalty, levels, given.weight))
    if temperature is not None:
        table["tau"] = [temperature.tau, *(temperature.point_tau if per_point else [temperature.tau] * len(points))]
        scaled = temperature.apply(root, per_point=per_point)
        after = _measures(mean, scaled, target, penalty, levels, given.weight)
        table = table.assign(**{f"{name}_after": column for name, column in after.items()})
    if conformal is not None:
        radius = conformal.radius(level, pooled=pooled).tolist()
        table["conformal_radius"] = [radius[0] if pooled else float("nan"), *radius]
        observed = given.radius.masked_fill(target.isnan().any(-1), torch.nan)
        table["conformal_cover"] = _shares(conformal.coverage(observed, [level], pooled=pooled, weight=given.weight), 0)
    return table


def _measures(
    mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty, levels: Sequence[float], weight: Tensor
) -> Columns:
    """The measures that change with the root."""
    inside = coverage(mean, root, target, penalty, levels=levels, weight=weight)
    uniform = pit(mean, root, target, penalty, weight=weight)
    return {
        "nll": _rows(negative_log_likelihood(mean, root, target, penalty), weight),
        "energy_score": _rows(energy_score(mean, root, target, penalty), weight),
        "expected_error": _rows(expected_error(root, penalty), weight),
        "ks": [uniform.ks, *uniform.point_ks.tolist()],
        **{f"cover_{100 * level:g}": _shares(inside, i) for i, level in enumerate(levels)},
    }


def _rows(value: Tensor, weight: Tensor) -> list[float]:
    """The weighted means over all labels and over each point's labels."""
    wide = value.double()
    return [float(average(wide, weight, (0, 1))), *average(wide, weight, 0).tolist()]


def _shares(found: Coverage, level: int) -> list[float]:
    return [float(found.share[level]), *found.point_share[level].tolist()]


def _counts(given: Labels) -> list[int]:
    counts = (given.weight > 0).sum(0).tolist()
    return [sum(counts), *counts]


def _check_points(points: Sequence[str], count: int, conformal: ConformalRadius | None) -> None:
    if len(points) != count:
        raise ValueError(f"calibration_table: expected {count} points, got {len(points)} names.")
    if conformal is not None and tuple(points) != conformal.points:
        raise ValueError(
            f"calibration_table: expected the conformal rule's points {', '.join(conformal.points)}, got "
            f"{', '.join(points)}. Calibrate on the same points."
        )
