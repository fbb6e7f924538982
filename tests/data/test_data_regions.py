"""Regions: where an estimate puts their crops, whatever the estimate is, and what their tables are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steadfit.data import LabelledDataset, Schema, Warp, load_annotations
from steadfit.data.images.maps import map_points
from steadfit.data.images.misplacing import LARGEST_OFFSET, Misplacing, crop_errors
from steadfit.data.regions import SMALLEST, Region, read_regions, regions_of
from steadfit.errors import DataError

SIZE = np.array([[100.0, 60.0]])
STILL = Warp(mirror=0, rotation=0, scale=1, anisotropy=1, perspective=0, shift=0)


def centre(box: np.ndarray) -> np.ndarray:
    return box[:, :2] + (box[:, 2:] - 1) / 2


def test_crop_is_a_square_about_the_anchors() -> None:
    region = Region(name="mouth", points=(0, 1, 2), anchors=(0, 1), least=0.0, margin=0.25)
    estimate = np.array([[[40.0, 20.0], [60.0, 30.0], [0.0, 0.0]]])
    box = region.boxes(estimate, SIZE)
    np.testing.assert_allclose(centre(box), [[50.0, 25.0]])  # point 2 is regressed, and places nothing
    np.testing.assert_allclose(box[:, 2:], [[30.0, 30.0]])  # 20 px and a quarter of it on each side


def test_least_extent_is_a_share_of_the_whole_pose() -> None:
    region = Region(name="nose", points=(1,), least=0.5, margin=0.0)
    estimate = np.array([[[10.0, 10.0], [30.0, 20.0], [50.0, 30.0]]])  # a pose of 40 x 20 px
    np.testing.assert_allclose(region.boxes(estimate, SIZE), [[30 - 9.5, 20 - 9.5, 20, 20]])


def test_moving_and_enlarging_the_pose_moves_and_enlarges_the_crop() -> None:
    region, rng = Region(name="a", points=(0, 2)), np.random.default_rng(0)
    pose = rng.uniform(20, 40, (5, 4, 2))
    size = np.full((5, 2), 150.0)
    first, second = region.boxes(pose, size), region.boxes(3 * pose + 7, size)
    np.testing.assert_allclose(centre(second), 3 * centre(first) + 7)
    np.testing.assert_allclose(second[:, 2:], 3 * first[:, 2:])


@pytest.mark.parametrize(
    ("estimate", "where"),
    [
        (np.full((1, 2, 2), np.nan), "whole"),
        (np.full((1, 2, 2), np.inf), "whole"),
        (np.array([[[1e300, -1e300], [-1e300, 1e300]]]), "whole side"),
        (np.array([[[1e9, 1e9], [1e9 + 1, 1e9]]]), "corner"),
        (np.array([[[50.0, 30.0], [50.0, 30.0]]]), "smallest"),
    ],
)
def test_wild_estimates_make_tame_crops(estimate: np.ndarray, where: str) -> None:
    box = Region(name="a", points=(0, 1), least=0.3).boxes(estimate, SIZE)
    assert np.isfinite(box).all()
    if where == "whole":
        np.testing.assert_allclose(np.column_stack([centre(box), box[:, 2:]]), [[49.5, 29.5, 100, 100]])
    if where == "whole side":
        np.testing.assert_allclose(box[:, 2:], [[100, 100]])
    if where == "corner":  # outside the image: the crop is about the nearest pixel
        np.testing.assert_allclose(centre(box), [[99, 59]])
    if where == "smallest":
        np.testing.assert_allclose(box[:, 2:], [[100 * SMALLEST] * 2])


@given(arrays(np.float64, (3, 4, 2), elements=st.floats(width=64)))
def test_any_estimate_gives_a_crop_that_meets_its_image(estimate: np.ndarray) -> None:
    size = np.array([[30.0, 50.0], [1.0, 1.0], [400.0, 2.0]])
    box = Region(name="a", points=(0, 3), anchors=(1, 2)).boxes(estimate, size)
    assert np.isfinite(box).all()
    assert (box[:, 2:] > 0).all()
    assert (centre(box) >= 0).all()
    assert (centre(box) <= size - 1).all()
    assert (box[:, 2] <= size.max(axis=1)).all()


def test_crops_stay_within_what_the_first_stage_saw() -> None:
    seen = np.array([[20.0, 10.0, 40.0, 30.0]])
    box = Region(name="a", points=(0, 1)).boxes(np.array([[[-5.0, 2.0], [500.0, 3.0]]]), SIZE, seen)
    np.testing.assert_allclose(centre(box), [[59.0, 10.0]])
    np.testing.assert_allclose(box[:, 2:], [[40.0, 40.0]])


def test_missing_points_are_left_out() -> None:
    region = Region(name="a", points=(0, 1, 2), least=0.0, margin=0.0)
    full = np.array([[[10.0, 10.0], [30.0, 10.0], [20.0, 15.0]]])
    holes = full.copy()
    holes[0, 2, 0] = np.nan
    np.testing.assert_allclose(region.boxes(holes, SIZE)[:, 2:], [[20, 20]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a/b", "points": (0,)}, "a name of letters, digits, '-' and '_', got 'a/b'"),
        ({"name": "..", "points": (0,)}, "got '..'"),
        ({"name": "a", "points": ()}, "points in region 'a', got none"),
        ({"name": "a", "points": (0, 0)}, "different points >= 0 in region 'a', got (0, 0)"),
        ({"name": "a", "points": (0,), "anchors": (-1,)}, "different anchors >= 0"),
        ({"name": "a", "points": (0,), "margin": -0.1}, "margin >= 0 in region 'a', got -0.1"),
        ({"name": "a", "points": (0,), "least": float("nan")}, "least >= 0"),
    ],
)
def test_what_regions_object_to(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Region(**values)


def test_estimates_need_the_regions_points() -> None:
    with pytest.raises(ValueError, match=r"\(N, 6 or more, 2\) for region 'a', got \(1, 5, 2\)"):
        Region(name="a", points=(5,)).boxes(np.zeros((1, 5, 2)), SIZE)


SCHEMA = Schema(
    points=("le", "re", "nose", "lm", "rm"), pairs=((0, 1), (3, 4)), limbs=((0, 2), (3, 4)), normalizer=(0, 1)
)


def test_schema_of_a_region() -> None:
    mouth = Region(name="mouth", points=(4, 3)).schema(SCHEMA)
    assert (mouth.points, mouth.pairs, mouth.limbs) == (("rm", "lm"), ((1, 0),), ((1, 0),))
    assert mouth.normalizer is None
    assert mouth.box is not None


def test_a_side_without_its_partner_is_not_mirrored() -> None:
    assert Region(name="a", points=(0, 2, 3, 4)).schema(SCHEMA).pairs == ()  # left eye without right


def test_part_of_a_table(rows: list[str], write: Callable[..., Path]) -> None:
    table = load_annotations(write(rows))
    region = Region(name="a", points=(1, 0))
    part = region.part(table, region.boxes(table.target, np.asarray(table.size)))
    np.testing.assert_array_equal(part.target, table.target[:, [1, 0]])
    assert part.images == table.images
    frame = LabelledDataset(part, [0, 1], size=16, channels=1).frame
    where = frame.to_frame(torch.from_numpy(part.target[:2])).numpy()
    assert (where > -0.5).all()
    assert (where < 15.5).all()


def test_regions_survive_yaml(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "eyes: [le, re]\nmouth: {points: [3, rm], anchors: [2], margin: 0.5, least: 0.1}\n"
    )
    found = read_regions(tmp_path / "r.yaml", SCHEMA.points)
    assert found == (
        Region(name="eyes", points=(0, 1)),
        Region(name="mouth", points=(3, 4), anchors=(2,), margin=0.5, least=0.1),
    )
    assert regions_of([region.to_dict() for region in found]) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names of regions and their points"),
        ("[1, 2]", "names of regions and their points"),
        ("a: [", "line 1: expected YAML, got a syntax error"),
        ("a: 3", "region 'a': expected a list of points, got 3"),
        ("a: [chin]", "region 'a': expected points' names or 0 to 4, got 'chin'"),
        ("a: [5]", "got 5"),
        ("a: [true]", "got True"),
        ("a: {points: [0], size: 3}", "region 'a': expected anchors, least, margin, points, got 'size'"),
        ("a: {margin: 0.5}", "region 'a': expected points in region 'a', got none"),
        ("a: {points: [0], margin: wide}", "region 'a': expected margin to be a number, got 'wide'."),
        ("a: {points: [0], least: true}", "region 'a': expected least to be a number, got True."),
        ("a: {points: [0], least: -1}", "region 'a': expected least >= 0 in region 'a', got -1.0."),
        ("a:\n\t- b", "line 2: expected YAML"),
        ("../a: [0]", "letters, digits"),
    ],
)
def test_bad_region_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(DataError) as caught:
        read_regions(tmp_path / "r.yaml", SCHEMA.points)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "r.yaml"))
    assert len(str(caught.value).splitlines()) == 1


def test_no_region_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.yaml: expected a readable UTF-8 file"):
        read_regions(tmp_path / "none.yaml", ())


def test_misplacing_puts_a_point_where_the_misplaced_crop_has_it() -> None:
    """Twin: place both crops in an image, map a point into both frames."""
    rng, size = np.random.default_rng(1), (12, 20)
    for dx, dy, z in rng.uniform(-0.5, 0.5, (5, 3)):
        wanted = np.array([[30.0, 40.0, 24.0, 24.0]])
        side = 24 * np.exp(z)
        middle = centre(wanted) + np.array([[dx, dy]]) * 24
        placed = np.concatenate([middle - (side - 1) / 2, [[side, side]]], axis=1)
        np.testing.assert_allclose(crop_errors(placed, wanted), [[dx, dy, z]], atol=1e-12)
        matrix, mirrored = Misplacing(np.array([[dx, dy, z]]), STILL).sample(torch.tensor([4]), size, seed=0, epoch=3)
        point, frame_centre = np.array([41.0, 45.5]), (np.array([20, 12]) - 1) / 2
        before = (point - centre(wanted)[0]) * 12 / 24 + frame_centre
        after = (point - middle[0]) * 12 / side + frame_centre
        found = map_points(matrix, torch.from_numpy(before)[None, None])
        np.testing.assert_allclose(found[0, 0].numpy(), after, atol=1e-9)
        assert not mirrored.any()


def test_misplacing_draws_anew_every_epoch_and_the_same_again() -> None:
    errors = np.random.default_rng(2).normal(size=(50, 3)) / 10
    jitter, index = Misplacing(errors, STILL), torch.arange(200)
    first = jitter.sample(index, (16, 16), seed=3, epoch=0)[0]
    assert torch.equal(first, jitter.sample(index, (16, 16), seed=3, epoch=0)[0])
    assert not torch.equal(first, jitter.sample(index, (16, 16), seed=3, epoch=1)[0])
    assert torch.equal(first[[7]], jitter.sample(torch.tensor([7]), (16, 16), seed=3, epoch=0)[0])
    gap = np.abs(first[:, :1, 0].numpy() - np.exp(-errors[:, 2]))  # (200, 50): each draw is one of the errors
    assert gap.min(axis=1).max() < 1e-9
    assert len(set(gap.argmin(axis=1))) > 40  # 200 draws from 50 miss few


def test_misplacing_nothing_is_the_warp() -> None:
    warp, index = Warp(), torch.arange(5)
    plain, mirrored = warp.sample(index, (16, 16), seed=1, epoch=2)
    found, also = Misplacing(np.zeros((0, 3)), warp).sample(index, (16, 16), seed=1, epoch=2)
    assert torch.equal(plain, found)
    assert torch.equal(mirrored, also)


def test_crop_errors_leave_out_what_no_longer_shows_the_region() -> None:
    wanted = np.tile([[0.0, 0.0, 10.0, 10.0]], (6, 1))
    placed = wanted.copy()
    placed[1, 0] = 10 * LARGEST_OFFSET + 0.1
    placed[2, 2:] = 21.0
    placed[3, 0] = np.nan
    placed[4, 2:] = 0.0
    placed[5, 2:] = 11.0
    found = crop_errors(placed, wanted)
    assert len(found) == 2
    np.testing.assert_allclose(found[0], 0)
