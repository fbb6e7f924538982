"""The knee g that makes eigenvalues positive (paper 3, eq. 9), its inverse 1/g, and their divided differences.

    g(l) = l above theta, theta exp(l/theta - 1) below

is written without a branch: with c = max(l, theta) and z = min(l, theta)/theta - 1 <= 0,

    g = c e^z        g' = e^z        log g = log c + z        (log g)' = 1/c

and its divided difference, with s = |c_x - c_y| and t = |z_x - z_y|, so that |x - y| = s + theta t,

    g[x, y] = (g(x) - g(y))/(x - y) = max(e^{z_x}, e^{z_y}) (s + theta (1 - e^{-t}))/(s + theta t)

is a sum of terms >= 0: nothing cancels, at any gap and on either side of theta. At a gap of 0 it is g'(x): a number far
below every rounding, added to numerator and denominator, makes that the value of 0/0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Image(NamedTuple):
    """A function f > 0 of eigenvalues l: f, f', and the c and z that they are made of."""

    value: Tensor
    slope: Tensor
    upper: Tensor
    exponent: Tensor


@dataclass(frozen=True)
class Knee:
    """g, or 1/g where ``inverse``; elementwise, for a theta > 0 called ``floor``."""

    floor: float
    inverse: bool = False

    def __call__(self, value: Tensor) -> Image:
        upper = value.clamp(min=self.floor)
        exponent = value.clamp(max=self.floor) / self.floor - 1
        if self.inverse:
            image = ((-exponent).exp() / upper).clamp(max=largest_inverse(value.dtype))
            return Image(image, -image / upper, upper, exponent)
        slope = exponent.exp()
        return Image(upper * slope, slope, upper, exponent)

    def log(self, image: Image) -> Tensor:
        """log f."""
        log = image.upper.log() + image.exponent
        return -log if self.inverse else log

    def log_slope(self, upper: Tensor) -> Tensor:
        """(log f)' for a given c."""
        return -upper.reciprocal() if self.inverse else upper.reciprocal()

    def preimage(self, image: Tensor) -> Tensor:
        """l with g(l) = a, for a > 0: a above theta, theta (1 + log(a/theta)) below."""
        return image.clamp(min=self.floor) + self.floor * (image.clamp(max=self.floor) / self.floor).log()

    def divided(self, x: Image, y: Image) -> Tensor:
        """f[x, y] of two eigenvalues in any order; (1/g)[x, y] = -g[x, y]/(g(x) g(y)), where e^z cancels."""
        apart = (x.upper - y.upper).abs() + self._nudge(x.upper.dtype)
        below = (x.exponent - y.exponent).abs()
        ratio = torch.add(apart, _saturation(below), alpha=self.floor) / torch.add(apart, below, alpha=self.floor)
        if self.inverse:
            return -ratio / torch.maximum(x.upper, y.upper) * torch.maximum(x.value, y.value)
        return ratio * torch.maximum(x.slope, y.slope)

    def log_slope_divided(self, x: Tensor, y: Tensor) -> Tensor:
        """(log g)'[x, y]: -(c_x - c_y)/(x - y)/(c_x c_y)."""
        x, y = torch.maximum(x, y), torch.minimum(x, y)
        upper, lower, nudge = x.clamp(min=self.floor), y.clamp(min=self.floor), self._nudge(x.dtype)
        ratio = (upper - lower + nudge * (y >= self.floor)) / ((x - y) + nudge)
        return -ratio / upper / lower

    def twice_divided(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """g[x, y, z], x >= y >= z being the three numbers in order; g''/2 where they are equal, 0 at theta.

        g[x, y] = g'(x) (1 - p_xy), p = r (1 - (1 - e^{-t})/t), r the share of x - y that is below theta. So
        g[x, y] - g[y, z] = (g'(x) - g'(y)) - g'(x) p_xy + g'(y) p_yz, which does not cancel, divided by x - z.
        """
        x, z = torch.maximum(torch.maximum(a, b), c), torch.minimum(torch.minimum(a, b), c)
        y = torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))
        nudge = self._nudge(x.dtype)
        low_x, low_y, low_z = (part.clamp(max=self.floor) for part in (x, y, z))
        slope_x, slope_y = (low_x / self.floor - 1).exp(), (low_y / self.floor - 1).exp()
        first, second = (low_x - low_y) / self.floor, (low_y - low_z) / self.floor
        p = (low_x - low_y) / ((x - y) + nudge) * _lag(first)
        q = (low_y - low_z) / ((y - z) + nudge) * _lag(second)
        rise = slope_y * q + slope_x * (_saturation(first) - p)
        equal = torch.where(x < self.floor, slope_x / (2 * self.floor), 0.0)
        apart = (x - z) > nudge
        return torch.where(apart, rise / torch.where(apart, x - z, 1.0), equal)

    def _nudge(self, dtype: torch.dtype) -> float:
        limits = torch.finfo(dtype)
        return max(self.floor * limits.tiny / limits.eps, limits.tiny)


def largest_inverse(dtype: torch.dtype) -> float:
    """The bound of 1/g, so that products with it stay finite."""
    return math.sqrt(torch.finfo(dtype).max)


def _saturation(t: Tensor) -> Tensor:
    """1 - e^{-t} for t >= 0, to rounding for every t.

    Compiled code has exp(t) - 1 for expm1, without a digit at t = eps. There, e^{-t} is split at 1/2: below, it is
    2 h/(1 + h) with h = tanh(t/2) as a continued fraction; 1 - e^{-(a + b)} = p + (1 - p)(1 - e^{-b}), p = 1 - e^{-a}.
    """
    if not torch.compiler.is_compiling():
        return -(-t).expm1()
    near = t.clamp(max=0.5)
    square = near * near * 0.25
    fraction = 13 + square / 15
    for odd in (11, 9, 7, 5, 3, 1):
        fraction = odd + square / fraction
    tangent = 0.5 * near / fraction
    part = 2 * tangent / (1 + tangent)
    return part + (1 - part) * (1 - (near - t).exp())


def _lag(t: Tensor) -> Tensor:
    """1 - (1 - e^{-t})/t for t >= 0: up to 1 its power series, which does not cancel."""
    near, far = t.clamp(max=1.0), t.clamp(min=1.0)
    series = torch.zeros_like(t)
    for k in range(20, 1, -1):
        series = (1 - series) * near / k
    return torch.where(t < 1, series, 1 - _saturation(far) / far)
