"""Gross training labels are told once, with file, line and column, and change nothing."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadfit.data import Annotations, Region, Schema, load_annotations, warn_gross
from steadfit.errors import DataWarning
from steadfit.training import Settings, fit, fit_cascade

TINY = Settings(epochs=1, batch_size=16, size=16)


def told(annotations: Annotations) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_gross(annotations)
    assert all(issubclass(warning.category, DataWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


def spoil(annotations: Annotations, cells: dict[tuple[int, int, int], float]) -> Annotations:
    target = annotations.target.copy()
    for (row, k, d), value in cells.items():
        target[annotations.rows("train")[row], k, d] = value
    return annotations.with_target(target)


def numbers(values: np.ndarray, folder: Path) -> Annotations:
    """A table with these labels, (n, columns), for training."""
    names = [f"t{k}" for k in range(values.shape[1])]
    frame = pd.DataFrame(values, columns=names).assign(feature=np.arange(len(values)), split="train")
    frame.to_csv(folder / "numbers.csv", index=False)
    found = load_annotations(folder / "numbers.csv", Schema(targets=tuple(names)), need_splits=())
    return dataclasses.replace(found, split=np.full(len(values), "train"))  # none drawn for validation


@pytest.mark.parametrize("wrong", [99999.0, -9999.0, 1e9, -1e15])
def test_a_sentinel_is_told_with_file_line_and_column(table: Annotations, wrong: float) -> None:
    (text,) = told(spoil(table, {(4, 1, 0): wrong}))
    line, column = table.line[table.rows("train")[4]], table.schema.columns[1]
    assert text.startswith(f"{table.path}: 1 label is ")
    assert f"farther from the median than the rest of their column (line {line}, {column} = {wrong:.10g})." in text
    assert "\n" not in text


def test_several_sentinels_in_several_columns_are_one_warning(table: Annotations) -> None:
    cells = {(2, 0, 0): -9999.0, (3, 0, 0): -9999.0, (5, 1, 0): 99999.0, (9, 1, 0): 99999.0, (11, 0, 0): 1e9}
    (text,) = told(spoil(table, cells))
    assert text.startswith(f"{table.path}: 5 labels are up to ")
    assert text.count("line ") == 3
    assert "; and 2 more). " in text
    first, second = table.schema.columns
    assert f", {first} = -9999; " in text
    assert f", {second} = 99999; " in text


@pytest.mark.parametrize("share", [0.02, 0.09])
@pytest.mark.parametrize("wrong", [-999.0, -9999.0, 99999.0])
def test_a_share_of_sentinels_does_not_hide_itself(tmp_path: Path, share: float, wrong: float) -> None:
    pixels = np.random.default_rng(0).uniform(0, 96, (500, 2))
    pixels[: int(500 * share), 1] = wrong
    with pytest.warns(DataWarning, match=f"column 't1' is {wrong:g} in {int(500 * share)} of 500 rows"):
        table = numbers(pixels, tmp_path)
    (text,) = told(table)
    assert f": {int(500 * share)} labels are up to " in text
    assert f"(line 2, t1 = {wrong:g}; line 3, " in text
    assert "t0" not in text


def test_a_point_in_an_image_is_one_label_in_both_of_its_coordinates(faces: Annotations) -> None:
    (text,) = told(spoil(faces, {(7, 3, 0): -9999.0, (7, 3, 1): -9999.0}))
    assert ": 1 label is " in text
    assert f"(line {faces.line[faces.rows('train')[7]]}, x3 = -9999, y3 = -9999)" in text
    (text,) = told(spoil(faces, {(7, 3, 1): 99999.0}))
    assert "y3 = 99999)" in text
    assert "x3" not in text


@pytest.mark.parametrize("freedom", [2, 3])
@pytest.mark.parametrize("n", [100, 10_000])
@pytest.mark.parametrize("decimals", [0, 12])
def test_heavy_tails_are_silent(tmp_path: Path, freedom: int, n: int, decimals: int) -> None:
    values = np.random.default_rng(0).standard_t(freedom, (n, 6)).round(decimals)
    values[np.random.default_rng(1).random(values.shape) < 0.1] = np.nan
    assert told(numbers(values, tmp_path)) == []


def test_what_is_not_gross_is_silent(table: Annotations, faces: Annotations, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    constant, missing = np.full(200, 5.0), np.full(200, np.nan)
    mostly_zero = np.where(rng.random(200) < 0.7, 0.0, rng.random(200))
    counts, two = rng.poisson(0.8, 200) * 1.0, 1.0 + (rng.random(200) < 0.05)
    values = np.stack([constant, missing, mostly_zero, counts, two], axis=1)
    for data in (table, faces, numbers(values, tmp_path), numbers(values[:1], tmp_path), numbers(values[:3], tmp_path)):
        assert told(data) == []
    elsewhere = table.target.copy()
    elsewhere[table.split != "train"] = 1e9
    assert told(table.with_target(elsewhere)) == []  # not trained on
    classes = dataclasses.replace(table.schema, targets=("a",), classes=("no", "yes"))
    assert told(dataclasses.replace(spoil(table, {(0, 0, 0): 1e9}), schema=classes)) == []
    assert told(table.take(np.array([], dtype=np.int64))) == []


def test_a_training_begins_with_the_warning_and_is_the_same(
    table: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = spoil(table, {(4, 1, 0): -99999.0})
    with pytest.warns(DataWarning, match=" 1 label is .* = -99999") as caught:
        fit(wrong, TINY, tmp_path / "told", device="cpu")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    fit(wrong, TINY, tmp_path / "told", resume=True, device="cpu")  # finished: nothing begins
    monkeypatch.setattr(sys.modules["steadfit.training.fit"], "warn_gross", lambda _: None)
    fit(wrong, TINY, tmp_path / "silent", device="cpu")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("told", "silent"))
    assert one == other


@pytest.mark.parametrize("placing", ["jitter", "folds"])
def test_a_cascade_tells_it_once_under_the_columns_of_its_table(
    faces: Annotations, tmp_path: Path, placing: str
) -> None:
    wrong = spoil(faces, {(7, 3, 0): -9999.0, (7, 3, 1): -9999.0})
    region = Region(name="part", points=(2, 3))  # its own table calls the point x1, y1
    with pytest.warns(DataWarning) as caught:
        fit_cascade(wrong, TINY, TINY, [region], tmp_path, placing=placing, folds=2, device="cpu")
    (warning,) = caught
    assert "x3 = -9999, y3 = -9999)" in str(warning.message)
    assert warning.filename == __file__
