"""How keypoints are confused: left taken for right, and heatmaps with several peaks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from steadfit._checks import positive, same_shape
from steadfit.metrics.keypoints import checked_points, judged_error
from steadfit.metrics.regression import _Mean

__all__ = ["DoubleCounts", "SwapRate", "swapped"]

Pairs = Sequence[tuple[int, int]]


def swapped(prediction: Tensor, target: Tensor, length: float | Tensor, pairs: Pairs, *, alpha: float = 0.2) -> Tensor:
    """Left taken for right: wrong for the point itself, right for its partner.

    [ ||y_k - f_k||₂ > alpha·L  and  ||y_k' - f_k||₂ <= alpha·L ], k' the partner of k.

    It implies that the prediction is nearer to the partner's annotation than to its own. Other wrong points missed the
    body part altogether. Ronchi and Perona call this error of one person an inversion, and keep "swap" for the parts
    of two persons.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        length: L in the same units, > 0; one number or ``(N,)``. NaN: nothing in this image is swapped.
        pairs: left and right points, as indices; a point in at most one pair.
        alpha: part of the length within which a point is right, > 0.

    Returns:
        ``(N, K)`` boolean; false where the point or its partner is not annotated.

    Raises:
        TypeError: no floating tensors, an alpha that is no number.
        ValueError: different shapes, not three axes, infinite targets, alpha or a length not above zero, pairs of
            points that do not exist or are in two pairs.

    References:
        Ronchi and Perona, Benchmarking and error diagnosis, ICCV 2017 (localisation errors).

    >>> target = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]])
    >>> swapped(torch.tensor([[[9.0, 0.0], [5.0, 0.0]]]), target, 10.0, [(0, 1)]).tolist()
    [[True, False]]
    """
    return _swaps("swapped", prediction, target, length, pairs, positive("swapped", "alpha", alpha))[0]


class SwapRate(_Mean):
    """Share of the paired points that `swapped` finds.

    Judged is a point that is annotated together with its partner, in an image that has a length.

    Args:
        pairs: left and right points, as indices; a point in at most one pair.
        alpha: part of the length within which a point is right, > 0.
        points: number of points K; then ``compute`` gives one share for each. None: one over all.

    Args of ``update``: those of `PCK`.

    Returns of ``compute``: a scalar, or ``(K,)``, in [0, 1]; NaN where nothing was judged, so for a point without a
    partner.

    Raises:
        TypeError, ValueError: as `swapped`; ValueError for K not ``points``.

    >>> metric = SwapRate([(0, 1)])
    >>> metric.update(torch.tensor([[[9.0, 0.0], [5.0, 0.0]]]), torch.tensor([[[0.0, 0.0], [10.0, 0.0]]]), 10.0)
    >>> float(metric.compute())
    0.5
    """

    def __init__(self, pairs: Pairs, alpha: float = 0.2, *, points: int | None = None) -> None:
        super().__init__(checked_points("SwapRate", points))
        self.pairs, self.alpha, self.points = tuple(pairs), positive("SwapRate", "alpha", alpha), points

    def update(self, prediction: Tensor, target: Tensor, length: float | Tensor) -> None:
        """Take in a batch."""
        found, judged = _swaps("SwapRate", prediction, target, length, self.pairs, self.alpha, points=self.points)
        self._add(found.to(self.total.dtype), judged)


class DoubleCounts(Metric):
    """How often a heatmap has several peaks, and how often its highest one is right all the same.

    double = mean [ peaks > 1 ], double_right = mean [ right ] over those.

    A network that cannot tell left from right raises a peak on both; the loss decides which one becomes the higher.

    Args of ``update``:
        counts: ``(B, K)`` whole numbers, the peaks of each heatmap.
        right: ``(B, K)`` boolean: the prediction is within PCK's threshold.
        known: ``(B, K)`` boolean: annotated. The others are left out. None: all.

    Returns of ``compute``: a dict of two scalars in [0, 1], ready for ``log_dict``: ``double``, NaN without any
    annotated point, and ``double_right``, NaN without any double count.

    Raises:
        TypeError: counts that are no whole numbers, masks that are not boolean.
        ValueError: different shapes.

    References:
        Ryou et al., Anchor loss, ICCV 2019, Double-counting.

    >>> metric = DoubleCounts()
    >>> metric.update(torch.tensor([[1, 2, 3, 1]]), torch.tensor([[True, True, False, False]]))
    >>> {name: float(value) for name, value in metric.compute().items()}
    {'double': 0.5, 'double_right': 0.5}
    """

    is_differentiable = False
    full_state_update = False
    several: Tensor
    several_right: Tensor
    points: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("several", "several_right", "points"):
            self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, counts: Tensor, right: Tensor, known: Tensor | None = None) -> None:
        """Take in a batch."""
        known = torch.ones_like(right) if known is None else known
        _check_counts(counts, right, known)
        double = (counts > 1) & known
        self.several += double.sum()
        self.several_right += (double & right).sum()
        self.points += known.sum()

    def compute(self) -> dict[str, Tensor]:
        """The shares of everything seen."""
        return {"double": self.several / self.points, "double_right": self.several_right / self.several}


def _swaps(
    who: str, prediction: Tensor, target: Tensor, length: float | Tensor, pairs: Pairs, alpha: float,
    *, points: int | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Found and judged, both (N, K)."""
    own = judged_error(who, prediction, target, length, points=points)
    partner = _partners(who, pairs, own.shape[1]).to(own.device)  # (K,), itself without a partner
    other = judged_error(who, prediction, target[:, partner], length)
    paired = partner != torch.arange(len(partner), device=own.device)
    return (own > alpha) & (other <= alpha), ~(own.isnan() | other.isnan()) & paired


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
        raise TypeError(f"DoubleCounts: expected counts to be whole numbers, got {counts.dtype}. Call .long() on it.")
    for name, mask in (("right", right), ("known", known)):
        if mask.dtype != torch.bool:
            raise TypeError(f"DoubleCounts: expected {name} to be boolean, got {mask.dtype}. Compare it first.")
        same_shape("DoubleCounts", "counts", counts, name, mask)
