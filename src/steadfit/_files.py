"""Files that are either the old ones or the new ones, never halves.

A run may be killed at any point. Every file of a run folder is therefore written next to its final place and moved
there by ``os.replace``, which the file system does in one step.
"""

from __future__ import annotations

import errno
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the same folder, moved over ``path`` when the block ends well.

    After an exception the temporary file is removed and what stood at ``path`` before is untouched. The temporary
    name keeps the suffix, by which image and table writers choose their format. Missing folders are made. The file has
    the mode that the umask gives to new files, if the block opens it like one.

    Args:
        path: where the file shall be in the end.

    Raises:
        RuntimeError: the block ended without writing to the path it was given.
        OSError: the file cannot be written, because the disk is full for example; ``filename`` is ``path``, whatever
            the writer in the block made of the system's error.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("done")
    >>> [file.name for file in folder.iterdir()]
    ['note.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        if not temporary.exists():
            raise RuntimeError(f"atomic_path: expected the block to write {temporary.name} for {path}, got no file.")
        _flush(temporary)
        os.replace(temporary, path)
    except Exception as error:
        if (number := _system_error(error, temporary)) is None:
            raise
        raise OSError(number, os.strerror(number), os.fspath(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path for people: relative to the working directory.

    >>> shown_path(Path.cwd() / "data" / "table.csv"), shown_path(Path.cwd().parent / "table.csv")
    ('data/table.csv', '../table.csv')
    """
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)


def write_bytes(content: bytes, path: str | os.PathLike[str]) -> Path:
    """Write bytes atomically; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    r"""Write text as UTF-8 with ``\n`` line ends, atomically; returns the path."""
    return write_bytes(text.encode("utf-8"), path)


def write_json(value: Any, path: str | os.PathLike[str]) -> Path:
    """Write JSON that every reader accepts, atomically; returns the path.

    NumPy numbers and arrays become plain ones, paths become text; NaN and infinities, which JSON does not have,
    become ``null``.
    """
    return write_text(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def write_csv(table: pd.DataFrame, path: str | os.PathLike[str], *, index_label: str | None = None) -> Path:
    """Write a table as CSV for machines, atomically; returns the path.

    Numbers are the shortest text that reads back as the same number, NaN an empty cell.

    Args:
        table: what is written.
        path: where.
        index_label: the name under which the index is the first column; None leaves the index out.
    """
    single = table.select_dtypes(np.float32).columns
    exact = table.assign(**{name: _shortest(table[name].to_numpy()) for name in single})
    with atomic_path(path) as temporary:
        exact.to_csv(temporary, index=index_label is not None, index_label=index_label, lineterminator="\n")
    return Path(path)


def _shortest(value: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The float64 numbers whose text is the shortest that gives these float32 numbers: .255, not .2549999952316284."""
    return value.astype(str).astype(np.float64)


def plain(value: Any) -> Any:
    """The same value from JSON's types only; a float32 number has no digits that it does not know.

    >>> plain({"share": np.float32(0.5), "error": float("nan"), 3: (np.int64(1), Path("a"))})
    {'share': 0.5, 'error': None, '3': [1, 'a']}
    >>> plain([np.float32(0.255), np.array([0.1], dtype=np.float32)])
    [0.255, [0.1]]
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic) and value.dtype == np.float32:
        return plain(_shortest(np.asarray(value)).tolist())
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def shortened(name: str, most: int = 200) -> str:
    """The beginning of a name, for a part of a file name: file systems allow 255 bytes in all.

    Args:
        name: any text without a separator of paths.
        most: bytes in UTF-8, >= 1.

    Returns:
        The name itself, or as many of its whole characters as fit.

    >>> shortened("portrait"), shortened("ééé", most=5)
    ('portrait', 'éé')
    """
    content = name.encode("utf-8", "surrogateescape")
    return name if len(content) <= most else content[:most].decode("utf-8", "ignore")


def _temporary(path: Path) -> Path:
    """A hidden name next to the path that fits into a file name wherever the path's own does."""
    suffix = path.suffix if len(path.suffix) <= 16 else ""
    return path.with_name(f".{shortened(path.stem, 40)}-{uuid.uuid4().hex[:12]}{suffix}")


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, the quota is used up, the file would be larger than allowed."""


def _system_error(error: BaseException | None, temporary: Path) -> int | None:
    """The system's error number where writing the temporary file failed.

    Writers in C++ replace the system's error with one of their own ("unexpected pos"): a full disk is looked for among
    the errors that led to it.
    """
    if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary), temporary):
        return error.errno
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def _flush(path: Path) -> None:
    """Bring the content to the disk before the name: after a power cut a renamed file could be empty otherwise."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
