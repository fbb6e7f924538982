"""Plane projective maps as 3x3 matrices, which are built, composed, and applied to points.

A matrix M takes the point (x, y) to (u / w, v / w), where (u, v, w) = M (x, y, 1). Pixels: the centre of the first
pixel is (0, 0). Matrices are (..., 3, 3) tensors; those built here are float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steadfit.core.views import apply_map, project

_DTYPE = torch.float64


def translation(offset: Tensor) -> Tensor:
    """x' = x + offset, for offsets (..., 2) in px."""
    matrix = _identity(offset.shape[:-1])
    matrix[..., :2, 2] = offset
    return matrix


def scaling(factor: Tensor) -> Tensor:
    """x' = factor * x, with factors (..., 2), one per axis."""
    matrix = _identity(factor.shape[:-1])
    matrix[..., 0, 0], matrix[..., 1, 1] = factor[..., 0], factor[..., 1]
    return matrix


def rotation(degrees: Tensor) -> Tensor:
    """Rotation by angles (...) about the origin, from the x axis (right) towards the y axis (down).

    >>> map_points(rotation(torch.tensor(90.0)), torch.tensor([[1.0, 0.0]])).round(decimals=6).tolist()
    [[0.0, 1.0]]
    """
    angle = torch.deg2rad(degrees.to(_DTYPE))
    matrix = _identity(angle.shape)
    matrix[..., 0, 0] = matrix[..., 1, 1] = angle.cos()
    matrix[..., 1, 0] = angle.sin()
    matrix[..., 0, 1] = -matrix[..., 1, 0]
    return matrix


def perspective(strength: Tensor) -> Tensor:
    """x' = x / (1 + strength · x), with strengths (..., 2) per px.

    Points where the denominator is not positive are behind the horizon.
    """
    matrix = _identity(strength.shape[:-1])
    matrix[..., 2, :2] = strength
    return matrix


def about(matrix: Tensor, centre: Tensor) -> Tensor:
    """The same map with its origin at a centre (2,) in px.

    >>> half_turn = about(rotation(torch.tensor(180.0)), torch.tensor([1.0, 1.0]))
    >>> map_points(half_turn, torch.tensor([[2.0, 1.0]])).round(decimals=6).tolist()
    [[0.0, 1.0]]
    """
    return compose(translation(-centre), matrix, translation(centre))


def mirror_frame(width: int) -> Tensor:
    """x' = width - 1 - x: left and right of a frame exchanged. It is its own inverse.

    >>> map_points(mirror_frame(4), torch.tensor([[0.0, 2.0]])).tolist()
    [[3.0, 2.0]]
    """
    matrix = _identity(())
    matrix[0, 0], matrix[0, 2] = -1, width - 1
    return matrix


def frame_matrix(scale: Tensor, shift: Tensor) -> Tensor:
    """x' = x * scale + shift, with scales and shifts (..., 2), one per axis: the matrices of a ``Frame``."""
    matrix = scaling(scale)
    matrix[..., :2, 2] = shift
    return matrix


def compose(*matrices: Tensor) -> Tensor:
    """One matrix for several maps, of which the first one is applied first."""
    result = matrices[0]
    for matrix in matrices[1:]:
        result = matrix @ result
    return result


def inverse(matrix: Tensor) -> Tensor:
    """The matrices (..., 3, 3) of the inverse maps.

    Raises:
        ValueError: a matrix is singular.
    """
    found: Tensor
    found, info = torch.linalg.inv_ex(matrix)
    if bool((info != 0).any()):
        raise ValueError(
            f"inverse: expected invertible matrices, got {int((info != 0).sum())} singular ones among {info.numel()}."
        )
    return found


def map_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply a map to points: (u, v, w) = M (x, y, 1), x' = (u, v) / w.

    Args:
        matrix: (..., 3, 3); computed in its dtype.
        points: (..., K, 2) in px; NaN = missing. Leading axes broadcast: one matrix maps a whole batch.

    Returns:
        (..., K, 2) in px and in the points' dtype. A missing point stays missing; one behind the horizon (w <= 0) has
        no image and is NaN in both coordinates.

    Raises:
        ValueError: shapes other than these.

    >>> map_points(translation(torch.tensor([2.0, -1.0])), torch.tensor([[3.0, 4.0]])).tolist()
    [[5.0, 3.0]]
    """
    _check("map_points", matrix, points)
    return apply_map(matrix, points)[0].to(points.dtype)


def jacobian(matrix: Tensor, points: Tensor) -> Tensor:
    """The derivative of a map at points: J = (M[:2, :2] - x' M[2, :2]ᵀ) / w.

    Covariances are mapped to first order, as J Sigma Jᵀ.

    Args:
        matrix: (..., 3, 3); computed in its dtype.
        points: (..., K, 2) in px, before the map.

    Returns:
        (..., K, 2, 2) in the points' dtype: row i is the gradient of the new coordinate i. For an affine map it does
        not depend on the point, and is given for missing points as well; otherwise NaN there and behind the horizon.

    >>> jacobian(mirror_frame(10), torch.tensor([[3.0, 4.0]]))[0].tolist()
    [[-1.0, 0.0], [0.0, 1.0]]
    """
    _check("jacobian", matrix, points)
    return project(points, matrix)[1].to(points.dtype)


def _identity(shape: tuple[int, ...]) -> Tensor:
    matrix = torch.zeros(*shape, 3, 3, dtype=_DTYPE)
    matrix.diagonal(dim1=-2, dim2=-1).fill_(1)
    return matrix


def _check(who: str, matrix: Tensor, points: Tensor) -> None:
    if matrix.shape[-2:] != (3, 3) or points.dim() < 2 or points.shape[-1] != 2:
        raise ValueError(
            f"{who}: expected matrices (..., 3, 3) and points (..., K, 2), got {tuple(matrix.shape)} and "
            f"{tuple(points.shape)}."
        )
