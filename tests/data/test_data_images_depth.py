"""Images of other depths than 8 bits, and of other kinds: palettes, alpha, CMYK, animations."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from steadfit.data import load_annotations, open_image, read_image, scan
from steadfit.errors import DataError, DataWarning


def smooth(seed: int = 0, top: int = 255) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, top + 1, (5, 6, 3))
    noise.flat[0] = top
    return cv2.resize(noise.astype(np.float32), (24, 20), interpolation=cv2.INTER_NEAREST)


def written(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
@pytest.mark.parametrize(("top", "bits"), [(255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (16384, 16)])
def test_16_bits_are_reduced_from_as_many_as_the_values_need(tmp_path: Path, suffix: str, top: int, bits: int) -> None:
    deep = smooth(top=top).astype(np.uint16)
    path = written(tmp_path / f"a{suffix}", deep)
    wanted = (deep >> (bits - 8)).astype(np.uint8)
    assert np.array_equal(read_image(path, 3), wanted[:, :, ::-1])
    assert scan(tmp_path, [path.name]).traits[0].bits == bits
    grey = read_image(path, 1)[:, :, 0]
    assert np.abs(grey - cv2.cvtColor(wanted, cv2.COLOR_BGR2GRAY).astype(int)).max() <= 1
    assert np.array_equal(open_image(deep[:, :, ::-1], 3), wanted[:, :, ::-1])


def test_grey_and_colour_assume_the_same_bits(tmp_path: Path) -> None:
    """Pure blue: its grey is far darker than it."""
    blue = np.zeros((4, 4, 3), dtype=np.uint16)
    blue[..., 0] = 4000
    path = written(tmp_path / "a.png", blue)
    assert read_image(path, 3).max() == 4000 >> 4
    assert read_image(path, 1).max() == round(0.114 * 4000) >> 4


def test_an_8_bit_image_is_no_deep_one(tmp_path: Path) -> None:
    written(tmp_path / "a.png", smooth().astype(np.uint8))
    assert scan(tmp_path, ["a.png"]).traits[0].bits is None


def test_floats(tmp_path: Path) -> None:
    share = smooth(top=1)
    share[0, 0] = 0.5
    Image.fromarray(share[:, :, 0]).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", 1)[0, 0] == 128
    assert read_image(tmp_path / "a.tif", 3).max() == 255
    for name, values in {"b": share - 2, "c": share * 300, "d": share * np.nan}.items():
        Image.fromarray(values[:, :, 0]).save(tmp_path / f"{name}.tif")
        with pytest.raises(DataError, match=rf"{name}.tif: expected an image of 8 or 16 bits, or of floats"):
            read_image(tmp_path / f"{name}.tif", 1)
    Image.fromarray(np.full((4, 4), 70_000, dtype=np.int32)).save(tmp_path / "e.tif")
    with pytest.raises(DataError, match="got int32 from 70000 to 70000. Convert it to 8 bits"):
        read_image(tmp_path / "e.tif", 1)


def table_of(folder: Path, names: list[str]) -> Path:
    rows = [f"{name},{k},{2 * k}" for k, name in enumerate(names)]
    (folder / "annotations.csv").write_text("\n".join(["image,x0,y0", *rows, ""]))
    return folder


def test_a_table_says_what_it_assumed(tmp_path: Path) -> None:
    for k, top in enumerate((255, 255, 4095)):
        written(tmp_path / f"{k}.png", smooth(k, top).astype(np.uint16))
    written(tmp_path / "3.png", smooth(3).astype(np.uint8))
    with pytest.warns(DataWarning) as caught:
        load_annotations(table_of(tmp_path, [f"{k}.png" for k in range(4)]), need_splits=())
    assert [str(one.message) for one in caught] == [
        f"{tmp_path / 'annotations.csv'}: 3 of 4 images are 16-bit, and are reduced to 8 bits from as many bits as "
        "their values need: 2 with 8 bits, 1 with 12 bits (0.png, 1.png, 2.png). Brightness differs between these."
    ]


def test_black_images_are_counted(tmp_path: Path) -> None:
    for k in range(5):
        written(tmp_path / f"{k}.png", np.full((4, 4), 1 + k // 3 * 7, dtype=np.uint8))
        written(tmp_path / f"{k}.png", np.full((4, 4 + k), 7 if k < 4 else 8, dtype=np.uint8))
    with pytest.warns(DataWarning, match=r"4 of 5 images are all but black: no level reaches 8 of 255 \(0.png, 1.png"):
        load_annotations(table_of(tmp_path, [f"{k}.png" for k in range(5)]), need_splits=())


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    into = io.BytesIO()
    image.save(into, kind, **how)
    return into.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("P", kind) for kind in ("PNG", "TIFF", "GIF", "WEBP")),
        *(("1", kind) for kind in ("PNG", "TIFF", "GIF")),
        *(("L", kind) for kind in ("PNG", "TIFF", "GIF", "JPEG", "PPM")),
        *(("LA", kind) for kind in ("PNG", "TIFF")),
        *(("RGBA", kind) for kind in ("PNG", "TIFF")),
        ("CMYK", "TIFF"),
        ("CMYK", "JPEG"),
    ],
)
def test_modes(tmp_path: Path, mode: str, kind: str) -> None:
    image = Image.fromarray(smooth().astype(np.uint8)).convert(mode)
    (tmp_path / "a").write_bytes(data := saved(image, kind))  # the content decides, not the suffix
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    found = read_image(tmp_path / "a", 3)
    assert np.abs(found - wanted).max() <= (2 if kind == "JPEG" else 0)  # rounding of two decoders
    assert read_image(tmp_path / "a", 1).shape == (20, 24, 1)


def test_alpha_is_dropped_from_files_and_arrays(tmp_path: Path) -> None:
    clear = np.dstack([smooth().astype(np.uint8), np.zeros((20, 24), dtype=np.uint8)])
    Image.fromarray(clear).save(tmp_path / "a.png")
    for given in (tmp_path / "a.png", clear):
        assert np.array_equal(open_image(given, 3), clear[:, :, :3])


@pytest.mark.parametrize(("kind", "suffix"), [("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")])
def test_of_an_animation_the_first_image_is_read(tmp_path: Path, kind: str, suffix: str) -> None:
    first, second = (Image.fromarray(smooth(seed).astype(np.uint8)).convert("P").convert("RGB") for seed in (0, 1))
    how = {"lossless": True} if kind == "WEBP" else {}
    data = saved(first, kind, save_all=True, append_images=[second], **how)
    (tmp_path / f"a.{suffix}").write_bytes(data)
    (tmp_path / f"b.{suffix}").write_bytes(saved(second, kind, **how))
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}", 3), wanted)
    with pytest.warns(DataWarning, match=rf"1 of 2 images have several frames or pages, .* \(a.{suffix}\)"):
        load_annotations(table_of(tmp_path, [f"a.{suffix}", f"b.{suffix}"]), need_splits=())


def test_a_jpeg_that_was_cut_and_closed_is_told(tmp_path: Path) -> None:
    """It has an end, and decoders fill the rest with grey."""
    image = cv2.resize(smooth().astype(np.uint8), (240, 200))
    data = cv2.imencode(".jpg", image)[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    (tmp_path / "b.jpg").write_bytes(data)
    grey = np.full((40, 40, 3), 128, np.uint8)
    written(tmp_path / "c.jpg", grey)  # all of it: no part is missing
    with pytest.warns(DataWarning, match=r"1 of 3 images end in the grey .* they may have been cut \(a.jpg\)"):
        load_annotations(table_of(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]), need_splits=())


def test_a_cut_jpeg_is_refused_wherever_it_is_read(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", smooth().astype(np.uint8))[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=f"a.jpg: expected a whole image, .* truncated after {len(data) // 2}"):
        read_image(tmp_path / "a.jpg", 3)
    with pytest.raises(DataError, match="the file's bytes: expected a whole image"):
        open_image(data[:-30], 3)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif", ".ppm", ".gif", ".avif", ".jp2"])
def test_half_a_file_is_refused(tmp_path: Path, suffix: str) -> None:
    if not cv2.haveImageWriter(f"a{suffix}"):
        pytest.skip(f"this OpenCV cannot write {suffix}")
    data = cv2.imencode(suffix, cv2.resize(smooth().astype(np.uint8), (64, 48)))[1].tobytes()
    (tmp_path / "a").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="a: expected a"):
        read_image(tmp_path / "a", 3)
    assert scan(tmp_path, ["a"]).reasons[0]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"PK\x03\x04" + bytes(60), "a zip archive. Unpack it first."),
        (bytes(257) + b"ustar" + bytes(300), "a tar archive. Unpack it first."),
        (b"\0\0\0\x18ftypheic" + bytes(60), "a HEIC file, which OpenCV does not decode here. Convert it to JPEG"),
        (b"\0\0\0\x18ftypisom" + bytes(60), "a video, which OpenCV does not decode here"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Fetch the file with 'git lfs pull'"),
        (b"\0\x05\x16\x07" + bytes(60), "AppleDouble"),
        (b"%PDF-1.7 ...", "a PDF file"),
        (b"<?xml version='1.0'?><svg></svg>", "an SVG drawing"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"8BPS" + bytes(60), "a Photoshop file"),
        (b"", "0 bytes that OpenCV cannot decode"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match="a.jpg: expected an image, got ") as caught:
        read_image(tmp_path / "a.jpg", 3)
    assert text in str(caught.value)
    reason = str(scan(tmp_path, ["a.jpg"]).reasons[0])
    assert reason.startswith("expected an image, got 'a.jpg', ")
    assert text in reason


def test_opencv_writes_nothing_about_floats(tmp_path, capfd):
    cv2.imwrite(str(tmp_path / "a.tif"), np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8))
    assert read_image(tmp_path / "a.tif", 3).shape == (6, 8, 3)
    assert capfd.readouterr().err == ""
