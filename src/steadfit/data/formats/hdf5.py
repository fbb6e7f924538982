"""Files of HDF5, opened so that a damaged one is one error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steadfit.data.formats.documents import head
from steadfit.data.formats.expect import Misfit
from steadfit.errors import DataError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether a path is a file of HDF5, by its first bytes."""
    return path.is_file() and head(path).startswith(_SIGNATURE)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The root group of a file; what does not fit in this block becomes one error.

    Args:
        path: the file.

    Raises:
        DataError: h5py is not installed, the file is damaged, or something in it is not as expected.
    """
    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{path}: expected the library h5py, which reads HDF5, got none. Install it: pip install 'steadfit[h5]'."
        ) from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Misfit as error:
        raise DataError(f"{path}, {error}" if error.where else f"{path}: {error}") from None
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: expected a whole HDF5 file, got a damaged one ({reason}).") from None


def words(values: Any, where: str) -> list[str]:
    """Text that is stored as bytes or as text, without the zero bytes that fill it up.

    Args:
        values: a dataset, an array or a list of it.
        where: its place, for the message.

    Raises:
        Misfit: something else.
    """
    found = [value.decode("utf-8") if isinstance(value, bytes) else value for value in values[()].tolist()]
    for value in found:
        if not isinstance(value, str):
            raise Misfit(f"expected text, got {type(value).__name__}.", where)
    return [value.rstrip("\0") for value in found]
