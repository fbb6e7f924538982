"""Options of models, declared once: a field of a frozen dataclass that carries its help, domain and default.

Noise models, outputs and the training settings declare what a user may choose as fields made by :func:`option`. The
check of the values, the options of the command line with their help, and the tables of the documentation come from
these declarations. This module needs nothing but the standard library, so that ``--help`` does not import torch.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Cut:
...     level: float = option(0.9, "where labels are cut off", low=0.0, high=1.0)
...     def __post_init__(self):
...         check_options(self)
>>> Cut(level=2.0)
Traceback (most recent call last):
    ...
ValueError: Cut: expected level in [0, 1], got 2.0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

KEY = "option"
"""Where a field's metadata keep its :class:`Option`."""


@dataclass(frozen=True)
class Option:
    """What a field declares beyond its type and default.

    Args:
        help: one sentence for ``--help`` and the documentation, without a full stop and without the default.
        choices: the words that are allowed; empty for any value.
        low: the smallest number allowed; None for no bound.
        high: the largest number allowed; None for no bound.
        above: a number that the value must exceed; None for no bound.
        command_line: whether the command line offers the option.
    """

    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    command_line: bool = True

    @property
    def domain(self) -> str:
        """The values allowed, in words; empty for any."""
        if self.choices:
            return "one of " + ", ".join(map(repr, self.choices))
        if self.above is not None:
            return f"in ({self.above:g}, {self.high:g}]" if self.high is not None else f"> {self.above:g}"
        if self.low is not None:
            return f"in [{self.low:g}, {self.high:g}]" if self.high is not None else f">= {self.low:g}"
        return "" if self.high is None else f"<= {self.high:g}"


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    command_line: bool = True,
    kw_only: bool = True,
) -> Any:
    """A dataclass field that users may choose, with its :class:`Option`.

    Args:
        default: the value unless another one is chosen; None is always allowed where it is the default.
        help: one sentence, without a full stop and without the default.
        choices: the words that are allowed; empty for any value.
        low: the smallest number allowed.
        high: the largest number allowed.
        above: a number that the value must exceed.
        command_line: whether the command line offers the option.
        kw_only: whether the field is keyword-only.
    """
    known = Option(help, tuple(choices), low, high, above, command_line)
    return dataclasses.field(default=default, kw_only=kw_only, metadata={KEY: known})


def options_of(model: Any) -> Mapping[str, tuple[dataclasses.Field[Any], Option]]:
    """The declared options of a dataclass or an instance, by name, in the order of the fields."""
    return {field.name: (field, field.metadata[KEY]) for field in dataclasses.fields(model) if KEY in field.metadata}


def check_options(model: Any) -> None:
    """Check every declared option of an instance against its domain.

    Raises:
        TypeError: a bound is declared and the value is not a number.
        ValueError: the value is outside the domain.
    """
    who = type(model).__name__
    for name, (field, known) in options_of(model).items():
        value = getattr(model, name)
        if value is None and field.default is None:
            continue
        if known.choices and value not in known.choices:
            raise ValueError(f"{who}: expected {name} to be {known.domain}, got {value!r}.")
        if (known.low, known.high, known.above) != (None, None, None):
            _check_number(who, name, value, known)


def _check_number(who: str, name: str, value: object, known: Option) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{who}: expected {name} to be a number, got {type(value).__name__}.")
    real = float(value)
    low = -math.inf if known.low is None else known.low
    high = math.inf if known.high is None else known.high
    if not (math.isfinite(real) and low <= real <= high and (known.above is None or real > known.above)):
        raise ValueError(f"{who}: expected {name} {known.domain}, got {value}.")


def chosen(model: Any) -> dict[str, Any]:
    """The declared options of an instance as plain values, for ``config.yaml``."""
    return {name: getattr(model, name) for name in options_of(model)}
