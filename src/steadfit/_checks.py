"""Argument checks with one wording: ``<who>: expected <rule>, got <fact>. <remedy>``."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Real

import torch
from torch import Tensor
from torch._C import _functorch


def hidden() -> bool:
    """Whether values cannot be checked, as the code is being compiled or vmapped; shapes and dtypes always can."""
    if torch.compiler.is_compiling():
        return True
    stack = _functorch.get_interpreter_stack()
    return stack is not None and any(level.key() == _functorch.TransformType.Vmap for level in stack)


def number(who: str, name: str, value: object) -> float:
    """A real number, returned as float; a bool is refused."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{who}: expected {name} to be a number, got {type(value).__name__}.")
    return float(value)


def positive(who: str, name: str, value: object) -> float:
    """A finite number above zero, returned as float."""
    real = number(who, name, value)
    if not (math.isfinite(real) and real > 0):
        raise ValueError(f"{who}: expected {name} > 0 and finite, got {value}.")
    return real


def between(who: str, name: str, value: object, low: float, high: float) -> float:
    """A number in [low, high], returned as float."""
    real = number(who, name, value)
    if not low <= real <= high:
        raise ValueError(f"{who}: expected {low} <= {name} <= {high}, got {value}.")
    return real


def one_of(who: str, name: str, value: object, allowed: Collection[object]) -> None:
    """One of a few words."""
    if value not in allowed:
        raise ValueError(f"{who}: expected {name} to be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def floating(who: str, name: str, value: object) -> Tensor:
    """A floating-point tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{who}: expected {name} to be a tensor, got {type(value).__name__}.")
    if not value.is_floating_point():
        raise TypeError(f"{who}: expected {name} of a floating dtype, got {value.dtype}. Call .float() on it.")
    return value


def same_shape(who: str, first: str, a: Tensor, second: str, b: Tensor) -> None:
    """Equal shapes: nothing is broadcast in silence."""
    if a.shape != b.shape:
        raise ValueError(
            f"{who}: expected {first} and {second} of one shape, got {tuple(a.shape)} and {tuple(b.shape)}. "
            "Nothing is broadcast; reshape one of them."
        )


def no_infinity(who: str, name: str, value: Tensor) -> None:
    """No +-inf; NaN is allowed and means a missing label."""
    bad = torch.isinf(value)
    if bool(bad.any()):
        where = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{who}: expected finite {name} (NaN marks a missing label), got {int(bad.sum())} infinite values, "
            f"the first at {where}. Mark them as missing or remove them."
        )
