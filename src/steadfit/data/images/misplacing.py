"""Crops misplaced at random as an estimate misplaces them, so that training sees what prediction will see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit.data.images.augment import Warp, uniforms

Floats = npt.NDArray[np.float64]

LARGEST_OFFSET, LARGEST_FACTOR = 0.5, 2.0
"""A crop misplaced by more no longer shows its region."""
_STREAM = 1 << 32
"""Added to the seed: the misplacements are drawn from other numbers than the warps."""


class Augmentation(Protocol):
    """Random maps of the network's frame, a function of seed, epoch and sample; see :class:`Warp`."""

    def sample(
        self, index: Tensor, size: tuple[int, int], *, seed: int, epoch: int, mirror: bool = True
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Misplacing:
    """Random maps of the frame that misplace its crop by errors that were observed, followed by a random warp.

        x' - c = (x - c - e_xy · side) / e_scale,  then the warp

    Every sample draws one row of the errors in every epoch.

    Args:
        errors: (M, 3), offset along x and y in parts of the crop's side, and the natural logarithm of the factor on its
            side, from :func:`crop_errors`; M = 0 misplaces nothing.
        warp: the warp that follows.

    >>> still = Warp(mirror=0, rotation=0, scale=1, anisotropy=1, perspective=0, shift=0)
    >>> shift = Misplacing(np.array([[0.25, 0.0, 0.0]]), still)  # the crop is too far right
    >>> shift.sample(torch.tensor([0]), (8, 8), seed=0, epoch=0)[0][0, :2, 2].tolist()
    [-2.0, 0.0]
    """

    errors: Floats
    warp: Warp

    def sample(
        self, index: Tensor, size: tuple[int, int], *, seed: int, epoch: int, mirror: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The maps of some samples in one epoch; see :meth:`Warp.sample`."""
        matrix, mirrored = self.warp.sample(index, size, seed=seed, epoch=epoch, mirror=mirror)
        if not len(self.errors):
            return matrix, mirrored
        drawn = uniforms(index, seed=seed + _STREAM, epoch=epoch)[:, 0]
        rows = self.errors[(drawn * len(self.errors)).astype(np.int64)]  # (B, 3)
        return matrix @ torch.from_numpy(_misplaced(rows, size)), mirrored


def _misplaced(errors: Floats, size: tuple[int, int]) -> Floats:
    """The maps (B, 3, 3) of a frame of (height, width) px, where the crop's side is the frame's shorter one."""
    centre = (np.array([size[1], size[0]]) - 1) / 2
    factor = np.exp(-errors[:, 2])  # (B,)
    matrix = np.zeros((len(errors), 3, 3))
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = factor, factor, 1.0
    matrix[:, :2, 2] = centre - factor[:, None] * (centre + errors[:, :2] * min(size))
    return matrix


def crop_errors(placed: Floats, wanted: Floats) -> Floats:
    """How crops are misplaced: (M, 3), see :class:`Misplacing`.

    Rows that are not finite, or off by more than half a side or a factor of 2, are left out: such a crop no longer
    shows the region, and a network cannot learn from it what is not in it.

    Args:
        placed: (N, 4), the crops as they were placed.
        wanted: (N, 4), the crops as they should be.

    >>> crop_errors(np.array([[2.0, 0.0, 10.0, 10.0]]), np.array([[0.0, 0.0, 10.0, 10.0]])).tolist()
    [[0.2, 0.0, 0.0]]
    """
    side = wanted[:, 2:].max(axis=1)
    offset = _centre(placed) - _centre(wanted)
    with np.errstate(all="ignore"):
        factor = np.log(placed[:, 2:].max(axis=1) / side)
        errors = np.column_stack([offset / side[:, None], factor])
    near = np.abs(errors) <= [LARGEST_OFFSET, LARGEST_OFFSET, np.log(LARGEST_FACTOR)]
    kept: Floats = errors[(near & np.isfinite(errors)).all(axis=1)]
    return kept


def _centre(box: Floats) -> Floats:
    centre: Floats = box[:, :2] + (box[:, 2:] - 1) / 2
    return centre
