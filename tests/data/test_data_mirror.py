from __future__ import annotations

import pytest
import torch

from steadfit.data import Schema, map_points, mirror, mirror_frame, permute_labels, warp_frames

PERMUTATION = Schema(points=("le", "re", "nose", "lm", "rm"), pairs=((0, 1), (3, 4))).permutation


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 8, 10), dtype=torch.uint8, generator=generator)
    points = torch.randint(-40, 400, (6, 5, 2), generator=generator).to(torch.float32) / 8  # exact in binary
    points[1, 2] = torch.nan
    points[3, :, 0] = torch.nan
    return images, points


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("which", [[True] * 6, [True, False, True, True, False, False], [False] * 6])
def test_twice_is_the_identity(batch: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype, which: list[bool]) -> None:
    images, points = batch[0], batch[1].to(dtype)
    flags = torch.tensor(which)
    before = images.clone(), points.clone()
    once = mirror(images, points, flags, PERMUTATION, 10)
    twice = mirror(*once, flags, PERMUTATION, 10)
    assert torch.equal(twice[0], images)
    torch.testing.assert_close(twice[1], points, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(images, before[0])
    torch.testing.assert_close(points, before[1], rtol=0, atol=0, equal_nan=True)
    assert (once[0].dtype, once[1].dtype) == (torch.uint8, dtype)


def test_it_equals_a_loop(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, points = batch
    which = torch.tensor([True, False, True, True, False, True])
    got_images, got_points = mirror(images, points, which, PERMUTATION, 10)
    for b in range(6):
        for k, former in enumerate([1, 0, 2, 4, 3] if which[b] else range(5)):
            x, y = points[b, former].tolist()
            expected = torch.tensor([9 - x if which[b] else x, y])
            torch.testing.assert_close(got_points[b, k], expected, rtol=0, atol=0, equal_nan=True)
        for column in range(10):
            assert torch.equal(got_images[b, :, :, column], images[b, :, :, 9 - column if which[b] else column])


def test_a_drawn_dot_stays_under_its_point() -> None:
    images = torch.zeros(1, 1, 5, 7, dtype=torch.uint8)
    images[0, 0, 2, 1] = 255
    mirrored, points = mirror(images, torch.tensor([[[1.0, 2.0]]]), torch.tensor([True]), (0,), 7)
    assert points.tolist() == [[[5.0, 2.0]]]
    assert mirrored[0, 0, 2, 5] == 255


def test_weights_go_with_their_points() -> None:
    weight = torch.arange(20.0).view(2, 5, 2)
    got = permute_labels(weight, torch.tensor([False, True]), PERMUTATION)
    assert torch.equal(got[0], weight[0])
    assert torch.equal(got[1], weight[1, [1, 0, 2, 4, 3]])
    assert torch.equal(permute_labels(got, torch.tensor([False, True]), PERMUTATION), weight)


def test_wrong_arguments() -> None:
    images, points, which = torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 2), torch.tensor([True, False])
    with pytest.raises(ValueError, match=r"expected points of shape \(B, K, 2\), got \(2, 3, 1\)"):
        mirror(images, points[..., :1], which, (0, 1, 2), 4)
    with pytest.raises(ValueError, match="expected images 5 px wide, got 4"):
        mirror(images, points, which, (0, 1, 2), 5)
    with pytest.raises(ValueError, match=r"expected a permutation of 3 points, got \(0, 1\)"):
        mirror(images, points, which, (0, 1), 4)
    with pytest.raises(ValueError, match=r"got \(0, 0, 2\)"):
        permute_labels(points, which, (0, 0, 2))


def test_every_mirror_is_one_map(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Pixels as views see them, points as warps map them."""
    images, points = batch
    got_images, got_points = mirror(images, points, torch.ones(6, dtype=torch.bool), range(5), 10)
    assert torch.equal(got_images, warp_frames(images, mirror_frame(10)))
    whole = ~points.isnan().any(dim=-1)
    assert torch.equal(got_points[whole], map_points(mirror_frame(10), points)[whole])
