"""Parquet and Excel tables."""

from __future__ import annotations

import datetime
import decimal
import sys
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadfit.data import Schema, load_annotations, read_table
from steadfit.errors import DataError, DataWarning

N = 30
Y = Schema(targets=("y",))


def stored(tmp_path, **more):
    columns = {"a": np.arange(N) / 4, "y": np.arange(N) ** 2} | more
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), path)
    return path


def test_columns_that_are_not_used_are_not_touched(tmp_path):
    path = stored(
        tmp_path,
        lists=[[k, 2] for k in range(N)],
        dicts=[{"k": k} for k in range(N)],
        bytes=[b"\xff\x00" * 50] * N,
        ids=[2**60 + k for k in range(N)],
        day=[datetime.date(2024, 1, 2)] * N,
    )
    found = load_annotations(path, Y.with_options(features="a"))
    np.testing.assert_array_equal(found.features[:, 0], np.arange(N) / 4)
    with pytest.raises(DataError, match=r"line 1, column 'lists': expected a number, got 'list<element: int64>'\."):
        load_annotations(path, Y.with_options(features="lists"))
    with pytest.raises(
        DataError, match="column 'day': expected a number, got the date '2024-01-02'. Give it as a number"
    ):
        load_annotations(path, Y.with_options(features="day"))
    with pytest.warns(DataWarning) as caught:
        found = load_annotations(path, Y)
    assert found.schema.features == ("a", "ids")
    texts = [str(one.message) for one in caught]
    assert any("column 'ids': whole numbers beyond 2^53 are rounded to 53 bits." in text for text in texts)
    assert any("columns 'lists', 'dicts', 'bytes', 'day' are not numbers" in text for text in texts)


def test_other_types_of_numbers(tmp_path):
    path = stored(
        tmp_path,
        flag=[k % 2 == 0 for k in range(N)],
        small=np.arange(N, dtype=np.float32) / 3,
        half=np.arange(N, dtype=np.float16),
        exact=[decimal.Decimal(k) / 4 for k in range(N)],
        coded=pa.array([f"{k % 3}" for k in range(N)]).dictionary_encode(),
        hole=[None, *range(N - 1)],
        nothing=pa.nulls(N),
    )
    raw = read_table(path)
    assert raw.numbers("flag")[0][:2].tolist() == [1.0, 0.0]
    np.testing.assert_array_equal(raw.numbers("small")[0], (np.arange(N, dtype=np.float32) / 3).astype(float))
    assert raw.numbers("half")[0][:3].tolist() == [0.0, 1.0, 2.0]
    assert raw.numbers("exact")[0][:3].tolist() == [0.0, 0.25, 0.5]
    assert raw.numbers("coded")[0][:4].tolist() == [0.0, 1.0, 2.0, 0.0]
    assert np.isnan(raw.numbers("hole")[0][0])
    assert raw.text("nothing") == [""] * N
    assert raw.text("coded")[:4] == ["0", "1", "2", "0"]


def test_the_index_of_a_data_frame_is_no_column(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "c": pd.Categorical(["u", None])}, index=pd.Index(["p", "q"], name="key"))
    frame.to_parquet(tmp_path / "t.parquet")
    raw = read_table(tmp_path / "t.parquet")
    assert list(raw.cells) == ["a", "c"]
    assert raw.text("c") == ["u", ""]


def test_a_damaged_parquet_file(tmp_path):
    data = bytearray(stored(tmp_path).read_bytes())
    for cut in (0, 3, len(data) // 2, len(data) - 1):
        path = tmp_path / "cut.parquet"
        path.write_bytes(data[:cut])
        with pytest.raises(DataError, match=r"cut\.parquet: expected a Parquet file, got "):
            read_table(path)


@pytest.fixture
def book(tmp_path):
    """Writes rows as the first sheet of an Excel file."""

    def write(rows, more=()):
        made = openpyxl.Workbook()
        for row in rows:
            made.active.append(row)
        for name in more:
            made.create_sheet(name)
        made.save(tmp_path / "t.xlsx")
        return tmp_path / "t.xlsx"

    return write


def test_excel(book):
    rows = [["a", "word", "y", None], *([k / 4, "x" if k else None, k * k, None] for k in range(N)), [None] * 4]
    with pytest.warns(DataWarning, match="cells of column 'word' are not numbers"):
        found = load_annotations(book(rows), Y)
    assert found.schema.features == ("a",)
    np.testing.assert_array_equal(found.target[:, 0, 0], np.arange(N) ** 2)
    assert found.line.tolist() == list(range(2, N + 2))


def test_excel_says_what_it_cannot_use(book):
    rows = [["a", "day", "y"], *([k, datetime.datetime(2024, 2, 29), k] for k in range(N))]
    with pytest.raises(DataError, match="line 2, column 'day': expected a number, got the date '2024-02-29'"):
        load_annotations(book(rows), Y.with_options(features="day"))
    rows = [["a", "y"], *([k, f"=A{k + 2}*2"] for k in range(N))]  # openpyxl stores no values of formulas
    with pytest.raises(DataError, match="expected"):
        load_annotations(book(rows), Y)
    with pytest.warns(DataWarning, match="the first of 3 sheets, 'Sheet', is read, and not 'two', 'three'"):
        assert list(read_table(book([["a", "y"], [1, 2]], more=["two", "three"])).cells) == ["a", "y"]
    with pytest.raises(DataError, match="expected a header and rows, got an empty sheet"):
        read_table(book([]))


def test_files_that_are_not_excel(tmp_path, book):
    whole = book([["a", "y"], [1, 2]]).read_bytes()
    path = tmp_path / "bad.xlsx"
    for data in (b"", b"text", b"PK\x03\x04" + b"\0" * 40, whole[:200], whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"bad\.xlsx: expected an Excel file, got "):
            read_table(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(65):
            archive.writestr(f"xl/{k}.xml", bytes(1 << 24))
    with pytest.raises(DataError, match="of at most 1024 MiB when unpacked, got 1040 MiB"):
        read_table(path)


def test_without_openpyxl(book, monkeypatch):
    path = book([["a", "y"], [1, 2]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match=r"expected the package openpyxl, .* pip install 'steadfit\[excel\]'"):
        read_table(path)


@pytest.mark.parametrize("cell", [b"\x89PNG", {"bytes": b"\x89PNG", "path": "a.png"}, [1, 2]])
def test_pictures_in_cells_are_one_error(tmp_path, cell):
    frame = pd.DataFrame({"image": [cell] * 3, "x0": [1.0, 2.0, 3.0], "y0": [1.0, 2.0, 4.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match="column 'image': expected the paths of images, got cells of the type .*Save the"
    ):
        load_annotations(tmp_path / "t.parquet")
