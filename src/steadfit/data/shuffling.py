"""The order of training samples, a function of seed and epoch, which the data set follows as well."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch.utils.data import DistributedSampler


class Epochal(Protocol):
    """A data set whose random warps or crops are a function of the epoch."""

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None: ...


class Shuffle(DistributedSampler[Any]):
    """Shuffles by seed and epoch, and sets the data set's epoch; in a process group each rank draws its share.

    Args:
        dataset: the data set.
        seed: the seed of the order.
    """

    def __init__(self, dataset: Epochal, seed: int) -> None:
        group = torch.distributed.is_available() and torch.distributed.is_initialized()
        ranks, rank = (torch.distributed.get_world_size(), torch.distributed.get_rank()) if group else (1, 0)
        super().__init__(cast(Any, dataset), num_replicas=ranks, rank=rank, shuffle=True, seed=seed)

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        cast(Epochal, self.dataset).set_epoch(epoch)


def as_made(batch: Any) -> Any:
    """The batch as it is: the collation for data sets whose ``__getitems__`` makes the batch already."""
    return batch
