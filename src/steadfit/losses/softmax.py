"""Softmax cross entropy under the rules of the other losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from steadfit import _checks
from steadfit.core.modulated import largest
from steadfit.losses.labels import prepared
from steadfit.losses.reduction import REDUCTIONS, reduce


class CrossEntropyLoss(nn.Module):
    """Softmax cross entropy, -log softmax(z)_t, with the weight rule of the other losses.

    Args:
        reduction: ``"mean"`` (sum of w l over sum of w), ``"sum"`` or ``"none"``.

    Call:
        logits: (B, C).
        target: as :class:`AnchorLoss`: class indices (B,) with -100 for "not annotated", or soft labels (B, C), where a
            NaN leaves the sample out.
        weight: >= 0, broadcasts to (B,); None: 1.

    Returns:
        A scalar in nats, or (B,) for ``"none"``.

    Raises:
        TypeError: as :class:`AnchorLoss`.
        ValueError: as :class:`AnchorLoss`.

    Numerics:
        Half precision is computed in float32; logits end at the root of the dtype's largest number.

    >>> import torch
    >>> CrossEntropyLoss()(torch.zeros(1, 2), torch.tensor([0]))  # log 2
    tensor(0.6931)
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        _checks.one_of("CrossEntropyLoss", "reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        rows, present = softmax_rows("CrossEntropyLoss", logits, target, weight)
        return reduce(rows, weight, self.reduction, present)


def softmax_rows(who: str, logits: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Softmax cross entropies (B,) and which samples count, (B,)."""
    batch = prepared(who, logits, target, weight, whole=True)
    cut = largest(batch.logits.dtype)
    rows = functional.cross_entropy(batch.logits.clamp(-cut, cut), batch.labels, reduction="none")
    return rows, torch.ones_like(rows, dtype=torch.bool) if batch.present is None else batch.present
