"""Calibration of predicted covariances: expected and empirical error, coverage of ellipses, PIT of the radius.

With weights, the trust in every label, a measure describes the labels that are right, as far as the weights are the
probabilities of being right. Results are float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.linalg.small import norm
from steadfit.core.penalties import Penalty
from steadfit.metrics.elliptical import average, labels, mass_within, mean_radius, mean_stretch

__all__ = ["LEVELS", "Calibration", "Coverage", "Pit", "Reliability", "calibration", "coverage", "pit", "reliability"]

LEVELS = (0.5, 0.9, 0.95)
"""The ellipses of the tables."""
CURVE = tuple(i / 40 for i in range(1, 40))
"""The levels of a coverage curve."""


@dataclass(frozen=True)
class Reliability:
    """Expected and empirical error in B bins of labels with similar expectations; errors in the user's units.

    Attributes:
        expected: (B,), the mean expected error, ascending.
        empirical: (B,), the mean empirical error.
        standard_error: (B,), that of the empirical mean, NaN in a bin of one label.
        labels: (B,), the number of labels.
    """

    expected: Tensor
    empirical: Tensor
    standard_error: Tensor
    labels: Tensor

    @property
    def calibration_error(self) -> float:
        """The mean over the bins of |empirical - expected|/expected, >= 0; NaN without a bin."""
        return float(((self.empirical - self.expected).abs() / self.expected).mean())


@dataclass(frozen=True)
class Coverage:
    """The share of labels inside the ellipses of L levels, overall and for each of K points, with 95 % intervals.

    Shares are NaN, and intervals [0, 1], where there is no label.

    Attributes:
        levels: (L,), the shares that the ellipses should contain.
        share: (L,), the shares that they contain.
        low: (L,), the lower ends of the intervals.
        high: (L,), the upper ends.
        point_share: (L, K), as ``share``, for each point.
        point_low: (L, K), as ``low``, for each point.
        point_high: (L, K), as ``high``, for each point.
    """

    levels: Tensor
    share: Tensor
    low: Tensor
    high: Tensor
    point_share: Tensor
    point_low: Tensor
    point_high: Tensor


@dataclass(frozen=True)
class Pit:
    """The probability integral transform of the radius, uniform on [0, 1] for a calibrated prediction.

    It is NaN where there is no label.

    Attributes:
        edges: (B + 1,), of the bins.
        density: (B,), 1 in every bin if uniform; high at 1 for overconfident predictions, high at 0 for underconfident
            ones.
        point_density: (K, B), the same for each point.
        ks: Kolmogorov's distance of the distribution from the uniform.
        point_ks: (K,), the same for each point.
    """

    edges: Tensor
    density: Tensor
    point_density: Tensor
    ks: float
    point_ks: Tensor


@dataclass(frozen=True)
class Calibration:
    """What :func:`calibration` returns: everything that a figure of calibration shows."""

    reliability: Reliability
    coverage: Coverage
    pit: Pit


def reliability(
    mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty, *, bin_size: int = 734, weight: Tensor | None = None
) -> Reliability:
    """Expected and empirical errors of labels, sorted by the expected ones, in bins of equal count.

    expected = mean E||y - mu||, empirical = mean ||y - mu||, in each bin

    Unlike coverage it shows whether the network knows which of its predictions are bad.

    Args:
        mean: ``(N, K, D)``, mu in the user's units, finite.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)`` in the user's units; NaN marks a missing label.
        penalty: a proper penalty.
        bin_size: labels in a bin, >= 1; 734 is the paper's. The n labels go into round(n/bin_size) bins, at least
            one, whose counts differ by one at most. Labels of weight 0 are in no bin.
        weight: ``(N, K)`` trust in [0, 1]; None: 1.

    Returns:
        The bins; none where there is no label.

    Raises:
        TypeError: as :func:`~steadfit.metrics.mahalanobis`.
        ValueError: as :func:`~steadfit.metrics.mahalanobis`; an improper penalty, weights outside [0, 1], a bin size
            below 1.

    Numerics:
        As :func:`~steadfit.metrics.expected_error`. Standard errors assume independent labels.

    References:
        Mohlin et al., BMVC 2021, section 4.2, Fig. 3.
        Levi et al., arXiv 1905.11659 (bins).

    >>> from steadfit.penalties import Absolute
    >>> found = reliability(torch.zeros(4, 1, 1), torch.ones(4, 1, 1, 1), torch.ones(4, 1, 1), Absolute())
    >>> found.expected.tolist(), found.empirical.tolist(), found.labels.tolist()
    ([1.0], [1.0], [4])
    """
    if isinstance(bin_size, bool) or not isinstance(bin_size, int) or bin_size < 1:
        raise ValueError(f"reliability: expected bin_size to be an integer >= 1, got {bin_size!r}.")
    given = labels("reliability", mean, root, target, penalty, weight)
    counts = given.weight > 0
    expected = (mean_radius(penalty, given.dim) * mean_stretch(given.root))[counts]
    error, w = norm(given.residual)[counts], given.weight[counts]
    order = expected.argsort(stable=True)
    n_bins = min(max(1, round(len(order) / bin_size)), len(order))
    bins = [_bin(expected[rows], error[rows], w[rows]) for rows in (order.tensor_split(n_bins) if n_bins else ())]
    columns = torch.tensor(bins, dtype=torch.float64, device=root.device).reshape(-1, 4).T
    return Reliability(columns[0], columns[1], columns[2], columns[3].long())


def _bin(expected: Tensor, error: Tensor, w: Tensor) -> tuple[float, float, float, int]:
    empirical = average(error, w, 0)
    spread = average((error - empirical) ** 2, w, 0)
    others = w.sum() ** 2 / w.square().sum() - 1  # effective labels in addition to one
    return float(average(expected, w, 0)), float(empirical), float((spread / others).sqrt()), len(w)


def coverage(
    mean: Tensor,
    root: Tensor,
    target: Tensor,
    penalty: Penalty,
    *,
    levels: Sequence[float] = LEVELS,
    weight: Tensor | None = None,
) -> Coverage:
    """The share of labels inside the ellipses that should contain given shares of them.

    share = sum w [r <= R(level)]/sum w, R(level) = ``penalty.radius(level, D)``

    Args:
        mean: ``(N, K, D)``, mu in the user's units, finite.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)`` in the user's units; NaN marks a missing label.
        penalty: a proper penalty.
        levels: L shares in (0, 1).
        weight: ``(N, K)`` trust in [0, 1]; None: 1.

    Returns:
        Shares and intervals. The intervals are Wilson's for the effective number of labels (sum w)²/sum w²; overall,
        that number falls with the correlation of the points of one row, down to what the rows alone would give.

    Raises:
        TypeError: as :func:`~steadfit.metrics.mahalanobis`.
        ValueError: as :func:`~steadfit.metrics.mahalanobis`; an improper penalty, levels or weights out of range.

    References:
        Wilson, JASA 1927.
        Kish, "Survey Sampling", 1965 (effective number, design effect).

    >>> from steadfit.penalties import Squared
    >>> target = torch.tensor([0.5, 1.0, 1.5, 2.5]).reshape(4, 1, 1)  # the 90 % ellipse ends at 1.645
    >>> coverage(torch.zeros(4, 1, 1), torch.ones(4, 1, 1, 1), target, Squared(), levels=[0.9]).share.tolist()
    [0.75]
    """
    given = labels("coverage", mean, root, target, penalty, weight)
    wanted = checked_levels("coverage", levels)
    limit = penalty.radius(wanted, given.dim).to(given.radius)
    return coverage_within(given.radius, limit.unsqueeze(-1), given.weight, wanted)


def coverage_within(radius: Tensor, limit: Tensor, weight: Tensor, levels: Tensor) -> Coverage:
    """The shares of (N, K) radii within limits, (L, 1) or (L, K)."""
    overall, points = [], []
    for within in limit:
        hit = (radius <= within).double()
        overall.append(_interval(*_clustered(hit, weight)))
        points.append(_interval(average(hit, weight, 0), weight.sum(0) ** 2 / weight.square().sum(0)))
    fields = [torch.stack(column) for rows in (overall, points) for column in zip(*rows, strict=True)]
    return Coverage(levels, *fields)


def _clustered(hit: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The overall share, and its effective number of labels: p(1 - p) over its variance with rows as the units."""
    share, total = average(hit, weight, (0, 1)), weight.sum()
    labels_alone = total**2 / weight.square().sum()
    rows_alone = total**2 / weight.sum(1).square().sum()
    variance = (weight * (hit - share)).sum(1).square().sum() / total**2
    number = (share * (1 - share) / variance).nan_to_num(nan=0.0)  # shares of 0 and 1 show no correlation
    return share, torch.minimum(torch.maximum(number, rows_alone), labels_alone)


def _interval(share: Tensor, number: Tensor, z: float = 1.959963984540054) -> tuple[Tensor, Tensor, Tensor]:
    """The share and Wilson's 95 % interval."""
    shrink = 1 / (1 + z * z / number)
    center = shrink * (share + z * z / (2 * number))
    half = shrink * z * (share * (1 - share) / number + z * z / (4 * number * number)).sqrt()
    low, high = (center - half).clamp(0, 1), (center + half).clamp(0, 1)
    return share, low.nan_to_num(nan=0.0), high.nan_to_num(nan=1.0)


def pit(
    mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty, *, bins: int = 20, weight: Tensor | None = None
) -> Pit:
    """The probability integral transform of every label's radius, as a histogram.

    u = P(||Z|| <= r) = ``penalty.mass(r, D)``

    Args:
        mean: ``(N, K, D)``, mu in the user's units, finite.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)`` in the user's units; NaN marks a missing label.
        penalty: a proper penalty.
        bins: equal bins of [0, 1], >= 1.
        weight: ``(N, K)`` trust in [0, 1]; None: 1.

    Returns:
        The histogram. With n labels a distance ``ks`` above 1.36/sqrt(n) happens by chance once in twenty.

    Raises:
        TypeError: as :func:`~steadfit.metrics.mahalanobis`.
        ValueError: as :func:`~steadfit.metrics.mahalanobis`; an improper penalty, weights out of range, no bins.

    References:
        Dawid, JRSS A 1984.
        Gneiting, Balabdaoui & Raftery, JRSS B 2007.

    >>> from steadfit.penalties import Absolute
    >>> found = pit(torch.zeros(1, 1, 1), torch.ones(1, 1, 1, 1), torch.full((1, 1, 1), 0.1), Absolute(), bins=2)
    >>> found.density.tolist(), round(found.ks, 4)  # u = 1 - exp(-.1)
    ([2.0, 0.0], 0.9048)
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ValueError(f"pit: expected bins to be an integer >= 1, got {bins!r}.")
    given = labels("pit", mean, root, target, penalty, weight)
    u = mass_within(penalty, given.radius, given.dim)
    point_mass = _histogram(u, given.weight, bins)  # (K, B)
    return Pit(
        edges=torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=u.device),
        density=bins * point_mass.sum(0) / given.weight.sum(),
        point_density=bins * point_mass / given.weight.sum(0).unsqueeze(-1),
        ks=float(_kolmogorov(u.reshape(-1, 1), given.weight.reshape(-1, 1))),
        point_ks=_kolmogorov(u, given.weight),
    )


def _histogram(u: Tensor, weight: Tensor, bins: int) -> Tensor:
    """The weight in every bin, (K, B)."""
    which = (u * bins).long().clamp(max=bins - 1)
    return torch.zeros(bins, u.shape[1], dtype=u.dtype, device=u.device).scatter_add(0, which, weight).T


def _kolmogorov(u: Tensor, weight: Tensor) -> Tensor:
    """sup |F_w(u) - u| of every column, (M, G) to (G,)."""
    if not len(u):
        return torch.full_like(u.sum(0), torch.nan)
    ordered, order = u.sort(dim=0)
    reached = weight.gather(0, order).cumsum(0) / weight.sum(0)
    before = torch.cat([torch.zeros_like(reached[:1]), reached[:-1]])
    return torch.maximum(reached - ordered, ordered - before).amax(0)


def calibration(
    mean: Tensor,
    root: Tensor,
    target: Tensor,
    penalty: Penalty,
    *,
    levels: Sequence[float] = CURVE,
    bin_size: int | None = None,
    weight: Tensor | None = None,
) -> Calibration:
    """:func:`reliability`, :func:`coverage` over a fine grid of levels, and :func:`pit`, for a figure.

    Args:
        mean: ``(N, K, D)``, mu in the user's units, finite.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)`` in the user's units; NaN marks a missing label.
        penalty: a proper penalty.
        levels: L shares in (0, 1).
        bin_size: labels in a bin, >= 1. None: the paper's 734, or less where that would give fewer than ten bins.
        weight: ``(N, K)`` trust in [0, 1]; None: 1.

    Returns:
        :class:`Calibration`.

    Raises:
        TypeError: as the three functions.
        ValueError: as the three functions.
    """
    count = int((~_checks.floating("calibration", "target", target).isnan().any(-1)).sum())
    size = min(734, max(1, count // 10)) if bin_size is None else bin_size
    return Calibration(
        reliability(mean, root, target, penalty, bin_size=size, weight=weight),
        coverage(mean, root, target, penalty, levels=levels, weight=weight),
        pit(mean, root, target, penalty, weight=weight),
    )


def checked_levels(who: str, levels: Sequence[float]) -> Tensor:
    """Levels in (0, 1) as a float64 vector."""
    if not len(levels):
        raise ValueError(f"{who}: expected at least one level, got none.")
    for level in levels:
        if not 0 < _checks.number(who, "a level", level) < 1:
            raise ValueError(f"{who}: expected levels between 0 and 1, got {level}. Give .9 for 90 %.")
    return torch.tensor([float(level) for level in levels], dtype=torch.float64)
