"""Heatmaps: one map of scores for every point, whose peak is where the point is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit._options import option
from steadfit.core.heatmaps import DECODINGS, decode, from_frame, map_heat, render, to_frame
from steadfit.losses import FocalLoss, HeatmapAnchorLoss, HeatmapMSELoss, OHKMLoss
from steadfit.outputs.base import Model, OwnLoss, Step, Trusted

SCORES = ("sigmoid", "linear")


class HeatmapReader(nn.Module):
    """A network that puts out heatmaps, read as points in px of its input.

    The points, decoded from the last stack, are what noise models, predictions and reports see. Decoding has no useful
    gradient; the network is trained through :meth:`logits`.

    Args:
        network: from (N, C, H, W) to heatmap logits (N, S, K, h, w) of S stacks, with an attribute ``stride`` (px of
            the input for a pixel of the heatmap), see :class:`~steadfit.networks.Hourglass`.
        decoding: ``how`` of :func:`steadfit.core.heatmaps.decode`.
        score: what turns a raw output into a score in [0, 1]: ``"sigmoid"``, or ``"linear"`` (clipped) for networks
            that are trained on squared errors.
        sigma: of the targets, in px of the heatmap.

    Call:
        value: (N, C, H, W), the network's input.

    Returns:
        (N, K 2), x and y of every point, in px of the input.
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
        """The length of a pixel of the heatmap in px of the input."""
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
        """The heatmaps (N, K, *size) to be learned for points (N, K, 2) in px of the input.

        All zeros for a point that is missing or outside.
        """
        return render(from_frame(points, self.stride), size, sigma=self.sigma)

    def seen_through(self, scores: Tensor, view: Tensor) -> Tensor:
        """Heatmaps of the unwarped frame from those of a frame warped by ``view`` (3, 3), in px of the frame."""
        stride = float(self.stride)
        to_heat = torch.tensor([[1 / stride, 0, 0.5 / stride - 0.5], [0, 1 / stride, 0.5 / stride - 0.5], [0, 0, 1]])
        change = to_heat.to(view)
        back = change @ torch.linalg.inv(view) @ torch.linalg.inv(change)
        return map_heat(scores, back)

    def forward(self, value: Tensor) -> Tensor:
        return self.points(self.scores(self.logits(value))).flatten(1)


@dataclass(frozen=True)
class HeatmapLossChoice:
    """A loss for heatmaps by its name.

    Args:
        make: makes the loss from a reduction and the options that it takes.
        takes: the names of these options.
        score: what turns the network's outputs into scores, as in :class:`HeatmapReader`.
        lr: the largest step of the default protocol, found on validation images of LSP; squared errors need longer
            steps.
    """

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
    """The loss of a batch of heatmaps: the sum over stacks of sum(r l) over the number of visible joints' pixels.

    r is the trust in each label (its weight under the noise model), so it multiplies anchor loss's modulator: a hard
    example counts more, a wrong one does not. Dividing by the number of joints and not by the sum of r keeps
    distrusted labels from raising the others' step (paper 2, eq. 7).

    Args:
        loss: a loss for heatmaps with the reduction ``"sum"``.

    Call:
        reader: the network.
        logits: its raw outputs (B, S, K, h, w).
        points: the labels (B, K, 2) in px of the frame.
        weight: (B, K), the trust in each label; None: 1.

    Returns:
        A scalar.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, reader: HeatmapReader, logits: Tensor, points: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss, a scalar, of logits (B, S, K, h, w) for points (B, K, 2) in px of the frame and weights (B, K)."""
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
    """The objective of a loss by its name, with the options that the loss takes and that are not None."""
    choice = HEATMAP_LOSSES[loss]
    given = {name: value for name, value in options.items() if name in choice.takes and value is not None}
    return HeatmapObjective(choice.make(**given, reduction="sum"))


@dataclass(frozen=True)
class Heatmaps(OwnLoss):
    """A heatmap for every point, trained by a loss on its pixels and read at its peak.

    The network is a :class:`HeatmapReader`; its numbers are the decoded points in px of the frame, so that noise
    models judge them as any others. A label's weight in the loss is the noise model's trust in it.

    References:
        Newell et al., ECCV 2016.
        Ryou et al., ICCV 2019, eq. 14.
    """

    name: ClassVar[str] = "heatmaps"
    needs_points: ClassVar[bool] = True

    loss: str = option("bce", "the loss on the pixels", choices=tuple(HEATMAP_LOSSES))
    gamma: float | None = option(None, "exponent of focal and anchor loss; default 2", low=0.0, high=5.0)
    margin: float | None = option(
        None,
        "anchor loss: a place that scores less than this below the right one counts as confused with it; default 0",
        low=0.0,
        high=1.0,
    )
    decoding: str = option(
        "refined",
        "how heatmaps are read: to a fraction of a pixel (refined), to a quarter (quarter), or to the pixel (argmax)",
        choices=DECODINGS,
    )
    sigma: float = option(1.0, "width of the target heatmaps in px of the heatmap", above=0.0, command_line=False)

    @property
    def choice(self) -> HeatmapLossChoice:
        """The facts about the loss."""
        return HEATMAP_LOSSES[self.loss]

    def takes(self, name: str) -> bool:
        return name not in ("gamma", "margin") or name in self.choice.takes

    def raw(self, network: nn.Module, value: Tensor) -> Tensor:
        return _reader(network).logits(value)

    def numbers(self, network: nn.Module, raw: Tensor) -> Tensor:
        reader = _reader(network)
        return reader.points(reader.scores(raw)).flatten(1)

    def start(self, network: nn.Module, points: int, dims: int) -> None:
        """Do nothing: heatmap networks start at the share of positive pixels by themselves."""

    def criterion(self, epochs: int) -> nn.Module:
        return objective(self.loss, gamma=self.gamma, margin=self.margin)

    def step(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor, labels: Trusted) -> Step:
        return self._looked(model, criterion, value, goal, labels.weight())

    def held_out(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor) -> Step:
        return self._looked(model, criterion, value, goal, None)

    def _looked(
        self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor, weight: Tensor | None
    ) -> Step:
        assert criterion is not None  # made by this class
        reader, logits = _reader(model.network), model.raw(value)
        loss = criterion(reader, logits, model.destandardize(goal).to(goal.dtype), weight)
        with torch.no_grad():
            points = reader.points(reader.scores(logits))
        return Step(model.standardize(points).flatten(1), loss)


def _reader(network: nn.Module) -> HeatmapReader:
    if not isinstance(network, HeatmapReader):
        raise TypeError(f"Heatmaps: expected the network to be a HeatmapReader, got {type(network).__name__}.")
    return network
