"""Cross entropy times a modulator, from logits: value and derivative in one pass (paper 4, eqs 1, 13-14 and A-1).

With q = sigmoid(z) a modulator is (1 + q - q*)^gamma = (q + gap)^gamma, gap = 1 - q* >= 0: a base that is a sum of two
numbers >= 0 neither cancels nor falls below 0. The derivative of base^gamma l, l = -log(1 - q), with respect to z is

    base^gamma (q + gamma l (1 - q) q/base)

Because q/base <= 1, no base^(gamma - 1) is needed, which is infinite at 0 for gamma < 1. Everything here works in place
on temporary tensors (not in compiled or vmapped code), without a graph; :func:`with_slope` makes the result a function
of the logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from steadfit import _checks

Pair = tuple[Tensor, Tensor]
"""Elementwise losses and their derivatives with respect to the logits."""


@dataclass(frozen=True)
class Modulator:
    """``scale`` (q + ``gap``)^``gamma``; ``scale`` alone where ``plain``, a mask of :func:`mask`."""

    gap: Tensor | float
    gamma: float
    plain: Tensor | None = None
    scale: float = 1.0

    def base(self, q: Tensor) -> Tensor:
        """q + gap, or 1 where plain; always above 0."""
        tiny = torch.finfo(q.dtype).tiny  # lost in any q that counts, and keeps 0/0 out of q/base
        base = q + (self.gap.clamp(min=tiny) if isinstance(self.gap, Tensor) else max(self.gap, tiny))
        return base if self.plain is None else filled(base, self.plain, 1.0, out=base)

    def factor(self, q: Tensor) -> Tensor:
        """The modulator itself."""
        return self._power(self.base(q))

    def times(self, logits: Tensor, q: Tensor) -> Pair:
        """The modulated loss -base^gamma log(1 - q) and its derivative; ``q`` and ``plain`` are overwritten."""
        base = self.base(q)
        if self.plain is None:
            share = q / base
        else:
            room = self.plain if self.plain.shape == q.shape else None  # memory costs more than arithmetic
            share = filled(q, self.plain, 0.0, out=room).div_(base)
        share = plus_product(share, share, q, -1)  # (1 - q) q/base, 0 where plain
        factor = self._power(base)
        if _checks.hidden():
            loss = _softplus(logits)
            return factor * loss, (q + self.gamma * share * loss) * factor
        for some in zip(*(x.chunk(_parts(x)) for x in (logits, q, share, factor)), strict=True):
            self._finish(*some)
        return factor, q

    def _finish(self, logits: Tensor, q: Tensor, share: Tensor, factor: Tensor) -> None:
        """The derivative in place of q, the loss in place of the factor."""
        loss = _softplus(logits)
        q.addcmul_(share, loss, value=self.gamma).mul_(factor)
        factor.mul_(loss)

    def _power(self, base: Tensor) -> Tensor:
        factor = base.pow_(self.gamma)
        return factor if self.scale == 1 else factor.mul_(self.scale)


def background(logits: Tensor, modulator: Modulator | None) -> Pair:
    """-base^gamma log(1 - q) (eq. 13) and its derivative.

    The target's side of eq. A-1, -base^gamma log q with base = 1 - q + q_pos, is the same of -z with gap = q_pos.
    """
    loss, slope = _uncut(logits, modulator)
    most = largest(logits.dtype)
    return loss.clamp(max=most) if _checks.hidden() else loss.clamp_(max=most), slope


def one_hot(logits: Tensor, index: Tensor, on_target: Modulator | None, on_background: Modulator | None) -> Pair:
    """Eq. A-1 with p = 1 in column ``index`` (B,) of the logits (B, C) and 0 in the others, elementwise."""
    column = index.unsqueeze(1)
    loss, slope = background(logits, on_background)
    positive, rise = background(-logits.gather(1, column), on_target)
    put = Tensor.scatter if _checks.hidden() else Tensor.scatter_
    return put(loss, 1, column, positive), put(slope, 1, column, -rise)


def two_sided(logits: Tensor, target: Tensor, on_target: Modulator | None, on_background: Modulator | None) -> Pair:
    """Eq. A-1 with soft labels: p times the target's side and 1 - p times the background's, elementwise."""
    positive, rise = background(-logits, on_target)
    negative, fall = background(logits, on_background)
    rest = 1 - target
    loss = plus_product(positive.mul_(target), negative, rest)
    return loss, plus_product(fall.mul_(rest), rise, target, -1)


def truncated(logits: Tensor, target: Tensor, on_background: Modulator | None) -> Pair:
    """Eq. 5: binary cross entropy -log(1 - q) - p z, modulated by a factor that is 1 wherever p > 0, elementwise.

    Not yet cut off at :func:`largest`, and off 0 by a rounding of z where p is near 1.
    """
    loss, slope = _uncut(logits, on_background)
    return plus_product(loss, logits, target, -1), slope.sub_(target)


def _uncut(logits: Tensor, modulator: Modulator | None) -> Pair:
    q = torch.sigmoid(logits)
    return (_softplus(logits), q) if modulator is None else modulator.times(logits, q)


def _softplus(logits: Tensor) -> Tensor:
    """-log(1 - q), to the last digits: by default torch's softplus is z beyond 20, off by 2e-9."""
    return softplus(logits, threshold=50)


def _parts(value: Tensor) -> int:
    """Large tensors are finished in halves: half a tensor less at the peak of memory."""
    return 1 if _checks.hidden() or value.numel() < 1 << 16 else 2


def plus_product(value: Tensor, a: Tensor, b: Tensor, factor: float = 1.0) -> Tensor:
    """value + factor a b, in place of ``value``; a new tensor in vmapped code, which has no rule for that."""
    if _checks.hidden():
        return torch.add(value, a * b, alpha=factor)
    return value.addcmul_(a, b, value=factor)


def largest(dtype: torch.dtype) -> float:
    """Where losses are cut off, so that no sum of them overflows."""
    return math.sqrt(torch.finfo(dtype).max)


def mask(compare: Callable[..., Tensor], value: Tensor, other: Tensor | float, out: Tensor | None = None) -> Tensor:
    """A comparison as 0 or 1 in the value's dtype, which a CPU handles many times faster than bools.

    Compiled code, where it is the other way round, gets bools, and so does vmapped code, which has no ``out``.
    """
    if _checks.hidden():
        return compare(value, other)
    return compare(value, other, out=torch.empty_like(value) if out is None else out)


def filled(value: Tensor, where: Tensor, fill: float, out: Tensor | None = None) -> Tensor:
    """``value``, and ``fill`` where a :func:`mask` says so; both finite."""
    if where.dtype == torch.bool:
        return torch.where(where, fill, value)
    return torch.lerp(value, value.new_full((), fill), where, out=out)


def with_slope(logits: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """``value`` (...) as a function of the logits (..., *) with the known derivatives ``slope`` (..., *)."""
    return _WithSlope.apply(logits, value, slope, logits[:0].clone())  # type: ignore[no-any-return, no-untyped-call]


class _WithSlope(torch.autograd.Function):
    """Keeps nothing but the slope, and an empty piece of the logits by which a second derivative would find them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(_logits: Tensor, value: Tensor, _slope: Tensor, _link: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        slope, link = ctx.saved_tensors
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return _lifted(upstream, slope) * slope, None, None, None
        return _Product.apply(upstream, slope, link), None, None, None  # type: ignore[no-untyped-call]


class _Product(torch.autograd.Function):
    """The gradient of the logits, which are lost to it: a further derivative would be wrong silently."""

    generate_vmap_rule = True

    @staticmethod
    def forward(upstream: Tensor, slope: Tensor, _link: Tensor) -> Tensor:
        return _lifted(upstream, slope) * slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(_: Any, *__: Tensor) -> Any:
        raise RuntimeError("with_slope: expected one derivative, got a second. These losses have none.")


def _lifted(value: Tensor, like: Tensor) -> Tensor:
    """The value with as many axes as ``like``."""
    return value.reshape(value.shape + (1,) * (like.dim() - value.dim()))
