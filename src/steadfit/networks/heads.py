"""Heads: from a map of features to one number per channel by learned weights or an average, or every cell as it is.

An average forgets where in the image a feature was found. Positions are what landmarks are about, so paper 3 replaces
the average at a ResNet's end by a depthwise convolution as large as the map, which keeps one learned weight per cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadfit import _checks

HEADS = ("depthwise", "average", "flatten")


def start_kernel(size: tuple[int, int]) -> Tensor:
    """The weights that a depthwise head starts from, (height, width).

    Odd height and width: 1 at the centre, .5 at its neighbours above, below, left and right. Otherwise there is no
    cell at the centre: an average over those around it, four where both are even, two where one is.

    Args:
        size: (height, width) of the map, each >= 1. Neighbours outside a map of height or width 1 are left out.

    References:
        Mohlin et al., BMVC 2021, section 4.1 and its supplement D (odd maps; the even ones are our convention).

    >>> start_kernel((3, 3))
    tensor([[0.0000, 0.5000, 0.0000],
            [0.5000, 1.0000, 0.5000],
            [0.0000, 0.5000, 0.0000]])
    >>> start_kernel((2, 4))
    tensor([[0.0000, 0.2500, 0.2500, 0.0000],
            [0.0000, 0.2500, 0.2500, 0.0000]])
    """
    # Distances from the middle of the map along each axis: 0, 1, ... for an odd side, .5, 1.5, ... for an even one.
    row, column = ((torch.arange(n) - (n - 1) / 2).abs() for n in size)
    distance = row[:, None] + column  # (height, width)
    if size[0] % 2 and size[1] % 2:
        return (1 - distance / 2).clamp(min=0)
    central = (row[:, None] <= 0.5) & (column <= 0.5)
    return central / central.sum()


class DepthwiseHead(nn.Module):
    """A weighted sum over the cells of a map, with separate weights for every channel.

    y_c = sum_ij w_cij x_cij

    A depthwise convolution whose kernel is the whole map. No bias: the linear layer that follows has one.

    ``weight`` is (C, 1, height, width), a convolution's shape; every channel starts at :func:`start_kernel`, without a
    random number.

    Args:
        channels: C >= 1.
        size: (height, width) of the map, each >= 1; 7 x 7 for a ResNet at 224 px.

    Call:
        features: (N, C, height, width).

    Returns:
        (N, C).

    Raises:
        ValueError: channels or size below 1; in use, a map of another size.

    References:
        Mohlin et al., BMVC 2021, section 4.1 and supplement D.

    >>> DepthwiseHead(2, (3, 3))(torch.ones(1, 2, 3, 3)).tolist()
    [[3.0, 3.0]]
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        if min(channels, *size) < 1:
            raise ValueError(f"DepthwiseHead: expected channels and size >= 1, got {channels} and {tuple(size)}.")
        self.size = (size[0], size[1])
        self.weight = nn.Parameter(start_kernel(self.size).expand(channels, 1, *self.size).clone())

    def forward(self, features: Tensor) -> Tensor:
        if features.shape[-2:] != self.size:
            raise ValueError(
                f"DepthwiseHead: expected a map of {self.size}, got {tuple(features.shape[-2:])}. "
                "Images must have the size that the network was built for."
            )
        return F.conv2d(features, self.weight, groups=len(self.weight)).flatten(1)  # (N, C, 1, 1) to (N, C)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, size={self.size}"


class AveragePool(nn.Module):
    """The mean over a map of any size.

    Call:
        features: (N, C, height, width).

    Returns:
        (N, C).

    >>> AveragePool()(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).tolist()
    [[3.0]]
    """

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=(-2, -1))


def build_head(head: str, channels: int, size: tuple[int, int]) -> tuple[nn.Module, int]:
    """A head by its name, and how many numbers it makes of a map.

    Args:
        head: ``"depthwise"`` for :class:`DepthwiseHead`, ``"average"`` for :class:`AveragePool`, ``"flatten"`` for
            every cell as it is.
        channels: of the map.
        size: (height, width) of the map.
    """
    _checks.one_of("build_head", "head", head, HEADS)
    if head == "depthwise":
        return DepthwiseHead(channels, size), channels
    if head == "average":
        return AveragePool(), channels
    return nn.Flatten(), channels * size[0] * size[1]
