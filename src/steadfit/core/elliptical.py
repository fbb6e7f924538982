"""Elliptical densities p(y) = |A|/c_d exp(-rho(||A y - nu||)) as functions of tensors (paper 3, eq. 3).

nu-location: the whitened residual is A y - nu; mu-location: A (y - mu), mu the mean. Shapes: value, nu (..., D), root
A (..., D, D) symmetric positive definite.

Numerics:
    Those of :mod:`steadfit.core.linalg.small`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steadfit.core.linalg import small
from steadfit.core.penalty import Penalty

LOCATIONS = ("nu", "mu")


def whiten(value: Tensor, location: Tensor, root: Tensor, kind: str) -> Tensor:
    """A y - nu for ``kind`` "nu", A (y - mu) for "mu"."""
    return small.multiply(root, value) - location if kind == "nu" else small.multiply(root, value - location)


def log_density(
    distance: Tensor, log_det: Tensor, penalty: Penalty, dim: int, *, scale: Tensor | float | None = None
) -> Tensor:
    """log|A| - d log tau - log c_d - rho(r/tau), r = ||A y - nu|| (eq. 3).

    Args:
        distance: r, (...), >= 0.
        log_det: log|A|, (...).
        penalty: rho, a proper one.
        dim: d.
        scale: tau, > 0, a factor on the standard deviations; None: 1.

    Returns:
        (...), in nats.
    """
    if scale is None:
        return log_det - penalty.log_normalizer(dim) - penalty.rho(distance)
    shrunk = dim * (scale.log() if isinstance(scale, Tensor) else math.log(scale))
    return log_det - shrunk - penalty.log_normalizer(dim) - penalty.rho(distance / scale)


def log_prob(
    value: Tensor, location: Tensor, root: Tensor, log_det: Tensor | None, penalty: Penalty, kind: str
) -> Tensor:
    """The log-density, (...): equal to :func:`log_density` of the parts, but faster up to D = 3.

    Where ``log_det`` is None it is computed from ``root``.
    """
    dim = value.shape[-1]
    if dim > small.CLOSED:
        logs = small.log_determinant(root) if log_det is None else log_det
        return log_density(small.norm(whiten(value, location, root, kind)), logs, penalty, dim)
    if not value.shape[:-1] == location.shape[:-1] == root.shape[:-2]:
        batch = torch.broadcast_shapes(value.shape[:-1], location.shape[:-1], root.shape[:-2])  # type: ignore[no-untyped-call]
        value, location, root = (t.expand(*batch, *t.shape[k:]) for t, k in ((value, -1), (location, -1), (root, -2)))
    density: Tensor = _LogProb.apply(value, location, root, penalty, kind, log_det is None)  # type: ignore[no-untyped-call]
    return density if log_det is None else density + log_det


class _LogProb(torch.autograd.Function):
    """log|A| - log c_d - rho(||u||), u = nu - A y or A (mu - y); log|A| is left out where the caller has it.

    With h = -weight u the gradient is h for nu, A^T h for mu, and A^-T - h y^T or A^-T + h (mu - y)^T for A. The
    backward pass starts from the inputs again: that is faster than the graph of the parts, and can be differentiated.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, location: Tensor, root: Tensor, penalty: Penalty, kind: str, with_det: bool) -> Tensor:
        rows = small.rows_of(root)
        energy = penalty.rho(small.length_of(*_residual(value, location, rows, kind)[1])) + penalty.log_normalizer(
            len(rows)
        )
        return small.log_pivots(small.eliminate(rows)) - energy if with_det else -energy

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _: Tensor) -> None:
        *tensors, ctx.penalty, ctx.kind, ctx.with_det = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        value, location, root = ctx.saved_tensors
        rows = small.rows_of(root)
        arm, residual = _residual(value, location, rows, ctx.kind)
        twice = torch.is_grad_enabled()  # this pass will be differentiated too
        length = small.norm(torch.stack(residual).movedim(0, -1)) if twice else small.length_of(*residual)
        weight = ctx.penalty.weight(length.clamp(min=torch.finfo(length.dtype).tiny))  # Laplace's weight at 0 is inf
        factor = -slope * weight
        pull = [factor * u for u in residual]
        to_value = to_location = to_root = None
        if ctx.kind == "nu":
            to_location = small.join(pull, location)
        if ctx.needs_input_grad[0] or ctx.kind == "mu":
            moved = small.join(small.products(list(zip(*rows, strict=True)), pull), value)
            to_value, to_location = -moved, to_location if ctx.kind == "nu" else moved
        if ctx.needs_input_grad[2]:
            sign = -1 if ctx.kind == "nu" else 1
            if ctx.with_det:
                inverted = [slope * i for column in zip(*small.invert(rows), strict=True) for i in column]
                outer = [(h, y) for h in pull for y in arm]
                ends = [torch.addcmul(i, h, y, value=sign) for i, (h, y) in zip(inverted, outer, strict=True)]
            else:
                ends = [sign * h * y for h in pull for y in arm]
            to_root = small.join(ends, root).reshape(root.shape)
        return to_value, to_location, to_root, None, None, None


def _residual(
    value: Tensor, location: Tensor, rows: list[Sequence[Tensor]], kind: str
) -> tuple[Sequence[Tensor], list[Tensor]]:
    """What A multiplies, y or mu - y, and the residual as the backward pass wants it, nu - A y or A (mu - y)."""
    arm, start = value.unbind(-1), location.unbind(-1)
    if kind == "mu":
        arm = tuple(m - y for y, m in zip(arm, start, strict=True))
        return arm, small.products(rows, arm)
    residual = list(start)
    for k in range(len(arm)):
        residual = [torch.addcmul(u, row[k], arm[k], value=-1) for u, row in zip(residual, rows, strict=True)]
    return arm, residual
