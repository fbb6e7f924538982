"""Focal loss for classes and for heatmaps."""

from __future__ import annotations

from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.anchor import focal_loss, focal_modulators
from steadfit.core.modulated import Pair, two_sided
from steadfit.losses.heatmap import heatmap_loss
from steadfit.losses.labels import checked_class_weight, not_negative, prepared
from steadfit.losses.reduction import REDUCTIONS, reduce


class FocalLoss(nn.Module):
    r"""Binary cross entropy with easy classes and pixels suppressed, whatever the other ones score.

    -[p (1 - q)^gamma log q + (1 - p) q^gamma log(1 - q)],  q = sigmoid(z)

    Anchor loss with the static anchors q_pos = 0 and q_neg = 1 (q* = 1 - p).

    Args:
        gamma: >= 0; 0 is binary cross entropy.
        reduction: ``"mean"`` (sum of w l over sum of w), ``"sum"`` or ``"none"``.
        alpha: in [0, 1], multiplies the term of p, and 1 - alpha that of 1 - p.
        class_weight: (C,), >= 0, multiplies the term of each class; not for heatmaps.

    Call:
        logits: (B, C), or (B, K, H, W) for heatmaps.
        target: class indices (B,) or soft labels (B, C), as in :class:`steadfit.losses.AnchorLoss`, or heatmaps
            (B, K, H, W), as in :class:`steadfit.losses.HeatmapAnchorLoss`.
        weight: >= 0, as in these classes; None: 1.
        visible: (B, K), bool, for heatmaps only.

    Returns:
        A scalar in nats; for ``"none"`` a loss per sample, summed over the classes, or per pixel.

    Raises:
        TypeError: as these classes.
        ValueError: as these classes; ``visible`` with logits (B, C).

    Numerics:
        As :class:`steadfit.losses.AnchorLoss`.

    References:
        Lin et al., ICCV 2017, eqs 4, 5.
        Ryou et al., ICCV 2019, eqs 7, 10-12 (11 corrected).

    >>> import torch
    >>> FocalLoss(gamma=1.0)(torch.zeros(1, 2), torch.tensor([0]))  # log 2
    tensor(0.6931)
    """

    class_weight: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        reduction: str = "mean",
        *,
        alpha: float | None = None,
        class_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        _checks.one_of("FocalLoss", "reduction", reduction, REDUCTIONS)
        self.gamma, self.reduction = not_negative("FocalLoss", "gamma", gamma), reduction
        self.alpha = None if alpha is None else _checks.between("FocalLoss", "alpha", alpha, 0.0, 1.0)
        self.register_buffer("class_weight", checked_class_weight("FocalLoss", class_weight))

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None, *, visible: Tensor | None = None
    ) -> Tensor:
        if logits.dim() == 4:
            return self._heatmaps(logits, target, weight, visible)
        if visible is not None:
            raise ValueError("FocalLoss: expected visible with heatmaps only, got it with class scores. Use weight.")
        batch = prepared("FocalLoss", logits, target, weight, self.class_weight)
        rows = focal_loss(batch.logits, batch.labels, gamma=self.gamma, alpha=self.alpha, term_weight=batch.term_weight)
        return reduce(rows, weight, self.reduction, batch.present)

    def _heatmaps(self, logits: Tensor, target: Tensor, weight: Tensor | None, visible: Tensor | None) -> Tensor:
        if self.class_weight is not None:
            raise ValueError("FocalLoss: expected class_weight with class scores only, got it with heatmaps.")
        sides = focal_modulators(self.gamma, self.alpha)

        def terms(z: Tensor, p: Tensor, _peak: Tensor) -> Pair:
            return two_sided(z, p, *sides)

        return heatmap_loss("FocalLoss", terms, logits, target, weight, visible, self.reduction)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}, alpha={self.alpha}, reduction={self.reduction!r}"
