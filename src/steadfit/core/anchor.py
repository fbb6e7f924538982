"""Anchor loss (paper 4): the anchors q* of its modulators, for classes and for heatmaps.

The pure functions here take float32 or float64 logits. ``gap`` is 1 - q* on the background's side and q_pos on the
target's; both come from logits without a subtraction, since 1 - sigmoid(z) = sigmoid(-z).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadfit.core.modulated import Modulator, Pair, mask, one_hot, truncated, two_sided, with_slope
from steadfit.core.predicted import full_precision

DESIGNS = ("background", "target", "both")
CERTAIN = 0.5
"""A label counts as true where p is above this (eq. 4)."""


def anchor_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 0.5,
    margin: float = 0.05,
    anchor: str | float = "background",
    clamp: bool = False,
    term_weight: Tensor | None = None,
) -> Tensor:
    """Anchor loss (eq. A-1), summed over the classes, (B,).

    Args:
        logits: (B, C).
        target: class indices (B,) in 0 ... C - 1, or soft labels (B, C).
        gamma: the modulator's exponent.
        margin: delta.
        anchor: as in :class:`steadfit.losses.AnchorLoss`.
        clamp: whether q_neg and q_pos are kept in [0, 1].
        term_weight: broadcasts to (B, C); None: 1.
    """
    with torch.no_grad():
        sides = modulators(logits.detach(), target, gamma=gamma, margin=margin, anchor=anchor, clamp=clamp)
    return summed_over_classes(logits, target, *sides, term_weight)


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    term_weight: Tensor | None = None,
) -> Tensor:
    """Focal loss (eq. 7), summed over the classes, (B,): anchor loss with q_pos = 0 and q_neg = 1."""
    return summed_over_classes(logits, target, *focal_modulators(gamma, alpha), term_weight)


def focal_modulators(gamma: float, alpha: float | None) -> tuple[Modulator, Modulator]:
    """The modulators (1 - q)^gamma for the target and q^gamma for the background.

    With ``alpha`` they are multiplied by alpha and 1 - alpha.
    """
    rise, fall = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    return Modulator(0.0, gamma, scale=rise), Modulator(0.0, gamma, scale=fall)


def summed_over_classes(
    logits: Tensor,
    target: Tensor,
    on_target: Modulator | None,
    on_background: Modulator | None,
    term_weight: Tensor | None,
) -> Tensor:
    """The losses of the samples, (B,), of one-hot or soft labels."""
    with torch.no_grad():
        terms = two_sided if target.is_floating_point() else one_hot
        loss, slope = terms(logits.detach(), target, on_target, on_background)
        if term_weight is not None:
            loss, slope = loss.mul_(term_weight), slope.mul_(term_weight)
        rows = loss.sum(dim=1)
    return with_slope(logits, rows, slope)


def modulators(
    logits: Tensor, target: Tensor, *, gamma: float, margin: float, anchor: str | float, clamp: bool
) -> tuple[Modulator | None, Modulator | None]:
    """The modulators of the target's and of the background's side (eqs A-2 to A-4), None where there is none."""
    if gamma == 0:
        return None, None
    if not isinstance(anchor, str):
        return None, Modulator(1 - anchor, gamma)

    def side(score: Tensor, plain: Tensor | None) -> Modulator:
        gap = torch.sigmoid(score) + margin  # of -z_t: 1 - q_t + margin
        return Modulator(gap.clamp(max=1) if clamp else gap, gamma, plain)

    best = _soft_best if target.is_floating_point() else _best
    on_target = None if anchor == "background" else side(*best(logits, target, wrong=True))
    score, plain = best(logits, target, wrong=False)
    return on_target, None if anchor == "target" else side(-score, plain)


def _best(logits: Tensor, target: Tensor, *, wrong: bool) -> tuple[Tensor, Tensor | None]:
    """The logit of the true class, or the highest one of the others, (B, 1)."""
    column = target.unsqueeze(1)
    if not wrong:
        return logits.gather(1, column), None
    alone = torch.ones_like(logits) if logits.shape[1] == 1 else None  # a single class has no rival
    return logits.scatter(1, column, -math.inf).amax(dim=1, keepdim=True), alone


def _soft_best(logits: Tensor, target: Tensor, *, wrong: bool) -> tuple[Tensor, Tensor]:
    """The highest logit of the right or of the wrong classes, and which samples have none, (B, 1) each.

    Right is p > 1/2. Wrong is p = 0, and p < 1/2 in a sample without such a class: smoothed labels have none.
    """
    without = mask(torch.le, target.amax(dim=1, keepdim=True), CERTAIN)
    if not wrong:
        return highest(logits, mask(torch.le, target, CERTAIN), dim=1), without
    lowest = target.amin(dim=1, keepdim=True)
    bound = torch.full_like(lowest, torch.finfo(target.dtype).tiny).masked_fill(lowest > 0, CERTAIN)
    without = torch.maximum(without, mask(torch.ge, lowest, bound))
    return highest(logits, mask(torch.ge, target, bound.expand_as(target)), dim=1), without


def highest(logits: Tensor, excluded: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """The largest logit that is not ``excluded``, a mask, which is overwritten."""
    if excluded.dtype == torch.bool:
        return torch.where(excluded, -math.inf, logits).amax(dim=dim, keepdim=True)
    far = torch.finfo(logits.dtype).max
    return torch.add(logits, excluded, alpha=-far, out=excluded).amax(dim=dim, keepdim=True)


def heatmap_terms(logits: Tensor, target: Tensor, peak: Tensor, gamma: float, margin: float) -> Pair:
    """The loss of eq. 5 and its derivative, elementwise, (B, K, H, W); ``peak`` (B, K) is the target's maximum."""
    with torch.no_grad():
        return truncated(logits, target, spatial_modulator(logits, target, peak, gamma, margin))


def heatmap_modulator(logits: Tensor, target: Tensor, gamma: float = 2.0, margin: float = 0.0) -> Tensor:
    """The factor by which eq. 5 exceeds binary cross entropy at each pixel: the maps of the paper's Fig. 7.

    M(p) (1 + q - q*)^gamma + 1 - M(p),  M(p) = 1 where p = 0, q* = max of q where p > 1/2, minus the margin

    Args:
        logits: (B, K, H, W), floating point.
        target: (B, K, H, W), in [0, 1], truncated to exact zeros; NaN counts as 0.
        gamma: >= 0.
        margin: in [0, 1].

    Returns:
        (B, K, H, W), in [0, (2 + margin)^gamma], float32 for half precision, without a gradient; 1 where
        p > 0 and in joints without any p > 1/2.

    References:
        Ryou et al., ICCV 2019, eqs 3-5 and Fig. 7.

    >>> logits = torch.tensor([[[[0.0, 0.0, 20.0]]]])  # q = 1/2 at the joint, 1/2 and 1 elsewhere
    >>> heatmap_modulator(logits, torch.tensor([[[[1.0, 0.0, 0.0]]]]))
    tensor([[[[1.0000, 1.0000, 2.2500]]]])
    """
    with torch.no_grad():
        z = full_precision(logits)
        p = target.to(z.dtype).nan_to_num(nan=0.0)
        modulator = spatial_modulator(z, p, p.amax(dim=(2, 3)), gamma, margin)
        return torch.ones_like(z) if modulator is None else modulator.factor(torch.sigmoid(z))


def spatial_modulator(logits: Tensor, target: Tensor, peak: Tensor, gamma: float, margin: float) -> Modulator | None:
    """The modulator of eqs 3-4: an anchor for each joint, and where it is 1."""
    if gamma == 0:
        return None
    room = mask(torch.le, target, CERTAIN)
    best = highest(logits, room, dim=(2, 3))
    threshold = -(peak <= CERTAIN).to(logits.dtype)[..., None, None]  # -1 without an anchor, below everything
    return Modulator(torch.sigmoid(-best) + margin, gamma, mask(torch.gt, target, threshold, out=room))
