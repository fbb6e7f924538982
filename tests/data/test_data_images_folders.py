"""Folders of images: what is read, what is passed over with a word, and what is no matter."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from steadfit.data import IMAGE_SUFFIXES, folder_images, is_image, load_classes
from steadfit.errors import DataError, DataWarning

WRITTEN_AS = {".jfif": ".jpg", ".apng": ".png"}  # kinds that OpenCV knows by another name


def data_of(suffix: str, seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(noise, (64, 48), interpolation=cv2.INTER_CUBIC)
    image = image[:, :, 0] if suffix in (".pgm", ".pbm") else image
    return cv2.imencode(WRITTEN_AS.get(suffix, suffix), image)[1].tobytes()


def test_every_kind_of_file_is_read_in_folders_of_classes(tmp_path: Path) -> None:
    """One list of suffixes: what a folder of classes takes is what a folder to predict takes."""
    seed = 0
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for suffix in sorted(IMAGE_SUFFIXES):
            seed += 1
            shown = suffix.upper() if name == "b" else suffix
            (tmp_path / name / f"1{shown}").write_bytes(data_of(suffix, seed))
    (tmp_path / "a/notes.txt").write_text("no image")
    classes = load_classes(tmp_path)
    found = [path for name in ("a", "b") for path in sorted((tmp_path / name).iterdir()) if is_image(path)]
    assert sorted(classes.images or ()) == sorted(path.relative_to(tmp_path).as_posix() for path in found)
    assert len(classes) == 2 * len(IMAGE_SUFFIXES)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder as phones and computers leave it."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for k, name in enumerate(("a.jpg", "b.JFIF", "c d.png", "ü.png")):
        (folder / name).write_bytes(data_of(".png" if "png" in name else ".jpg", k))
    for name in ("._a.jpg", ".hidden.png", ".DS_Store", "Thumbs.db", "notes.txt", "a.json", "t.csv", "README", "x.xmp"):
        (folder / name).write_bytes(b"\0\x05\x16\x07")
    (folder / "sub.png").mkdir()
    return folder


def test_what_is_no_matter(mixed: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = folder_images(mixed)
    assert [path.name for path in found] == ["a.jpg", "b.JFIF", "c d.png", "ü.png"]


def test_what_is_passed_over_is_counted(mixed: Path) -> None:
    for name in ("1.heic", "2.HEIC", "3.mp4"):
        (mixed / name).write_bytes(b"...")
    (mixed / "scan").write_bytes(data_of(".jpg"))
    with pytest.warns(DataWarning) as caught:
        assert len(folder_images(mixed)) == 4
    assert str(caught[0].message) == (
        f"{mixed}: passed over 4 files not read as images: 2 .heic, 1 .mp4, 1 without a suffix. Convert or rename them "
        "(.jpg, .png) if they belong to the data."
    )


def test_links_are_followed(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "far.png").write_bytes(data_of(".png", 9))
    (mixed / "z.png").symlink_to(tmp_path / "far.png")
    assert folder_images(mixed)[-2:] == [mixed / "z.png", mixed / "ü.png"]


def test_folders_of_classes_count_what_they_pass_over(tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for seed in range(12):
            (tmp_path / name / "deeper" / f"{seed}.jpg").write_bytes(data_of(".jpg", 12 * k + seed))
        (tmp_path / name / "._0.jpg").write_bytes(b"\0\x05\x16\x07")
        (tmp_path / name / "deeper" / "x.heic").write_bytes(b"...")
    with pytest.warns(DataWarning, match=r"passed over 2 files not read as images: 2 \.heic"):
        classes = load_classes(tmp_path)
    assert len(classes) == 24


def test_a_link_out_of_folders_of_classes_is_refused_with_advice(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for k, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for seed in range(3):
            (root / name / f"{seed}.jpg").write_bytes(data_of(".jpg", 3 * k + seed))
    (tmp_path / "far.jpg").write_bytes(data_of(".jpg", 9))
    (root / "a" / "link.jpg").symlink_to(tmp_path / "far.jpg")
    with pytest.raises(DataError, match=r"expected an image inside .* Copy the file there, or give a folder"):
        load_classes(root)


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", ".git", "$RECYCLE.BIN"])
def test_what_systems_leave_behind_is_no_class(tmp_path: Path, name: str) -> None:
    for k in range(12):
        path = tmp_path / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data_of(".png", k))
    (tmp_path / name).mkdir()
    (tmp_path / name / "._0.png").write_bytes(b"x")
    assert load_classes(tmp_path).schema.classes == ("a", "b")


def test_images_beside_the_folders_of_classes_are_told(tmp_path: Path) -> None:
    for k in range(12):
        path = tmp_path / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data_of(".png", k))
    (tmp_path / "loose.jpg").write_bytes(data_of(".jpg", 99))
    with pytest.warns(DataWarning, match=r"1 image lies beside the folders of classes .*'loose\.jpg'"):
        assert len(load_classes(tmp_path)) == 12
