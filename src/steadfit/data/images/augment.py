"""Random warps of the network's frame: their distribution, and drawing the same ones again whenever they are needed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit import _checks

Floats = npt.NDArray[np.float64]

_DRAWS = 8  # uniform numbers per warp


@dataclass(frozen=True, kw_only=True)
class Warp:
    """The distribution of random warps of a frame.

        warp = shift · rotation · scale · anisotropy · perspective · mirror, all about the frame's centre

    The mirror comes first. One warp is one 3x3 matrix, by which the image is sampled once and the points are mapped.
    The defaults are those of Mohlin et al.; every ingredient can be switched off. The frame's length is the longer one
    of its sides.

    Args:
        mirror: the probability of exchanging left and right, in [0, 1]; 0 is off.
        rotation: the greatest angle in degrees, in [0, 180]: the angle is uniform in ±rotation; 0 is off.
        scale: the greatest factor, >= 1: the factor is scale^U, U uniform in ±1; 1 is off.
        anisotropy: the greatest ratio of the factors of x and y, >= 1: they are q^½ and q^-½, q = anisotropy^U; 1 is
            off.
        perspective: the greatest change of w from the frame's centre across one frame's length, along x and along y,
            uniform in ±perspective; 0 is off.
        shift: the greatest offset along x and along y, uniform in ±shift frame lengths; 0 is off.

    Raises:
        TypeError: a strength is not a number.
        ValueError: a strength out of range, or so strong together that the horizon could come into the frame.

    References:
        Mohlin, Bianchi and Sullivan, Probabilistic Regression with Huber Distributions (BMVC 2021), section 4.

    >>> turn = Warp(mirror=0, scale=1, anisotropy=1, perspective=0, shift=0)  # rotations only
    >>> matrix, mirrored = turn.sample(torch.arange(3), (48, 48), seed=0, epoch=0)
    >>> matrix.shape, mirrored.tolist()
    (torch.Size([3, 3, 3]), [False, False, False])
    >>> bool((torch.linalg.det(matrix) - 1).abs().max() < 1e-12)
    True
    """

    mirror: float = 0.5
    rotation: float = 30.0
    scale: float = 1.2
    anisotropy: float = 1.2
    perspective: float = 0.3
    shift: float = 0.05

    def __post_init__(self) -> None:
        _checks.between("Warp", "mirror", self.mirror, 0, 1)
        _checks.between("Warp", "rotation", self.rotation, 0, 180)
        _checks.between("Warp", "scale", self.scale, 1, 100)
        _checks.between("Warp", "anisotropy", self.anisotropy, 1, 100)
        _checks.between("Warp", "perspective", self.perspective, 0, 1)
        _checks.between("Warp", "shift", self.shift, 0, 100)
        if self._horizon() >= 1:
            raise ValueError(
                "Warp: expected perspective * scale * anisotropy^(1/2) * (1 + 2 * shift) < 1, got "
                f"{self._horizon():.3g}: the horizon could come into the frame. Lower the perspective."
            )

    def sample(
        self, index: Tensor, size: tuple[int, int], *, seed: int, epoch: int, mirror: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The warps of some samples in one epoch.

        A warp is a function of (seed, epoch, index) alone: batches, workers and resumed runs see the same ones.

        Args:
            index: (B,) int64 >= 0, numbers of the samples.
            size: (height, width) of the frame in px.
            seed: >= 0.
            epoch: >= 0.
            mirror: False where exchanging left and right has no meaning; the other ingredients stay the same.

        Returns:
            (B, 3, 3) float64, from the frame to the warped frame in px, and (B,) bool, the samples that are mirrored.

        Raises:
            ValueError: a negative seed or epoch.
        """
        return self.of_uniform(uniforms(index, seed=seed, epoch=epoch), size, mirror=mirror)

    def of_uniform(self, uniform: Floats, size: tuple[int, int], *, mirror: bool = True) -> tuple[Tensor, Tensor]:
        """Warps from uniform numbers; a sample is mirrored below ``mirror``, and 1/2 switches any other ingredient off.

        About the centre: x' = (A x + t (1 + s·x)) / (1 + s·x) with A = R(angle) diag(±factor q^½, factor q^-½), where
        mirroring takes the lower sign and turns s to (-s_x, s_y).

        Args:
            uniform: (B, 8) in [0, 1): mirror, rotation, scale, anisotropy, perspective x, y, shift x, y.
            size: (height, width) of the frame in px.
            mirror: False where exchanging left and right has no meaning.

        Returns:
            (B, 3, 3) float64, from the frame to the warped frame in px, and (B,) bool, the samples that are mirrored.
        """
        (height, width), length = size, max(size)
        mirrored = uniform[:, 0] < (self.mirror if mirror else 0.0)
        flip = 1.0 - 2.0 * mirrored
        angle, zoom, ratio, sx, sy, tx, ty = ((2 * uniform[:, 1:] - 1) * self._strengths(length)).T  # (B,) each
        fx, fy = flip * np.exp(zoom + ratio / 2), np.exp(zoom - ratio / 2)
        cos, sin, sx = np.cos(angle), np.sin(angle), flip * sx
        centred = np.empty((len(uniform), 3, 3))
        centred[:, 0] = np.stack((fx * cos + tx * sx, tx * sy - fy * sin, tx), axis=1)
        centred[:, 1] = np.stack((fx * sin + ty * sx, fy * cos + ty * sy, ty), axis=1)
        centred[:, 2] = np.stack((sx, sy, np.ones_like(sx)), axis=1)
        x, y = (width - 1) / 2, (height - 1) / 2
        back, there = np.array([[[1, 0, side * x], [0, 1, side * y], [0, 0, 1]] for side in (1, -1)])
        return torch.from_numpy(back @ centred @ there), torch.from_numpy(mirrored)

    def _strengths(self, length: int) -> Floats:
        """The greatest values of the seven ingredients after the mirror, for a frame's length in px."""
        turn, bend, move = math.radians(self.rotation), self.perspective / length, self.shift * length
        return np.array([turn, math.log(self.scale), math.log(self.anisotropy), bend, bend, move, move])

    def _horizon(self) -> float:
        """The greatest |1 - w| of the map back, over the frame's pixels and all warps (a bound).

        A pixel of the warped frame is at most (1/2 + shift)·√2 lengths from the centre, the map back brings it
        scale·anisotropy^½ times farther, and the sum of its two coordinates is at most √2 times that.
        """
        return self.perspective * self.scale * math.sqrt(self.anisotropy) * (1 + 2 * self.shift)


def uniforms(index: Tensor, *, seed: int, epoch: int) -> Floats:
    """Eight uniform numbers in [0, 1) for each sample, a function of (seed, epoch, index) alone.

    Sample i has the numbers 8i to 8i + 7 of the SplitMix64 stream that (seed, epoch) start. A generator that can be
    entered anywhere by a formula draws a batch at once, in any order, in any process.

    Args:
        index: (B,) int64 >= 0.
        seed: >= 0.
        epoch: >= 0.

    Returns:
        (B, 8), multiples of 2⁻⁵³.

    Raises:
        ValueError: a negative seed or epoch.

    References:
        Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), section 5.
    """
    if seed < 0 or epoch < 0:
        raise ValueError(f"uniforms: expected seed and epoch >= 0, got {seed} and {epoch}.")
    start = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64).astype(np.uint64)  # (1,)
    first = index.cpu().numpy()[:, None] * _DRAWS  # (B, 1)
    bits = split_mix(start, np.asarray(first + np.arange(_DRAWS), dtype=np.uint64))  # (B, 8)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def split_mix(start: npt.NDArray[np.uint64], place: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The number at a place of the SplitMix64 stream with this start, modulo 2⁶⁴.

    Args:
        start: the start of the stream.
        place: the place, from 0.
    """
    z: npt.NDArray[np.uint64] = start + (place + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
