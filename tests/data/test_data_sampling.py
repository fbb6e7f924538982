from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from steadfit.data import Warp, map_points, mirror_frame, sample, warp_frames
from steadfit.data.images.maps import compose, perspective, scaling, translation

IDENTITY = torch.eye(3, dtype=torch.float64)


def noise(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """Smooth noise: neighbours differ by some grey levels, so that a slip in the geometry shows."""
    value = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return cv2.GaussianBlur(value, (0, 0), 1.5).reshape(height, width, channels)


def slow(image: np.ndarray, matrix: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Bilinear sampling in float64, written as a sum over all pixels with hat functions of the distance."""
    height, width = size
    grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), dim=-1).double()
    where = map_points(torch.linalg.inv(matrix), grid.reshape(-1, 2)).numpy()
    hats = []
    for axis, length in ((0, image.shape[1]), (1, image.shape[0])):
        inside = np.clip(where[:, axis], 0, length - 1)  # beyond the edge the outermost pixel is repeated
        hats.append(np.maximum(1 - np.abs(inside[:, None] - np.arange(length)), 0))
    values = np.einsum("py,px,yxc->pc", hats[1], hats[0], image.astype(np.float64))
    return values.reshape(height, width, -1).transpose(2, 0, 1)


def warps(count: int, size: tuple[int, int], warp: Warp, seed: int = 0) -> Tensor:
    return warp.sample(torch.arange(count), size, seed=seed, epoch=0)[0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("warp", [Warp(), Warp(perspective=0), Warp(shift=0.5)])
def test_it_equals_a_slow_twin(warp: Warp, channels: int) -> None:
    images = [noise(41 + k, 58 - k, channels, k) for k in range(6)]
    maps = warps(6, (48, 40), warp)
    got = sample(images, maps, (48, 40), channels)
    assert (got.dtype, got.shape) == (torch.uint8, (6, channels, 48, 40))
    assert got.is_contiguous()
    for b in range(6):
        # rounding is 1/2; OpenCV 4 rounds positions to 1/32 px as well, where the image changes by up to 16 a px
        np.testing.assert_allclose(got[b].numpy(), slow(images[b], maps[b], (48, 40)), rtol=0, atol=1.0)


def test_a_batch_is_its_images_one_by_one() -> None:
    images = [noise(30, 50 + k, 3, k) for k in range(4)]
    maps = warps(4, (32, 32), Warp(), seed=1)
    whole = sample(iter(images), maps, (32, 32), 3)
    for b in range(4):
        assert torch.equal(whole[b], sample([images[b]], maps[b : b + 1], (32, 32), 3)[0])
        for channel in range(3):
            grey = sample([np.ascontiguousarray(images[b][:, :, channel : channel + 1])], maps[b : b + 1], (32, 32), 1)
            assert int((whole[b, channel].int() - grey[0, 0].int()).abs().max()) <= 1  # OpenCV's kernels may differ
    assert sample([], maps[:0], (32, 32), 3).shape == (0, 3, 32, 32)


def test_the_identity_and_whole_pixels_are_exact() -> None:
    image = noise(20, 30, 3)
    assert torch.equal(sample([image], IDENTITY[None], (20, 30), 3)[0], torch.from_numpy(image).permute(2, 0, 1))
    moved = sample([image], translation(torch.tensor([4.0, -3.0]))[None], (20, 30), 3)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(moved, image[np.minimum(np.arange(20) + 3, 19)][:, np.maximum(np.arange(30) - 4, 0)])


def test_what_lies_outside_repeats_the_edge() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    far = sample([image], translation(torch.tensor([1000.0, 0.0]))[None], (2, 3), 1)
    assert far[0, 0].tolist() == [[0, 0, 0], [3, 3, 3]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [31, 48])
def test_the_mirrored_frame_is_the_flipped_one(width: int, channels: int) -> None:
    frames = torch.from_numpy(np.stack([noise(24, width, channels, k).transpose(2, 0, 1) for k in range(3)]))
    assert torch.equal(warp_frames(frames, mirror_frame(width)), frames.flip(-1))
    assert torch.equal(warp_frames(warp_frames(frames, mirror_frame(width)), mirror_frame(width)), frames)
    assert torch.equal(warp_frames(frames, IDENTITY), frames)


def test_frames_are_warped_by_one_map_or_by_one_each() -> None:
    frames = torch.from_numpy(np.stack([noise(32, 32, 3, k).transpose(2, 0, 1) for k in range(3)]))
    maps = warps(3, (32, 32), Warp())
    each = warp_frames(frames, maps)
    for b in range(3):
        assert torch.equal(each[b], warp_frames(frames, maps[b])[b])
        expected = slow(frames[b].permute(1, 2, 0).numpy(), maps[b], (32, 32))
        np.testing.assert_allclose(each[b].numpy(), expected, rtol=0, atol=1.0)
    channels_last = frames.contiguous(memory_format=torch.channels_last)
    assert torch.equal(warp_frames(channels_last, maps), each)


def blobs(points: np.ndarray, height: int, width: int, sigma: float) -> np.ndarray:
    """A dark image with one Gaussian blob."""
    y, x = np.mgrid[:height, :width]
    value = 250 * np.exp(-0.5 * ((x - points[0]) ** 2 + (y - points[1]) ** 2) / sigma**2)
    return np.rint(value).astype(np.uint8)[:, :, None]


def located(frame: Tensor) -> np.ndarray:
    """The centroid of a frame (H, W)."""
    mass = frame.numpy().astype(np.float64)
    y, x = np.mgrid[: mass.shape[0], : mass.shape[1]]
    return np.array([(mass * x).sum(), (mass * y).sum()]) / mass.sum()


def tries() -> Iterator[tuple[np.ndarray, Tensor]]:
    rng = np.random.default_rng(0)
    for maps in warps(12, (96, 96), Warp(perspective=0), seed=4):
        yield rng.uniform(40, 55, 2), maps


def test_a_blob_goes_where_its_point_goes() -> None:
    for point, matrix in tries():
        frame = sample([blobs(point, 96, 96, 4.0)], matrix[None], (96, 96), 1)[0, 0]
        expected = map_points(matrix, torch.from_numpy(point)[None])[0].numpy()
        np.testing.assert_allclose(located(frame), expected, rtol=0, atol=0.02)  # the grey levels' rounding gives .003


@pytest.mark.parametrize(
    ("factor", "height", "width"), [(0.25, 384, 384), (0.25, 383, 381), (0.4, 240, 241), (0.1, 961, 950)]
)
def test_a_shrunk_blob_goes_where_its_point_goes(factor: float, height: int, width: int) -> None:
    shrink = compose(scaling(torch.tensor([factor, factor])), translation(torch.tensor([1.3, -0.4])))
    for point, matrix in tries():
        start = map_points(torch.linalg.inv(shrink), torch.from_numpy(point)[None])[0].numpy()
        image = blobs(start, height, width, 4.0 / factor)
        frame = sample([image], compose(shrink, matrix)[None], (96, 96), 1)[0, 0]
        expected = map_points(matrix, torch.from_numpy(point)[None])[0].numpy()
        np.testing.assert_allclose(located(frame), expected, rtol=0, atol=0.02)


def test_a_blob_goes_where_its_point_goes_under_perspective() -> None:
    rng = np.random.default_rng(1)
    for matrix in warps(12, (96, 96), Warp(), seed=2):
        point = rng.uniform(35, 60, 2)
        frame = sample([blobs(point, 96, 96, 1.5)], matrix[None], (96, 96), 1)[0, 0]
        expected = map_points(matrix, torch.from_numpy(point)[None])[0].numpy()
        np.testing.assert_allclose(located(frame), expected, rtol=0, atol=0.05)  # a bent blob's centroid moves itself


@pytest.mark.parametrize("times", [2, 4, 8])
def test_halving_takes_means(times: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16 * times, 24 * times, 1), dtype=np.uint8)
    shift = (1 / times - 1) / 2
    matrix = compose(scaling(torch.tensor([1.0, 1.0]) / times), translation(torch.tensor([shift, shift])))
    got = sample([image], matrix[None], (16, 24), 1)[0, 0].numpy()
    means = image.reshape(16, times, 24, times).mean(axis=(1, 3))
    np.testing.assert_allclose(got, means, rtol=0, atol=0.5 * np.log2(times) + 1e-9)  # each halving rounds


def test_a_fine_pattern_becomes_grey_and_not_black_or_white() -> None:
    stripes = np.zeros((200, 200, 1), dtype=np.uint8)
    stripes[:, ::2] = 200
    for factor in (0.5, 0.3, 0.24, 0.11):
        frame = sample([stripes], scaling(torch.tensor([factor, factor]))[None], (20, 20), 1)
        assert 98 <= int(frame.min()) <= int(frame.max()) <= 102
    light = sample([stripes], scaling(torch.tensor([0.51, 0.51]))[None], (20, 20), 1)
    assert int(light.max()) > 150  # less than twice too large: four pixels are looked at and no more


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (3, 1), (5, 7)])
def test_images_far_smaller_than_what_is_asked_for(height: int, width: int) -> None:
    image = np.full((height, width, 3), (10, 20, 30), dtype=np.uint8)
    for factor in (1e-6, 0.01, 50.0):
        frame = sample([image], scaling(torch.tensor([factor, factor]))[None], (8, 8), 3)
        assert torch.equal(frame[0], torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 8, 8))


def test_the_scale_of_a_matrix_does_not_matter() -> None:
    image, maps = noise(40, 40, 1), warps(1, (32, 32), dataclasses.replace(Warp(), perspective=0))
    assert torch.equal(sample([image], 4 * maps, (32, 32), 1), sample([image], maps, (32, 32), 1))


def test_wrong_arguments() -> None:
    frames = torch.zeros(2, 3, 8, 10, dtype=torch.uint8)
    with pytest.raises(TypeError, match="expected frames of dtype uint8, got torch.float32"):
        warp_frames(frames.float(), IDENTITY)
    with pytest.raises(ValueError, match=r"expected frames \(B, 1 or 3, H, W\), got \(2, 8, 10\)"):
        warp_frames(frames[:, 0], IDENTITY)
    with pytest.raises(ValueError, match=r"expected matrix \(3, 3\) or \(2, 3, 3\), got \(3, 3, 3\)"):
        warp_frames(frames, IDENTITY.expand(3, 3, 3))
    with pytest.raises(ValueError, match="got 2 singular ones among 2"):
        warp_frames(frames, torch.zeros(3, 3))
    tilted = perspective(torch.tensor([-0.2, 0.0]))
    with pytest.raises(ValueError, match=r"w > 0 all over the frame of 10 x 8 px, got -0.8 in map 1: its horizon"):
        warp_frames(frames, torch.stack((IDENTITY, torch.linalg.inv(tilted))))
    with pytest.raises(ValueError, match="zip"):
        sample([np.zeros((2, 2, 1), np.uint8)], IDENTITY.expand(2, 3, 3), (2, 2), 1)
