"""The parts of EM for the Gaussian-uniform mixture: residuals in units, the parameters, the E-step, when to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from steadfit.core import gaussian
from steadfit.core.scale import innermost_from
from steadfit.core.sums import Sums, joined, stacked
from steadfit.core.widths import Widths

LEAST_BOX, BOX_ERRORS = 4.0, 4.0
"""A side of the trimmed box is at least 4 times the innermost scale and four of its standard errors: a box as narrow as
the inliers explains them as well as a Gaussian does."""
STRETCHED = 1e3
LARGEST = 1e16
"""Residuals count as at most that many units, whose square is finite in float32; the range is never so short."""


@dataclass(frozen=True)
class State:
    """The parameters, with lengths in units of the residuals' ranges."""

    share: Tensor  # (G,)
    covariance: Tensor  # (G, D, D)
    side: Tensor  # (G, D)


@dataclass(frozen=True)
class Residuals:
    """Residuals divided by a unit of length per coordinate, zero where missing."""

    value: Tensor  # (G, N, D)
    unit: Tensor  # (G, D)
    side: Tensor  # (G, D) of the box, in units
    wide: Tensor  # (G, D) of a box that holds all near residuals, in units
    informative: Tensor  # (G, D) bool
    annotated: Tensor | None  # (G, N, D) bool: has a label; None: all have
    observed: Tensor | None  # (G, N, D) bool: is judged, annotated and informative; None: all are
    near: Tensor  # (G, N) bool: has an annotated coordinate, none far beyond the fences
    inside: Tensor  # (G, N) bool: has an annotated coordinate, none beyond the fences
    present: Tensor  # (G, N) bool: has an annotated coordinate
    offset: Tensor  # scalar: what the change of units adds to the log-likelihood

    @classmethod
    def of(cls, residual: Tensor, widths: Widths, volume: str | float) -> Residuals:
        """Residuals in units of length that follow from how far they reach.

        The unit is each coordinate's box, or, where the box is known and the range says nothing, its largest size.

        A unit that a few far values stretch more than 1,000 times gives way to the trimmed range, so that the others
        are not too small to count.

        Args:
            residual: (N, G, D), all residuals or some of them.
            widths: those of all residuals.
            volume: as in :class:`~steadfit.GaussianUniform`.
        """
        value, trimmed = residual.transpose(0, 1), widths.trimmed  # (G, N, D)
        if isinstance(volume, str):
            unit = widths.range
            informative = (unit > 0) & unit.isfinite()
        else:
            unit = widths.size
            informative = torch.ones_like(unit, dtype=torch.bool)
        box = unit
        if volume == "trimmed":
            inner = innermost_from(widths.innermost, widths.count, BOX_ERRORS)
            unit = box = torch.maximum(trimmed, LEAST_BOX * inner)
            informative &= unit.isfinite() & (trimmed > 0)
        unit = torch.where((trimmed > 0) & (unit > STRETCHED * trimmed), trimmed, unit)
        known = informative & (unit > 0)
        scaled = cls.scaled(value, torch.where(known, unit, 1.0), informative, torch.where(known, box, 1.0))
        if volume != "trimmed":
            return scaled
        reach = widths.high - widths.low  # a long tail passes the fences, a gross value lies far beyond them
        wide = torch.where(known, torch.minimum(widths.range, 3 * reach) / scaled.unit, scaled.side)
        return replace(
            scaled,
            wide=torch.maximum(scaled.side, wide),
            near=scaled.present & _within(residual, widths.low - reach, widths.high + reach),
            inside=scaled.present & _within(residual, widths.low, widths.high),
        )

    @classmethod
    def scaled(cls, value: Tensor, unit: Tensor, informative: Tensor, box: Tensor) -> Residuals:
        annotated = ~value.isnan()
        used = annotated & informative.unsqueeze(1)
        whole, judged = bool(annotated.all()), bool(used.all())
        return cls(
            value=torch.where(annotated, (value / unit.unsqueeze(1)).clamp(-LARGEST, LARGEST), 0.0).contiguous(),
            unit=unit,
            side=box / unit,
            wide=box / unit,
            informative=informative,
            annotated=None if whole else annotated,
            observed=None if judged else used,
            near=annotated.any(dim=2),
            inside=annotated.any(dim=2),
            present=annotated.any(dim=2),
            offset=-unit.log().sum() * value.shape[1] if judged else -(unit.log() * used.sum(dim=1)).sum(),
        )

    def labelled(self) -> Tensor:
        """The values with NaN where nothing is annotated."""
        return self.value if self.annotated is None else torch.where(self.annotated, self.value, torch.nan)

    def maybe_right(self) -> tuple[Tensor, Tensor]:
        """Residuals (G, N) that may all be right, with all others wrong: those inside the fences, and the near ones."""
        return self.inside, self.near


def _within(residual: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Which residuals (N, G, D) lie from ``low`` to ``high`` in every annotated coordinate, (G, N)."""
    return ~((residual < low) | (residual > high)).any(dim=2).T


def expectation(data: Residuals, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """Responsibilities and log-likelihoods under the mixture.

    Returns:
        Responsibilities (G, N), NaN where a label is missing; the log-likelihood in the residuals' own units; and that
        of every residual (G, N), in the units of :class:`Residuals`.
    """
    log_side = state.side.log()  # (G, D)
    log_box = (
        log_side.sum(dim=1, keepdim=True)
        if data.observed is None
        else (log_side.unsqueeze(1) * data.observed).sum(dim=2)
    )
    inlier = gaussian.log_density(data.value, state.covariance, data.observed) + state.share.log().unsqueeze(1)
    outlier = torch.log1p(-state.share).unsqueeze(1) - log_box
    each = torch.where(data.present, torch.logaddexp(inlier, outlier), 0.0)
    bound = each.sum() + data.offset
    responsibility = torch.sigmoid(inlier - outlier)
    if data.observed is not None:
        judged = data.observed.any(dim=2)
        unjudged = torch.ones_like(responsibility).masked_fill(~data.present, torch.nan)
        responsibility = torch.where(judged, responsibility, unjudged)
    return responsibility, bound, each


def start_sums(data: Residuals) -> Sums:
    """The sums for the start of EM: the squares of the values, and of those within one unit."""
    value = data.labelled()
    return Sums({"square": value.square().nansum(dim=1), "clamped": value.clamp(-1, 1).square().nansum(dim=1)})


def step_sums(data: Residuals, responsibility: Tensor, kind: str, volume: str | float) -> Sums:
    """The sums for an M-step, given some residuals and their responsibilities."""
    inlier = responsibility.nan_to_num(nan=0.0)  # (G, N)
    own = Sums({"inliers": inlier.sum(dim=1), "count": data.present.sum(dim=1)})
    parts = [own, gaussian.moment_sums(data.value, inlier, data.annotated, kind)]
    if volume == "moments":
        parts.append(gaussian.spread_sums(data.value, torch.where(data.present, 1 - inlier, 0.0), data.annotated))
    return joined(*parts)


def clean_sums(data: Residuals, kind: str) -> Sums:
    """The sums for M-steps in which residuals are right or wrong for certain, see :meth:`Residuals.maybe_right`."""
    return stacked(*(step_sums(data, right.to(data.value), kind, "trimmed") for right in data.maybe_right()))


def contest_sums(data: Residuals, state: State, clean: Sequence[State]) -> Sums:
    """The sums for the comparison of the mixture with a density of the residuals that may all be right.

    Both are densities of these residuals alone: of the mixture's outliers, the others are taken away.

    Args:
        data: some residuals.
        state: the parameters at which EM has ended.
        clean: the parameters that follow from :func:`clean_sums` of all residuals.
    """
    parts = []
    for right, found in zip(data.maybe_right(), clean, strict=True):
        share = (state.share / found.share).clamp(max=1 - torch.finfo(state.share.dtype).eps)
        each = expectation(data, replace(state, share=share))[2]
        own = Sums({"right": right.sum(dim=1), "mixture": (each * right).sum(dim=1)})
        parts.append(joined(own, gaussian.tail_sums(data.value, found.covariance, data.observed, right)))
    return stacked(*parts)


class Watch:
    """Stops EM when the estimated distance to the fixed point is below ``tol``.

    EM converges linearly: with steps s, s rho, s rho^2, … the rest of the way is s rho/(1 - rho).

    Args:
        tol: in inlier share, relative covariance and relative side, > 0.
    """

    def __init__(self, tol: float) -> None:
        self.tol, self.step, self.done = tol, math.inf, False

    def settled(self, before: State, after: State) -> bool:
        variance = after.covariance.diagonal(dim1=-2, dim2=-1)
        scale = (variance.unsqueeze(-1) * variance.unsqueeze(-2)).sqrt()
        tiny = torch.finfo(scale.dtype).tiny
        moved = (after.covariance - before.covariance).abs() / scale.clamp(min=tiny)
        grown = (after.side - before.side).abs() / after.side
        step = float(torch.stack([(after.share - before.share).abs().max(), moved.max(), grown.max()]).max())
        rate = min(step / self.step, 1.0) if self.step > 0 else 0.0
        rest = step * rate / (1 - rate) if rate < 1 else math.inf if step > 0 else 0.0
        self.step, self.done = step, max(step, rest) <= self.tol
        return self.done
