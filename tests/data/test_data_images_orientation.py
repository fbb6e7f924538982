"""Images that are stored turned: every kind of file, both readings, and what is said about them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, features

from steadfit.data import Framing, ImageStore, LabelledDataset, Schema, Warp, load_annotations, load_classes, read_image
from steadfit.data import scan as scan_images
from steadfit.data.images.decoding import turn
from steadfit.data.images.headers import read_header
from steadfit.errors import DataError, DataWarning, SchemaError

KINDS = ("JPEG", "PNG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else []))


def pixels(seed: int = 0) -> np.ndarray:
    return cv2.resize(np.random.default_rng(seed).integers(0, 256, (6, 4, 3), dtype=np.uint8), (24, 40))


def encoded(kind: str, orientation: int, image: np.ndarray | None = None) -> bytes:
    """A file whose pixels are stored as they are, with an orientation."""
    exif, into = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    how = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif}
    how |= {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(pixels() if image is None else image).save(into, kind, **how)
    return into.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_readings_of_every_kind(tmp_path: Path, kind: str, orientation: int) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(data := encoded(kind, orientation))
    assert read_header(data).orientation == orientation
    stored = np.asarray(Image.open(io.BytesIO(encoded(kind, 1))).convert("RGB")).astype(int)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)
    tolerance = 3 if kind == "AVIF" else 2 if kind == "JPEG" else 0  # two decoders of one lossy file
    assert np.abs(read_image(path, 3) - shown).max() <= tolerance
    assert np.abs(read_image(path, 3, "ignore") - stored).max() <= tolerance
    for exif in ("honour", "ignore"):
        grey = read_image(path, 1, exif)
        assert grey.shape[:2] == read_image(path, 3, exif).shape[:2]
        assert scan_images(tmp_path, ["a.img"], exif=exif).sizes.tolist() == [[grey.shape[1], grey.shape[0]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_and_back(orientation: int) -> None:
    image = np.arange(6).reshape(2, 3)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    assert turn(turn(image, orientation), back).tolist() == image.tolist()


def test_images_without_an_orientation_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", pixels())[1].tobytes())
    wanted = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[:, :, ::-1]
    assert np.array_equal(read_image(tmp_path / "a.jpg", 3), wanted)
    assert np.array_equal(read_image(tmp_path / "a.jpg", 3, "ignore"), wanted)
    with pytest.raises(ValueError, match="expected exif to be one of 'honour', 'ignore', got 'maybe'"):
        read_image(tmp_path / "a.jpg", 3, "maybe")


@pytest.mark.parametrize("kind", KINDS)
def test_headers_of_damaged_files_say_nothing(kind: str) -> None:
    data = encoded(kind, 6)
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = np.frombuffer(data[: rng.integers(1, len(data))], dtype=np.uint8).copy()
        broken[rng.integers(0, len(broken), 8)] = rng.integers(0, 256, 8)
        assert 1 <= read_header(broken.tobytes()).orientation <= 8


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """Twelve photos, 24 x 40 as stored and 40 x 24 as shown, with labels made on them as they are shown."""
    rows = []
    for k in range(12):
        (tmp_path / f"{k:02d}.jpg").write_bytes(encoded("JPEG", 6 if k < 11 else 3, pixels(k)))
        split = ("train", "val", "test")[k % 3]
        rows.append(f"{k:02d}.jpg,{split},{30 + k % 5 if k < 11 else k},{k}")
    (tmp_path / "annotations.csv").write_text("\n".join(["image,split,x0,y0", *rows, ""]))
    return tmp_path


def test_the_warning_names_images_and_reading(turned: Path) -> None:
    with pytest.warns(DataWarning) as caught:
        table = load_annotations(turned)
    assert table.schema.exif == "honour"
    assert table.size is not None
    assert table.size.tolist() == [[40.0, 24.0]] * 11 + [[24.0, 40.0]]
    (text,) = [str(one.message) for one in caught]
    assert text == (
        f"{turned / 'annotations.csv'}: 12 of 12 images carry an EXIF orientation and are read turned by it, as "
        "annotation tools show them (00.jpg, 01.jpg, 02.jpg, ...). If labels refer to the other way, use --exif ignore "
        "(exif='ignore')."
    )


def test_labels_that_fit_only_the_other_reading_are_listed(turned: Path) -> None:
    with pytest.warns(DataWarning) as caught:
        table = load_annotations(turned, Schema(exif="ignore"))
    assert table.size is not None
    assert table.size.tolist() == [[24.0, 40.0]] * 12
    (text,) = [str(one.message) for one in caught if "EXIF orientation and" in str(one.message)]
    assert "are read as they are stored" in text
    assert "use --exif honour" in text
    listed = ", ".join(f"{k:02d}.jpg" for k in range(10))
    assert text.endswith(
        f"Points of 11 of them lie outside the image as it is read and inside it as it is read with --exif honour: "
        f"{listed}, ...."
    )


@pytest.mark.parametrize("exif", ["honour", "ignore"])
def test_every_way_to_the_network_is_the_same(turned: Path, exif: str) -> None:
    """The frames of the check, of a store, of files, and of bytes in memory."""
    schema = Schema(exif=exif)
    with pytest.warns(DataWarning):
        made = load_annotations(turned, schema, framing=Framing(16, 1))
    with pytest.warns(DataWarning):
        kept = load_annotations(turned, schema, store=ImageStore(1, exif=exif))
    with pytest.warns(DataWarning):
        plain = load_annotations(turned, schema)
    wanted = LabelledDataset(plain, size=16).frames(torch.arange(12))
    assert torch.equal(LabelledDataset(made, size=16).frames(torch.arange(12)), wanted)
    assert torch.equal(LabelledDataset(kept, size=16).frames(torch.arange(12)), wanted)
    assert torch.equal(LabelledDataset(plain.with_store(1), size=16).frames(torch.arange(12)), wanted)
    still = Warp(mirror=0, rotation=0, scale=1, anisotropy=1, perspective=0, shift=0)
    warped = [
        LabelledDataset(one, size=16, augment=still, cache=True).__getitems__(list(range(12)))["input"]
        for one in (plain, plain.with_store(1))
    ]
    assert torch.equal(warped[0], warped[1])
    assert (warped[0].float() - wanted.float()).abs().mean() < 12  # another sampling of the same image


def test_a_store_of_the_other_reading_is_not_used(turned: Path) -> None:
    with pytest.warns(DataWarning):
        table = load_annotations(turned, store=ImageStore(1, exif="ignore"))
    assert LabelledDataset(table, size=16).frames(torch.arange(12)).shape == (12, 1, 16, 16)
    assert table.with_store(1).store is not table.store


def test_folders_of_classes(tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for seed in range(12):
            (tmp_path / name / f"{seed}.jpg").write_bytes(encoded("JPEG", 8, pixels(12 * k + seed)))
    for exif, size in ((None, [40.0, 24.0]), ("ignore", [24.0, 40.0])):
        with pytest.warns(DataWarning, match="24 of 24 images carry an EXIF orientation"):
            classes = load_classes(tmp_path, exif=exif)
        assert classes.size is not None
        assert classes.size[0].tolist() == size


def test_the_schema_has_it(tmp_path: Path) -> None:
    assert Schema().exif == "honour"
    assert Schema.from_dict({"exif": "ignore"}).to_dict()["exif"] == "ignore"
    with pytest.raises(SchemaError, match="expected exif 'honour' or 'ignore', got 'turn'"):
        Schema(exif="turn")
    (tmp_path / "dataset.yaml").write_text("exif: [1]\n")
    with pytest.raises(DataError, match="expected exif to be a word, got"):
        Schema.discover(tmp_path)


def test_nothing_is_said_without_an_orientation(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", 1))
    (tmp_path / "annotations.csv").write_text("image,x0,y0\na.jpg,90,1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_annotations(tmp_path, need_splits=())
