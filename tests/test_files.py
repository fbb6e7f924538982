"""Atomic files: the old content or the new one, and JSON that every reader takes."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadfit._files import atomic_path, shortened, write_bytes, write_csv, write_json, write_text


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


@pytest.mark.parametrize("name", ["n" * 251 + ".csv", "n." + "s" * 253, "ü" * 127, "n" * 255])
def test_every_name_that_the_file_system_takes(tmp_path: Path, name: str) -> None:
    assert write_text("x", tmp_path / name).read_text() == "x"
    assert os.listdir(tmp_path) == [name]


def test_a_name_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 256)
    with pytest.raises(OSError, match="File name too long") as caught:
        write_text("x", path)
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
@pytest.mark.parametrize("wrapped", ["plain", "cause", "context"])
def test_a_full_disk_is_told_with_the_file(tmp_path: Path, number: int, wrapped: str) -> None:
    """Whatever the writer makes of the system's error, the path and the reason stay; so does the old file."""
    path = write_bytes(b"old", tmp_path / "last.ckpt")

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"ne")
            full = OSError(number, os.strerror(number))
            if wrapped == "plain":
                raise full
            try:
                raise full
            except OSError:
                if wrapped == "cause":
                    raise RuntimeError("unexpected pos 2 vs 3") from full
                raise RuntimeError("unexpected pos 2 vs 3")  # noqa: B904 - as torch does it

    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        write()
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_other_errors_of_the_block_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")
    with pytest.raises(KeyError, match="b"), atomic_path(tmp_path / "a"):
        raise KeyError("b")


def test_shortened_names_are_whole_characters() -> None:
    assert shortened("a" * 201) == "a" * 200
    assert shortened("é" * 101, 201) == "é" * 100
    assert shortened("é" * 100) == "é" * 100


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


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_numbers_read_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    value = np.concatenate([rng.lognormal(0, 30, 500) * rng.choice([-1, 1], 500), [0.1 + 0.2, 1_234_567.89, 1e-320]])
    if suffix == "csv":
        path = write_csv(pd.DataFrame({"a": value}), tmp_path / "a.csv")
        found = [float(line) for line in path.read_text().splitlines()[1:]]
    else:
        found = json.loads(write_json(value, tmp_path / "a.json").read_text())
    assert found == value.tolist()


def test_float32_numbers_have_no_digits_that_they_do_not_know(tmp_path: Path) -> None:
    value = np.array([0.255, 1 / 3, np.nan, 1e-30], dtype=np.float32)
    table = pd.DataFrame({"a": value, "b": [1, 2, 3, 4]})
    assert write_csv(table, tmp_path / "a.csv").read_text() == "a,b\n0.255,1\n0.33333334,2\n,3\n1e-30,4\n"
    assert table["a"].dtype == np.float32  # the caller's table is as it was
    assert json.loads(write_json([value, value[0]], tmp_path / "a.json").read_text()) == [
        [0.255, 0.33333334, None, 1e-30],
        0.255,
    ]


def test_the_index_is_written_under_its_name(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [0.5]}, index=["gum"])
    assert write_csv(table, tmp_path / "a.csv", index_label="method").read_text() == "method,a\ngum,0.5\n"
