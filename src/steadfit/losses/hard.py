"""Hard mining: only the samples or joints with the largest losses count."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.modulated import with_slope
from steadfit.losses.heatmap import checked_maps, evaluated, squared
from steadfit.losses.reduction import REDUCTIONS, reduce
from steadfit.losses.softmax import softmax_rows


class OHEMLoss(nn.Module):
    """Softmax cross entropy of the hardest samples of a batch; the others add neither loss nor gradient.

    Args:
        keep: in (0, 1], the share of the annotated samples that count, rounded up: at least one.
        reduction: ``"mean"`` over those kept (sum of w l over sum of w), ``"sum"`` or ``"none"``, (B,) with zeros for
            the others.

    Call:
        logits: (B, C).
        target: class indices (B,) or soft labels (B, C), as in :class:`steadfit.losses.CrossEntropyLoss`.
        weight: >= 0, broadcasts to (B,). The largest w l are kept, and samples of weight 0 are not counted.

    Returns:
        A scalar in nats, or (B,) for ``"none"``. Of equal losses the first are kept.

    Raises:
        TypeError: as :class:`steadfit.losses.AnchorLoss`.
        ValueError: as :class:`steadfit.losses.AnchorLoss`; keep outside (0, 1].

    References:
        Shrivastava et al., CVPR 2016.
        Ryou et al., ICCV 2019, section 4.1 (rho = keep).

    >>> logits = torch.tensor([[0.0, 0.0], [9.0, 0.0]])
    >>> OHEMLoss(keep=0.5)(logits, torch.tensor([0, 0]))  # the first sample alone: log 2
    tensor(0.6931)
    """

    def __init__(self, keep: float = 0.8, reduction: str = "mean") -> None:
        super().__init__()
        _checks.one_of("OHEMLoss", "reduction", reduction, REDUCTIONS)
        self.keep, self.reduction = _share("OHEMLoss", keep), reduction

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        rows, present = softmax_rows("OHEMLoss", logits, target, weight)
        kept = hardest(rows, weight, present, self.keep)
        return reduce(rows, weight, self.reduction, kept)

    def extra_repr(self) -> str:
        return f"keep={self.keep}, reduction={self.reduction!r}"


class OHKMLoss(nn.Module):
    """Mean squared error of the heatmaps of each sample's hardest joints.

    Args:
        keep: in (0, 1], the share of a sample's visible joints that count, rounded up: at least one.
        reduction: ``"mean"`` over the joints kept (sum of w l over sum of w, l the mean over the pixels), ``"sum"`` or
            ``"none"``, (B, K) with zeros for the others.

    Call:
        logits: the network's output (B, K, H, W).
        target: (B, K, H, W), as in :class:`steadfit.losses.HeatmapMSELoss`.
        weight: (B, K), >= 0, one per joint. The largest w l are kept, and joints of weight 0 are not counted.
        visible: (B, K), bool, as in :class:`steadfit.losses.HeatmapMSELoss`.

    Returns:
        A scalar, or (B, K) for ``"none"``; heights of heatmaps, squared, have no unit.

    Raises:
        TypeError: as :class:`steadfit.losses.HeatmapAnchorLoss`.
        ValueError: as :class:`steadfit.losses.HeatmapAnchorLoss`; keep outside (0, 1], weights for pixels.

    References:
        Chen et al., CVPR 2018, section 3.2 (8 of 17 joints).

    >>> target = torch.tensor([1.0, 0.5]).view(1, 2, 1, 1)
    >>> OHKMLoss(keep=0.5)(torch.zeros(1, 2, 1, 1), target)  # the first joint alone
    tensor(1.)
    """

    def __init__(self, keep: float = 0.5, reduction: str = "mean") -> None:
        super().__init__()
        _checks.one_of("OHKMLoss", "reduction", reduction, REDUCTIONS)
        self.keep, self.reduction = _share("OHKMLoss", keep), reduction

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None, *, visible: Tensor | None = None
    ) -> Tensor:
        if weight is not None and weight.dim() != 2:
            raise ValueError(f"OHKMLoss: expected weight (B, K), one a joint, got {tuple(weight.shape)}.")
        maps = checked_maps("OHKMLoss", logits, target, visible, weight)
        loss, slope = evaluated(squared, maps)
        pixels = loss.shape[2] * loss.shape[3]
        joints = with_slope(maps.output, loss.mean(dim=(2, 3)), slope / pixels)
        present = torch.ones_like(joints, dtype=torch.bool) if maps.present is None else maps.present
        return reduce(joints, weight, self.reduction, hardest(joints, weight, present, self.keep))

    def extra_repr(self) -> str:
        return f"keep={self.keep}, reduction={self.reduction!r}"


@torch.no_grad()
def hardest(loss: Tensor, weight: Tensor | None, present: Tensor, keep: float) -> Tensor:
    """Which of the present losses along the last axis are among the share ``keep`` with the largest w l."""
    score = loss if weight is None else loss * weight
    order = torch.where(present, score, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
    count = present.sum(dim=-1, keepdim=True, dtype=torch.float64)
    quota = torch.ceil(count * keep - 1e-9)  # .55 of 100 is 55, not 56
    return present & (rank < quota)


def _share(who: str, keep: float) -> float:
    if not 0 < _checks.number(who, "keep", keep) <= 1:
        raise ValueError(f"{who}: expected 0 < keep <= 1, got {keep}.")
    return float(keep)
