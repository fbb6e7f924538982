"""The default network for small images: strided 3x3 convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steadfit.networks.heads import build_head


class CompactConvNet(nn.Module):
    """Strided 3x3 convolutions with batch norm, one hidden layer; 2.2 million multiply-adds at 48 px.

    Args:
        in_channels: 1 for grey, 3 for colour.
        n_outputs: numbers to regress.
        size: (height, width) in pixels.
        head: what the hidden layer sees of the last map: ``"flatten"`` every cell, ``"depthwise"`` a learned
            weighted sum per channel, ``"average"`` the mean.
        widths: channels of the stages; each stage halves the map.
        hidden: units of the hidden layer.

    Call:
        image: (N, in_channels, height, width).

    Returns:
        (N, n_outputs).

    Raises:
        ValueError: a head of another name.
    """

    def __init__(
        self,
        in_channels: int,
        n_outputs: int,
        *,
        size: tuple[int, int] = (48, 48),
        head: str = "flatten",
        widths: Sequence[int] = (16, 32, 64, 128),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        height, width = size
        for before, after in zip((in_channels, *widths), widths, strict=False):
            stages += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            height, width = (height + 1) // 2, (width + 1) // 2
        self.features = nn.Sequential(*stages)
        self.pool, n_features = build_head(head, widths[-1], (height, width))
        self.head = nn.Sequential(nn.Linear(n_features, hidden), nn.ReLU(), nn.Linear(hidden, n_outputs))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.2 times as fast on a CPU

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.head(self.pool(self.features(image)))
        return result
