"""Random warps in the data set: what a batch holds, and that it depends on nothing but seed, epoch and position."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from steadfit.data import Annotations, LabelledDataset, Schema, Warp, load_annotations, map_points, read_image, sample
from steadfit.data.images import cache as cache_module
from steadfit.data.images.cache import FileCache, total_size
from steadfit.errors import DataError

Write = Callable[..., Path]

PAIRS = Schema(points=("left", "right"), pairs=((0, 1),))
OFF = Warp(mirror=0, rotation=0, scale=1, anisotropy=1, perspective=0, shift=0)


@pytest.fixture
def table(write: Write, rows: list[str], tmp_path: Path) -> Annotations:
    cv2.imwrite(str(tmp_path / "a4.png"), np.random.default_rng(9).integers(0, 256, (90, 77, 3), dtype=np.uint8))
    rows[2] = "a2.png,train,,,4,1.25"
    return load_annotations(write(rows), PAIRS)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert set(a) == set(b)
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("cache", [True, False, "auto"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_holds_warped_images_and_labels(table: Annotations, cache: bool, channels: int) -> None:
    data = LabelledDataset(table, size=(16, 20), channels=channels, cache=cache, augment=Warp(), seed=3)  # type: ignore[arg-type]
    data.set_epoch(5)
    assert len(data) == 10
    for _ in range(2):  # the second time out of the cache
        batch = data.__getitems__([4, 2, 4, 7])
        assert {key: (value.dtype, tuple(value.shape)) for key, value in batch.items()} == {
            "index": (torch.int64, (4,)),
            "input": (torch.uint8, (4, channels, 16, 20)),
            "target": (torch.float64, (4, 2, 2)),
            "mirrored": (torch.bool, (4,)),
            "warp": (torch.float64, (4, 3, 3)),
        }
        warp, mirrored = Warp().sample(torch.tensor([4, 2, 4, 7]), (16, 20), seed=3, epoch=5)
        assert torch.equal(batch["warp"], warp)
        assert torch.equal(batch["mirrored"], mirrored)
        for b, row in enumerate([4, 2, 4, 7]):
            frame = torch.eye(3, dtype=torch.float64)
            frame[:2, 2] = data.frame.shift[row]
            frame[0, 0], frame[1, 1] = data.frame.scale[row]
            image = read_image(table.root / f"a{row}.png", channels)
            assert torch.equal(batch["input"][b], sample([image], (warp[b] @ frame)[None], (16, 20), channels)[0])
            moved = map_points(warp[b] @ frame, torch.from_numpy(table.target[row]))
            moved = moved[[1, 0]] if mirrored[b] else moved
            torch.testing.assert_close(batch["target"][b].double(), moved, rtol=0, atol=1e-5, equal_nan=True)
        assert torch.isnan(batch["target"][1]).sum() == 2
    single = data[-3]
    same(single, {key: value[3] for key, value in batch.items()})


def test_labels_go_back_to_the_user_through_the_inverse(table: Annotations) -> None:
    data = LabelledDataset(table, augment=Warp())
    batch = data.__getitems__(range(10))
    back = map_points(torch.linalg.inv(batch["warp"]), batch["target"].double())
    back = torch.where(batch["mirrored"].view(-1, 1, 1), back[:, [1, 0]], back)
    user = data.frame.to_user(back, batch["index"])
    torch.testing.assert_close(user, torch.from_numpy(table.target), rtol=0, atol=1e-4, equal_nan=True)  # float32


@pytest.fixture
def blobs(tmp_path: Path, write: Write) -> Annotations:
    """Twelve images with a bright blob at the left point and a dim one at the right point."""
    rng, rows = np.random.default_rng(0), []
    y, x = np.mgrid[:120, :100]
    for k in range(12):
        left, right = rng.uniform((25, 35), (40, 85)), rng.uniform((62, 35), (75, 85))
        spots = [np.exp(-0.5 * ((x - px) ** 2 + (y - py) ** 2) / 3.0**2) for px, py in (left, right)]
        cv2.imwrite(str(tmp_path / f"b{k}.png"), np.rint(240 * spots[0] + 120 * spots[1]).astype(np.uint8))
        rows.append(f"b{k}.png,train,{','.join(map(repr, [*left.tolist(), *right.tolist()]))}")
    return load_annotations(write(rows), PAIRS, need_splits=("train",), val_share=0.0)


def test_the_points_stay_on_what_they_mark(blobs: Annotations) -> None:
    data = LabelledDataset(blobs, size=120, augment=dataclasses.replace(Warp(), shift=0.02))
    batch = data.__getitems__(range(12))
    assert 2 < int(batch["mirrored"].sum()) < 10
    y, x = np.mgrid[-9:10, -9:10]
    for b in range(12):
        peaks = []
        for point in batch["target"][b].double().numpy():
            column, row = np.rint(point).astype(int)
            patch = batch["input"][b, 0].numpy()[row - 9 : row + 10, column - 9 : column + 10].astype(float)
            centroid = np.array([(patch * x).sum(), (patch * y).sum()]) / patch.sum() + (column, row)
            np.testing.assert_allclose(centroid, point, rtol=0, atol=0.15)  # bent, and cut off at 9 px
            peaks.append(patch.max())
        bright, dim = peaks[::-1] if batch["mirrored"][b] else peaks
        assert bright > 200
        assert 90 < dim < 130


def test_without_pairs_nothing_is_mirrored(table: Annotations) -> None:
    plain = dataclasses.replace(table, schema=dataclasses.replace(table.schema, pairs=()))
    batch = LabelledDataset(plain, augment=Warp(mirror=1)).__getitems__(range(10))
    assert not batch["mirrored"].any()
    assert bool((torch.linalg.det(batch["warp"]) > 0).all())
    assert LabelledDataset(table, augment=Warp(mirror=1)).__getitems__(range(10))["mirrored"].all()


def test_points_that_leave_the_frame_keep_their_labels(table: Annotations) -> None:
    away = table.with_target(table.target + 1000)
    target = LabelledDataset(away, augment=Warp(mirror=0, perspective=0)).__getitems__(range(10))["target"]
    assert torch.equal(target.isnan(), torch.from_numpy(table.target).isnan())
    assert float(target.nan_to_num(nan=1000).abs().amax(dim=2).min()) > 48
    bent = LabelledDataset(away, augment=Warp(mirror=0)).__getitems__(range(10))
    behind = bent["warp"][:, 2:] @ torch.nn.functional.pad(LabelledDataset(away).target.double(), (0, 1), value=1.0).mT
    assert 0 < int((behind <= 0).sum()) < 20  # forty frames away: behind the horizon of some of the warps
    assert torch.equal(bent["target"].isnan().all(dim=2), ~(behind[:, 0] > 0))


def test_nothing_to_warp_is_the_same_frame(table: Annotations) -> None:
    still = LabelledDataset(table, augment=OFF).__getitems__(range(10))
    plain = LabelledDataset(table)
    same({"target": still["target"]}, {"target": plain.target})
    fixed = LabelledDataset(table, sampling="warp")
    assert torch.equal(fixed.__getitems__(range(10))["input"], still["input"])
    assert (fixed.sampling, plain.sampling) == ("warp", "letterbox")
    enlarged = [k for k in range(10) if k != 4]  # the letterbox takes area means where it shrinks
    letterboxed = plain.__getitems__(enlarged)["input"].int()
    assert int((still["input"][enlarged].int() - letterboxed).abs().max()) <= 1


def test_without_augment_the_sampling_stays(table: Annotations) -> None:
    data = LabelledDataset(table, [3, 4, 8], augment=Warp(), channels=3)
    plain = data.without_augment()
    same(
        plain.__getitems__([0, 1, 2]),
        LabelledDataset(table, [3, 4, 8], channels=3, sampling="warp").__getitems__([0, 1, 2]),
    )
    assert plain.without_augment() is plain
    assert data.augment == Warp()
    assert "warp" in data[0]


@pytest.mark.parametrize("shuffle_seed", [None, 4])
def test_workers_give_the_same_batches(table: Annotations, shuffle_seed: int | None) -> None:
    alone, helped = (LabelledDataset(table, size=16, augment=Warp(), seed=1) for _ in range(2))
    loaders = [alone.loader(4, shuffle_seed=shuffle_seed), helped.loader(4, shuffle_seed=shuffle_seed, workers=2)]
    seen = []
    for epoch in (0, 3, 0):
        for data, loader in zip((alone, helped), loaders, strict=True):
            if shuffle_seed is None:
                data.set_epoch(epoch)
            else:
                assert isinstance(loader.sampler, DistributedSampler)
                loader.sampler.set_epoch(epoch)  # as Lightning does
        batches = [list(loader) for loader in loaders]
        for one, other in zip(*batches, strict=True):
            same(one, other)
        order = torch.cat([batch["index"] for batch in batches[0]]).argsort()
        seen.append({key: torch.cat([batch[key] for batch in batches[0]])[order] for key in batches[0][0]})
    same(seen[0], seen[2])
    assert not torch.equal(seen[0]["input"], seen[1]["input"])
    assert bool((seen[0]["warp"] != seen[1]["warp"]).flatten(1).any(dim=1).all())


def test_seed_and_position_choose_the_warp(table: Annotations) -> None:
    data = LabelledDataset(table, augment=Warp(), seed=2)
    torch.rand(5)  # the global generators do not matter
    np.random.rand(5)  # noqa: NPY002
    same(data.__getitems__([6, 1]), {k: v[[6, 1]] for k, v in data.__getitems__(range(10)).items()})
    other = LabelledDataset(table, augment=Warp(), seed=3)
    assert not torch.equal(other[0]["warp"], data[0]["warp"])
    some = LabelledDataset(table, [8, 9], augment=Warp(), seed=2)
    assert torch.equal(some[0]["warp"], data[0]["warp"])  # position 0


def test_other_labels_have_the_same_warps(table: Annotations) -> None:
    data = LabelledDataset(table, augment=Warp())
    other = LabelledDataset(table.with_target(table.target + 1), augment=Warp())
    before, after = data.__getitems__(range(10)), other.__getitems__(range(10))
    assert torch.equal(after["input"], before["input"])
    assert torch.equal(after["warp"], before["warp"])
    assert not torch.equal(after["target"][0], before["target"][0])


def test_scalar_targets_are_not_touched(write: Write, images: list[str]) -> None:
    path = write([f"{name},{20 + k}" for k, name in enumerate(images)], header="image,age")
    data = LabelledDataset(load_annotations(path, Schema(targets=("age",))), augment=Warp())
    batch = data.__getitems__(range(10))
    assert batch["target"][:, 0, 0].tolist() == list(range(20, 30))
    assert not batch["mirrored"].any()
    assert not torch.equal(batch["input"], data.without_augment().__getitems__(range(10))["input"])


def test_boxes_and_warps_are_one_map(write: Write, rows: list[str]) -> None:
    table = load_annotations(write(rows), Schema(box="points", box_margin=0.4))
    data = LabelledDataset(table, size=32, augment=Warp())
    batch = data.__getitems__(range(10))
    plain = data.without_augment().__getitems__(range(10))
    torch.testing.assert_close(batch["target"], map_points(batch["warp"], plain["target"]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("keep", [True, False])
def test_files_are_kept_as_they_are(tmp_path: Path, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [bytes(range(k, k + 20 * (k % 3))) for k in range(6)]
    paths = [tmp_path / f"{k}.bin" for k in range(6)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    reads: list[Path] = []
    monkeypatch.setattr(cache_module, "read_file", lambda path: reads.append(path) or path.read_bytes())
    files = FileCache(paths, keep=keep)
    assert total_size([*paths, tmp_path / "none"]) == sum(map(len, contents))
    for _ in range(2):
        assert [bytes(files[k]) for k in (4, 1)] == [contents[4], contents[1]]
    assert len(reads) == (2 if keep else 4)
    for _ in range(2):
        files.share()
        assert [bytes(files[k]) for k in range(6)] == contents
    assert len(reads) == (6 if keep else 16)
    FileCache([], keep=True).share()


def test_files_are_kept_where_they_fit(table: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "free_memory", lambda: 100.0)
    data = LabelledDataset(table, augment=Warp())
    data[0]
    (data.annotations.root / "a0.png").unlink()
    with pytest.raises(DataError, match=r"a0.png: expected a readable image, got No such file"):
        data[0]


def test_an_image_that_changed_since_is_told(table: Annotations, tmp_path: Path) -> None:
    data = LabelledDataset(table, augment=Warp())
    cv2.imwrite(str(tmp_path / "a3.png"), np.zeros((5, 6, 3), np.uint8))
    (tmp_path / "a5.png").write_text("no image")
    with pytest.raises(DataError, match=r"a3.png: expected 24 x 20 px as when the table was checked, got 6 x 5 px"):
        data[3]
    with pytest.raises(DataError, match=r"a5.png: expected an image, got 8 bytes that OpenCV cannot decode"):
        data[5]


def test_wrong_arguments(table: Annotations, write: Write) -> None:
    with pytest.raises(ValueError, match="expected sampling 'warp' or 'auto' with augment, boxes or stretched"):
        LabelledDataset(table, augment=Warp(), sampling="letterbox")
    with pytest.raises(ValueError, match="sampling to be one of 'auto', 'letterbox', 'warp', 'crop', got 'area'"):
        LabelledDataset(table, sampling="area")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected seed and epoch >= 0, got -1 and 0"):
        LabelledDataset(table, augment=Warp(), seed=-1)[0]
    features = load_annotations(write([f"{k},{k * k}" for k in range(20)], header="a,y"), Schema(targets=("y",)))
    with pytest.raises(ValueError, match="expected images to warp, got a table of features"):
        LabelledDataset(features, augment=Warp())
