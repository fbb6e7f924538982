"""DeepLabCut's HDF5 copies of its tables, as pandas wrote them; nothing in them is unpickled."""

from __future__ import annotations

import pickletools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steadfit.data.formats.dlc_table import LEVELS, PoseTable, contradictions, head_of, place
from steadfit.data.formats.documents import head
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.hdf5 import is_hdf5, opened, words
from steadfit.data.formats.instances import Floats
from steadfit.data.tables.problems import Problem

__all__ = ["is_hdf5", "is_one", "read_table"]
KEY = "df_with_missing"
_MARK = object()
_OBJECTS = "expected plain names and numbers, got pickled objects, which are not read for safety. Read the CSV file."


def is_one(path: Path) -> bool:
    """Whether a path is an HDF5 file with DeepLabCut's table, by its first bytes."""
    return is_hdf5(path) and KEY.encode() in head(path)


def read_table(path: Path) -> PoseTable:
    """The table in an HDF5 file of DeepLabCut.

    Args:
        path: the file.

    Raises:
        DataError: it is damaged, h5py is not installed, or names in it are pickled objects.
    """
    with opened(path) as file:
        if KEY not in file:
            raise Misfit(f"expected DeepLabCut's table {KEY!r}, got {', '.join(map(str, file)) or 'nothing'}.")
        fixed = "table" not in file[KEY]
        names, images, values = _fixed(file[KEY]) if fixed else _appendable(file[KEY])
    levels = LEVELS if len(names[:1]) and len(names[0]) == len(LEVELS) else [LEVELS[0], *LEVELS[2:]]
    rows = {level: ["", *(name[k] for name in names)] for k, level in enumerate(levels)}
    header = head_of(path, rows)
    cells = np.concatenate([np.full((len(values), 1), np.nan), values], axis=1)
    bad = contradictions(cells, header) | _infinite(cells) | _nameless(images)
    kept = [row for row in range(len(cells)) if row not in bad]
    problems = [
        Problem(str(path), row + 1, None, error.reason, place("", row + 1, error.where, "row"))
        for row, error in bad.items()
    ]
    shown = [images[row].replace("\\", "/") for row in kept]
    return PoseTable(path, header, shown, [row + 1 for row in kept], cells[kept], problems, unit="row")


def _infinite(cells: Floats) -> dict[int, Misfit]:
    rows = np.flatnonzero(np.isinf(cells).any(axis=1)).tolist()
    return {row: Misfit("expected finite numbers, got an infinite one.") for row in rows}


def _nameless(images: Sequence[str]) -> dict[int, Misfit]:
    reason = "expected the path of an image, got none."
    return {row: Misfit(reason) for row, name in enumerate(images) if not name or "\0" in name}


def _fixed(group: Any) -> tuple[list[Sequence[str]], list[str], Floats]:
    """Names of columns, paths of images and values of pandas' fixed format."""
    names: list[Sequence[str]] = []
    values = []
    for block in range(int(group.attrs["nblocks"])):
        names += _index(group, f"block{block}_items")
        values.append(np.asarray(group[f"block{block}_values"], dtype=np.float64))
    images = ["/".join(path) for path in _index(group, "axis1")]
    return names, images, _matrix(values, len(images), len(names))


def _index(group: Any, name: str) -> list[Sequence[str]]:
    """The entries of an index, each with its levels."""
    if name in group:
        return [(word,) for word in _words(group[name], name)]
    levels = []
    for k in range(int(group.attrs[f"{name}_nlevels"])):
        entries = _words(group[f"{name}_level{k}"], name)
        levels.append([entries[code] if code >= 0 else "" for code in group[f"{name}_label{k}"][()].tolist()])
    return list(zip(*levels, strict=True))


def _words(dataset: Any, where: str) -> list[str]:
    if dataset.dtype.kind in "iu":
        return [str(value) for value in dataset[()].tolist()]
    if dataset.dtype.kind != "S":
        raise Misfit(_OBJECTS, where)
    return words(dataset, where)


def _appendable(group: Any) -> tuple[list[Sequence[str]], list[str], Floats]:
    """Names of columns, paths of images and values of pandas' table format."""
    table = group["table"]
    fields = [name for name in table.dtype.names or () if name.startswith("values_block_")]
    if "index" not in (table.dtype.names or ()) or not fields or table.dtype["index"].kind != "S":
        raise Misfit(_OBJECTS, f"{KEY}.table")
    rows = table[()]
    names = [name for field in fields for name in _listed(bytes(table.attrs[f"{field}_kind"]))]
    images = [name.decode("utf-8") for name in rows["index"].tolist()]
    return (
        names,
        images,
        _matrix([np.asarray(rows[field], dtype=np.float64) for field in fields], len(rows), len(names)),
    )


def _matrix(values: Sequence[Floats], rows: int, columns: int) -> Floats:
    """The values (N, C) of all blocks."""
    found = np.concatenate([np.atleast_2d(value).reshape(len(value), -1) for value in values], axis=1)
    if found.shape != (rows, columns):
        raise Misfit(f"expected {rows} x {columns} numbers, got {found.shape[0]} x {found.shape[1]}.", KEY)
    return found


def _step(code: str, stack: list[Any]) -> None:
    """A step that makes a list or a tuple of plain values; every other one is refused."""
    match code:
        case "EMPTY_LIST":
            stack.append([])
        case "LIST":
            stack.append(_since_mark(stack))
        case "TUPLE":
            stack.append(tuple(_since_mark(stack)))
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            count = int(code[-1])
            stack[-count:] = [tuple(stack[-count:])]
        case "APPEND":
            value = stack.pop()
            stack[-1].append(value)
        case "APPENDS":
            values = _since_mark(stack)
            stack[-1].extend(values)
        case "STOP":
            pass
        case _:
            raise Misfit(_OBJECTS, f"{KEY}.table")


def _since_mark(stack: list[Any]) -> list[Any]:
    found: list[Any] = []
    while (value := stack.pop()) is not _MARK:
        found.append(value)
    return found[::-1]


def _listed(text: bytes) -> list[Sequence[str]]:
    """The names of columns, which pandas stores as a pickled list of tuples of text: its steps are read, not run."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for code, argument, _ in pickletools.genops(text):
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "INT" | "BININT" | "BININT1" | "BININT2" | "LONG":
                stack.append(str(argument))
            case "PUT" | "BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET":
                stack.append(memo[argument])
            case _:
                _step(code.name, stack)
        if code.name == "STOP":
            break
    if len(stack) != 1 or not isinstance(stack[0], list):
        raise Misfit(_OBJECTS, f"{KEY}.table")
    names = [name for name in stack[0] if isinstance(name, tuple) and all(isinstance(word, str) for word in name)]
    if len(names) < len(stack[0]) or len({len(name) for name in names}) != 1 or len(names[0]) not in (3, 4):
        raise Misfit("expected names of columns with three or four levels, got others.", f"{KEY}.table")
    return list(names)
