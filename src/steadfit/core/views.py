"""A prediction seen through a map of the plane: its mean, and its root through the map's Jacobian."""

from __future__ import annotations

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.linalg.small import multiply


def project(point: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """h(x) = (M_11 x + m_12) / (m_21 x + m_22) of a 3x3 matrix in blocks, and its Jacobian (M_11 - h m_21) / (...).

    point (..., 2), matrix (..., 3, 3), broadcast over the leading axes; (..., 2) and (..., 2, 2). Infinite or NaN for
    a point that the map sends to infinity.
    """
    linear, shift, tilt = matrix[..., :2, :2], matrix[..., :2, 2], matrix[..., 2, :2]
    depth = (tilt * point).sum(dim=-1, keepdim=True) + matrix[..., 2, 2:]  # (..., 1)
    image = (multiply(linear, point) + shift) / depth
    jacobian = (linear - image.unsqueeze(-1) * tilt.unsqueeze(-2)) / depth.unsqueeze(-1)
    return image, jacobian


def positive_factor(matrix: Tensor) -> Tensor:
    """P = (C^T C)^(1/2) of 2x2 matrices C, (..., 2, 2): the symmetric factor of C = Q P.

    Q is the rotation or reflection (C + s cof C)/k, s = sign det C, k = sigma_1 + sigma_2: no eigen-solver, no square
    of the condition. 0 for C = 0.
    """
    a, b, c, d = matrix.flatten(-2).unbind(dim=-1)
    s = torch.where(a * d - b * c < 0, -1.0, 1.0).to(matrix)
    cosine, sine = a + s * d, c - s * b  # k (cos, sin) of Q's angle
    k = torch.hypot(cosine, sine)
    k = torch.where(k > 0, k, 1.0)
    cosine, sine = cosine / k, sine / k
    # P = Q^T C with Q = [[cos, -s sin], [sin, s cos]]; its off-diagonal from both sides, so that it is symmetric
    first = cosine * a + sine * c
    second = s * (cosine * d - sine * b)
    off = 0.5 * ((cosine * b + sine * d) + s * (cosine * c - sine * a))
    return torch.stack([torch.stack([first, off], dim=-1), torch.stack([off, second], dim=-1)], dim=-2)


def map_view(mean: Tensor, root: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The distribution with this mean and root, mapped by a 3x3 transform of the plane.

    mean' = h(mean),  A'^2 = J^-T A^2 J^-1,  J the Jacobian of h at the mean

    Exact for affine maps; for perspective the first-order approximation at the mean. A prediction for a warped image
    goes back to the original one by the warp's inverse, where :func:`~steadfit.fuse` takes it with
    ``location="mu"``.

    Args:
        mean: (..., 2), in pixels, or any unit of length.
        root: (..., 2, 2), A, symmetric positive definite, in 1/unit.
        matrix: (..., 3, 3), invertible, acting on (x, y, 1); leading axes are broadcast: (3, 3) maps all alike,
            (N, 1, 3, 3) each sample's points.

    Returns:
        The mean (..., 2) and root (..., 2, 2) in the map's units, A' symmetric positive definite. NaN, which
        :func:`~steadfit.fuse` leaves out, where the mean is missing, is sent to infinity, or J is singular.

    Raises:
        TypeError: tensors that are not floating point.
        ValueError: shapes that do not fit.

    Numerics:
        Computed in float64; the result has the mean's dtype. A' is the polar factor of A J^-1, so the condition of A is
        not squared. Differentiable with respect to all three arguments.

    References:
        Mohlin et al., BMVC 2021, section 4 (test-time augmentation).

    >>> half = torch.tensor([[0.5, 0.0, 1.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
    >>> mean, root = map_view(torch.tensor([4.0, 2.0]), torch.eye(2), half)
    >>> mean.tolist(), root.tolist()
    ([3.0, 1.0], [[2.0, 0.0], [0.0, 2.0]])
    """
    who = "map_view"
    for name, value in (("mean", mean), ("root", root), ("matrix", matrix)):
        _checks.floating(who, name, value)
    if mean.dim() < 1 or mean.shape[-1] != 2 or root.shape != (*mean.shape, 2):
        raise ValueError(
            f"{who}: expected mean (..., 2) and root (..., 2, 2), got {tuple(mean.shape)} and {tuple(root.shape)}."
        )
    if matrix.shape[-2:] != (3, 3):
        raise ValueError(f"{who}: expected matrix of shape (..., 3, 3), got {tuple(matrix.shape)}.")
    image, jacobian = project(mean.double(), matrix.double())
    a, b, c, d = jacobian.flatten(-2).unbind(dim=-1)
    adjugate = torch.stack([torch.stack([d, -b], dim=-1), torch.stack([-c, a], dim=-1)], dim=-2)
    mapped = positive_factor(root.double() @ adjugate) / (a * d - b * c).abs()[..., None, None]
    good = image.isfinite().all(dim=-1) & mapped.isfinite().flatten(-2).all(dim=-1)
    image = torch.where(good[..., None], image, torch.nan)
    mapped = torch.where(good[..., None, None], mapped, torch.nan)
    return image.to(mean.dtype), mapped.to(root.dtype)
