"""The .pts files: counting from 1, images by stem, layouts, groups, and what is wrong with a file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sample_pts import build, content, draw

from steadfit.data.exchange import read, write
from steadfit.data.formats import pts
from steadfit.data.formats.face_layouts import FGNET, IBUG
from steadfit.data.formats.pts_files import from_one, from_zero
from steadfit.errors import DataError, DataWarning

DATA = Path(os.environ.get("STEADFIT_DATA", "/none")) / "formats"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs $STEADFIT_DATA/formats, original files of data sets")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_points_images_and_missing_ones(tmp_path: Path) -> None:
    data = read(build(tmp_path))
    assert data.format == "pts"
    assert data.images == ("größe.png", "indoor/a.PNG", "indoor/b c.png", "indoor/b c.png")
    np.testing.assert_array_equal(data.target[1], [[0, 0], [19.5, 7.125], [14.001, 13.5]])
    np.testing.assert_array_equal(data.visible, [[2, 2, 2]] * 3 + [[2, 0, 2]])
    assert not data.schema.has_names
    assert pts.ABOUT.shift == -1


@pytest.mark.parametrize("seed", range(3))
def test_the_shift_by_1_keeps_every_digit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for values in (rng.uniform(-1, 2, 200), rng.uniform(0, 2000, 200).round(3), rng.normal(size=200) * 1e-7):
        words = [from_one(value) for value in values.tolist()]
        np.testing.assert_array_equal(from_zero(words), values)
    np.testing.assert_array_equal(from_zero(["1.1", "743.224"]), [0.1, 742.224])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (content([(1, 2)] * 3).replace("n_points:  3", "n_points: 4"), "n_points: expected 4 points.*got 3"),
        (content([(1, 2)] * 3).replace("}", ""), r"end: expected '\}'"),
        (content([(1, 2)] * 3).replace("{", ""), "line 4: expected 'version', 'n_points' or '{', got '1 2'"),
        (content([(1, 2)] * 3).replace("1 2\n}", "1 2 3\n}"), "line 6: expected x and y, got 3 values"),
        (content([(1, 2)] * 3).replace("1 2\n}", "1 two\n}"), "line 6: expected a finite number, got 'two'"),
        (content([(1, 2)] * 3) + "5 6\n", r"line 8: expected nothing after '\}'"),
        (content([(1, 2)] * 2), "n_points: expected 3 points as in 3 of 4 files, got 2"),
        (content([]), "n_points: expected 0 points, as n_points says, got 0|n_points: expected"),
        ("", "end: expected"),
        ("version: 1\nn_points: 1e999\n{\n1 2\n}\n", "line 2: expected a finite number"),
    ],
)
def test_a_bad_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    build(tmp_path)
    (tmp_path / "indoor" / "a.pts").write_text(text)
    with pytest.raises(DataError, match=r"indoor/a\.pts, " + f"({message})"):
        read(tmp_path)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert len(read(tmp_path, skip_bad=True)) == 3


def test_no_image_of_the_name(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "größe.png").unlink()
    with pytest.warns(DataWarning, match=r"1 of 3 images were not found"):
        data = read(tmp_path)
    assert data.images is not None
    assert data.images[0] == "größe.png"
    assert "1 of 4 files have no image of their name" in " ".join(data.notes)


def test_images_in_a_folder_of_their_own(tmp_path: Path) -> None:
    build(tmp_path / "points")
    draw(tmp_path / "photos" / "größe.JPG", 0)
    draw(tmp_path / "photos" / "indoor" / "A.jpg", 1)
    draw(tmp_path / "photos" / "indoor" / "b c.jpg", 2)
    data = read(tmp_path / "points", images=tmp_path / "photos")
    assert data.images == ("größe.JPG", "indoor/A.jpg", "indoor/b c.jpg", "indoor/b c.jpg")


def test_a_copy_has_the_bytes_of_lines_that_do_not_change(tmp_path: Path) -> None:
    source = build(tmp_path / "source")
    data = read(source)
    target = data.target.copy()
    target[0, 1] = 28.5, 3.25
    target[1, 0] = np.nan
    copy = write(data.with_target(target), tmp_path / "copy", format="pts")
    before = tree(source)
    after = tree(copy)
    assert after["größe.pts"] == before["größe.pts"].replace(b"30 4.25", b"29.5 4.25")
    assert after["indoor/a.pts"] == before["indoor/a.pts"].replace(b"1 1\r\n", b"nan nan\r\n")
    assert after["indoor/b c.pts"] == before["indoor/b c.pts"]
    np.testing.assert_array_equal(read(copy, images=source).target, target)


def scene(folder: Path, names: str = "[nose, left_eye, right_eye]") -> Path:
    for seed, name in enumerate(("a.png", "a_2.png", "sub/c.png")):
        draw(folder / name, seed)
    rows = ["a.png,1,2,3.1,4,5,6", "a.png,11,2,13,4,15,6", "a_2.png,1,2,,,5,6", "sub/c.png,1,2,3,4,0,0"]
    (folder / "annotations.csv").write_text("\n".join(["image,x0,y0,x1,y1,x2,y2", *rows, ""]))
    (folder / "dataset.yaml").write_text(f"points: {names}\nbox: points\n")
    return folder


def test_faces_of_one_image_are_numbered_with_numbers_that_no_image_has(tmp_path: Path) -> None:
    data = read(scene(tmp_path / "data"))
    written = write(data, tmp_path / "out", format="pts")
    assert sorted(tree(written)) == ["a.pts", "a_2.pts", "a_3.pts", "dataset.yaml", "sub/c.pts"]
    again = read(written, images=data.root)
    assert again.images == ("a.png", "a_2.png", "a.png", "sub/c.png")
    assert again.schema.points == data.schema.points
    np.testing.assert_array_equal(again.target, data.target[[0, 2, 1, 3]])


def test_names_of_another_number_of_points(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "dataset.yaml").write_text("points: [nose]\n")
    with pytest.raises(DataError, match=r"dataset\.yaml, points: expected the names of 3 points.*got 1"):
        read(tmp_path)


def test_a_layout_is_written_in_its_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    draw(tmp_path / "a.png", 0)
    half = rng.uniform(2, 15, (68, 2))
    for left, right in IBUG.pairs:
        half[left] = [38 - half[right, 0], half[right, 1]]
    (tmp_path / "a.pts").write_text(content([(x, y) for x, y in half.tolist()]))
    data = read(tmp_path)
    assert data.schema.points == IBUG.points
    mixed = data.renumbered(data.schema.points[::-1])
    copy = read(write(mixed, tmp_path / "copy", format="pts"), images=tmp_path)
    np.testing.assert_array_equal(copy.target, data.target)


def test_68_points_of_something_else_are_numbered(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    points = np.random.default_rng(0).uniform(2, 30, (68, 2)).tolist()
    (tmp_path / "a.pts").write_text(content([(x, y) for x, y in points]))
    data = read(tmp_path)
    assert not data.schema.has_names
    assert "not those of a known layout" in " ".join(data.notes)


def test_what_is_not_pts(tmp_path: Path) -> None:
    (tmp_path / "cloud.pts").write_text("2\n0 0 0 1 2 3\n1 1 1 1 2 3\n")
    assert not pts.is_one(tmp_path / "cloud.pts")
    assert not pts.is_one(tmp_path)
    (tmp_path / "face.pts").write_text(content([(1, 2)]))
    (tmp_path / "annotations.csv").write_text("image,x0,y0\n")
    assert pts.is_one(tmp_path / "face.pts")
    assert not pts.is_one(tmp_path)


@needs_data
def test_300vw() -> None:
    data = read(DATA / "mmpose_300vw")
    assert data.images == tuple(f"{video}/imgs/{name}.jpg" for video, name in VIDEO_FRAMES)
    assert data.group is not None
    assert data.group.tolist() == ["001", "001", "401", "401"]
    assert data.schema.points == IBUG.points
    assert data.target[0, 0].tolist() == [742.224, 196.764]  # 743.224 197.764 in the file


VIDEO_FRAMES = [("001", "000006"), ("001", "000009"), ("401", "000731"), ("401", "000732")]


@needs_data
@pytest.mark.parametrize("folder", ["", "points"])
def test_fgnet_has_another_layout_and_other_suffixes(folder: str, tmp_path: Path) -> None:
    source = DATA / "fgnet_original" / folder
    data = read(source)
    assert data.schema.points == FGNET.points
    assert data.images == ("images/001A02.JPG", "images/001A05.JPG", "images/010A04.JPG")
    assert data.group is not None
    assert data.group.tolist() == ["001", "001", "010"]
    copy = write(data, tmp_path / "copy", format="pts")
    originals = {name: text for name, text in tree(source).items() if name.endswith(".pts")}
    assert tree(copy) == originals


def test_an_exponent_beyond_those_of_decimals_is_a_number() -> None:
    assert from_zero(["1e-9999999999999999999"]).tolist() == [-1]
