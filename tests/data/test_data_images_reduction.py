"""Huge JPEGs, which are reduced while they are decoded: the geometry stays exact, and the frame nearly the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from steadfit.data import Framing, LabelledDataset, Schema, Warp, load_annotations, open_picture, read_image, scan
from steadfit.data.images import decoding
from steadfit.data.images.decoding import Picture, decode, reduction
from steadfit.data.images.store import make_frame, shrink_for
from steadfit.errors import DataError

WIDTH, HEIGHT = 2560, 1920


def photo(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A smooth field with edges, a bright dot, and some noise, as of a camera."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(30, 220, (12, 16, 3)).astype(np.float32), (width, height))
    image[height // 3 : height // 2, width // 4 : width // 2] += 35
    image += rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("huge")
    for k in range(2):
        assert cv2.imwrite(str(path / f"{k}.jpg"), photo(k), [cv2.IMWRITE_JPEG_QUALITY, 92])
    rows = ["image,x0,y0,left,top,w,h", "0.jpg,1000,800,400,200,1600,1600", "1.jpg,1500,900,800,0,1200,1900"]
    (path / "annotations.csv").write_text("\n".join([*rows, ""]))
    return path


def test_the_factor() -> None:
    assert [reduction(6000, 4000, ratio) for ratio in (3.9, 4, 7.9, 8, 15.9, 16, 1000)] == [1, 2, 2, 4, 4, 8, 8]
    assert [reduction(width, 4000, 100) for width in (6000, 6004, 6002, 6001)] == [8, 4, 2, 1]
    assert reduction(2048, 2040, 100) == 1  # below 2^22 px every image is decoded whole
    assert reduction(2048, 2048, 100) == 8


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_reduced_pixel_is_the_mean_of_whole_ones(folder: Path, channels: int, factor: int) -> None:
    found = open_picture(folder / "0.jpg", channels, shrink=lambda width, height: factor)
    assert (found.factor, found.size) == (factor, (WIDTH, HEIGHT))
    whole = read_image(folder / "0.jpg", channels)
    means = cv2.resize(whole, (WIDTH // factor, HEIGHT // factor), interpolation=cv2.INTER_AREA)
    off = np.abs(found.pixels.reshape(means.shape).astype(float) - means)
    assert off.mean() < 0.8  # levels of 255; two roundings are .5
    moved = np.abs(np.roll(means, 1, axis=1).astype(float) - means).mean()
    assert off.mean() < moved / 2  # a pixel's shift would be seen


FRAMES = {
    "letterbox": ((48, 48), None, "inside"),
    "crop": ((48, 64), None, "inside"),
    "warp": ((48, 48), None, "inside"),
    "box": ((64, 48), [[400.0, 200.0, 1600.0, 1600.0]], "inside"),
    "stretch": ((64, 48), [[400.0, 200.0, 1600.0, 1600.0]], "stretch"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_reduced_images_are_nearly_those_of_whole_ones(folder: Path, name: str, channels: int) -> None:
    size, box, fit = FRAMES[name]
    sampling = "warp" if box else name
    schema = Schema(box=("left", "top", "w", "h") if box else None, box_fit=fit)
    schema = Schema(targets=("x0", "y0")) if name == "crop" else schema  # crops are not for points
    table = load_annotations(folder, schema, need_splits=())
    data = LabelledDataset(table, [0], size=size, channels=channels, cache=False, sampling=sampling)
    shrink = shrink_for(size, sampling, None if box is None else np.array(box), fit=fit)
    picture = open_picture(folder / "0.jpg", channels, shrink=shrink)
    assert picture.factor == 8
    matrix = data._pixels.matrix(torch.tensor([0]))[0]
    whole = make_frame(Picture(read_image(folder / "0.jpg", channels)), size, sampling, matrix)
    reduced = data.frames(torch.tensor([0]))[0]
    assert torch.equal(reduced, make_frame(picture, size, sampling, matrix))
    off = (reduced.float() - whole.float()).abs()
    assert off.mean() < 0.6  # levels of 255
    assert off.max() <= 4
    moved = (whole.roll(1, dims=2).float() - whole.float()).abs().mean()
    assert off.mean() < moved / 4


def test_random_warps_see_the_same_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = load_annotations(folder, need_splits=())
    batches = []
    for huge in (decoding.HUGE, 1 << 40):
        monkeypatch.setattr(decoding, "HUGE", huge)
        data = LabelledDataset(table, size=48, augment=Warp(), cache=False, seed=3)
        batches.append(data.__getitems__([0, 1]))
    assert torch.equal(batches[0]["target"], batches[1]["target"])
    off = (batches[0]["input"].float() - batches[1]["input"].float()).abs()
    assert 0 < off.mean() < 0.6
    assert off.max() <= 4


def test_a_dot_stays_where_the_map_says(tmp_path: Path) -> None:
    """A bright disc of 64 px around (1003.5, 803.5): its centroid in the frame is where its centre is mapped."""
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image[(x - 1003.5) ** 2 + (y - 803.5) ** 2 < 64**2] = 250
    assert cv2.imwrite(str(tmp_path / "a.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    (tmp_path / "annotations.csv").write_text("image,x0,y0\na.jpg,1003.5,803.5\n")
    data = LabelledDataset(load_annotations(tmp_path, need_splits=()), size=64, sampling="warp")
    frame, (column, row) = data.frames(torch.tensor([0]))[0, 0].double(), data.target[0, 0].tolist()
    frame[frame < 20] = 0
    total = frame.sum()
    assert float((frame.sum(0) * torch.arange(64)).sum() / total) == pytest.approx(column, abs=0.03)
    assert float((frame.sum(1) * torch.arange(64)).sum() / total) == pytest.approx(row, abs=0.03)


def test_the_check_reduces_what_it_keeps_and_reads_all(folder: Path) -> None:
    made = load_annotations(folder, need_splits=(), framing=Framing(48, 1))
    plain = load_annotations(folder, need_splits=())
    assert made.size is not None
    assert made.size.tolist() == [[WIDTH, HEIGHT]] * 2
    of_check = LabelledDataset(made, size=48).frames(torch.arange(2))
    assert torch.equal(of_check, LabelledDataset(plain, size=48).frames(torch.arange(2)))


@pytest.mark.parametrize("cut", [lambda data: data[:-2], lambda data: data[: len(data) // 2]])
def test_cut_files_are_found_however_they_are_decoded(
    folder: Path, tmp_path: Path, cut: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "a.jpg").write_bytes(cut((folder / "0.jpg").read_bytes()))
    found = scan(tmp_path, ["a.jpg"], shrink=lambda place, width, height: 8)
    assert "truncated after" in str(found.reasons[0])


def test_a_turned_image_is_reduced_as_well(folder: Path) -> None:
    data = (folder / "0.jpg").read_bytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = data[:2] + b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff + data[2:]
    seen: list[tuple[int, int]] = []

    def shrink(width: int, height: int) -> int:
        seen.append((width, height))
        return 4

    assert decode(turned, 1, shrink=shrink).size == (HEIGHT, WIDTH)
    assert decode(turned, 1, exif="ignore", shrink=shrink).size == (WIDTH, HEIGHT)
    assert seen == [(HEIGHT, WIDTH), (WIDTH, HEIGHT)]


def test_other_files_and_small_images_are_decoded_whole(tmp_path: Path) -> None:
    image = photo()
    assert cv2.imwrite(str(tmp_path / "a.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert cv2.imwrite(str(tmp_path / "b.jpg"), image[:480, :640])
    for name in ("a.png", "b.jpg"):
        assert open_picture(tmp_path / name, 1, shrink=shrink_for((48, 48), "letterbox")).factor == 1


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_an_image_beyond_the_limit_is_named(tmp_path: Path, kind: str) -> None:
    data = bytearray(cv2.imencode(f".{kind}", np.zeros((8, 8), np.uint8))[1].tobytes())
    if kind == "png":
        data[16:24] = (50_000).to_bytes(4, "big") * 2
    else:
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = (50_000).to_bytes(2, "big") * 2
    (tmp_path / "a").write_bytes(bytes(data))
    message = "expected an image of at most 2\\^30 pixels, got {}50000 x 50000 px. Reduce it."
    with pytest.raises(DataError, match=message.format("")):
        read_image(tmp_path / "a", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scan(tmp_path, ["a"]).reasons[0] == message.format("'a', ").replace("\\", "")
