"""Confusions: left taken for right, and heatmaps with several peaks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steadfit._checks import positive, same_shape
from steadfit.metrics.keypoints import judged_error

__all__ = ["double_counts", "swaps"]

Pairs = Sequence[tuple[int, int]]


def swaps(prediction: Tensor, target: Tensor, length: float | Tensor, pairs: Pairs, *, alpha: float = 0.2) -> Tensor:
    """Left taken for right: wrong for the point itself, right for its partner; the mean is the rate of swaps.

    swap = [ ||y_k - f_k||₂ > alpha·L  and  ||y_k' - f_k||₂ <= alpha·L ], k' the partner of k.

    A swapped prediction is nearer to the partner's annotation than to its own. Other wrong points missed the
    body part altogether. Ronchi and Perona call this error of one person an inversion, and keep "swap" for the parts
    of two persons.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        length: L in the same units, > 0; one number or ``(N,)``. NaN where an image has none; it is left out.
        pairs: left and right points, as indices; a point in at most one pair.
        alpha: part of the length within which a point is right, > 0.

    Returns:
        ``(N, K)``: 1 swapped, 0 not, NaN where the point or its partner is not annotated, or it has no partner.

    Raises:
        TypeError: tensors that are not floating, an alpha that is not a number.
        ValueError: different shapes, not three axes, infinite targets, alpha or a length not above zero, pairs of
            points that do not exist or are in two pairs.

    References:
        Ronchi and Perona, Benchmarking and error diagnosis, ICCV 2017 (localisation errors).

    >>> target = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]])
    >>> swaps(torch.tensor([[[9.0, 0.0], [5.0, 0.0]]]), target, 10.0, [(0, 1)]).tolist()
    [[1.0, 0.0]]
    """
    limit = positive("swaps", "alpha", alpha)
    own = judged_error("swaps", prediction, target, length)
    partner = _partners("swaps", pairs, own.shape[1]).to(own.device)  # (K,), itself without a partner
    other = judged_error("swaps", prediction, target[:, partner], length)
    alone = partner == torch.arange(len(partner), device=own.device)
    found = (own > limit) & (other <= limit)
    return found.to(own.dtype).masked_fill(own.isnan() | other.isnan() | alone, torch.nan)


def double_counts(counts: Tensor, right: Tensor, known: Tensor | None = None) -> Tensor:
    """Heatmaps with several peaks, and those among them whose highest peak is right nevertheless.

    double = [ peaks > 1 ], double_right = [ right ] of these. The means over the heatmaps are the two shares.

    A network that cannot distinguish left from right raises a peak on both; the loss decides which one becomes the
    higher.

    Args:
        counts: ``(N, K)`` whole numbers, the peaks of each heatmap.
        right: ``(N, K)`` boolean: the prediction is within PCK's threshold.
        known: ``(N, K)`` boolean: annotated. None: all.

    Returns:
        ``(N, K, 2)`` in the default dtype, double and double_right: 1 yes, 0 no. NaN where the point is not annotated;
        double_right is NaN for heatmaps with one peak, too.

    Raises:
        TypeError: counts that are not whole numbers, masks that are not boolean.
        ValueError: different shapes.

    References:
        Ryou et al., Anchor loss, ICCV 2019, Double-counting.

    >>> found = double_counts(torch.tensor([[1, 2, 3, 1]]), torch.tensor([[True, True, False, False]]))
    >>> found.nanmean((0, 1)).tolist()
    [0.5, 0.5]
    """
    known = torch.ones_like(right) if known is None else known
    _check_counts(counts, right, known)
    double = counts > 1
    value = torch.stack([double, right], dim=-1).to(torch.get_default_dtype())
    return value.masked_fill(torch.stack([~known, ~(known & double)], dim=-1), torch.nan)


def _partners(who: str, pairs: Pairs, points: int) -> Tensor:
    ends = [end for pair in pairs for end in pair]
    if any(not 0 <= end < points for end in ends) or len(set(ends)) < len(ends):
        raise ValueError(
            f"{who}: expected each of the points 0 to {points - 1} in at most one pair, got {list(pairs)}."
        )
    order = torch.arange(points)
    for left, right in pairs:
        order[left], order[right] = right, left
    return order


def _check_counts(counts: Tensor, right: Tensor, known: Tensor) -> None:
    if counts.is_floating_point() or counts.dtype == torch.bool:
        raise TypeError(f"double_counts: expected counts to be whole numbers, got {counts.dtype}. Call .long() on it.")
    for name, mask in (("right", right), ("known", known)):
        if mask.dtype != torch.bool:
            raise TypeError(f"double_counts: expected {name} to be boolean, got {mask.dtype}. Compare it first.")
        same_shape("double_counts", "counts", counts, name, mask)
