"""Atomic files: the old content or the new one, and JSON that every reader takes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from steadfit.data.files import atomic_path, write_bytes, write_json, write_text


def test_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.txt"
    write_text("one\n", path)
    assert write_text("zwei äöü\n", path) == path
    assert path.read_bytes() == "zwei äöü\n".encode()
    assert os.listdir(path.parent) == ["note.txt"]


def test_exception_keeps_the_old_file(tmp_path: Path) -> None:
    path = write_bytes(b"old", tmp_path / "a.bin")

    def crash() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            assert path.read_bytes() == b"old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_temporary_is_in_the_same_folder_with_the_same_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.png") as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")
        temporary.write_bytes(b"")


def test_no_file_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="got no file"), atomic_path(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    written = write_text("x", tmp_path / "atomic")
    assert written.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_is_strict(tmp_path: Path) -> None:
    value = {"a": np.float32(0.5), "b": [np.nan, np.inf, 1], "c": np.arange(2), "d": Path("x"), 3: True, "e": None}
    path = write_json(value, tmp_path / "m.json")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    read = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    assert read == {"a": 0.5, "b": [None, None, 1], "c": [0, 1], "d": "x", "3": True, "e": None}


def test_json_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = write_json({"a": 1}, tmp_path / "m.json")
    with pytest.raises(TypeError):
        write_json({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
