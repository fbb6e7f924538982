"""The mixture of :class:`~steadfit.core.mixture.GaussianUniform` on sums, round by round, for residuals in any chunks.

The same steps as its ``fit``, with a state that is a dict of tensors: widths by counting, the start, EM, and whether
the residuals are clean after all. ``stage`` is the step's place in ``STAGES``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from steadfit.core import widths
from steadfit.core.em import Residuals, State, Watch, clean_sums, contest_sums, expectation, start_sums, step_sums
from steadfit.core.mixture import GaussianUniform, unless_clean
from steadfit.core.sums import Sums
from steadfit.core.widths import Widths

Tensors = Mapping[str, Tensor]


class Rows:
    """Some residuals, with what EM computes from them once only.

    Args:
        residual: (n, G, D), float64 with NaN where missing; n may be 0.
    """

    def __init__(self, residual: Tensor) -> None:
        self.reach = widths.Rows.of(residual)
        self._made: tuple[Tensor, Residuals] | None = None

    def in_units(self, mixture: GaussianUniform, state: Tensors) -> Residuals:
        """The residuals in the units that follow from the widths of all residuals."""
        if self._made is None or self._made[0] is not state["width_trimmed"]:
            self._made = state["width_trimmed"], _data(mixture, self.reach.value, state)
        return self._made[1]


class Stage(Protocol):
    """One step: what it asks of some residuals, and what follows from all of them."""

    def statistics(self, mixture: GaussianUniform, rows: Rows, state: Tensors) -> Sums: ...

    def update(self, mixture: GaussianUniform, sums: Sums, state: Tensors) -> dict[str, Tensor]: ...


class Measure:
    """How far the residuals reach."""

    def statistics(self, mixture: GaussianUniform, rows: Rows, state: Tensors) -> Sums:
        return widths.statistics(rows.reach, state)

    def update(self, mixture: GaussianUniform, sums: Sums, state: Tensors) -> dict[str, Tensor]:
        found = widths.update(sums, state)
        return _next(found) if widths.finished(found) else found


class Start:
    """The parameters at which EM starts."""

    def statistics(self, mixture: GaussianUniform, rows: Rows, state: Tensors) -> Sums:
        return start_sums(rows.in_units(mixture, state))

    def update(self, mixture: GaussianUniform, sums: Sums, state: Tensors) -> dict[str, Tensor]:
        data = _units(mixture, state)
        begun = mixture.begun(Widths.named(state), data, sums)
        fixed = {"box": data.side * data.unit, "unit": data.unit, "informative": data.informative}
        watch = {"step": torch.tensor(math.inf, dtype=torch.float64), "rounds": torch.tensor(0)}
        return _next(dict(state) | fixed | watch | _named(begun))


class Expect:
    """One round of EM: responsibilities, and the parameters that follow from them."""

    def statistics(self, mixture: GaussianUniform, rows: Rows, state: Tensors) -> Sums:
        data = rows.in_units(mixture, state)
        responsibility, _, _ = expectation(data, _parameters(state))
        return step_sums(data, responsibility, mixture.covariance, mixture.volume)

    def update(self, mixture: GaussianUniform, sums: Sums, state: Tensors) -> dict[str, Tensor]:
        before, after = _parameters(state), mixture.maximized(_units(mixture, state), sums)
        watch = Watch(mixture.tol)
        watch.step = float(state["step"])
        settled, rounds = watch.settled(before, after), state["rounds"] + 1
        found = dict(state) | _named(after) | {"step": torch.tensor(watch.step, dtype=torch.float64), "rounds": rounds}
        if int(rounds) == mixture.max_iter and not settled:
            mixture.warn(watch.step, stacklevel=5)
        elif not settled:
            return found
        return _next(found)


class Clean:
    """The parameters if all residuals inside the fences are right, and if all but gross ones are."""

    def statistics(self, mixture: GaussianUniform, rows: Rows, state: Tensors) -> Sums:
        return clean_sums(rows.in_units(mixture, state), mixture.covariance)

    def update(self, mixture: GaussianUniform, sums: Sums, state: Tensors) -> dict[str, Tensor]:
        inside, near = mixture.cleaned(_units(mixture, state), sums)
        return _next(dict(state) | _named(inside, "inside_") | _named(near, "near_"))


class Compare:
    """Whether one of the two is true."""

    def statistics(self, mixture: GaussianUniform, rows: Rows, state: Tensors) -> Sums:
        return contest_sums(rows.in_units(mixture, state), _parameters(state), _clean(state))

    def update(self, mixture: GaussianUniform, sums: Sums, state: Tensors) -> dict[str, Tensor]:
        return _next(dict(state) | _named(unless_clean(sums, _parameters(state), _clean(state))))


STAGES: tuple[Stage, ...] = (Measure(), Start(), Expect(), Clean(), Compare())
AFTER_EM = 3


def begin(state: Tensors) -> dict[str, Tensor]:
    """The state at which a fit begins, given one with a ``box`` (G, D)."""
    groups, dims = state["box"].shape
    return dict(state) | {"stage": torch.tensor(0)} | widths.begin(groups, dims, state["box"].device)


def statistics(mixture: GaussianUniform, rows: Rows, state: Tensors) -> Sums:
    """The sums of some residuals in this round."""
    return STAGES[int(state["stage"])].statistics(mixture, rows, state)


def update(mixture: GaussianUniform, sums: Sums, state: Tensors) -> dict[str, Tensor]:
    """The state after a round.

    When it is :func:`settled` it has ``inlier_share``, ``covariance``, ``box``, ``unit`` and ``informative``, with the
    meaning of the fields of :class:`~steadfit.core.mixture.GaussianUniformResult`.
    """
    after = STAGES[int(state["stage"])].update(mixture, sums, state)
    return _in_own_units(after) if settled(mixture, after) else after


def settled(mixture: GaussianUniform, state: Tensors) -> bool:
    """Whether nothing is left to do; only the trimmed box asks whether the residuals are clean."""
    return int(state["stage"]) >= (len(STAGES) if mixture.volume == "trimmed" else AFTER_EM)


def _next(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state | {"stage": state["stage"] + 1}


def _data(mixture: GaussianUniform, residual: Tensor, state: Tensors) -> Residuals:
    return Residuals.of(residual, Widths.named(state), mixture.volume)


def _units(mixture: GaussianUniform, state: Tensors) -> Residuals:
    """The units and the box that all residuals share, without any residual."""
    box = state["box"]
    return _data(mixture, box.new_empty(0, *box.shape), state)


def _parameters(state: Tensors, prefix: str = "now_") -> State:
    return State(state[f"{prefix}share"], state[f"{prefix}covariance"], state[f"{prefix}side"])


def _clean(state: Tensors) -> tuple[State, State]:
    return _parameters(state, "inside_"), _parameters(state, "near_")


def _named(parameters: State, prefix: str = "now_") -> dict[str, Tensor]:
    return {prefix + name: value for name, value in vars(parameters).items()}


def _in_own_units(state: dict[str, Tensor]) -> dict[str, Tensor]:
    now, unit = _parameters(state), state["unit"]
    square = unit.unsqueeze(-1) * unit.unsqueeze(-2)
    return state | {"inlier_share": now.share, "covariance": now.covariance * square, "box": now.side * unit}
