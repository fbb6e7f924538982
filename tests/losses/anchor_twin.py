"""Anchor loss once more, slowly: one number at a time, as eqs A-1 and 5 stand on paper."""

from __future__ import annotations

import math
from collections.abc import Sequence


def q_of(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def minus_log_q(z: float) -> float:
    return math.log1p(math.exp(-z)) if z >= 0 else math.log1p(math.exp(z)) - z


def sample(
    z: Sequence[float], p: Sequence[float], gamma: float, margin: float, anchor: str | float, clamp: bool
) -> float:
    """Eq. A-1 of one sample, term by term; NaN in p: a term that is missing."""
    q = [q_of(x) for x in z]
    true = [a for a, b in zip(q, p, strict=True) if b > 0.5]
    wrong = [a for a, b in zip(q, p, strict=True) if b == 0] or [a for a, b in zip(q, p, strict=True) if b < 0.5]
    rise = fall = 0.0  # exponents
    q_pos = q_neg = math.nan
    if isinstance(anchor, float):
        fall, q_neg = gamma, anchor
    elif true:
        if anchor in ("background", "both"):
            fall, q_neg = gamma, max(true) - margin
        if anchor in ("target", "both") and wrong:
            rise, q_pos = gamma, max(wrong) + margin
        if clamp:
            q_pos, q_neg = min(q_pos, 1.0), max(q_neg, 0.0)
    total = 0.0
    for x, a, b in zip(z, q, p, strict=True):
        if math.isnan(b):
            continue
        up = (1 - a + q_pos) ** rise if rise else 1.0
        down = (1 + a - q_neg) ** fall if fall else 1.0
        total += b * up * minus_log_q(x) + (1 - b) * down * minus_log_q(-x)
    return total


def joint(z: Sequence[float], p: Sequence[float], gamma: float, margin: float) -> list[float]:
    """Eq. 5, the pixels of one joint."""
    best = [q_of(x) for x, b in zip(z, p, strict=True) if b > 0.5]
    losses = []
    for x, b in zip(z, p, strict=True):
        plain = b * minus_log_q(x) + (1 - b) * minus_log_q(-x)
        modulated = b == 0 and best
        losses.append(plain * (1 + q_of(x) - (max(best) - margin)) ** gamma if modulated else plain)
    return losses
