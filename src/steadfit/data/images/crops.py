"""Random crops and mirroring for classification, a function of (seed, epoch, index), drawn for a batch at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from steadfit import _checks
from steadfit.data.images.augment import uniforms
from steadfit.data.images.decoding import Image
from steadfit.data.images.files import resize

MARGIN = 256 / 224


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """An image in the frame's size: itself, or the crop at its centre."""
    return image if image.shape[:2] == size else ScaleCrop().centre(image, size)


@dataclass(frozen=True, kw_only=True)
class PadCrop:
    """Random crops of images that are padded with black on each side, half of them mirrored; for small images.

    Args:
        pad: pixels on each side, >= 0; every offset of the crop in [0, 2 pad] is equally likely, along x and along y.
        mirror: the probability of exchanging left and right, in [0, 1].

    Raises:
        TypeError: a value of another kind.
        ValueError: a value out of range.

    References:
        He et al., CVPR 2016, section 4.2; Ryou et al., ICCV 2019, section 5.1.

    >>> crop = PadCrop(pad=1, mirror=0.0)
    >>> crop.apply(torch.ones(1, 1, 2, 2, dtype=torch.uint8), np.zeros((1, 8))).tolist()
    [[[[0, 0], [0, 1]]]]
    """

    pad: int = 4
    mirror: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.pad, bool) or not isinstance(self.pad, int):
            raise TypeError(f"PadCrop: expected pad to be a whole number, got {type(self.pad).__name__}.")
        if self.pad < 0:
            raise ValueError(f"PadCrop: expected pad >= 0, got {self.pad}.")
        _checks.between("PadCrop", "mirror", self.mirror, 0, 1)

    def sample(self, frames: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        """The crops of some samples in one epoch.

        Args:
            frames: (B, C, H, W).
            index: (B,) int64 >= 0, the samples' numbers.
            seed: >= 0.
            epoch: >= 0.

        Returns:
            (B, C, H, W) of the same dtype.
        """
        return self.apply(frames, uniforms(index, seed=seed, epoch=epoch))

    def apply(self, frames: Tensor, uniform: np.ndarray) -> Tensor:
        """Crops from numbers (B, >= 3) in [0, 1): mirror, offset y, offset x."""
        _, channels, height, width = frames.shape
        draw = torch.from_numpy(uniform[:, :3])
        offset = (draw[:, 1:] * (2 * self.pad + 1)).long()  # (B, 2), of the padded image
        row = offset[:, :1] + torch.arange(height)  # (B, H)
        column = torch.arange(width).expand(len(frames), width)
        mirrored = draw[:, :1] < self.mirror
        column = offset[:, 1:] + torch.where(mirrored, width - 1 - column, column)  # (B, W)
        padded = F.pad(frames, [self.pad] * 4)
        line = width + 2 * self.pad
        place = (row[:, :, None] * line + column[:, None, :]).flatten(1)  # (B, H W)
        flat = padded.flatten(2)  # (B, C, padded H W)
        return flat.gather(2, place[:, None].expand(-1, channels, -1)).view_as(frames)


@dataclass(frozen=True, kw_only=True)
class ScaleCrop:
    """The shorter side scaled to ``margin`` times the frame's, then a crop; for images of any size.

    Training takes the crop at random and mirrors half of the images; otherwise it is the one at the centre.

    Args:
        margin: >= 1; 256/224 is the usual one for ImageNet.
        mirror: the probability of exchanging left and right, in [0, 1].

    Raises:
        TypeError: a value of another kind.
        ValueError: a value out of range.

    References:
        Ryou et al., ICCV 2019, section 5.1 (crops of 224 x 224 and flips).

    >>> ScaleCrop().centre(np.zeros((300, 400, 3), dtype=np.uint8), (224, 224)).shape
    (224, 224, 3)
    """

    margin: float = MARGIN
    mirror: float = 0.5

    def __post_init__(self) -> None:
        _checks.between("ScaleCrop", "margin", self.margin, 1, 10)
        _checks.between("ScaleCrop", "mirror", self.mirror, 0, 1)

    def centre(self, image: Image, size: tuple[int, int]) -> Image:
        """The crop (height, width, C) at the centre; a pixel that is left over is at the right or below."""
        return self.apply(image, size, (1.0, 0.4999999, 0.4999999))

    def apply(self, image: Image, size: tuple[int, int], uniform: tuple[float, float, float]) -> Image:
        """The crop for uniform numbers.

        Args:
            image: (H, W, C) uint8.
            size: (height, width) of the crop in px.
            uniform: mirror, offset y, offset x, in [0, 1).
        """
        scaled = self.scale(image, size)
        top, left = (int(u * (have - want + 1)) for u, have, want in zip(uniform[1:], scaled.shape, size, strict=False))
        crop = scaled[top : top + size[0], left : left + size[1]]
        return np.ascontiguousarray(crop[:, ::-1] if uniform[0] < self.mirror else crop)

    def sample(
        self, images: Iterable[Image], index: Tensor, size: tuple[int, int], *, seed: int, epoch: int
    ) -> list[Image]:
        """The crops of some samples in one epoch.

        Args:
            images: B images (H, W, C), taken one after the other.
            index: (B,) int64 >= 0, the samples' numbers.
            size: (height, width) of the crops in px.
            seed: >= 0.
            epoch: >= 0.

        Returns:
            B crops (height, width, C).
        """
        draws = uniforms(index, seed=seed, epoch=epoch)[:, :3].tolist()
        return [
            self.apply(image, size, (mirror, down, right))
            for image, (mirror, down, right) in zip(images, draws, strict=True)
        ]

    def scale(self, image: Image, size: tuple[int, int]) -> Image:
        """The whole image, scaled so that it covers ``margin`` times the frame."""
        height, width = image.shape[:2]
        factor = max(self.margin * size[0] / height, self.margin * size[1] / width)
        scaled = resize(image, max(round(width * factor), size[1]), max(round(height * factor), size[0]))
        return scaled if scaled.ndim == 3 else scaled[:, :, None]
