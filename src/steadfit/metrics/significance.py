"""Significance of differences between methods on the same images: paired Wilcoxon tests with Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = ["Comparison", "best_stars", "compare_errors", "holm", "stars", "wilcoxon"]

Vector = NDArray[np.float64]
EXACT = 50
"""The largest number of unequal pairs whose p is exact."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of one method with the reference on the images that both have; errors in the user's units.

    An infinite error is a failed prediction: it ranks behind all others, and makes its method's mean infinite.

    Attributes:
        method: its name.
        reference: the name of the reference.
        mean: of the method's errors.
        reference_mean: of the reference's errors.
        median_difference: the median of (method - reference), positive where the method is worse.
        rank_biserial: the test's effect size, (W+ - W-)/(W+ + W-), in [-1, 1], positive where the method's errors are
            larger; 0 where all are equal.
        p: of :func:`wilcoxon`.
        adjusted: Holm's p over all the methods compared.
        stars: the mark of ``adjusted``.
        images: the number of images compared.
        dropped: the number of images with a NaN on either side.
    """

    method: str
    reference: str
    mean: float
    reference_mean: float
    median_difference: float
    rank_biserial: float
    p: float
    adjusted: float
    stars: str
    images: int
    dropped: int


def wilcoxon(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on paired errors.

    Ranks |a - b|; under "no difference" the sum of the ranks with a > b is symmetric about its mean.

    Few images with huge errors cannot decide it, unlike a test of means.

    Args:
        a: ``(N,)`` errors of one method, one for each image; NaN where there is none, inf where the method failed.
        b: ``(N,)`` errors of the other on the same images.

    Returns:
        p in [0, 1]. Pairs with a NaN are dropped, then equal pairs (Wilcoxon's treatment of zeros); two failures are an
        equal pair. 1 if all are equal.

    Raises:
        ValueError: different shapes, not one axis, errors of -inf, or no pair left.

    Numerics:
        Exact up to 50 unequal pairs, with ties too; the normal approximation with tie correction beyond (SciPy).

    References:
        Wilcoxon, Biometrics Bulletin 1 (1945) 80-83.

    >>> wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 0.0, 0.0, 0.0])
    0.0625
    """
    return _signed_rank(_difference(a, b))[0]


def holm(p_values: ArrayLike) -> Vector:
    """Holm's step-down adjustment: p-values that may be compared with the level as if there were one test.

    p'_(i) = min(1, max over j <= i of (m - j + 1)·p_(j)), p_(1) <= … <= p_(m).

    Never less powerful than Bonferroni's, and like it free of assumptions on how the tests depend on each other.

    Args:
        p_values: ``(m,)`` in [0, 1].

    Returns:
        ``(m,)`` in [0, 1], in the order given, each at least its p-value.

    Raises:
        ValueError: not one axis, NaN, or out of [0, 1].

    References:
        Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.

    >>> holm([0.01, 0.04, 0.03, 0.005]).round(12).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"holm: expected p_values of shape (m,), got {p.shape}. Flatten them.")
    outside = ~((p >= 0) & (p <= 1))
    if outside.any():
        raise ValueError(
            f"holm: expected p-values in [0, 1], got {p[outside][0]} at {int(np.flatnonzero(outside)[0])}."
        )
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def stars(p: float) -> str:
    """The customary mark of a p-value: ``***`` below .001, ``**`` below .01, ``*`` below .05, else nothing.

    >>> [stars(p) for p in (0.0009, 0.001, 0.01, 0.05, float("nan"))]
    ['***', '**', '*', '', '']
    """
    return "***" if p < 0.001 else "**" if p < 0.01 else "*" if p < 0.05 else ""


def compare_errors(errors: Mapping[str, ArrayLike], reference: str | None = None) -> list[Comparison]:
    """Every method compared with one reference, with Holm's correction over the methods.

    Args:
        errors: method to ``(N,)`` errors >= 0, one for each image, in one order of images; NaN where there is none,
            inf where the method failed.
        reference: a key of ``errors``; None takes the method with the fewest failures, then the smallest mean error,
            over the images that all methods have.

    Returns:
        One :class:`Comparison` for each other method, in the order given; empty with a single method.

    Raises:
        ValueError: no method, an unknown reference, different shapes, errors of -inf, or no image in common.

    Numerics:
        Choosing the reference by the same errors makes its p-values slightly optimistic; name it when it is the method
        of interest.

    >>> ours, theirs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 3.1, 4.2, 5.3, 6.4, 7.5]
    >>> result = compare_errors({"ours": ours, "theirs": theirs})[0]
    >>> result.method, result.reference, round(result.median_difference, 12), result.p, result.stars
    ('theirs', 'ours', 1.25, 0.03125, '*')
    """
    table = _table(errors)
    base = _best(table) if reference is None else reference
    if base not in table:
        raise ValueError(f"compare_errors: expected reference to be one of {', '.join(table)}, got {base!r}.")
    others = [name for name in table if name != base]
    tests = {name: _signed_rank(_difference(table[name], table[base])) for name in others}
    adjusted = holm([tests[name][0] for name in others])
    return [_comparison(name, base, table, tests[name], float(p)) for name, p in zip(others, adjusted, strict=True)]


def best_stars(errors: Mapping[str, ArrayLike]) -> tuple[str, str]:
    """The best method by mean error, and the stars of its lead over all others, as in paper 2's tables.

    p = max over the others of their p-values.

    "Better than all" fails as soon as one comparison does, so the largest p-value needs no correction for their
    number (an intersection-union test). No stars if the ranks favour another method although the mean does not.

    Args:
        errors: method to ``(N,)`` errors, as for :func:`compare_errors`.

    Returns:
        The method and its stars; no stars with a single method.

    Raises:
        ValueError: as :func:`compare_errors`.

    References:
        Lathuilière et al., DeepGUM, ECCV 2018, Tables 1-4.

    >>> import numpy as np
    >>> base = np.arange(20.0)
    >>> best_stars({"l2": base + 1, "gum": base, "huber": base + 2})
    ('gum', '***')
    """
    comparisons = compare_errors(errors)
    if not comparisons:
        return next(iter(errors)), ""
    ahead = all(one.rank_biserial > 0 for one in comparisons)
    return comparisons[0].reference, stars(max(one.p for one in comparisons)) if ahead else ""


def _table(errors: Mapping[str, ArrayLike]) -> dict[str, Vector]:
    if not errors:
        raise ValueError("compare_errors: expected at least one method, got none.")
    return {name: np.asarray(values, dtype=np.float64) for name, values in errors.items()}


def _best(table: Mapping[str, Vector]) -> str:
    """The method with the fewest failures, then the smallest mean, over the images that all methods have."""
    shapes = {name: values.shape for name, values in table.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"compare_errors: expected errors of one shape, got {shapes}. Use the same images.")
    common = ~np.isnan(list(table.values())).any(0)
    if not common.any():
        raise ValueError("compare_errors: expected an image that all methods have, got none. Check the NaN values.")

    def rank(name: str) -> tuple[int, float]:
        errors = table[name][common]
        known = errors[np.isfinite(errors)]
        return len(errors) - len(known), float(known.mean()) if len(known) else np.inf

    return min(table, key=rank)


def _difference(a: ArrayLike, b: ArrayLike) -> Vector:
    """a - b, NaN kept, 0 between two failures, after the checks."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"wilcoxon: expected two vectors of one length, got shapes {first.shape} and {second.shape}.")
    infinite = int(np.isneginf(first).sum() + np.isneginf(second).sum())
    if infinite:
        raise ValueError(f"wilcoxon: expected errors above -inf, got {infinite} of -inf. Mark them as NaN.")
    both = np.isinf(first) & np.isinf(second)
    difference = np.where(both, 0.0, first) - np.where(both, 0.0, second)
    if np.isnan(difference).all():
        raise ValueError(f"wilcoxon: expected at least one pair, got none in {len(first)} rows. Check the NaN values.")
    return difference


def _signed_rank(difference: Vector) -> tuple[float, float]:
    """p and the rank-biserial effect of the differences that are neither NaN nor zero."""
    left = difference[~np.isnan(difference) & (difference != 0)]
    if not len(left):
        return 1.0, 0.0
    ranks, positive = stats.rankdata(np.abs(left)), left > 0
    effect = float((ranks[positive].sum() - ranks[~positive].sum()) / ranks.sum())
    if len(left) <= EXACT:
        return _exact(ranks, positive), effect
    signed = np.where(positive, ranks, -ranks)  # the same test, without infinite differences
    return float(stats.wilcoxon(signed, zero_method="wilcox", method="approx").pvalue), effect


def _exact(ranks: Vector, positive: NDArray[np.bool_]) -> float:
    """The share of the 2^n signs whose sum of ranks is as far from its mean as the given one: twice the smaller tail.

    Tied ranks are multiples of 1/2, so twice the sum is a whole number; how many signs give it is counted rank by rank.
    """
    doubled = np.rint(2 * ranks).astype(int)
    ways = np.ones(1)
    for rank in doubled:  # counts up to 2^50 are exact in float64
        ways = np.append(ways, np.zeros(rank)) + np.append(np.zeros(rank), ways)
    seen = int(doubled[positive].sum())
    tail = min(ways[: seen + 1].sum(), ways[seen:].sum()) / ways.sum()
    return min(1.0, 2 * float(tail))


def _comparison(
    name: str, base: str, table: Mapping[str, Vector], test: tuple[float, float], adjusted: float
) -> Comparison:
    difference = _difference(table[name], table[base])
    both = ~np.isnan(difference)
    method, reference = table[name][both], table[base][both]
    return Comparison(
        method=name,
        reference=base,
        mean=float(method.mean()),
        reference_mean=float(reference.mean()),
        median_difference=float(np.median(difference[both])),
        rank_biserial=test[1],
        p=test[0],
        adjusted=adjusted,
        stars=stars(adjusted),
        images=int(both.sum()),
        dropped=int((~both).sum()),
    )
