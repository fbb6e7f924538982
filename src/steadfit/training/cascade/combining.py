"""The points of several regions combined: averaged where crops overlap, fused where distributions are predicted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steadfit.data import Region
from steadfit.training.predictor import Located, fused


def combined(coarse: Located, fine: Sequence[Located], regions: Sequence[Region]) -> Located:
    """One estimate per point.

        y_k = mean of the estimates of the regions that contain k

    Where all fine stages predict distributions of one family, y_k is the mode of their product instead, with its
    precision (:func:`steadfit.fuse`). This assumes independent estimates, which those of crops of one image are not
    quite. A point in no region keeps the first stage's estimate, and its distribution where it is of the same family.
    So does a point for which no region gave a finite number.

    Args:
        coarse: the first stage's estimates of K points of B samples, in px of the stored images.
        fine: each region's estimates of its own points, in px of the stored images.
        regions: which points these are.

    Returns:
        K points; roots are NaN where a point has no distribution.

    References:
        Belagiannis et al., ICCV 2015, has a cascade of three crops; averaging is our reconstruction, and fusing is
        ours.
    """
    families = {None if one.root is None else one.penalty for one in fine}
    shared = families.pop() if len(families) == 1 else None
    points = coarse.mean.shape[1]
    looks = [_spread(one, region, points, bool(shared)) for one, region in zip(fine, regions, strict=True)]
    found = fused(looks)
    seen = found.mean.isfinite().all(dim=-1)  # (B, K)
    mean = torch.where(seen[..., None], found.mean, coarse.mean.double())
    if shared is None or found.root is None:
        return Located(mean)
    same = coarse.root is not None and coarse.penalty == shared
    first = coarse.root.double() if same and coarse.root is not None else torch.full_like(found.root, torch.nan)
    return Located(mean, torch.where(seen[..., None, None], found.root, first), shared)


def _spread(one: Located, region: Region, points: int, with_roots: bool) -> Located:
    """A region's points in their places among all points, NaN elsewhere and where they are not finite."""
    place = list(region.points)
    mean = torch.where(one.mean.isfinite().all(dim=-1, keepdim=True), one.mean.double(), torch.nan)
    root = _placed(one.root.double(), place, points) if with_roots and one.root is not None else None
    return Located(_placed(mean, place, points), root, one.penalty if with_roots else None)


def _placed(value: Tensor, place: list[int], points: int) -> Tensor:
    """(B, n, …) at n of K places, (B, K, …)."""
    whole = value.new_full((len(value), points, *value.shape[2:]), torch.nan)
    whole[:, place] = value
    return whole
