"""Leeds Sports Pose, its extension, and PARSE: arrays of MATLAB, next to numbered images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sample_bodies
import scipy.io

import steadfit
from steadfit.data.formats.finding import ANNOTATIONS, is_source, read_source
from steadfit.errors import DataError, DataWarning

DATA = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache" / "steadfit-data"))
ORIGINAL = DATA / "formats"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"no {path.name} in {path.parent} ($STEADFIT_DATA)")


def table(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Places (N, 14, 2), v (N, 14) and splits of a table with 14 joints."""
    frame = pd.read_csv(folder / "annotations.csv")
    xy = np.stack([frame[[f"x{k}", f"y{k}"]].to_numpy() for k in range(14)], axis=1)
    v = [frame[f"v{k}"].to_numpy() if f"v{k}" in frame else np.ones(len(frame)) for k in range(14)]
    return xy, np.stack(v, axis=1), frame["split"].tolist()


def test_lsp_counts_pixels_from_0_and_1_means_occluded(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.lsp(tmp_path))
    np.testing.assert_allclose(data.target, sample_bodies.joints_of(4, 14) - 1)
    assert data.visible is not None
    assert np.argwhere(data.visible != 2).tolist() == [[1, 5]]
    assert data.visible[1, 5] == 1
    assert data.images == ("im0001.jpg", "im0002.jpg", "im0003.jpg", "im0004.jpg")
    assert data.schema.points[:2] == ("right_ankle", "right_knee")
    names = {tuple(data.schema.points[k] for k in pair) for pair in data.schema.pairs}
    assert ("left_wrist", "right_wrist") in names
    assert len(names) == 6
    torso = np.linalg.norm(data.target[:, 9] - data.target[:, 2], axis=1)
    np.testing.assert_allclose(data.length, torso)
    assert data.at is not None
    assert data.at[0] == "joints, image 1"


@pytest.mark.parametrize(("count", "words"), [(2000, {"train": 1000, "test": 1000}), (1999, {})])
def test_only_the_whole_of_lsp_has_the_official_split(count: int, words: dict[str, int], tmp_path: Path) -> None:
    source = read_source(sample_bodies.lsp(tmp_path, count=count))
    split = source.cells.text("split") if "split" in source.cells.cells else []
    assert {word: split.count(word) for word in set(split)} == words
    assert split[:1000] == ["train"] * len(split[:1000])
    assert bool(source.notes) == (not words)


def test_a_flag_that_is_neither_0_nor_1_is_a_problem_of_its_row(tmp_path: Path) -> None:
    folder = sample_bodies.lsp(tmp_path)
    joints = scipy.io.loadmat(folder / "joints.mat")["joints"]
    joints[2, 7, 2] = 2
    scipy.io.savemat(folder / "joints.mat", {"joints": joints})
    with pytest.raises(DataError, match=r"joints.mat, joints, image 3: expected visibility 0 or 1, got 2 at joint 8"):
        steadfit.read(folder)
    with pytest.warns(DataWarning, match="1 row is left out"):
        data = steadfit.read(folder, skip_bad=True)
    assert data.images == ("im0001.jpg", "im0002.jpg", "im0004.jpg")


def test_a_joint_that_lspet_does_not_mark_is_missing_whatever_its_place_is(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.lspet(tmp_path))
    assert np.argwhere(np.isnan(data.target).all(axis=2)).tolist() == [[0, 3], [2, 4]]
    assert data.visible is not None
    assert set(np.unique(data.visible).tolist()) == {0, 2}
    assert data.notes[0].endswith("which are not used: 1.")
    assert data.images is not None
    assert data.images[0] == "im00001.jpg"


def test_parse_is_read_from_next_to_its_images(tmp_path: Path) -> None:
    data = steadfit.read(sample_bodies.parse(tmp_path))
    np.testing.assert_allclose(data.target, sample_bodies.joints_of(4, 14) - 1)
    assert Path(data.root) == tmp_path


def test_the_first_pixel_of_matlab_is_0_0(tmp_path: Path) -> None:
    for name, variable, shape in (("lsp", "joints", (3, 14, 1)), ("parse", "ptsAll", (14, 2, 1))):
        values = np.ones(shape)
        scipy.io.savemat(tmp_path / f"{name}.mat", {variable: values})
        source = read_source(tmp_path / f"{name}.mat", format=name)
        assert source.cells.numbers("x0")[0].tolist() == [0.0]
        assert ANNOTATIONS[name].ABOUT.shift == -1


def test_a_folder_with_a_table_of_ours_is_that_table(tmp_path: Path) -> None:
    folder = sample_bodies.lsp(tmp_path)
    (folder / "annotations.csv").write_text("image,x0,y0\nimages/im0001.jpg,1,2\n")
    assert read_source(folder).format == "csv"
    assert read_source(folder / "joints.mat").format == "lsp"


@pytest.mark.parametrize("cut", [100, 200, 500])
def test_a_matlab_file_that_was_cut_is_one_error(cut: int, tmp_path: Path) -> None:
    folder = sample_bodies.lsp(tmp_path)
    content = (folder / "joints.mat").read_bytes()
    (folder / "joints.mat").write_bytes(content[:cut])
    with pytest.raises(DataError, match=r"expected a MATLAB file"):
        steadfit.read(folder, format="lsp")


def test_a_newer_matlab_file_says_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "joints.mat").write_bytes(b"MATLAB 7.3 MAT-file" + b"\0" * 600)
    assert not is_source(tmp_path / "joints.mat")
    with pytest.raises(DataError, match="expected a MATLAB file with a variable 'joints'"):
        steadfit.read(tmp_path / "joints.mat", format="lsp")


@needs(ORIGINAL / "lsp_original")
@needs(DATA / "lsp" / "annotations.csv")
def test_lsp_agrees_with_the_prepared_table() -> None:
    source = read_source(ORIGINAL / "lsp_original")
    xy, visible, split = table(DATA / "lsp")
    for k in range(14):
        found = np.stack([source.cells.numbers(f"{axis}{k}")[0] for axis in "xy"], axis=1)
        np.testing.assert_allclose(found, xy[:, k], atol=0.0051)  # the table has two decimals
        np.testing.assert_array_equal(source.cells.numbers(f"v{k}")[0], visible[:, k] + 1)  # there 0 is occluded
    assert source.cells.text("split") == split


@needs(DATA / "parse" / "labels.mat")
def test_parse_agrees_with_the_prepared_table() -> None:
    source = read_source(DATA / "parse" / "labels.mat")
    xy, _, split = table(DATA / "parse")
    for k in range(14):
        found = np.stack([source.cells.numbers(f"{axis}{k}")[0] for axis in "xy"], axis=1)
        np.testing.assert_allclose(found, xy[:, k], atol=0.0051)
    assert source.cells.text("split") == split
    assert source.root == DATA / "parse" / "images"


@needs(ORIGINAL / "lspet_original")
def test_the_original_of_lspet_is_read() -> None:
    source = read_source(ORIGINAL / "lspet_original")
    codes = np.stack([source.cells.numbers(f"v{k}")[0] for k in range(14)], axis=1)
    assert codes.shape == (400, 14)
    assert int((codes == 0).sum()) == 734
    assert "split" not in source.cells.cells
