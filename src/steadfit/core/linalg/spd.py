"""Symmetric positive definite matrices from vectors, with no preferred direction (paper 3, eqs 7-10)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.linalg import eigen
from steadfit.core.linalg.knee import Knee
from steadfit.core.linalg.spectral import SpectralFunction


def spd_from_vector(v: Tensor, dim: int, floor: float = 1.0) -> tuple[Tensor, Tensor]:
    """The symmetric positive definite matrix of any vector, and its log-determinant.

    B = [[v_1, v_2/sqrt 2, ...], ...] = V^T diag(l) V,  A = V^T diag(g(l)) V,  log|A| = sum log g(l);
    g(l) = l for l >= theta, theta exp(l/theta - 1) below

    v to B is an isometry and A turns with B, so no direction is preferred; g is 1-Lipschitz, so the gradient of v is
    never larger than that of A.

    Args:
        v: (..., d (d + 1)/2), the upper triangle row by row, in A's unit; any finite values.
        dim: d >= 1. Up to 3 no eigen-solver is called, forward or backward.
        floor: theta > 0, the knee of g, in A's unit. It is not a lower bound of A's eigenvalues.

    Returns:
        A (..., d, d), in the unit of v, and log|A| (...), in nats. In v's dtype; for half precision, and so under
        autocast, in float32.

    Raises:
        TypeError: v is not a floating-point tensor, dim no integer.
        ValueError: v's last axis is not d (d + 1)/2 long, dim < 1, floor <= 0.

    Numerics:
        Errors are a few roundings of ||B||, of A and of the gradient, at equal and nearly equal eigenvalues too: there
        is no threshold. log|A| stays exact where g underflows. Entries beyond max min(1, theta)/(64 d), max being the
        dtype's largest number, are set to that (1.7e36 in float32 for d = 3). There are two derivatives for every d, a
        third raises RuntimeError; g'' jumps at theta, where it counts as 0. Under torch.compile there is the first
        derivative only.

    References:
        Mohlin et al., BMVC 2021, eqs 7-10; for the backward pass eqs 38-39.

    >>> A, log_det = spd_from_vector(torch.tensor([3.0, 0.0, 0.0], dtype=torch.float64), dim=2)
    >>> A[0, 0].item(), round(A[1, 1].item(), 6), round(log_det.item(), 6)  # 3, 1/e, log 3 - 1
    (3.0, 0.367879, 0.098612)
    """
    v, floor = _checked("spd_from_vector", v, dim, floor)
    return _apply(v, SpectralFunction(dim, Knee(floor)))


def inverse_from_vector(v: Tensor, dim: int, floor: float = 1.0) -> Tensor:
    """A^-1 of :func:`spd_from_vector`'s A, V^T diag(1/g(l)) V: A is not formed, so none of its roundings is inverted.

    Args:
        v: (..., d (d + 1)/2), as for :func:`spd_from_vector`.
        dim: d >= 1.
        floor: theta > 0, the knee of g.

    Returns:
        (..., d, d), in 1/unit. Eigenvalues of A^-1 end at the root of the dtype's largest number (1.8e19 in float32,
        where l = -43 theta), so that products with them stay finite.

    Numerics:
        There is one derivative; a second one raises RuntimeError.

    References:
        Mohlin et al., BMVC 2021, eq. 9.

    >>> inverse_from_vector(torch.tensor([2.0, 0.0, 4.0]), dim=2).diagonal().tolist()
    [0.5, 0.25]
    """
    v, floor = _checked("inverse_from_vector", v, dim, floor)
    return _apply(v, SpectralFunction(dim, Knee(floor, inverse=True)))[0]


@torch.no_grad()
def vector_from_spd(matrix: Tensor, floor: float = 1.0) -> Tensor:
    """The vector v whose :func:`spd_from_vector` is A.

    v holds V^T diag(g^-1(a)) V; g^-1(a) = a for a >= theta, theta (1 + log(a/theta)) below

    Carries no gradient: it is for starting points.

    Args:
        matrix: A (..., d, d), symmetric (the upper triangle is read) and positive definite.
        floor: theta > 0.

    Returns:
        (..., d (d + 1)/2), in A's unit.

    Raises:
        TypeError: A is not a floating-point tensor.
        ValueError: A is not square, or has an eigenvalue <= 0.

    References:
        Mohlin et al., BMVC 2021, eq. 9, inverted.

    >>> vector_from_spd(torch.diag(torch.tensor([3.0, 1.0]))).tolist()
    [3.0, 0.0, 1.0]
    """
    who = "vector_from_spd"
    matrix, floor = _matrix(who, matrix), _checks.positive(who, "floor", floor)
    values, frame = eigen.decompose(eigen.vector_of(matrix), matrix.shape[-1])
    bad = ~(values > 0)
    if bool(bad.any()):
        raise ValueError(f"{who}: expected positive definite matrices, got an eigenvalue {float(values[bad][0]):.3g}.")
    return eigen.vector_of(eigen.compose(Knee(floor).preimage(values), frame))


@torch.no_grad()
def spd_sqrt(matrix: Tensor) -> Tensor:
    """The principal square root of a symmetric positive semi-definite matrix: M = R R, R symmetric.

    Carries no gradient: it maps predicted precisions A^2 from one coordinate system to another.

    Args:
        matrix: (..., d, d), of which the symmetric part is taken.

    Returns:
        R (..., d, d), in the root of M's unit. Eigenvalues below 0, as roundings make them, count as 0.

    Raises:
        TypeError: M is not a floating-point tensor.
        ValueError: M is not square.

    >>> spd_sqrt(torch.tensor([[4.0, 0.0], [0.0, 9.0]])).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    matrix = _matrix("spd_sqrt", matrix)
    values, frame = eigen.decompose(eigen.vector_of((matrix + matrix.mT) / 2), matrix.shape[-1])
    return eigen.compose(values.clamp(min=0.0).sqrt(), frame)


# Autograd


class _Root(torch.autograd.Function):
    """v to A, log|A| and the parts that the gradient needs."""

    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, function: SpectralFunction) -> tuple[Tensor, ...]:
        return function.forward(v)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        v, ctx.function = inputs
        ctx.save_for_backward(v, *output[2:])
        ctx.mark_non_differentiable(*output[2:])
        ctx.set_materialize_grads(False)  # the parts have no gradient

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, None]:
        v, *parts = ctx.saved_tensors
        matrix, log = upstream[:2]
        if matrix is None:
            shape, dim = v.shape[:-1], ctx.function.dim
            matrix = v.new_zeros((dim * dim, *shape) if dim <= 3 else (*shape, dim, dim))
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():  # compiled code has no second derivative
            return ctx.function.adjoint(matrix, log, tuple(parts)), None
        return _Adjoint.apply(v, matrix, log, ctx.function, *parts), None  # type: ignore[no-untyped-call]


class _Adjoint(torch.autograd.Function):
    """The gradient of v. The parts are functions of v, which stands for them in the second derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(_: Tensor, matrix: Tensor, log: Tensor | None, function: SpectralFunction, *parts: Tensor) -> Tensor:
        return function.adjoint(matrix, log, parts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _: Tensor) -> None:
        *tensors, ctx.function = inputs[:4]
        ctx.save_for_backward(*tensors)
        ctx.rest = len(inputs) - 3

    @staticmethod
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.function.knee.inverse:
            raise RuntimeError("inverse_from_vector: expected one derivative, got a second. Differentiate A instead.")
        gradients = _Second.apply(*ctx.saved_tensors, direction, ctx.function)  # type: ignore[no-untyped-call]
        return *gradients, *[None] * ctx.rest


class _Second(torch.autograd.Function):
    """The gradients of :class:`_Adjoint`: a separate function, so that a third derivative raises an error."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        v: Tensor, matrix: Tensor, log: Tensor | None, direction: Tensor, function: SpectralFunction
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        return function.second(v, matrix, log, direction)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(_: Any, *__: Tensor) -> Any:
        raise RuntimeError("spd_from_vector: expected two derivatives at most, got a third.")


def _apply(v: Tensor, function: SpectralFunction) -> tuple[Tensor, Tensor]:
    matrix, log, *_ = _Root.apply(v, function)  # type: ignore[no-untyped-call]
    return function.square(matrix), log


def _checked(who: str, v: Tensor, dim: int, floor: float) -> tuple[Tensor, float]:
    _checks.floating(who, "v", v)
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"{who}: expected dim to be an integer, got {type(dim).__name__}.")
    if dim < 1:
        raise ValueError(f"{who}: expected dim >= 1, got {dim}.")
    size = dim * (dim + 1) // 2
    if v.dim() == 0 or v.shape[-1] != size:
        raise ValueError(f"{who}: expected v of shape (..., {size}) for dim = {dim}, got {tuple(v.shape)}.")
    return _wide(v), _checks.positive(who, "floor", floor)


def _matrix(who: str, matrix: Tensor) -> Tensor:
    _checks.floating(who, "matrix", matrix)
    if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] == 0:
        raise ValueError(f"{who}: expected square matrices (..., d, d), got {tuple(matrix.shape)}.")
    return _wide(matrix)


def _wide(value: Tensor) -> Tensor:
    return value if value.dtype in (torch.float32, torch.float64) else value.float()
