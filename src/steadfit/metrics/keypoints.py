"""Keypoints that are right: PCK, its curve and the area under it.

All of them judge one thing, an error in parts of a length of its own image, `normalised_error`. Their states are sums
and counts, so two halves (or two ranks) merge to the whole. Without any annotated point the result is NaN, with no
warning.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steadfit._checks import floating, no_infinity, positive
from steadfit.metrics.regression import _Mean, _residual

__all__ = [
    "PCK",
    "PCKArea",
    "head_length",
    "normalised_error",
    "pck_curve",
    "torso_length",
]


def torso_length(target: Tensor, shoulder: int, hip: int) -> Tensor:
    """The torso's diagonal, from a shoulder to the hip on the other side.

    L_n = ||y_shoulder - y_hip||₂.

    The length of PCK on LSP (left shoulder and right hip, points 9 and 2 there; alpha = .2) and on FLIC. Sideways it
    shrinks less than the shoulders' distance.

    Args:
        target: ``(N, K, D)`` annotated points, in the user's units; NaN is missing.
        shoulder: index of the one point.
        hip: index of the other.

    Returns:
        ``(N,)`` in the user's units, >= 0; NaN where one of the two is missing.

    Raises:
        TypeError: no floating tensor.
        ValueError: not three axes, infinite targets, or a point that does not exist.

    References:
        Sapp and Taskar, MODEC, CVPR 2013.

    >>> torso_length(torch.tensor([[[0.0, 0.0], [3.0, 4.0]]]), 0, 1).tolist()
    [5.0]
    """
    return _between("torso_length", target, shoulder, hip)


def head_length(target: Tensor, top: int, neck: int, *, factor: float = 1.0) -> Tensor:
    """The head's length, for PCKh.

    L_n = factor·||y_top - y_neck||₂.

    MPII's own PCKh takes .6 of the diagonal of its annotated head rectangle: give the two corners ``(N, 2, D)`` as
    points 0 and 1 with ``factor=0.6``. Data sets without rectangles use head top and neck with factor 1; the two are
    not the same length, so their PCKh do not compare.

    Args:
        target: ``(N, K, D)`` annotated points, in the user's units; NaN is missing.
        top: index of the one point.
        neck: index of the other.
        factor: > 0, multiplies the distance.

    Returns:
        ``(N,)`` in the user's units, >= 0; NaN where one of the two is missing.

    Raises:
        TypeError: no floating tensor, a factor that is no number.
        ValueError: not three axes, infinite targets, a point that does not exist, factor not above zero.

    References:
        Andriluka et al., 2D human pose estimation, CVPR 2014.

    >>> corners = torch.tensor([[[10.0, 10.0], [40.0, 50.0]]], dtype=torch.float64)
    >>> head_length(corners, 0, 1, factor=0.6).tolist()
    [30.0]
    """
    return positive("head_length", "factor", factor) * _between("head_length", target, top, neck)


def normalised_error(prediction: Tensor, target: Tensor, length: float | Tensor) -> Tensor:
    """Euclidean errors in parts of each image's length: what every measure here judges.

    e_nk = ||y_nk - f_nk||₂ / L_n.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        length: L in the same units, > 0; one number or ``(N,)``. NaN: this image has none and is left out.

    Returns:
        ``(N, K)`` without unit, >= 0. NaN: not judged. Infinite: annotated, but the prediction is NaN.

    Raises:
        TypeError: no floating tensors.
        ValueError: different shapes, not three axes, infinite targets, a length that is not above zero.

    >>> normalised_error(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [torch.nan, 1.0]]]), 20.0).tolist()
    [[0.25, nan]]
    """
    return judged_error("normalised_error", prediction, target, length)


def pck_curve(error: Tensor, alphas: Sequence[float] | Tensor, *, per_point: bool = False) -> Tensor:
    """PCK over its threshold.

    PCK(alpha) = mean [ e <= alpha ] over the judged points.

    Args:
        error: ``(N, K)`` of `normalised_error`; NaN is left out.
        alphas: ``(A,)`` thresholds, >= 0, in the same parts of the length.
        per_point: one curve for each point.

    Returns:
        ``(A,)``, or ``(A, K)``, in [0, 1]; NaN where nothing was judged.

    Raises:
        TypeError: no floating tensor.
        ValueError: not two axes, no threshold, or one that is no finite number >= 0.

    >>> pck_curve(torch.tensor([[0.1, 0.3, torch.nan]]), [0.0, 0.1, 0.5]).tolist()
    [0.0, 0.5, 1.0]
    """
    if floating("pck_curve", "error", error).ndim != 2:
        raise ValueError(f"pck_curve: expected error of shape (N, K), got {tuple(error.shape)}. See normalised_error.")
    alpha = torch.as_tensor(alphas, dtype=error.dtype, device=error.device)
    if alpha.ndim != 1 or not len(alpha) or not bool((alpha.isfinite() & (alpha >= 0)).all()):
        raise ValueError(f"pck_curve: expected a row of finite alphas >= 0, got {alpha.tolist()}.")
    dims = 0 if per_point else (0, 1)
    hits = torch.stack([(error <= a).sum(dims) for a in alpha])  # one by one: no (A, N, K) array
    return hits.to(error.dtype) / (~error.isnan()).sum(dims)


class PCK(_Mean):
    """Percentage of correct keypoints, as a share: annotated points within a part of the image's length.

    PCK = mean [ ||y - f||₂ <= alpha·L ].

    ``PCK(0.2)`` with `torso_length` is LSP's measure, ``PCK(0.5)`` with `head_length` is PCKh@.5. The mean is over
    all annotated points, so a point that is seldom annotated counts little; ``points`` gives one share for each.

    Args:
        alpha: part of the length, > 0.
        points: number of points K; then ``compute`` gives one share for each. None: one over all.

    Args of ``update``:
        prediction: ``(B, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is left out.
        length: L in the same units, > 0; one number or ``(B,)``. An image whose length is NaN is left out.

    Returns of ``compute``: a scalar, or ``(K,)``, in [0, 1]; NaN for what was never annotated. A NaN prediction of an
    annotated point is wrong.

    Raises:
        TypeError: no floating tensors, an alpha that is no number.
        ValueError: different shapes, not three axes, infinite targets, alpha or a length not above zero, K not
            ``points``.

    Numerics: the error is divided by the length and compared with alpha, so that 29 of 100 px is within .29.

    References:
        Yang and Ramanan, PAMI 2013 (there the length is the longer side of the joints' box); Sapp and Taskar, CVPR
        2013; Andriluka et al., CVPR 2014; Ryou et al., Anchor loss, ICCV 2019, Tables 4-7.

    >>> metric = PCK(0.2)
    >>> metric.update(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [3.0, 4.1]]]), 25.0)
    >>> float(metric.compute())
    0.5
    """

    higher_is_better = True

    def __init__(self, alpha: float = 0.2, *, points: int | None = None) -> None:
        super().__init__(checked_points("PCK", points))
        self.alpha, self.points = positive("PCK", "alpha", alpha), points

    def update(self, prediction: Tensor, target: Tensor, length: float | Tensor) -> None:
        """Take in a batch."""
        error = judged_error("PCK", prediction, target, length, points=self.points)
        self._add((error <= self.alpha).to(error.dtype), ~error.isnan())


class PCKArea(_Mean):
    """Area under PCK's curve over the thresholds from 0 to alpha, divided by alpha.

    1/alpha ∫₀^alpha PCK(a) da = mean max(0, 1 - e/alpha).

    Each point adds a step to the curve, at its own error e; the area under one step from e to alpha is alpha - e. The
    sum of these is exact: no grid of thresholds, no errors to keep. Evaluation codes that sample the curve and join
    the samples by lines differ from it by no more than half a sampling step over alpha.

    Args:
        alpha: the highest threshold, part of the length, > 0.
        points: number of points K; then ``compute`` gives one area for each. None: one over all.

    Args of ``update``: those of `PCK`.

    Returns of ``compute``: a scalar, or ``(K,)``, in [0, 1]; 1 for errors of zero, NaN for what was never annotated. A
    NaN prediction of an annotated point adds nothing to the area.

    Raises:
        TypeError, ValueError: as `PCK`.

    >>> metric = PCKArea(0.5)
    >>> metric.update(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [30.0, 40.0]]]), 20.0)
    >>> float(metric.compute())  # (1 - .25/.5 + 0)/2
    0.25
    """

    higher_is_better = True

    def __init__(self, alpha: float = 0.5, *, points: int | None = None) -> None:
        super().__init__(checked_points("PCKArea", points))
        self.alpha, self.points = positive("PCKArea", "alpha", alpha), points

    def update(self, prediction: Tensor, target: Tensor, length: float | Tensor) -> None:
        """Take in a batch."""
        error = judged_error("PCKArea", prediction, target, length, points=self.points)
        self._add((1 - error / self.alpha).clamp(min=0), ~error.isnan())


def _between(who: str, target: Tensor, first: int, second: int) -> Tensor:
    if floating(who, "target", target).ndim != 3:
        raise ValueError(f"{who}: expected target of shape (N, K, D), got {tuple(target.shape)}. Reshape it.")
    no_infinity(who, "target", target)
    for point in (first, second):
        if not 0 <= point < target.shape[1]:
            raise ValueError(f"{who}: expected points 0 to {target.shape[1] - 1}, got {point}. Give two of them.")
    distance: Tensor = torch.linalg.vector_norm((target[:, first] - target[:, second]).detach(), dim=-1)
    return distance


def judged_error(
    who: str, prediction: Tensor, target: Tensor, length: float | Tensor, *, points: int | None = None
) -> Tensor:
    """`normalised_error` under the caller's name; ``points`` is the K that the caller's state has."""
    error = torch.linalg.vector_norm(_residual(who, prediction, target), dim=-1)  # (N, K)
    if points not in (None, error.shape[1]):
        raise ValueError(f"{who}: expected {points} points, got {error.shape[1]}. Set points.")
    error = torch.where(error.isnan() & ~target.isnan().any(-1), torch.inf, error)  # annotated, not predicted
    return error / _lengths(who, length, error)


def _lengths(who: str, length: float | Tensor, error: Tensor) -> Tensor:
    """The length as a scalar or (N, 1), checked; NaN stays."""
    dtype = None if isinstance(length, Tensor) else error.dtype
    value = torch.as_tensor(length, dtype=dtype, device=error.device).detach()
    if value.shape not in ((), error.shape[:1]):
        raise ValueError(f"{who}: expected length to be a number or ({len(error)},), got shape {tuple(value.shape)}.")
    bad = ~(value.isnan() | (value.isfinite() & (value > 0)))
    if bool(bad.any()):
        raise ValueError(
            f"{who}: expected length > 0 and finite (NaN leaves an image out), got {int(bad.sum())} of {bad.numel()} "
            f"that are not, the first {float(value[bad][0])}. Set it to NaN where it is unknown."
        )
    return value.unsqueeze(-1) if value.ndim else value


def checked_points(who: str, points: int | None) -> int | None:
    """K of a state for each point, or None for one over all."""
    if points is not None and points < 1:
        raise ValueError(f"{who}: expected points >= 1, got {points}. Give the number of points.")
    return points
