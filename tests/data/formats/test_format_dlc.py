"""DeepLabCut projects: what is read, and that a copy differs in changed labels only."""

from __future__ import annotations

import dataclasses
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import sample_dlc

from steadfit.data.exchange import read, write
from steadfit.errors import DataError, DataWarning

TABLE = Path("labeled-data", "m1", "CollectedData_Ann.csv")
DATA = Path(os.environ.get("STEADFIT_DATA", "data"))
PROJECTS = DATA / "pose_projects"
real = pytest.mark.skipif(not PROJECTS.is_dir(), reason="pose_projects is not in $STEADFIT_DATA")


@pytest.fixture(autouse=True)
def quiet() -> None:
    """A few frames of few videos: splits cannot be drawn by groups, of which a warning speaks."""
    warnings.simplefilter("ignore", DataWarning)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one mouse."""
    return sample_dlc.of_one(tmp_path / "mice")


@pytest.fixture
def table(project: Path) -> Path:
    """Its table."""
    return project / TABLE


def changed(path: Path, old: str, new: str) -> None:
    """Replace text that occurs once in a file."""
    text = path.read_bytes().decode()
    assert text.count(old) == 1
    path.write_bytes(text.replace(old, new).encode())


def test_points_have_the_names_of_the_header_in_the_order_of_the_configuration(project: Path) -> None:
    changed(project / "config.yaml", "- snout\n- leftear\n- rightear\n- tail\n", "- tail\n- leftear\n- snout\n- 7\n")
    data = read(project)
    assert data.format == "dlc"
    assert data.schema.points == ("leftear", "snout", "7")  # nobody labelled the tail
    np.testing.assert_array_equal(data.target[0], [[3.0, 4.0], [1.5, 2.0], [np.nan, np.nan]])
    assert data.schema.limbs == ((1, 0),)
    assert "1 bodyparts of config.yaml are in no table and are left out: tail." in data.notes


def test_bodyparts_that_the_configuration_does_not_know_are_told(project: Path) -> None:
    assert "1 bodyparts of the tables are not in config.yaml: 7." in read(project).notes


def test_empty_and_nan_cells_are_missing_and_a_frame_without_labels_stays(project: Path) -> None:
    data = read(project)
    assert data.images == ("labeled-data/m1/a.png", "labeled-data/m1/b.png", "labeled-data/m1/c.png")
    assert np.isnan(data.target).all(axis=2).tolist() == [[False, False, True], [False, True, False], [True] * 3]
    assert data.visible is not None
    assert data.visible.tolist() == [[2, 2, 0], [2, 0, 2], [0, 0, 0]]
    assert data.at is not None
    assert data.at.tolist() == [f"{TABLE.as_posix()}, line {line}" for line in (4, 5, 6)]
    assert data.group is not None
    assert set(data.group) == {"m1"}
    assert (data.root / data.images[0]).is_file()


def test_each_animal_is_a_row_and_the_points_an_image_has_once_are_another(tmp_path: Path) -> None:
    data = read(sample_dlc.build(tmp_path))
    assert data.schema.points == ("snout", "leftear", "rightear", "corner")
    assert [name.rpartition("/")[2] for name in data.images or ()] == ["img 1.png"] * 3 + ["img2.png"] + [
        "imgß.png"
    ] * 2
    assert data.at is not None
    assert [at.rpartition(", individual ")[2] for at in data.at] == [
        *("mouse1", "mouse2", "single"),
        "mouse1",
        *("mouse1", "mouse2"),
    ]
    np.testing.assert_array_equal(data.target[2], [[np.nan] * 2] * 3 + [[1, 2]])
    np.testing.assert_array_equal(data.target[5, :3], [[15, 16], [np.nan] * 2, [19, 20]])
    assert data.schema.pairs == ((1, 2),)
    assert data.schema.box == "points"
    assert "1 images without a labelled individual are left out." in data.notes
    assert any(note.startswith("1 of 2 videos are cropped (mäuse: 10, 74, 20, 68)") for note in data.notes)


@pytest.mark.parametrize("path", ["", "config.yaml", "labeled-data", "labeled-data/m1", TABLE.as_posix()])
def test_a_project_is_named_by_its_folder_or_by_parts_of_it(project: Path, path: str) -> None:
    whole, part = read(project), read(project / path)
    assert (part.format, part.images, part.schema) == ("dlc", whole.images, whole.schema)
    np.testing.assert_array_equal(part.target, whole.target)
    assert (part.root / (part.images or ("",))[0]).is_file()


def test_a_table_and_its_frames_without_the_project(table: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(table.parent, alone)
    data = read(alone / table.name)
    assert (data.format, data.images, data.root) == ("dlc", ("a.png", "b.png", "c.png"), alone)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scorer,", "\r\nscorer,"),
        ("scorer,", ",,,,,,\r\nscorer,"),
        ("scorer,", "\ufeffscorer,"),
        ("labeled-data\\m1\\a.png", ",,,,,,\r\nlabeled-data\\m1\\a.png"),
        ("labeled-data\\m1\\a.png", "img,,,,,,\r\nlabeled-data\\m1\\a.png"),
        ("labeled-data\\m1\\a.png", "C:\\Users\\ann\\mice\\labeled-data\\m1\\a.png"),
        ("labeled-data\\m1\\a.png", '"labeled-data/m1/a.png"'),
    ],
)
def test_what_programs_make_of_a_table_is_read_all_the_same(project: Path, table: Path, old: str, new: str) -> None:
    before = read(project)
    changed(table, old, new)
    data = read(project)
    assert data.images == before.images
    np.testing.assert_array_equal(data.target, before.target)


def test_semicolons_and_decimal_commas(project: Path, table: Path, tmp_path: Path) -> None:
    before = read(project)
    table.write_bytes(table.read_bytes().replace(b",", b";").replace(b".5", b",5").replace(b"3.0", b"3,0"))
    data = read(project)
    np.testing.assert_array_equal(data.target, before.target)
    write(data.with_target(data.target + 0.25), tmp_path / "copy", format="dlc")
    assert b"\\a.png;1,75;2,25;3,25;4,25;;\r\n" in (tmp_path / "copy" / TABLE).read_bytes()
    np.testing.assert_array_equal(read(tmp_path / "copy").target, data.target + 0.25)


def test_the_scorer_of_the_project_is_read_and_the_others_are_told(project: Path, table: Path) -> None:
    other = table.with_name("CollectedData_Bob.csv")
    other.write_text(table.read_text().replace("Ann", "Bob").replace("1.50", "9"))
    data = read(project)
    assert data.target[0, 0, 0] == 1.5
    assert "1 tables CollectedData_Bob.csv of another scorer are not read." in data.notes
    assert "The labels are those of Ann." in data.notes
    changed(project / "config.yaml", "scorer: Ann", "scorer: Eve")
    with pytest.raises(DataError, match="'Eve', got CollectedData_Ann.csv, CollectedData_Bob.csv. Name one of them"):
        read(project)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a.png,1.50,2", "a.png,1.50,", r"line 4, snout: expected x and y, or none of them, got 1.5 and nan"),
        ("a.png,1.50,2", "a.png,left,2", r"line 4, snout: expected a finite number, got 'left'"),
        ("a.png,1.50,2", "a.png,1_0,2", r"line 4, snout: expected a finite number, got '1_0'"),
        ("a.png,1.50,2", "a.png,inf,2", r"line 4, snout: expected a finite number, got 'inf'"),
        ("a.png,1.50,2", "a.png,1.50,2,2", r"line 4: expected 7 cells as in the header, got 8"),
    ],
)
def test_a_bad_row_is_told_with_its_line_or_left_out(
    project: Path, table: Path, old: str, new: str, message: str
) -> None:
    changed(table, old, new)
    with pytest.raises(DataError, match=message):
        read(project)
    assert read(project, skip_bad=True).images == ("labeled-data/m1/b.png", "labeled-data/m1/c.png")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("coords,x,y", "coords,x,z", "column 3: expected a bodypart and one of x, y, likelihood, visible, got 'snout'"),
        ("7,7", "leftear,leftear", "expected x of leftear once, got it twice"),
        ("coords,x,y,x,y,x,y\r\n", "", "got none that begins with 'coords'"),
        ("coords,x,y,x,y", "coords,x,y,x", "line 1: expected 6 cells, got 7"),
    ],
)
def test_a_header_that_is_none(project: Path, table: Path, old: str, new: str, message: str) -> None:
    changed(table, old, new)
    with pytest.raises(DataError, match=message):
        read(project)


def test_predictions_are_no_labels(table: Path) -> None:
    lines = ["scorer" + ",DLC_resnet50" * 3, "bodyparts,a,a,a", "coords,x,y,likelihood", "0,1.5,2.5,0.99"]
    path = table.with_name("m1DLC_resnet50.csv")
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="predictions of a network with their likelihood, which are no annotations"):
        read(path)


def test_a_project_without_tables(project: Path, table: Path) -> None:
    table.unlink()
    with pytest.raises(DataError, match="expected a table labeled-data/<video>/CollectedData_\\*.csv, got none"):
        read(project)


def test_an_unchanged_copy_has_the_same_bytes(tmp_path: Path, project: Path) -> None:
    for name, original in (("one", project), ("two", sample_dlc.build(tmp_path / "several"))):
        write(read(original), tmp_path / name, format="dlc")
        files = [file.relative_to(tmp_path / name) for file in (tmp_path / name).rglob("*") if file.is_file()]
        assert len(files) == len(list(original.glob("labeled-data/*/*.csv"))) + 1
        for file in files:
            assert (tmp_path / name / file).read_bytes() == (original / file).read_bytes()


def test_in_a_copy_only_changed_cells_differ(tmp_path: Path, project: Path) -> None:
    data = read(project)
    target = data.target.copy()
    target[0, 1] = 0.1 + 0.2, 4.0
    target[1, 0] = np.nan
    write(dataclasses.replace(data, target=target), tmp_path / "copy", format="dlc")
    old, new = ((folder / TABLE).read_bytes().split(b"\r\n") for folder in (project, tmp_path / "copy"))
    assert new[3] == b"labeled-data\\m1\\a.png,1.50,2,0.30000000000000004,4.0,,"
    assert new[4] == b"labeled-data/m1/b.png,,,NaN,NaN,7,8"
    assert (new[:3], new[5:]) == (old[:3], old[5:])


def test_rows_that_are_gone_are_taken_out_of_a_copy(tmp_path: Path) -> None:
    data = read(sample_dlc.build(tmp_path / "mice"))
    write(data.take([0, 3, 4, 5]), tmp_path / "copy", format="dlc")
    again = read(tmp_path / "copy", images=data.root)
    np.testing.assert_array_equal(again.target, data.target[[0, 3, 4, 5]])
    write(data.take([3]), tmp_path / "less", format="dlc")
    assert "img 1.png" not in (tmp_path / "less" / "labeled-data" / "m 1" / "CollectedData_Ann.csv").read_text()


def test_a_copy_of_a_single_table(tmp_path: Path, table: Path) -> None:
    data = read(table)
    path = write(data.with_target(data.target + 1), tmp_path / "copy", format="dlc")
    assert path == tmp_path / "copy" / table.name
    np.testing.assert_array_equal(read(path, images=data.root).target, data.target + 1)


def test_the_original_is_never_replaced(project: Path) -> None:
    before = (project / TABLE).read_bytes()
    data = read(project / "config.yaml")
    with pytest.raises(DataError, match="It is never replaced"):
        write(data.with_target(data.target + 1), project, format="dlc")
    assert (project / TABLE).read_bytes() == before


def test_a_file_that_has_changed_is_not_written_to(tmp_path: Path, project: Path, table: Path) -> None:
    data = read(project)
    changed(table, "labeled-data/m1/b.png,5,6,NaN,NaN,7,8\r\n", "")
    with pytest.raises(DataError, match="line 5: expected the row of 'labeled-data/m1/b.png' that was read"):
        write(data, tmp_path / "copy", format="dlc")


def test_a_new_project_names_frames_as_deeplabcut_does(tmp_path: Path) -> None:
    lines = ["image,group,x0,y0,x1,y1", "a b.png,,1,2,3,4.5", "sub/a b.png,,5,6,,", "c.png,day 1,7,8,9,10"]
    folder = tmp_path / "table"
    sample_dlc.draw(folder, ["a b.png", "sub/a b.png", "c.png"])
    (folder / "annotations.csv").write_text("\n".join(lines))
    (folder / "dataset.yaml").write_text("points: [nose, tail]\nlimbs: [[0, 1]]\ngroup: group\n")
    data = read(folder)
    config = write(data, tmp_path / "out", format="dlc", copy_images=True)
    assert config == tmp_path / "out" / "config.yaml"
    frames = ["images/a b.png", "sub/a b.png", "day 1/c.png"]
    assert all((tmp_path / "out" / "labeled-data" / name).is_file() for name in frames)
    table = (tmp_path / "out" / "labeled-data" / "sub" / "CollectedData_steadfit.csv").read_text()
    assert table.splitlines() == [
        "scorer,,,steadfit,steadfit,steadfit,steadfit",
        "bodyparts,,,nose,nose,tail,tail",
        "coords,,,x,y,x,y",
        "labeled-data,sub,a b.png,5.0,6.0,,",
    ]
    assert "skeleton:\n- - nose\n  - tail\n" in config.read_text()
    assert str(tmp_path) not in config.read_text()
    again = read(config)
    assert again.images == tuple(f"labeled-data/{name}" for name in frames)
    elsewhere = read(config, images=folder)
    assert elsewhere.images == data.images
    np.testing.assert_array_equal(again.target, data.target)
    assert again.schema.limbs == data.schema.limbs


def test_what_a_new_project_does_not_carry_is_told(tmp_path: Path) -> None:
    sample_dlc.draw(tmp_path, ["a.png"])
    (tmp_path / "t.csv").write_text("image,x0,y0,v0,x1,y1,v1\na.png,1,2,1,3,4,2\n")
    (tmp_path / "dataset.yaml").write_text("points: [nose, tail]\nvisibility: codes\npairs: [[1, 0]]\n")
    data = read(tmp_path / "t.csv")
    with pytest.warns(DataWarning, match="the visibility of 1 occluded points; 1 mirror pairs"):
        write(data, tmp_path / "out", format="dlc")


def test_groups_that_are_no_videos_are_told(tmp_path: Path) -> None:
    data = read(sample_dlc.of_one(tmp_path / "mice"))
    split = dataclasses.replace(data, format="csv", group=np.array(["a", "b", "b"]))
    with pytest.warns(DataWarning, match="not carried by .*: groups"):
        write(split, tmp_path / "out", format="dlc")


def test_a_new_project_is_not_mixed_with_another(project: Path, tmp_path: Path) -> None:
    data = dataclasses.replace(read(project), format="csv")
    write(data, tmp_path / "out", format="dlc")
    write(data, tmp_path / "out", format="dlc")
    with pytest.raises(DataError, match="expected no other project there, got labeled-data/m1/CollectedData_Ann.csv"):
        write(data, sample_dlc.of_one(tmp_path / "other"), format="dlc")


@real
@pytest.mark.parametrize(("name", "rows"), [("dlc_openfield", 116), ("dlc_reaching", 55)])
def test_real_projects_are_written_back_to_the_byte(tmp_path: Path, name: str, rows: int) -> None:
    data = read(PROJECTS / name)
    assert (data.format, len(data)) == ("dlc", rows)
    write(data, tmp_path / name, format="dlc")
    files = [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 2
    assert all((tmp_path / file).read_bytes() == (PROJECTS / file).read_bytes() for file in files)


@real
@pytest.mark.parametrize(
    "name",
    [
        "dlc_openfield/labeled-data/m4s1/CollectedData_Pranav",
        "dlc_reaching/labeled-data/reachingvideo1/CollectedData_Mackenzie",
    ],
)
def test_real_hdf5_copies_have_the_labels_of_the_tables(name: str) -> None:
    pytest.importorskip("h5py")
    path = PROJECTS / f"{name}.h5"
    with pytest.raises(DataError, match="tell the format with --format dlc"):
        read(path)
    data, told = read(path.with_suffix(".csv")), read(path, format="dlc")
    assert (told.images, told.schema.points) == (data.images, data.schema.points)
    np.testing.assert_array_equal(told.target, data.target)
