"""The training loss of heatmap networks: a loss on heatmaps, each joint's weighted by the trust in its label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from steadfit.losses import FocalLoss, HeatmapAnchorLoss, HeatmapMSELoss, OHKMLoss
from steadfit.networks import HeatmapReader


@dataclass(frozen=True)
class HeatmapLossChoice:
    """A loss by name: how it is made, which options it takes, what turns its network's outputs into scores, and the
    largest step size of the default protocol (found on validation images of LSP; squared errors want longer steps)."""

    make: Callable[..., nn.Module]
    takes: tuple[str, ...] = ()
    score: str = "sigmoid"
    lr: float = 2e-2


HEATMAP_LOSSES = {
    "mse": HeatmapLossChoice(HeatmapMSELoss, score="linear", lr=8e-2),
    "ohkm": HeatmapLossChoice(OHKMLoss, score="linear", lr=8e-2),
    "bce": HeatmapLossChoice(partial(HeatmapAnchorLoss, 0.0)),
    "focal": HeatmapLossChoice(FocalLoss, ("gamma",)),
    "anchor": HeatmapLossChoice(HeatmapAnchorLoss, ("gamma", "margin")),
}
"""The losses for heatmaps, by the name that settings and command line use."""


class HeatmapObjective(nn.Module):
    """The loss of a batch of heatmaps: sum over stacks of sum(r l) over the pixels of the visible joints' number.

    r is the trust of each label (its weight under the noise model), so it multiplies anchor loss's modulator: a hard
    example counts more, a wrong one does not. Dividing by the number of joints and not by the sum of r keeps
    distrusted labels from raising the others' step (paper 2, eq. 7).
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, reader: HeatmapReader, logits: Tensor, points: Tensor, weight: Tensor | None = None) -> Tensor:
        """logits (B, S, K, h, w), points (B, K, 2) in px of the frame, weight (B, K); a scalar."""
        stacks, size = logits.shape[1], (logits.shape[3], logits.shape[4])
        target = reader.targets(points, size)  # (B, K, h, w)
        visible = target.flatten(2).amax(dim=2) > 0  # (B, K)
        total = self.loss(
            logits.flatten(0, 1),
            target.repeat_interleave(stacks, dim=0),
            None if weight is None else weight.repeat_interleave(stacks, dim=0),
        )
        pixels = visible.sum().clamp(min=1) * (size[0] * size[1])
        result: Tensor = total / pixels
        return result


def objective(loss: str, **options: float | None) -> HeatmapObjective:
    """The objective of a loss by name, with those of the options ``gamma``, ``margin`` that it takes and that are not
    None."""
    choice = HEATMAP_LOSSES[loss]
    given = {name: value for name, value in options.items() if name in choice.takes and value is not None}
    return HeatmapObjective(choice.make(**given, reduction="sum"))
