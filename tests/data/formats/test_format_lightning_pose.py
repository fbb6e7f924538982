"""Lightning Pose's tables."""

from __future__ import annotations

import dataclasses
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import sample_dlc
import sample_lightning_pose

from steadfit.data.exchange import read, write
from steadfit.errors import DataError, DataWarning

REAL = Path(os.environ.get("STEADFIT_DATA", "data"), "pose_projects", "lp_mirror_mouse")


@pytest.fixture(autouse=True)
def quiet() -> None:
    """A few frames of few videos: splits cannot be drawn by groups, of which a warning speaks."""
    warnings.simplefilter("ignore", DataWarning)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder."""
    return sample_lightning_pose.build(tmp_path / "mice")


def test_a_folder_and_its_table_are_read(folder: Path) -> None:
    for path in (folder, folder / "CollectedData.csv"):
        data = read(path)
        assert (data.format, data.schema.points) == ("lightning-pose", ("nose", "left paw"))
        assert (data.images or ())[1] == "labeled-data/v 1/imgß.png"
        assert data.root == folder
        assert data.group is not None
        assert data.group.tolist() == ["v 1", "v 1", "v2", "v2"]
        np.testing.assert_array_equal(data.target[:2], [[[10.5, 20.25], [11, 21]], [[12, 22.5], [np.nan, np.nan]]])


def test_coordinates_that_are_not_visible_do_not_count(folder: Path) -> None:
    table = folder / "CollectedData.csv"
    table.write_text(table.read_text().replace("13.75,23,2,,,1", "13.75,23,2,8,9,1"))
    data = read(folder)
    assert np.isnan(data.target[2, 1]).all()
    assert data.visible is not None
    assert data.visible.tolist() == [[2, 2], [2, 0], [2, 0], [2, 2]]
    assert any(note.startswith("1 points have coordinates though visible is 0 or 1") for note in data.notes)


def test_an_unknown_visibility_is_a_bad_row(folder: Path) -> None:
    table = folder / "CollectedData.csv"
    table.write_text(table.read_text().replace("13.75,23,2,,,1", "13.75,23,3,,,1"))
    with pytest.raises(DataError, match="line 6, nose: expected visible to be 0, 1 or 2, got 3"):
        read(folder)
    assert len(read(folder, skip_bad=True)) == 3


def test_of_several_views_one_has_to_be_named(folder: Path) -> None:
    (folder / "CollectedData.csv").rename(folder / "CollectedData_top.csv")
    assert len(read(folder)) == 4
    (folder / "CollectedData_bot.csv").write_bytes((folder / "CollectedData_top.csv").read_bytes())
    with pytest.raises(DataError, match="got CollectedData_bot.csv, CollectedData_top.csv. Name the table of one view"):
        read(folder)
    assert read(folder / "CollectedData_bot.csv").format == "lightning-pose"


def test_other_tables_and_other_names_of_points_are_told(folder: Path) -> None:
    (folder / "CollectedData_new.csv").write_bytes((folder / "CollectedData.csv").read_bytes())
    (folder / "project.yaml").write_text("keypoint_names: [nose, tail]\n")
    notes = read(folder).notes
    assert "CollectedData.csv is read; not read: CollectedData_new.csv." in notes
    assert "2 names are in one of project.yaml and the table only: left paw, tail." in notes


def test_in_a_copy_only_changed_cells_differ(folder: Path, tmp_path: Path) -> None:
    data = read(folder)
    path = write(data, tmp_path / "same", format="lightning-pose")
    assert path.read_bytes() == (folder / "CollectedData.csv").read_bytes()
    assert (tmp_path / "same" / "project.yaml").read_bytes() == (folder / "project.yaml").read_bytes()
    target = data.target.copy()
    target[0, 0] = np.nan
    target[2, 1] = 1.5, 2
    path = write(dataclasses.replace(data, target=target), tmp_path / "copy", format="lightning-pose")
    old, new = ((file / "CollectedData.csv").read_text().splitlines() for file in (folder, tmp_path / "copy"))
    assert new[3] == "labeled-data/v 1/img01.png,,,0,11.0,21.0,2"
    assert new[5] == "labeled-data/v2/img01.png,13.75,23,2,1.5,2.0,2"
    assert [new[k] for k in (0, 1, 2, 4, 6)] == [old[k] for k in (0, 1, 2, 4, 6)]
    with pytest.raises(DataError, match="never replaced"):
        write(data, folder / "CollectedData.csv", format="lightning-pose")


def test_a_new_table_has_the_header_of_the_program(tmp_path: Path) -> None:
    data = read(sample_dlc.of_one(tmp_path / "dlc"))
    path = write(data, tmp_path / "out", format="lightning-pose")
    assert path.read_text().splitlines()[:4] == [
        "scorer" + ",steadfit" * 6,
        "bodyparts,snout,snout,leftear,leftear,7,7",
        "coords,x,y,x,y,x,y",
        "labeled-data/m1/a.png,1.5,2.0,3.0,4.0,,",
    ]
    again = read(path, images=data.root)
    assert (again.format, again.images, again.schema.points) == ("lightning-pose", data.images, data.schema.points)
    np.testing.assert_array_equal(again.target, data.target)


def test_several_animals_are_told(tmp_path: Path) -> None:
    data = read(sample_dlc.build(tmp_path / "dlc"))
    with pytest.warns(DataWarning, match="several animals in an image: 3 rows name an image again"):
        write(data, tmp_path / "out", format="lightning-pose")


def test_predictions_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("scorer,heatmap_tracker,,\nbodyparts,a,a,a\ncoords,x,y,likelihood\nimg1.png,1,2,0.9\n")
    with pytest.raises(DataError, match="got predictions of a network"):
        read(path)
    with pytest.raises(DataError, match="got predictions of a network"):
        read(path, format="lightning-pose")


@pytest.mark.skipif(not REAL.is_dir(), reason="pose_projects is not in $STEADFIT_DATA")
def test_the_real_project_is_written_back_to_the_byte(tmp_path: Path) -> None:
    data = read(REAL)
    assert (data.format, len(data), len(data.schema.points)) == ("lightning-pose", 90, 17)
    assert round(float(np.isnan(data.target).mean()), 3) == 0.088
    path = write(data, tmp_path, format="lightning-pose")
    assert path.read_bytes() == (REAL / "CollectedData.csv").read_bytes()
