"""Variables of MATLAB files of versions 5 to 7.2: numbers, text, structures and cells.

A file is a header of 128 bytes and elements, each with its kind and size; matrices consist of elements, too. It is read
here because SciPy's reader, which is fast, ends the whole program for some damaged files.

References:
    MathWorks, MAT-File Format (for level 5 files).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit.data.formats.documents import head
from steadfit.data.formats.expect import Misfit
from steadfit.errors import DataError

_MARK = b"MATLAB 5.0 MAT-file"
_HEADER = 128
_LARGEST = 1 << 30
"""The most bytes that a compressed variable may become."""
_DEEPEST = 30
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCTURE, _CHARACTERS, _FIRST_NUMBER, _LAST_NUMBER = 1, 2, 4, 6, 15
_COMPLEX = 0x800
_OTHER = object()
"""The value of a variable of another class, such as a function."""


class _DamagedError(ValueError):
    """What is wrong with the bytes of a file."""


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
    return {name: shape for name, shape, _ in _variables(path)} if is_matlab(path) else {}


def variable(path: Path, name: str) -> Any:
    """The value of a variable.

    Args:
        path: the file.
        name: the variable.

    Returns:
        A number or text; an array of numbers; a list of dictionaries for structures, of values for cells; None for an
        empty matrix.

    Raises:
        DataError: the file is damaged or lacks the variable.
    """
    for found, _, content in _variables(path):
        if found == name:
            try:
                return content.unpacked(_LARGEST).matrix().value
            except (ValueError, zlib.error, struct.error, MemoryError) as error:
                raise _damaged(path, error) from None
    raise DataError(f"{path}: expected the variable {name!r}, got a file without it.")


def array(path: Path, name: str) -> npt.NDArray[np.float64]:
    """A variable that is an array of real numbers.

    Args:
        path: the file.
        name: the variable.

    Raises:
        DataError: the file is damaged, lacks the variable, or it has other values.
    """
    value = variable(path, name)
    if not isinstance(value, np.ndarray):
        raise DataError(f"{path}, {name}: expected an array of real numbers, got a value of another kind.")
    return value.astype(np.float64)


def field(value: Any, name: str) -> Any:
    """A field of a single structure; None where it is absent or empty, or the value is no structure.

    Args:
        value: a structure, alone or as a list of one.
        name: the field.
    """
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    return one.get(name) if isinstance(one, dict) else None


def listed(value: Any) -> list[Any]:
    """The elements of an array, structures or cells; a single value, which may be an array of one, as one element."""
    if value is None or isinstance(value, list):
        return value or []
    return value.ravel(order="F").tolist() if isinstance(value, np.ndarray) else [value]


def plain(value: Any, where: str = "") -> Any:
    """A number or text.

    Args:
        value: the value.
        where: its place, for the message.

    Raises:
        Misfit: a structure or several values.
    """
    if value is None or isinstance(value, int | float | str):
        return value
    raise Misfit("expected one number or text, got a value of another kind.", where)


@dataclass(frozen=True)
class _Matrix:
    name: str
    shape: tuple[int, ...]
    value: Any


@dataclass(frozen=True)
class _Bytes:
    """Bytes that begin with an element.

    Args:
        data: the bytes.
        order: ``"<"`` or ``">"``.
    """

    data: bytes
    order: str

    def element(self, at: int, end: int) -> tuple[int, int, int, int]:
        """The kind of an element, where its content begins and ends, and where the next one begins."""
        if at + 8 > end:
            raise _DamagedError("an element ends early")
        kind, size = struct.unpack_from(f"{self.order}2I", self.data, at)
        if kind >> 16:  # up to four bytes, together with their kind and size
            kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise _DamagedError(f"a small element has {size} bytes")
        else:
            start = at + 8
            after = start + size + -size % 8
        if start + size > end:
            raise _DamagedError(f"an element of {size} bytes ends after the file")
        return kind, start, start + size, after

    def unpacked(self, most: int) -> _Bytes:
        """The element without compression, up to a number of bytes."""
        kind, size = struct.unpack_from(f"{self.order}2I", self.data)
        if kind != _COMPRESSED:
            return self
        return _Bytes(zlib.decompressobj().decompress(self.data[8 : 8 + size], most), self.order)

    def matrix(self) -> _Matrix:
        """The matrix that these bytes are."""
        kind, start, stop, _ = self.element(0, len(self.data))
        if kind != _MATRIX:
            raise _DamagedError(f"expected a matrix, got an element of kind {kind}")
        return self.matrix_at(start, stop, 0)

    def opening(self, at: int, end: int) -> tuple[int, tuple[int, ...], str, int]:
        """The flags, shape and name of a matrix, and where its values begin."""
        kind, start, stop, at = self.element(at, end)
        if kind != 6 or stop - start != 8:
            raise _DamagedError("a matrix has no flags")
        (flags,) = struct.unpack_from(f"{self.order}I", self.data, start)
        kind, start, stop, at = self.element(at, end)
        if kind != 5 or not 8 <= stop - start <= 4 * 32:
            raise _DamagedError("a matrix has no shape")
        shape = struct.unpack_from(f"{self.order}{(stop - start) // 4}i", self.data, start)
        if min(shape) < 0:
            raise _DamagedError(f"a matrix has the shape {shape}")
        _, start, stop, at = self.element(at, end)
        return flags, shape, self.data[start:stop].decode("latin-1"), at

    def matrix_at(self, at: int, end: int, depth: int) -> _Matrix:
        """The matrix whose elements are between two places."""
        if at == end:  # an empty field
            return _Matrix("", (0, 0), None)
        if depth > _DEEPEST:
            raise _DamagedError("values are nested too deeply")
        flags, shape, name, at = self.opening(at, end)
        count, kind = math.prod(shape), flags & 0xFF
        if kind == _STRUCTURE:
            value: Any = self._structures(at, end, count, depth)
        elif kind == _CELL:
            value = self._matrices(at, end, count, depth)[0]
        elif kind == _CHARACTERS:
            value = self._text(at, end) if count else ""
        elif _FIRST_NUMBER <= kind <= _LAST_NUMBER and not flags & _COMPLEX:
            value = self._numbers(at, end, shape, count) if count else None
        else:
            value = _OTHER
        return _Matrix(name, shape, value)

    def _numbers(self, at: int, end: int, shape: tuple[int, ...], count: int) -> Any:
        kind, start, stop, _ = self.element(at, end)
        if kind not in _NUMBERS:
            raise _DamagedError(f"numbers are of kind {kind}")
        dtype = np.dtype(f"{self.order}{_NUMBERS[kind]}")
        if stop - start != count * dtype.itemsize:
            raise _DamagedError(f"{count} numbers have {stop - start} bytes")
        values = np.frombuffer(self.data, dtype, count, start)
        return values[0].item() if count == 1 else values.reshape(shape, order="F")

    def _text(self, at: int, end: int) -> str:
        kind, start, stop, _ = self.element(at, end)
        if kind not in _TEXTS:
            raise _DamagedError(f"text is of kind {kind}")
        wide = ("-le" if self.order == "<" else "-be") if kind in (4, 17, 18) else ""
        return self.data[start:stop].decode(_TEXTS[kind] + wide)

    def _structures(self, at: int, end: int, count: int, depth: int) -> list[dict[str, Any]] | None:
        _, start, stop, at = self.element(at, end)
        if stop - start != 4:
            raise _DamagedError("a structure has no length of names")
        (length,) = struct.unpack_from(f"{self.order}i", self.data, start)
        _, start, stop, at = self.element(at, end)
        if not 0 < length <= 64:
            raise _DamagedError(f"names of fields have {length} bytes")
        names = [
            self.data[place : place + length].split(b"\0")[0].decode("latin-1") for place in range(start, stop, length)
        ]
        values, _ = self._matrices(at, end, count * len(names), depth)
        step = len(names)
        found = [dict(zip(names, values[k * step : (k + 1) * step], strict=True)) for k in range(count)] if step else []
        return found or None

    def _matrices(self, at: int, end: int, count: int, depth: int) -> tuple[list[Any], int]:
        if count > (end - at) // 8:  # each has at least its kind and size
            raise _DamagedError(f"{count} values are in {end - at} bytes")
        values = []
        for _ in range(count):
            kind, start, stop, at = self.element(at, end)
            if kind != _MATRIX:
                raise _DamagedError(f"expected a matrix, got an element of kind {kind}")
            values.append(self.matrix_at(start, stop, depth + 1).value)
        return values, at


def _variables(path: Path) -> Iterator[tuple[str, tuple[int, ...], _Bytes]]:
    """The names, shapes and bytes of the variables of a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror or error}.") from None
    if not data.startswith(_MARK):
        newer = data.startswith((b"MATLAB 7.3", b"\x89HDF"))
        got = "one of version 7.3. Save it with -v7" if newer else "a file of another kind"
        raise DataError(f"{path}: expected a MATLAB file up to version 7.2, got {got}.")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise _damaged(path, "a header that ends early")
    at, whole = _HEADER, _Bytes(data, order)
    try:
        while at < len(data):
            kind, _, stop, after = whole.element(at, len(data))
            content = _Bytes(data[at:stop], order)
            first = content.unpacked(4096).data if kind == _COMPRESSED else data[at:stop]
            name, shape = _named(_Bytes(first, order))
            yield name, shape, content
            at = stop if kind == _COMPRESSED else after
    except (ValueError, zlib.error, struct.error, MemoryError) as error:
        raise _damaged(path, error) from None


def _named(content: _Bytes) -> tuple[str, tuple[int, ...]]:
    """The name and shape of the matrix at the beginning of some bytes, of which the end may be cut."""
    (kind,) = struct.unpack_from(f"{content.order}I", content.data)
    if kind != _MATRIX:
        return "", ()
    _, shape, name, _ = content.opening(8, len(content.data))
    return name, shape


def _damaged(path: Path, reason: object) -> DataError:
    return DataError(f"{path}: expected a MATLAB file, got a damaged one: {reason}. Is it whole?")
