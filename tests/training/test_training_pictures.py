"""Predictions of images in every shape, depth and orientation in which they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from steadfit.data import Annotations, Region, Schema, load_annotations
from steadfit.errors import DataError, DataWarning
from steadfit.recipes.opening import image_paths
from steadfit.training import Run, Settings, fit
from steadfit.training.cascade import fit_cascade
from steadfit.training.images import as_images

TIFF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6


def turned(image: np.ndarray) -> bytes:
    """A JPEG that is shown as this image, and stored lying."""
    data = cv2.imencode(".jpg", np.rot90(image), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    return data[:2] + b"\xff\xe1" + (len(TIFF) + 8).to_bytes(2, "big") + b"Exif\0\0" + TIFF + data[2:]


@pytest.fixture(scope="module")
def run(faces: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(faces, Settings(epochs=1, batch_size=8, size=16), tmp_path_factory.mktemp("runs") / "run", device="cpu")


@pytest.fixture(scope="module")
def grey(faces: Annotations) -> np.ndarray:
    """Images (N, H, W) of one size."""
    assert faces.images is not None
    return np.stack([cv2.imread(str(faces.root / name), cv2.IMREAD_GRAYSCALE) for name in faces.images[:3]])


def test_one_array_is_one_picture(run: Run, grey: np.ndarray) -> None:
    one = grey[0]
    wanted = run.predict([one]).mean
    alpha = np.dstack([one, one, one, np.full_like(one, 9)])
    for array in (one, one[..., None], np.dstack([one] * 3), alpha, one.astype(np.uint16), one.astype(np.uint16) * 257):
        assert run.predict(array).mean.shape == (1, 7, 2)
        np.testing.assert_allclose(run.predict(array).mean, wanted, atol=0.05)
    for several in (grey[..., None], np.stack([grey] * 3, axis=-1), np.stack([grey] * 4, axis=-1)):
        assert run.predict(several).mean.shape == (3, 7, 2)
        np.testing.assert_allclose(run.predict(several).mean[:1], wanted, atol=0.05)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((5, 8, 9), np.uint8), DataError, r"got an array \(5, 8, 9\). Pass several grey images as a list"),
        (np.zeros(5, np.uint8), DataError, r"expected one image .* got an array \(5,\)"),
        (np.zeros((2, 2, 8, 9, 3), np.uint8), DataError, r"got an array \(2, 2, 8, 9, 3\)"),
        (np.zeros((2, 8, 9, 2), np.uint8), DataError, r"expected uint8 images .* got uint8 \(8, 9, 2\)"),
        (np.zeros((8, 9, 3)), DataError, r"got float64 \(8, 9, 3\). Scale it: \(255 \* image\)"),
        (np.zeros((8, 9), bool), DataError, r"got bool \(8, 9\)"),
        (np.zeros((0, 9, 3), np.uint8), DataError, r"at least one pixel, got \(0, 9, 3\)"),
        ([[1, 2], [3, 4]], TypeError, "expected a list of image paths or arrays, got list in it"),
        ({"a": 1}, TypeError, "expected image paths or arrays, got dict"),
        (memoryview(np.zeros((9, 9), dtype=np.uint8)), TypeError, "expected image paths or arrays, got memoryview"),
        (pd.Series(["a.png"]), TypeError, r"got Series\. numpy\.asarray makes an array of it"),
        ([torch.zeros(9, 9)], TypeError, r"got Tensor in it\. numpy\.asarray makes an array of it"),
    ],
)
def test_what_is_no_picture(run: Run, given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run.predict(given)


def test_bytes_and_arrays_of_paths(run: Run, faces: Annotations) -> None:
    assert faces.images is not None
    path = faces.root / faces.images[0]
    wanted = run.predict(path).mean
    for given in (path.read_bytes(), [path.read_bytes()], np.array([str(path)]), np.array([path], dtype=object)):
        np.testing.assert_array_equal(run.predict(given).mean, wanted)


@pytest.fixture(scope="module")
def lying(faces: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same faces, stored lying."""
    assert faces.images is not None
    folder = tmp_path_factory.mktemp("lying")
    for k, name in enumerate(faces.images):
        (folder / f"{k:02d}.jpg").write_bytes(turned(cv2.imread(str(faces.root / name))))
    frame = faces.to_frame()
    frame["image"] = [f"{k:02d}.jpg" for k in range(len(frame))]
    frame.to_csv(folder / "annotations.csv", index=False)
    return folder


def test_a_run_reads_new_images_as_its_own(faces: Annotations, run: Run, lying: Path, tmp_path: Path) -> None:
    wanted = run.predict(faces).mean
    np.testing.assert_allclose(run.predict(lying / "00.jpg").mean, wanted[:1], atol=0.5)
    with pytest.warns(DataWarning, match="34 of 34 images carry an EXIF orientation"):
        table = load_annotations(lying, faces.schema)
    np.testing.assert_allclose(run.predict(table).mean, wanted, atol=0.5)
    with pytest.warns(DataWarning, match="as they are stored"):
        stored = load_annotations(lying, Schema.from_dict(faces.schema.to_dict() | {"exif": "ignore"}))
    other = fit(stored, Settings(epochs=1, batch_size=8, size=16), tmp_path / "run", device="cpu")
    assert other.schema.exif == "ignore"
    np.testing.assert_allclose(other.predict(lying / "00.jpg").mean, other.predict(stored).mean[:1], atol=1e-4)
    lay = np.rot90(cv2.imread(str(faces.root / str((faces.images or ())[0])), cv2.IMREAD_GRAYSCALE)).copy()
    np.testing.assert_allclose(other.predict(lay).mean, other.predict(stored).mean[:1], atol=0.5)


def test_a_cascade_reads_images_as_its_schema_says(faces: Annotations, lying: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, batch_size=8, size=16)
    eyes = [Region(name="eyes", points=(0, 1))]
    cascade = fit_cascade(faces, settings, settings, eyes, tmp_path / "cascade", device="cpu")
    wanted = cascade.predict(faces).mean[:1]
    np.testing.assert_allclose(cascade.predict(lying / "00.jpg").mean, wanted, atol=0.7)


def test_folders_with_links_and_notes(run: Run, faces: Annotations, tmp_path: Path) -> None:
    assert faces.images is not None
    (tmp_path / "a.png").symlink_to(faces.root / faces.images[0])
    (tmp_path / "._a.png").write_bytes(b"\0\x05\x16\x07")
    (tmp_path / "b.heic").write_bytes(b"...")
    with pytest.warns(DataWarning, match=r"passed over 1 file not read as images: 1 \.heic"):
        found = run.predict(tmp_path)
    np.testing.assert_array_equal(found.mean, run.predict(faces.root / faces.images[0]).mean)
    with pytest.warns(DataWarning, match="passed over"):
        assert image_paths(tmp_path, skip_bad=True) == [tmp_path / "a.png"]  # a link that leaves the folder is read
    (tmp_path / "dead.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "b.heic").unlink()
    with pytest.raises(DataError, match=r"dead.png: expected a readable image, got No such file"):
        run.predict(tmp_path)
    with pytest.warns(DataWarning, match="left out 1 of 2 images"):
        assert image_paths(tmp_path, skip_bad=True) == [tmp_path / "a.png"]


def test_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(40))
    for opened in (as_images, image_paths):
        with pytest.raises(DataError, match=r"a.zip: expected a folder or a table, got a zip archive. Unpack it first"):
            opened(tmp_path / "a.zip")
