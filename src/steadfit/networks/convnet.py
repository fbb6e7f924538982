"""The network of paper 1's regression of poses: five convolutions with response normalisation."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 31
"""The least side of an image, in px, that leaves a cell after three poolings."""


class ConvNet(nn.Module):
    """Five convolutions, the last over the whole map, three linear layers.

    5x5x32, pool, LRN; 3x3x32, pool, LRN; 3x3x64 padded; 3x3x64, pool, LRN, dropout; map x 1024, LRN;
    2048, dropout; 1024; n_outputs

    Each convolution and hidden layer ends in a ReLU, poolings are 3/2 maxima without padding, LRN is
    :class:`ResponseNorm`, dropout .5. At 120 x 80 px the map is 12 x 7, and with 28 outputs there are 9,799,228
    parameters.

    Weights start as N(0, .01²), biases at .1. Every layer shrinks the differences between images, at the output to
    4e-4 of a target's deviation (1e-5 for pixels of deviation 1), so that training starts on a plateau.

    Args:
        in_channels: 1 for grey, 3 for colour.
        n_outputs: numbers to regress.
        size: (height, width) in pixels, at least 31 each; the fifth kernel follows it.
        head: ``"flatten"``, the only one.

    Call:
        image: (N, in_channels, height, width) in grey levels, 0 to 255, less their mean.

    Returns:
        (N, n_outputs).

    Raises:
        ValueError: another head, a smaller size; in use, images of another size.

    References:
        Belagiannis, Rupprecht, Carneiro and Navab, Robust Optimization for Deep Regression (ICCV 2015), with the layers
        of the authors' code: it has neither normalisation nor pooling around the third convolution.

    >>> network = ConvNet(3, 28, size=(120, 80))
    >>> network.map, sum(parameter.numel() for parameter in network.parameters())
    ((12, 7), 9799228)
    """

    grey_levels: ClassVar[bool] = True  # smaller inputs would hardly reach its end
    first_step: ClassVar[float] = 3e-4  # of AdamW; the default protocol's step is too large

    def __init__(
        self, in_channels: int, n_outputs: int, *, size: tuple[int, int] = (120, 80), head: str = "flatten"
    ) -> None:
        super().__init__()
        if head != "flatten":
            raise ValueError(f"ConvNet: expected the head 'flatten', got {head!r}. Its fifth convolution is the head.")
        if min(size) < SMALLEST:
            raise ValueError(f"ConvNet: expected images of at least {SMALLEST} x {SMALLEST} px, got {tuple(size)}.")
        self.map = (_map_side(size[0]), _map_side(size[1]))
        self.features = nn.Sequential(
            *(nn.Conv2d(in_channels, 32, 5), nn.ReLU(), nn.MaxPool2d(3, 2), ResponseNorm(32)),
            *(nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(3, 2), ResponseNorm(32)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(3, 2), ResponseNorm(64), nn.Dropout(0.5)),
        )  # (N, 64, *map)
        self.whole = nn.Sequential(nn.Conv2d(64, 1024, self.map), nn.ReLU(), ResponseNorm(1024), nn.Flatten())
        self.head = nn.Sequential(
            *(nn.Linear(1024, 2048), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(2048, 1024), nn.ReLU()),
            nn.Linear(1024, n_outputs),
        )
        self._start()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.3 times as fast on a CPU

    def _start(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.constant_(cast(Tensor, layer.bias), 0.1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.features(image)
        if features.shape[-2:] != self.map:
            raise ValueError(
                f"ConvNet: expected a map of {self.map}, got {tuple(features.shape[-2:])}. Images must have the size "
                "that the network was built for."
            )
        result: Tensor = self.head(self.whole(features))
        return result


class ResponseNorm(nn.Module):
    r"""Each channel divided by the size of its neighbours, ``nn.LocalResponseNorm(5, alpha=1e-4, beta=.75, k=1)``.

    y_c = x_c / b_c^¾,    b_c = 1 + alpha/5 · sum of x_j² over |j - c| <= 2

    The sum over channels is a 1x1 convolution with a band of ones, and b^-¾ two square roots: the whole network trains
    1.3 to 1.6 times as fast on a CPU as with PyTorch's module.

    Args:
        channels: C of the maps.

    Call:
        value: (N, C, H, W).

    Returns:
        The same shape.

    Numerics:
        b >= 1, so nothing vanishes; finite for \|x\| < 1e19 in float32.

    References:
        Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3.

    >>> ResponseNorm(1)(torch.full((1, 1, 1, 1), 866.0)).round(decimals=2).item()  # b = 16, to the ¾: 8
    108.25
    """

    band: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        place = torch.arange(channels)
        near = (place[:, None] - place).abs() <= 2
        self.register_buffer("band", near[:, :, None, None].float(), persistent=False)  # (C, C, 1, 1)

    def forward(self, value: Tensor) -> Tensor:
        root = (1 + 1e-4 / 5 * F.conv2d(value.square(), self.band)).rsqrt()  # b^-½
        return value * root * root.sqrt()

    def extra_repr(self) -> str:
        return str(len(self.band))


def _map_side(side: int) -> int:
    """The length of a side after three convolutions of 5, 3 and 3 px, each with its pooling."""
    for kernel in (5, 3, 3):
        side = (side - kernel + 1 - 3) // 2 + 1
    return side
