"""Paths as tables of other machines write them."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from steadfit.data import load_annotations, refuse_archive, resolve_image, scan
from steadfit.errors import DataError, DataWarning


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    picture(tmp_path / "set" / "a" / "b" / "1.png")
    return tmp_path / "set"


def test_separators_of_windows(root: Path) -> None:
    assert resolve_image(root, r"a\b\1.png") == ("a/b/1.png", None)
    assert resolve_image(root, r"a/b\1.png") == ("a/b/1.png", None)
    picture(root / r"a\b\1.png", seed=1)  # a file of just that name comes first
    assert resolve_image(root, r"a\b\1.png") == (r"a\b\1.png", None)
    name, reason = resolve_image(root, r"a\c\1.png")
    assert name == r"a\c\1.png"
    assert reason == f"expected an image file, got no file at 'a\\\\c\\\\1.png' in {root}."


@pytest.mark.parametrize("name", [r"..\x.png", "../x.png", r"a\..\..\x.png", "a/../../x.png"])
def test_no_path_leaves_the_root(root: Path, name: str) -> None:
    picture(root.parent / "x.png")
    reason = resolve_image(root, name)[1]
    assert reason
    assert reason.startswith(("expected an image inside", "expected an image file, got no file at"))


def test_a_link_that_leaves_the_root_is_refused_with_advice(root: Path) -> None:
    (root / "link.png").symlink_to(picture(root.parent / "x.png"))
    (root / "inner.png").symlink_to(root / "a" / "b" / "1.png")
    assert resolve_image(root, "inner.png") == ("inner.png", None)
    assert resolve_image(root, "link.png")[1] == (
        f"expected an image inside {root}, got 'link.png', which is {root.parent / 'x.png'}. Copy the file there, or "
        "give a folder that contains all images with --images ROOT."
    )


def test_absolute_paths_inside_become_relative(root: Path) -> None:
    (root.parent / "alias").symlink_to(root)
    for folder in (root, root.parent / "alias"):
        assert resolve_image(folder, str(folder / "a" / "b" / "1.png")) == ("a/b/1.png", None)
    assert resolve_image(root.parent / "alias", str(root / "a" / "b" / "1.png")) == ("a/b/1.png", None)
    missing = resolve_image(root, str(root / "a" / "none.png"))[1]
    assert missing == f"expected an image file, got no file at 'a/none.png' in {root}."


@pytest.mark.parametrize(
    "name", ["/home/somebody/a/b/1.png", r"C:\Users\somebody\a\b\1.png", "D:/a/b/1.png", r"\\server\share\a\b\1.png"]
)
def test_absolute_paths_of_another_machine_are_found_by_their_ends(root: Path, name: str) -> None:
    picture(root / "1.png", seed=2)  # the longest end counts
    assert resolve_image(root, name) == ("a/b/1.png", None)


@pytest.mark.parametrize("name", ["/home/somebody/2.png", r"C:\2.png", "/etc/passwd"])
def test_absolute_paths_elsewhere_are_refused_with_advice(root: Path, name: str) -> None:
    assert resolve_image(root, name)[1] == (
        f"expected a path relative to {root}, got the absolute {name!r}. Give the folder that contains the images with "
        "--images ROOT."
    )


def test_the_end_of_an_absolute_path_does_not_leave_by_a_link(root: Path) -> None:
    (root / "2.png").symlink_to(picture(root.parent / "x.png"))
    assert "got the absolute" in str(resolve_image(root, "/home/somebody/2.png")[1])


@pytest.mark.parametrize(
    ("name", "near"),
    [("a/b/1.PNG", "a/b/1.png"), ("a/b/1.jpg", "a/b/1.png"), (r"a\b\1.PNG", "a/b/1.png"), ("a/b/1", "a/b/1.png")],
)  # fmt: skip
def test_a_file_of_a_similar_name_is_shown(root: Path, name: str, near: str) -> None:
    assert str(resolve_image(root, name)[1]).endswith(f"in {root}. There is {near!r}.")


@pytest.mark.parametrize("name", ["", " ", "a\0b", "https://example.org/1.png", "x" * 300 + "/" + "y" * 5000])
def test_what_is_no_path(root: Path, name: str) -> None:
    assert str(resolve_image(root, name)[1]).startswith("expected")


def test_a_folder_is_no_image(root: Path) -> None:
    assert scan(root, ["a"]).reasons[0] == "expected an image file, got the folder 'a'."


def test_names_with_spaces_and_of_all_scripts(root: Path) -> None:
    names = ["ein Bild.png", "größe/写真 1.PNG", "a b/ c.png", "%20.png", "'\".png", "-x.png"]
    for k, name in enumerate(names):
        picture(root / name, seed=k)
    found = scan(root, names)
    assert found.reasons == [None] * len(names)
    assert found.names == names


def test_a_table_gives_the_names_that_were_found(root: Path) -> None:
    for k in range(3):
        picture(root / "images" / f"{k}.png", seed=k)
    rows = ["images\\0.png,1,1", "/home/somebody/images/1.png,2,3", f"{root}/images/2.png,4,1"]
    (root / "annotations.csv").write_text("\n".join(["image,x0,y0", *rows, ""]))
    text = (
        "1 absolute path leads elsewhere and is read from here by its end "
        r"\(the first: '/home/somebody/images/1.png' as 'images/1.png'\)"
    )
    with pytest.warns(DataWarning, match=text):
        table = load_annotations(root, need_splits=())
    assert table.images == ("images/0.png", "images/1.png", "images/2.png")


def test_one_image_under_two_ways_to_write_it_is_one_path(root: Path) -> None:
    (root / "annotations.csv").write_text("image,x0,y0\na/b/1.png,1,1\na\\b\\1.png,1,1\n")
    with pytest.raises(DataError, match="expected rows of one image to differ"):
        load_annotations(root, need_splits=())


def test_archives_are_refused(root: Path) -> None:
    packed = root.parent / "set.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.write(root / "a" / "b" / "1.png")
    rolled = root.parent / "set.tar"
    with tarfile.open(rolled, "w") as tar:
        tar.add(root, "set")
    for path, what in ((packed, "a zip archive"), (rolled, "a tar archive")):
        message = f"{path.name}: expected a folder or a table, got {what}. Unpack it first."
        with pytest.raises(DataError, match=message):
            refuse_archive(path)
        with pytest.raises(DataError, match=message):
            scan(path, ["1.png"])
        with pytest.raises(DataError, match=message):
            load_annotations(path)
    refuse_archive(root)
    refuse_archive(root / "a" / "b" / "1.png")


@pytest.mark.parametrize(
    "name", ["a/b/1.png ", " a/b/1.png", "a/b/1.png\t", '"a/b/1.png"', " a\\b\\1.png ", "'a/b/1.png'"]
)
def test_spaces_and_quotes_around_a_path(root: Path, name: str) -> None:
    assert resolve_image(root, name) == ("a/b/1.png", None)
    picture(root / name, seed=1)  # a file of just that name comes first
    assert resolve_image(root, name) == (name, None)


def test_composed_and_decomposed_letters(root: Path) -> None:
    picture(root / "\u00fc.png")
    assert resolve_image(root, "u\u0308.png") == ("\u00fc.png", None)
    picture(root / "o\u0308.png")
    assert resolve_image(root, "\u00f6.png") == ("o\u0308.png", None)


@pytest.mark.parametrize("name", ["/a/b/1.png", r"\a\b\1.png", r"Z:\a\b\1.png"])
def test_a_path_from_the_top_of_another_disk(root: Path, name: str) -> None:
    assert resolve_image(root, name) == ("a/b/1.png", None)


def test_a_folder_in_other_letters_is_told(root: Path) -> None:
    _, reason = resolve_image(root, "A/B/1.PNG")
    assert reason == f"expected an image file, got no file at 'A/B/1.PNG' in {root}. There is 'a/b/1.png'."


def test_a_path_without_end_is_cut(root: Path) -> None:
    _, reason = resolve_image(root, "x" * 5000 + ".png")
    assert reason is not None
    assert len(reason) < 500 + len(str(root))
