"""From inputs to positions and distributions in the user's units, with test-time augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.elliptical import multiply
from steadfit.core.fusion import fuse
from steadfit.core.heatmaps import peaks
from steadfit.core.penalties import Penalty
from steadfit.core.spd import spd_sqrt
from steadfit.core.views import map_view
from steadfit.data import Frame, inverse, map_points, mirror_frame, warp_frames
from steadfit.data.images.files import frame_size
from steadfit.networks import HeatmapReader
from steadfit.noise import NoiseModel
from steadfit.training.module import Regressor


@dataclass(frozen=True)
class Located:
    """Where the targets of B samples are: means (B, K, D); of distributions also the roots A (B, K, D, D) and rho; of
    heatmaps the number of their peaks (B, K)."""

    mean: Tensor
    root: Tensor | None = None
    penalty: Penalty | None = None
    peaks: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Located], points: int, dims: int) -> Located:
        """Several batches as one."""
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


@torch.no_grad()
def locate(
    regressor: Regressor,
    noise: NoiseModel,
    inputs: Tensor,
    frame: Frame,
    *,
    views: Sequence[Tensor] = (),
    permutation: Sequence[int] | None = None,
) -> Located:
    """Predict in the user's units.

    Args:
        inputs: (B, C, H, W) uint8 in the network's frame, or features (B, F). frame: the frames of these B samples.
        views: further 3x3 maps of the frame to look through; each prediction is mapped back and all are fused at their
            joint mode (without distributions: averaged). Empty: the frame alone.
        permutation: where left and right points go in a view that mirrors.
    """
    if isinstance(regressor.network, HeatmapReader):
        return to_user(read_heatmaps(regressor, inputs, views=views, permutation=permutation), frame)
    found = in_frame(regressor, noise, regressor(inputs))
    if views:
        seen = [_through(regressor, noise, inputs, view, permutation) for view in views]
        found = fused([found, *seen])
    return to_user(found, frame)


def read_heatmaps(
    regressor: Regressor, inputs: Tensor, *, views: Sequence[Tensor] = (), permutation: Sequence[int] | None = None
) -> Located:
    """What a heatmap network says, in the coordinates of its frame."""
    scores = score_maps(regressor, inputs, views=views, permutation=permutation)
    return Located(regressor.reader.points(scores), peaks=peaks(scores)[0])


@torch.no_grad()
def score_maps(
    regressor: Regressor, inputs: Tensor, *, views: Sequence[Tensor] = (), permutation: Sequence[int] | None = None
) -> Tensor:
    """The heatmaps (B, K, h, w) in [0, 1] of a heatmap network; those of further views are brought back, averaged in.

    References: Ryou et al., ICCV 2019, section 4.2 (six scales with flipping).
    """
    reader = regressor.reader
    total = reader.scores(regressor.logits(inputs))
    for view in views:
        seen = reader.scores(regressor.logits(warp_frames(inputs, view)))
        back = reader.seen_through(seen, view)
        total = total + (back[:, list(permutation)] if _mirrors(view) and permutation is not None else back)
    return total / (1 + len(views))


def _mirrors(view: Tensor) -> bool:
    return bool(torch.linalg.det(view[:2, :2]) < 0)


def to_user(found: Located, frame: Frame) -> Located:
    """From the coordinates of the frame to the user's."""
    linear = torch.diag_embed(frame.scale)[:, None]  # (B, 1, D, D)
    root = None if found.root is None else change(found.root, linear)
    return replace(found, mean=frame.to_user(found.mean), root=root)


def in_frame(regressor: Regressor, noise: NoiseModel, output: Tensor) -> Located:
    """What the network's output (B, n_outputs) says, in the coordinates of its frame."""
    dims = regressor.center.shape[1]
    found = noise.distribution(output.double(), dims)
    if found is None:
        return Located(regressor.destandardize(noise.prediction(output, dims)))
    center, scale = regressor.center.double(), regressor.scale.double()
    mean = multiply(scale, found.mean) + center
    return Located(mean, change(found.root, torch.linalg.inv(scale)), found.penalty)


def change(root: Tensor, linear: Tensor) -> Tensor:
    """Roots after a change of coordinates: where z = M y + const has root A, y has (M^T A^2 M)^(1/2), symmetric.

    Args: root: (..., D, D). linear: M, (..., D, D), invertible.
    """
    half = root @ linear
    return spd_sqrt(half.transpose(-2, -1) @ half)


def _through(
    regressor: Regressor, noise: NoiseModel, inputs: Tensor, view: Tensor, permutation: Sequence[int] | None
) -> Located:
    """Predict what is seen through a map of the frame, and map it back."""
    seen = in_frame(regressor, noise, regressor(warp_frames(inputs, view)))
    back, mean, root = inverse(view), seen.mean.double(), seen.root
    if root is None:
        mean = map_points(back, mean)
    else:
        mean, root = map_view(mean, root, back)
    if _mirrors(view) and permutation is not None:
        order = list(permutation)
        mean, root = mean[:, order], None if root is None else root[:, order]
    return Located(mean, root, seen.penalty)


def fused(found: Sequence[Located]) -> Located:
    """Several looks at the same points as one: the joint mode of distributions, the mean of positions. A look that does
    not have a point has NaN there; NaN where none has it."""
    means, penalty = torch.stack([one.mean.double() for one in found]), found[0].penalty
    roots = [one.root for one in found if one.root is not None]
    if penalty is None:
        return Located(means.nanmean(dim=0))
    # resolution 1: two Laplace views meet at the mode of one, whose weight is infinite there
    mode, precision = fuse(means, torch.stack(roots), penalty, location="mu", resolution=1.0)
    return Located(mode, spd_sqrt(precision), penalty)


SCALES = (0.8, 0.9, 1.1, 1.2, 1.3)
"""The further scales of ``"scales"``; with the frame itself six, as paper 4 has (it does not say which)."""


def views_of(views: Sequence[str | Tensor], size: int | tuple[int, int]) -> list[Tensor]:
    """3x3 maps of the frame of ``size`` px, its side or (height, width), in float64, beside the frame itself.

    Args:
        views: ``"mirror"``, ``"scales"`` (about the centre; with ``"mirror"`` each of them mirrored too), or matrices.
    """
    named = [view for view in views if isinstance(view, str)]
    for name in named:
        _checks.one_of("predict", "view", name, VIEWS)
    scaled = [scale_frame(size, factor) for factor in SCALES] if "scales" in named else []
    flip = mirror_frame(frame_size(size)[1])
    mirrored = [flip, *(view @ flip for view in scaled)] if "mirror" in named else []
    return [*scaled, *mirrored, *(_matrix(view) for view in views if isinstance(view, Tensor))]


VIEWS = ("mirror", "scales")


def scale_frame(size: int | tuple[int, int], factor: float) -> Tensor:
    """The map of a frame of ``size`` px, its side or (height, width), that enlarges it about its centre."""
    down, right = ((1 - factor) * (side - 1) / 2 for side in frame_size(size))
    return torch.tensor([[factor, 0.0, right], [0.0, factor, down], [0.0, 0.0, 1.0]], dtype=torch.float64)


def _matrix(view: Tensor) -> Tensor:
    if view.shape != (3, 3) or not bool(torch.linalg.det(view.double()) != 0):
        raise ValueError(f"predict: expected a view as an invertible 3x3 matrix, got shape {tuple(view.shape)}.")
    return view.double()
