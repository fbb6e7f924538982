"""The predictor: from raw inputs to positions and distributions in the user's units, through one view or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from steadfit.core.fusion import fuse
from steadfit.core.heatmaps import peaks
from steadfit.core.linalg.small import multiply
from steadfit.core.linalg.spd import spd_sqrt
from steadfit.core.penalties import Penalty
from steadfit.core.views import map_view
from steadfit.data import Frame, inverse, map_points, warp_frames
from steadfit.outputs import HeatmapReader
from steadfit.training.regressor import Regressor
from steadfit.training.views import mirrors


@dataclass(frozen=True)
class Located:
    """The positions of the targets of B samples.

    Args:
        mean: (B, K, D).
        root: (B, K, D, D), A of the predicted distributions; None for positions only.
        penalty: rho of these distributions; None for positions only.
        peaks: (B, K), the number of peaks of each heatmap; None where there are no heatmaps.
    """

    mean: Tensor
    root: Tensor | None = None
    penalty: Penalty | None = None
    peaks: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Located], points: int, dims: int) -> Located:
        """Several batches as one.

        Args:
            parts: the batches.
            points: K, for no batch at all.
            dims: D, for no batch at all.
        """
        if not parts:
            return cls(torch.zeros(0, points, dims, dtype=torch.float64))
        roots = [part.root for part in parts if part.root is not None]
        counts = [part.peaks for part in parts if part.peaks is not None]
        return cls(
            torch.cat([part.mean for part in parts]),
            torch.cat(roots) if roots else None,
            parts[0].penalty,
            torch.cat(counts) if counts else None,
        )


class Predictor(nn.Module):
    """From raw pixels or features to the mean and the covariance of every target, in the user's units.

    Args:
        regressor: the trained network with its scalings.
        views: further 3x3 maps of the frame through which the network looks; each prediction is mapped back and all are
            fused at their joint mode (positions are averaged, and so are heatmaps before they are read). Empty: the
            frame alone.
        permutation: where left and right points go in a view that mirrors; None without pairs.
    """

    def __init__(
        self, regressor: Regressor, views: Sequence[Tensor] = (), permutation: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.regressor, self.views = regressor, tuple(views)
        self.permutation = None if permutation is None else tuple(permutation)

    def forward(self, value: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor | None]:
        """Predict means and covariances.

        Args:
            value: uint8 images (B, C, H, W) in the network's frame, or features (B, F).
            scale: (B, D), the scale of the map from the user's units to the frame, ``frame = user * scale + shift``.
            shift: (B, D), the shift of that map.

        Returns:
            Mean (B, K, D) and covariance (B, K, D, D), which is None where only positions are predicted.
        """
        found = self.locate(value, Frame(scale, shift))
        if found.root is None or found.penalty is None:
            return found.mean, None
        precision = found.root @ found.root
        return found.mean, found.penalty.covariance_factor(found.mean.shape[-1]) * torch.linalg.inv(precision)

    @torch.no_grad()
    def locate(self, value: Tensor, frame: Frame) -> Located:
        """Predict means, roots of the distributions and numbers of peaks.

        Args:
            value: uint8 images (B, C, H, W) in the network's frame, or features (B, F).
            frame: the frames of these B samples.
        """
        return to_user(self.in_frame(value), frame)

    def in_frame(self, value: Tensor) -> Located:
        """The prediction of all views together, in the coordinates of the network's frame."""
        if isinstance(self.regressor.network, HeatmapReader):
            return read_heatmaps(self.score_maps(value), self.regressor.network)
        found = in_frame(self.regressor, self.regressor(value))
        return fused([found, *(self._through(value, view) for view in self.views)]) if self.views else found

    @torch.no_grad()
    def score_maps(self, value: Tensor) -> Tensor:
        """Heatmaps (B, K, h, w) in [0, 1] of a heatmap network; those of further views are mapped back and averaged.

        References:
            Ryou et al., ICCV 2019, section 4.2 (six scales with flipping).
        """
        reader = self.regressor.network
        assert isinstance(reader, HeatmapReader)
        total = reader.scores(self.regressor.raw(value))
        for view in self.views:
            back = reader.seen_through(reader.scores(self.regressor.raw(warp_frames(value, view))), view)
            total = total + self._exchanged(back, view)
        return total / (1 + len(self.views))

    def _through(self, value: Tensor, view: Tensor) -> Located:
        """Predict through a map of the frame, and map the prediction back."""
        seen = in_frame(self.regressor, self.regressor(warp_frames(value, view)))
        back, mean, root = inverse(view), seen.mean.double(), seen.root
        if root is None:
            return Located(self._exchanged(map_points(back, mean), view))
        mean, root = map_view(mean, root, back)
        return Located(self._exchanged(mean, view), self._exchanged(root, view), seen.penalty)

    def _exchanged(self, value: Tensor, view: Tensor) -> Tensor:
        """(B, K, …) with left and right points exchanged where the view mirrors."""
        return value[:, list(self.permutation)] if self.permutation is not None and mirrors(view) else value


def read_heatmaps(scores: Tensor, reader: HeatmapReader) -> Located:
    """Heatmaps (B, K, h, w) as points in px of the frame, with their numbers of peaks."""
    return Located(reader.points(scores), peaks=peaks(scores)[0])


def to_user(found: Located, frame: Frame) -> Located:
    """Map from the coordinates of the frame to the user's."""
    linear = torch.diag_embed(frame.scale)[:, None]  # (B, 1, D, D)
    root = None if found.root is None else change(found.root, linear)
    return replace(found, mean=frame.to_user(found.mean), root=root)


def in_frame(regressor: Regressor, numbers: Tensor) -> Located:
    """The network's numbers (B, P) as positions and distributions in the coordinates of its frame."""
    output, dims = regressor.output, regressor.dims
    found = output.distribution(numbers.double(), dims)
    if found is None:
        return Located(regressor.destandardize(output.prediction(numbers, dims)))
    center, scale = regressor.center.double(), regressor.scale.double()
    mean = multiply(scale, found.mean) + center
    return Located(mean, change(found.root, torch.linalg.inv(scale)), found.penalty)


def change(root: Tensor, linear: Tensor) -> Tensor:
    """Roots after a change of coordinates: where z = M y + const has root A, y has (M^T A^2 M)^(1/2), symmetric.

    Args:
        root: A, (..., D, D).
        linear: M, (..., D, D), invertible.
    """
    half = root @ linear
    return spd_sqrt(half.transpose(-2, -1) @ half)


def fused(found: Sequence[Located]) -> Located:
    """Several predictions of the same points as one: the joint mode of distributions, the mean of positions.

    A prediction without a point has NaN there; the result is NaN where none has it.
    """
    means, penalty = torch.stack([one.mean.double() for one in found]), found[0].penalty
    roots = [one.root for one in found if one.root is not None]
    if penalty is None:
        return Located(means.nanmean(dim=0))
    # resolution 1: two Laplace views meet at the mode of one, whose weight is infinite there
    mode, precision = fuse(means, torch.stack(roots), penalty, location="mu", resolution=1.0)
    return Located(mode, spd_sqrt(precision), penalty)
