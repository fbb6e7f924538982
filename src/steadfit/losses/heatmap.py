"""Losses of heatmaps (B, K, H, W): one frame for masks, weights and reductions, and one function per loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.anchor import heatmap_terms
from steadfit.core.modulated import Pair, largest, with_slope
from steadfit.core.predicted import full_precision
from steadfit.losses.labels import not_negative
from steadfit.losses.reduction import REDUCTIONS, check_fits, check_weight, masked, reduce

Terms = Callable[[Tensor, Tensor, Tensor], Pair]
"""From output, target (B, K, H, W) and the target's peaks (B, K) to elementwise losses and derivatives."""


class HeatmapAnchorLoss(nn.Module):
    r"""Binary cross entropy of heatmaps that counts more where anything but the joint scores above the joint.

    [M(p) (1 + q - q*)^gamma + 1 - M(p)] BCE(p, q),  M(p) = 1 where p = 0,  q* = max of q where p > 1/2, minus margin

    A left wrist that looks like the right one raises the loss at exactly that place. q* is a constant in
    backpropagation, q in the modulator is not.

    Args:
        gamma: >= 0; 0 is binary cross entropy.
        margin: in [0, 1].
        reduction: ``"mean"`` over all pixels of the visible joints (sum of w l over sum of w), ``"sum"`` or ``"none"``.

    Call:
        logits: (B, K, H, W).
        target: (B, K, H, W), in [0, 1] and truncated to exact zeros (a Gaussian at 3 sigma). A joint whose target is
            zero everywhere or has a NaN is left out. One without a pixel above 1/2 has no anchor: plain cross entropy.
        weight: >= 0, (B, K), one per joint, or broadcasts to (B, K, H, W); None: 1.
        visible: (B, K), bool, False for joints that are left out; None: all are visible.

    Returns:
        A scalar in nats, or (B, K, H, W) for ``"none"``.

    Raises:
        TypeError: tensors that are not of a floating dtype.
        ValueError: unequal shapes, targets outside [0, 1], negative weights. Values are not checked under
            torch.compile.
            at.

    Numerics:
        As :class:`steadfit.losses.AnchorLoss`. The value of a pixel with p > 0 is exact to a few roundings of
        max(1, \|z\|).

    References:
        Ryou et al., ICCV 2019, eqs 3-5, 14.

    >>> target = torch.zeros(1, 1, 1, 3)
    >>> target[..., 0] = 1.0
    >>> loss = HeatmapAnchorLoss()(torch.zeros(1, 1, 1, 3), target)  # all q = q* = 1/2: log 2
    >>> round(loss.item(), 4)
    0.6931
    """

    def __init__(self, gamma: float = 2.0, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__()
        _checks.one_of("HeatmapAnchorLoss", "reduction", reduction, REDUCTIONS)
        self.gamma = not_negative("HeatmapAnchorLoss", "gamma", gamma)
        self.margin = _checks.between("HeatmapAnchorLoss", "margin", margin, 0.0, 1.0)
        self.reduction = reduction

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None, *, visible: Tensor | None = None
    ) -> Tensor:
        def terms(z: Tensor, p: Tensor, peak: Tensor) -> Pair:
            return heatmap_terms(z, p, peak, self.gamma, self.margin)

        return heatmap_loss("HeatmapAnchorLoss", terms, logits, target, weight, visible, self.reduction)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}, margin={self.margin}, reduction={self.reduction!r}"


class HeatmapMSELoss(nn.Module):
    """(output - target)^2 at every pixel, without a sigmoid, as stacked hourglass networks were trained at first.

    Args:
        reduction: as :class:`HeatmapAnchorLoss`.

    Call:
        logits: the network's output (B, K, H, W).
        target: as :class:`HeatmapAnchorLoss`.
        weight: as :class:`HeatmapAnchorLoss`.
        visible: as :class:`HeatmapAnchorLoss`.

    Returns:
        As :class:`HeatmapAnchorLoss`, but without unit: heights of heatmaps, squared.

    Raises:
        TypeError: as :class:`HeatmapAnchorLoss`.
        ValueError: as :class:`HeatmapAnchorLoss`.

    Numerics:
        Half precision is computed in float32; outputs end at the fourth root of the dtype's largest number (4.3e9 in
        float32), where the slope is cut off, too.

    References:
        Newell et al., ECCV 2016, section 3.2.

    >>> HeatmapMSELoss()(torch.zeros(1, 1, 1, 4), torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]]))
    tensor(0.2500)
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        _checks.one_of("HeatmapMSELoss", "reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None, *, visible: Tensor | None = None
    ) -> Tensor:
        return heatmap_loss("HeatmapMSELoss", squared, logits, target, weight, visible, self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


def squared(output: Tensor, target: Tensor, _peak: Tensor) -> Pair:
    """(y - p)^2 and 2 (y - p)."""
    cut = math.sqrt(largest(output.dtype))
    difference = output.clamp(-cut, cut).sub_(target)
    return difference.square(), difference.mul_(2)


def heatmap_loss(
    who: str, terms: Terms, output: Tensor, target: Tensor, weight: Tensor | None, visible: Tensor | None, kind: str
) -> Tensor:
    """The reduction ``kind`` of a loss given by its elementwise ``terms``."""
    maps = checked_maps(who, output, target, visible, weight)
    weight = maps.weight
    loss, slope = evaluated(terms, maps)
    cut = largest(loss.dtype)  # of a pixel or a joint; the least is 0 up to roundings
    if kind == "none" or (weight is not None and weight.dim() == 4):
        lifted = weight[..., None, None] if weight is not None and weight.dim() == 2 else weight
        present = None if maps.present is None else maps.present[..., None, None]
        return reduce(with_slope(maps.output, loss.clamp(0, cut), slope), lifted, kind, present)
    joints = with_slope(maps.output, loss.sum(dim=(2, 3)).clamp(0, cut), slope)
    total = reduce(joints, weight, kind, maps.present)
    return total / (output.shape[2] * output.shape[3]) if kind == "mean" else total


@torch.no_grad()
def evaluated(terms: Terms, maps: Maps) -> Pair:
    """The terms and their derivatives, without a graph, and 0 in joints that don't count.

    Joints don't depend on each other, so it is enough to empty those afterwards; emptying the output would cost a copy.
    """
    loss, slope = terms(maps.output.detach(), maps.target.detach(), maps.peak.detach())
    if maps.present is None:
        return loss, slope
    present = maps.present.expand(slope.shape[:2])
    if _checks.hidden():
        return loss, masked(slope, present[..., None, None])
    slope[(~present).nonzero(as_tuple=True)] = 0.0  # touches these joints alone
    return loss, slope


@dataclass(frozen=True)
class Maps:
    """What :func:`checked_maps` makes of a call's arguments."""

    output: Tensor  # (B, K, H, W), float32 or float64
    target: Tensor  # (B, K, H, W), without NaN
    peak: Tensor  # (B, K): the target's largest value, NaN where it has one
    present: Tensor | None  # (B, K) bool: the joints that count; None: all
    weight: Tensor | None  # (B, K), or four axes for one per pixel


def checked_maps(
    who: str, output: Tensor, target: Tensor, visible: Tensor | None, weight: Tensor | None = None
) -> Maps:
    """The arguments, checked and without holes. Values are not checked while compiling or vmapping."""
    _checks.floating(who, "logits", output)
    _checks.floating(who, "target", target)
    _checks.same_shape(who, "logits", output, "target", target)
    if output.dim() != 4 or 0 in output.shape[2:]:
        raise ValueError(f"{who}: expected heatmaps (B, K, H, W) with at least a pixel, got {tuple(output.shape)}.")
    z = full_precision(output)
    p = target.to(z.dtype)
    peak = p.amax(dim=(2, 3))
    lowest, dimmest, brightest = _extremes(p, peak)
    if math.isnan(lowest):
        p = p.nan_to_num(nan=0.0)
        if not _checks.hidden():
            lowest, _, brightest = _extremes(p, p.amax(dim=(2, 3)))
    for value in (lowest, brightest):
        if value < 0 or value > 1:
            raise ValueError(f"{who}: expected target in [0, 1], got {value}.")
    present = None if dimmest > 0 else peak > 0  # False for NaN
    if visible is not None:
        check_fits(who, "visible", visible, peak.shape)
        present = visible.bool() if present is None else present & visible.bool()
    weight = joint_weight(who, weight, output.shape)
    if weight is not None and (_checks.hidden() or bool((weight == 0).any())):
        z, present = _without_zeros(z, weight, present)
    return Maps(z, p, peak, present, weight)


def _without_zeros(output: Tensor, weight: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The output and the joints that count, without those of weight 0: joints, or pixels that are NaN or infinite.

    A pixel of weight 0 is a rival like any other where its score is finite.
    """
    if weight.dim() == 2:
        return output, weight != 0 if present is None else present & (weight != 0)
    return torch.where((weight != 0) | output.isfinite(), output, -largest(output.dtype)), present


def _extremes(target: Tensor, peak: Tensor) -> tuple[float, float, float]:
    """The smallest value, the lowest and the highest peak, in one transfer; NaN where not known."""
    if _checks.hidden() or not target.numel():
        return math.nan, math.nan, math.nan
    lowest, dimmest, brightest = torch.stack([target.amin(), peak.amin(), peak.amax()]).tolist()
    return lowest, dimmest, brightest


def joint_weight(who: str, weight: Tensor | None, shape: torch.Size) -> Tensor | None:
    """The weight with two axes for one per joint, or with four for one per pixel."""
    if weight is None:
        return None
    check_weight(who, weight, shape[:2] if weight.dim() == 2 else shape)
    return weight if weight.dim() == 2 else weight.reshape((1,) * (4 - weight.dim()) + weight.shape)
