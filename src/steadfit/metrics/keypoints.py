"""Correct keypoints: PCK, the area under its curve, failures, the curve itself.

All of them judge `normalised_error`, an error as a part of a length of its image: NaN is not judged, infinite is
annotated but not predicted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steadfit._checks import floating, no_infinity, positive
from steadfit.metrics.regression import distance

__all__ = ["failure", "head_length", "normalised_error", "pck", "pck_area", "pck_curve", "torso_length"]


def torso_length(target: Tensor, shoulder: int, hip: int) -> Tensor:
    """The torso's diagonal, from a shoulder to the hip on the other side.

    L_n = ||y_shoulder - y_hip||₂.

    The length of PCK on LSP (left shoulder and right hip, points 9 and 2 there; alpha = .2) and on FLIC. For a person
    seen from the side it shrinks less than the distance of the shoulders.

    Args:
        target: ``(N, K, D)`` annotated points, in the user's units; NaN is missing.
        shoulder: index of the shoulder.
        hip: index of the hip.

    Returns:
        ``(N,)`` in the user's units, >= 0; NaN where one of the two is missing.

    Raises:
        TypeError: a tensor that is not floating.
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

    MPII's PCKh takes .6 of the diagonal of its annotated head rectangle: give the two corners ``(N, 2, D)`` as
    points 0 and 1 with ``factor=0.6``. Data sets without rectangles use head top and neck with factor 1; the two are
    not the same length, so their PCKh do not compare.

    Args:
        target: ``(N, K, D)`` annotated points, in the user's units; NaN is missing.
        top: index of the head's top, or of one corner.
        neck: index of the neck, or of the other corner.
        factor: > 0, multiplies the distance.

    Returns:
        ``(N,)`` in the user's units, >= 0; NaN where one of the two is missing.

    Raises:
        TypeError: a tensor that is not floating, a factor that is not a number.
        ValueError: not three axes, infinite targets, a point that does not exist, factor not above zero.

    References:
        Andriluka et al., 2D human pose estimation, CVPR 2014.

    >>> corners = torch.tensor([[[10.0, 10.0], [40.0, 50.0]]], dtype=torch.float64)
    >>> head_length(corners, 0, 1, factor=0.6).tolist()
    [30.0]
    """
    return positive("head_length", "factor", factor) * _between("head_length", target, top, neck)


def normalised_error(prediction: Tensor, target: Tensor, length: float | Tensor) -> Tensor:
    """Euclidean errors as parts of each image's length: what every measure here judges.

    e_nk = ||y_nk - f_nk||₂ / L_n.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        length: L in the same units, > 0; one number or ``(N,)``. NaN where an image has none; it is left out.

    Returns:
        ``(N, K)`` without unit, >= 0. NaN: not judged. Infinite: annotated, but the prediction is NaN.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: different shapes, not three axes, infinite targets, a length that is not above zero.

    >>> normalised_error(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [torch.nan, 1.0]]]), 20.0).tolist()
    [[0.25, nan]]
    """
    return judged_error("normalised_error", prediction, target, length)


def pck(prediction: Tensor, target: Tensor, length: float | Tensor, *, alpha: float = 0.2) -> Tensor:
    """Points within a part of the image's length; the mean is PCK, the percentage of correct keypoints as a share.

    right = [ ||y - f||₂ / L <= alpha ].

    With alpha = .2 and `torso_length` this is LSP's measure, with .5 and `head_length` it is PCKh@.5. A mean over all
    annotated points gives little weight to a point that is seldom annotated; ``nanmean(0)`` is one share per point.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        length: L in the same units, > 0; one number or ``(N,)``. NaN where an image has none; it is left out.
        alpha: part of the length, > 0.

    Returns:
        ``(N, K)``: 1 right, 0 wrong or not predicted, NaN not judged.

    Raises:
        TypeError: tensors that are not floating, an alpha that is not a number.
        ValueError: different shapes, not three axes, infinite targets, alpha or a length not above zero.

    Numerics:
        The error is divided by the length and compared with alpha, so that 29 of 100 px is within .29.

    References:
        Yang and Ramanan, PAMI 2013 (there the length is the longer side of the joints' box).
        Sapp and Taskar, CVPR 2013.
        Andriluka et al., CVPR 2014.
        Ryou et al., Anchor loss, ICCV 2019, Tables 4-7.

    >>> pck(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [3.0, 4.1]]]), 25.0).tolist()
    [[1.0, 0.0]]
    """
    return within(judged_error("pck", prediction, target, length), positive("pck", "alpha", alpha))


def pck_area(prediction: Tensor, target: Tensor, length: float | Tensor, *, alpha: float = 0.5) -> Tensor:
    """Each point's share of the area under PCK's curve from 0 to alpha, divided by alpha; the mean is the area.

    1/alpha ∫₀^alpha PCK(a) da = mean max(0, 1 - e/alpha).

    Each point adds a step to the curve, at its own error e; the area under one step from e to alpha is alpha - e. The
    sum of these is exact: no grid of thresholds, no errors to keep. Evaluation codes that sample the curve and join
    the samples by lines differ from it by no more than half a sampling step over alpha.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        length: L in the same units, > 0; one number or ``(N,)``. NaN where an image has none; it is left out.
        alpha: the highest threshold, part of the length, > 0.

    Returns:
        ``(N, K)`` in [0, 1]: 1 for an error of zero, 0 from alpha on and where not predicted, NaN not judged.

    Raises:
        TypeError: tensors that are not floating, an alpha that is not a number.
        ValueError: different shapes, not three axes, infinite targets, alpha or a length not above zero.

    >>> pck_area(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [30.0, 40.0]]]), 20.0).tolist()  # 1 - .25/.5, 0
    [[0.5, 0.0]]
    """
    error = judged_error("pck_area", prediction, target, length)
    return (1 - error / positive("pck_area", "alpha", alpha)).clamp(min=0)


def failure(prediction: Tensor, target: Tensor, length: float | Tensor, *, threshold: float = 0.05) -> Tensor:
    """Points whose error is above a part of the image's length; the mean is the failure rate, 1 - PCK(threshold).

    failed = [ ||y - f||₂ / L > threshold ].

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        length: L in the same units, > 0; one number or ``(N,)``. NaN where an image has none; it is left out.
        threshold: part of the length, > 0; .05 is DeepGUM's failure (of the face width).

    Returns:
        ``(N, K)``: 1 failed or not predicted, 0 not, NaN not judged.

    Raises:
        TypeError: tensors that are not floating, a threshold that is not a number.
        ValueError: different shapes, not three axes, infinite targets, threshold or a length not above zero.

    References:
        Lathuilière et al., DeepGUM, ECCV 2018, section 4.4.

    >>> failure(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [3.0, 4.1]]]), 100.0).tolist()
    [[0.0, 1.0]]
    """
    error = judged_error("failure", prediction, target, length)
    return 1 - within(error, positive("failure", "threshold", threshold))


def pck_curve(error: Tensor, alphas: Sequence[float] | Tensor, *, per_point: bool = False) -> Tensor:
    """PCK over its threshold.

    PCK(alpha) = mean [ e <= alpha ] over the judged points.

    Args:
        error: ``(N, K)`` of `normalised_error`; NaN is left out.
        alphas: ``(A,)`` thresholds, >= 0, as parts of the length.
        per_point: whether there is one curve for each point.

    Returns:
        ``(A,)``, or ``(A, K)``, in [0, 1]; NaN where nothing was judged.

    Raises:
        TypeError: a tensor that is not floating.
        ValueError: not two axes, no threshold, or one that is not a finite number >= 0.

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


def judged_error(who: str, prediction: Tensor, target: Tensor, length: float | Tensor) -> Tensor:
    """`normalised_error` under the caller's name."""
    error = distance(who, prediction, target)
    return error / _lengths(who, length, error)


def within(error: Tensor, alpha: float) -> Tensor:
    """1 up to alpha, 0 above it, NaN where not judged."""
    return (error <= alpha).to(error.dtype).masked_fill(error.isnan(), torch.nan)


def _between(who: str, target: Tensor, first: int, second: int) -> Tensor:
    if floating(who, "target", target).ndim != 3:
        raise ValueError(f"{who}: expected target of shape (N, K, D), got {tuple(target.shape)}. Reshape it.")
    no_infinity(who, "target", target)
    for point in (first, second):
        if not 0 <= point < target.shape[1]:
            raise ValueError(f"{who}: expected points 0 to {target.shape[1] - 1}, got {point}. Give two of them.")
    length: Tensor = torch.linalg.vector_norm((target[:, first] - target[:, second]).detach(), dim=-1)
    return length


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
