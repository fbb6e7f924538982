"""Boxes with a margin in px, and boxes that fill the frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from steadfit.data import (
    Annotations,
    Frame,
    LabelledDataset,
    Schema,
    Warp,
    box_of_points,
    frame_map,
    load_annotations,
    map_points,
    read_image,
    sample,
)
from steadfit.data.drawn.synthetic import write_dataset
from steadfit.data.tables.boxes import whole_image
from steadfit.errors import DataError


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    folder = tmp_path_factory.mktemp("faces")
    return load_annotations(write_dataset(folder, n_train=8, n_val=4, n_test=4, size=40))


def stretched(faces: Annotations, **options: object) -> Annotations:
    return load_annotations(faces.path, Schema.discover(faces.path).with_options(box_fit="stretch", **options))


def test_a_margin_in_px_by_hand() -> None:
    """Paper 1's box: the joints' box moved by (-20, -10) and enlarged by (40, 20) px."""
    target = np.array([[[30.0, 25.0], [90.0, 150.0]], [[0.0, 99.0], [4.0, 60.0]]])
    size = np.array([[200.0, 180.0], [100.0, 100.0]])
    got = box_of_points(target, size, margin=(20, 10))
    # the first pixel is 0: from a box's outer edge to its first pixel's centre it is half a pixel
    assert got.tolist() == [[10.5, 15.5, 100.0, 145.0], [-19.5, 50.5, 44.0, 59.0]]
    centre = got[:, :2] + (got[:, 2:] - 1) / 2
    np.testing.assert_array_equal(centre, target.mean(axis=1))
    both = box_of_points(target, size, margin=(0.1 * 125, 0.1 * 125))
    np.testing.assert_allclose(both[0], box_of_points(target, size, margin=0.1)[0], rtol=1e-15)


def test_a_box_has_a_pixel_at_least() -> None:
    line = np.array([[[30.0, 25.0], [30.0, 75.0]]])  # no width
    size = np.array([[200.0, 180.0]])
    assert box_of_points(line, size, margin=0.0).tolist() == [[30.0, 25.5, 1.0, 50.0]]
    point = np.array([[[30.0, 25.0], [30.5, 25.0]]])
    assert box_of_points(point, size, margin=(20, 10)).tolist() == whole_image(size).tolist()
    scale, shift = frame_map(size, box_of_points(line, size, margin=0.0), (24, 16), fit="stretch")
    assert np.isfinite(scale).all()
    assert np.isfinite(shift).all()


@pytest.mark.parametrize("size", [48, (24, 16), (31, 60)])
def test_a_stretched_box_fills_the_frame(size: int | tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(-20, 60, (20, 2)), rng.uniform(1, 90, (20, 2))], axis=1)
    scale, shift = frame_map(np.full((20, 2), 100.0), boxes, size, fit="stretch")
    height, width = (size, size) if isinstance(size, int) else size
    low = (boxes[:, :2] - 0.5) * scale + shift  # outer edges
    high = (boxes[:, :2] + boxes[:, 2:] - 0.5) * scale + shift
    np.testing.assert_allclose(low, -0.5, rtol=0, atol=1e-12)
    np.testing.assert_allclose(high, np.tile([width - 0.5, height - 0.5], (20, 1)), rtol=1e-13)


def test_without_a_box_the_image_is_stretched() -> None:
    sizes = np.array([[100.0, 50.0], [60.0, 90.0]])
    for got, expected in zip(
        frame_map(sizes, None, (24, 16), fit="stretch"),
        frame_map(sizes, whole_image(sizes), (24, 16), fit="stretch"),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(frame_map(sizes, None, (24, 16), fit="stretch")[0], [[0.16, 0.48], [16 / 60, 24 / 90]])


def test_a_box_of_the_frame_s_shape_is_only_scaled() -> None:
    sizes, boxes = np.array([[100.0, 80.0]]), np.array([[10.0, 20.0, 30.0, 45.0]])
    for got, expected in zip(
        frame_map(sizes, boxes, (24, 16), fit="stretch"), frame_map(sizes, boxes, (24, 16)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-15)


def test_there_and_back(faces: Annotations) -> None:
    data = LabelledDataset(stretched(faces, box="points", box_margin=[3, 5]), size=(24, 16))
    user = torch.from_numpy(data.annotations.target)
    framed = data.frame.to_frame(user)
    assert not torch.equal(data.frame.scale[:, 0], data.frame.scale[:, 1])
    torch.testing.assert_close(data.frame.to_user(framed), user, rtol=1e-13, atol=1e-12)
    torch.testing.assert_close(map_points(data.frame.matrix(torch.arange(16)), user), framed, rtol=1e-13, atol=1e-12)
    # by the paper's words: the place within the box, as shares of its width and height
    box = torch.from_numpy(data.annotations.box)  # type: ignore[arg-type]
    share = (user - box[:, None, :2] + 0.5) / box[:, None, 2:]
    torch.testing.assert_close((framed + 0.5) / torch.tensor([16.0, 24.0]), share, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("box", [None, "points"])
def test_the_dataset_stretches_pixels_and_labels_alike(faces: Annotations, box: str | None) -> None:
    table = stretched(faces, box=box)
    data = LabelledDataset(table, size=(24, 16), channels=3)
    assert data.sampling == "warp"
    batch = data.__getitems__(range(4))
    scale, shift = frame_map(table.size, table.box, (24, 16), fit="stretch")  # type: ignore[arg-type]
    frame = Frame(torch.from_numpy(scale), torch.from_numpy(shift))
    images = [read_image(table.root / name, 3) for name in table.images[:4]]  # type: ignore[index]
    assert torch.equal(batch["input"], sample(images, frame.matrix(torch.arange(4)), (24, 16), 3))
    expected = frame.to_frame(torch.from_numpy(table.target))[:4]
    torch.testing.assert_close(batch["target"], expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="expected sampling 'warp' or 'auto' with augment, boxes or stretched"):
        LabelledDataset(table, sampling="letterbox")


def test_random_warps_of_stretched_frames_go_back(faces: Annotations) -> None:
    """Points come back through the inverse of the warp and of the frame, mirrored ones under their own names."""
    table = stretched(faces, box="points", box_margin=0.3)
    warp = Warp(rotation=20, scale=1, anisotropy=1, perspective=0, shift=0.05)
    data = LabelledDataset(table, size=(24, 16), augment=warp, seed=1)
    batch = data.__getitems__(range(16))
    assert 0 < int(batch["mirrored"].sum()) < 16
    frame = map_points(torch.linalg.inv(batch["warp"]), batch["target"].double())
    order = list(table.schema.permutation)
    frame[batch["mirrored"]] = frame[batch["mirrored"]][:, order]
    torch.testing.assert_close(data.frame.to_user(frame), torch.from_numpy(table.target), rtol=0, atol=1e-4)


def test_tables_of_features_have_nothing_to_stretch(write: Callable[..., Path]) -> None:
    path = write([f"{k},{k * k},{-k}" for k in range(12)], header="a,x0,y0")
    plain, data = (
        LabelledDataset(load_annotations(path, Schema(features=("a",), box_fit=fit))) for fit in ("inside", "stretch")
    )
    assert torch.equal(data.target, plain.target)
    assert torch.equal(data[3]["input"], plain[3]["input"])


def test_the_yaml_and_the_options(faces: Annotations) -> None:
    schema = Schema.from_dict({"box": "points", "box_margin": [20, 10], "box_fit": "stretch"})
    assert (schema.box_margin, schema.box_fit) == ((20.0, 10.0), "stretch")
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.to_dict()["box_margin"] == [20.0, 10.0]
    assert Schema().with_options(box_margin="20, 10").box_margin == (20.0, 10.0)
    assert Schema().with_options(box_margin="0.5").box_margin == 0.5
    assert Schema().box_fit == "inside"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box_margin": [20]}, r"expected box_margin to be a share or two numbers of px, got \[20\]"),
        ({"box_margin": "1,2,3"}, "expected box_margin to be a share or two numbers of px, got '1,2,3'"),
        ({"box_margin": "1,x"}, "expected box_margin to be a number, got 'x'"),
        ({"box_margin": [20, True]}, "expected box_margin to be a number, got True"),
        ({"box_margin": [20, -1]}, r"expected box_margin >= 0 and finite, got \(20.0, -1.0\)"),
        ({"box_margin": [float("inf"), 1]}, r"expected box_margin >= 0 and finite, got \(inf, 1.0\)"),
        ({"box_fit": "fill"}, "expected box_fit 'inside' or 'stretch', got 'fill'"),
        ({"box_fit": 3}, "expected box_fit to be a word, got 3"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Schema.from_dict(options)
