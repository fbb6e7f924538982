"""Heatmaps of points, and the points that heatmaps show.

A heatmap scores every pixel of a coarse grid as a point's place. Pixels: the centre of the first one is (0, 0), here
as in images; a pixel of the heatmap is ``stride`` px of the frame long. Maps are (..., h, w), points (..., 2) as x, y.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from steadfit import _checks
from steadfit.core.subpixel import newton_place, quarter_shift

DECODINGS = ("refined", "quarter", "argmax")
"""How :func:`decode` places a point within the highest pixel."""

REACH = 3.0
"""Targets end this many sigmas from their point."""

_CUT = math.exp(-(REACH**2) / 2)


def from_frame(points: Tensor, stride: float) -> Tensor:
    """Points in px of the frame to px of the heatmap: x' = (x + 1/2) / stride - 1/2.

    >>> from_frame(torch.tensor([[1.5, 7.0]]), 4).tolist()
    [[0.0, 1.375]]
    """
    return (points + 0.5) / stride - 0.5


def to_frame(points: Tensor, stride: float) -> Tensor:
    """Points in px of the heatmap to px of the frame: x = (x' + 1/2) stride - 1/2.

    >>> to_frame(torch.tensor([[0.0, 1.375]]), 4).tolist()
    [[1.5, 7.0]]
    """
    return (points + 0.5) * stride - 0.5


def render(points: Tensor, size: tuple[int, int], *, sigma: float = 1.0) -> Tensor:
    """Target heatmaps: a Gaussian of height 1 about every point, exactly 0 beyond three sigmas.

    p(i) = exp(-||i - x||²/(2 sigma²)) where ||i - x|| <= 3 sigma, else 0

    The centre is the point itself, not the pixel next to it, so that :func:`decode` finds it again to rounding.

    Args:
        points: (..., 2) in px of the heatmap; NaN = missing.
        size: (h, w) in px.
        sigma: in px, > 0. From .61 on, 1/(2 sqrt(ln 2)) rounded up, a point in the map, which may lie anywhere within
            half a pixel of a centre, has a pixel above 1/2.

    Returns:
        (..., h, w) in [0, 1], in the points' dtype. All zero for a point that is missing, or farther outside than
        three sigmas; one that is nearer leaves the part of its Gaussian that is inside.

    Raises:
        TypeError: points that are not a floating-point tensor.
        ValueError: points without two coordinates, sigma or a side that isn't positive.

    Numerics:
        A product of one factor per axis. Pixels within a relative 1e-6 of the edge may fall on either side.

    References:
        Newell et al., ECCV 2016 (one pixel at 64 x 64).
        Ryou et al., ICCV 2019, eq. 3 (zeros outside).
        Zhang et al., CVPR 2020, "Coordinate Encoding" (centres that are not rounded).

    >>> render(torch.tensor([[1.0, 0.0]]), (1, 6), sigma=1.0).mul(1e4).round().int().tolist()
    [[[6065, 10000, 6065, 1353, 111, 0]]]
    """
    _checks.floating("render", "points", points)
    if points.dim() == 0 or points.shape[-1] != 2:
        raise ValueError(f"render: expected points (..., 2), got {tuple(points.shape)}.")
    sigma = _checks.positive("render", "sigma", sigma)
    if min(size) < 1:
        raise ValueError(f"render: expected size >= 1, got {tuple(size)}.")
    across, down = (_profile(points[..., axis, None], size[1 - axis], sigma) for axis in (0, 1))
    heat = down.unsqueeze(-1) * across.unsqueeze(-2)  # (..., h, w)
    return F.threshold(heat, _CUT * (1 - 1e-6), 0.0)


def _profile(centre: Tensor, length: int, sigma: float) -> Tensor:
    """exp(-(i - c)²/(2 sigma²)) for i = 0 ... length - 1, centre (..., 1); 0 for NaN."""
    step = (torch.arange(length, dtype=centre.dtype, device=centre.device) - centre) / sigma
    return step.square().mul(-0.5).exp().nan_to_num(0.0)


def decode(heat: Tensor, how: str = "refined", *, smooth: float = 0.0) -> tuple[Tensor, Tensor]:
    """The point that each heatmap shows, and how high the map is there.

    argmax   x = m, the centre of the highest pixel
    quarter  x = m + sign(p(m + e) - p(m - e))/4 along each axis e: towards the higher neighbour
    refined  x = c - H⁻¹ g, with g and H the central differences of log p over the 3 x 3 pixels about c

    The logarithm of a Gaussian is a quadratic, whose top one Newton step finds from anywhere: what :func:`render` made
    is read to rounding. c is m, at the border the next pixel inside, from where the step is exact as well.

    Args:
        heat: (..., h, w), scores of any scale. ``refined`` takes their logarithm: give it the sigmoid of logits.
        how: one of :data:`DECODINGS`.
        smooth: for ``refined``, the sigma in px of a Gaussian that is laid over the map before the logarithm; 0 for
            none. It calms a ragged map. m is that of the map as it is.

    Returns:
        Points (..., 2) in px of the heatmap and scores (...), the map's highest value; NaN points for a map whose
        highest value is NaN or infinite. The caller decides whether a map is high enough to show a point at all.

    Raises:
        TypeError: heat that is not a floating-point tensor.
        ValueError: maps without pixels, another ``how``, a negative ``smooth``.

    Numerics:
        Finite for every finite map. Of equal values the first in reading order is the highest pixel: a constant map
        gives (0, 0). ``quarter``: no shift along an axis where m is at the border or its neighbours are equal.
        ``refined``: values count as exp(-4.5) of the highest at least, where targets end; unless H is negative definite
        each axis is taken alone, and one that isn't concave keeps m; nothing moves more than a pixel from m along an
        axis. At the border an axis with a pixel below exp(-4.5) keeps m, and diagonals with one are not looked at: the
        answer is nowhere worse than argmax's. A map that is nowhere above 0 gives m, and so does one with fewer than
        three pixels along a side. The pixels looked at are within three sigmas of a rendered point, and the answer
        exact, for sigma >= .71 px, at the border .98.

    References:
        Newell et al., ECCV 2016 (quarter).
        Zhang et al., CVPR 2020, "Coordinate Decoding" (refined).

    >>> heat = render(torch.tensor([[3.3, 2.6]], dtype=torch.float64), (6, 8))
    >>> [decode(heat, how)[0].round(decimals=6).tolist() for how in DECODINGS]
    [[[3.3, 2.6]], [[3.25, 2.75]], [[3.0, 3.0]]]
    """
    _maps("decode", heat)
    _checks.one_of("decode", "how", how, DECODINGS)
    smooth = _checks.between("decode", "smooth", smooth, 0.0, math.inf)
    peak, index = heat.flatten(-2).max(dim=-1)
    top = torch.stack([index % heat.shape[-1], index // heat.shape[-1]], dim=-1)  # (..., 2)
    points = top.to(heat.dtype)
    if how == "quarter":
        points = points + quarter_shift(heat, top)
    elif how == "refined" and min(heat.shape[-2:]) >= 3:
        points = newton_place(_smoothed(heat, smooth) if smooth > 0 else heat, top, floor=_CUT)
    return points.where(peak.isfinite().unsqueeze(-1), torch.nan), peak


def _smoothed(heat: Tensor, sigma: float) -> Tensor:
    """Weighted means with Gaussian weights, over the pixels inside the map."""
    down, across = (_profile(torch.arange(n).to(heat).unsqueeze(-1), n, sigma) for n in heat.shape[-2:])
    down, across = down / down.sum(dim=-1, keepdim=True), across / across.sum(dim=-1, keepdim=True)
    return down @ heat @ across.mT


def peaks(heat: Tensor, *, share: float = 0.5, apart: float = 3.0) -> tuple[Tensor, Tensor]:
    """The number of places that each heatmap points at: with more than one a joint is counted double.

    A peak is a pixel that is higher than its eight neighbours, at least ``share`` times as high as the highest one,
    and farther than ``apart`` from every higher such pixel.

    Args:
        heat: (..., h, w), scores in proportion to a probability: the sigmoid of logits.
        share: in [0, 1], relative to the highest value.
        apart: in px of the heatmap, >= 0; three sigmas of the targets by default (sigma = 1).

    Returns:
        The number of peaks (...), int64: 0 for a map that is nowhere above 0 or has NaN as its highest value. The
        centres (..., 2, 2) of the highest and the second one's pixels, x and y in px; NaN for a peak that does not
        exist.

    Raises:
        TypeError: heat that is not a floating-point tensor.
        ValueError: maps without pixels, ``share`` or ``apart`` outside of their range.

    Numerics:
        Comparisons only. Of equal values the first in reading order counts as the higher one: a plateau is one peak,
        unless it has several tops that are farther apart. Time and memory grow with the square of the number of
        candidates in the busiest map.

    References:
        Ryou et al., ICCV 2019, section 4.2, "Double-counting" (the rule is ours).

    >>> heat = torch.tensor([[[0.0, 0.9, 0.1, 0.0, 0.1, 0.5]]])
    >>> count, place = peaks(heat, apart=2)
    >>> count.tolist(), place.tolist()
    ([2], [[[1.0, 0.0], [5.0, 0.0]]])
    """
    _maps("peaks", heat)
    share = _checks.between("peaks", "share", share, 0.0, 1.0)
    apart = _checks.between("peaks", "apart", apart, 0.0, math.inf)
    shape = heat.shape[:-2]
    value, place = _candidates(heat.reshape(shape.numel(), *heat.shape[-2:]), share)
    distance = torch.linalg.vector_norm(place.unsqueeze(-2) - place.unsqueeze(-3), dim=-1)  # (M, n, n)
    near = (distance <= apart).tril(diagonal=-1).any(dim=-1)  # a higher peak is near
    found = (value > 0) & ~near
    order = (~found).int().argsort(dim=-1, stable=True)[:, :2]
    two = place.gather(-2, order.unsqueeze(-1).expand(-1, -1, 2))
    two = two.where(found.gather(-1, order).unsqueeze(-1), torch.nan)
    return found.sum(dim=-1).view(shape), two.view(*shape, 2, 2)


def _candidates(heat: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Local maxima of maps (M, h, w): values (M, n), falling, then 0 where a map has fewer, and places (M, n, 2)."""
    height, width = heat.shape[-2:]
    padded = F.pad(heat, (1, 1, 1, 1), value=-math.inf)
    near = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]  # in reading order
    before, after = torch.stack(near[:4]).amax(dim=0), torch.stack(near[5:]).amax(dim=0)
    enough = heat >= share * heat.amax(dim=(-2, -1), keepdim=True)
    local = (enough & (heat > before) & (heat >= after)).flatten(1)
    n = max([2, *local.sum(dim=-1).tolist()])
    value = F.pad(heat.flatten(1).where(local, 0.0), (0, 1))  # at least two pixels
    value, index = (part[:, :n] for part in value.sort(dim=-1, descending=True, stable=True))
    return value, torch.stack([index % width, index // width], dim=-1).to(heat.dtype)


def map_heat(heat: Tensor, matrix: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Heatmaps resampled under maps of their plane: brings those of several views of a frame to one grid.

    heat'(x') = heat(M⁻¹ x'), bilinear between the four nearest pixels, 0 outside

    A point shown at x is then shown at M x; the values are scores and are not rescaled. To combine views, average their
    resampled heatmaps and decode the average.

    Args:
        heat: (B, K, h, w).
        matrix: (3, 3) for all heatmaps, or (B, 3, 3), in px of the heatmap, on any device. A map T of the frame is C T
            C⁻¹ here, with C that of :func:`from_frame`.
        size: (h', w') of the result; None: (h, w).

    Returns:
        (B, K, h', w') in the heatmaps' dtype. 0 at and behind the map's horizon.

    Raises:
        TypeError: heat or matrix that is not a floating-point tensor.
        ValueError: other shapes, a singular matrix.

    Numerics:
        Positions are computed in float64 and rounded once to the heatmaps' dtype: 1e-5 px in float32 at 64 px.

    >>> mirror = torch.tensor([[-1.0, 0.0, 3.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> map_heat(torch.tensor([[[[0.0, 1.0, 2.0, 3.0]]]]), mirror).tolist()
    [[[[3.0, 2.0, 1.0, 0.0]]]]
    """
    _maps("map_heat", heat)
    _checks.floating("map_heat", "matrix", matrix)
    if heat.dim() != 4:
        raise ValueError(f"map_heat: expected heatmaps (B, K, h, w), got {tuple(heat.shape)}.")
    if matrix.shape not in ((3, 3), (len(heat), 3, 3)):
        raise ValueError(f"map_heat: expected matrix (3, 3) or ({len(heat)}, 3, 3), got {tuple(matrix.shape)}.")
    height, width = heat.shape[-2:] if size is None else size
    back, info = torch.linalg.inv_ex(matrix.to(torch.float64).reshape(-1, 3, 3))
    if not torch.compiler.is_compiling() and bool((info != 0).any()):
        raise ValueError(f"map_heat: expected invertible matrices, got {int((info != 0).sum())} singular ones.")
    grid = _grid(back, (height, width), (heat.shape[-2], heat.shape[-1])).to(heat)
    return F.grid_sample(heat, grid.expand(len(heat), -1, -1, -1), "bilinear", "zeros", align_corners=False)


def _grid(back: Tensor, size: tuple[int, int], source: tuple[int, int]) -> Tensor:
    """Where the pixels of size lie in maps of another size, (B, *size, 2), in grid_sample's units: (2 x + 1)/w - 1."""
    rows, columns = (torch.arange(n, dtype=back.dtype, device=back.device) for n in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # (*size, 3)
    u, v, w = (pixels @ back.mT.unsqueeze(-3)).unbind(dim=-1)  # each (B, *size)
    ahead = w > 0
    places = []
    for along, length in ((u, source[1]), (v, source[0])):
        place = torch.where(ahead, along / torch.where(ahead, w, 1.0), -2.0)
        place = place.clamp(-2.0, length + 1.0)  # nothing is left a pixel outside, and far ones overflow
        places.append((2 * place + 1) / length - 1)
    return torch.stack(places, dim=-1)


def _maps(who: str, heat: Tensor) -> None:
    _checks.floating(who, "heat", heat)
    if heat.dim() < 2 or 0 in heat.shape[-2:]:
        raise ValueError(f"{who}: expected heatmaps (..., h, w) with pixels, got {tuple(heat.shape)}.")
