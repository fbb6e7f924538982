"""The reader of MATLAB files, beside SciPy's, and on damaged bytes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import sample_bodies
import scipy.io

from steadfit.data.formats import matlab
from steadfit.errors import DataError

NUMBERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_kind_are_those_of_scipy(kind: str, compressed: bool, tmp_path: Path) -> None:
    value = np.arange(24).reshape(2, 3, 4).astype(kind)
    scipy.io.savemat(tmp_path / "a.mat", {"first": "x", "a": value}, do_compression=compressed)
    assert matlab.shapes(tmp_path / "a.mat") == {"first": (1, 1), "a": (2, 3, 4)}
    np.testing.assert_array_equal(matlab.array(tmp_path / "a.mat", "a"), value)


def test_structures_text_cells_and_empty_values(tmp_path: Path) -> None:
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = "ä b", 2.5
    value = {"name": "one.jpg", "empty": np.zeros((0, 0)), "inner": {"x": 3.0, "flag": True}, "cell": cell}
    scipy.io.savemat(tmp_path / "a.mat", {"s": value, "c": 1 + 2j})
    found = matlab.variable(tmp_path / "a.mat", "s")
    assert matlab.field(found, "name") == "one.jpg"
    assert matlab.field(found, "empty") is None
    assert matlab.field(matlab.field(found, "inner"), "x") == 3.0
    assert matlab.field(matlab.field(found, "inner"), "flag") == 1
    assert matlab.listed(matlab.field(found, "cell")) == ["ä b", 2.5]
    assert matlab.field(found, "other") is None
    with pytest.raises(DataError, match="expected an array of real numbers"):
        matlab.array(tmp_path / "a.mat", "c")
    with pytest.raises(DataError, match="expected the variable 'none', got a file without it"):
        matlab.variable(tmp_path / "a.mat", "none")


def test_bytes_in_the_other_order_are_read(tmp_path: Path) -> None:
    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(">2I", kind, len(content)) + content + b"\0" * (-len(content) % 8)

    numbers = np.array([1.5, -2.0, 3.25, 4.0])
    matrix = element(6, struct.pack(">2I", 6, 0)) + element(5, struct.pack(">2i", 2, 2)) + element(1, b"a")
    matrix += element(9, numbers.astype(">f8").tobytes())
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x100) + b"MI"
    (tmp_path / "a.mat").write_bytes(header + element(14, matrix))
    assert scipy.io.loadmat(tmp_path / "a.mat")["a"].tolist() == [[1.5, 3.25], [-2.0, 4.0]]
    assert matlab.array(tmp_path / "a.mat", "a").tolist() == [[1.5, 3.25], [-2.0, 4.0]]


def test_damaged_structures_are_one_error(tmp_path: Path) -> None:
    packed = next(sample_bodies.mpii(tmp_path).glob("*.mat")).read_bytes()
    (size,) = struct.unpack_from("<I", packed, 132)
    whole = packed[:128] + zlib.decompress(packed[136 : 136 + size])  # without compression every byte can be damaged
    path, rng = tmp_path / "damaged.mat", np.random.default_rng(4)
    path.write_bytes(whole)
    assert len(matlab.listed(matlab.field(matlab.variable(path, "RELEASE"), "annolist"))) == 5
    errors = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(128, len(whole), 2).tolist():
            damaged[at] = int(rng.choice([0, 1, 14, 255]))
        path.write_bytes(bytes(damaged))
        try:
            matlab.variable(path, "RELEASE")
        except DataError as error:
            errors += 1
            if str(path) not in str(error):
                raise AssertionError("the message does not name the file") from error
    assert errors > 20
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match="Is it whole"):
        matlab.variable(path, "RELEASE")
