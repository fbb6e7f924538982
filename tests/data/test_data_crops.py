"""Random crops of classified images, and the data set that draws them: a function of seed, epoch and position."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from class_data import class_annotations
from steadfit.data import Annotations, LabelledDataset, Schema
from steadfit.data.images.augment import uniforms
from steadfit.data.images.crops import PadCrop, ScaleCrop, fitted
from steadfit.data.images.files import read_image, with_channels
from steadfit.errors import DataError


def images_of(count: int, height: int = 9, width: int = 12) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, (count, 3, height, width), dtype=np.uint8))


def in_memory(pixels: Tensor) -> Annotations:
    count, _, height, width = pixels.shape
    return class_annotations(
        path=Path("set"), names=("a", "b"), images=tuple(f"x:{k}" for k in range(count)),
        label=np.arange(count) % 2, split=np.full(count, "train"), line=np.arange(count),
        size=np.tile([float(width), float(height)], (count, 1)), pixels=pixels,
    )  # fmt: skip


def on_disk(root: Path, sizes: list[tuple[int, int]]) -> Annotations:
    """PNG files of the sizes (height, width)."""
    rng = np.random.default_rng(0)
    for k, size in enumerate(sizes):
        assert cv2.imwrite(
            str(root / f"{k}.png"), cv2.resize(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8), size[::-1])
        )
    return class_annotations(
        path=root, names=("a", "b"), images=tuple(f"{k}.png" for k in range(len(sizes))),
        label=np.arange(len(sizes)) % 2, split=np.full(len(sizes), "train"), line=np.arange(len(sizes)),
        size=np.array([[w, h] for h, w in sizes], dtype=float),
    )  # fmt: skip


@pytest.mark.parametrize(("pad", "mirror"), [(4, 0.5), (1, 0.0), (2, 1.0), (0, 0.5)])
def test_crops_equal_a_loop_over_images(pad: int, mirror: float) -> None:
    frames, index = images_of(40), torch.arange(3, 43)
    crop = PadCrop(pad=pad, mirror=mirror)
    got, draw = crop.sample(frames, index, seed=5, epoch=2), uniforms(index, seed=5, epoch=2)
    for b in range(40):
        canvas = np.zeros((3, 9 + 2 * pad, 12 + 2 * pad), dtype=np.uint8)
        canvas[:, pad : pad + 9, pad : pad + 12] = frames[b]
        top, left = int(draw[b, 1] * (2 * pad + 1)), int(draw[b, 2] * (2 * pad + 1))
        window = canvas[:, top : top + 9, left : left + 12]
        assert np.array_equal(got[b].numpy(), window[:, :, ::-1] if draw[b, 0] < mirror else window)


def test_every_offset_is_as_likely() -> None:
    """One bright pixel in the middle: 81 places over 8,100 draws, 100 each, 5 deviations of 10."""
    frame = torch.zeros(8100, 1, 11, 11, dtype=torch.uint8)
    frame[:, :, 5, 5] = 255
    seen = PadCrop(mirror=0.0).sample(frame, torch.arange(8100), seed=0, epoch=0).sum(0)[0] // 255
    assert int(seen.sum()) == 8100
    assert (seen[1:10, 1:10] - 100).abs().max() < 50
    mirrored = PadCrop(pad=0).sample(
        torch.arange(4).view(1, 1, 1, 4).repeat(2000, 1, 1, 1), torch.arange(2000), seed=0, epoch=0
    )
    assert abs(float((mirrored[:, 0, 0, 0] == 3).double().mean()) - 0.5) < 0.056  # 5 deviations of .0112


def test_the_dtype_is_kept() -> None:
    for dtype in (torch.uint8, torch.float32, torch.float64):
        frames = images_of(3).to(dtype)
        got = PadCrop().sample(frames, torch.arange(3), seed=0, epoch=0)
        assert got.dtype == dtype
        assert torch.equal(got.to(torch.uint8), PadCrop().sample(images_of(3), torch.arange(3), seed=0, epoch=0))


@pytest.mark.parametrize("size", [(30, 40), (40, 30), (224, 300), (10, 10), (7, 90)])
def test_scaled_crops_cover_the_frame(size: tuple[int, int]) -> None:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8), size[::-1])
    crop = ScaleCrop()
    scaled = crop.scale(image, (28, 28))
    assert min(scaled.shape[:2]) == 32  # 256/224 of 28
    assert abs(scaled.shape[0] / scaled.shape[1] - size[0] / size[1]) < 0.06 * size[0] / size[1]
    corners = [crop.apply(image, (28, 28), (0.9, u, v)) for u in (0.0, 1 - 1e-9) for v in (0.0, 1 - 1e-9)]
    for got, (y, x) in zip(corners, [(0, 0), (0, -28), (-28, 0), (-28, -28)], strict=True):
        rows, columns = (slice(k, k + 28 if k >= 0 else None) for k in (y, x))
        assert np.array_equal(got, scaled[rows, columns])
    assert np.array_equal(crop.apply(image, (28, 28), (0.1, 0.0, 0.0)), corners[0][:, ::-1])


def test_the_crop_at_the_centre() -> None:
    image = np.zeros((33, 33, 3), dtype=np.uint8)
    image[16, 16] = 255
    got = ScaleCrop(margin=1.0).centre(image, (33, 33))
    assert np.array_equal(got, image)
    wide = np.repeat(image, 3, axis=1)  # the bright columns are 48 to 50 of 99
    assert ScaleCrop(margin=1.0).centre(wide, (33, 33))[16].any(axis=1).nonzero()[0].tolist() == [15, 16, 17]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PadCrop(pad=-1), ValueError, "PadCrop: expected pad >= 0, got -1"),
        (lambda: PadCrop(pad=1.5), TypeError, "PadCrop: expected pad to be a whole number, got float"),
        (lambda: PadCrop(mirror=2), ValueError, "PadCrop: expected 0 <= mirror <= 1, got 2"),
        (lambda: ScaleCrop(margin=0.5), ValueError, "ScaleCrop: expected 1 <= margin <= 10, got 0.5"),
        (lambda: ScaleCrop(mirror=-1), ValueError, "ScaleCrop: expected 0 <= mirror <= 1, got -1"),
    ],
)
def test_wrong_values(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


def test_a_batch_out_of_memory() -> None:
    pixels = images_of(10)
    data = LabelledDataset(in_memory(pixels), [8, 1, 3], size=None, channels=3)
    batch = data.__getitems__([2, 0, 2])
    assert batch["index"].tolist() == [2, 0, 2]
    assert torch.equal(batch["input"], pixels[[3, 8, 3]])
    assert batch["target"].flatten().tolist() == [1, 0, 1]
    assert batch["target"].shape == (3, 1, 1)
    assert batch["target"].dtype == torch.float64
    assert torch.equal(data[-1]["input"], pixels[3])
    with pytest.raises(IndexError, match="expected an index below 3, got 3"):
        data[3]


@pytest.mark.parametrize("cache", [True, False, "auto"])
def test_a_batch_from_files(tmp_path: Path, cache: bool) -> None:
    classes = on_disk(tmp_path, [(16, 16), (24, 16), (16, 16)])
    with pytest.raises(
        DataError, match="expected images of one size, got widths from 16 to 16 px and heights from 16 to 24"
    ):
        LabelledDataset(classes, size=None)
    data = LabelledDataset(classes, size=16, channels=3, cache=cache)
    for _ in range(2):
        batch = data.__getitems__([0, 1])
        assert torch.equal(batch["input"][0].permute(1, 2, 0), torch.from_numpy(read_image(tmp_path / "0.png", 3)))
        expected = ScaleCrop().centre(read_image(tmp_path / "1.png", 3), (16, 16))
        assert torch.equal(batch["input"][1].permute(1, 2, 0), torch.from_numpy(expected))
    grey = LabelledDataset(classes, size=16, channels=1)[0]["input"]
    assert torch.equal(grey[0], torch.from_numpy(read_image(tmp_path / "0.png", 1)[:, :, 0]))


@pytest.mark.parametrize("crop", [PadCrop(), ScaleCrop()])
@pytest.mark.parametrize("stored", ["memory", "files"])
def test_crops_are_a_function_of_seed_epoch_and_position(
    tmp_path: Path, crop: PadCrop | ScaleCrop, stored: str
) -> None:
    classes = in_memory(images_of(6, 16, 16)) if stored == "memory" else on_disk(tmp_path, [(16, 16)] * 6)
    data = LabelledDataset(classes, size=16, channels=3, augment=crop, seed=3)
    first = data.__getitems__(range(6))["input"]
    assert first.shape == (6, 3, 16, 16)
    assert torch.equal(data.__getitems__([4, 2])["input"], first[[4, 2]])
    data.set_epoch(1)
    assert not torch.equal(data.__getitems__(range(6))["input"], first)
    data.set_epoch(0)
    assert torch.equal(data.__getitems__(range(6))["input"], first)
    other = LabelledDataset(classes, size=16, channels=3, augment=crop, seed=4)
    assert not torch.equal(other.__getitems__(range(6))["input"], first)
    plain = LabelledDataset(classes, size=16, channels=3)
    assert torch.equal(data.frames(torch.arange(6)), plain.__getitems__(range(6))["input"])


def test_workers_see_what_one_process_sees(tmp_path: Path) -> None:
    data = LabelledDataset(on_disk(tmp_path, [(16, 16)] * 12), size=None, augment=PadCrop(), seed=1)
    for epoch in (0, 1):
        batches = []
        for workers in (0, 1):
            loader = data.loader(5, shuffle_seed=2, workers=workers)
            loader.sampler.set_epoch(epoch)
            batches.append(list(loader))
        for here, there in zip(*batches, strict=True):
            assert all(torch.equal(here[key], there[key]) for key in here)
    assert [len(batch["index"]) for batch in data.loader(5, drop_last=True)] == [5, 5]


def test_grey_and_colour() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert with_channels(grey, 3).shape == (3, 4, 3)
    assert (with_channels(grey, 3) == grey[:, :, None]).all()
    colour = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(with_channels(colour, 1)[:, :, 0] - expected).max() <= 1  # OpenCV rounds in fixed point
    assert fitted(colour, (8, 8)) is colour


def test_crops_are_for_targets_that_are_not_in_the_image() -> None:
    faces = dataclasses.replace(in_memory(images_of(2)), schema=Schema(points=("nose",)), target=np.zeros((2, 1, 2)))
    for options in ({"augment": PadCrop()}, {"augment": ScaleCrop()}, {"sampling": "crop"}):
        with pytest.raises(ValueError, match="expected crops of whole images whose targets are not points"):
            LabelledDataset(faces, channels=3, **options)
