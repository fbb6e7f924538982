"""Sums over the processes of a torch.distributed group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, repeat
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from steadfit.core.sums import Sums
from steadfit.errors import ProcessLostError

T = TypeVar("T")


class Group:
    """All processes of the default group, for :meth:`steadfit.noise.LabelNoise.refit`.

    Sums are sent over gloo, whatever the group's own backend is: they are small, and gloo reports at once when a
    process has ended. All processes have to create it at the same place.

    Args:
        timeout: the seconds after which a process counts as lost that neither answers nor has ended.

    Raises:
        RuntimeError: torch.distributed has no group yet.
    """

    def __init__(self, timeout: float = 60.0) -> None:
        if not (dist.is_available() and dist.is_initialized()):
            raise RuntimeError(
                "Group: expected a torch.distributed group, got none. Call torch.distributed.init_process_group first."
            )
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        with self._watched():
            self._group = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout))

    def meet(self) -> None:
        """Wait for all processes, as long as the group's own timeout allows: one may be writing a checkpoint."""
        with self._watched():
            dist.barrier()

    def reduce(self, sums: Sums) -> Sums:
        """The sums of all processes.

        Args:
            sums: those of this process; the others have the same names and shapes.

        Raises:
            ProcessLostError: a process has ended or does not answer.
        """
        with self._watched():
            return Sums(
                added=self._all(sums.added, dist.ReduceOp.SUM), largest=self._all(sums.largest, dist.ReduceOp.MAX)
            )

    def in_step(self, batches: Iterable[T]) -> Iterator[T]:
        """This process's batches, no faster than the slowest process's, so that a lost process is noticed soon."""
        for batch in chain(batches, repeat(None)):
            left = self.reduce(Sums(largest={"left": torch.tensor(int(batch is not None))}))
            if batch is not None:
                yield batch
            elif not int(left.largest["left"]):
                return

    def _all(self, tensors: Mapping[str, Tensor], operation: dist.ReduceOp.RedOpType) -> dict[str, Tensor]:
        """The tensors combined over the processes, with one message for all tensors of a dtype."""
        found: dict[str, Tensor] = {}
        for dtype in sorted({value.dtype for value in tensors.values()}, key=str):
            names = sorted(name for name, value in tensors.items() if value.dtype == dtype)
            message = torch.cat([tensors[name].detach().flatten().cpu() for name in names])
            dist.all_reduce(message, operation, group=self._group)
            parts = torch.split(message, [tensors[name].numel() for name in names])
            found |= {n: part.view_as(tensors[n]).to(tensors[n].device) for n, part in zip(names, parts, strict=True)}
        return found

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Turn the backend's errors, which are about sockets and ports, into a ProcessLostError."""
        try:
            yield
        except RuntimeError as error:
            raise ProcessLostError(
                f"process {self.rank} of {self.size}: expected every process to take part in the refit, got no answer "
                "from one. It has ended or hangs: look at its own output for the reason, then resume from the last "
                f"checkpoint. ({str(error).splitlines()[0]})"
            ) from error
