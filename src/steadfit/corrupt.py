"""Wrong labels on purpose: labels in, (corrupted labels, truth mask) out, seeded.

Labels are ``(N, K, D)``: N samples, K points of D coordinates (a scalar target is K = 1, D = 1), a floating tensor or
array; what comes back is of the same kind, dtype and device. A point with a NaN coordinate is not annotated: it stays
as it is and is never marked. The mask is boolean ``(N, K)``, True where a label was moved.

**A share** is exactly ``round(share * count)`` of the annotated units (Python's round: halves go to the even number),
drawn without replacement: the first of one seeded permutation. With one seed the wrong labels at .4 are therefore
among those at .6, with the same wrong values. Nothing touches the global random state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steadfit._checks import between, no_infinity

__all__ = ["g_ugo", "gaussian", "l_ugo", "ngo", "swap", "symmetric"]

Array = TypeVar("Array", Tensor, NDArray[Any])
Width = float | Tensor | NDArray[Any]

_LARGEST = float(np.finfo(np.float64).max)


def ngo(
    labels: Array, share: float, *, width: Width, seed: int = 0, mean: float = 25 / 224, std: float = 2 / 224
) -> tuple[Array, Array]:
    """Normally distributed outliers: a share of all points of all images, moved by about one length.

    d ~ Normal(mean·width, std·width), y' = y + d·e, e uniform on the unit sphere (D = 1: a random sign).

    All wrong labels lie on a ring around the truth: the hardest case for a mixture with a uniform component.

    Args:
        labels: ``(N, K, D)``, in the user's units; NaN is a missing label.
        share: in [0, 1], of all annotated points.
        width: width of the crop in the units of ``labels``, > 0; one number or one for each sample ``(N,)``.
        seed: seed of the random draws, >= 0.
        mean: mean length of a displacement over ``width``; the paper's 25 of 224 px.
        std: its standard deviation over ``width``, >= 0; the paper's 2 of 224 px.

    Returns:
        The corrupted labels ``(N, K, D)`` and the mask ``(N, K)``, True where moved.

    Raises:
        TypeError: labels that are not a floating tensor or array.
        ValueError: labels of another shape or infinite; share, width or std out of range.

    Numerics:
        Drawn in float64 on the CPU, then rounded to the labels' dtype; labels not drawn keep their bits.

    References:
        Lathuilière et al., DeepGUM, ECCV 2018, section 4.4.

    >>> import torch
    >>> moved, wrong = ngo(torch.zeros(10, 5, 2), 0.4, width=224.0, std=0.0)
    >>> int(wrong.sum()), [round(x, 4) for x in moved.norm(dim=-1)[wrong].unique().tolist()][0]
    (20, 25.0)
    """
    truth, generator = _open("ngo", labels, share, seed)
    between("ngo", "mean", mean, -_LARGEST, _LARGEST)
    between("ngo", "std", std, 0.0, _LARGEST)
    chosen = _first(_annotated(truth), share, generator)
    normal = torch.randn(truth.shape[:2], generator=generator, dtype=torch.float64)
    length = (mean + std * normal) * _width("ngo", width, len(truth))
    return _close(labels, truth + length.unsqueeze(-1) * _directions(truth, generator), chosen)


def l_ugo(labels: Array, share: float, *, width: Width, seed: int = 0) -> tuple[Array, Array]:
    """Uniform outliers by landmark: a share of all points of all images, moved by a uniform length.

    d ~ Uniform(0, width), y' = y + d·e, e uniform on the unit sphere.

    The length is uniform, not the place: wrong labels are densest near the truth, and the nearest cannot be
    distinguished from right ones. Judge recall on those moved by more than the tolerance too.

    Args:
        labels: ``(N, K, D)``, in the user's units; NaN is a missing label.
        share: in [0, 1], of all annotated points.
        width: width of the crop in the units of ``labels``, > 0; one number or one for each sample ``(N,)``.
        seed: seed of the random draws, >= 0.

    Returns:
        The corrupted labels ``(N, K, D)`` and the mask ``(N, K)``, True where moved.

    Raises:
        TypeError: labels that are not a floating tensor or array.
        ValueError: labels of another shape or infinite; share or width out of range.

    References:
        Lathuilière et al., DeepGUM, ECCV 2018, section 4.4.

    >>> import torch
    >>> moved, wrong = l_ugo(torch.zeros(10, 5, 2), 0.4, width=96.0)
    >>> int(wrong.sum()), bool((moved.norm(dim=-1) <= 96.001).all())
    (20, True)
    """
    truth, generator = _open("l_ugo", labels, share, seed)
    chosen = _first(_annotated(truth), share, generator)
    return _close(labels, _thrown("l_ugo", truth, width, generator), chosen)


def g_ugo(labels: Array, share: float, *, width: Width, seed: int = 0) -> tuple[Array, Array]:
    """Uniform outliers by image: all points of a share of the images, each moved separately as in :func:`l_ugo`.

    d ~ Uniform(0, width) for each point, y' = y + d·e, e uniform on the unit sphere.

    A wrong image has no right point left, so judging whole samples is natural here.

    Args:
        labels: ``(N, K, D)``, in the user's units; NaN is a missing label.
        share: in [0, 1], of the images with at least one annotated point.
        width: width of the crop in the units of ``labels``, > 0; one number or one for each sample ``(N,)``.
        seed: seed of the random draws, >= 0.

    Returns:
        The corrupted labels ``(N, K, D)`` and the mask ``(N, K)``, True where moved.

    Raises:
        TypeError: labels that are not a floating tensor or array.
        ValueError: labels of another shape or infinite; share or width out of range.

    References:
        Lathuilière et al., DeepGUM, ECCV 2018, section 4.4.

    >>> import torch
    >>> moved, wrong = g_ugo(torch.zeros(10, 5, 2), 0.4, width=96.0)
    >>> sorted(wrong.sum(1).tolist())
    [0, 0, 0, 0, 0, 0, 5, 5, 5, 5]
    """
    truth, generator = _open("g_ugo", labels, share, seed)
    annotated = _annotated(truth)
    images = _first(annotated.any(1), share, generator)
    return _close(labels, _thrown("g_ugo", truth, width, generator), annotated & images.unsqueeze(1))


def swap(labels: Array, share: float, *, pairs: Sequence[tuple[int, int]], seed: int = 0) -> tuple[Array, Array]:
    """Left and right confused: in a share of the samples the two points of every pair are exchanged.

    y'[left] = y[right], y'[right] = y[left].

    The commonest human error in pose data. All moved points stay plausible, so only their names reveal them.

    Args:
        labels: ``(N, K, D)``, in any unit; a pair with a missing point is left alone.
        share: in [0, 1], of the samples with at least one pair annotated in full.
        pairs: left and right index of each pair, each index at most once.
        seed: seed of the random draws, >= 0.

    Returns:
        The corrupted labels ``(N, K, D)`` and the mask ``(N, K)``, True where a point really changed position.

    Raises:
        TypeError: labels that are not a floating tensor or array.
        ValueError: labels of another shape or infinite; share out of range; pairs missing, repeated or out of range.

    >>> import torch
    >>> swap(torch.tensor([[[1.0], [2.0], [3.0]]]), 1.0, pairs=[(0, 1)])
    (tensor([[[2.],
             [1.],
             [3.]]]), tensor([[ True,  True, False]]))
    """
    truth, generator = _open("swap", labels, share, seed)
    left, right = _pairs(pairs, truth.shape[1])
    annotated = _annotated(truth)
    complete = annotated[:, left] & annotated[:, right]  # (N, P)
    chosen = complete & _first(complete.any(1), share, generator).unsqueeze(1)
    moved, touched = truth.clone(), torch.zeros_like(annotated)
    moved[:, left], moved[:, right] = truth[:, right], truth[:, left]
    touched[:, left], touched[:, right] = chosen, chosen
    return _close(labels, moved, touched)


def gaussian(labels: Array, share: float, *, std: float, seed: int = 0) -> tuple[Array, Array]:
    """Gaussian blur of the labels: a share of all points with normal noise added to every coordinate.

    y' = y + Normal(0, std²·I).

    With share 1 it is the ordinary annotator's noise, for which L2 is the right loss.

    Args:
        labels: ``(N, K, D)``, in the user's units; NaN is a missing label.
        share: in [0, 1], of all annotated points.
        std: standard deviation of the noise in the units of ``labels``, >= 0.
        seed: seed of the random draws, >= 0.

    Returns:
        The corrupted labels ``(N, K, D)`` and the mask ``(N, K)``, True where moved.

    Raises:
        TypeError: labels that are not a floating tensor or array.
        ValueError: labels of another shape or infinite; share or std out of range.

    >>> import numpy as np
    >>> moved, wrong = gaussian(np.zeros((10, 5, 2)), 0.4, std=3.0)
    >>> int(wrong.sum()), float(np.abs(moved[~wrong]).max())
    (20, 0.0)
    """
    truth, generator = _open("gaussian", labels, share, seed)
    between("gaussian", "std", std, 0.0, _LARGEST)
    chosen = _first(_annotated(truth), share, generator)
    return _close(labels, truth + std * torch.randn(truth.shape, generator=generator, dtype=torch.float64), chosen)


def symmetric(
    labels: Array, share: float, *, low: float | None = None, high: float | None = None, seed: int = 0
) -> tuple[Array, Array]:
    """Symmetric noise: a share of all points replaced by a uniform draw that does not look at the truth.

    y' ~ Uniform(low, high) in every coordinate.

    For targets such as an age, where a wrong label is any other value of the range.

    Args:
        labels: ``(N, K, D)``, in the user's units; NaN is a missing label.
        share: in [0, 1], of all annotated points.
        low: lower end of the range; None takes the smallest value of each target column.
        high: upper end of the range, >= low; None takes the largest value of each target column.
        seed: seed of the random draws, >= 0.

    Returns:
        The corrupted labels ``(N, K, D)`` and the mask ``(N, K)``, True where moved.

    Raises:
        TypeError: labels that are not a floating tensor or array.
        ValueError: labels of another shape or infinite; share out of range; low above high.

    >>> import numpy as np
    >>> moved, wrong = symmetric(np.full((100, 1, 1), 200.0), 0.3, low=0.0, high=100.0)
    >>> int(wrong.sum()), int((moved <= 100).sum())
    (30, 30)
    """
    truth, generator = _open("symmetric", labels, share, seed)
    chosen = _first(_annotated(truth), share, generator)
    lowest = _end("low", low, truth.nan_to_num(nan=torch.inf).amin(0) if len(truth) else truth.new_zeros(()))
    highest = _end("high", high, truth.nan_to_num(nan=-torch.inf).amax(0) if len(truth) else truth.new_zeros(()))
    crossed = (lowest > highest) & ~(lowest.isinf() | highest.isinf())  # a column without labels has no range
    if bool(crossed.any()):
        at = tuple(crossed.nonzero()[0].tolist())
        raise ValueError(f"symmetric: expected low <= high, got {lowest[at]:g} > {highest[at]:g}. Exchange the two.")
    uniform = torch.rand(truth.shape, generator=generator, dtype=torch.float64)
    return _close(labels, lowest + (highest - lowest) * uniform, chosen)


def _open(who: str, labels: Tensor | NDArray[Any], share: float, seed: int) -> tuple[Tensor, torch.Generator]:
    """The checked labels in float64 on the CPU, and the generator of this call."""
    if not isinstance(labels, Tensor | np.ndarray):
        raise TypeError(f"{who}: expected labels to be a tensor or an array, got {type(labels).__name__}.")
    tensor = labels.detach() if isinstance(labels, Tensor) else _from_numpy(who, labels)
    if not tensor.is_floating_point():
        raise TypeError(f"{who}: expected labels of a floating dtype, got {labels.dtype}. Convert them to float.")
    if tensor.ndim != 3:
        raise ValueError(
            f"{who}: expected labels of shape (N, K, D), got {tuple(labels.shape)}. "
            "Reshape x0, y0, x1, … to (N, K, 2), single targets to (N, K, 1)."
        )
    no_infinity(who, "labels", tensor)
    between(who, "share", share, 0.0, 1.0)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"{who}: expected seed to be an int, got {type(seed).__name__}.")
    if seed < 0:
        raise ValueError(f"{who}: expected seed >= 0, got {seed}.")
    return tensor.to("cpu", torch.float64), torch.Generator().manual_seed(int(seed))


def _from_numpy(who: str, labels: NDArray[Any]) -> Tensor:
    if not np.issubdtype(labels.dtype, np.floating):
        raise TypeError(f"{who}: expected labels of a floating dtype, got {labels.dtype}. Convert them to float.")
    return torch.from_numpy(np.array(labels, dtype=np.float64))


def _close(labels: Array, moved: Tensor, chosen: Tensor) -> tuple[Array, Array]:
    """The labels with the chosen points replaced, and which of these really moved, in the kind of the labels."""
    if isinstance(labels, Tensor):
        place = chosen.to(labels.device)
        out = torch.where(place.unsqueeze(-1), moved.to(labels.dtype).to(labels.device), labels.detach())
        return out, place & (out != labels).any(-1)
    mask = chosen.numpy()
    corrupted = np.where(mask[..., None], moved.numpy().astype(labels.dtype), labels)
    return corrupted, mask & (corrupted != labels).any(-1)


def _annotated(truth: Tensor) -> Tensor:
    return ~truth.isnan().any(-1)  # (N, K)


def _first(units: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The first round(share * count) of a permutation of the True units."""
    where = units.flatten().nonzero().squeeze(1)
    order = where[torch.randperm(len(where), generator=generator)]
    chosen = torch.zeros(units.numel(), dtype=torch.bool)
    chosen[order[: round(share * len(where))]] = True
    return chosen.view(units.shape)


def _directions(truth: Tensor, generator: torch.Generator) -> Tensor:
    """Unit vectors, uniform on the sphere of D dimensions: normals over their length; for D = 1 exactly -1 or 1."""
    normal = torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    if truth.shape[-1] == 1:
        return torch.where(normal < 0, -1.0, 1.0).to(normal)
    length = normal.square().sum(-1, keepdim=True).sqrt()
    return normal / length.clamp_min(torch.finfo(torch.float64).tiny)


def _thrown(who: str, truth: Tensor, width: Width, generator: torch.Generator) -> Tensor:
    """All points moved by a uniform length in a uniform direction."""
    uniform = torch.rand(truth.shape[:2], generator=generator, dtype=torch.float64)
    length = uniform * _width(who, width, len(truth))
    return truth + length.unsqueeze(-1) * _directions(truth, generator)


def _width(who: str, width: Width, samples: int) -> Tensor:
    """Widths as (N, 1) or a scalar, checked."""
    value = torch.as_tensor(width).detach().to("cpu", torch.float64)
    if value.shape not in ((), (samples,)):
        raise ValueError(f"{who}: expected width to be a number or ({samples},), got shape {tuple(value.shape)}.")
    bad = ~(value.isfinite() & (value > 0))
    if bool(bad.any()):
        raise ValueError(
            f"{who}: expected width > 0 and finite, got {int(bad.sum())} that are not, "
            f"the first {float(value[bad].flatten()[0])}. Give the width of the crop in the labels' units."
        )
    return value.unsqueeze(-1) if value.ndim else value


def _end(name: str, value: float | None, default: Tensor) -> Tensor:
    """One end of the range of :func:`symmetric`: the user's number, or the data's."""
    if value is None:
        return default
    return torch.full_like(default, between("symmetric", name, value, -_LARGEST, _LARGEST))


def _pairs(pairs: Sequence[tuple[int, int]], points: int) -> tuple[list[int], list[int]]:
    """Left and right indices, checked."""
    if len(pairs) == 0:
        raise ValueError("swap: expected at least one (left, right) pair, got none. Name the mirror pairs.")
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"swap: expected pairs of two indices, got {next(p for p in pairs if len(p) != 2)!r}.")
    flat = [int(index) for pair in pairs for index in pair]
    outside = [index for index in flat if not 0 <= index < points]
    if outside:
        raise ValueError(f"swap: expected indices in [0, {points - 1}], got {outside[0]}. Indices start at 0.")
    if len(set(flat)) < len(flat):
        twice = next(index for index in flat if flat.count(index) > 1)
        raise ValueError(f"swap: expected each index in one pair, got {twice} more than once. Remove a pair.")
    return flat[0::2], flat[1::2]
