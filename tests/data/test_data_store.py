"""Each image is decoded once: frames made by the check are those of every data set, stores serve several looks."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from steadfit.data import (
    Framing,
    ImageStore,
    LabelledDataset,
    PadCrop,
    Region,
    Schema,
    Warp,
    load_annotations,
    load_classes,
)
from steadfit.data.images import cache as cache_module
from steadfit.errors import DataError

COUNT = 10


class Decoded:
    """How often OpenCV has been asked to decode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self._real = 0, cv2.imdecode
        monkeypatch.setattr(cv2, "imdecode", self)

    def __call__(self, *args: Any) -> Any:
        self.count += 1
        return self._real(*args)


@pytest.fixture
def decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Decoded:
    return Decoded(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images of two sizes with two points, a box, an age and a class each."""
    rng, lines = np.random.default_rng(0), ["image,split,x0,y0,x1,y1,left,top,width,height,age,label"]
    for k in range(COUNT):
        width, height = (24, 20) if k % 2 else (31, 18)
        assert cv2.imwrite(str(tmp_path / f"{k}.png"), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        split = "train" if k < 6 else "val" if k < 8 else "test"
        lines.append(
            f"{k}.png,{split},{k},{5 + k % 4},{k + 8},{11 + k % 3},{k % 3},1,{12 + k},15,{20 + k},{'ab'[k % 2]}"
        )
    (tmp_path / "annotations.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


SCHEMAS = {
    "points": Schema(),
    "age": Schema(targets=("age",)),
    "around points": Schema(box="points", box_margin=0.3),
    "columns": Schema(box=("left", "top", "width", "height")),
    "stretch": Schema(box_fit="stretch"),
    "classes": Schema(targets=("label",), classes=("a", "b")),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SCHEMAS)
def test_check_training_and_judgement_decode_once(folder: Path, decoded: Decoded, name: str, channels: int) -> None:
    plain = load_annotations(folder, SCHEMAS[name])
    options: dict[str, Any] = {"size": (12, 16), "channels": channels}
    expected = LabelledDataset(plain, **options).__getitems__(range(COUNT))
    decoded.count = 0
    table = load_annotations(folder, SCHEMAS[name], framing=Framing((12, 16), channels))
    for split in ("train", "val"):
        rows = table.rows(split)
        for _ in range(2):
            got = LabelledDataset(table, rows, **options).__getitems__(range(len(rows)))
            assert torch.equal(got["input"], expected["input"][rows])
    judged = LabelledDataset(table, cache=False, **options)
    for _ in range(2):
        assert torch.equal(judged.__getitems__(range(COUNT))["input"], expected["input"])
    assert decoded.count == COUNT


def test_frames_stay_with_their_rows(folder: Path, decoded: Decoded) -> None:
    """Parts of a table, other labels and rows that were left out do not mix the frames up."""
    text = (folder / "annotations.csv").read_text()
    text = text.replace("2.png,train,2,", "2.png,train,x,").replace("7.png,", "7.png,one,cell,too,many,")
    (folder / "annotations.csv").write_text(text)
    with pytest.warns(UserWarning, match="2 rows are left out"):
        table = load_annotations(folder, framing=Framing(16, 1), skip_bad=True)
    part = table.take([7, 3, 0]).with_target(np.zeros((3, 2, 2)))
    found = LabelledDataset(part, [2, 1], size=16).__getitems__([0, 1])["input"]
    assert decoded.count == COUNT - 1  # a row with too many cells has no image to check
    with pytest.warns(UserWarning, match="2 rows are left out"):
        fresh = load_annotations(folder, skip_bad=True)
    assert torch.equal(found, LabelledDataset(fresh, [0, 3], size=16).__getitems__([0, 1])["input"])


@pytest.mark.parametrize(
    "options",
    [{"size": 20}, {"channels": 3}, {"sampling": "warp"}, {"augment": Warp()}],
    ids=["size", "channels", "sampling", "warps"],
)
def test_other_frames_are_made_anew(folder: Path, decoded: Decoded, options: dict[str, Any]) -> None:
    table, plain = load_annotations(folder, framing=Framing(16, 1)), load_annotations(folder)
    decoded.count = 0
    wanted: dict[str, Any] = {"size": 16, **options}
    got, expected = (LabelledDataset(one, **wanted).__getitems__(range(COUNT)) for one in (table, plain))
    assert torch.equal(got["input"], expected["input"])
    assert decoded.count == 2 * COUNT


def test_other_boxes_are_other_frames(folder: Path) -> None:
    table = load_annotations(folder, SCHEMAS["columns"], framing=Framing(16, 1))
    assert table.size is not None
    boxes = np.concatenate([np.zeros((COUNT, 2)), table.size], axis=1)
    region = Region(name="one", points=(0,))
    moved, plain = region.part(table, boxes), region.part(load_annotations(folder, SCHEMAS["columns"]), boxes)
    got, expected = (LabelledDataset(one, size=16).__getitems__(range(COUNT)) for one in (moved, plain))
    assert torch.equal(got["input"], expected["input"])


def test_warps_of_a_training_set_leave_its_plain_frames_to_the_check(folder: Path, decoded: Decoded) -> None:
    table = load_annotations(folder, framing=Framing(16, 1, "warp"))
    data = LabelledDataset(table, size=16, augment=Warp())
    decoded.count = 0
    data.without_augment().__getitems__(range(COUNT))
    assert decoded.count == 0
    data.__getitems__(range(COUNT))
    assert decoded.count == COUNT


@pytest.mark.parametrize("size", [None, 8])
def test_classes_decode_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None) -> None:
    rng = np.random.default_rng(0)
    for k in range(12):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / "ab"[k % 2] / f"{k}.png"), rng.integers(0, 256, (10, 9, 3), dtype=np.uint8))
    plain, decoded = load_classes(tmp_path), Decoded(monkeypatch)
    classes = load_classes(tmp_path, framing=Framing(size, 3))
    data = LabelledDataset(classes, size=size, channels=3, augment=PadCrop())
    got = data.__getitems__(range(12))["input"]
    assert decoded.count == 12
    expected = LabelledDataset(plain, size=size, channels=3, augment=PadCrop()).__getitems__(range(12))["input"]
    assert torch.equal(got, expected)


def test_images_of_several_sizes_have_no_frames_of_their_own(folder: Path) -> None:
    classes = load_annotations(folder, SCHEMAS["classes"], framing=Framing(None, 3))
    with pytest.raises(DataError, match="expected images of one size"):
        LabelledDataset(classes, size=None, channels=3)
    assert LabelledDataset(classes, size=8, channels=3)[0]["input"].shape == (3, 8, 8)


def test_frames_that_do_not_fit_are_not_kept(folder: Path, decoded: Decoded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "free_memory", lambda: 4.0 * (COUNT * 16 * 16 - 1))
    table = load_annotations(folder, framing=Framing(16, 1))
    LabelledDataset(table, size=16).__getitems__(range(COUNT))
    assert decoded.count == 2 * COUNT


def test_workers_see_the_frames_of_the_check(folder: Path) -> None:
    data = LabelledDataset(load_annotations(folder, framing=Framing(16, 1)), size=16)
    here, there = (list(data.loader(4, workers=workers)) for workers in (0, 1))
    assert all(torch.equal(a["input"], b["input"]) for a, b in zip(here, there, strict=True))


def test_a_data_set_goes_to_other_processes_with_its_frames(folder: Path) -> None:
    """Where workers are not forked, the data set is pickled."""
    table = load_annotations(folder, framing=Framing(16, 1), store=ImageStore(1))
    data = LabelledDataset(table, size=16)
    there = pickle.loads(pickle.dumps(data))
    assert torch.equal(there.__getitems__(range(COUNT))["input"], data.__getitems__(range(COUNT))["input"])


def test_several_looks_at_an_image_open_it_once(folder: Path, decoded: Decoded) -> None:
    """The check, a frame for all points, and the crops of two regions, as a cascade looks at them."""
    store = ImageStore(3)
    table = load_annotations(folder, store=store)
    assert table.size is not None
    for left in (0.0, 3.0):
        boxes = np.tile([left, 2.0, 10.0, 10.0], (COUNT, 1))
        part = Region(name="one", points=(0,)).part(table, boxes)
        for _ in range(2):
            LabelledDataset(part, size=16, channels=3, cache=False).__getitems__(range(COUNT))
    LabelledDataset(table, size=24, channels=3, cache=False).__getitems__(range(COUNT))
    assert store.open(table.root / "3.png").shape == (20, 24, 3)
    assert decoded.count == COUNT
    later = load_annotations(folder).with_store(3)
    for size in (16, 24):
        LabelledDataset(later, size=size, channels=3, cache=False).__getitems__(range(COUNT))
    assert decoded.count == 3 * COUNT


def test_a_store_of_other_channels_is_passed_over(folder: Path) -> None:
    """Grey from a file is not the grey of its colours: no image depends on what else was looked at."""
    table = load_annotations(folder, store=ImageStore(3))
    got = LabelledDataset(table, size=16, channels=1).__getitems__(range(COUNT))["input"]
    assert torch.equal(got, LabelledDataset(load_annotations(folder), size=16).__getitems__(range(COUNT))["input"])


def test_a_store_keeps_what_fits(folder: Path, decoded: Decoded) -> None:
    first, second = folder / "1.png", folder / "3.png"
    store = ImageStore(1, limit=24 * 20)
    images = [store.open(path) for path in (first, second, first, second)]
    assert decoded.count == 3
    assert np.array_equal(images[1], images[3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0, "channels": 1}, "expected a size of at least 1 px, got 0"),
        ({"size": 4, "channels": 2}, "Framing: expected channels to be one of 1, 3, got 2"),
        ({"size": 4, "channels": 1, "sampling": "area"}, "Framing: expected sampling to be one of 'auto'"),
    ],
)
def test_wrong_framings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Framing(**options)
