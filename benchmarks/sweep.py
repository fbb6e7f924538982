"""A list of runs that several processes share, and that a killed one can take up again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar


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
