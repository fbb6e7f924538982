"""A list of runs that several processes share, and that a killed one can take up again."""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from steadfit.data import Annotations, LabelledDataset

DATA = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache/steadfit-data"))


class Named(Protocol):
    @property
    def name(self) -> str: ...


Cell = TypeVar("Cell", bound=Named)


def unclaimed(cells: Iterable[Cell], cache: Path, suffix: str) -> Iterator[tuple[Cell, Path]]:
    """Every cell that nobody has begun, and the file of its result.

    A claim is a file, so that processes can share the list. It goes when the caller asks for the next cell, or fails;
    after a ``kill`` it stays, and is to be deleted by hand.
    """
    for cell in cells:
        claim, result = cache / f"{cell.name}.claim", cache / f"{cell.name}{suffix}"
        if result.exists():
            continue
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            yield cell, result
        finally:
            claim.unlink()
        print(f"{time.strftime('%H:%M:%S')} {cell.name}", flush=True)


def relabelled(dataset: LabelledDataset, annotations: Annotations) -> LabelledDataset:
    """The same rows, images, frames and caches under other labels of the same table."""
    other = copy.copy(dataset)
    other.annotations, other.target = (
        annotations,
        dataset.frame.to_frame(torch.from_numpy(annotations.target)[other.rows]),
    )
    return other


def main(
    name: str, doc: str | None, sets: Sequence[str], *, work: Callable[[Path], None], report: Callable[[Path], None]
) -> None:
    """The command line of a sweep: ``work`` unless ``--report`` is given, then ``report``, both on the runs' folder."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="tables and figures only")
    parser.add_argument("--cache", type=Path, default=DATA / f"{name}-runs", help="where finished runs are kept")
    options = parser.parse_args()
    if missing := [one for one in sets if not (DATA / one / "annotations.csv").is_file()]:
        sys.exit(f"{name}: needs the data set {missing[0]} in {DATA}, which is not there. Set STEADFIT_DATA.")
    options.cache.mkdir(parents=True, exist_ok=True)
    if not options.report:
        work(options.cache)
    report(options.cache)
