"""ResNet-18, -50 and -101, under the names that published weights use."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadfit import _checks
from steadfit.networks.heads import build_head


class ResNet(nn.Module):
    """A residual network with a head for regression.

    Parameters have the names, shapes and starting distribution of torchvision's, with stride 2 at the 3x3 convolution
    of a bottleneck, so that its ImageNet weights load (:func:`steadfit.networks.load_weights`). ``pool`` is added, the
    head that takes the average's place.

    Args:
        depth: 18, 50 or 101 layers.
        in_channels: 1 for grey, 3 for colour.
        n_outputs: numbers to regress.
        size: (height, width) in pixels, each >= 1; the last map is a 32nd of it, rounded up.
        head: what the output layer sees of the last map: ``"depthwise"`` a learned weighted sum per channel,
            ``"average"`` the mean, ``"flatten"`` every cell.
        width: channels of the first stage; 64 is the published network's, 16 has a sixteenth of the parameters.

    Call:
        image: (N, in_channels, height, width); with ``"average"`` images of any size work.

    Returns:
        (N, n_outputs).

    Raises:
        ValueError: a depth or head that does not exist; a width or size below 1.

    References:
        He et al., CVPR 2016 (the network).
        Mohlin et al., BMVC 2021, section 4.1 (the depthwise head).

    >>> ResNet(18, 3, 10, size=(64, 48), width=16)(torch.zeros(2, 3, 64, 48)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        depth: int,
        in_channels: int,
        n_outputs: int,
        *,
        size: tuple[int, int] = (224, 224),
        head: str = "depthwise",
        width: int = 64,
    ) -> None:
        super().__init__()
        _checks.one_of("ResNet", "depth", depth, STAGES)
        if min(width, *size) < 1:
            raise ValueError(f"ResNet: expected width and size >= 1, got {width} and {tuple(size)}.")
        block, counts = STAGES[depth]
        channels = block.expansion * width
        self.depth = depth
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(block, width, width, counts[0], stride=1)
        self.layer2 = _stage(block, channels, 2 * width, counts[1], stride=2)
        self.layer3 = _stage(block, 2 * channels, 4 * width, counts[2], stride=2)
        self.layer4 = _stage(block, 4 * channels, 8 * width, counts[3], stride=2)
        cells = (math.ceil(size[0] / 32), math.ceil(size[1] / 32))
        self.pool, n_features = build_head(head, 8 * channels, cells)
        self.fc = nn.Linear(n_features, n_outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.1 times as fast on a CPU

    def forward(self, image: Tensor) -> Tensor:
        value = F.relu(self.bn1(self.conv1(image)), inplace=True)  # (N, width, height/2, width/2)
        value = F.max_pool2d(value, 3, stride=2, padding=1)
        value = self.layer4(self.layer3(self.layer2(self.layer1(value))))  # (N, C, height/32, width/32)
        result: Tensor = self.fc(self.pool(value))
        return result


class BasicBlock(nn.Module):
    """x + two 3x3 convolutions of x; the first takes the stride.

    Args:
        before: channels of x.
        channels: channels of the result.
        stride: 1, or 2 to halve the map.

    Call:
        value: (N, before, h, w).

    Returns:
        (N, channels, h/stride, w/stride), rounded up.
    """

    expansion = 1

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(before, channels, stride)

    def forward(self, value: Tensor) -> Tensor:
        change = F.relu(self.bn1(self.conv1(value)), inplace=True)
        change = self.bn2(self.conv2(change))
        return F.relu(change + self.downsample(value), inplace=True)


class Bottleneck(nn.Module):
    """x + a 1x1, a 3x3 and a 1x1 convolution of x; the 3x3 takes the stride, the last has four times the channels.

    Args:
        before: channels of x.
        channels: channels of the first two convolutions.
        stride: 1, or 2 to halve the map.

    Call:
        value: (N, before, h, w).

    Returns:
        (N, 4 channels, h/stride, w/stride), rounded up.
    """

    expansion = 4

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = _shortcut(before, 4 * channels, stride)

    def forward(self, value: Tensor) -> Tensor:
        change = F.relu(self.bn1(self.conv1(value)), inplace=True)
        change = F.relu(self.bn2(self.conv2(change)), inplace=True)
        change = self.bn3(self.conv3(change))
        return F.relu(change + self.downsample(value), inplace=True)


STAGES: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}
"""Kind and number of the blocks of each stage, by depth."""


def _stage(
    block: type[BasicBlock] | type[Bottleneck], before: int, channels: int, count: int, *, stride: int
) -> nn.Sequential:
    """The blocks of one resolution, of which the first changes it."""
    first = block(before, channels, stride)
    return nn.Sequential(first, *(block(block.expansion * channels, channels, 1) for _ in range(count - 1)))


def _shortcut(before: int, after: int, stride: int) -> nn.Module:
    """The identity, or the 1x1 convolution that makes x fit where shapes differ."""
    if before == after and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))
