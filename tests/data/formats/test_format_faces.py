"""LFW+NET, MTFL, UTKFace, and the faces of Kaggle and Udacity."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sample_bodies
import sample_faces

import steadfit
from steadfit.data import LabelledDataset, load_annotations
from steadfit.data.formats.finding import read_source
from steadfit.errors import DataError, DataWarning

DATA = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache" / "steadfit-data"))
ORIGINAL = DATA / "formats"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"no {path.name} in {path.parent} ($STEADFIT_DATA)")


def test_lfw_net_has_boxes_splits_and_slashes(tmp_path: Path) -> None:
    data = steadfit.read(sample_faces.lfw_net(tmp_path))
    assert data.images == tuple(sample_faces.NAMES)
    assert data.box is not None
    assert data.box[0].tolist() == [20, 22, 38, 37]  # left 20, right 57, top 22, bottom 58, all of them inside
    assert (data.split == "test").tolist() == [False, False, False, True]
    np.testing.assert_array_equal(data.length, data.box[:, 2])
    assert data.at is not None
    assert data.at[0] == "trainImageList.txt, line 1"


def test_mtfl_is_the_same_faces_counted_from_1(tmp_path: Path) -> None:
    sun = steadfit.read(sample_faces.lfw_net(tmp_path / "sun"))
    mtfl = steadfit.read(sample_faces.mtfl(tmp_path / "mtfl"))
    np.testing.assert_array_equal(sun.target, mtfl.target)
    assert mtfl.images == sun.images
    assert (mtfl.split == "test").tolist() == (sun.split == "test").tolist()
    assert any("attributes" in note for note in mtfl.notes)


def test_one_list_has_a_split_only_if_it_is_for_testing(tmp_path: Path) -> None:
    folder = sample_faces.lfw_net(tmp_path)
    train = steadfit.read(folder / sample_faces.TRAIN)
    assert train.drawn is not None
    assert train.drawn.all()
    assert train.line.tolist() == [1, 2, 3]
    assert steadfit.read(folder / sample_faces.TEST).split.tolist() == ["test"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg 1 2 3", r"trainImageList.txt, line 2: expected a path and 14 numbers, got 4 words"),
        ("a.jpg 9 2 3 4 " + "5 " * 10, r"trainImageList.txt, line 2, box: expected left <= right"),
        ("a.jpg 1 2 3 4 " + "5 " * 9 + "x", r"trainImageList.txt, line 2, y of right_mouth_corner: expected a finite"),
    ],
)
def test_a_bad_line_is_named_with_its_list(line: str, message: str, tmp_path: Path) -> None:
    folder = sample_faces.lfw_net(tmp_path)
    list_ = folder / sample_faces.TRAIN
    lines = list_.read_text(encoding="utf-8").splitlines()
    list_.write_text("\n".join([lines[0], line, *lines[1:]]), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        steadfit.read(folder)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert len(steadfit.read(folder, skip_bad=True)) == 4


def test_ages_are_read_from_names_as_far_as_they_say(tmp_path: Path) -> None:
    data = steadfit.read(sample_faces.utkface(tmp_path))
    assert data.images is not None
    ages = dict(zip([name.split("_")[0] for name in data.images], data.target[:, 0, 0].tolist(), strict=True))
    assert ages == {"100": 100, "24": 24, "26": 26, "39": 39, "53": 53, "55": 55}
    assert data.schema.targets == ("age",)
    assert any("2 of 6, such as 39_1_" in note for note in data.notes)
    both = steadfit.read(tmp_path, targets="age,gender")
    assert np.isnan(both.target[:, 1, 0]).sum() == 2


def test_a_name_without_an_age_is_a_problem_of_its_file(tmp_path: Path) -> None:
    sample_bodies.write_images(sample_faces.utkface(tmp_path), ["cover.jpg"])
    with pytest.raises(DataError, match=r"cover.jpg: expected a name such as .* got 'cover.jpg'"):
        steadfit.read(tmp_path)
    with pytest.warns(DataWarning, match="1 image is left out"):
        assert len(steadfit.read(tmp_path, skip_bad=True)) == 6


def test_kaggles_pixels_come_from_the_table(tmp_path: Path) -> None:
    path = sample_faces.kaggle_faces(tmp_path)
    data = steadfit.read(path)
    cells = (path / "training.csv").read_text().splitlines()[2].split(",")
    assert data.pixels is not None
    assert data.pixels.shape == (4, 3, 96, 96)
    np.testing.assert_array_equal(data.pixels[1, 0].numpy().ravel(), np.array(cells[-1].split(), dtype=int))
    assert data.pixels[1, 0].equal(data.pixels[1, 2])
    assert data.target[1, 0].tolist() == [float(cells[0]), float(cells[1])]
    assert np.isnan(data.target[3]).all(axis=1).tolist() == [False] * 4 + [True] * 2
    assert data.size is not None
    assert data.size.tolist() == [[96, 96]] * 4
    assert any("at most 4 points" in note and "1 of 4" in note for note in data.notes)
    pairs = {tuple(data.schema.points[k] for k in pair) for pair in data.schema.pairs}
    assert pairs == {("left_eye_center", "right_eye_center"), ("mouth_left_corner", "mouth_right_corner")}
    np.testing.assert_allclose(data.length, np.linalg.norm(data.target[:, 0] - data.target[:, 1], axis=1))


def test_kaggles_faces_can_be_trained_on(tmp_path: Path) -> None:
    path = sample_faces.kaggle_faces(tmp_path)
    lines = (path / "training.csv").read_text().splitlines()
    rows = [lines[1 + k % 3].replace(",Image", "") + f" {k}" for k in range(12)]
    rows = [" ".join([*row.split(" ")[:-2], str(k)]) for k, row in enumerate(rows)]  # images that differ
    (path / "training.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    data = load_annotations(path)
    batch = next(iter(LabelledDataset(data, data.rows("train")).loader(4, shuffle_seed=0)))
    assert batch["input"].shape[0] == 4
    assert batch["input"].isfinite().all()
    taken = data.take([0, 5])
    assert taken.pixels is not None
    assert taken.pixels.shape == (2, 3, 96, 96)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 2 3", r"training.csv, line 3, column Image: expected 9216 grey values, got 3"),
        (" ".join(["256"] * 9216), r"column Image: expected grey values from 0 to 255, got 256 to 256"),
        (" ".join(["x"] * 9216), r"column Image: expected whole grey values"),
    ],
)
def test_a_bad_image_of_kaggle_is_named_with_its_line(cell: str, message: str, tmp_path: Path) -> None:
    path = sample_faces.kaggle_faces(tmp_path) / "training.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].rsplit(",", 1)[0] + "," + cell
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        steadfit.read(path)
    with pytest.warns(DataWarning, match="1 row is left out"):
        data = steadfit.read(path, skip_bad=True)
    assert data.pixels is not None
    assert len(data.pixels) == len(data) == 3


def test_kaggle_takes_no_folder_of_images(tmp_path: Path) -> None:
    path = sample_faces.kaggle_faces(tmp_path)
    with pytest.raises(DataError, match="Leave out --images"):
        steadfit.read(path, images=tmp_path)


def test_udacitys_nameless_column_is_the_image(tmp_path: Path) -> None:
    data = steadfit.read(sample_faces.udacity_faces(tmp_path))
    assert data.images == (
        *("training/Ann_Ä_00.jpg", "training/Bo B_11.jpg", "training/Cy_20.jpg"),
        *("test/Bo B_12.jpg", "test/Di_30.jpg"),
    )
    cells = (tmp_path / "training_frames_keypoints.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    assert data.target[0].ravel().tolist() == [float(cell) for cell in cells[1:]]
    assert np.argwhere(np.isnan(data.target).all(axis=2)).tolist() == [[1, 0], [4, 0]]
    assert (data.split == "test").tolist() == [False, False, False, True, True]
    assert data.group is not None
    assert data.group.tolist() == ["Ann_Ä", "Bo B", "Cy", "Bo B", "Di"]
    assert any("in training images, too: 1 of 2" in note for note in data.notes)
    assert data.schema.normalizer == (36, 45)
    one = steadfit.read(tmp_path / "test_frames_keypoints.csv")
    assert one.images == ("Bo B_12.jpg", "Di_30.jpg")
    assert Path(one.root) == tmp_path / "test"


def test_mirrored_outlines_have_every_point_once(tmp_path: Path) -> None:
    data = steadfit.read(sample_faces.udacity_faces(tmp_path))
    order = list(data.schema.permutation)
    assert sorted(order) == list(range(68))
    alone = [k for k, other in enumerate(order) if k == other]
    assert alone == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_a_folder_of_images_alone_says_so(tmp_path: Path) -> None:
    sample_bodies.write_images(tmp_path, ["a.jpg", "b.jpg", "c.png"])
    (tmp_path / "._a.jpg").write_bytes(b"\0")
    with pytest.raises(DataError, match=r"got 3 images and no annotations. Name the file .* --images") as error:
        load_annotations(tmp_path)
    assert "coco" in str(error.value)
    assert "lsp" in str(error.value)


@needs(DATA / "lfw_net" / "annotations.csv")
@needs(ORIGINAL / "lfw_net_original")
def test_lfw_net_agrees_with_the_prepared_table() -> None:
    source = read_source(ORIGINAL / "lfw_net_original")
    frame = pd.read_csv(DATA / "lfw_net" / "annotations.csv")
    names = frame["image"].str.split("/").str[2:].str.join("/")
    place = {name: row for row, name in enumerate(source.cells.text("image"))}
    rows = [place[name] for name in names]
    assert len(set(rows)) == len(frame) == 13466
    for k in range(5):
        for axis in "xy":
            mine = frame["scale"] * source.cells.numbers(f"{axis}{k}")[0][rows] + frame[f"t{axis}"]
            np.testing.assert_allclose(mine, frame[f"{axis}{k}"], atol=0.02)  # the table rounds all of its numbers
    assert [source.cells.text("split")[row] for row in rows] == frame["split"].tolist()
    sides = [source.cells.numbers(f"box_{side}")[0][rows] for side in ("width", "height")]
    np.testing.assert_allclose(frame["scale"], 96 / (1.3 * np.maximum(*sides)), rtol=1e-4)


@needs(ORIGINAL / "lfw_net_original")
def test_the_original_of_mtfl_is_larger_by_1() -> None:
    sun = read_source(ORIGINAL / "lfw_net_original")
    mtfl = read_source(ORIGINAL / "lfw_net_original" / "MTFL_training.head.txt")
    assert mtfl.format == "mtfl"
    place = {name: row for row, name in enumerate(sun.cells.text("image"))}
    rows = [place[name] for name in mtfl.cells.text("image")]
    assert len(rows) == 40
    for column in ("x0", "y0", "x4", "y4"):
        np.testing.assert_allclose(sun.cells.numbers(column)[0][rows], mtfl.cells.numbers(column)[0])


@needs(ORIGINAL / "udacity_original")
@needs(ORIGINAL / "utkface_original")
def test_the_originals_of_udacity_and_utkface_are_read() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # most images of the sample are not there
        faces = steadfit.read(ORIGINAL / "udacity_original")
    assert len(faces) == 30
    assert faces.schema.normalizer == (36, 45)
    assert (faces.target[:, 36, 0] < faces.target[:, 45, 0]).all()
    ages = steadfit.read(ORIGINAL / "utkface_original")
    assert sorted(ages.target.ravel().tolist()) == [10, 39, 80, 100, 103]
