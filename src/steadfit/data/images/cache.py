"""Frames or encoded files cached in memory when they are first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit.data.images.files import read_file

LIMIT = 4 << 30  # bytes; a larger set is read from its files in every epoch
_SHARE = 0.25  # of the memory that is free


class FrameCache:
    """Frames (n, C, H, W) of uint8, each read once.

    Args:
        count: n.
        shape: (C, H, W).
        read: gives the frame (C, H, W) of a position.
    """

    def __init__(self, count: int, shape: tuple[int, int, int], read: Callable[[int], Tensor]) -> None:
        self._frames = torch.empty((count, *shape), dtype=torch.uint8)
        self._filled = torch.zeros(count, dtype=torch.bool)
        self._read = read

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Frames (B, C, H, W) of the positions (B,)."""
        self._fill(positions)
        return self._frames[positions]

    def share(self) -> None:
        """Fill everything and move it to shared memory, so that worker processes need no copies."""
        self._fill(torch.arange(len(self._filled)))
        self._frames.share_memory_()  # type: ignore[no-untyped-call]
        self._filled.share_memory_()  # type: ignore[no-untyped-call]

    def _fill(self, positions: Tensor) -> None:
        if bool(self._filled[positions].all()):
            return
        for position in positions[~self._filled[positions]].tolist():
            self._frames[position] = self._read(position)
            self._filled[position] = True


class FileCache:
    """The bytes of n files, each read once: far smaller than their pixels, and decoded whenever they are drawn.

    Args:
        paths: n files.
        keep: False: a file is read whenever it is needed.
    """

    def __init__(self, paths: Sequence[Path], *, keep: bool) -> None:
        self.paths = list(paths)
        self._files: list[npt.NDArray[np.uint8] | None] | None = [None] * len(self.paths) if keep else None
        self._block, self._ends = torch.empty(0, dtype=torch.uint8), np.zeros(1, dtype=np.int64)

    def __getitem__(self, position: int) -> npt.NDArray[np.uint8]:
        """The bytes of a file, not to be written to."""
        if len(self._block):
            return self._block.numpy()[self._ends[position] : self._ends[position + 1]]
        if self._files is None:
            return self._read(position)
        found = self._files[position]
        if found is None:
            found = self._files[position] = self._read(position)
        return found

    def share(self) -> None:
        """Read everything into one block of shared memory, so that worker processes need no copies."""
        if not self._files:  # nothing is cached, it is shared already, or there are no files
            return
        files = [self[position] for position in range(len(self.paths))]
        self._ends = np.cumsum([0, *(len(file) for file in files)])
        self._block = torch.from_numpy(np.concatenate(files)).share_memory_()  # type: ignore[no-untyped-call]
        self._files = None

    def _read(self, position: int) -> npt.NDArray[np.uint8]:
        return np.frombuffer(read_file(self.paths[position]), dtype=np.uint8)


def total_size(paths: Sequence[Path]) -> int:
    """The bytes of all files; one that cannot be accessed counts 0, and reading it will report why."""
    sizes = []
    for path in paths:
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            sizes.append(0)
    return sum(sizes)


def fits_in_memory(size: int) -> bool:
    """Whether this number of bytes is at most a quarter of the free memory, and at most 4 GiB."""
    return size <= room_in_memory()


def room_in_memory() -> float:
    """The number of bytes that may be cached: a quarter of the free memory, and at most 4 GiB."""
    return min(LIMIT, _SHARE * free_memory())


def free_memory() -> float:
    """The bytes that the system could give to a process now; half of all memory where it does not report them."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        return float(text.split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        names = getattr(os, "sysconf_names", {})
        if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
            return 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return float(LIMIT)


def to_tensor(frame: npt.NDArray[np.uint8]) -> Tensor:
    """(H, W, C) pixels as a (C, H, W) tensor."""
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))
