"""Functions of symmetric matrices and their first two derivatives, with respect to the vector v of :mod:`.eigen`.

B = V^T diag(l) V, A = f(B) = V^T diag(f(l)) V. The derivative of A in the direction E is V^T (K o (V E V^T)) V with
K_ij = f[l_i, l_j], f' on the diagonal (Daleckii and Krein; paper 3, eqs 38-39). It is self-adjoint: the gradient of v
is this derivative in the direction of the gradient of A.

There is a form for d = 1, 2 and 3 each, on separate components, and one for every d. A is (d d, ...), entries first, up
to d = 3, and (..., d, d) above.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit.core.linalg import eigen
from steadfit.core.linalg.eigen import ROOT_HALF, Components
from steadfit.core.linalg.knee import Image, Knee


@dataclass(frozen=True)
class SpectralFunction:
    """A = f(B) of d x d matrices, f being g or 1/g."""

    dim: int
    knee: Knee

    def forward(self, v: Tensor) -> tuple[Tensor, ...]:
        """A, log|A| and then the parts that :meth:`adjoint` needs."""
        limit = self.limit(v.dtype)
        if self.dim == 2:  # entry by entry, since compiled code would write a clamped vector to memory
            return _planar(tuple(part.clamp(-limit, limit) for part in v.unbind(-1)), self.knee)
        v = v.clamp(-limit, limit)
        if self.dim == 1:
            return _linear(v, self.knee)
        return _spatial(v.unbind(-1), self.knee) if self.dim == 3 else _general(v, self.dim, self.knee)

    def limit(self, dtype: torch.dtype) -> float:
        """Where entries of v are cut off, so that neither a sum of them nor l/theta overflows."""
        return torch.finfo(dtype).max * min(1.0, self.knee.floor) / (64 * self.dim)

    def adjoint(self, upstream: Tensor, log: Tensor | None, parts: Components) -> Tensor:
        """The gradient of v, linear in those of A and of log|A|."""
        forms = _linear_adjoint, _planar_adjoint, _spatial_adjoint, _general_adjoint
        return forms[min(self.dim, 4) - 1](upstream, log, self.knee, parts)

    def second(
        self, v: Tensor, upstream: Tensor, log: Tensor | None, direction: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The gradients of <direction, adjoint> with respect to v, to A's gradient G and to log|A|'s gradient k.

        With S = V G V^T and T = V H V^T, H the direction's matrix:

            in v: V^T X V,  X_ij = sum_k f[l_i, l_k, l_j] (S_ik T_kj + T_ik S_kj) + k (log f)'[l_i, l_j] T_ij
            in G: V^T (K o T) V        in k: sum_i (log f)'(l_i) T_ii
        """
        limit = self.limit(v.dtype)
        values, frame = eigen.decompose(v.clamp(-limit, limit), self.dim)
        matrix = self.square(upstream)
        s = eigen.congruence(frame, (matrix + matrix.mT) * 0.5)
        t = eigen.congruence(frame, eigen.matrix_of(direction, self.dim))
        image = self.knee(values)
        in_matrix = eigen.congruence(frame.mT, t * _table(image, self.knee))
        triples = values[..., :, None, None], values[..., None, :, None], values[..., None, None, :]
        x = (self.knee.twice_divided(*triples) * s.unsqueeze(-1) * t.unsqueeze(-3)).sum(dim=-2)
        x, in_log = x + x.mT, None
        if log is not None:
            in_log = (self.knee.log_slope(image.upper) * t.diagonal(dim1=-2, dim2=-1)).sum(dim=-1)
            x = x + log[..., None, None] * t * self.knee.log_slope_divided(values.unsqueeze(-1), values.unsqueeze(-2))
        if self.dim <= 3:
            in_matrix = in_matrix.movedim((-2, -1), (0, 1)).flatten(0, 1)
        return eigen.vector_of(eigen.congruence(frame.mT, x)), in_matrix, in_log

    def square(self, matrix: Tensor) -> Tensor:
        """A or its gradient as (..., d, d)."""
        return eigen.square(matrix, self.dim) if self.dim <= 3 else matrix


# d = 1 and d = 2


def _linear(v: Tensor, knee: Knee) -> tuple[Tensor, ...]:
    image = knee(v.movedim(-1, 0))
    return image.value, knee.log(image).sum(dim=0), image.slope, image.upper


def _linear_adjoint(upstream: Tensor, log: Tensor | None, knee: Knee, parts: Components) -> Tensor:
    slope, upper = parts
    gradient = upstream * slope
    return (gradient if log is None else torch.addcmul(gradient, log, knee.log_slope(upper))).movedim(0, -1)


def _planar(v: Components, knee: Knee) -> tuple[Tensor, ...]:
    a, b, c = v
    b = b * ROOT_HALF
    x, y, cos2, sin2, twist = eigen.plane(a, b, c)
    high, low = knee(x), knee(y)
    divided = knee.divided(high, low)
    cross = divided * b
    first = torch.addcmul(cos2 * high.value, sin2, low.value)
    second = torch.addcmul(sin2 * high.value, cos2, low.value)
    parts = cos2, sin2, twist, high.slope, low.slope, divided, high.upper, low.upper
    return torch.stack([first, cross, cross, second]), knee.log(high) + knee.log(low), *parts


def _planar_adjoint(upstream: Tensor, log: Tensor | None, knee: Knee, parts: Components) -> Tensor:
    cos2, sin2, twist, slope_x, slope_y, divided, upper_x, upper_y = parts
    g11, g12, g21, g22 = upstream.unbind(0)
    cos, both = cos2 - sin2, g12 + g21
    shear = twist * both
    xx = slope_x * torch.addcmul(torch.addcmul(shear, cos2, g11), sin2, g22)  # K o (V G V^T)
    yy = slope_y * (torch.addcmul(sin2 * g11, cos2, g22) - shear)
    xy = divided * torch.addcmul(twist * (g22 - g11), cos, both, value=0.5)
    if log is not None:
        xx = torch.addcmul(xx, log, knee.log_slope(upper_x))
        yy = torch.addcmul(yy, log, knee.log_slope(upper_y))
    shear = twist * xy
    first = torch.sub(torch.addcmul(cos2 * xx, sin2, yy), shear, alpha=2)
    second = torch.add(torch.addcmul(sin2 * xx, cos2, yy), shear, alpha=2)
    cross = torch.addcmul(twist * (xx - yy), cos, xy) / ROOT_HALF
    return torch.stack([first, cross, second]).movedim(0, -1)


# d = 3


def _spatial(v: Components, knee: Knee) -> tuple[Tensor, ...]:
    values, frame = eigen.space(v)
    image = knee(values)
    scaled = [axis * weight for axis, weight in zip(frame, image.value.unbind(0), strict=True)]
    rows = [eigen.combine(frame, weights) for weights in zip(*(axis.unbind(0) for axis in scaled), strict=True)]
    x, y, z = knee.log(image).unbind(0)
    return torch.cat(rows), x + y + z, *image, *frame


def _spatial_adjoint(upstream: Tensor, log: Tensor | None, knee: Knee, parts: Components) -> Tensor:
    image, frame = Image(*parts[:4]), parts[4:]
    after = Image(*(field.roll(-1, 0) for field in image))  # of the next one, for the pairs (0, 1), (1, 2), (2, 0)
    rows = _symmetric(upstream)
    moved = [eigen.combine(rows, axis.unbind(0)) for axis in frame]
    same = image.slope * torch.stack([eigen.dot(moved[i], frame[i]) for i in range(3)])  # K o (V G V^T)
    other = knee.divided(image, after) * torch.stack([eigen.dot(moved[i], frame[i - 2]) for i in range(3)])
    if log is not None:
        same = torch.addcmul(same, log, knee.log_slope(image.upper))
    (x, y, z), (xy, yz, zx) = same.unbind(0), other.unbind(0)
    half = [eigen.combine(frame, row) for row in ((x, xy, zx), (xy, y, yz), (zx, yz, z))]
    first, second, third = (eigen.combine(frame, row) for row in zip(*(axis.unbind(0) for axis in half), strict=True))
    entries = first[0], first[1] / ROOT_HALF, first[2] / ROOT_HALF, second[1], second[2] / ROOT_HALF, third[2]
    return torch.stack(entries).movedim(0, -1)


def _symmetric(entries: Tensor) -> Components:
    """The rows of a 3 x 3 matrix's symmetric part, (3, ...) each."""
    a, b, c, b_, d, e, c_, e_, f = entries.unbind(0)
    b, c, e = (b + b_) * 0.5, (c + c_) * 0.5, (e + e_) * 0.5
    return torch.stack([a, b, c, b, d, e, c, e, f]).view(3, 3, *a.shape).unbind(0)


# Every d


def _general(v: Tensor, dim: int, knee: Knee) -> tuple[Tensor, ...]:
    values, frame = eigen.decompose(v, dim)
    image = knee(values)
    return eigen.compose(image.value, frame), knee.log(image).sum(dim=-1), values, frame


def _general_adjoint(upstream: Tensor, log: Tensor | None, knee: Knee, parts: Components) -> Tensor:
    values, frame = parts
    image = knee(values)
    inner = eigen.congruence(frame, (upstream + upstream.mT) * 0.5) * _table(image, knee)
    if log is not None:
        inner = inner + torch.diag_embed(log.unsqueeze(-1) * knee.log_slope(image.upper))
    return eigen.vector_of(eigen.congruence(frame.mT, inner))


def _table(image: Image, knee: Knee) -> Tensor:
    """K_ij = f[l_i, l_j], (..., d, d)."""
    rows, columns = (Image(*(field.unsqueeze(axis) for field in image)) for axis in (-1, -2))
    return knee.divided(rows, columns)
