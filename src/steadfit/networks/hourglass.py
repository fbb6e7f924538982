"""Stacked hourglass networks: from an image to one heatmap per point, as logits, at a quarter of its size.

An hourglass halves its map a few times and doubles it again, so that every cell of the result has seen the whole body;
at each size a branch bypasses the smaller ones. Every stack puts out heatmaps, and passes them on with its features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

COARSEST = 4
"""Maps are halved until their shorter side has at most four cells: four times from 64, as in the published network."""


Stem = Callable[[int, int], nn.Module]
"""From the channels of an image and of the features to what brings the one to the other at a quarter of the size."""


class Hourglass(nn.Module):
    """The stacked Hourglass.

    A stem reduces the image to a quarter, then one hourglass per stack follows. After each except the last, its
    features and its heatmaps, both through 1x1 convolutions, are added to its input.

    ``stride`` is 4: a pixel i of the heatmap is at 4 i + 3/2 px.

    Args:
        in_channels: 1 for grey, 3 for colour.
        n_points: K heatmaps.
        size: (height, width) of the images in px; small ones have fewer halvings.
        stacks: the number of hourglasses, each with its own loss; 2 and 8 are published.
        features: channels at a quarter of the image.
        depth: the largest number of halvings; see :data:`COARSEST`.
        blocks: the number of residual blocks wherever the network has them.
        start: the outputs' bias; None for :func:`prior_logit`, right for losses on logits. Use 0 for squared errors.
        stem: what brings the image to ``features`` channels at a quarter of its size.

    Call:
        image: (N, in_channels, height, width); images of any size work.

    Returns:
        (N, stacks, K, h, w): logits, without a sigmoid, of heatmaps of a quarter of the size, rounded up.

    Raises:
        ValueError: stacks, blocks, n_points or a side below 1, features below 2, a negative depth.

    References:
        Newell et al., ECCV 2016. There are 3.4, 6.6 and 25.4 million parameters with 1, 2 and 8 stacks and 16 points.

    >>> Hourglass(3, 16, size=(64, 48), features=16)(torch.zeros(1, 3, 64, 48)).shape
    torch.Size([1, 2, 16, 16, 12])
    """

    stride = 4

    def __init__(
        self,
        in_channels: int,
        n_points: int,
        *,
        size: tuple[int, int] = (256, 256),
        stacks: int = 2,
        features: int = 256,
        depth: int = 4,
        blocks: int = 1,
        start: float | None = None,
        stem: Stem | None = None,
    ) -> None:
        super().__init__()
        self.stacks = Stacks(features, n_points, size=size, stacks=stacks, depth=depth, blocks=blocks, start=start)
        self.stem = (stem or published_stem)(in_channels, features)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.2 to 1.3 times as fast on a CPU

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.stacks(self.stem(image))
        return result


def published_stem(in_channels: int, features: int) -> nn.Sequential:
    """The stem of Newell et al., to a quarter of the image: a 7x7 convolution, pooling, residual blocks."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        Residual(64, 128),
        nn.MaxPool2d(2, ceil_mode=True),
        Residual(128, 128),
        Residual(128, features),
    )


def light_stem(in_channels: int, features: int) -> nn.Sequential:
    """A stem of two strided 3x3 convolutions, to a quarter of the image: quick on a CPU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, features // 2, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(features // 2),
        nn.ReLU(inplace=True),
        nn.Conv2d(features // 2, features, 3, stride=2, padding=1, bias=False),
    )


class Residual(nn.Module):
    """x + a 1x1, a 3x3 and a 1x1 convolution of x, each after batch norm and ReLU; in between half of the channels.

    The shortcut is a 1x1 convolution where ``before`` and ``after`` differ.

    Args:
        before: channels of x.
        after: channels of the result.

    Call:
        value: (N, before, h, w).

    Returns:
        (N, after, h, w).
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        middle = after // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, middle, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(middle), nn.Conv2d(middle, middle, 3, padding=1, bias=False)
        self.bn3, self.conv3 = nn.BatchNorm2d(middle), nn.Conv2d(middle, after, 1, bias=False)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, value: Tensor) -> Tensor:
        change = self.conv1(F.relu(self.bn1(value), inplace=True))
        change = self.conv2(F.relu(self.bn2(change), inplace=True))
        change = self.conv3(F.relu(self.bn3(change), inplace=True))
        result: Tensor = self.shortcut(value) + change
        return result


class Level(nn.Module):
    """Blocks at the map's size, plus blocks, ``inner`` and blocks at half of it.

    The map is pooled in twos (the last cell of an odd side alone) and brought back by repeating cells.

    Args:
        features: channels of the map.
        blocks: the number of residual blocks at each of the three places.
        inner: a module from and to maps of the same channels and half the size, such as another level.

    Call:
        value: (N, features, h, w).

    Returns:
        The same shape.
    """

    def __init__(self, features: int, blocks: int, inner: nn.Module) -> None:
        super().__init__()
        self.skip = _chain(features, blocks)
        self.low = nn.Sequential(_chain(features, blocks), inner, _chain(features, blocks))

    def forward(self, value: Tensor) -> Tensor:
        low = self.low(F.max_pool2d(value, 2, ceil_mode=True))
        result: Tensor = self.skip(value) + F.interpolate(low, value.shape[-2:], mode="nearest")
        return result


class Stacks(nn.Module):
    """Hourglasses one after the other, each with its heatmaps.

    Args:
        features: channels of the map.
        n_points: K heatmaps per hourglass.
        size: (height, width) of the images in px.
        stacks: as :class:`Hourglass`.
        depth: as :class:`Hourglass`.
        blocks: as :class:`Hourglass`.
        start: as :class:`Hourglass`.

    Call:
        value: (N, features, h, w), what the stem makes of images.

    Returns:
        Logits (N, stacks, K, h, w).
    """

    def __init__(
        self,
        features: int,
        n_points: int,
        *,
        size: tuple[int, int],
        stacks: int,
        depth: int,
        blocks: int,
        start: float | None,
    ) -> None:
        super().__init__()
        if min(n_points, stacks, blocks, features // 2, *size) < 1 or depth < 0:
            raise ValueError(
                "hourglass: expected n_points, stacks, blocks and size >= 1, features >= 2 and depth >= 0, got "
                f"{n_points}, {stacks}, {blocks} and {tuple(size)}, {features} and {depth}."
            )
        depth = min(depth, _halvings(size))
        start = prior_logit(size) if start is None else start
        self.body = nn.ModuleList(_body(features, depth, blocks) for _ in range(stacks))
        self.score = nn.ModuleList(nn.Conv2d(features, n_points, 1) for _ in range(stacks))
        self.seen_on = nn.ModuleList(nn.Conv2d(features, features, 1) for _ in range(stacks - 1))
        self.score_on = nn.ModuleList(nn.Conv2d(n_points, features, 1) for _ in range(stacks - 1))
        for score in self.score:
            nn.init.constant_(score.bias, start)  # type: ignore[arg-type]

    def forward(self, value: Tensor) -> Tensor:
        seen = self.body[0](value)
        logits = [self.score[0](seen)]
        for i in range(1, len(self.body)):
            value = value + self.seen_on[i - 1](seen) + self.score_on[i - 1](logits[-1])
            seen = self.body[i](value)
            logits.append(self.score[i](seen))
        return torch.stack(logits, dim=1)


def prior_logit(size: tuple[int, int], sigma: float = 1.0) -> float:
    """The best constant output for cross entropy on heatmaps: the logit of a target's mean.

    log(m/(1 - m)),  m = 2 pi sigma²/(h w)

    Nearly all pixels of a target are 0. A network that starts at 1/2 spends its first epochs on learning that.

    Args:
        size: (height, width) of the image in px, four times that of the heatmap.
        sigma: of the targets in px of the heatmap.

    Returns:
        The logit; at most 0.

    References:
        Lin et al., ICCV 2017, section 3.3 (the same idea for classes).

    >>> [round(prior_logit((side, side)), 1) for side in (64, 128, 256)]
    [-3.7, -5.1, -6.5]
    """
    cells = math.ceil(size[0] / 4) * math.ceil(size[1] / 4)
    mean = min(2 * math.pi * sigma**2 / cells, 0.5)
    return math.log(mean / (1 - mean))


def _body(features: int, depth: int, blocks: int) -> nn.Sequential:
    """An hourglass, residual blocks and a 1x1 convolution."""
    hourglass: nn.Module = _chain(features, blocks)
    for _ in range(depth):
        hourglass = Level(features, blocks, hourglass)
    last = (nn.Conv2d(features, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU(inplace=True))
    return nn.Sequential(hourglass, _chain(features, blocks), *last)


def _chain(features: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(features, features) for _ in range(blocks)))


def _halvings(size: tuple[int, int]) -> int:
    """How often the heatmap of an image of that size is halved, rounding up, until its shorter side fits COARSEST."""
    cells, count = math.ceil(min(size) / 4), 0
    while cells > COARSEST:
        cells, count = math.ceil(cells / 2), count + 1
    return count


class HeatmapBuilder(Protocol):
    """Builds a network from images to the logits of heatmaps."""

    def __call__(
        self, in_channels: int, n_points: int, *, size: tuple[int, int] = ..., start: float | None = ...
    ) -> nn.Module: ...


LightHourglass = partial(Hourglass, size=(64, 64), stacks=1, features=64, stem=light_stem)
"""A narrow :class:`Hourglass` for small images of 64 to 128 px, quick on a CPU."""

HEATMAP_NETWORKS: dict[str, HeatmapBuilder] = {
    "hourglass1": partial(Hourglass, stacks=1),
    "hourglass2": partial(Hourglass, stacks=2),
    "hourglass8": partial(Hourglass, stacks=8),
    "hourglass-light": LightHourglass,
}
"""The networks for heatmaps, by the name that settings and command line use."""
