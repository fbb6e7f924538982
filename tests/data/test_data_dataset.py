from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler

from steadfit.data import (
    Annotations,
    Frame,
    LabelledDataset,
    Schema,
    letterbox,
    load_annotations,
    open_picture,
    read_image,
)
from steadfit.data.images import cache as cache_module
from steadfit.data.images.cache import fits_in_memory, free_memory
from steadfit.data.images.decoding import Picture
from steadfit.errors import DataError

Write = Callable[..., Path]


@pytest.fixture
def table(write: Write, rows: list[str], tmp_path: Path) -> Annotations:
    cv2.imwrite(str(tmp_path / "a4.png"), np.random.default_rng(9).integers(0, 256, (31, 17, 3), dtype=np.uint8))
    rows[2] = "a2.png,train,,,4,1.25"
    return load_annotations(write(rows))


@pytest.fixture
def features(write: Write) -> Annotations:
    return load_annotations(write([f"{k},{k / 2},{k * k}" for k in range(20)], header="a,b,y"), Schema(targets=("y",)))


@pytest.mark.parametrize("cache", [True, False, "auto"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_holds_letterboxed_images_and_labels(table: Annotations, cache: bool, channels: int) -> None:
    data = LabelledDataset(table, size=(16, 20), channels=channels, cache=cache)  # type: ignore[arg-type]
    for _ in range(2):  # the second time out of the cache
        batch = data.__getitems__([4, 2, 4])
        assert batch["index"].tolist() == [4, 2, 4]
        assert (batch["input"].dtype, batch["target"].dtype) == (torch.uint8, torch.float64)
        assert batch["input"].shape == (3, channels, 16, 20)
        for b, row in enumerate([4, 2, 4]):
            frame, scale, shift = letterbox(read_image(table.root / f"a{row}.png", channels), (16, 20))
            assert torch.equal(batch["input"][b], torch.from_numpy(frame).permute(2, 0, 1))
            np.testing.assert_array_equal(batch["target"][b], table.target[row] * scale + shift)
    assert torch.isnan(batch["target"][1, 0]).all()


def test_one_sample_has_no_batch_axis(table: Annotations) -> None:
    data = LabelledDataset(table)
    sample = data[-1]
    assert int(sample["index"]) == 9
    assert sample["input"].shape == (1, 48, 48)
    assert torch.equal(sample["target"], data.target[9])
    with pytest.raises(IndexError, match="expected an index below 10, got 10"):
        data[10]


@pytest.mark.parametrize("chosen", [[5, 1, 7], np.array([5, 1, 7]), torch.tensor([5, 1, 7])])
def test_positions_are_those_of_the_chosen_rows(table: Annotations, chosen: object) -> None:
    whole, some = LabelledDataset(table), LabelledDataset(table, chosen)  # type: ignore[arg-type]
    assert (len(some), some.rows.tolist()) == (3, [5, 1, 7])
    got, expected = some.__getitems__([0, 2]), whole.__getitems__([5, 7])
    assert got["index"].tolist() == [0, 2]
    assert torch.equal(got["input"], expected["input"])
    assert torch.equal(some.target, whole.target[[5, 1, 7]])
    assert torch.equal(some.frame.scale, whole.frame.scale[[5, 1, 7]])


def test_the_frame_takes_targets_there_and_back(table: Annotations) -> None:
    frame = LabelledDataset(table, size=30).frame
    user = torch.from_numpy(table.target)
    there = frame.to_frame(user)
    torch.testing.assert_close(frame.to_user(there), user, rtol=1e-14, atol=1e-13, equal_nan=True)
    rows = torch.tensor([7, 0])
    torch.testing.assert_close(frame.to_frame(user[rows], rows), there[rows], rtol=0, atol=0)
    assert frame.to_user(there.float()).dtype == torch.float64
    assert frame.scale.dtype == torch.float64
    with pytest.raises(ValueError, match=r"expected values of shape \(2, K, 2\), got \(3, 2, 2\)"):
        frame.to_frame(user[:3], rows)


def test_features_need_no_frame(features: Annotations) -> None:
    data = LabelledDataset(features, features.rows("train"))
    batch = data.__getitems__([0, 3])
    rows = features.rows("train")[[0, 3]]
    assert batch["input"].dtype == torch.float64
    assert batch["input"].tolist() == [[float(row), row / 2] for row in rows]
    assert batch["target"][:, 0, 0].tolist() == [float(row * row) for row in rows]
    assert torch.equal(data.frame.scale, torch.ones(len(data), 1, dtype=torch.float64))
    assert not data.frame.shift.any()


def test_scalar_targets_of_images_keep_their_units(write: Write, images: list[str]) -> None:
    path = write([f"{name},{20 + k}" for k, name in enumerate(images)], header="image,age")
    data = LabelledDataset(load_annotations(path, Schema(targets=("age",))))
    assert data.target[:, 0, 0].tolist() == list(range(20, 30))
    assert data[3]["input"].shape == (1, 48, 48)


@pytest.mark.parametrize("workers", [0, 1])
def test_in_order_every_sample_comes_once(table: Annotations, workers: int) -> None:
    data = LabelledDataset(table, size=8)
    loader = data.loader(4, workers=workers)
    for _ in range(2):
        batches = list(loader)
        assert [batch["index"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        inputs = torch.cat([batch["input"] for batch in batches])
        assert torch.equal(inputs, LabelledDataset(table, size=8, cache=False).__getitems__(range(10))["input"])
    assert len(list(data.loader(4, drop_last=True))) == 2


def order(data: LabelledDataset, seed: int, epoch: int) -> list[int]:
    loader = data.loader(3, shuffle_seed=seed)
    assert isinstance(loader.sampler, DistributedSampler)
    loader.sampler.set_epoch(epoch)
    return [index for batch in loader for index in batch["index"].tolist()]


def test_the_shuffled_order_is_a_function_of_seed_and_epoch(features: Annotations) -> None:
    data = LabelledDataset(features)
    assert sorted(order(data, 1, 0)) == list(range(20))
    torch.rand(5)  # the global generator does not matter
    assert order(data, 1, 7) == order(data, 1, 7)
    assert order(data, 1, 7) != order(data, 1, 8)
    assert order(data, 1, 7) != order(data, 2, 7)


def test_each_image_is_read_once_with_a_cache(table: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counting(path: Path, channels: int, **how: Any) -> Picture:
        reads.append(path.name)
        return open_picture(path, channels, **how)

    monkeypatch.setattr("steadfit.data.dataset.open_picture", counting)
    data = LabelledDataset(table, cache=True)
    assert reads == []  # nothing is read ahead
    for _ in range(3):
        list(data.loader(4))
    assert sorted(reads) == [f"a{k}.png" for k in range(10)]


def test_an_image_that_changed_since_is_told(table: Annotations, tmp_path: Path) -> None:
    data = LabelledDataset(table)
    cv2.imwrite(str(tmp_path / "a3.png"), np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(DataError, match=r"a3.png: expected 24 x 20 px as when the table was checked, got 6 x 5 px"):
        data[3]


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < free_memory() < 1e15
    monkeypatch.setattr(cache_module, "free_memory", lambda: 400.0)
    assert fits_in_memory(100)
    assert not fits_in_memory(101)
    monkeypatch.setattr(cache_module, "free_memory", lambda: 1e15)
    assert fits_in_memory(4 << 30)
    assert not fits_in_memory((4 << 30) + 1)


def test_wrong_arguments(table: Annotations) -> None:
    with pytest.raises(ValueError, match="channels to be one of 1, 3, got 2"):
        LabelledDataset(table, channels=2)
    with pytest.raises(ValueError, match="cache to be one of True, False, 'auto', got 'yes'"):
        LabelledDataset(table, cache="yes")  # type: ignore[arg-type]


def test_a_frame_of_one_sample_by_hand() -> None:
    frame = Frame(torch.tensor([[2.0, 4.0]], dtype=torch.float64), torch.tensor([[1.0, -1.0]], dtype=torch.float64))
    assert frame.to_frame(torch.tensor([[[3.0, 0.5]]])).tolist() == [[[7.0, 1.0]]]
    assert frame.to_user(torch.tensor([[[7.0, 1.0]]])).tolist() == [[[3.0, 0.5]]]
