"""The list of suspects, its order and its file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from label_arrays import arrays

from steadfit.audit import label_table, read_suspects, suspects, write_suspects


def test_worst_first() -> None:
    table = pd.DataFrame({
        "image": list("abcde"), "residual": [1.0, 9.0, 5.0, 7.0, 50.0], "trust": [0.1, 0.1, 0.0, 0.1, 0.2],
        "suspect": [True, True, True, True, False],
    })  # fmt: skip
    listed = suspects(table)
    assert list(listed["image"]) == ["c", "b", "d", "a"]
    assert list(listed["rank"]) == [1, 2, 3, 4]
    assert next(iter(listed)) == "rank"
    pd.testing.assert_frame_equal(suspects(listed), listed)
    assert "rank" not in table


NAMES = ["=1+1", "+a", "-a", "@SUM(A1)", "\ta", "'quoted", "plain.png", "a=b", "NA", 'with "quotes", and comma']


def test_no_cell_is_a_formula_and_names_come_back(tmp_path: Path) -> None:
    n = len(NAMES)
    table = label_table(image=NAMES, line=range(n), split="train", names=["=p"], given=np.zeros((n, 1, 2)),
                        predicted=-np.ones((n, 1, 2)), trust=np.zeros((n, 1)), suspect=np.ones((n, 1)))  # fmt: skip
    listed = write_suspects(table, tmp_path / "suspects.csv")
    with (tmp_path / "suspects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"'{x}" if x[0] in "=+-@\t'" else x for x in NAMES]
    assert {row["point"] for row in rows} == {"'=p"}
    assert float(rows[0]["predicted_x"]) == -1  # a negative number stays one
    read = read_suspects(tmp_path / "suspects.csv")
    assert list(read["image"]) == NAMES
    assert list(read["point"]) == ["=p"] * n
    pd.testing.assert_frame_equal(read, listed, check_dtype=False, rtol=1e-5)


def test_empty_list_has_its_header(tmp_path: Path) -> None:
    table = label_table(**arrays(suspect=np.zeros((2, 2), dtype=bool)))
    write_suspects(table, tmp_path / "suspects.csv")
    assert (tmp_path / "suspects.csv").read_text().startswith("rank,image,line,split,point,x,y,")
    assert len(read_suspects(tmp_path / "suspects.csv")) == 0
