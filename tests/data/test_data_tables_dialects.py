"""Tables in the encodings, separators and line ends of other programs."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadfit.data import Schema, load_annotations
from steadfit.data.formats.csv import read_cells
from steadfit.errors import DataError, DataWarning

TEXT = "name,größe,y\nMüller,1.5,1\nGrün,2.5,2\n"


def stored(tmp_path: Path, data: bytes | str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(tmp_path, encoding):
    raw = read_cells(stored(tmp_path, TEXT.encode(encoding)))
    assert {name: raw.text(name) for name in raw.cells} == {
        "name": ["Müller", "Grün"],
        "größe": ["1.5", "2.5"],
        "y": ["1", "2"],
    }
    assert raw.line.tolist() == [2, 3]


def test_utf_16_with_its_mark_in_the_other_order(tmp_path):
    raw = read_cells(stored(tmp_path, b"\xfe\xff" + TEXT.encode("utf-16-be")))
    assert raw.text("name") == ["Müller", "Grün"]


def test_windows_1252_is_told(tmp_path):
    path = stored(tmp_path, "name,y\nabc,1\nMüller €,2\n".encode("cp1252"))
    with pytest.warns(DataWarning, match=r"t\.csv, line 3: byte 0xfc is not UTF-8, so the table is read as Windows"):
        raw = read_cells(path)
    assert raw.text("name") == ["abc", "Müller €"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("exact", [True, False])
def test_line_ends(tmp_path, end, exact):
    raw = read_cells(stored(tmp_path, TEXT.replace("\n", end)), exact=exact)
    assert raw.text("name") == ["Müller", "Grün"]
    assert raw.line.tolist() == [2, 3]


def test_quoted_line_ends_are_counted(tmp_path):
    raw = read_cells(stored(tmp_path, 'note,y\n"a\nb",1\n\n"c\r\nd, e",2\nf,3\n'))
    assert raw.text("note") == ["a\nb", "c\r\nd, e", "f"]
    assert raw.line.tolist() == [2, 5, 7]
    assert raw.row.tolist() == [0, 1, 2]


def test_the_first_line_of_a_spreadsheet_tells_the_separator(tmp_path):
    for exact in (True, False):
        raw = read_cells(stored(tmp_path, "sep=;\r\na,b;c\r\n1,2;3\r\n"), exact=exact)
        assert {name: raw.text(name) for name in raw.cells} == {"a,b": ["1,2"], "c": ["3"]}
        assert raw.line.tolist() == [3]


def test_commas_in_the_names_of_columns(tmp_path):
    raw = read_cells(stored(tmp_path, "angle, deg;x, px\n1.5;2.5\n3.25;4\n"))
    assert raw.numbers("angle, deg")[0].tolist() == [1.5, 3.25]
    assert list(read_cells(stored(tmp_path, "a|b\n1|2\n")).cells) == ["a", "b"]


def test_what_spreadsheets_leave_behind_is_ignored(tmp_path):
    raw = read_cells(stored(tmp_path, "a, b ,,\n 1 ,2,,\n,,,\n3,4,,,,\n,,,\n"))
    assert list(raw.cells) == ["a", "b"]
    assert raw.numbers("a")[0].tolist() == [1.0, 3.0]
    assert raw.line.tolist() == [2, 4]
    assert raw.row.tolist() == [0, 2]
    assert not raw.problems
    with pytest.raises(DataError, match=re.escape("got none at places 2 and 3.")):
        read_cells(stored(tmp_path, "a,,\n1,2,3\n"))


def test_numbers_in_place_of_names(tmp_path):
    for header in ("0,1,2", "2000,2001", "a,1,2"):
        assert len(read_cells(stored(tmp_path, f"{header}\n1,2,3\n4,5,6\n"[: len(header) + 1] + header + "\n")).cells)
    with pytest.warns(DataWarning, match="got the numbers 5, 3, 1. They are used as names. Put a line with names"):
        read_cells(stored(tmp_path, "5,3,1\n4,2,0\n"))
    with pytest.raises(
        DataError, match=r"line 1: expected a header with the names of the columns, got the numbers 5\.1"
    ):
        read_cells(stored(tmp_path, "5.1,3,1\n4,2,0\n"))


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["1,234.5", "1,000", "7"], [1234.5, 1000.0, 7.0]),
        (["1,234,567", "1,000"], [1234567.0, 1000.0]),
        (["1 234", "5"], [1234.0, 5.0]),
        (["1\u202f234\u00a0567.5", "5"], [1234567.5, 5.0]),
        (["1'234.5", "-5"], [1234.5, -5.0]),
        (["$1,200", "$3"], [1200.0, 3.0]),
        (["12.3 px", "4px", "NA"], [12.3, 4.0, np.nan]),
        (["45 %", "5%"], [45.0, 5.0]),
        (["3 m/s", "1e3 m/s"], [3.0, 1000.0]),
        (["TRUE", "no", ""], [1.0, 0.0, np.nan]),
        (["NA", "N/A", "null", "None", "nan", "#N/A", "1"], [np.nan] * 6 + [1.0]),
    ],
)
def test_numbers_as_people_write_them(tmp_path, cells, wanted):
    out = io.StringIO()
    csv.writer(out).writerows([["k", "y"], *([k, cell] for k, cell in enumerate(cells))])
    value, problems = read_cells(stored(tmp_path, out.getvalue())).numbers("y")
    assert not problems
    np.testing.assert_array_equal(value, wanted)


def test_german_thousands(tmp_path):
    raw = read_cells(stored(tmp_path, "a;y\n1;1.234,5\n2;0,5\n3;1.234\n"))
    assert raw.numbers("y")[0].tolist() == [1234.5, 0.5, 1234.0]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["1,234", "2"], "got '1,234', which may have decimals or thousands. Write it with a point."),
        (
            ["1 kg", "2 g"],
            "got '1 kg'. The column mixes numbers with and without units: 'kg' in 1 cells, 'g' in 1 cells.",
        ),
        (["1", "2", "3 px"], "got '3 px'."),
        (["yes", "1", "2"], "got 'yes'."),
        (["?", "1"], "got '?'."),
        (["-", "1"], "got '-'."),
        (["1_000", "1"], "got '1_000'."),
        (["2024-02-29", "1"], "got the date '2024-02-29'. Give it as a number, such as days since a first day"),
        (["1.2.2024 10:00", "1"], "got the date '1.2.2024 10:00'."),
    ],
)
def test_what_is_no_number(tmp_path, cells, reason):
    rows = [f'{k},"{cell}"' for k, cell in enumerate(cells)]
    _, problems = read_cells(stored(tmp_path, "\n".join(["k,y", *rows]))).numbers("y")
    assert reason in problems[0].reason


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64).filter(lambda x: abs(x) < 1e38)
QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUIET
@given(
    st.lists(st.tuples(CELLS, NUMBERS), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
)
def test_what_any_program_writes_is_read_back(tmp_path, rows, mark, end, encoding, every):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL)
    writer.writerows([["note", "y", "z"], *([note, repr(y), "1"] for note, y in rows)])
    raw = read_cells(stored(tmp_path, out.getvalue().encode(encoding)))
    assert raw.text("note") == [note for note, _ in rows]
    assert raw.numbers("y")[0].tolist() == [y for _, y in rows]


WORDS = ["", "NA", "nan", "abc", "é", ";", "\t", '"', '""', " ", "5 px", "true", "\u00a0", "-nan", "inf", "infinity"]
NUMERALS = ["1", "2.5", "-3e5", " 4 ", "1e400", "1e-400", "0x1f", "+1", ".5", "5.", "1_0", "\u0661", "1,5", "1'000"]
PIECES = st.sampled_from([*WORDS, *NUMERALS, "9007199254740993", "0.1", "4.9e-324"])


@QUIET
@given(st.lists(st.lists(PIECES, min_size=1, max_size=4), max_size=6), st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))
def test_arrow_and_the_standard_library_read_the_same(tmp_path, rows, end):
    data = end.join(["a,b,c", *(",".join(row) for row in rows)])
    path = stored(tmp_path, data)
    found, wanted = (attempt(path, exact) for exact in (False, True))
    assert found == wanted


def attempt(path: Path, exact: bool):
    try:
        raw = read_cells(path, exact=exact)
    except DataError as error:
        return str(error)
    numbers = [raw.numbers(name) for name in raw.cells]
    values = [[repr(value) for value in column.tolist()] for column, _ in numbers]
    texts = [raw.text(name) for name in raw.cells]
    return texts, values, [p for _, p in numbers], raw.line.tolist(), raw.row.tolist(), raw.problems, raw.decimal_comma


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with one or a few random changes: bytes, cuts, repeated and exchanged pieces."""
    value = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at, kind = int(rng.integers(len(value) + 1)), int(rng.integers(5))
        if kind == 0:
            value[at : at + 1] = bytes([int(rng.integers(256))])
        elif kind == 1:
            del value[at : at + int(rng.integers(20))]
        elif kind == 2:
            value[at:at] = value[at // 2 : at // 2 + int(rng.integers(30))]
        elif kind == 3:
            value[at:at] = bytes(
                rng.choice(list(b'",;\t\r\n\0 .-\xff\xfe\xe4')) for _ in range(int(rng.integers(1, 4)))
            )
        else:
            del value[at:]
    return bytes(value)


SAMPLES = [
    b"note,a,b,y\n" + b"".join(b'"k %d",%d,1.5,%d\n' % (k, k, k % 7) for k in range(20)),
    b"note;a;y\r\n" + b"".join(b"k;1,5;%d\r\n" % k for k in range(20)),
    "a\ty\tz\n1 px\t2\t3\n5 px\t7\t8\n".encode("utf-16"),
    b"\xef\xbb\xbfx_0,y_0,v\n1,2,1\n2,3,0\n",
]


@pytest.mark.filterwarnings("ignore::steadfit.errors.DataWarning")
def test_a_mutated_table_is_read_or_refused_in_one_sentence(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(300):
        path = stored(tmp_path, mutated(SAMPLES[k % len(SAMPLES)], rng))
        said = refused(path)
        assert said is None or said.startswith(str(path))


def refused(path: Path) -> str | None:
    try:
        load_annotations(path, Schema(targets=("y",)), need_splits=())
    except DataError as error:
        return str(error)
    return None
