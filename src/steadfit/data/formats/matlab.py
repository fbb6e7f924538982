"""Variables of MATLAB files (up to version 7.2), read safely; a damaged file is one error."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import scipy.io

from steadfit.data.formats.documents import head
from steadfit.data.formats.expect import Misfit
from steadfit.errors import DataError

_Found = TypeVar("_Found")
_MARK = b"MATLAB 5.0 MAT-file"


def is_matlab(path: Path) -> bool:
    """Whether a path is a MATLAB file of versions 5 to 7.2, by its first bytes."""
    return path.is_file() and head(path).startswith(_MARK)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The variables of a MATLAB file with their shapes; their values are not read.

    Args:
        path: the file.

    Returns:
        Nothing for a file of another kind.

    Raises:
        DataError: a MATLAB file that is damaged.
    """
    if not is_matlab(path):
        return {}
    found = _loaded(path, lambda file: scipy.io.whosmat(cast(Any, file)))
    return {str(name): tuple(shape) for name, shape, _ in found}


def variable(path: Path, name: str, *, structures: bool = False) -> Any:
    """A variable of a MATLAB file.

    Args:
        path: the file.
        name: the variable.
        structures: whether structures become objects, with the fields as attributes, and single values no arrays.

    Raises:
        DataError: the file is damaged or lacks the variable.
    """

    def load(file: io.BytesIO) -> dict[str, Any]:
        return scipy.io.loadmat(
            cast(Any, file), variable_names=[name], struct_as_record=not structures, squeeze_me=structures
        )

    found = _loaded(path, load)
    if name not in found:
        raise DataError(f"{path}: expected the variable {name!r}, got a file without it.")
    return found[name]


def array(path: Path, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A variable of numbers.

    Args:
        path: the file.
        name: the variable.

    Raises:
        DataError: the file is damaged, lacks the variable, or it has no real numbers.
    """
    value = variable(path, name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iufb":
        raise DataError(f"{path}, {name}: expected real numbers, got values of another kind.")
    return value.astype(np.float64)


def field(value: Any, name: str) -> Any:
    """A field of a structure; None where it is absent or empty.

    Args:
        value: a structure, or anything else, which has no fields.
        name: the field.
    """
    found = getattr(value, name, None) if type(value).__name__ == "mat_struct" else None
    return None if isinstance(found, np.ndarray) and not found.size else found


def listed(value: Any) -> list[Any]:
    """The elements of an array; a single value, which MATLAB does not tell from an array of one, as one element."""
    return [] if value is None else list(value.ravel()) if isinstance(value, np.ndarray) else [value]


def plain(value: Any, where: str = "") -> Any:
    """A number or text as Python has it.

    Args:
        value: the value.
        where: its place, for the message.

    Raises:
        Misfit: a structure or several values.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, int | float | str):
        return value
    raise Misfit(f"expected one number or text, got {type(value).__name__}.", where)


def _loaded(path: Path, load: Callable[[io.BytesIO], _Found]) -> _Found:
    """What SciPy reads; it raises errors of many kinds for a damaged file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror or error}.") from None
    if not content.startswith(_MARK):
        newer = content.startswith(b"MATLAB 7.3") or content.startswith(b"\x89HDF")
        got = "one of version 7.3. Save it with -v7" if newer else "a file of another kind"
        raise DataError(f"{path}: expected a MATLAB file up to version 7.2, got {got}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a variable that is there twice
            return load(io.BytesIO(content))
    except (Exception, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: expected a MATLAB file, got a damaged one ({reason}). Is it whole?") from None
