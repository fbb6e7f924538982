"""Errors of predictions ``(B, K, D)`` against targets in which NaN means "not annotated".

The states are sums and counts, so two halves (or two ranks) merge to the whole. They have the default dtype at
construction, as everywhere in torchmetrics. Without any annotated target the result is NaN, with no warning.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from steadfit._checks import floating, no_infinity, positive, same_shape

__all__ = ["FailureRate", "MeanAbsoluteError", "PointError", "RootMeanSquareError", "per_image_error"]


class _Mean(Metric):
    """Abstract: a sum and a count, of one number or of one for each point."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, points: int | None = None) -> None:
        super().__init__()
        shape = () if points is None else (points,)
        self.add_state("total", torch.zeros(shape), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """The mean of everything seen, NaN when nothing was."""
        return self.total / self.count

    def _add(self, value: Tensor, keep: Tensor) -> None:
        kept = torch.where(keep, value, 0)
        dims = tuple(range(value.ndim - self.total.ndim))
        self.total += kept.sum(dims).to(self.total.dtype) if dims else kept
        self.count += keep.sum(dims)


class MeanAbsoluteError(_Mean):
    """Mean absolute error over the annotated coordinates.

    mean |y - f|.

    Args of ``update``:
        prediction: ``(B, K, D)``, in the user's units.
        target: the same shape; NaN is left out.

    Returns of ``compute``: a scalar in the user's units, >= 0; NaN without any annotated coordinate. A NaN prediction
    of an annotated coordinate makes it NaN.

    Raises:
        TypeError: no floating tensors.
        ValueError: different shapes, not three axes, or infinite targets.

    >>> import torch
    >>> metric = MeanAbsoluteError()
    >>> metric.update(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[4.0, float("nan")]]]))
    >>> float(metric.compute())
    3.0
    """

    def __init__(self) -> None:
        super().__init__()

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        residual = _residual("MeanAbsoluteError", prediction, target)
        self._add(residual.abs(), ~target.isnan())


class RootMeanSquareError(_Mean):
    """Root of the mean squared error over the annotated coordinates.

    sqrt(mean (y - f)²).

    Beside the mean absolute error it shows whether few large errors make up the total.

    Args of ``update``:
        prediction: ``(B, K, D)``, in the user's units.
        target: the same shape; NaN is left out.

    Returns of ``compute``: a scalar in the user's units, >= 0; NaN without any annotated coordinate.

    Raises:
        TypeError: no floating tensors.
        ValueError: different shapes, not three axes, or infinite targets.

    >>> import torch
    >>> metric = RootMeanSquareError()
    >>> metric.update(torch.zeros(1, 1, 2), torch.tensor([[[1.0, 7.0]]]))
    >>> float(metric.compute())
    5.0
    """

    def __init__(self) -> None:
        super().__init__()

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        residual = _residual("RootMeanSquareError", prediction, target)
        self._add(residual.square(), ~target.isnan())

    def compute(self) -> Tensor:
        """The root of the mean square of everything seen."""
        return super().compute().sqrt()


class PointError(_Mean):
    """Mean Euclidean error over the annotated points, overall or for each point: the mean pixel error (MPE) of poses.

    mean ||y - f||₂.

    Args:
        points: number of points K; then ``compute`` gives one mean for each. None: one mean over all.

    Args of ``update``:
        prediction: ``(B, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is left out.

    Returns of ``compute``: a scalar, or ``(K,)``, in the user's units, >= 0; NaN for what was never annotated.

    Raises:
        TypeError: no floating tensors.
        ValueError: different shapes, not three axes, infinite targets, or K not ``points``.

    References:
        Belagiannis et al., ICCV 2015, Fig. 1 (MPE).

    >>> import torch
    >>> metric = PointError(points=2)
    >>> metric.update(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [0.0, 1.0]]]))
    >>> metric.compute().tolist()
    [5.0, 1.0]
    """

    def __init__(self, *, points: int | None = None) -> None:
        if points is not None and points < 1:
            raise ValueError(f"PointError: expected points >= 1, got {points}. Give the number of points.")
        super().__init__(points)
        self.points = points

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        error = _distance("PointError", prediction, target)
        if self.points not in (None, error.shape[1]):
            raise ValueError(f"PointError: expected {self.points} points, got {error.shape[1]}. Set points.")
        self._add(error, ~target.isnan().any(-1))


class FailureRate(_Mean):
    """Share of annotated points whose error is above a part of a normalising length.

    mean [ ||y - f||₂ > threshold·length ].

    Args:
        threshold: part of the length, > 0; .05 is DeepGUM's failure (of the face width).

    Args of ``update``:
        prediction: ``(B, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is left out.
        length: the normalising length in the same units, > 0; one number or one for each sample ``(B,)``.

    Returns of ``compute``: a scalar in [0, 1]; NaN without any annotated point. A NaN prediction is a failure.

    Raises:
        TypeError: no floating tensors.
        ValueError: different shapes, not three axes, infinite targets, threshold or length not above zero.

    References:
        Lathuilière et al., DeepGUM, ECCV 2018, section 4.4.

    >>> import torch
    >>> metric = FailureRate(0.05)
    >>> metric.update(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [3.0, 4.1]]]), 100.0)
    >>> float(metric.compute())
    0.5
    """

    def __init__(self, threshold: float = 0.05) -> None:
        super().__init__()
        self.threshold = positive("FailureRate", "threshold", threshold)

    def update(self, prediction: Tensor, target: Tensor, length: float | Tensor) -> None:
        """Take in a batch."""
        error = _distance("FailureRate", prediction, target)  # (B, K)
        limit = self.threshold * _length(length, error)
        self._add((~(error <= limit)).to(error.dtype), ~target.isnan().any(-1))


def per_image_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean Euclidean error of each image over its annotated points: the unit of the paired tests.

    e_n = mean over k of ||y_nk - f_nk||₂.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is left out.

    Returns:
        ``(N,)`` in the user's units, >= 0; NaN for an image without any annotated point; inf where the prediction of an
        annotated point is NaN or infinite. Such a prediction failed: :func:`~steadfit.metrics.compare_errors` ranks it
        behind all others, where a NaN would drop the image, and so help a method that fails on hard ones.

    Raises:
        TypeError: no floating tensors.
        ValueError: different shapes, not three axes, or infinite targets.

    >>> import torch
    >>> per_image_error(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])).tolist()
    [3.0]
    """
    error, keep = _distance("per_image_error", prediction, target), ~target.isnan().any(-1)
    return torch.where(keep, error.nan_to_num(nan=math.inf, posinf=math.inf), 0).sum(1) / keep.sum(1)


def _residual(who: str, prediction: Tensor, target: Tensor) -> Tensor:
    """target - prediction after the checks every measure shares."""
    same_shape(who, "prediction", floating(who, "prediction", prediction), "target", floating(who, "target", target))
    if target.ndim != 3:
        raise ValueError(f"{who}: expected shape (B, K, D), got {tuple(target.shape)}. Reshape both to (B, K, D).")
    no_infinity(who, "target", target)
    return (target - prediction).detach()


def _distance(who: str, prediction: Tensor, target: Tensor) -> Tensor:
    """Euclidean errors (B, K)."""
    return _residual(who, prediction, target).square().sum(-1).sqrt()


def _length(length: float | Tensor, error: Tensor) -> Tensor:
    """The normalising length as a scalar or (B, 1), checked."""
    value = torch.as_tensor(length, dtype=error.dtype, device=error.device)
    if value.shape not in ((), error.shape[:1]):
        raise ValueError(
            f"FailureRate: expected length to be a number or ({len(error)},), got shape {tuple(value.shape)}."
        )
    bad = ~(value.isfinite() & (value > 0))
    if bool(bad.any()):
        raise ValueError(
            f"FailureRate: expected length > 0 and finite, got {int(bad.sum())} that are not, "
            f"the first {float(value[bad].flatten()[0])}. Give the length in the targets' units."
        )
    return value.unsqueeze(-1) if value.ndim else value
