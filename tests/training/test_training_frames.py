"""Frames that are no squares, stretched boxes, and the protocol of the ConvNet, from a table to predictions."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from steadfit.data import Annotations, Schema, Warp, load_annotations, map_points, mirror_frame
from steadfit.errors import RunError
from steadfit.networks import ConvNet
from steadfit.training import Run, Settings, fit, load
from steadfit.training.fit import Splits, build_module
from steadfit.training.folder import fingerprint
from steadfit.training.predictor import in_frame
from steadfit.training.views import scale_frame, views_of

TALL = Settings(epochs=1, batch_size=8, size=(24, 16), noise="l2")
CONVNET = Settings(
    epochs=1, batch_size=8, size=(40, 32), noise="tukey", network="convnet", protocol="convnet", warp=True
)


def stretched(faces: Annotations, **options: object) -> Annotations:
    return load_annotations(faces.path, Schema.discover(faces.path).with_options(box_fit="stretch", **options))


@pytest.fixture(scope="module")
def boxed(faces: Annotations) -> Annotations:
    return stretched(faces, box="points", box_margin="2,3")


@pytest.fixture(scope="module")
def tall(boxed: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(boxed, TALL, tmp_path_factory.mktemp("runs") / "tall", device="cpu")


def paths(annotations: Annotations) -> list[Path]:
    assert annotations.images is not None
    return [annotations.root / name for name in annotations.images]


def test_images_in_their_boxes_are_predicted_as_the_table(boxed: Annotations, tall: Run) -> None:
    from_table = tall.predict(boxed).mean
    np.testing.assert_array_equal(tall.predict(paths(boxed), boxes=boxed.box).mean, from_table)
    inside = (from_table > -5).all() and (from_table < 29).all()  # in px of the image, 24 wide, not of the frame
    assert inside


@pytest.mark.parametrize("options", [{}, {"box": "points", "box_margin": 40.0}])
def test_stretched_images_are_predicted_as_the_table(
    faces: Annotations, tmp_path: Path, options: dict[str, object]
) -> None:
    """Whole images, through a box or without one."""
    table = stretched(faces, **options)
    if table.box is not None:
        assert table.size is not None
        table = dataclasses.replace(table, box=np.concatenate([np.zeros_like(table.size), table.size], axis=1))
    run = fit(table, TALL, tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(run.predict(paths(table)).mean, run.predict(table).mean)


def test_precisions_follow_each_axis(boxed: Annotations, tmp_path: Path) -> None:
    """In the user's units the precision is S P S, where S are the scales of x and y."""
    run = fit(boxed, dataclasses.replace(TALL, noise="predicted-gauss"), tmp_path / "run", device="cpu")
    data = run.dataset(boxed)
    seen = in_frame(run.regressor, run.regressor(data.__getitems__(range(34))["input"]).detach())
    assert seen.root is not None
    scale = torch.diag_embed(data.frame.scale)[:, None]  # (N, 1, 2, 2)
    assert float((scale[..., 0, 0] / scale[..., 1, 1] - 1).abs().min()) > 0.05
    wanted = scale @ (seen.root @ seen.root).double() @ scale
    root = torch.from_numpy(run.predict(boxed).root)  # type: ignore[arg-type]
    torch.testing.assert_close(root @ root, wanted, rtol=1e-5, atol=1e-8)  # the network computes in float32


def test_views_of_a_frame_that_is_no_square() -> None:
    flip, *scaled = views_of(["mirror"], (24, 16)) + views_of(["scales"], (24, 16))
    assert torch.equal(flip, mirror_frame(16))
    centre = torch.tensor([[7.5, 11.5]], dtype=torch.float64)
    for view in scaled:
        torch.testing.assert_close(map_points(view, centre), centre)
    assert torch.equal(scale_frame((20, 20), 0.8), scale_frame(20, 0.8))


@pytest.mark.parametrize("views", [["mirror"], ["mirror", "scales"]])
def test_views_come_back_to_the_image(boxed: Annotations, tall: Run, views: list[str]) -> None:
    found, plain = tall.predict(boxed, views=views).mean, tall.predict(boxed).mean
    assert found.shape == plain.shape
    assert float(np.abs(found - plain).max()) < 12  # px of 24: a view gone astray would be beside the image


def test_a_run_in_a_tall_frame_is_continued_and_opened(boxed: Annotations, tall: Run) -> None:
    assert load(tall.folder).settings == TALL
    np.testing.assert_array_equal(load(tall.folder).predict(boxed).mean, tall.predict(boxed).mean)
    again = fit(boxed, TALL, tall.folder, resume=True, device="cpu")
    np.testing.assert_array_equal(again.predict(boxed).mean, tall.predict(boxed).mean)
    with pytest.raises(RunError, match="size"):
        fit(boxed, dataclasses.replace(TALL, size=(16, 24)), tall.folder, resume=True, device="cpu")


def test_other_boxes_are_other_data(boxed: Annotations, tall: Run) -> None:
    assert boxed.box is not None
    moved = dataclasses.replace(boxed, box=boxed.box + np.array([1, 0, 0, 0]))
    with pytest.raises(RunError, match="the data"):
        fit(moved, TALL, tall.folder, resume=True, device="cpu")


def test_the_fingerprint_without_boxes_is_that_of_earlier_runs(faces: Annotations) -> None:
    """Rows, labels and their meaning, as hashed before there were boxes that fill the frame."""
    first = ("points", "targets", "classes", "features", "pairs", "limbs", "normalizer", "units", "visibility", "sides")
    first += ("image", "split", "box", "box_margin")
    meaning = {key: faces.schema.to_dict()[key] for key in first} | {"visibility": "occluded"}
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
    digest.update(json.dumps([faces.images, faces.split.tolist()]).encode())
    assert faces.size is not None
    digest.update(faces.target.tobytes() + b"-" + faces.size.tobytes())
    assert fingerprint(faces) == digest.hexdigest()[:16]
    assert fingerprint(stretched(faces)) != fingerprint(faces)


def test_the_protocol_s_optimiser_and_warps(boxed: Annotations) -> None:
    splits = Splits.of(boxed, CONVNET)
    warp = Warp(mirror=0.5, rotation=20, scale=1, anisotropy=1, perspective=0, shift=0.05)
    assert splits.train.augment == warp
    assert splits.train.size == splits.val.size == (40, 32)
    assert Splits.of(boxed, dataclasses.replace(CONVNET, mirror=False)).train.augment == dataclasses.replace(
        warp, mirror=0.0
    )
    assert Splits.of(boxed, dataclasses.replace(CONVNET, protocol="steady")).train.augment == Warp()
    module = build_module(splits.train, CONVNET)
    assert isinstance(module.regressor.network, ConvNet)
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    assert [(group["momentum"], group["weight_decay"], group["lr"]) for group in optimizer.param_groups] == [
        (0.9, 5e-4, CONVNET.plan.lr)
    ]
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == len(list(module.regressor.parameters())) == 16
    other = build_module(splits.train, dataclasses.replace(CONVNET, weight_decay=0.01)).configure_optimizers()
    assert other.param_groups[0]["weight_decay"] == 0.01


def test_the_convnet_trains_under_its_protocol(boxed: Annotations, tmp_path: Path) -> None:
    run = fit(boxed, CONVNET, tmp_path / "run", device="cpu")
    assert np.isfinite(run.predict(boxed).mean).all()
    assert run.predict(boxed, views=["mirror"]).mean.shape == (34, 7, 2)
