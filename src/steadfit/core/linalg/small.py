"""Small matrices entry by entry: products, norms, determinants, solutions and inverses up to 3 x 3.

Numerics:
    Up to D = 3 everything is sums and products of the entries, by elimination without pivoting, which for a positive
    definite A is as stable as Cholesky's and cannot overflow; beyond that it is torch.linalg. Both triangles of A are
    read, so that gradients with respect to A are whole matrices, A^-T for log|A|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

CLOSED = 3
"""Up to this D matrices are handled entry by entry: batched torch.linalg calls cost far more there."""


def multiply(matrix: Tensor, vector: Tensor) -> Tensor:
    """M v, (..., D, D) and (..., D); as sums of products up to D = 3, where a batched product costs far more."""
    if vector.shape[-1] > CLOSED:
        product: Tensor = (matrix @ vector.unsqueeze(-1)).squeeze(-1)
        return product
    return torch.stack(products(rows_of(matrix), vector.unbind(-1))).movedim(0, -1)


def norm(residual: Tensor) -> Tensor:
    """||u|| over the last axis, without overflow or underflow; its gradient is u/||u||, and 0 at u = 0."""
    length: Tensor = _Norm.apply(residual)  # type: ignore[no-untyped-call]
    return length


def log_determinant(root: Tensor) -> Tensor:
    """log|A|, (..., D, D) to (...); -inf for an A that is not positive definite in floating point."""
    if root.shape[-1] > CLOSED:
        sign, log = torch.linalg.slogdet(root)
        return torch.where(sign > 0, log, -math.inf)
    return log_pivots(eliminate(rows_of(root)))


def solve(root: Tensor, vector: Tensor) -> Tensor:
    """A^-1 v, (..., D, D) and (..., D); leading axes that only v has are right-hand sides of one factorisation."""
    if root.shape[-1] <= CLOSED:
        return torch.stack(substitute(eliminate(rows_of(root)), vector.unbind(-1))).movedim(0, -1)
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
    return torch.stack([torch.stack(row, dim=-1) for row in invert(rows_of(root))], dim=-2)


class _Norm(torch.autograd.Function):
    """||u|| over the last axis; the gradients of torch.hypot (NaN at 0) and of a scaled sum (overflow) won't do."""

    generate_vmap_rule = True

    @staticmethod
    def forward(residual: Tensor) -> Tensor:
        if residual.shape[-1] <= CLOSED:
            return length_of(*residual.unbind(-1))
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


def length_of(*entries: Tensor) -> Tensor:
    """The norm of a vector given by its entries, without overflow or underflow."""
    return reduce(torch.hypot, entries) if len(entries) > 1 else entries[0].abs()


def rows_of(matrix: Tensor) -> list[Sequence[Tensor]]:
    """The rows of a matrix (..., D, D), each a sequence of its entries (...)."""
    return [row.unbind(-1) for row in matrix.unbind(-2)]


def join(entries: list[Tensor], like: Tensor) -> Tensor:
    """The entries as the last axis; in memory side by side where ``like`` is, else each contiguous.

    autograd copies what comes in another order than its leaf's, and torch.stack takes four times as long.
    """
    if not like.is_contiguous():
        return torch.stack(entries).movedim(0, -1)
    joined = entries[0].new_empty((*entries[0].shape, len(entries)))
    for i, entry in enumerate(entries):
        joined[..., i] = entry
    return joined


def products(rows: Sequence[Sequence[Tensor]], vector: Sequence[Tensor]) -> list[Tensor]:
    """The entries of M v."""
    sums = [row[0] * vector[0] for row in rows]
    for k in range(1, len(vector)):
        sums = [torch.addcmul(total, row[k], vector[k]) for total, row in zip(sums, rows, strict=True)]
    return sums


def eliminate(rows: list[Sequence[Tensor]]) -> list[list[Tensor]]:
    """A = L U by elimination without pivoting: U, and L below its unit diagonal."""
    lu = [list(row) for row in rows]
    for k in range(len(lu)):
        for i in range(k + 1, len(lu)):
            lu[i][k] = lu[i][k] / lu[k][k]
            for j in range(k + 1, len(lu)):
                lu[i][j] = lu[i][j] - lu[i][k] * lu[k][j]  # the product is no larger than the diagonal's entries
    return lu


def log_pivots(lu: list[list[Tensor]]) -> Tensor:
    """log|A|, -inf where a pivot is not positive, or 0/0 after one that is not."""
    return reduce(torch.add, [lu[k][k].nan_to_num().clamp(min=0).log() for k in range(len(lu))])


def substitute(lu: list[list[Tensor]], vector: Sequence[Tensor]) -> list[Tensor]:
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


def invert(rows: list[Sequence[Tensor]]) -> list[list[Tensor]]:
    """The entries of A^-1, by bordering: the inverse of a leading block, and the last pivot s of the next one.

    [[M, u], [v, a]]^-1 = [[M^-1 + p q/s, -p/s], [-q/s, 1/s]], p = M^-1 u, q = v M^-1, s = a - v p.
    """
    inverted = [[rows[0][0].reciprocal()]]
    for k in range(1, len(rows)):
        p = products(inverted, [rows[i][k] for i in range(k)])
        q = products(list(zip(*inverted, strict=True)), rows[k][:k])
        last = (rows[k][k] - products([rows[k][:k]], p)[0]).reciprocal()
        side = [x * last for x in p]
        inverted = [
            [torch.addcmul(m, x, y) for m, y in zip(row, q, strict=True)] + [-x]
            for row, x in zip(inverted, side, strict=True)
        ]
        inverted.append([-(y * last) for y in q] + [last])
    return inverted
