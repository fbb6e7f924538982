"""Images as phones and other programs leave them, on the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import Result

from steadfit.cli.options import Exif
from steadfit.data.images.decoding import EXIF

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
TINY = ("--epochs", 1, "--size", 16, "--batch-size", 16, "--device", "cpu")
TIFF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6


def turn(path: Path) -> Path:
    """Give an image an orientation, and the suffix of a JPEG."""
    data = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes()
    path.unlink()
    path = path.with_suffix(".jpg")
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(TIFF) + 8).to_bytes(2, "big") + b"Exif\0\0" + TIFF + data[2:])
    return path


@pytest.fixture
def turned(own_faces: Path) -> Path:
    """Faces that carry an orientation, and labels on the pixels as they are stored."""
    table = pd.read_csv(own_faces / "annotations.csv")
    table["image"] = [turn(own_faces / name).relative_to(own_faces).as_posix() for name in table["image"]]
    table.to_csv(own_faces / "annotations.csv", index=False)
    return own_faces


def test_the_words_are_the_librarys() -> None:
    assert tuple(word.value for word in Exif) == EXIF


@pytest.mark.parametrize("exif", EXIF)
def test_the_orientation_is_an_option_and_stays_with_the_run(
    turned: Path, steadfit: Steadfit, tmp_path: Path, exif: str
) -> None:
    result = steadfit("fit", turned, "--exif", exif, "-o", tmp_path / "run", *TINY)
    assert result.exit_code == 0, result.output
    assert "60 of 60 images carry an EXIF orientation" in result.stderr
    assert f"--exif {'ignore' if exif == 'honour' else 'honour'}" in result.stderr
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["schema"]["exif"] == exif
    assert "--exif" in steadfit("predict", tmp_path / "run", turned, "-o", tmp_path / "table").stderr
    images = (turned / "annotations.csv").parent / Path(pd.read_csv(turned / "annotations.csv")["image"][0]).parent
    assert steadfit("predict", tmp_path / "run", images, "-o", tmp_path / "folder").exit_code == 0
    one, other = (pd.read_csv(tmp_path / name / "predictions.csv") for name in ("table", "folder"))
    assert (
        one["image"].map(lambda name: Path(name).name).tolist()
        == other["image"].map(lambda name: Path(name).name).tolist()
    )
    np.testing.assert_allclose(one["x0"], other["x0"], atol=1e-3)


def test_an_unknown_word(own_faces: Path, steadfit: Steadfit) -> None:
    result = steadfit("fit", own_faces, "--exif", "turn")
    assert result.exit_code == 2
    assert "'turn'" in result.stderr
    assert "honour" in result.stderr


def test_a_folder_as_a_phone_leaves_it(
    faces: Path, trained: tuple[Path, Result], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    first = sorted(faces.rglob("*.png"))[0]
    (folder := tmp_path / "ein Ordner").mkdir()
    shutil.copy(first, folder / "a b.PNG")
    (folder / "link.png").symlink_to(first)
    (folder / "._a.png").write_bytes(b"\0\x05\x16\x07")
    (folder / "c.heic").write_bytes(b"...")
    result = steadfit("predict", trained[0], folder, "-o", tmp_path / "p")
    assert result.exit_code == 0, result.output
    assert "passed over 1 file not read as images: 1 .heic" in result.stderr
    table = pd.read_csv(tmp_path / "p" / "predictions.csv")
    assert [Path(name).name for name in table["image"]] == ["a b.PNG", "link.png"]
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(40))
    fails(steadfit("predict", trained[0], tmp_path / "a.zip"), 3, "got a zip archive. Unpack it first.")
    fails(steadfit("fit", tmp_path / "a.zip", "-o", tmp_path / "run"), 3, "got a zip archive. Unpack it first.")
