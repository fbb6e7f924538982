"""Small tables and a few drawn images to train on."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_tables import table_schema, write_table

from steadfit.data import Annotations, load_annotations
from steadfit.data.drawn.synthetic import write_dataset


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """90 rows: 54 train, 18 val, 18 test."""
    path = write_table(tmp_path_factory.mktemp("table") / "table.csv")
    return load_annotations(path, table_schema())


@pytest.fixture(scope="session")
def faces_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("faces"), n_train=24, n_val=6, n_test=4, size=24)


@pytest.fixture(scope="session")
def faces(faces_path: Path) -> Annotations:
    """34 drawn faces of 24 px with seven points, three pairs."""
    return load_annotations(faces_path)
