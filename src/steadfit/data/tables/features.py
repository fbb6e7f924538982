"""Features: which columns they are, categories as flags, and missing ones filled with medians."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.cells import RawTable, shorten
from steadfit.data.tables.image_column import is_of_images
from steadfit.data.tables.numbers import is_date
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.sentinels import without_missing
from steadfit.errors import DataError, DataWarning

if TYPE_CHECKING:
    from steadfit.data.tables.annotations import Annotations

Floats = npt.NDArray[np.float64]

MOST = 256
"""The largest number of values of a category."""
_GONE = " (missing)"


def with_features(raw: RawTable, schema: Schema) -> Schema:
    """The schema of a table without images, with its features.

    Features are those that the schema names, or all other columns of numbers, and the categories. Each value of a
    category is a feature of its own, ``colour=red``; with ``impute``, a column with empty cells gets one that flags
    them, ``height (missing)``. The schema of a run has all these already, so that other tables get the same ones.

    Args:
        raw: the table.
        schema: what is known about it.

    Raises:
        DataError: no columns of numbers, or a category with too many values.
    """
    named = schema.features or other_numbers(raw, schema)
    named += tuple(
        name for name in schema.categories if name not in {*named, *(_category(schema, one) for one in named)}
    )
    features = [one for name in named for one in _values(raw, schema, name)]
    of_a_run = bool(schema.medians) or any(_category(schema, one) is not None for one in schema.features)
    if schema.impute and not of_a_run:
        columns = dict.fromkeys(_source(raw, schema, name) for name in features)
        features += [f"{name}{_GONE}" for name in columns if _is_gone(raw, schema, name).any()]
    return dataclasses.replace(schema, features=tuple(features))


def sources(raw: RawTable, schema: Schema) -> list[str]:
    """The columns that the features and categories of a schema are made from, each once.

    Args:
        raw: the table; a column with the name of a feature is the feature.
        schema: what is known about it.
    """
    there = {_category(schema, one) for one in schema.features if one in raw.cells}
    names = [*(_source(raw, schema, one) for one in schema.features), *schema.categories]
    return list(dict.fromkeys(name for name in names if name not in there))


def _source(raw: RawTable, schema: Schema, feature: str) -> str:
    if feature in raw.cells:
        return feature
    if (name := _category(schema, feature)) is not None:
        return name
    return feature.removesuffix(_GONE) if schema.impute else feature


def other_numbers(raw: RawTable, schema: Schema) -> tuple[str, ...]:
    """Columns that have another meaning in no place and contain only numbers; a warning names those left out."""
    used: set[object] = {*schema.columns, *schema.categories, schema.split, schema.image, schema.normalizer}
    used |= {f"v{k}" for k in range(len(schema.points))}
    others = [name for name in raw.cells if name not in used]
    numeric = [name for name in others if name and _mostly_numbers(raw, name) and not is_of_images(raw, name)]
    left_out = [name for name in others if name not in numeric]
    if not numeric and not schema.categories:
        raise DataError(
            f"{raw.path}: expected a column {schema.image!r} or columns of numbers next to the targets, got neither."
        )
    if left_out:
        dates = any(is_date(next((cell for cell in raw.cells[name] if cell), "")) for name in left_out if name)
        remedy = " A date has to be given as a number, such as days since a first day." if dates else ""
        what = f"columns {listed(left_out)} are not numbers or have no name, and"
        if len(left_out) == 1:
            what = f"cells of column {left_out[0]!r} are not numbers, and" if left_out[0] else "columns without a name"
        warnings.warn(
            f"{raw.path}: {what} are not used as features. "
            f"--categories names those whose words are categories.{remedy}",
            DataWarning,
            stacklevel=6,
        )
    return tuple(numeric)


def read_features(raw: RawTable, schema: Schema) -> tuple[Floats | None, list[Problem]]:
    """Features (N, F), None for a table of images; a feature that is missing is a problem of its row, or NaN to fill.

    Args:
        raw: the table.
        schema: what its columns mean, with the features.

    Warns:
        DataWarning: values of a category that the schema does not have.
    """
    if not schema.features:
        return None, []
    problems: list[Problem] = []
    values = []
    for feature in schema.features:
        if feature in raw.cells:
            value, found = _numbers(raw, schema, feature)
            problems += found
        elif (name := _category(schema, feature)) is not None:
            value = (_words(raw, name) == feature[len(name) + 1 :]).astype(np.float64)
        else:
            value = _is_gone(raw, schema, feature.removesuffix(_GONE)).astype(np.float64)
        values.append(value)
    for name in schema.categories:
        problems += _check_category(raw, schema, name)
    return np.stack(values, axis=1), problems


def impute(annotations: Annotations) -> Annotations:
    """The same rows with every missing feature at the column's median.

    The medians are those of the schema, or else of the training rows (without any, of all), which the schema then has.

    Args:
        annotations: the checked rows.

    Raises:
        DataError: a feature without any number to take a median of.

    Warns:
        DataWarning: features are filled in columns that had none missing in training, so that nothing flags them.
    """
    features, schema = annotations.features, annotations.schema
    if not schema.impute or features is None:
        return annotations
    known = dict(schema.medians)
    rows = annotations.rows("train") if (annotations.split == "train").any() else np.arange(len(annotations))
    filled = features.copy()
    for place, name in enumerate(schema.features):
        gone = np.isnan(filled[:, place])
        if name not in known and _is_number(schema, name):
            if np.isnan(filled[rows, place]).all():
                raise DataError(
                    f"{annotations.path}, column {name!r}: expected a number in at least one of the {len(rows)} "
                    "training rows, got none."
                )
            known[name] = float(np.nanmedian(filled[rows, place]))
        if gone.any() and schema.medians and f"{name}{_GONE}" not in schema.features:
            warnings.warn(
                f"{annotations.path}, column {name!r}: {int(gone.sum())} missing features are filled with "
                f"{known[name]:g}, the median of training, in which none were missing.",
                DataWarning,
                stacklevel=4,
            )
        filled[gone, place] = known.get(name, 0.0)
    schema = dataclasses.replace(schema, medians=tuple(known.items()))
    return dataclasses.replace(annotations, features=filled, schema=schema)


def _category(schema: Schema, feature: str) -> str | None:
    """The category of which a feature is a value."""
    return max((name for name in schema.categories if feature.startswith(f"{name}=")), key=len, default=None)


def _is_number(schema: Schema, feature: str) -> bool:
    return _category(schema, feature) is None and not feature.endswith(_GONE)


def _values(raw: RawTable, schema: Schema, name: str) -> Sequence[str]:
    """The features of a column: itself, or the values of a category."""
    if name not in schema.categories:
        return [name]
    found = sorted(set(_words(raw, name).tolist()) - {""})
    if not 0 < len(found) <= MOST:
        raise DataError(
            f"{raw.path}, column {raw.name(name)!r}: expected a category with 1 to {MOST} different values, got "
            f"{len(found)} in {len(raw.line)} rows."
        )
    return [f"{name}={value}" for value in found]


def _words(raw: RawTable, name: str) -> npt.NDArray[np.object_]:
    """The values of a category (N,), without spaces around them; empty where missing."""
    return np.array([cell.strip() for cell in raw.text(name)], dtype=object)


def _is_gone(raw: RawTable, schema: Schema, name: str) -> npt.NDArray[np.bool_]:
    """Where (N,) a column has no number, or a category no value."""
    if name in schema.categories:
        return np.asarray(_words(raw, name) == "", dtype=np.bool_)
    return np.isnan(without_missing(raw.numbers(name)[0], schema.missing))


def _numbers(raw: RawTable, schema: Schema, feature: str) -> tuple[Floats, list[Problem]]:
    value, problems = raw.numbers(feature)
    if len(problems) > len(value) / 2:
        problems = [
            dataclasses.replace(one, reason=f"{one.reason} --categories names columns whose words are categories.")
            for one in problems
        ]
    wrong = {problem.line for problem in problems}
    value = without_missing(value, schema.missing)
    reason = "expected a number in every feature, got an empty cell. --impute fills it with the median."
    if not schema.impute:
        problems += [
            raw.problem(row, feature, reason)
            for row in np.isnan(value).nonzero()[0].tolist()
            if int(raw.line[row]) not in wrong
        ]
    return value, problems


def _check_category(raw: RawTable, schema: Schema, name: str) -> list[Problem]:
    """Problems of empty cells of a category, and a warning about values that the schema does not have."""
    if name not in raw.cells or not any(
        _category(schema, one) == name for one in schema.features if one not in raw.cells
    ):
        return []
    words = _words(raw, name)
    strange = [word for word in dict.fromkeys(words.tolist()) if word and f"{name}={word}" not in schema.features]
    if strange:
        warnings.warn(
            f"{raw.path}, column {raw.name(name)!r}: {len(strange)} values did not occur in training and are read as "
            f"none of its categories, such as {shorten(strange[0])}.",
            DataWarning,
            stacklevel=6,
        )
    if schema.impute:
        return []
    reason = "expected a category, got an empty cell. --impute takes it as a category of its own."
    return [raw.problem(row, name, reason) for row in (words == "").nonzero()[0].tolist()]


def _mostly_numbers(raw: RawTable, column: str) -> bool:
    """Whether at least half of the cells that are not empty are numbers: then the others are errors, not words."""
    value, problems = raw.numbers(column)
    numbers = int((~np.isnan(value)).sum())
    return numbers > 0 and numbers >= len(problems)


def listed(names: Iterable[str]) -> str:
    """Names in quotes, at most 12 of them."""
    shown = [repr(name) for name in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")
