"""The Gaussian-uniform mixture once more, in plain loops over Python floats, in the residuals' own units."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

Rows = list[list[float]]


@dataclass
class Twin:
    share: float
    covariance: Rows
    side: list[float]
    responsibility: list[float]
    bounds: list[float]


def log_normal(value: list[float], covariance: Rows) -> float:
    """log Normal(value; 0, covariance) by a textbook Cholesky."""
    n = len(value)
    low = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = covariance[i][j] - sum(low[i][k] * low[j][k] for k in range(j))
            low[i][j] = math.sqrt(rest) if i == j else rest / low[j][j]
    z: list[float] = []
    for i in range(n):
        z.append((value[i] - sum(low[i][k] * z[k] for k in range(i))) / low[i][i])
    return -sum(x * x for x in z) / 2 - sum(math.log(low[i][i]) for i in range(n)) - n / 2 * math.log(2 * math.pi)


def judge(row: list[float], share: float, covariance: Rows, side: list[float]) -> tuple[float, float]:
    """Responsibility and log-likelihood of one row by its observed coordinates."""
    seen = [j for j, v in enumerate(row) if not math.isnan(v)]
    if not seen:
        return math.nan, 0.0
    marginal = [[covariance[i][j] for j in seen] for i in seen]
    inlier = math.log(share) + log_normal([row[j] for j in seen], marginal)
    outlier = math.log1p(-share) - sum(math.log(side[j]) for j in seen)
    top = max(inlier, outlier)
    total = top + math.log(math.exp(inlier - top) + math.exp(outlier - top))
    return math.exp(inlier - total), total


def pairs(rows: Rows, weight: list[float], i: int, j: int) -> tuple[float, float]:
    both = [(w, r[i] * r[j]) for w, r in zip(weight, rows, strict=True) if not (math.isnan(r[i]) or math.isnan(r[j]))]
    return math.fsum(w * x for w, x in both), math.fsum(w for w, _ in both)


def moments(rows: Rows, weight: list[float], kind: str) -> Rows:
    d = len(rows[0])
    found = [[0.0] * d for _ in range(d)]
    if kind == "isotropic":
        sums = [pairs(rows, weight, j, j) for j in range(d)]
        pooled = math.fsum(s for s, _ in sums) / math.fsum(w for _, w in sums)
        return [[pooled * (i == j) for j in range(d)] for i in range(d)]
    for i in range(d):
        for j in range(d):
            if i == j or kind == "full":
                total, mass = pairs(rows, weight, i, j)
                found[i][j] = total / mass
    return found


def trimmed_side(column: list[float]) -> float:
    """The range between the fences, at least four times an upper limit of the innermost residuals' scale."""
    x, n = sorted(column), len(column)
    kept = x
    for share, factor in ((0.95, 2.5), (0.8, 10.0), (0.5, 40.0)):
        cut = min(max(2, math.ceil(n * (1 - share) / 2)), (n - 1) // 4)
        low, high = x[cut], x[n - 1 - cut]
        margin = (factor - 1) / 2 * (high - low)
        kept = [v for v in kept if margin == 0 or low - margin <= v <= high + margin]
    rank = innermost_rank(n)
    return max(kept[-1] - kept[0], 4 * innermost(column) * (1 + 4 / math.sqrt(rank)))


def innermost_rank(n: int) -> int:
    return max(math.ceil(0.2 * n), min(10, (n + 1) // 2))


def innermost(column: list[float]) -> float:
    """Sigma of the Gaussian whose |r| have the same low quantile."""
    rank = innermost_rank(len(column))
    share = (rank - 0.5) / len(column)
    return sorted(map(abs, column))[rank - 1] / statistics.NormalDist().inv_cdf((1 + share) / 2)


def fit(rows: Rows, kind: str = "full", volume: str | float = "range", iterations: int = 400) -> Twin:
    d = len(rows[0])
    columns = [[r[j] for r in rows if not math.isnan(r[j])] for j in range(d)]
    widths = [max(c) - min(c) for c in columns]
    side = widths if isinstance(volume, str) else [volume ** (1 / d)] * d
    share = 0.5
    start = [1.4826 * statistics.median(map(abs, c)) for c in columns]
    if volume == "trimmed":
        side, start = [trimmed_side(c) for c in columns], [innermost(c) for c in columns]
    if kind == "isotropic":
        start = [math.sqrt(statistics.fmean(x * x for x in start))] * d
    covariance = [[start[i] ** 2 * (i == j) for j in range(d)] for i in range(d)]
    bounds: list[float] = []
    for _ in range(iterations):
        judged = [judge(r, share, covariance, side) for r in rows]
        bounds.append(math.fsum(b for _, b in judged))
        known = [q for q, _ in judged if not math.isnan(q)]
        weight = [0.0 if math.isnan(q) else q for q, _ in judged]
        before, share = share, min(max(math.fsum(known) / len(known), 0.01), 1 - 2.0**-52)
        covariance = moments(rows, weight, kind)
        if volume == "moments":  # eq. 5: 2 sqrt(3 (C2 - C1²)), not narrower than the inliers'
            for j in range(d):
                out = [(1 - w, r[j]) for w, r in zip(weight, rows, strict=True) if not math.isnan(r[j])]
                mass = math.fsum(w for w, _ in out)
                c1 = math.fsum(w * x for w, x in out) / mass
                c2 = math.fsum(w * (x - c1) ** 2 for w, x in out) / mass
                side[j] = 2 * math.sqrt(3 * max(c2, covariance[j][j]))
        if abs(share - before) < 1e-15:
            break
    return Twin(share, covariance, side, [judge(r, share, covariance, side)[0] for r in rows], bounds)
