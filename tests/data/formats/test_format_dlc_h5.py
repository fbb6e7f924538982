"""DeepLabCut's tables in HDF5, in the two layouts of pandas; pickled objects are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from steadfit.data.exchange import read
from steadfit.errors import DataError

h5py = pytest.importorskip("h5py")

NAMES = [("Ann", part, axis) for part in ("nose", "tail") for axis in "xy"]
IMAGES = ["labeled-data/m1/a.png", "labeled-data/m1/b.png"]
VALUES = np.array([[1.5, 2, 3, 4], [5, 6, np.nan, np.nan]])
pytestmark = pytest.mark.filterwarnings("ignore::steadfit.errors.DataWarning")


def texts(values: list[str]) -> np.ndarray:
    """Text as pandas stores it."""
    return np.array([value.encode() for value in values])


def appendable(path: Path, kind: bytes) -> Path:
    """pandas' layout ``table``, in which the names of the columns are a pickled list."""
    with h5py.File(path, "w") as file:
        rows = np.zeros(2, dtype=[("index", "S30"), ("values_block_0", "f8", (4,))])
        rows["index"], rows["values_block_0"] = texts(IMAGES), VALUES
        file["df_with_missing/table"] = rows
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(kind)
    return path


def fixed(path: Path) -> Path:
    """pandas' layout ``fixed``, with the path of a frame in three levels."""
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["nblocks"] = 1
        group["block0_values"] = VALUES
        for name, entries in (("block0_items", NAMES), ("axis1", [tuple(image.split("/")) for image in IMAGES])):
            group.attrs[f"{name}_nlevels"] = 3
            for k, column in enumerate(zip(*entries, strict=True)):
                levels = sorted(set(column))
                group[f"{name}_level{k}"] = texts(levels)
                group[f"{name}_label{k}"] = np.array([levels.index(word) for word in column], dtype=np.int8)
    return path


@pytest.mark.parametrize("layout", ["fixed", "table 0", "table 4"])
def test_both_layouts_are_read(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "CollectedData_Ann.h5"
    written = fixed(path) if layout == "fixed" else appendable(path, pickle.dumps(NAMES, protocol=int(layout[-1])))
    data = read(written, format="dlc")
    assert data.schema.points == ("nose", "tail")
    assert data.images == tuple(IMAGES)
    np.testing.assert_array_equal(data.target, VALUES.reshape(2, 2, 2))
    assert data.at is not None
    assert data.at.tolist() == ["row 1", "row 2"]


def test_unless_the_format_is_told_the_csv_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the table CollectedData_Ann.csv.*--format dlc"):
        read(fixed(tmp_path / "CollectedData_Ann.h5"))


@pytest.mark.parametrize("names", [[print], [("Ann", "nose")], "nose", [{"Ann": 1}]])
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, names: object) -> None:
    path = appendable(tmp_path / "CollectedData_Ann.h5", pickle.dumps(names, protocol=0))
    with pytest.raises(DataError, match="pickled objects, which are not read for safety|three or four levels"):
        read(path, format="dlc")


def test_a_damaged_file_is_one_error(tmp_path: Path) -> None:
    path = fixed(tmp_path / "CollectedData_Ann.h5")
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(DataError, match="expected a whole HDF5 file, got a damaged one"):
        read(path, format="dlc")


def test_a_file_without_the_table(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match="expected DeepLabCut's table 'df_with_missing', got x"):
        read(path, format="dlc")
