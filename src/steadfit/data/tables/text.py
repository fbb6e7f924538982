"""Columns of text, stored compactly and interpreted only when they are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class TextColumn(Sequence[str]):
    """N cells of text in a few blocks of bytes, a tenth of what as many Python strings need.

    Args:
        cells: an array of strings in chunks; a missing one is an empty cell.

    >>> column = TextColumn(pa.chunked_array([["1.5", " NA"], ["2e1"]]))
    >>> len(column), column[1], list(column[1:]), column.floats(["NA"]).tolist()
    (3, ' NA', [' NA', '2e1'], [1.5, nan, 20.0])
    """

    def __init__(self, cells: Any) -> None:
        self.cells = cells

    def __len__(self) -> int:
        return len(self.cells)

    @overload
    def __getitem__(self, place: int, /) -> str: ...
    @overload
    def __getitem__(self, place: slice, /) -> TextColumn: ...
    def __getitem__(self, place: int | slice, /) -> str | TextColumn:
        if isinstance(place, slice):
            return TextColumn(self.cells.take(pa.array(range(*place.indices(len(self))), type=pa.int64())))
        return self.cells[place].as_py() or ""

    def __iter__(self) -> Iterator[str]:
        for chunk in self.cells.chunks:
            yield from (cell or "" for cell in chunk.to_pylist())

    def floats(self, missing: Collection[str]) -> npt.NDArray[np.float64] | None:
        """The cells as numbers (N,), correctly rounded; None where one of them is not spelled as Arrow reads it.

        Args:
            missing: words that become NaN, like an empty cell.
        """
        trimmed = pc.utf8_trim_whitespace(self.cells)
        gone = pc.is_in(trimmed, value_set=pa.array(["", *missing], type=trimmed.type))
        try:
            value = pc.cast(pc.if_else(gone, pa.scalar(None, trimmed.type), trimmed), pa.float64())
        except pa.ArrowInvalid:
            return None
        return np.array(value.to_numpy(), dtype=np.float64)

    def is_empty(self) -> npt.NDArray[np.bool_]:
        """Which cells (N,) have no text but spaces."""
        flags = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(self.cells)), 0)
        return np.asarray(pc.fill_null(flags, True).to_numpy(), dtype=np.bool_)

    def containing(self, text: str) -> list[str]:
        """The cells that contain a text."""
        return list(TextColumn(self.cells.filter(pc.match_substring(self.cells, text))))

    def matches(self, pattern: str) -> bool:
        """Whether a cell matches a regular expression of RE2, from its beginning to its end."""
        return bool(pc.any(pc.match_substring_regex(self.cells, rf"^\s*(?:{pattern})\s*$")).as_py())

    def at(self, rows: npt.NDArray[np.bool_]) -> TextColumn:
        """The cells of some rows, by N flags."""
        return TextColumn(self.cells.filter(pa.array(rows)))


class ObjectColumn(Sequence[str]):
    """N cells that are neither text nor numbers, spelled only where they are asked for.

    Args:
        cells: an Arrow array of whole numbers, decimals, dates or times; of nested values and bytes only the type is
            spelled.
    """

    def __init__(self, cells: Any) -> None:
        self.cells = cells
        self._plain = not (pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type))

    def __len__(self) -> int:
        return len(self.cells)

    @overload
    def __getitem__(self, place: int, /) -> str: ...
    @overload
    def __getitem__(self, place: slice, /) -> list[str]: ...
    def __getitem__(self, place: int | slice, /) -> str | list[str]:
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(len(self)))]
        return self._spell(self.cells[place])

    def __iter__(self) -> Iterator[str]:
        return (self._spell(cell) for cell in self.cells)

    def _spell(self, cell: Any) -> str:
        if not cell.is_valid:
            return ""
        return str(cell.as_py()) if self._plain else str(self.cells.type)

    @property
    def is_plain(self) -> bool:
        """Whether every cell has a text of its own."""
        return self._plain

    @property
    def is_wide(self) -> bool:
        """Whether these are whole numbers."""
        return bool(pa.types.is_integer(self.cells.type))
