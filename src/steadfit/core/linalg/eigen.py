"""Eigen-decompositions of symmetric matrices: closed forms up to 3 x 3, an eigen-solver above.

A symmetric matrix B is a vector v of d (d + 1)/2 numbers: the upper triangle row by row, off the diagonal times sqrt 2,
so that ||v|| = ||B||_F. Eigenvectors are rows: B = V^T diag(l) V.

The closed forms are exact to rounding at equal eigenvalues too, where they pick one of the many frames, and have no
threshold: a nudge far below the rounding gives a direction to what has none and changes nothing else. They work on
separate components, one tensor per entry, so that a pass reads consecutive numbers.
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor

ROOT_HALF = math.sqrt(0.5)
Components = tuple[Tensor, ...]


def plane(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """[[a, b], [b, c]] by one Jacobi rotation of angle phi, whose tangent is 2 b/(r + |a - c|) for a >= c.

    r = hypot(a - c, 2 b) is the gap, u = (r - |a - c|)/2 = 2 b^2/(r + |a - c|) without cancellation. The eigenvalues
    are max(a, c) + u and min(a, c) - u, so that a small one keeps its digits next to a large one.

    Returns:
        The larger eigenvalue, the smaller one, cos^2 phi, sin^2 phi and sin phi cos phi, (cos phi, sin phi) being the
        larger one's eigenvector; each of the inputs' shape.
    """
    apart = a - c
    size = apart.abs().clamp(min=torch.finfo(a.dtype).tiny)
    apart = torch.copysign(size, apart)
    twice = b + b
    gap = torch.hypot(size, twice)
    drop = b * (twice / (gap + size))
    cos2 = torch.add(drop, size + apart, alpha=0.5) / gap
    sin2 = torch.add(drop, size - apart, alpha=0.5) / gap
    return torch.maximum(a, c) + drop, torch.minimum(a, c) - drop, cos2, sin2, b / gap


def space(v: Components) -> tuple[Tensor, Components]:
    """The 3 x 3 matrices of the components of v: eigenvalues (3, ...) in no particular order, three vectors (3, ...).

    The eigenvector of the best separated eigenvalue, then one rotation in the plane orthogonal to it; the eigenvalues
    are Rayleigh quotients.
    """
    a, b, c, d, e, f = v
    b, c, e = b * ROOT_HALF, c * ROOT_HALF, e * ROOT_HALF
    rows = torch.stack([a, b, c, b, d, e, c, e, f]).view(3, 3, *a.shape).unbind(0)
    first = _separated(a, b, c, d, e, f)
    second, third = _complement(*first.unbind(0))
    image = combine(rows, third.unbind(0))
    cross = dot(second, image)
    high, low, cos2, sin2, _ = plane(dot(second, combine(rows, second.unbind(0))), cross, dot(third, image))
    cos, sin = cos2.sqrt(), torch.copysign(sin2.sqrt(), cross)
    upper, lower = torch.addcmul(cos * second, sin, third), torch.addcmul(cos * third, sin, second, value=-1)
    return torch.stack([dot(first, combine(rows, first.unbind(0))), high, low]), (first, upper, lower)


def _separated(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    """The unit eigenvector of the eigenvalue of [[a, b, c], [b, d, e], [c, e, f]] that is best separated, l.

    That is the largest where the determinant of the traceless part C is positive, else the smallest:
    l = +-2 p cos(acos(|det C|/(2 p^3))/3), p = ||C||_F/sqrt 6. The adjugate of C - l I is (l' - l)(l'' - l) times the
    projector on the eigenvector: its column with the largest diagonal entry is taken.
    """
    limits = torch.finfo(a.dtype)
    a, d = a - f, d - f  # near-equal entries are subtracted exactly; subtracting the mean of all three would round
    mean = (a + d) / 3
    entries = torch.stack([a - mean, b, c, d - mean, e, -mean])
    size = reduce(torch.maximum, entries.abs().unbind(0)) + limits.tiny
    a, b, c, d, e, f = (entries / size).unbind(0)
    a, f = a + limits.eps / 16, f - limits.eps / 16  # a direction for C = 0, below the rounding of all others
    square = torch.add(combine((a, d, f), (a, d, f)), combine((b, c, e), (b, c, e)), alpha=2) / 6  # p^2
    xy, xz, yz = _minor(c, e, b, f), _minor(b, e, c, d), _minor(b, c, a, e)
    det = combine((_minor(d, f, e, e), xy, xz), (a, b, c))
    twice = square.sqrt() * 2
    cosine = (det / (square * twice)).clamp(-1.0, 1.0)
    value = torch.copysign((cosine.abs().acos() / 3).cos() * twice, cosine)
    a, d, f = a - value, d - value, f - value
    x, y, z = _minor(d, f, e, e), _minor(a, f, c, c), _minor(a, d, b, b)
    xy, xz, yz = (torch.addcmul(minor, value, entry) for minor, entry in ((xy, b), (xz, c), (yz, e)))
    one, two = (x >= torch.maximum(y, z)).to(x.dtype), (y >= z).to(x.dtype)  # much faster than torch.where
    two = two - one * two
    columns = torch.stack([x, xy, xz]), torch.stack([xy, y, yz]), torch.stack([xz, yz, z])
    column = combine(columns, (one, two, 1 - (one + two)))
    return column / dot(column, column).sqrt()


def _minor(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.addcmul(a * b, c, d, value=-1)


def _complement(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors orthogonal to a unit vector and to each other: columns of a reflection, without a branch."""
    sign = torch.copysign(torch.ones_like(z), z)
    ratio = (sign + z).reciprocal()
    turned = sign * x
    second = torch.stack([1 - turned * x * ratio, -turned * y * ratio, -turned])
    return second, torch.stack([-x * y * ratio, sign - y * y * ratio, -y])


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Dot products of vectors (3, ...), in three passes, which are faster than a sum over the first axis."""
    return combine(a.unbind(0), b.unbind(0))


def combine(vectors: Components, weights: Components) -> Tensor:
    """w_1 v_1 + w_2 v_2 + w_3 v_3 for three vectors (3, ...), or three numbers (...): with the columns of M, M w."""
    (a, b, c), (x, y, z) = vectors, weights
    return torch.addcmul(torch.addcmul(a * x, b, y), c, z)


def decompose(v: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., d) in no particular order and frames (..., d, d), whose rows are the eigenvectors.

    NaN for a v with a NaN, in the eigenvalues at least, and in its row alone.
    """
    if dim == 1:
        return v, torch.ones_like(v).unsqueeze(-1)
    if dim == 2:
        a, b, c = v.unbind(-1)
        high, low, cos2, sin2, twist = plane(a, b * ROOT_HALF, c)
        cos, sin = cos2.sqrt(), torch.copysign(sin2.sqrt(), twist)
        return torch.stack([high, low]).movedim(0, -1), square(torch.stack([cos, sin, -sin, cos]), 2)
    if dim == 3:
        values, frame = space(v.unbind(-1))
        return values.movedim(0, -1), square(torch.cat(frame), 3)
    size = v.abs().amax(dim=-1, keepdim=True) + torch.finfo(v.dtype).tiny  # so that no square overflows
    values, columns = torch.linalg.eigh(matrix_of((v / size).nan_to_num(nan=0.0), dim))  # which raises for NaN
    return values * size, columns.mT


def product(a: Tensor, b: Tensor) -> Tensor:
    """A B, computed outside autocast."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b


def congruence(frame: Tensor, matrix: Tensor) -> Tensor:
    """V M V^T: a symmetric matrix in the axes of the frame's rows."""
    return product(product(frame, matrix), frame.mT)


def compose(values: Tensor, frame: Tensor) -> Tensor:
    """V^T diag(l) V."""
    return product(frame.mT * values.unsqueeze(-2), frame)


def matrix_of(v: Tensor, dim: int) -> Tensor:
    """B (..., d, d) of v (..., d (d + 1)/2)."""
    row, column = torch.triu_indices(dim, dim, device=v.device)
    place = torch.zeros(dim, dim, dtype=torch.long, device=v.device)
    place[row, column] = place[column, row] = torch.arange(len(row), device=v.device)
    weight = torch.full_like(row, ROOT_HALF, dtype=v.dtype).masked_fill(row == column, 1.0)
    return square((v * weight).movedim(-1, 0).index_select(0, place.flatten()), dim)


def vector_of(matrix: Tensor) -> Tensor:
    """v (..., d (d + 1)/2) of a symmetric B (..., d, d), whose upper triangle is read."""
    dim = matrix.shape[-1]
    row, column = torch.triu_indices(dim, dim, device=matrix.device)
    upper = matrix.movedim((-2, -1), (0, 1)).flatten(0, 1).index_select(0, row * dim + column).movedim(0, -1)
    return upper * torch.full_like(row, 1 / ROOT_HALF, dtype=matrix.dtype).masked_fill(row == column, 1.0)


def square(entries: Tensor, dim: int) -> Tensor:
    """(d d, ...) seen as (..., d, d)."""
    return entries.view(dim, dim, *entries.shape[1:]).movedim((0, 1), (-2, -1))
