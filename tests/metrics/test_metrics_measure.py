"""Two processes that share the batches get the measure of them all, the same in both."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from steadfit.metrics import Measure, absolute_error, pck, square_error

FORMULAS = {
    "mae": partial(Measure, absolute_error),
    "rmse": partial(Measure, square_error, finish=torch.sqrt),
    "each": partial(Measure, absolute_error, columns=2),
}


def batches() -> list[tuple[Tensor, Tensor]]:
    """Unequal batches, one of them without any annotated point."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(40, 3, 2, generator=generator, dtype=torch.float64)
    target[torch.rand(40, 3, generator=generator, dtype=torch.float64) < 0.3] = torch.nan
    target[33:] = torch.nan
    prediction = torch.randn(40, 3, 2, generator=generator, dtype=torch.float64)
    return list(zip(prediction.split([3, 20, 10, 7]), target.split([3, 20, 10, 7]), strict=True))


def _rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)  # the parent's threads are not in a fork
    torch.set_default_dtype(torch.float64)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    metrics = {name: make() for name, make in FORMULAS.items()}
    right = Measure(partial(pck, alpha=0.5))
    for prediction, target in batches()[rank::2]:  # 3 and 10 rows; 20 and 7 rows
        for metric in metrics.values():
            metric.update(prediction, target)
        right.update(prediction, target, 2.0)
    torch.save({name: metric.compute() for name, metric in {**metrics, "pck": right}.items()}, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_available() or os.name != "posix", reason="needs gloo and fork")
def test_two_processes_merge_to_the_whole(tmp_path: Path) -> None:
    multiprocessing.start_processes(_rank, (tmp_path,), nprocs=2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    prediction, target = (torch.cat(parts) for parts in zip(*batches(), strict=True))
    error = absolute_error(prediction, target)
    whole = {
        "mae": error.nanmean(),
        "rmse": square_error(prediction, target).nanmean().sqrt(),
        "each": error.nanmean((0, 1)),
        "pck": pck(prediction, target, 2.0, alpha=0.5).nanmean(),
    }
    for name, value in whole.items():
        torch.testing.assert_close(first[name], value, rtol=1e-12, atol=0)
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=0)
