"""Anchor loss for classification."""

from __future__ import annotations

from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.anchor import DESIGNS, anchor_loss
from steadfit.losses.labels import checked_class_weight, not_negative, prepared
from steadfit.losses.reduction import REDUCTIONS, reduce


class AnchorLoss(nn.Module):
    r"""Binary cross entropy that counts more where a wrong class scores above the right one.

    -sum_k [p_k (1 - q_k + q_pos)^gamma_t log q_k + (1 - p_k) (1 + q_k - q_neg)^gamma_b log(1 - q_k)],  q = sigmoid(z)

    Easy classes (q below the anchor) are suppressed and confusions amplified, relative to each sample's scores. The
    anchors are constants in backpropagation, q in the modulator is not.

    For soft labels q_t is the highest q of the classes with p > 1/2 (as in eq. 4). The wrong classes of q_pos are those
    with p = 0, or, in a sample without any (smoothed labels), those with p < 1/2. A sample without a class above 1/2 is
    not modulated (except by a static q*), nor is the target's side where no class is wrong.

    Args:
        gamma: >= 0, the modulator's exponent; 0 is binary cross entropy.
        margin: delta in [0, 1]: wrong classes less than delta below the right one count as confused.
        anchor: ``"background"`` (design ii: q_neg = q_t - margin, gamma_t = 0), ``"target"`` (design i: q_pos = the
            highest wrong score + margin, gamma_b = 0), ``"both"`` (iii), or a number q* in [0, 1]: a static q_neg,
            without margin.
        clamp: whether q_neg and q_pos are kept in [0, 1].
        reduction: ``"mean"`` (sum of w l over sum of w), ``"sum"`` or ``"none"``; l is the sum over the classes.
        class_weight: (C,), >= 0, multiplies the term of each class.

    Call:
        logits: (B, C).
        target: class indices (B,), where -100 means "not annotated", or soft or multi-label p (B, C) in [0, 1], where
            NaN leaves that class of that sample out.
        weight: >= 0, broadcasts to (B,); None: 1.

    Returns:
        A scalar in nats, or (B,) for ``"none"``.

    Raises:
        TypeError: logits that are not a floating-point tensor.
        ValueError: other shapes, indices outside 0 ... C - 1, p outside [0, 1], negative weights. Values are not
            checked under torch.compile.

    Numerics:
        Half-precision logits are computed in float32, the dtype of the loss. Value and gradient are finite for every
        finite logit: 1 + q - q* = sigmoid(z) + sigmoid(-z_t) + margin neither cancels nor falls below 0, and for gamma
        < 1 the gradient at 0 is its limit, 0. Terms end at the root of the dtype's largest number (1.8e19 in float32).
        There is one derivative; a second one raises RuntimeError.

    References:
        Ryou et al., ICCV 2019, eqs 1, 2, 13, 14; the designs by eqs A-1 to A-4 (q_pos with our margin).

    >>> import torch
    >>> AnchorLoss(gamma=1.0, margin=0.0)(torch.zeros(1, 2), torch.tensor([0]))  # all q = q* = 1/2: 2 log 2
    tensor(1.3863)
    """

    class_weight: Tensor | None

    def __init__(
        self,
        gamma: float = 0.5,
        margin: float = 0.05,
        anchor: str | float = "background",
        clamp: bool = False,
        reduction: str = "mean",
        *,
        class_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        _checks.one_of("AnchorLoss", "reduction", reduction, REDUCTIONS)
        self.gamma = not_negative("AnchorLoss", "gamma", gamma)
        self.margin = _checks.between("AnchorLoss", "margin", margin, 0.0, 1.0)
        self.anchor, self.clamp, self.reduction = _anchor(anchor), bool(clamp), reduction
        self.register_buffer("class_weight", checked_class_weight("AnchorLoss", class_weight))

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        batch = prepared("AnchorLoss", logits, target, weight, self.class_weight)
        rows = anchor_loss(
            batch.logits,
            batch.labels,
            gamma=self.gamma,
            margin=self.margin,
            anchor=self.anchor,
            clamp=self.clamp,
            term_weight=batch.term_weight,
        )
        return reduce(rows, weight, self.reduction, batch.present)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}, margin={self.margin}, anchor={self.anchor!r}, clamp={self.clamp}"


def _anchor(anchor: str | float) -> str | float:
    if isinstance(anchor, str):
        _checks.one_of("AnchorLoss", "anchor (if not a number)", anchor, DESIGNS)
        return anchor
    return _checks.between("AnchorLoss", "anchor", anchor, 0.0, 1.0)
