from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from steadfit.data import Warp, map_points, mirror_frame
from steadfit.data.images.augment import split_mix, uniforms
from steadfit.data.images.maps import about, compose, perspective, rotation, scaling, translation

OFF = Warp(mirror=0, rotation=0, scale=1, anisotropy=1, perspective=0, shift=0)
MANY = torch.arange(4000)


def only(**strength: float) -> Warp:
    return dataclasses.replace(OFF, **strength)


def uniform(values: np.ndarray) -> bool:
    """Whether numbers look uniform in [0, 1]; a generator that is right fails in one of 10,000 data sets."""
    return bool(stats.kstest(values, "uniform").pvalue > 1e-4)


def plain_split_mix(seed: int, count: int) -> list[int]:
    """The generator as published, one number after the other."""
    mask, out = (1 << 64) - 1, []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


@pytest.mark.parametrize("seed", [0, 1234567, 2**64 - 1])
def test_the_generator_is_split_mix(seed: int) -> None:
    got = split_mix(np.array([seed], dtype=np.uint64), np.arange(40, dtype=np.uint64))
    assert got.tolist() == plain_split_mix(seed, 40)
    if seed == 1234567:
        assert got[:2].tolist() == [6457827717110365317, 3203168211198807973]  # as published


def test_numbers_are_uniform_and_independent() -> None:
    u = uniforms(torch.arange(20000), seed=0, epoch=0)
    assert u.shape == (20000, 8)
    assert 0 <= u.min() < u.max() < 1
    assert all(uniform(u[:, k]) for k in range(8))
    within = np.corrcoef(np.concatenate([u, np.roll(u, 1, axis=0)], axis=1).T) - np.eye(16)
    assert np.abs(within).max() < 5 / math.sqrt(20000)  # 5 standard deviations
    other = uniforms(torch.arange(20000), seed=0, epoch=1)
    assert np.abs([np.corrcoef(u[:, k], other[:, k])[0, 1] for k in range(8)]).max() < 5 / math.sqrt(20000)


def test_a_sample_has_its_numbers_in_any_batch() -> None:
    whole = uniforms(torch.arange(50), seed=3, epoch=7)
    some = torch.tensor([41, 3, 3, 0])
    assert np.array_equal(uniforms(some, seed=3, epoch=7), whole[some.numpy()])
    assert not np.isin(uniforms(torch.arange(50), seed=4, epoch=7), whole).any()
    assert not np.isin(uniforms(torch.arange(50), seed=3, epoch=8), whole).any()
    assert not np.isin(uniforms(torch.arange(50), seed=7, epoch=3), whole).any()


def built(warp: Warp, u: np.ndarray, size: tuple[int, int]) -> Tensor:
    """One warp out of its ingredients, one after the other."""
    height, width = size
    length = max(size)
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    s = torch.from_numpy(2 * u - 1)
    q = warp.anisotropy ** float(s[3])
    parts = [
        perspective(warp.perspective / length * s[4:6]),
        scaling(torch.tensor([math.sqrt(q), 1 / math.sqrt(q)], dtype=torch.float64)),
        scaling(torch.full((2,), warp.scale ** float(s[2]), dtype=torch.float64)),
        rotation(warp.rotation * s[1]),
        translation(warp.shift * length * s[6:8]),
    ]
    first = mirror_frame(width) if u[0] < warp.mirror else torch.eye(3, dtype=torch.float64)
    return compose(first, *[about(part, centre) for part in parts])


@pytest.mark.parametrize("size", [(224, 224), (48, 64), (65, 33)])
def test_a_warp_is_its_ingredients_in_order(size: tuple[int, int]) -> None:
    u = uniforms(torch.arange(20), seed=1, epoch=2)
    matrix, mirrored = Warp().sample(torch.arange(20), size, seed=1, epoch=2)
    assert (matrix.dtype, matrix.shape) == (torch.float64, (20, 3, 3))
    for b in range(20):
        torch.testing.assert_close(matrix[b], built(Warp(), u[b], size), rtol=1e-12, atol=1e-11)
        assert bool(mirrored[b]) == (u[b, 0] < 0.5)


def test_everything_off_is_the_identity() -> None:
    matrix, mirrored = OFF.sample(MANY[:9], (48, 64), seed=0, epoch=0)
    assert torch.equal(matrix, torch.eye(3, dtype=torch.float64).expand(9, 3, 3))
    assert not mirrored.any()
    middle = np.full((1, 8), 0.5)
    assert torch.equal(Warp().of_uniform(middle, (48, 64))[0][0], torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("size", [(224, 224), (40, 64)])
def test_the_mirror_alone_is_the_mirror_of_the_frame(size: tuple[int, int]) -> None:
    matrix, mirrored = only(mirror=0.3).sample(MANY, size, seed=0, epoch=0)
    assert torch.equal(matrix[mirrored], mirror_frame(size[1]).expand(int(mirrored.sum()), 3, 3))
    assert torch.equal(matrix[~mirrored], torch.eye(3, dtype=torch.float64).expand(int((~mirrored).sum()), 3, 3))
    assert abs(float(mirrored.double().mean()) - 0.3) < 5 * math.sqrt(0.21 / 4000)
    assert not only(mirror=1).sample(MANY, size, seed=0, epoch=0, mirror=False)[1].any()
    assert only(mirror=1).sample(MANY, size, seed=0, epoch=0)[1].all()


def test_without_mirror_the_other_ingredients_stay() -> None:
    free, mirrored = Warp().sample(MANY[:50], (48, 48), seed=0, epoch=0)
    held, none = Warp().sample(MANY[:50], (48, 48), seed=0, epoch=0, mirror=False)
    assert torch.equal(free[~mirrored], held[~mirrored])
    torch.testing.assert_close(free[mirrored], compose(mirror_frame(48), held[mirrored]), rtol=0, atol=1e-12)
    assert 10 < int(mirrored.sum()) < 40
    assert not none.any()


def test_each_ingredient_has_its_distribution() -> None:
    def draw(warp: Warp) -> Tensor:
        return warp.sample(MANY, (100, 100), seed=5, epoch=0)[0]

    turned = draw(only(rotation=30))
    assert uniform(np.asarray(torch.atan2(turned[:, 1, 0], turned[:, 0, 0]).rad2deg() / 60 + 0.5))
    torch.testing.assert_close(torch.linalg.det(turned), torch.ones(4000, dtype=torch.float64))
    zoomed = draw(only(scale=1.2))
    assert torch.equal(zoomed[:, 0, 0], zoomed[:, 1, 1])
    assert uniform(np.asarray(zoomed[:, 0, 0].log() / math.log(1.2) / 2 + 0.5))
    stretched = draw(only(anisotropy=1.2))
    assert uniform(np.asarray((stretched[:, 0, 0] / stretched[:, 1, 1]).log() / math.log(1.2) / 2 + 0.5))
    torch.testing.assert_close(stretched[:, 0, 0] * stretched[:, 1, 1], torch.ones(4000, dtype=torch.float64))
    moved = draw(only(shift=0.05))
    assert all(uniform(np.asarray(moved[:, axis, 2] / 10 + 0.5)) for axis in (0, 1))
    bent = draw(only(perspective=0.3))
    strength = bent[:, 2, :2] / torch.linalg.det(bent)[:, None] ** (1 / 3)  # about the centre the determinant is 1
    assert all(uniform(np.asarray(strength[:, axis] * 100 / 0.6 + 0.5)) for axis in (0, 1))


def test_the_centre_only_shifts() -> None:
    size, centre = (40, 64), torch.tensor([[[31.5, 19.5]]], dtype=torch.float64)
    still = dataclasses.replace(Warp(), shift=0).sample(MANY[:100], size, seed=0, epoch=0)[0]
    torch.testing.assert_close(
        map_points(still, centre.expand(100, 1, 2)), centre.expand(100, 1, 2), rtol=0, atol=1e-11
    )
    shifted = Warp().sample(MANY[:100], size, seed=0, epoch=0)[0]
    assert float((map_points(shifted, centre.expand(100, 1, 2)) - centre).abs().max()) <= 0.05 * 64 + 1e-9


@pytest.mark.parametrize("size", [(64, 64), (20, 64)])
@pytest.mark.parametrize(
    "warp", [Warp(), Warp(perspective=0.68), Warp(perspective=0.9, scale=1, anisotropy=1.2, shift=0)]
)
def test_the_horizon_stays_out_of_the_frame(warp: Warp, size: tuple[int, int]) -> None:
    extremes = np.array(list(itertools.product((0.0, 1 - 2**-53), repeat=8)))
    matrix, _ = warp.of_uniform(np.concatenate([extremes, uniforms(MANY, seed=0, epoch=0)]), size)
    height, width = size
    corners = torch.tensor([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], dtype=torch.float64)
    there = map_points(matrix, corners)
    assert there.isfinite().all()
    back = map_points(torch.linalg.inv(matrix), corners)
    assert back.isfinite().all()
    torch.testing.assert_close(map_points(torch.linalg.inv(matrix), there), corners.expand_as(there), rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        ({"mirror": 1.5}, "expected 0 <= mirror <= 1, got 1.5"),
        ({"rotation": -1}, "expected 0 <= rotation <= 180, got -1"),
        ({"scale": 0.5}, "expected 1 <= scale <= 100, got 0.5"),
        ({"anisotropy": 0.9}, "expected 1 <= anisotropy <= 100, got 0.9"),
        ({"perspective": math.nan}, "expected 0 <= perspective <= 1, got nan"),
        ({"shift": -0.1}, "expected 0 <= shift <= 100, got -0.1"),
        ({"perspective": 0.7}, r"\(1 \+ 2 \* shift\) < 1, got 1.01: the horizon could come into the frame"),
    ],
)
def test_wrong_strengths(strength: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Warp(**strength)


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="expected scale to be a number, got str"):
        Warp(scale="1.2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected seed and epoch >= 0, got -1 and 0"):
        Warp().sample(MANY, (8, 8), seed=-1, epoch=0)
    with pytest.raises(ValueError, match="expected seed and epoch >= 0, got 0 and -2"):
        Warp().sample(MANY, (8, 8), seed=0, epoch=-2)
