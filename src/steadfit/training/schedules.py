"""Schedules: the step size during a training run, as a factor on the largest one at a share of all steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch


@dataclass(frozen=True)
class Schedule(ABC):
    """Base of all schedules, which are immutable descriptions."""

    changes: ClassVar[bool] = True

    @abstractmethod
    def factor(self, share: float) -> float:
        """The factor on the largest step size, in [0, 1].

        Args:
            share: the share of all steps that are done, in [0, 1].
        """

    def scheduler(self, optimizer: torch.optim.Optimizer, lr: float, steps: int) -> Any:
        """A scheduler that is stepped once per step.

        Args:
            optimizer: the optimizer whose step size it changes.
            lr: the largest step size.
            steps: the number of steps of the whole training.
        """
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.factor(step / steps))


@dataclass(frozen=True)
class Constant(Schedule):
    """The same step size from the first step to the last."""

    changes: ClassVar[bool] = False

    def factor(self, share: float) -> float:
        return 1.0


@dataclass(frozen=True)
class OneCycle(Schedule):
    """A cosine rise from a 25th, then a cosine to nearly zero.

    Args:
        rise: the share of the steps in which the step size rises.

    References:
        Smith and Topin, 2019 (PyTorch's ``OneCycleLR``).
    """

    rise: float = 0.15

    def factor(self, share: float) -> float:
        if share < self.rise:
            return _cosine(1 / 25, 1.0, share / self.rise)
        return _cosine(1.0, 1 / 25e4, (share - self.rise) / (1 - self.rise))

    def scheduler(self, optimizer: torch.optim.Optimizer, lr: float, steps: int) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=lr, total_steps=steps, pct_start=self.rise, cycle_momentum=False
        )


@dataclass(frozen=True)
class Staged(Schedule):
    """1 to the first milestone, then linearly to .1 at the second and to .01 at the third (paper 3).

    Args:
        milestones: shares of all steps, ascending.

    References:
        Mohlin et al., BMVC 2021.

    >>> [round(Staged().factor(share), 3) for share in (0.0, 0.5, 0.65, 0.8, 1.0)]
    [1.0, 1.0, 0.55, 0.1, 0.01]
    """

    milestones: tuple[float, float, float] = (0.5, 0.8, 1.0)

    def factor(self, share: float) -> float:
        return float(np.interp(share, self.milestones, (1.0, 0.1, 0.01)))


@dataclass(frozen=True)
class Alternating(Schedule):
    """1 for half of the steps, then times .5 and .2 in turn at .5, .6, … (paper 4, poses).

    >>> [round(Alternating().factor(share), 4) for share in (0.0, 0.49, 0.5, 0.6, 0.7, 0.95)]
    [1.0, 1.0, 0.5, 0.1, 0.05, 0.005]
    """

    def factor(self, share: float) -> float:
        drops = max(math.floor(share * 10 + 1e-9) - 4, 0)
        return float(0.5 ** ((drops + 1) // 2) * 0.2 ** (drops // 2))


@dataclass(frozen=True)
class Drops(Schedule):
    """A linear rise, then 1 and a tenth after each drop; without drops a cosine to zero (paper 4, classes).

    Args:
        drops: shares of all steps.
        rise: the share of the steps in which the step size rises from nearly zero.

    >>> [round(Drops((0.8, 0.9)).factor(epoch / 200), 3) for epoch in (0, 159, 160, 180)]
    [1.0, 1.0, 0.1, 0.01]
    """

    drops: tuple[float, ...] = ()
    rise: float = 0.0

    def factor(self, share: float) -> float:
        if share < self.rise:
            return share / self.rise
        if self.drops:
            return 0.1 ** sum(share >= drop for drop in self.drops)
        return (1 + math.cos(math.pi * (share - self.rise) / (1 - self.rise))) / 2


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
