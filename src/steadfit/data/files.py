"""Files that are either the old ones or the new ones, never halves.

A run may be killed at any point. Every file of a run folder is therefore written beside its final place and moved
there by ``os.replace``, which the file system does in one step.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the same folder, moved over ``path`` when the block ends well.

    After an exception the temporary file is removed and what stood at ``path`` before is untouched. The temporary
    name keeps the suffix, by which image and table writers choose their format. Missing folders are made.

    Args:
        path: where the file shall be in the end.

    Raises:
        RuntimeError: the block ended without writing to the path it was given.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("done")
    >>> [file.name for file in folder.iterdir()]
    ['note.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise RuntimeError(f"atomic_path: expected the block to write {temporary.name} for {path}, got no file.")
        _flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(content: bytes, path: str | os.PathLike[str]) -> Path:
    """Write bytes atomically; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    """Write text as UTF-8 with ``\\n`` line ends, atomically; returns the path."""
    return write_bytes(text.encode("utf-8"), path)


def write_json(value: Any, path: str | os.PathLike[str]) -> Path:
    """Write JSON that every reader accepts, atomically; returns the path.

    NumPy numbers and arrays become plain ones, paths become text; NaN and infinities, which JSON does not have,
    become ``null``.
    """
    return write_text(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def plain(value: Any) -> Any:
    """The same value from JSON's types only.

    >>> plain({"share": np.float32(0.5), "error": float("nan"), 3: (np.int64(1), Path("a"))})
    {'share': 0.5, 'error': None, '3': [1, 'a']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _flush(path: Path) -> None:
    """Bring the content to the disk before the name: after a power cut a renamed file could be empty otherwise."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
