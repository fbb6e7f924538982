"""Elliptical densities p(y) = |A|/c_d exp(-rho(||A y - nu||)) as functions of tensors (paper 3, eq. 3).

nu-location: the whitened residual is A y - nu; mu-location: A (y - mu), mu the mean. Shapes: value, nu (..., D), root
A (..., D, D) symmetric positive definite.

Numerics: up to D = 3 everything is sums and products of the entries, by elimination without pivoting, which for a
positive definite A is as stable as Cholesky's and cannot overflow; beyond that it is torch.linalg. Both triangles of A
are read, so that gradients with respect to A are whole matrices, A^-T for log|A|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from steadfit.core.penalty import Penalty

LOCATIONS = ("nu", "mu")
CLOSED = 3
"""Up to this D matrices are handled entry by entry: batched torch.linalg calls cost far more there."""


def multiply(matrix: Tensor, vector: Tensor) -> Tensor:
    """M v, (..., D, D) and (..., D); as sums of products up to D = 3, where a batched product costs far more."""
    if vector.shape[-1] > CLOSED:
        product: Tensor = (matrix @ vector.unsqueeze(-1)).squeeze(-1)
        return product
    return torch.stack(_products(_rows(matrix), vector.unbind(-1))).movedim(0, -1)


def whiten(value: Tensor, location: Tensor, root: Tensor, kind: str) -> Tensor:
    """A y - nu for ``kind`` "nu", A (y - mu) for "mu"."""
    return multiply(root, value) - location if kind == "nu" else multiply(root, value - location)


def norm(residual: Tensor) -> Tensor:
    """||u|| over the last axis, without overflow or underflow; its gradient is u/||u||, and 0 at u = 0."""
    length: Tensor = _Norm.apply(residual)  # type: ignore[no-untyped-call]
    return length


def log_density(distance: Tensor, log_det: Tensor, penalty: Penalty, dim: int) -> Tensor:
    """log|A| - log c_d - rho(r), r = ||A y - nu|| (eq. 3)."""
    return log_det - penalty.log_normalizer(dim) - penalty.rho(distance)


def log_prob(
    value: Tensor, location: Tensor, root: Tensor, log_det: Tensor | None, penalty: Penalty, kind: str
) -> Tensor:
    """The log-density, (...): :func:`log_density` of the parts, faster up to D = 3. ``log_det`` None: of ``root``."""
    dim = value.shape[-1]
    if dim > CLOSED:
        logs = log_determinant(root) if log_det is None else log_det
        return log_density(norm(whiten(value, location, root, kind)), logs, penalty, dim)
    if not value.shape[:-1] == location.shape[:-1] == root.shape[:-2]:
        batch = torch.broadcast_shapes(value.shape[:-1], location.shape[:-1], root.shape[:-2])  # type: ignore[no-untyped-call]
        value, location, root = (t.expand(*batch, *t.shape[k:]) for t, k in ((value, -1), (location, -1), (root, -2)))
    density: Tensor = _LogProb.apply(value, location, root, penalty, kind, log_det is None)  # type: ignore[no-untyped-call]
    return density if log_det is None else density + log_det


def log_determinant(root: Tensor) -> Tensor:
    """log|A|, (..., D, D) to (...); -inf for an A that is not positive definite in floating point."""
    if root.shape[-1] > CLOSED:
        sign, log = torch.linalg.slogdet(root)
        return torch.where(sign > 0, log, -math.inf)
    return _log_pivots(_eliminate(_rows(root)))


def solve(root: Tensor, vector: Tensor) -> Tensor:
    """A^-1 v, (..., D, D) and (..., D); leading axes that only v has are right-hand sides of one factorisation."""
    if root.shape[-1] <= CLOSED:
        return torch.stack(_substitute(_eliminate(_rows(root)), vector.unbind(-1))).movedim(0, -1)
    extra = vector.shape[: max(vector.dim() - root.dim() + 1, 0)]
    sides = vector.reshape(-1, *vector.shape[len(extra) :]).movedim(0, -1)  # (..., D, sides)
    solved: Tensor = torch.linalg.solve_ex(root, sides)[0]
    solved = solved.movedim(-1, 0)
    return solved.reshape(*extra, *solved.shape[1:])


def inverse(root: Tensor) -> Tensor:
    """A^-1, (..., D, D)."""
    dim = root.shape[-1]
    if dim > CLOSED:
        inverted: Tensor = torch.linalg.inv_ex(root)[0]
        return inverted
    return torch.stack([torch.stack(row, dim=-1) for row in _invert(_rows(root))], dim=-2)


class _Norm(torch.autograd.Function):
    """||u|| over the last axis; the gradients of torch.hypot (NaN at 0) and of a scaled sum (overflow) won't do."""

    generate_vmap_rule = True

    @staticmethod
    def forward(residual: Tensor) -> Tensor:
        if residual.shape[-1] <= CLOSED:
            return _length(*residual.unbind(-1))
        size = residual.abs().amax(dim=-1, keepdim=True)
        unit = torch.where(size > 0, size, 1.0)
        scaled: Tensor = torch.linalg.vector_norm(residual / unit, dim=-1)
        return scaled * unit.squeeze(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        residual, length = ctx.saved_tensors
        direction: Tensor = residual / length.clamp(min=torch.finfo(length.dtype).tiny).unsqueeze(-1)
        return direction * slope.unsqueeze(-1)


class _LogProb(torch.autograd.Function):
    """log|A| - log c_d - rho(||u||), u = nu - A y or A (mu - y); without log|A| where the caller has it.

    With h = -weight u the gradient is h for nu, A^T h for mu, and A^-T - h y^T or A^-T + h (mu - y)^T for A. The
    backward pass starts from the inputs again: that is faster than the graph of the parts, and can be differentiated.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, location: Tensor, root: Tensor, penalty: Penalty, kind: str, with_det: bool) -> Tensor:
        rows = _rows(root)
        energy = penalty.rho(_length(*_residual(value, location, rows, kind)[1])) + penalty.log_normalizer(len(rows))
        return _log_pivots(_eliminate(rows)) - energy if with_det else -energy

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _: Tensor) -> None:
        *tensors, ctx.penalty, ctx.kind, ctx.with_det = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        value, location, root = ctx.saved_tensors
        rows = _rows(root)
        arm, residual = _residual(value, location, rows, ctx.kind)
        twice = torch.is_grad_enabled()  # this pass will be differentiated too
        length = norm(torch.stack(residual).movedim(0, -1)) if twice else _length(*residual)
        weight = ctx.penalty.weight(length.clamp(min=torch.finfo(length.dtype).tiny))  # Laplace's at 0 is inf
        factor = -slope * weight
        pull = [factor * u for u in residual]
        to_value = to_location = to_root = None
        if ctx.kind == "nu":
            to_location = _join(pull, location)
        if ctx.needs_input_grad[0] or ctx.kind == "mu":
            moved = _join(_products(list(zip(*rows, strict=True)), pull), value)
            to_value, to_location = -moved, to_location if ctx.kind == "nu" else moved
        if ctx.needs_input_grad[2]:
            sign = -1 if ctx.kind == "nu" else 1
            if ctx.with_det:
                inverted = [slope * i for column in zip(*_invert(rows), strict=True) for i in column]
                outer = [(h, y) for h in pull for y in arm]
                ends = [torch.addcmul(i, h, y, value=sign) for i, (h, y) in zip(inverted, outer, strict=True)]
            else:
                ends = [sign * h * y for h in pull for y in arm]
            to_root = _join(ends, root).reshape(root.shape)
        return to_value, to_location, to_root, None, None, None


def _length(*entries: Tensor) -> Tensor:
    return reduce(torch.hypot, entries) if len(entries) > 1 else entries[0].abs()


def _rows(matrix: Tensor) -> list[Sequence[Tensor]]:
    return [row.unbind(-1) for row in matrix.unbind(-2)]


def _join(entries: list[Tensor], like: Tensor) -> Tensor:
    """The entries as the last axis; in memory side by side where ``like`` is, else each contiguous.

    autograd copies what comes in another order than its leaf's, and torch.stack takes four times as long.
    """
    if not like.is_contiguous():
        return torch.stack(entries).movedim(0, -1)
    joined = entries[0].new_empty((*entries[0].shape, len(entries)))
    for i, entry in enumerate(entries):
        joined[..., i] = entry
    return joined


def _products(rows: Sequence[Sequence[Tensor]], vector: Sequence[Tensor]) -> list[Tensor]:
    """The entries of M v."""
    sums = [row[0] * vector[0] for row in rows]
    for k in range(1, len(vector)):
        sums = [torch.addcmul(total, row[k], vector[k]) for total, row in zip(sums, rows, strict=True)]
    return sums


def _residual(
    value: Tensor, location: Tensor, rows: list[Sequence[Tensor]], kind: str
) -> tuple[Sequence[Tensor], list[Tensor]]:
    """What A multiplies, y or mu - y, and the residual as the backward pass wants it, nu - A y or A (mu - y)."""
    arm, start = value.unbind(-1), location.unbind(-1)
    if kind == "mu":
        arm = tuple(m - y for y, m in zip(arm, start, strict=True))
        return arm, _products(rows, arm)
    residual = list(start)
    for k in range(len(arm)):
        residual = [torch.addcmul(u, row[k], arm[k], value=-1) for u, row in zip(residual, rows, strict=True)]
    return arm, residual


def _eliminate(rows: list[Sequence[Tensor]]) -> list[list[Tensor]]:
    """A = L U by elimination without pivoting: U, and L below its unit diagonal."""
    lu = [list(row) for row in rows]
    for k in range(len(lu)):
        for i in range(k + 1, len(lu)):
            lu[i][k] = lu[i][k] / lu[k][k]
            for j in range(k + 1, len(lu)):
                lu[i][j] = lu[i][j] - lu[i][k] * lu[k][j]  # the product is no larger than the diagonal's entries
    return lu


def _log_pivots(lu: list[list[Tensor]]) -> Tensor:
    """log|A|, -inf where a pivot is not positive, or 0/0 after one that is not."""
    return reduce(torch.add, [lu[k][k].nan_to_num().clamp(min=0).log() for k in range(len(lu))])


def _substitute(lu: list[list[Tensor]], vector: Sequence[Tensor]) -> list[Tensor]:
    """The entries of A^-1 v by forward and backward substitution."""
    solved = list(vector)
    for i in range(len(lu)):
        for k in range(i):
            solved[i] = solved[i] - lu[i][k] * solved[k]
    for i in reversed(range(len(lu))):
        for k in range(i + 1, len(lu)):
            solved[i] = solved[i] - lu[i][k] * solved[k]
        solved[i] = solved[i] / lu[i][i]
    return solved


def _invert(rows: list[Sequence[Tensor]]) -> list[list[Tensor]]:
    """The entries of A^-1, by bordering: the inverse of a leading block, and the last pivot s of the next one.

    [[M, u], [v, a]]^-1 = [[M^-1 + p q/s, -p/s], [-q/s, 1/s]], p = M^-1 u, q = v M^-1, s = a - v p.
    """
    inverted = [[rows[0][0].reciprocal()]]
    for k in range(1, len(rows)):
        p = _products(inverted, [rows[i][k] for i in range(k)])
        q = _products(list(zip(*inverted, strict=True)), rows[k][:k])
        last = (rows[k][k] - _products([rows[k][:k]], p)[0]).reciprocal()
        side = [x * last for x in p]
        inverted = [
            [torch.addcmul(m, x, y) for m, y in zip(row, q, strict=True)] + [-x]
            for row, x in zip(inverted, side, strict=True)
        ]
        inverted.append([-(y * last) for y in q] + [last])
    return inverted
