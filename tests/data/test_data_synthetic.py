"""Drawn faces: the same bits again, labels where the things are, a data set that the reader's rules accept."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from steadfit.data.drawn.drawing import SCALE, paint
from steadfit.data.drawn.faces import Face, labels, project
from steadfit.data.drawn.synthetic import FACE_WIDTH, LIMBS, PAIRS, POINTS, draw_faces, write_dataset

SIZE = 96
GREEN, OTHER = (0.0, 255.0, 0.0), (120.0, 120.0, 120.0)


def face(seed=0, **changes):
    """A plain face in which one thing can be made green."""
    plain = {"style": "bald", "beard": "none", "glasses": "none", "skin": OTHER, "lips": OTHER, "gaze": (0.0, 0.0)}
    return replace(Face.draw(np.random.default_rng(seed)), **{**plain, **changes})


def painted(subject):
    canvas = np.zeros((SIZE * SCALE, SIZE * SCALE, 3), np.uint8)
    paint(canvas, subject, SIZE)
    return canvas


def pixels(mask):
    """Places (P, 2) in px of a mask on the supersampled canvas."""
    return (np.argwhere(mask)[:, ::-1] + 0.5) / SCALE - 0.5


def test_image_depends_on_seed_and_number_alone():
    images, points = draw_faces(6, size=32, seed=5)
    again, same = draw_faces(3, size=32, seed=5)
    np.testing.assert_array_equal(images[:3], again)
    np.testing.assert_array_equal(points[:3], same)
    other, _ = draw_faces(3, size=32, seed=6)
    assert (other != again).any(axis=(1, 2, 3)).all()
    assert (images[0] != images[1]).any()


def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw_faces(2, size=32)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_shapes_and_kinds():
    images, points = draw_faces(2, size=40)
    assert (images.shape, images.dtype) == ((2, 40, 40, 3), np.dtype(np.uint8))
    assert (points.shape, points.dtype) == ((2, len(POINTS), 2), np.dtype(np.float64))
    assert [len(x) for x in draw_faces(0)] == [0, 0]


def test_labels_are_inside_the_picture_and_left_is_left():
    _, points = draw_faces(200, size=32, seed=1)
    assert points.min() > -0.5
    assert points.max() < 31.5
    assert (points[:, 5, 0] < points[:, 6, 0]).mean() == 1.0  # the ears: the head is never turned by 90 degrees
    for left, right in PAIRS:
        assert (points[:, left, 0] < points[:, right, 0]).mean() > 0.95  # a strong roll and yaw may exchange eyes


def test_faces_vary_in_place_pose_and_light():
    images, points = draw_faces(200, size=32, seed=2)
    assert (points.std(0) > 0.05 * 32).all()
    assert np.ptp(points[:, 2, 0] - points[:, [5, 6], 0].mean(1)) > 0.4 * 32  # the nose against the ears: yaw
    assert images.mean((1, 2, 3)).std() > 20


def test_normalizer_is_the_width_of_a_frontal_face():
    frontal = [replace(Face.draw(np.random.default_rng(i)), angles=(0.0, 0.0, 0.0)) for i in range(200)]
    ears = np.stack([labels(one, 64)[5:] for one in frontal])
    assert np.linalg.norm(ears[:, 0] - ears[:, 1], axis=-1).mean() == pytest.approx(FACE_WIDTH * 64, rel=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_eyes_are_where_their_labels_say(seed):
    subject = face(seed, iris=GREEN, angles=(0.25 * (-1) ** seed, 0.1, 0.3), opening=0.7)
    iris = pixels((painted(subject) == GREEN).all(-1))
    for eye in labels(subject, SIZE)[:2]:
        near = iris[np.linalg.norm(iris - eye, axis=-1) < 0.2 * subject.height * SIZE]
        assert len(near) > 20
        assert np.abs((near.min(0) + near.max(0)) / 2 - eye).max() < 0.5  # perspective moves the middle of an outline


@pytest.mark.parametrize("seed", range(8))
def test_mouth_ends_where_its_labels_say(seed):
    subject = face(seed, lips=GREEN, angles=(0.2 * (-1) ** seed, 0.0, 0.0))
    red, strong, blue = np.moveaxis(painted(subject), -1, 0)
    mouth = pixels((red < 30) & (strong > 90) & (blue < 10))  # the lips and the darker line between them
    left, right = labels(subject, SIZE)[3:5]
    assert np.abs(mouth[mouth[:, 0].argmin()] - left).max() < 1.0
    assert np.abs(mouth[mouth[:, 0].argmax()] - right).max() < 1.0


def test_a_nearer_point_is_larger_and_the_nose_has_parallax():
    subject = face(0, angles=(0.0, 0.0, 0.0), centre=(0.0, 0.0), distance=4.0)
    ends = project(subject, np.array([[0.0, 0.5, 0.9], [0.0, 0.5, -0.9]]), SIZE) - (SIZE - 1) / 2
    assert ends[0, 1] / ends[1, 1] == pytest.approx((4.0 + 0.9) / (4.0 - 0.9))
    turned = [labels(replace(subject, angles=(yaw, 0.0, 0.0)), SIZE) for yaw in (-0.4, 0.4)]
    shift = turned[1] - turned[0]
    assert shift[2, 0] > shift[0, 0] > shift[5, 0]  # nose before eye before ear


def test_the_centre_of_a_straight_head_is_the_centre_of_the_picture():
    subject = face(0, centre=(0.0, 0.0), angles=(0.0, 0.0, 0.0))
    np.testing.assert_allclose(project(subject, np.zeros((1, 3)), SIZE), [[47.5, 47.5]], atol=1e-12)


def test_mirrored_person_has_mirrored_labels():
    subject = face(3, centre=(0.05, 0.02), angles=(0.3, 0.1, 0.2))
    mirrored = replace(subject, centre=(-0.05, 0.02), angles=(-0.3, 0.1, -0.2))
    order = [1, 0, 2, 4, 3, 6, 5]
    expected = labels(mirrored, SIZE)[order] * [-1, 1] + [SIZE - 1, 0]
    np.testing.assert_allclose(labels(subject, SIZE), expected, atol=1e-10)


@pytest.mark.parametrize("yaw", [-0.55, 0.55])
def test_only_the_near_ear_is_seen_from_the_side(yaw):
    small, large = (face(1, angles=(yaw, 0.0, 0.0), ear=(height, 0.05)) for height in (0.18, 0.25))
    changed = pixels((painted(small) != painted(large)).any(-1))
    near, far = labels(small, SIZE)[[5, 6] if yaw > 0 else [6, 5]]
    assert len(changed) > 50
    assert (np.linalg.norm(changed - near, axis=-1) < np.linalg.norm(changed - far, axis=-1)).all()


def test_written_dataset_reads_back_to_the_same_bits(tmp_path):
    table = write_dataset(tmp_path / "faces", n_train=4, n_val=2, n_test=1, size=24, seed=9)
    rows = pd.read_csv(table)
    assert rows["split"].tolist() == ["train"] * 4 + ["val"] * 2 + ["test"]
    images, points = draw_faces(7, size=24, seed=9)
    for name, image in zip(rows["image"], images, strict=True):
        np.testing.assert_array_equal(cv2.imread(str(table.parent / name))[..., ::-1], image)
    columns = [f"{axis}{k}" for k in range(7) for axis in "xy"]
    np.testing.assert_allclose(rows[columns].to_numpy().reshape(7, 7, 2), points, atol=5.1e-5)  # four decimals


def test_description_names_everything_the_reader_needs(tmp_path):
    table = write_dataset(tmp_path, n_train=1, n_val=0, n_test=0, size=32)
    about = yaml.safe_load((table.parent / "dataset.yaml").read_text())
    assert about["points"] == list(POINTS)
    assert about["pairs"] == [list(pair) for pair in PAIRS]
    assert about["limbs"] == [list(limb) for limb in LIMBS]
    assert about["normalizer"] == pytest.approx(FACE_WIDTH * 32)
    assert about["units"] == "px"
    for left, right in PAIRS:
        assert (POINTS[left].split("_")[0], POINTS[right].split("_")[0]) == ("left", "right")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n": -1}, "the number of images >= 0, got -1"),
        ({"n": 1, "size": 8}, "size >= 16, got 8"),
        ({"n": 1, "seed": -3}, "seed >= 0, got -3"),
    ],
)
def test_wrong_arguments_are_named(options, text):
    with pytest.raises(ValueError, match=f"^draw_faces: expected {text}"):
        draw_faces(**options)


def test_a_wrong_count_stops_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"^write_dataset: .* got -1"):
        write_dataset(tmp_path / "new", n_train=2, n_val=-1, n_test=0)
    assert not (tmp_path / "new").exists()
