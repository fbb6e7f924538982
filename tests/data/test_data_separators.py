"""Tables with semicolons and tabs, decimal commas, and cells of any length."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from steadfit.data import Schema, load_annotations, read_table
from steadfit.errors import DataError

Write = Callable[..., Path]
SCHEMA = Schema(targets=("y",))


def table(mark: str, decimal: str, first: str = "a") -> tuple[str, list[str]]:
    """A header and rows whose numbers have one to four decimals."""
    rows = [[f"{k / 8:.4g}", f"-{k}.5e-1", f"{k * k}.25"] for k in range(12)]
    text = [mark.join(cell.replace(".", decimal) for cell in row) for row in rows]
    return mark.join([first, "b", "y"]), text


@pytest.mark.parametrize(("mark", "decimal"), [(";", "."), (";", ","), ("\t", "."), ("\t", ",")])
def test_other_separators_and_decimal_commas_give_the_same_numbers(write: Write, mark: str, decimal: str) -> None:
    header, rows = table(",", ".")
    wanted = load_annotations(write(rows, header=header), SCHEMA)
    header, rows = table(mark, decimal)
    found = load_annotations(write(rows, header=header, name="other.csv"), SCHEMA)
    np.testing.assert_array_equal(found.target, wanted.target)
    np.testing.assert_array_equal(found.features, wanted.features)  # type: ignore[arg-type]
    assert found.schema.features == ("a", "b")
    assert found.line.tolist() == wanted.line.tolist()


@pytest.mark.parametrize("first", ["size;px", "size\tpx", '"size;\tpx"', "a;b;c;d"])
def test_a_table_with_commas_is_never_read_in_another_way(write: Write, first: str) -> None:
    header, rows = table(",", ".", first)
    assert list(read_table(write(rows, header=header)).cells) == [first.strip('"'), "b", "y"]


def test_a_single_column_stays_one(write: Write) -> None:
    raw = read_table(write(["a;b.png", "c.png"], header="image"))
    assert list(raw.cells) == ["image"]
    assert raw.text("image") == ["a;b.png", "c.png"]


def test_names_with_commas_stand_in_a_table_with_semicolons(write: Write) -> None:
    raw = read_table(write(["Meier, Hans;1,5", "x;2"], header="who;y"))
    assert raw.text("who") == ["Meier, Hans", "x"]
    assert raw.numbers("y")[0].tolist() == [1.5, 2.0]


@pytest.mark.parametrize(
    ("cells", "line", "fact"),
    [
        (["1,234", "2,500", "3"], 2, "got '1,234', which may have decimals or thousands. Write it with a point."),
        (["1.5", "2,5", "3"], 3, "got '2,5'."),
        (["1,5", "1.234", "3"], 2, "got '1,5'."),
        (["1,5", "1,234.5", "3"], 3, "got '1,234.5'."),
        (["1,5", "12,", "3"], 3, "got '12,'."),
    ],
)
def test_what_may_be_read_in_two_ways_is_an_error(write: Write, cells: list[str], line: int, fact: str) -> None:
    rows = [f"{k};{cell}" for k, cell in enumerate([*cells, "7", "8", "9", "10", "11"])]
    with pytest.raises(DataError, match=f"line {line}, column 'y': expected a number, ") as caught:
        load_annotations(write(rows, header="a;y"), SCHEMA)
    assert fact in str(caught.value)


def test_thousands_are_decimals_where_another_number_says_so(write: Write) -> None:
    raw = read_table(write(["0,5;1,234", "1;2,500"], header="a;y"))
    assert raw.numbers("y")[0].tolist() == [1.234, 2.5]


def test_a_long_cell_is_read_and_the_limit_of_others_stays(write: Write) -> None:
    before = csv.field_size_limit()
    raw = read_table(write([f"1,{'A' * 300_000}", "2,b"], header="y,encoded"))
    assert [len(cell) for cell in raw.text("encoded")] == [300_000, 1]
    assert csv.field_size_limit() == before
