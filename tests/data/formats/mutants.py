"""Damaged copies of annotation files, drawn with a seed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

TEXTS = (".json", ".xml", ".csv", ".txt", ".yaml", ".yml", ".pts", ".tsv")
_TEXTS = ("", "NaN", "-1", "1e999", "null", "[]", "{}", "<", ",", ";", "true", "../x", "\n", '"', "9" * 400)
_STRANGE = (*(text.encode() for text in _TEXTS), b"\xff", b"\x00")


def mutants(original: Path, scratch: Path, count: int, seed: int) -> Iterator[tuple[Path, str]]:
    """Copies of a file or folder, each with one to three changes in one of its files.

    Args:
        original: the path that is read.
        scratch: an empty folder for the copies, one at a time.
        count: how many.
        seed: of the draw.

    Yields:
        The path of the copy, and what was changed.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        copy = scratch / original.name
        if original.is_dir():
            shutil.copytree(original, copy, symlinks=True)
        else:
            shutil.copytree(original.parent, scratch, dirs_exist_ok=True, symlinks=True)
        files = sorted(file for file in (copy.rglob("*") if copy.is_dir() else [copy]) if _changes(file, copy))
        file = files[int(rng.integers(len(files)))]
        data, said = file.read_bytes(), []
        for _ in range(int(rng.integers(1, 4))):
            data, what = _changed(data, rng)
            said.append(what)
        file.write_bytes(data)
        yield copy, f"{number}: {file.name}: {'; '.join(said)}"
        for entry in scratch.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _changes(file: Path, chosen: Path) -> bool:
    return file.is_file() and (file == chosen or file.suffix.lower() in (*TEXTS, ".mat", ".h5", ".slp", ".parquet"))


def _changed(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    kind = int(rng.integers(7))
    at = int(rng.integers(len(data) + 1))
    if kind == 0:
        return data[:at], f"cut at {at}"
    if kind == 1:
        to = min(len(data), at + int(rng.integers(1, 40)))
        return data[:at] + data[to:], f"{at} to {to} left out"
    if kind == 2 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :], f"another byte at {at}"
    if kind == 3:
        strange = _STRANGE[int(rng.integers(len(_STRANGE)))]
        return data[:at] + strange + data[at:], f"{strange[:8]!r} at {at}"
    if kind == 4:
        to = min(len(data), at + int(rng.integers(1, 200)))
        return data[:to] + data[at:to] + data[to:], f"{at} to {to} twice"
    words = [*re.finditer(rb"-?[0-9]+\.?[0-9]*|[A-Za-z_]{2,}", data)]
    if not words:
        return data, "nothing"
    word = words[int(rng.integers(len(words)))]
    chosen = _STRANGE if kind == 5 else [other[0] for other in words]
    strange = chosen[int(rng.integers(len(chosen)))]
    return data[: word.start()] + strange + data[word.end() :], f"{word[0][:12]!r} to {strange[:12]!r}"
