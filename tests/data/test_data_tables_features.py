"""Categories, missing features, numbers that mean "missing", and tables without labels."""

from __future__ import annotations

import numpy as np
import pytest

from steadfit.data import Schema, load_annotations
from steadfit.data.tables.sentinels import point_spikes, spikes
from steadfit.errors import DataError, DataWarning, SchemaError

ROWS = 40
COLOURS = ["red", "green", "red", " blue "]


def table(tmp_path, columns, name="t.csv"):
    path = tmp_path / name
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]))
    return path


def example(**more):
    return {"a": [f"{k / 4}" for k in range(ROWS)], "y": [k * k for k in range(ROWS)], **more}


def test_categories_are_flags(tmp_path):
    path = table(tmp_path, example(colour=COLOURS * 10))
    found = load_annotations(path, Schema(targets=("y",), categories=("colour",)))
    assert found.schema.features == ("a", "colour=blue", "colour=green", "colour=red")
    assert found.features[:4, 1:].tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    again = load_annotations(table(tmp_path, dict(found.to_frame()), "again.csv"), found.schema)
    np.testing.assert_array_equal(again.features, found.features)
    assert again.schema == found.schema


def test_a_run_encodes_other_tables_alike(tmp_path):
    path = table(tmp_path, example(colour=COLOURS * 10, h=["", 1, 2, 3] * 10))
    wanted = Schema(targets=("y",), categories=("colour",), impute=True)
    schema = load_annotations(path, wanted).schema
    assert schema.features == ("a", "h", "colour=blue", "colour=green", "colour=red", "h (missing)")
    assert dict(schema.medians)["h"] == 2.0
    assert Schema.from_dict(schema.to_dict()) == schema
    other = table(tmp_path, {"h": ["", 7], "colour": ["pink", "green"], "a": ["", 3]}, "other.csv")
    with pytest.warns(DataWarning) as caught:
        found = load_annotations(other, schema, need_splits=())
    texts = [str(one.message) for one in caught]
    assert any("column 'colour': 1 values did not occur in training" in text and "'pink'" in text for text in texts)
    assert any("column 'a': 1 missing features are filled with" in text for text in texts)
    median = dict(schema.medians)["a"]
    assert found.features.tolist() == [[median, 2, 0, 0, 0, 1], [3, 7, 0, 1, 0, 0]]
    assert found.schema == schema


def test_what_is_filled_is_read_back(tmp_path):
    path = table(tmp_path, example(colour=[*COLOURS[:3], ""] * 10, h=["", 1, 2, 3] * 10))
    found = load_annotations(path, Schema(targets=("y",), categories=("colour",), impute=True))
    again = load_annotations(table(tmp_path, dict(found.to_frame()), "again.csv"), found.schema)
    np.testing.assert_array_equal(again.features, found.features)
    assert again.schema == found.schema


def test_a_run_without_missing_features_gets_no_new_ones(tmp_path):
    for wanted in (Schema(targets=("y",), impute=True), Schema(targets=("y",), impute=True, categories=("a",))):
        columns = {"a": range(ROWS), "y": range(ROWS)} if wanted.categories else example()
        schema = load_annotations(table(tmp_path, columns), wanted).schema
        other = table(tmp_path, {"a": ["", 2], "b": [1, 2]}, "other.csv")
        if not wanted.categories:
            with pytest.warns(DataWarning, match="1 missing features are filled"):
                found = load_annotations(other, schema, need_splits=())
        else:
            found = load_annotations(other, schema, need_splits=())
        assert found.features.shape == (2, len(schema.features))
        assert found.schema.features == schema.features


def test_medians_are_those_of_training(tmp_path):
    split = ["train", "train", "val", "test"] * 10
    height = [1, "", 100, 100] * 10
    found = load_annotations(table(tmp_path, example(split=split, h=height)), Schema(targets=("y",), impute=True))
    assert dict(found.schema.medians) == {"a": 4.625, "h": 1.0}
    assert found.features[:4, 1:].tolist() == [[1, 0], [1, 1], [100, 0], [100, 0]]


def test_missing_categories(tmp_path):
    path = table(tmp_path, example(colour=["red", "", "red", "blue"] * 10))
    schema = Schema(targets=("y",), categories=("colour",), features=("a",))
    with pytest.raises(DataError, match="line 3, column 'colour': expected a category, got an empty cell. --impute"):
        load_annotations(path, schema)
    found = load_annotations(path, schema.with_options(impute=True))
    assert found.schema.features == ("a", "colour=blue", "colour=red", "colour (missing)")
    assert found.features[:2, 1:].tolist() == [[0, 1, 0], [0, 0, 1]]


def test_without_the_options_errors_name_them(tmp_path):
    path = table(tmp_path, example(h=["", 1, 2, 3] * 10))
    with pytest.raises(DataError, match="column 'h': expected a number in every feature, got an empty cell. --impute"):
        load_annotations(path, Schema(targets=("y",)))
    path = table(tmp_path, example(colour=COLOURS * 10, day=["2024-01-02"] * ROWS))
    with pytest.raises(DataError, match="got 'red'. --categories names columns whose words are categories."):
        load_annotations(path, Schema(targets=("y",), features=("colour",)))
    with pytest.raises(DataError, match="expected a number, got the date '2024-01-02'. Give it as a number"):
        load_annotations(path, Schema(targets=("y",), features=("day",)))
    with pytest.warns(DataWarning, match="'colour', 'day' are not numbers .* --categories names .* A date has to be"):
        assert load_annotations(path, Schema(targets=("y",))).schema.features == ("a",)
    path = table(tmp_path, example(name=[f"n{k}" for k in range(ROWS)]) | {"empty": [""] * ROWS})
    with pytest.raises(DataError, match="column 'empty': expected a category with 1 to 256 different values, got 0 in"):
        load_annotations(path, Schema(targets=("y",), categories=("empty",), features=("a",)))


def test_booleans_and_units_are_features(tmp_path):
    path = table(tmp_path, example(b=["TRUE", "false"] * 20, w=[f"{k} kg" for k in range(ROWS)]))
    with pytest.warns(DataWarning, match="column 'w': the cells have the unit 'kg', and are read as numbers of it."):
        found = load_annotations(path, Schema(targets=("y",)))
    assert found.schema.features == ("a", "b", "w")
    assert found.features[:2, 1:].tolist() == [[1, 0], [0, 1]]
    path = table(tmp_path, example(w=[f"{k} kg" for k in range(ROWS - 1)] + ["12"]))
    with pytest.warns(DataWarning, match="column 'w': .* 1 cells without it are read in the same unit"):
        load_annotations(path, Schema(targets=("y",)))


def test_missing_numbers(tmp_path):
    a = [-200 if k % 8 == 0 else k / 4 for k in range(ROWS)]
    path = table(tmp_path, {"a": a, "b": range(ROWS), "y": [k if k % 5 else -200 for k in range(ROWS)]})
    schema = Schema(targets=("y",), features=("a", "b"))
    with pytest.warns(
        DataWarning, match=r"column 'y' is -200 in 8 of 40 rows; column 'a' is -200 in 5 of 40 rows.*--missing -200"
    ):
        found = load_annotations(path, schema)
    assert (found.target == -200).sum() == 8
    with pytest.warns(DataWarning, match="6 of 40 rows have no label and are not trained on, the first in line 2"):
        found = load_annotations(path, schema.with_options(missing="-200", impute=True), skip_bad=True)
    assert (found.features > -1).all()
    assert not (found.target == -200).any()
    with pytest.raises(SchemaError, match="missing to be a number, got 'x'"):
        schema.with_options(missing="-200,x")
    assert schema.with_options(missing=[-1, 9999]).missing == (-1.0, 9999.0)


def test_points_are_missing_where_both_coordinates_are():
    target = np.tile(np.arange(40.0)[:, None, None], (1, 2, 2)) + 3
    target[:8, 1] = -1
    (spike,) = point_spikes(target)
    assert (spike.place, spike.value, spike.count, spike.known) == (1, -1.0, 8, 40)
    target[:8, 1, 0] = 5
    assert point_spikes(target) == []


def rng_columns():
    rng = np.random.default_rng(0)
    return {
        "flags": rng.integers(0, 2, 400),
        "counts": rng.poisson(3, 400),
        "ratings": rng.integers(1, 6, 400),
        "signs": rng.integers(-1, 2, 400),
        "normal": rng.normal(0, 1, 400),
        "clipped": np.clip(rng.normal(0, 1, 400), -1, 1),
        "amounts": np.where(rng.random(400) < 0.5, 0, rng.lognormal(3, 1, 400)),
        "levels": rng.choice([0.0, 0.1, 0.25, 0.4], 400),
        "years": rng.integers(1950, 2020, 400),
        "cauchy": rng.standard_cauchy(400),
        "constant": np.ones(400),
        "empty": np.full(400, np.nan),
    }


@pytest.mark.parametrize("name", rng_columns())
def test_ordinary_columns_have_no_spikes(name):
    assert spikes(rng_columns()[name][:, None].astype(float)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("years", 0), ("years", -1), ("normal", 999), ("normal", -200), ("counts", -9), ("counts", 99), ("amounts", -200)],
)
def test_spikes(name, value):
    column = rng_columns()[name].astype(float)
    column[:20] = value
    column[20] = value / 2 or 700  # one wrong number does not hide it
    (spike,) = spikes(column[:, None])
    assert (spike.value, spike.count) == (value, 20)
    column[4:20] = column[40]
    assert spikes(column[:, None]) == []


def test_a_table_of_features_alone(tmp_path):
    path = table(tmp_path, {"a": range(6), "b": range(6)})
    found = load_annotations(path, Schema(), need_splits=())
    assert found.target.shape == (6, 0, 2)
    assert found.schema.features == ("a", "b")
    assert found.features.shape == (6, 2)
    assert found.images is None
    with pytest.raises(DataError, match="expected columns x0, y0, x1, y1"):
        load_annotations(path, Schema())
