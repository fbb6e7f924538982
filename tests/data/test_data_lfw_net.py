"""The set that the paper's experiments use, where it has been unpacked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steadfit.data import LabelledDataset, load_annotations
from steadfit.errors import DataWarning

ROOT = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache" / "steadfit-data")) / "lfw_net"


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "annotations.csv").is_file(), reason=f"no lfw_net in {ROOT.parent} ($STEADFIT_DATA)")
def test_lfw_net_loads_and_its_copies_are_found() -> None:
    with pytest.warns(DataWarning, match="8 groups of images have the same bytes .* 4 of them across splits"):
        table = load_annotations(ROOT)
    assert table.target.shape == (13466, 5, 2)
    assert table.schema.columns == ("x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
    assert [len(table.rows(word)) for word in ("train", "val", "test")] == [9000, 1000, 3466]
    assert table.size is not None
    assert set(table.size.ravel()) == {96.0}
    assert len(table.duplicates) == 8
    batch = next(iter(LabelledDataset(table, table.rows("train")).loader(64, shuffle_seed=0)))
    assert batch["input"].shape == (64, 1, 48, 48)
    assert batch["target"].isfinite().all()
