"""Heatmaps read as coordinates, so that a heatmap network is a regression network like any other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.heatmaps import decode, from_frame, map_heat, render, to_frame

SCORES = ("sigmoid", "linear")


class HeatmapReader(nn.Module):
    """A network that puts out heatmaps, read as points in px of its input.

    Its call gives (N, K 2), x and y of every point, decoded from the last stack: what noise models, predictions and
    reports see. Decoding has no useful gradient; the network is trained through :meth:`logits`.

    Args:
        network: from (N, C, H, W) to heatmap logits (N, S, K, h, w) of S stacks, with an attribute ``stride`` (px of
            the input for a pixel of the heatmap), see :class:`~steadfit.networks.Hourglass`.
        decoding: of :func:`steadfit.core.heatmaps.decode`.
        score: what turns a raw output into a score in [0, 1]: ``"sigmoid"``, or ``"linear"`` (clipped) for networks
            that are trained on squared errors.
        sigma: of the targets, in px of the heatmap.
    """

    def __init__(
        self, network: nn.Module, *, decoding: str = "refined", score: str = "sigmoid", sigma: float = 1.0
    ) -> None:
        super().__init__()
        _checks.one_of("HeatmapReader", "score", score, SCORES)
        self.network, self.decoding, self.score = network, decoding, score
        self.sigma = _checks.positive("HeatmapReader", "sigma", sigma)

    @property
    def stride(self) -> int:
        """Px of the input for a pixel of the heatmap."""
        return int(self.network.stride)  # type: ignore[arg-type]

    def logits(self, value: Tensor) -> Tensor:
        """Raw outputs (N, S, K, h, w)."""
        result: Tensor = self.network(value)
        return result

    def scores(self, logits: Tensor) -> Tensor:
        """The last stack's heatmaps in [0, 1], (N, K, h, w), float32."""
        last = logits[:, -1].float()
        return last.sigmoid() if self.score == "sigmoid" else last.clamp(0.0, 1.0)

    def points(self, scores: Tensor) -> Tensor:
        """Heatmaps (N, K, h, w) to points (N, K, 2) in px of the input."""
        return to_frame(decode(scores, self.decoding)[0], self.stride)

    def targets(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Points (N, K, 2) in px of the input to the heatmaps (N, K, *size) that are to be learned; all zeros for a
        point that is missing or outside."""
        return render(from_frame(points, self.stride), size, sigma=self.sigma)

    def seen_through(self, scores: Tensor, view: Tensor) -> Tensor:
        """Heatmaps of the unwarped frame from those of a frame that was warped by ``view`` (3, 3), in px of it."""
        stride = float(self.stride)
        to_heat = torch.tensor([[1 / stride, 0, 0.5 / stride - 0.5], [0, 1 / stride, 0.5 / stride - 0.5], [0, 0, 1]])
        change = to_heat.to(view)
        back = change @ torch.linalg.inv(view) @ torch.linalg.inv(change)
        return map_heat(scores, back)

    def forward(self, value: Tensor) -> Tensor:
        return self.points(self.scores(self.logits(value))).flatten(1)
