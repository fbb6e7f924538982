"""Mirroring a batch left to right, with the points that exchange their names and what is stored for each label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.data.images.maps import mirror_frame


def mirror(
    batch_input: Tensor, target: Tensor, which: Tensor, permutation: Sequence[int], width: int
) -> tuple[Tensor, Tensor]:
    """Mirror some samples of a batch: the image, the points, and the left and right among them.

    x' = width - 1 - x (:func:`mirror_frame`), then point k is the former point permutation[k]. Mirroring twice is the
    identity. Missing points stay missing; the inputs are not changed.

    Args:
        batch_input: images (B, C, H, W).
        target: points (B, K, 2) in the pixels of these images, NaN = missing.
        which: (B,) bool, the samples to mirror.
        permutation: K indices, ``Schema.permutation``.
        width: W in px, the width of the frame in which the points are given.

    Returns:
        Images and points of the same shapes and dtypes.

    Raises:
        ValueError: the targets are not points in the plane, or the permutation is not one of K points.

    >>> image, point = torch.zeros(1, 1, 4, 4), torch.tensor([[[0.0, 2.0], [1.0, 2.0]]])
    >>> mirror(image, point, torch.tensor([True]), (1, 0), 4)[1].tolist()
    [[[2.0, 2.0], [3.0, 2.0]]]
    """
    if target.dim() != 3 or target.shape[2] != 2:
        raise ValueError(f"mirror: expected points of shape (B, K, 2), got {tuple(target.shape)}.")
    if batch_input.shape[-1] != width:
        raise ValueError(f"mirror: expected images {width} px wide, got {batch_input.shape[-1]}.")
    matrix = mirror_frame(width).to(target)
    flipped = target * matrix.diagonal()[:2] + matrix[:2, 2]  # coordinate by coordinate: half a point stays half
    images = torch.where(which.view(-1, 1, 1, 1), batch_input.flip(-1), batch_input)
    return images, permute_labels(torch.where(which.view(-1, 1, 1), flipped, target), which, permutation)


def permute_labels(weight: Tensor, which: Tensor, permutation: Sequence[int]) -> Tensor:
    """Move what is stored for each label (weights, trust) to the points' places after mirroring.

    Args:
        weight: (B, K, D), any D.
        which: (B,) bool, the samples that are mirrored.
        permutation: K indices, ``Schema.permutation``.

    Returns:
        (B, K, D): for mirrored samples label k is the former label permutation[k].

    Raises:
        ValueError: the permutation is not one of K points.
    """
    _check_permutation(weight, which, permutation)
    swapped = weight[:, list(permutation)]
    return torch.where(which.view(-1, 1, 1), swapped, weight)


def _check_permutation(value: Tensor, which: Tensor, permutation: Sequence[int]) -> None:
    if sorted(permutation) != list(range(value.shape[1])):
        raise ValueError(
            f"mirror: expected a permutation of {value.shape[1]} points, got {tuple(permutation)}. "
            "Take it from Schema.permutation."
        )
    _checks.same_shape("mirror", "which", which, "the first axis of target", value[:, 0, 0])
