"""Errors of predictions ``(N, K, D)`` against targets, one value per coordinate, point or image.

One rule holds for every formula of this package. NaN means not annotated, and so not judged. Infinite means annotated,
while the prediction is NaN. So ``nanmean()`` is the measure, and a network that predicts nothing cannot hide it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steadfit._checks import floating, no_infinity, same_shape

__all__ = ["absolute_error", "per_image_error", "point_error", "square_error"]


def absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute error of every coordinate; its mean is the MAE.

    e = |y - f|.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; NaN is not annotated.

    Returns:
        ``(N, K, D)`` in the user's units, >= 0; NaN where not annotated, infinite where the prediction is NaN.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: different shapes, not three axes, or infinite targets.

    >>> absolute_error(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[4.0, torch.nan]]])).tolist()
    [[[3.0, nan]]]
    """
    return residual("absolute_error", prediction, target).abs()


def square_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of every coordinate; the root of its mean is the RMSE.

    e = (y - f)².

    Compared with the MAE, the RMSE shows whether few large errors make up the total.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; NaN is not annotated.

    Returns:
        ``(N, K, D)`` in the user's units squared, >= 0; NaN where not annotated, infinite where the prediction is NaN.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: different shapes, not three axes, or infinite targets.

    >>> square_error(torch.zeros(1, 1, 2), torch.tensor([[[1.0, 7.0]]])).nanmean().sqrt().item()
    5.0
    """
    return residual("square_error", prediction, target).square()


def point_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Euclidean error of every point; its mean over poses in pixels is the mean pixel error (MPE).

    e = ||y - f||₂.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.

    Returns:
        ``(N, K)`` in the user's units, >= 0; NaN where not annotated, infinite where the prediction is NaN.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: different shapes, not three axes, or infinite targets.

    References:
        Belagiannis et al., ICCV 2015, Fig. 1 (MPE).

    >>> point_error(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [torch.nan, 1.0]]])).tolist()
    [[5.0, nan]]
    """
    return distance("point_error", prediction, target)


def per_image_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean Euclidean error of each image over its annotated points: the unit of the paired tests.

    e_n = mean over k of ||y_nk - f_nk||₂.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.

    Returns:
        ``(N,)`` in the user's units, >= 0; NaN for an image without any annotated point; infinite where the prediction
        of an annotated point is NaN or infinite. Such a prediction failed:
        :func:`~steadfit.metrics.compare_errors` ranks it behind all others. A NaN would drop the image, and so help a
        method that fails on hard ones.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: different shapes, not three axes, or infinite targets.

    >>> per_image_error(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])).tolist()
    [3.0]
    """
    return distance("per_image_error", prediction, target).nanmean(1)


def distance(who: str, prediction: Tensor, target: Tensor) -> Tensor:
    """`point_error` under the caller's name."""
    error: Tensor = torch.linalg.vector_norm(residual(who, prediction, target), dim=-1)
    return error


def residual(who: str, prediction: Tensor, target: Tensor) -> Tensor:
    """target - prediction ``(N, K, D)`` after the checks that every measure shares, under the caller's name."""
    same_shape(who, "prediction", floating(who, "prediction", prediction), "target", floating(who, "target", target))
    if target.ndim != 3:
        raise ValueError(f"{who}: expected shape (N, K, D), got {tuple(target.shape)}. Reshape both to (N, K, D).")
    no_infinity(who, "target", target)
    return (target - prediction).detach().masked_fill(prediction.isnan() & ~target.isnan(), torch.inf)
