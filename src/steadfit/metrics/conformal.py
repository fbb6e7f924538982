"""Split-conformal ellipsoids: radii that contain a given share of right labels, however good the predictions are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from steadfit import _checks
from steadfit.errors import DataWarning
from steadfit.metrics.calibration import Coverage, checked_levels, coverage_within
from steadfit.metrics.elliptical import checked_weight

__all__ = ["ConformalRadius"]

ROUNDING = 1e-12
"""(n + 1)·.9 may come out just above a whole number; a rank is not raised by that."""


@dataclass(frozen=True)
class ConformalRadius:
    """Mahalanobis radii of labels that were not trained on, as a rule for how large a region must be.

    {y: ||A (y - mu)|| <= q_k},  q_k = smallest s with  sum_n w_nk [s_nk <= s] >= coverage·(sum_n w_nk + 1)

    With all weights 1 this is the ceil((n + 1)·coverage)-th smallest score. The 1 represents the label to come, as if
    it lay at infinity, which makes the promise hold for few labels.

    **What is promised.** A right label y_k of a new row, drawn like the rows of the scores, lies in the ellipsoid with
    probability >= coverage (on average over rows and over such calibration sets, not in every image):
    exactly, with clean labels and weights 1; and exactly, with wrong labels among the scores, if every weight is the
    posterior probability of being right given prediction and label, by a rule that these scores did not choose: the
    right labels are then a known reweighting of all labels. The promise is as good as the weights. A trust that is not
    a probability (a penalty's weight) undervalues right labels far out, and the radius becomes too small.

    Args:
        points: K names.
        scores: ``(N, K)``, r of :func:`~steadfit.metrics.mahalanobis` for labels that were neither trained on nor used
            to choose a model; NaN marks a missing label.
        weights: ``(N, K)``, the probability of every label of being right, in [0, 1]; None: 1.

    Raises:
        TypeError: scores or weights that are not floating tensors.
        ValueError: shapes that do not fit, repeated names, negative or infinite scores, weights outside [0, 1].

    References:
        Vovk et al., "Algorithmic Learning in a Random World", 2005.
        Lei et al., JASA 2018.
        Tibshirani et al., NeurIPS 2019, eq. 8 (weights).
        Lee, Barber & Willett, arXiv 2306.06342 (several scores per row).

    >>> scores = torch.arange(1.0, 10.0).unsqueeze(1)  # nine labels of one point
    >>> rule = ConformalRadius(("nose",), scores)
    >>> rule.radius(0.9).tolist(), rule.radius(0.5).tolist()  # the ninth, the fifth
    ([9.0], [5.0])
    """

    points: tuple[str, ...]
    scores: Tensor
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        who = "ConformalRadius"
        scores = _checks.floating(who, "scores", self.scores).detach().double()
        if scores.ndim != 2 or scores.shape[1] != len(self.points):
            raise ValueError(f"{who}: expected scores of shape (N, {len(self.points)}), got {tuple(scores.shape)}.")
        if len(set(self.points)) < len(self.points):
            raise ValueError(f"{who}: expected different points, got {sorted(self.points)}.")
        _checks.no_infinity(who, "scores", scores)
        if bool((scores < 0).any()):
            raise ValueError(f"{who}: expected scores >= 0, got {float(scores[scores < 0][0])}. Give radii.")
        object.__setattr__(self, "points", tuple(self.points))
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "weights", checked_weight(who, self.weights, ~scores.isnan()))

    def radius(self, coverage: float, *, pooled: bool = False) -> Tensor:
        """The Mahalanobis radius of every point's region.

        Args:
            coverage: in (0, 1).
            pooled: one radius for all points, from all their scores; it promises coverage of a point picked at random,
                not of each point. Every row counts once, each of its n annotated labels with weight/n: labels of one
                row are not independent, so the promise is about rows. Useful for few rows, or high coverage.

        Returns:
            ``(K,)``, float64, >= 0, in units of the predicted radius; inf where the labels are too few for the
            coverage (with weights 1, fewer than coverage/(1 - coverage)), with a
            :class:`~steadfit.errors.DataWarning`.

        Raises:
            ValueError: coverage outside (0, 1).

        >>> rule = ConformalRadius(("eye", "nose"), torch.tensor([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]))
        >>> rule.radius(0.75).tolist(), rule.radius(0.5, pooled=True).tolist()
        ([3.0, 6.0], [4.0, 4.0])
        """
        level = float(checked_levels("ConformalRadius", [coverage])[0])
        mass = self._mass(pooled)
        if pooled:
            found = _quantile(self.scores.reshape(-1, 1), mass.reshape(-1, 1), level).expand(len(self.points))
        else:
            found = _quantile(self.scores, mass, level)
        if bool(found.isinf().any()):
            _warn_few(found, mass.sum(0), level, pooled)
        return found

    def coverage(
        self, radius: Tensor, levels: Sequence[float], *, pooled: bool = False, weight: Tensor | None = None
    ) -> Coverage:
        """The share of other labels inside the regions of several levels: a check on data not used for the radii.

        Args:
            radius: ``(N, K)`` of :func:`~steadfit.metrics.mahalanobis`; NaN marks a missing label.
            levels: L shares in (0, 1).
            pooled: as in :meth:`radius`.
            weight: ``(N, K)`` probability that a label is right; None: 1.

        Returns:
            :class:`~steadfit.metrics.Coverage`, overall and for each point.

        Raises:
            TypeError: radii or weights that are not floating tensors.
            ValueError: shapes that do not fit, negative or infinite radii, levels or weights out of range.
        """
        wanted = checked_levels("ConformalRadius", levels)
        other = ConformalRadius(self.points, radius, weight)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            limit = torch.stack([self.radius(level, pooled=pooled) for level in levels])
        return coverage_within(other.scores.nan_to_num(nan=0.0), limit, other._trusted(), wanted)

    def to_frame(self) -> pd.DataFrame:
        """One row per label, missing ones included: ``row, point, score, weight``; for Parquet."""
        rows, points = self.scores.shape
        return pd.DataFrame({
            "row": np.repeat(np.arange(rows), points),
            "point": list(self.points) * rows,
            "score": self.scores.cpu().numpy().ravel(),
            "weight": self._trusted().cpu().numpy().ravel(),
        })  # fmt: skip

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> ConformalRadius:
        """The inverse of :meth:`to_frame`.

        Raises:
            ValueError: a column is absent, or a row does not have every point.
        """
        absent = [name for name in ("row", "point", "score", "weight") if name not in frame]
        if absent:
            raise ValueError(
                f"ConformalRadius: expected the columns row, point, score, weight, got none named {absent}."
            )
        points = tuple(str(name) for name in dict.fromkeys(frame["point"]))
        ordered = frame.iloc[np.argsort(frame["row"].to_numpy(), kind="stable")]
        rows = ordered["row"].nunique()
        if list(ordered["point"].astype(str)) != list(points) * rows:
            raise ValueError(
                "ConformalRadius: expected every point once in every row, in one order, got a table without."
            )
        scores, weights = (
            torch.from_numpy(ordered[name].to_numpy(dtype=np.float64, copy=True).reshape(rows, len(points)))
            for name in ("score", "weight")
        )
        return cls(points, scores, weights)

    def _trusted(self) -> Tensor:
        assert self.weights is not None  # __post_init__ has filled in ones
        return self.weights

    def _mass(self, pooled: bool) -> Tensor:
        """The weight of every score, in addition to the 1 of the label to come."""
        annotated = (~self.scores.isnan()).sum(1, keepdim=True).clamp(min=1)
        return self._trusted() / annotated if pooled else self._trusted()


def _quantile(scores: Tensor, mass: Tensor, level: float) -> Tensor:
    """The smallest score whose mass and below reaches level·(total + 1), (M, G) to (G,); inf where none does."""
    ordered, order = scores.nan_to_num(nan=math.inf).sort(dim=0)  # missing ones last, with mass 0
    reached = mass.gather(0, order).cumsum(0)
    enough = reached >= level * (mass.sum(0) + 1) * (1 - ROUNDING)
    candidates = torch.where(enough, ordered, math.inf)
    return torch.cat([candidates, torch.full_like(mass.sum(0, keepdim=True), math.inf)]).amin(0)


def _warn_few(found: Tensor, total: Tensor, level: float, pooled: bool) -> None:
    few = float(total.sum() if pooled else total[found.isinf()].min())
    who = "the pooled points" if pooled else f"{int(found.isinf().sum())} of {len(found)} points"
    warnings.warn(
        f"ConformalRadius: expected {'rows' if pooled else 'labels'} with a weight of at least "
        f"{level / (1 - level):.4g} for a coverage of {100 * level:g} %, got {few:.4g} for {who}: their region is "
        "everything. Ask for less coverage, pool the points, or calibrate with more labels.",
        DataWarning,
        stacklevel=3,
    )
