"""The refit of a noise model on sums, over any number of chunks and processes.

A model is asked two questions in turn: what does a chunk of residuals contribute (:meth:`NoiseModel.statistics`), and
what follows from all contributions together (:meth:`NoiseModel.update`). In between they are added up, over the chunks
of a process and over the processes. So no process needs another one's residuals, and one chunk in one process is the
special case that needs no addition.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Protocol, TypeVar

import torch

from steadfit.core.sums import Sums
from steadfit.errors import ConvergenceWarning
from steadfit.noise.base import NoiseModel, State
from steadfit.noise.chunk import Chunk

T = TypeVar("T")
MAX_ROUNDS = 10_000
"""The number of rounds after which a refit stops, settled or not."""


class Processes(Protocol):
    """The processes that share a refit, as one of them sees them."""

    @property
    def rank(self) -> int:
        """This process's number, from 0."""

    def reduce(self, sums: Sums) -> Sums:
        """The sums of all processes; every process calls it with the same names and shapes and gets the same result."""


class Alone:
    """A single process: its sums are the total, and there is nobody to wait for."""

    rank, size = 0, 1

    def reduce(self, sums: Sums) -> Sums:
        return sums

    def meet(self) -> None: ...

    def in_step(self, batches: Iterable[T]) -> Iterator[T]:
        return iter(batches)


ALONE = Alone()


@torch.no_grad()
def refit(noise: NoiseModel, chunks: Sequence[Chunk], state: State, processes: Processes = ALONE) -> State:
    """Re-estimate the state of a noise model from the whole training set.

        state = begin(state)
        repeat  state = update(sum of statistics(chunk, state), state)  until settled(state)

    Args:
        noise: the model.
        chunks: this process's samples, at least one chunk (it may be empty). Every sample is in one chunk of one
            process.
        state: the present state; it is not changed.
        processes: the processes that share the work; by default this one alone.

    Returns:
        A state with the names, dtypes and devices of ``state``. Within the refit all of its floating-point tensors are
        float64, and whatever else the model adds to it is dropped at the end.

    Warns:
        ConvergenceWarning: the model is not settled after 10,000 rounds and is taken as it is.
    """
    now = noise.begin({name: value.double() if value.is_floating_point() else value for name, value in state.items()})
    for _ in range(MAX_ROUNDS):
        sums = reduce(add, (noise.statistics(chunk, now) for chunk in chunks))
        now = noise.update(processes.reduce(sums), now)
        if _all_settled(noise.settled(now), processes):
            break
    else:
        warnings.warn(
            f"refit: {type(noise).__name__} is not settled after {MAX_ROUNDS} rounds and taken as it is. Its "
            "settled(state) has to become True.",
            ConvergenceWarning,
            stacklevel=3,  # past the decorator
        )
    return {name: now[name].to(value) for name, value in state.items()}


def _all_settled(settled: bool, processes: Processes) -> bool:
    """Whether every process has settled: they may round differently, and must go on or stop together."""
    left = processes.reduce(Sums(largest={"left": torch.tensor(int(not settled))}))
    return not int(left.largest["left"])
